"""The running exchange: everything that its servers share, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from ipc.clock import mono_ns
from processes.adapters.kalshi.auth.signing import real_ms
from processes.exchange.core.access import (
    NEWEST_MS,
    OLDEST_MS,
    UNMETERED,
    ApiKey,
    Authenticator,
    Caller,
    KeyRing,
    Meter,
    scope_of,
)
from processes.exchange.core.catalogue import Catalogue, FollowedMarkets
from processes.exchange.core.events import BookChanged, Event
from processes.exchange.core.faults import Faults
from processes.exchange.core.history import Candles, Replica, Retention, RetentionLimits
from processes.exchange.core.ledger import Transfers
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.operations import FeeChanges, Maintenance, Pauses
from processes.exchange.core.order_entry import GroupCommands, OrderEntry
from processes.exchange.core.order_log import OrderLog
from processes.exchange.core.rejections import Rejection
from processes.exchange.core.venue import Venue
from processes.exchange.shared.accounts import KnownKeys
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.stream.hub import Delivery, Hub

__all__ = ["BASE", "STATE", "ExchangeRules", "ExchangeState", "answer", "assemble", "authorize"]

BASE: Final = "/trade-api/v2"
JSON: Final = "application/json"
HISTORY_MS: Final = 14 * 86_400_000


class ExchangeState:
    """The running exchange. `now_ns` is real time in nanoseconds, for rate limits and read lags.

    What ended `history_ms` ago or earlier is read under `/historical` only.
    """

    def __init__(
        self,
        venue: Venue,
        order_entry: OrderEntry,
        hub: Hub,
        time: MarketTime,
        keys: KeyRing,
        auth: Authenticator,
        replica: Replica,
        tier: str,
        new_id: Callable[[], str],
        now_ns: Callable[[], int],
        *,
        delivery: Delivery,
        order_log: OrderLog,
        weekly_pause: bool,
        limits: RetentionLimits,
        catalogue: Catalogue,
    ) -> None:
        self.venue = venue
        self.order_entry = order_entry
        self.hub = hub
        self.time = time
        self.keys = keys
        self.auth = auth
        self.replica = replica
        self.faults = Faults()
        self.delivery = delivery
        self.order_log = order_log
        self.history_ms = HISTORY_MS
        self._retention = Retention(venue, order_entry, limits)
        self.groups = GroupCommands(order_entry, new_id)
        self.transfers = Transfers(new_id)
        self.catalogue = catalogue
        self.followed = FollowedMarkets(venue, order_entry, catalogue)
        self.pauses = Pauses(order_entry)
        self.maintenance = Maintenance(self.pauses, weekly=weekly_pause)
        self.fees = FeeChanges(venue, new_id)
        self.candles = Candles()
        self.meters = {user: Meter(tier, now_ns) for user in venue.members}

    def signer(self, request: web.Request) -> Caller:
        """Who signed a request; `Rejection` (401) without a valid signature."""
        caller = request.get(CALLER)
        if caller is None:
            key = self.auth.key(request.headers, request.method, request.path)
            caller = request[CALLER] = Caller(self.venue.members[key.user_id], key)
        return caller

    def caller(self, request: web.Request) -> Caller:
        """Who calls, with a key whose scope allows it; also applies what is due.

        `Rejection`: 401 for a bad signature, 403 for a scope that the key lacks, 400 for a change
        that does not come as JSON.
        """
        caller = self.signer(request)
        resource = request.match_info.route.resource
        below = resource.canonical.removeprefix(BASE) if resource is not None else ""
        caller.check_scope(scope_of(request.method, below))
        _check_content_type(request)
        self.apply_due()
        return caller

    def apply_due(self) -> None:
        """Expire orders; apply fee changes, maintenance and the closes of followed markets."""
        now_ms = self.venue.now_ms()
        self.maintenance.apply(now_ms)
        self.order_entry.expire(now_ms)
        self.fees.apply(now_ms)
        self.followed.apply(now_ms)

    def sample_quotes(self) -> None:
        """Sample the quotes of open markets for candlesticks."""
        opened = (m for m in self.venue.markets.values() if m.is_open)
        self.candles.sample(opened, self.venue.now_ms())

    def apply_retention(self) -> None:
        """Drop what ended long ago, and the oldest of what exceeds the limits."""
        gone = self._retention.sweep(self.venue.now_ms())
        if gone:
            self.hub.forget(gone)
            self.candles.forget(gone)
            self.replica.keep(self.order_entry.orders, self.venue.accounts)

    def rebalance(self) -> None:
        """Spread free money over the shards as the users want it."""
        for member in self.venue.members.values():
            self.transfers.rebalance(member)

    def cutoff_ms(self) -> int:
        """What ended before is read under `/historical`."""
        return self.venue.now_ms() - self.history_ms + 1

    def market(self, ticker: str) -> ListedMarket:
        """A market by ticker; `Rejection` when there is none."""
        market = self.find(ticker)
        if market is None:
            raise Rejection.nested(404, "not_found")
        return market

    def find(self, ticker: str) -> ListedMarket | None:
        """A market by ticker: of the venue, the catalogue or the combos; None if unknown."""
        market = self.venue.markets.get(ticker)
        if market is not None:
            return market
        now_ms = self.venue.now_ms()
        row, combo = self.catalogue.find(ticker, now_ms), None
        if row is None:
            combo = self.catalogue.find_combo(ticker, now_ms)
        if row is not None:
            return self.catalogue.market(row, now_ms)
        return None if combo is None else self.catalogue.combo(combo)

    def by_id(self, market_id: str) -> ListedMarket | None:
        """A market of the venue by its id; None for an unknown one."""
        markets = self.venue.markets.values()
        return next((m for m in markets if m.market_id == market_id), None)

    def follow(self, ticker: str) -> ListedMarket | None:
        """The same for those who follow or trade it: the venue has it from now on."""
        return self.followed.follow(ticker) or self.find(ticker)


CALLER: Final = web.RequestKey("caller", Caller)
STATE: Final = web.AppKey("state", ExchangeState)


def authorize(request: web.Request) -> tuple[ExchangeState, Caller]:
    """The exchange and the caller of a private request; `Rejection` (401, 403) otherwise."""
    state = request.app[STATE]
    return state, state.caller(request)


def _check_content_type(request: web.Request) -> None:
    """What changes something says that its body is JSON, even where there is none."""
    sends = request.method in ("POST", "PUT") or (request.method != "GET" and request.body_exists)
    if sends and request.content_type != JSON:
        raise Rejection.nested(400, "invalid_content_type")


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


class ExchangeRules(msgspec.Struct, frozen=True):
    """How the exchange treats its clients: tier, lag of reads, shards, clocks, hours."""

    tier: str = UNMETERED
    orders_lag_ms: int = 0
    positions_lag_ms: int = 0
    shards: Mapping[str, int] = {}
    oldest_ms: int = OLDEST_MS  # of a request's timestamp, behind now
    newest_ms: int = NEWEST_MS  # and ahead of it
    weekly_pause: bool = False
    limits: RetentionLimits = RetentionLimits()  # of what it remembers
    catalogue_markets: int = 0  # listed beside those that trade
    catalogue_combos: int = 0
    catalogue_seed: int = 1


def assemble(
    keys: KnownKeys,
    time: MarketTime,
    new_id: Callable[[], str],
    rules: ExchangeRules,
    *,
    shadow: bool,
) -> ExchangeState:
    """An exchange with these accounts and no market yet.

    `keys` are the accounts by key id, `time` is market time, `new_id` makes every id that the
    exchange gives out, `rules` is how it treats clients. `shadow` is True where markets are
    recorded: accounts' orders then fill against the recording without changing its book.
    """
    hub = Hub()
    delivery = Delivery(hub)
    replica = Replica(rules.orders_lag_ms, rules.positions_lag_ms, mono_ns)
    order_log = OrderLog(mono_ns)

    def sink(event: Event) -> None:
        if type(event) is not BookChanged:  # most events are, and reads of books do not lag
            replica(event)
            order_log(event)
        delivery.publish(event)

    accounts = [account for account, _ in keys.values()]
    ring = KeyRing(
        ApiKey(key_id, account.user_id, credentials.private_key.public_key())
        for key_id, (account, credentials) in keys.items()
    )
    venue = Venue(accounts, time.now_ms, sink, rules.shards)
    order_entry = OrderEntry(venue, new_id, shadow=shadow)
    auth = Authenticator(ring, real_ms, rules.oldest_ms, rules.newest_ms)
    return ExchangeState(
        *(venue, order_entry, hub, time, ring, auth, replica, rules.tier, new_id, mono_ns),
        delivery=delivery,
        order_log=order_log,
        limits=rules.limits,
        catalogue=Catalogue(rules.catalogue_markets, rules.catalogue_combos, rules.catalogue_seed),
        weekly_pause=rules.weekly_pause,
    )
