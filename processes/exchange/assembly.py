"""Puts the exchange together: core, sinks, and everything its servers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ipc.clock import mono_ns
from processes.adapters.kalshi.auth.signing import real_ms
from processes.exchange.accounts import KnownKeys
from processes.exchange.core.desk import Desk
from processes.exchange.core.events import BookChanged, Event
from processes.exchange.core.replica import Replica
from processes.exchange.core.retention import Limits
from processes.exchange.core.venue import Venue
from processes.exchange.house import House
from processes.exchange.keys import ApiKey, KeyRing
from processes.exchange.market_time import MarketTime
from processes.exchange.rest.auth import NEWEST_MS, OLDEST_MS, Authenticator
from processes.exchange.rest.limits import UNMETERED
from processes.exchange.stream.delivery import Delivery
from processes.exchange.stream.hub import Hub

__all__ = ["Rules", "assemble"]


class Rules(msgspec.Struct, frozen=True):
    """How the exchange treats its clients: tier, lag of reads, shards, clocks, hours."""

    tier: str = UNMETERED
    orders_lag_ms: int = 0
    positions_lag_ms: int = 0
    shards: Mapping[str, int] = {}
    oldest_ms: int = OLDEST_MS  # of a request's timestamp, behind now
    newest_ms: int = NEWEST_MS  # and ahead of it
    weekly_pause: bool = False
    limits: Limits = Limits()  # of what it remembers


def assemble(
    keys: KnownKeys, time: MarketTime, new_id: Callable[[], str], rules: Rules, *, shadow: bool
) -> House:
    """An exchange with these accounts and no market yet."""
    hub = Hub()
    delivery = Delivery(hub)
    replica = Replica(rules.orders_lag_ms, rules.positions_lag_ms, mono_ns)

    def sink(event: Event) -> None:
        if type(event) is not BookChanged:  # most events are, and reads of books do not lag
            replica(event)
        delivery.publish(event)

    accounts = [account for account, _ in keys.values()]
    ring = KeyRing(
        ApiKey(key_id, account.user_id, credentials.private_key.public_key())
        for key_id, (account, credentials) in keys.items()
    )
    venue = Venue(accounts, time.now_ms, sink, rules.shards)
    desk = Desk(venue, new_id, shadow=shadow)
    auth = Authenticator(ring, real_ms, rules.oldest_ms, rules.newest_ms)
    return House(
        *(venue, desk, hub, time, ring, auth, replica, rules.tier, new_id, mono_ns),
        delivery=delivery,
        limits=rules.limits,
        weekly_pause=rules.weekly_pause,
    )
