"""The local exchange on a real port, inside the test's own process, put into any state wanted."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import websockets
from aiohttp import web
from aiohttp.typedefs import Handler
from support.exchange import REST, WEBSOCKET, Stream
from support.patience import PATIENCE
from support.specs import documented

from ipc.messages import Environment
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.auth.credentials import Algorithm, Credentials, new_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer, real_ms
from processes.exchange.core.access import Caller
from processes.exchange.core.books import NO, YES
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket, MarketFacts
from processes.exchange.servers import Server, admin_app, exchange_app
from processes.exchange.shared.connections import Connections
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.shared.state import ExchangeRules, assemble

__all__ = ["LocalExchange", "keys"]

CASH_E6 = 10_000_000_000
NO_RULES = ExchangeRules()
LIFE = uuid.NAMESPACE_OID
TOKEN = "f" * 64  # of the admin port


@cache
def keys() -> tuple[Credentials, Credentials]:
    """One RSA and one Ed25519 key for the whole run."""
    algorithms = (Algorithm.RSA, Algorithm.ED25519)
    first, second = (new_credentials(str(uuid.uuid4()), a) for a in algorithms)
    return first, second


class Asked(NamedTuple):
    """A request that got past the gate."""

    method: str
    target: str
    content: bytes


class LocalExchange:
    """Two accounts, no market yet; `desk` and `venue` are the exchange's own.

    Every answer and every frame is held against the specifications, where they are.
    """

    def __init__(
        self, folder: Path, now_ms: int, cash_e6: int = CASH_E6, rules: ExchangeRules = NO_RULES
    ) -> None:
        known = {
            c.api_key_id: (TradingAccount(str(uuid.uuid5(LIFE, c.api_key_id)), cash_e6), c)
            for c in keys()
        }
        self.accounts = [account for account, _ in known.values()]
        self.time = MarketTime(folder / "clock", now_ms, 1.0)
        self.time.run(now_ms)
        numbers, life = count(1), uuid.uuid4()
        self.state = assemble(
            known, self.time, lambda: str(uuid.uuid5(life, str(next(numbers)))), rules, shadow=False
        )
        self.venue, self.order_entry = self.state.venue, self.state.order_entry
        self._connections = Connections(self.state)
        self.asked: list[Asked] = []
        self.app = exchange_app(self.state, self._connections)
        self.app.middlewares.append(self._note)
        self._server = Server(self.app, "port", 0)
        self._admin = Server(admin_app(self.state, self._connections, TOKEN), "port", 0)
        self.http = httpx.AsyncClient(timeout=PATIENCE)

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.path_qs, await request.read()))
        return await handler(request)

    async def __aenter__(self) -> LocalExchange:
        await self._server.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self._connections.close()
        await self._server.stop()
        await self._admin.stop()
        self.time.close()

    @property
    def target(self) -> KalshiTarget:
        """Where a client of ours connects."""
        host = f"127.0.0.1:{self._server.port}"
        return KalshiTarget(
            Environment.SIMULATED, f"http://{host}{REST}", f"ws://{host}{WEBSOCKET}"
        )

    def caller(self, account: int = 0) -> Caller:
        """One of the users, by the key that it signs with."""
        key = self.state.keys.get(keys()[account].api_key_id)
        assert key is not None
        return Caller(self.venue.members[key.user_id], key)

    def market(self, ticker: str, **facts: Any) -> ListedMarket:
        """A market of this ticker, open for trading, its book empty."""
        event = ticker.rpartition("-")[0] or ticker
        now_ms = self.venue.now_ms()
        known = {
            "event_ticker": event,
            "series_ticker": ticker.partition("-")[0],
            "open_ms": now_ms - 1_000,
            "close_ms": now_ms + 86_400_000,
        }
        market = self.venue.add_market(MarketFacts(ticker=ticker, **(known | facts)))
        self.order_entry.open(market)
        self.venue.open_market(market, now_ms)
        return market

    def add(self, ticker: str, leg: int, price_e4: int, count_e2: int) -> None:
        """Somebody's bid of a leg."""
        self.order_entry.clearings[ticker].publish(leg, price_e4, count_e2, None)

    def clear(self, ticker: str, leg: int, from_e4: int) -> None:
        """Take away what strangers bid for a leg at `from_e4` and above."""
        matcher = self.order_entry.clearings[ticker].matcher
        for price_e4 in [p for p in self.venue.markets[ticker].book.legs[leg] if p >= from_e4]:
            self.add(ticker, leg, price_e4, -matcher.anonymous(leg, price_e4))

    def two_sided(self, ticker: str) -> None:
        """A market of 47 to 52 cents."""
        self.add(ticker, YES, 4_700, 300_000)
        self.add(ticker, NO, ONE_DOLLAR_E4 - 5_200, 300_000)

    def headers(
        self, method: str, path: str, account: int | Credentials = 0, ahead_ms: int = 0
    ) -> dict[str, str]:
        """Headers signed with the key of a user, or with another."""
        key = keys()[account] if isinstance(account, int) else account
        signer = Signer(key, lambda: real_ms() + ahead_ms)
        return signer.headers(method, path)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        account: int | Credentials = 0,
        **query: Any,
    ) -> httpx.Response:
        """A signed call; `path` below the base."""
        full = REST + path
        return await self.send(method, full, body, self.headers(method, full, account), query)

    async def send(
        self,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Any call; `path` from the host's root."""
        reply = await self.http.request(
            method,
            f"http://127.0.0.1:{self._server.port}{path}",
            params=query or None,
            content=None if body is None else msgspec.json.encode(body),
            headers={"Content-Type": "application/json", **headers},
        )
        return documented(reply)

    async def order(self, path: str, **facts: Any) -> Any:
        """An order over the admin port, which takes it."""
        reply = await self.try_order(path, **facts)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def try_order(self, path: str, **facts: Any) -> httpx.Response:
        """An order over the admin port."""
        address = f"http://127.0.0.1:{self._admin.port}/admin/{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return await self.http.post(address, json=facts, headers=headers)

    @contextlib.asynccontextmanager
    async def stream(self, account: int | Credentials = 0) -> AsyncIterator[Stream]:
        """A WebSocket connection."""
        async with websockets.connect(
            f"ws://127.0.0.1:{self._server.port}{WEBSOCKET}",
            additional_headers=self.headers("GET", WEBSOCKET, account),
            compression=None,
            max_queue=None,
        ) as socket:
            yield Stream(socket)
