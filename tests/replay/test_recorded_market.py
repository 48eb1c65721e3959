"""A real recorded market, traded: what the stream shows is what the exchange says over REST."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.patience import PATIENCE
from support.recordings import needs_recordings, recordings_folder
from support.stack import Stack, eventually
from websockets.exceptions import WebSocketException

from ipc.messages import ActorFill, BookSide
from ipc.units import ONE_DOLLAR_E4, parse_count, parse_money
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.runtime.config import load_settings

pytestmark = [pytest.mark.stack, needs_recordings, pytest.mark.slow]

KINDS = {
    *("connection", "orderbook_snapshot", "session", "stats"),
    *("actor_action", "actor_order", "actor_fill", "actor_position", "actor_pnl"),
}
START_CASH_E6 = 100_000_000  # of a market's sub-account
OVER = {"executed", "canceled", "rejected"}
View = dict[str, Any]


@pytest.fixture
def replaying(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts the stack on the folder of recorded markets."""
    folder, _ = recordings_folder()
    assert folder is not None
    started: list[Stack] = []

    def start(**environ: str) -> Stack:
        replay = {"RL_EXCHANGE_REPLAY": str(folder / "gold15m-2026-08"), "RL_EXCHANGE_SPEED": "10"}
        started.append(Stack(tmp_path / "stack", **replay, **environ))
        started[0].start()
        return started[0]

    yield start
    for stack in started:
        stack.close()


class Watcher:
    """Keeps the newest of what `/rl/ws` says, as a dashboard does."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.kinds: set[str] = set()
        self.statuses: set[str] = set()
        self._positions: dict[str, View] = {}
        self._orders: dict[str, View] = {}

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with self._stack.feed() as feed:
            while not self._stop.is_set():
                try:
                    self._note(feed.next())
                except (WebSocketException, TimeoutError):
                    return

    def _note(self, message: View) -> None:
        kind, data = message["type"], message["data"]
        self.kinds.add(kind)
        if kind == "actor_position":
            self._positions[data["ticker"]] = data
        elif kind == "actor_order":
            self._orders[data["client_order_id"]] = data
            self.statuses.add(data["status"])

    def view(self) -> View:
        """Positions, cash and open orders as shown now."""
        positions, orders = dict(self._positions), dict(self._orders)
        held = {t: parse_count(p["position"]) for t, p in positions.items()}
        return {
            "positions_e2": {t: n for t, n in held.items() if n},
            "cash_e6": {t: parse_money(p["cash"]) for t, p in positions.items()},
            "open": {name for name, o in orders.items() if o["status"] not in OVER},
        }


def cash_e6(fills: list[ActorFill]) -> int:
    """A sub-account's cash by its fills alone: a pair of YES and NO is paid its dollar."""
    cash, position_e2 = START_CASH_E6, 0
    for fill in sorted(fills, key=lambda f: f.ts_ms):
        bid = fill.book_side is BookSide.BID
        price_e4 = fill.yes_price_e4 if bid else ONE_DOLLAR_E4 - fill.yes_price_e4
        against = -position_e2 if bid else position_e2
        netted_e2 = min(max(against, 0), fill.count_e2)
        cash += ONE_DOLLAR_E4 * netted_e2 - price_e4 * fill.count_e2 - fill.fee_e6
        position_e2 += fill.count_e2 if bid else -fill.count_e2
    return cash


async def exchange_view(client: KalshiTradingClient, tickers: set[str]) -> View:
    """The same, asked of the exchange."""
    positions = (await client.positions()).items
    resting = (await client.orders()).items
    fills = {ticker: (await client.fills(ticker=ticker)).items for ticker in tickers}
    return {
        "positions_e2": {p.market_ticker: p.position_e2 for p in positions if p.position_e2},
        "cash_e6": {ticker: cash_e6(found) for ticker, found in fills.items()},
        "open": {order.client_order_id for order in resting},
    }


async def agreement(stack: Stack, watcher: Watcher) -> View:
    """The first moment at which nothing changed while the exchange answered, and both agree."""
    settings = load_settings(stack.environ)
    signer = Signer(load_credentials(settings))
    async with KalshiTradingClient.at(target_of(settings), signer, RateBudget()) as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                shown = watcher.view()
                asked = await exchange_view(client, set(shown["cash_e6"]))
                if shown == asked == watcher.view() and asked["positions_e2"] and asked["open"]:
                    return asked
                await asyncio.sleep(0.1)


def test_what_a_trading_strategy_shows_is_what_the_exchange_says(
    replaying: Callable[..., Stack],
) -> None:
    stack = replaying(
        RL_ACTOR_STRATEGY="baseline:random",
        RL_ACTOR_TICK_THROTTLE_MS="10000",
        RL_ACTOR_WARMUP_TICKS="1",
    )
    with Watcher(stack) as watcher:
        eventually(lambda: watcher.kinds >= KINDS, "every kind of message comes")
        agreed = asyncio.run(agreement(stack, watcher))
        assert {"resting", "executed"} <= watcher.statuses
    print(f"agreed: {agreed}")
    assert stack.stop()[0] == 0


def test_the_shipped_model_decides_with_logits_that_vary(replaying: Callable[..., Stack]) -> None:
    stack = replaying()
    logits: set[tuple[float, ...]] = set()
    with stack.feed() as feed:
        while len(logits) < 20:
            action = feed.until("actor_action")
            assert action["model"] == "onnx:default"
            logits.add(tuple(action["logits"]))
    assert stack.stop()[0] == 0
