"""Frames of the exchange, written out by hand."""

from __future__ import annotations

from typing import Any

from processes.adapters.kalshi.schemas.enums import LegText, LifecycleType
from processes.adapters.kalshi.schemas.frames import (
    Delta,
    DeltaMsg,
    Lifecycle,
    LifecycleMsg,
    Snapshot,
    SnapshotMsg,
    Trade,
    TradeMsg,
)

Levels = list[tuple[str, str]]


def snapshot(ticker: str, yes: Levels, no: Levels, seq: int = 1, clock: int | None = None):
    msg = SnapshotMsg(market_ticker=ticker, yes_dollars_fp=yes, no_dollars_fp=no, clock=clock)
    return Snapshot(sid=1, seq=seq, msg=msg)


def delta(
    ticker: str, leg: str, price: str, change: str, seq: int = 2, ts_ms: int = 5, clock=None
) -> Delta:
    msg = DeltaMsg(
        market_ticker=ticker,
        price_dollars=price,
        delta_fp=change,
        side=LegText(leg),
        ts_ms=ts_ms,
        clock=clock,
    )
    return Delta(sid=1, seq=seq, msg=msg)


def trade(ticker: str, price: str, count: str, taker: str, seq: int = 1, ts_ms: int = 5) -> Trade:
    msg = TradeMsg(
        trade_id="t",
        market_ticker=ticker,
        yes_price_dollars=price,
        count_fp=count,
        taker_outcome_side=LegText(taker),
        ts_ms=ts_ms,
    )
    return Trade(sid=2, seq=seq, msg=msg)


def lifecycle(ticker: str, event_type: str, **more: Any) -> Lifecycle:
    msg = LifecycleMsg(market_ticker=ticker, event_type=LifecycleType(event_type), **more)
    return Lifecycle(sid=3, seq=1, msg=msg)
