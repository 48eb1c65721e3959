"""An exchange of a few lines behind httpx's own transport: answers from a list."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from support.kalshi_frames import MARKET

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import BookSide, Environment
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.orders import CreateOrder
from processes.adapters.kalshi.rest.rate_budget import RateBudget

__all__ = ["CREATED", "KEY", "MARKET_ROW", "ORDER", "TARGET", "FakeExchange"]

TARGET = KalshiTarget(
    Environment.SIMULATED, "http://127.0.0.1:1/trade-api/v2", "ws://127.0.0.1:1/trade-api/ws/v2"
)
KEY = new_credentials("key-1", Algorithm.ED25519)
ORDER = CreateOrder(
    market_ticker=MARKET,
    client_order_id="c-1",
    book_side=BookSide.BID,
    yes_price_e4=4700,
    count_e2=1000,
    expire_s=1_781_159_420,
)
CREATED = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "fill_count": "1.00",
    "remaining_count": "9.00",
    "average_fill_price": "0.4700",
    "average_fee_paid": "0.0175",
    "ts_ms": 1_781_159_370_164,
}
MARKET_ROW = {
    "ticker": MARKET,
    "event_ticker": "E",
    "status": "active",
    "open_time": "2026-08-05T11:45:00Z",
    "close_time": "2026-08-05T12:00:00Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}

Handler = Callable[[httpx.Request], httpx.Response]


class FakeExchange:
    """Answers from a list, keeps what it was asked; an exception in the list is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self._slept_ns = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, tuple):
            status, body = answer
        else:
            status, body = 200, answer
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=text)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._slept_ns += int(seconds * NS_PER_S) + 1

    def client(self, seed: int = 0) -> KalshiTradingClient:
        return KalshiTradingClient.at(
            TARGET,
            Signer(KEY),
            RateBudget(lambda: mono_ns() + self._slept_ns, self.sleep),
            seed=seed,
            sleep=self.sleep,
            transport=httpx.MockTransport(self),
        )
