"""A seeded recording of markets that never were, in the format of the real ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["write_recording"]

START_MS = 1_785_930_000_000
LEVELS = range(30, 45)  # cents, on both legs: the YES ask is never below 55


def write_recording(
    folder: Path,
    *,
    seconds: int,
    events_per_s: int = 50,
    seed: int = 1,
    ticker: str = "KXMADE-1",
    start_ms: int = START_MS,
) -> Path:
    """One market whose book walks about and ends, uncleared, after `seconds`."""
    chance = np.random.default_rng(seed)
    book = {"yes": dict.fromkeys(LEVELS, 5_000), "no": dict.fromkeys(LEVELS, 5_000)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ticker}.ndjson"
    with path.open("w") as file:
        _line(file, start_ms, "orderbook_snapshot", 1, 1, ticker, _snapshot(book))
        for n in range(seconds * events_per_s):
            ms = start_ms + 10 + n * 1_000 // events_per_s
            side = ("yes", "no")[int(chance.integers(2))]
            cents = int(chance.choice(LEVELS))
            change = int(chance.integers(1, 50)) * 100
            if book[side][cents] > 2_500:
                change = -min(change, book[side][cents] - 100)
            book[side][cents] += change
            _line(file, ms, "orderbook_delta", 1, n + 2, ticker, _delta(ms, side, cents, change))
    return path


def _line(
    file: Any, ms: int, kind: str, sid: int, seq: int, ticker: str, msg: dict[str, Any]
) -> None:
    named = {"market_ticker": ticker, "market_id": "00000000-0000-4000-8000-000000000001", **msg}
    event = {"type": kind, "sid": sid, "seq": seq, "msg": named}
    file.write(json.dumps({"recv_ms": ms, "event": event}) + "\n")


def _snapshot(book: dict[str, dict[int, int]]) -> dict[str, Any]:
    return {
        f"{side}_dollars_fp": [
            [f"0.{c:02d}00", f"{n / 100:.2f}"] for c, n in sorted(levels.items())
        ]
        for side, levels in book.items()
    }


def _delta(ms: int, side: str, cents: int, change: int) -> dict[str, Any]:
    return {
        "price_dollars": f"0.{cents:02d}00",
        "delta_fp": f"{change / 100:.2f}",
        "side": side,
        "ts": datetime.fromtimestamp(ms / 1_000, UTC).isoformat(),
        "ts_ms": ms,
    }
