"""Frames of the lives of markets, events and order groups."""

from __future__ import annotations

from typing import Any

from ipc.units import format_count
from processes.exchange.core.events import (
    EventCreated,
    EventFeeChanged,
    GroupChanged,
    LifecycleChanged,
)
from processes.exchange.stream.frames import Frame, tail_of

__all__ = ["event_fee_frame", "event_frame", "group_frame", "lifecycle_frame"]


def lifecycle_frame(change: LifecycleChanged) -> Frame:
    """A market's life."""
    head = {"market_ticker": change.market.ticker, "event_type": change.event_type}
    facts = {k: v for k, v in change.facts.items() if v not in ("", None)}
    return Frame("market_lifecycle_v2", tail_of(change.sent_ms, head | facts))


def event_frame(created: EventCreated) -> Frame:
    """An event is new; it names no market."""
    facts = created.market.facts
    msg = {
        "event_ticker": facts.event_ticker,
        "exchange_index": facts.exchange_index,
        "title": facts.title,
        "subtitle": facts.yes_sub_title,
        "collateral_return_type": "",
        "series_ticker": facts.series_ticker,
    }
    return Frame("event_lifecycle", tail_of(created.sent_ms, msg))


def event_fee_frame(change: EventFeeChanged) -> Frame:
    """An event's fees differ from its series' fees, or no longer."""
    multiplier = change.multiplier_e4
    msg = {
        "event_ticker": change.event_ticker,
        "fee_type_override": change.fee_type,
        "fee_multiplier_override": None if multiplier is None else multiplier / 10_000,
    }
    return Frame("event_fee_update", tail_of(change.sent_ms, msg))


def group_frame(change: GroupChanged) -> Frame:
    """One of our order groups after a change."""
    msg: dict[str, Any] = {
        "event_type": str(change.event_type),
        "order_group_id": change.group_id,
        "ts_ms": change.ts_ms,
    }
    if change.limit_e2 is not None:
        msg["contracts_limit_fp"] = format_count(change.limit_e2)
    return Frame("order_group_updates", tail_of(change.ts_ms, msg))
