"""What the outside saw of a recording: triggers on the wire, frames in the exchange's own log."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq.asyncio
from support.stack import Stack

from ipc.journal import Kind
from ipc.messages import Trigger, UpdateType
from ipc.sockets import Subscriber

__all__ = ["Recorded", "TriggerWitness", "assert_frames_equal", "recorded_sessions", "sent_frames"]

PAGE = 50_000  # frames of one look at the exchange's log
EVENTS = """
    select event_no, seq, kind, side, price_e4, qty_e2, recv_ns, market_ticker
    from rl_book_events join rl_markets using (market_id)
    where session_id = {} order by event_no
"""
Frame = tuple[str, str, tuple[tuple[int, int, int], ...]]  # ticker, kind, levels


class TriggerWitness:
    """Subscribes to the triggers, and keeps those of every life of the collector."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))
        self.seen: dict[int, list[Trigger]] = {}  # by generation of the table

    def __enter__(self) -> TriggerWitness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _watch(self) -> None:
        context = zmq.asyncio.Context()
        place = (self._stack.data_dir, self._stack.environ)
        subscriber = Subscriber(context, ["collector"], *place, ["trigger"])
        while not self._stop.is_set():
            for _, message in subscriber.recv_waiting():
                assert isinstance(message, Trigger)
                self.seen.setdefault(message.generation, []).append(message)
            await asyncio.sleep(0.005)
        subscriber.close()
        context.term()


class Recorded:
    """One session as the database has it."""

    def __init__(self, facts: Any, rows: list[Any], marks: list[Any]) -> None:
        self.uid: str = facts["session_uid"]
        self.started_ns: int = facts["started_ns"]
        self.marks = [(m["kind"], m["event_no"]) for m in marks]
        self.rows = rows
        self.numbers: npt.NDArray[np.int64] = np.array([r["event_no"] for r in rows], np.int64)

    def assert_whole(self) -> None:
        """Every event number once, none missing, each market's in the order of receipt."""
        assert self.numbers.tolist() == list(range(1, len(self.rows) + 1)), self.uid
        last: dict[str, int] = {}
        for row in self.rows:
            assert last.get(row["market_ticker"], 0) <= row["recv_ns"], (self.uid, row)
            last[row["market_ticker"]] = row["recv_ns"]

    def assert_seen(self, triggers: list[Trigger]) -> None:
        """Every trigger is a row, with the times and the market that it told."""
        assert all(a.event_no < b.event_no or a.row != b.row for a, b in pairwise(triggers))
        for trigger in triggers:
            assert trigger.event_no <= len(self.rows), (self.uid, trigger)
            row = self.rows[trigger.event_no - 1]
            assert row["market_ticker"] == trigger.market_ticker
            assert row["recv_ns"] == trigger.recv_ns
            if trigger.update_type is not UpdateType.TRADE:
                assert row["seq"] == trigger.sequence_number

    def frames(self) -> list[dict[int, Frame]]:
        """What came on its book subscriptions, one after the other: `seq` -> what it said."""
        chunks: list[dict[int, Frame]] = []
        last = 1 << 62
        levels: list[tuple[int, int, int]] = []
        for row in self.rows:
            kind, seq = row["kind"], row["seq"]
            level = row["side"], row["price_e4"], row["qty_e2"]
            if kind in (Kind.SNAPSHOT_BEGIN, Kind.TRADE):
                levels = [] if kind == Kind.SNAPSHOT_BEGIN else levels
                continue
            if kind == Kind.SNAPSHOT_LEVEL:
                levels.append(level)
                continue
            if seq <= last:
                chunks.append({})
            last = seq
            said = ("delta", (level,)) if kind == Kind.DELTA else ("snapshot", tuple(levels))
            chunks[-1][seq] = row["market_ticker"], *said
        return chunks


async def recorded_sessions(stack: Stack) -> list[Recorded]:
    """All sessions, oldest first."""
    found = []
    for facts in await stack.fetch(
        "select session_id, session_uid, started_ns from rl_orderbook_sessions order by started_ns"
    ):
        number = facts["session_id"]
        marks = f"select kind, event_no from rl_session_marks where session_id = {number}"
        rows = await stack.fetch(EVENTS.format(number))
        found.append(Recorded(facts, rows, await stack.fetch(marks)))
    return found


def sent_frames(stack: Stack) -> list[dict[int, Frame]]:
    """Every book subscription that the exchange ever had: `seq` -> what it sent."""
    found = []
    for sent in stack.admin_get("/admin/books_sent"):
        frames: dict[int, Frame] = {}
        for first in range(1, sent["last_seq"] + 1, PAGE):
            where = f"connection={sent['connection']}&sid={sent['sid']}"
            last = first + PAGE - 1
            page = stack.admin_get(f"/admin/frames?{where}&first={first}&last={last}")
            for seq, ticker, kind, levels in page["frames"]:
                frames[seq] = ticker, kind, tuple(tuple(level) for level in levels)
        found.append(frames)
    return found


def assert_frames_equal(
    recorded: dict[int, Frame], sent: list[dict[int, Frame]], marks: list[tuple[str, int]]
) -> int:
    """One subscription as recorded is one as sent: nothing else, nothing left out -> its frames."""
    first, last = min(recorded), max(recorded)
    (same,) = [s for s in sent if all(s.get(q) == recorded[q] for q in list(recorded)[:200])]
    assert {q: f for q, f in recorded.items() if same.get(q) != f} == {}
    expected = {seq for seq in same if first <= seq <= last}
    missing = expected - recorded.keys()
    assert not missing or any(kind in ("gap", "hole") for kind, _ in marks), sorted(missing)[:9]
    return len(recorded)
