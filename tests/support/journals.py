"""Journals as producers write them, and what the database must then hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipc.event_journal import COUNT, HEADER_WORDS, RECORD_WORDS
from ipc.journal import EventSegments, FramedWriter, Kind, stream_folder
from ipc.messages import (
    Environment,
    MarketListed,
    SessionEnded,
    SessionStarted,
    Tick,
)

__all__ = ["START_NS", "CollectorJournal", "FramedJournal", "expected"]

CENTS = ((0, 10_000, 100),)
START_NS = 1_780_000_000_000_000_000


def started(uid: str) -> SessionStarted:
    return SessionStarted(
        session_uid=uid,
        environment=Environment.SIMULATED,
        websocket_url="ws://127.0.0.1:8070/trade-api/ws/v2",
        started_ns=START_NS,
    )


def _delta(number: int, row: int) -> tuple[int, int, int, int, int]:
    """The five words of a record, as the kernels pack them."""
    qty = 100 if number % 3 else -100
    what = Kind.DELTA | (number % 2) << 8 | row << 16 | 100 * (1 + number % 99) << 32
    return number, START_NS + number, 0, qty & 0xFFFFFFFF | number << 32, what


class FramedJournal:
    """A stream of framed records, such as inference's."""

    def __init__(self, data_dir: Path, producer: str, uid: str, **bounds: int) -> None:
        self.stream = f"{producer}/{uid}"
        self.folder = stream_folder(data_dir, producer, uid)
        self.writer = FramedWriter(self.folder, **bounds)
        self.accepted = 0
        assert self.writer.append(started(uid))

    def tick(self) -> None:
        """One more tick; its `event_no` numbers them."""
        self.accepted += self.writer.append(
            Tick(
                session_uid="s",
                market_ticker="KXTEST-1",
                event_no=self.accepted + 1,
                recv_ns=START_NS,
                history=10,
            )
        )

    def end(self) -> None:
        assert self.writer.append(SessionEnded(ended_ns=START_NS + 1, event_no=0))
        self.close()

    def close(self) -> None:
        self.writer.close()


class CollectorJournal(FramedJournal):
    """A session's journals: marks and book events of made-up deltas."""

    def __init__(
        self, data_dir: Path, uid: str, *, capacity: int = 65_536, max_bytes: int = 1 << 30
    ) -> None:
        super().__init__(data_dir, "collector", uid)
        self.segments = EventSegments(self.folder, capacity=capacity, max_bytes=max_bytes)

    def list_market(self, row: int, ticker: str) -> None:
        assert self.writer.append(
            MarketListed(
                row=row,
                market_ticker=ticker,
                from_event_no=self.segments.next_event_no,
                price_ranges=CENTS,
                open_ms=1,
                close_ms=2,
            )
        )

    def deltas(self, number: int, row: int = 0) -> int:
        """Offer deltas; how many were accepted. Their price and size follow from their number."""
        for done in range(number):
            if not self.segments.room(1):
                return done
            words = self.segments.words
            at = HEADER_WORDS + RECORD_WORDS * int(words[COUNT])
            words[at : at + RECORD_WORDS] = _delta(self.segments.next_event_no, row)
            words[COUNT] += 1  # accepted
        return number

    @property
    def events(self) -> int:
        """Events accepted."""
        return self.segments.next_event_no - 1

    def end(self) -> None:
        events = self.events
        assert self.writer.append(SessionEnded(ended_ns=START_NS + 1, event_no=events))
        self.close()

    def close(self) -> None:
        super().close()
        self.segments.close()


def expected(number: int) -> dict[str, Any]:
    """What the row of delta `number` must hold."""
    return {
        "event_no": number,
        "recv_ns": START_NS + number,
        "seq": number,
        "kind": int(Kind.DELTA),
        "side": number % 2,
        "price_e4": 100 * (1 + number % 99),
        "qty_e2": 100 if number % 3 else -100,
    }
