"""The broadcaster's surroundings: real publishers and shared tables, invented facts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTableWriter, new_account
from ipc.book_table import BookTableWriter
from ipc.clock import mono_ns
from ipc.kernels import begin_write, end_write
from ipc.messages import (
    ActorAction,
    ActorFill,
    ActorModels,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    BookSide,
    Environment,
    Leg,
    MarketChange,
    MarketsChosen,
    MarketScore,
    OrderStatus,
    ProcessStats,
    SessionInfo,
    ShadowActions,
    TradingEvent,
    TradingEventKind,
)
from ipc.shared_file import shared_path
from ipc.sockets import Context, Publisher
from ipc.units import LINEAR_CENT, parse_count, parse_price

__all__ = [
    "MARKET_MS",
    "SyntheticStack",
    "action",
    "changed",
    "fill",
    "models",
    "order",
    "pnl",
    "position",
    "session",
    "shadow",
]

MARKET_MS = 1_786_000_000_000  # market time at which the synthetic session begins
MARKET_NS = MARKET_MS * 1_000_000
SESSION = "20260806T071640-0badcafe"
PUBLISHERS = ("collector", "inference", "execution", "recorder", "watchdog")


def session(markets: Iterable[str] = ("KX-A",), **changes: Any) -> SessionInfo:
    """A session of the simulated exchange."""
    markets = tuple(markets)
    facts: dict[str, Any] = {
        "session_uid": SESSION,
        "environment": Environment.SIMULATED,
        "websocket_url": "ws://127.0.0.1:8070/trade-api/ws/v2",
        "started_ns": MARKET_NS,
        "markets": markets,
        "live_markets": len(markets),
        "status": "active",
    }
    return SessionInfo(**(facts | changes))


def action(ticker: str = "KX-A", **changes: Any) -> ActorAction:
    """A BUY_YES_LIMIT with an intent; its hops are 10, 90 and 40 us apart."""
    facts: dict[str, Any] = {
        "session_uid": SESSION,
        "market_ticker": ticker,
        "action": 1,
        "action_name": "BUY_YES_LIMIT",
        "reason": "policy",
        "model": "default",
        "model_hash": "ab" * 16,
        "observation_hash": "cd" * 16,
        "event_no": 41,
        "account_version": 7,
        "logits": (0.5, 1.25, -0.75, 0.0, -2.0),
        "value": 0.125,
        "mask": (True, True, False, True, False),
        "intent_id": "intent-1",
        "decided_ns": MARKET_NS + 2_000_000,
        "recv_ns": MARKET_NS + 1_000_000,
        "frame_mono_ns": 1_000_000,
        "written_mono_ns": 1_010_000,
        "woken_mono_ns": 1_100_000,
        "decided_mono_ns": 1_140_000,
    }
    return ActorAction(**(facts | changes))


def shadow(ticker: str = "KX-A", **changes: Any) -> ShadowActions:
    """A SELL_YES_LIMIT of a shadow on the question that `action` answers."""
    facts: dict[str, Any] = {
        "action": 2,
        "action_name": "SELL_YES_LIMIT",
        "model": "onnx:shade",
        "model_hash": "5a" * 8,
        "intent_id": None,
        "shadow": True,
    }
    return ShadowActions(actions=(action(ticker, **(facts | changes)),))


def models(**changes: Any) -> ActorModels:
    """The model of `action` is live, that of `shadow` shadows it."""
    facts: dict[str, Any] = {
        "live": "default",
        "live_hash": "ab" * 16,
        "shadow": "onnx:shade",
        "shadow_hash": "5a" * 8,
    }
    return ActorModels(**(facts | changes))


def markets(**changes: Any) -> MarketsChosen:
    """The actor is in KX-A, and has left KX-B, which has no ask."""
    both = {"volume_e2": 12_050, "updates": 60, "touch_e2": 1_000}
    facts: dict[str, Any] = {
        "at_ms": MARKET_MS,
        "on_switch": "flatten",
        "leaving": ("KX-B",),
        "scores": (
            MarketScore(
                ticker="KX-A", score=19_694, spread_e4=100, bar="", since_ms=MARKET_MS, **both
            ),
            MarketScore(
                ticker="KX-B", score=9_000, spread_e4=0, bar="one-sided", since_ms=None, **both
            ),
        ),
        "changes": (
            MarketChange(
                ticker="KX-B", entered=False, reason="one-sided", score=9_000, at_ms=MARKET_MS
            ),
        ),
    }
    return MarketsChosen(**(facts | changes))


def order(ticker: str = "KX-A", **changes: Any) -> ActorOrder:
    """A resting bid for ten contracts at 47 cents."""
    facts: dict[str, Any] = {
        "order_id": "order-1",
        "client_order_id": "client-1",
        "intent_id": "intent-1",
        "market_ticker": ticker,
        "leg": Leg.YES,
        "is_buy": True,
        "book_side": BookSide.BID,
        "yes_price_e4": 4_700,
        "initial_count_e2": 1_000,
        "fill_count_e2": 0,
        "remaining_count_e2": 1_000,
        "status": OrderStatus.RESTING,
        "reason": "",
        "expire_ms": MARKET_MS + 60_000,
        "ts_ns": MARKET_NS + 3_000_000,
        "received_mono_ns": 1_240_000,
        "sent_mono_ns": 1_300_000,
        "acknowledged_mono_ns": 1_900_000,
    }
    return ActorOrder(**(facts | changes))


def fill(ticker: str = "KX-A", **changes: Any) -> ActorFill:
    """Four contracts of `order` as a maker."""
    facts: dict[str, Any] = {
        "trade_id": "trade-1",
        "order_id": "order-1",
        "client_order_id": "client-1",
        "market_ticker": ticker,
        "book_side": BookSide.BID,
        "yes_price_e4": 4_700,
        "count_e2": 400,
        "is_taker": False,
        "fee_e6": 17_500,
        "ts_ms": MARKET_MS + 5,
    }
    return ActorFill(**(facts | changes))


def position(ticker: str = "KX-A", **changes: Any) -> ActorPosition:
    """Short four contracts (that is, long NO), version 8."""
    facts: dict[str, Any] = {
        "market_ticker": ticker,
        "position_e2": -400,
        "cost_basis_e6": 2_120_000,
        "cash_e6": 97_880_000,
        "realized_e6": -12_500,
        "fees_e6": 17_500,
        "open_orders": 1,
        "account_version": 8,
        "ts_ns": MARKET_NS + 6_000_000,
    }
    return ActorPosition(**(facts | changes))


def pnl(**changes: Any) -> ActorPnl:
    """The whole account."""
    facts: dict[str, Any] = {
        "balance_e6": 12_345_678,
        "realized_e6": -12_500,
        "fees_e6": 17_500,
        "positions": 1,
        "open_orders": 1,
        "account_version": 8,
        "ts_ns": MARKET_NS + 6_000_000,
    }
    return ActorPnl(**(facts | changes))


def trading_event(**changes: Any) -> TradingEvent:
    """A line of the audit."""
    facts: dict[str, Any] = {
        "kind": TradingEventKind.DIFFERENCE,
        "name": "position",
        "who": "execution",
        "why": "the exchange reports otherwise",
        "market_ticker": "KX-A",
        "numbers": {"known_e2": 0, "exchange_e2": 300},
        "ts_ns": MARKET_NS + 7_000_000,
    }
    return TradingEvent(**(facts | changes))


changed = msgspec.structs.replace


class SyntheticStack:
    """Publishers of every process, the book table and the account table of one data folder."""

    def __init__(self, data_dir: Path, rows: int = 8) -> None:
        self.data_dir = data_dir
        self._context = Context()
        self.publishers = {
            name: Publisher(self._context, name, data_dir, {}, life)
            for life, name in enumerate(PUBLISHERS, start=1)
        }
        self.books = BookTableWriter.create(shared_path(data_dir, "books"), rows, 128)
        self.accounts = AccountTableWriter.create(shared_path(data_dir, "accounts"), 16)
        self._rows: dict[str, int] = {}
        self._events = 0
        self.beat()

    def replace_books(self, rows: int) -> None:
        """As after a restart with another RL_BOOK_ROWS: another file on the same path."""
        self.books.close()
        self.books = BookTableWriter.create(shared_path(self.data_dir, "books"), rows, 128)
        self._rows.clear()
        self.beat()

    def restart_execution(self) -> None:
        """Another life writes the account table."""
        self.accounts.close()
        self.accounts = AccountTableWriter.create(shared_path(self.data_dir, "accounts"), 16)
        self.beat()

    def beat(self) -> None:
        """Heartbeats and counters of everyone."""
        self.books.heartbeat(mono_ns())
        self.accounts.heartbeat(mono_ns())
        for name in PUBLISHERS:
            self.send(name, "stats", ProcessStats(process=name, mono_ns=1, counters={"frames": 3}))

    def send(self, name: str, topic: str, message: Any) -> None:
        """Publish as a process."""
        self.publishers[name].send(topic, message)

    def put_book(
        self,
        ticker: str,
        yes: dict[str, str],
        no: dict[str, str],
        *,
        state: b.BookState = b.BookState.LIVE,
        recv_ns: int = MARKET_NS,
        close_ms: int = MARKET_MS + 900_000,
        flags: int = 0,
    ) -> None:
        """Write a whole book: price -> count of each leg's bids, as decimal strings."""
        if ticker not in self._rows:
            self._rows[ticker] = self.books.add_market(ticker, LINEAR_CENT, MARKET_MS, close_ms)
        row = self.books.live[self._rows[ticker]]
        legs = [(0, *level) for level in yes.items()] + [(1, *level) for level in no.items()]
        self._events += 1
        begin_write(row)
        b.apply_snapshot(
            row,
            np.array([side for side, _, _ in legs], np.uint8),
            np.array([parse_price(price) for _, price, _ in legs], np.int64),
            np.array([parse_count(count) for _, _, count in legs], np.int64),
        )
        row[b.STATE], row[b.FLAGS], row[b.EVENT_NO] = state, flags, self._events
        row[b.SEQ], row[b.RECV_NS] = self._events, recv_ns
        end_write(row)

    def remove_book(self, ticker: str) -> None:
        """Take a market out of the table."""
        self.books.remove_market(self._rows.pop(ticker))

    def put_trade(self, ticker: str, yes_price: str, count: str, ts_ms: int) -> None:
        """Note a public trade in a market's row."""
        row = self.books.live[self._rows[ticker]]
        self._events += 1
        begin_write(row)
        b.apply_trade(row, parse_price(yes_price), parse_count(count), 0, ts_ms)
        row[b.EVENT_NO] = self._events
        end_write(row)

    def put_account(self, ticker: str, position_e2: int, version: int) -> None:
        """Write a sub-account that has nothing but a position."""
        account = new_account(100_000_000)
        account[a.POSITION_E2], account[a.ACCOUNT_VERSION] = position_e2, version
        self.accounts.write(ticker, account)

    def close(self) -> None:
        """Everything gone, as after a clean stop."""
        for publisher in self.publishers.values():
            publisher.close()
        self.books.close()
        self.accounts.close()
        self._context.term()
