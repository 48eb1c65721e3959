"""Everything the servers of this exchange share, and one helper for all of its HTTP answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from processes.exchange.admin.faults import Faults
from processes.exchange.core.candles import Candles
from processes.exchange.core.desk import Desk
from processes.exchange.core.fee_board import FeeBoard
from processes.exchange.core.group_desk import GroupDesk
from processes.exchange.core.maintenance import Maintenance
from processes.exchange.core.markets import Market
from processes.exchange.core.pauses import Pauses
from processes.exchange.core.rejections import Rejection
from processes.exchange.core.replica import Replica
from processes.exchange.core.retention import Limits, Retention
from processes.exchange.core.transfers import Transfers
from processes.exchange.core.venue import Venue
from processes.exchange.keys import Asker, KeyRing
from processes.exchange.market_time import MarketTime
from processes.exchange.rest.auth import Authenticator
from processes.exchange.rest.limits import Meter
from processes.exchange.rest.scopes import scope_of
from processes.exchange.stream.delivery import Delivery
from processes.exchange.stream.hub import Hub

__all__ = ["BASE", "HOUSE", "House", "answer", "asked"]

BASE: Final = "/trade-api/v2"
HISTORY_MS: Final = 14 * 86_400_000


class House:
    """The running exchange. `now_ns` is real time, for what does not follow market time."""

    def __init__(
        self,
        venue: Venue,
        desk: Desk,
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
        weekly_pause: bool,
        limits: Limits,
    ) -> None:
        self.venue = venue
        self.desk = desk
        self.hub = hub
        self.time = time
        self.keys = keys
        self.auth = auth
        self.replica = replica
        self.faults = Faults()
        self.delivery = delivery
        self._retention = Retention(venue, desk, limits)
        self.groups = GroupDesk(desk, new_id)
        self.transfers = Transfers(new_id)
        self.pauses = Pauses(desk)
        self.maintenance = Maintenance(self.pauses, weekly=weekly_pause)
        self.fees = FeeBoard(venue, new_id)
        self.candles = Candles()
        self.meters = {user: Meter(tier, now_ns) for user in venue.members}

    def signer(self, request: web.Request) -> Asker:
        """Who signed a request, whatever it asks for; `Rejection` when nobody did."""
        asker = request.get(ASKER)
        if asker is None:
            key = self.auth.key(request.headers, request.method, request.path)
            asker = request[ASKER] = Asker(self.venue.members[key.user_id], key)
        return asker

    def asker(self, request: web.Request) -> Asker:
        """Who asks, by a key that allows it; also brings up to date what falls due."""
        asker = self.signer(request)
        resource = request.match_info.route.resource
        below = resource.canonical.removeprefix(BASE) if resource is not None else ""
        asker.check_scope(scope_of(request.method, below))
        self.keep()
        return asker

    def keep(self) -> None:
        """Expire orders, begin scheduled fees, begin and end maintenance."""
        now_ms = self.venue.now_ms()
        self.maintenance.apply(now_ms)
        self.desk.expire(now_ms)
        self.fees.apply(now_ms)

    def look(self) -> None:
        """See what open markets are quoted at."""
        opened = (m for m in self.venue.markets.values() if m.is_open)
        self.candles.look(opened, self.venue.now_ms())

    def forget(self) -> None:
        """Let go of what ended long ago, and of the oldest of what is too much."""
        gone = self._retention.sweep(self.venue.now_ms())
        if gone:
            self.hub.forget(gone)
            self.candles.forget(gone)
            self.replica.keep(self.desk.orders, self.venue.accounts)

    def rebalance(self) -> None:
        """Spread free money over the shards as the users want it."""
        for member in self.venue.members.values():
            self.transfers.rebalance(member)

    def cutoff_ms(self) -> int:
        """What ended before is read under `/historical`."""
        return self.venue.now_ms() - HISTORY_MS

    def market(self, ticker: str) -> Market:
        """A market by ticker; `Rejection` when there is none."""
        market = self.venue.markets.get(ticker)
        if market is None:
            raise Rejection.nested(404, "not_found")
        return market


ASKER: Final = web.RequestKey("asker", Asker)
HOUSE: Final = web.AppKey("house", House)


def asked(request: web.Request) -> tuple[House, Asker]:
    """The house that was asked, and who asks."""
    house = request.app[HOUSE]
    return house, house.asker(request)


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
