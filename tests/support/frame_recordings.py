"""Recorded frames and the books they make, read without any code of the project."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.recordings import recordings_folder

__all__ = [
    "BOOK_KINDS",
    "FOLDERS",
    "RebuiltBook",
    "Recorded",
    "book_events",
    "frame_files",
    "raw_events",
    "smallest_files",
]

FOLDERS: Final = (
    "gold15m-2026-08",
    "btc15m-30s-2026-05-11",
    "btcmaxy-cents-2025-11-02_05",
    "btc-range-2026-04-18",
    "demo-env-2026-07-01",
)
BOOK_KINDS: Final = ("orderbook_snapshot", "orderbook_delta")
SIDES: Final = ("yes", "no")
DOLLAR_E4: Final = 10_000
LASTING_MS: Final = 1_000  # of recorded time: two legs of one trade are never so far apart

Json = dict[str, Any]
Levels = dict[str, list[tuple[int, int]]]


class Recorded(NamedTuple):
    """One frame of a book, as it stands in the file."""

    kind: str
    ticker: str
    msg: Json


def frame_files() -> list[Path]:
    """Every recording of frames, nothing where there are none."""
    folder, _ = recordings_folder()
    if folder is None:
        return []
    found = [f for name in FOLDERS for f in sorted((folder / name).glob("*.gz"))]
    return [f for f in found if not f.name.startswith("rest_")]


def smallest_files() -> list[Path]:
    """One of each folder."""
    by_size = sorted(frame_files(), key=lambda f: f.stat().st_size)
    return [next(f for f in by_size if f.parent.name == name) for name in FOLDERS if by_size]


def raw_events(path: Path) -> Iterator[tuple[int, Json]]:
    """(receive time in ms or 0, frame): of all three forms of a line, without recorders' marks."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "event" in row:
                yield int(row["recv_ms"]), row["event"]
            elif "raw" in row:
                yield row["recv_ts_ns"] // 1_000_000, json.loads(row["raw"])
            elif "type" in row:
                yield 0, row


def book_events(path: Path) -> list[Recorded]:
    """The snapshots and deltas of a file."""
    frames = (event for _, event in raw_events(path))
    return [
        Recorded(f["type"], f["msg"]["market_ticker"], f["msg"])
        for f in frames
        if f["type"] in BOOK_KINDS
    ]


def _e4(price: str | int) -> int:
    """A price in dollars as text, or in whole cents as a number."""
    return price * 100 if isinstance(price, int) else round(float(price) * 10_000)


def _e2(count: str | int) -> int:
    return count * 100 if isinstance(count, int) else round(float(count) * 100)


class RebuiltBook:
    """One market's book: bids of both legs, and what has been wrong with them."""

    def __init__(self) -> None:
        self._sides: dict[str, dict[int, int]] = {"yes": {}, "no": {}}
        self._crossed_ms: int | None = None
        self._was_lasting = False
        self.negative = 0  # changes that left less than nothing
        self.lasting_crossed = 0  # times that the legs met, or overlapped, for a second

    def take(self, kind: str, msg: Json, ms: int = 0) -> None:
        """Apply a frame received at `ms`."""
        self._note_time(ms)
        if kind == "orderbook_snapshot":
            for side in SIDES:
                rows = msg.get(f"{side}_dollars_fp") or msg.get(side) or []
                self._sides[side] = {_e4(price): _e2(count) for price, count in rows}
        else:
            self._change(msg)
        if not self._crosses():
            self._crossed_ms, self._was_lasting = None, False
        elif self._crossed_ms is None:
            self._crossed_ms = ms

    def _change(self, msg: Json) -> None:
        side = self._sides[msg["side"]]
        in_cents = "price" in msg
        price_e4 = _e4(msg["price" if in_cents else "price_dollars"])
        left_e2 = side.get(price_e4, 0) + _e2(msg["delta" if in_cents else "delta_fp"])
        self.negative += left_e2 < 0
        side[price_e4] = left_e2
        if left_e2 <= 0:
            del side[price_e4]

    def _crosses(self) -> bool:
        yes, no = self._sides["yes"], self._sides["no"]
        return bool(yes and no) and max(yes) + max(no) >= DOLLAR_E4

    def _note_time(self, ms: int) -> None:
        lasts = self._crossed_ms is not None and ms - self._crossed_ms > LASTING_MS
        if lasts and not self._was_lasting:
            self.lasting_crossed += 1
            self._was_lasting = True

    def as_admin(self) -> dict[str, list[list[str]]]:
        """In the form of the exchange's admin port."""
        return {
            side: [
                [f"{price / 10_000:.4f}", f"{count // 100}.{count % 100:02d}"]
                for price, count in sorted(levels.items())
                if count
            ]
            for side, levels in self._sides.items()
        }
