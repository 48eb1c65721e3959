"""A recorded session written as the frames that it would have come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipc import book as b
from ipc.journal import Kind
from ipc.units import format_count, format_price
from models.simulation.tape import RecordedSession

__all__ = ["write_frames"]

MS = 1_000_000
SIDES = {b.YES: "yes", b.NO: "no"}
TYPES = {
    Kind.DELTA: "orderbook_delta",
    Kind.TRADE: "trade",
    Kind.SNAPSHOT_END: "orderbook_snapshot",
}


def write_frames(session: RecordedSession, folder: Path) -> Path:
    """One file of a market, a line for every event."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{session.ticker}.ndjson"
    with path.open("w") as file:
        for number, (recv_ms, kind, msg) in enumerate(_messages(session)):
            event = {"type": TYPES[kind], "sid": 1, "seq": number + 1, "msg": msg}
            file.write(json.dumps({"recv_ms": recv_ms, "event": event}) + "\n")
    return path


def _messages(session: RecordedSession) -> Iterator[tuple[int, Kind, dict[str, Any]]]:
    """(receive time, kind, what is said); the levels of a snapshot in its one message."""
    levels: dict[str, list[list[str]]] = {}
    named = {"market_ticker": session.ticker, "market_id": "00000000-0000-4000-8000-000000000001"}
    for event in session.events:
        kind, side = Kind(event["kind"]), SIDES[int(event["leg"])]
        price, count = format_price(int(event["price_e4"])), format_count(int(event["count_e2"]))
        ms = int(event["recv_ns"]) // MS
        if kind is Kind.SNAPSHOT_BEGIN:
            levels = {"yes_dollars_fp": [], "no_dollars_fp": []}
        elif kind is Kind.SNAPSHOT_LEVEL:
            levels[f"{side}_dollars_fp"].append([price, count])
        elif kind is Kind.SNAPSHOT_END:
            yield ms, kind, named | levels
        elif kind is Kind.DELTA:
            change = {"price_dollars": price, "delta_fp": count, "side": side}
            yield ms, kind, named | change | {"ts_ms": int(event["exch_ms"])}
        else:
            no_price = format_price(10_000 - int(event["price_e4"]))
            prices = {"yes_price_dollars": price, "no_price_dollars": no_price}
            trade = {"trade_id": f"t{event['event_no']}", "count_fp": count, "taker_side": side}
            yield ms, kind, named | prices | trade | {"ts_ms": int(event["exch_ms"])}
