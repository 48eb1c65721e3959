"""A real recording at three speeds: the same event rows; the same ticks, unless it is rushed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.patience import eventually
from support.recordings import needs_recordings, recordings_folder
from support.stack import Stack

pytestmark = [pytest.mark.stack, needs_recordings]

EVENTS = (
    "select event_no, recv_ns, exch_ms, kind, side, price_e4, qty_e2, market_ticker "
    "from rl_book_events join rl_markets using (market_id) order by event_no"
)
TICKS = "select market_ticker, event_no, recv_ns, history from rl_ticks order by event_no"
FLOW = ("collector", "inference", "recorder")
TURNS = 3  # statistics of a program: the first is remembered, one more may be on its way
Run = Callable[[str, str], "Rows"]


class Rows:
    """What one replay left in the database."""

    def __init__(self, events: list[Any], ticks: list[Any]) -> None:
        self.events, self.ticks = events, ticks


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Replays a recording (below the folder of recordings) at a speed, to its end."""
    folder, _ = recordings_folder()
    assert folder is not None
    stacks: list[Stack] = []

    def replayed(recording: str, speed: str) -> Rows:
        replay = {"RL_EXCHANGE_REPLAY": str(folder / recording), "RL_EXCHANGE_SPEED": speed}
        stack = Stack(tmp_path / speed, **replay)  # a socket's path must be short
        stacks.append(stack)
        stack.start()
        finished = f"replay_finished at speed {speed}"
        eventually(lambda: stack.runs() and "replay_finished" in stack.said, finished, 1_200)
        counted = [-1, -2]
        while counted[-1] != counted[-2]:  # until the recorder has nothing more to write
            counted.append(eventually(lambda: _records(stack), "the database answers"))
        rows = Rows(_fetch(stack, EVENTS), _fetch(stack, TICKS))
        assert stack.stop()[0] == 0
        return rows

    yield replayed
    for stack in stacks:
        stack.close()


def _fetch(stack: Stack, query: str) -> list[Any]:
    return [tuple(row) for row in asyncio.run(stack.fetch(query))]


def _records(stack: Stack) -> int:
    """Rows, once every program has done what waited for it, and the recorder has brought it in."""
    turns: Counter[str] = Counter()
    behind = 1
    with stack.feed() as feed:
        while behind or min(turns[process] for process in FLOW) < TURNS:
            stats = feed.until("stats")
            turns[stats["process"]] += 1
            if stats["process"] == "recorder":
                behind = stats["counters"]["behind"]
    try:
        found = _fetch(stack, "select sum(records) from rl_journal_offsets")
    except (OSError, asyncpg.PostgresError):
        return 0
    return int(found[0][0] or 0)


def assert_same(run: Run, recording: str, quick: str) -> None:
    """`quick` must leave the actor time for every tick: at ten times the speed 25 ms of it."""
    slow, fast, rushed = (run(recording, speed) for speed in ("1", quick, "0"))
    print(f"{recording}: {len(slow.events)} events, {len(slow.ticks)} ticks")
    assert len(slow.events) > 1_000
    assert slow.events == fast.events == rushed.events
    assert len(slow.ticks) > 50
    assert slow.ticks == fast.ticks


@pytest.mark.timeout(1_800)
@pytest.mark.slow
def test_half_a_minute_of_a_market_on_a_fine_grid(run: Run) -> None:
    assert_same(run, "btc15m-30s-2026-05-11", "2")  # beside other tests the machine is busy


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_whole_market_with_its_trades(run: Run) -> None:
    assert_same(run, "gold15m-2026-08/KXGOLD15M-26AUG050800-00.ndjson.gz", "10")
