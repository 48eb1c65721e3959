"""kill -9 while thousands of changes a second are recorded: what was seen is there, once, as sent.

    pytest tests/faults/test_recording.py --rounds 50 [--seed N] -s

The witness stands outside: it hears the triggers, and asks the exchange what it sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import asyncpg
import httpx
import numpy as np
import pytest
from support.recording_witness import (
    TriggerWitness,
    assert_frames_equal,
    recorded_sessions,
    sent_frames,
)
from support.stack import Stack, eventually

from processes.runtime.fatal import DEATHS_WINDOW_NS, MAX_DEATHS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(7_200)]

PROGRAMS = ("collector", "recorder", "postgres")
TOGETHER = 2  # of them, in every fourth round
LONGEST_WAIT_S = 2.0  # between a restart and the next kill
MOST_KILLS = MAX_DEATHS // 2  # of one program within the guard's window: failed starts count too
QUIET_S = 180  # for the recorder to bring in what waits
ANON_BYTES = 64 << 20  # that a process may grow by while the database is away


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Some 5,000 changes a second; the actor looks on."""
    running = Stack(
        tmp_path / "stack",
        RL_EXCHANGE_MARKETS="36",
        RL_EXCHANGE_SPEED="4",
        RL_ACTOR_ENABLED="false",
    )
    running.start()
    yield running
    running.close()


def deltas_sent(stack: Stack) -> int:
    total: int = stack.admin_get("/admin/sent")["deltas"]
    return total


def is_live(stack: Stack) -> bool:
    """Whether deltas leave the exchange at all."""
    try:
        before = deltas_sent(stack)
    except OSError:
        return False
    return bool(eventually(lambda: deltas_sent(stack) > before + 100, "deltas are sent"))


def events_recorded(stack: Stack) -> int:
    try:
        (row,) = asyncio.run(stack.fetch("select count(*) from rl_book_events"))
    except (OSError, asyncpg.PostgresError):
        return -1
    return int(row["count"])


def assert_recorded(stack: Stack, witness: TriggerWitness) -> None:
    """All that was seen is in the database, and all that is there is what was sent."""
    stack.halt("collector")  # so that there is an end
    eventually(lambda: caught_up(stack, witness), "the recorder has caught up", QUIET_S)
    sessions = asyncio.run(recorded_sessions(stack))
    sent = sent_frames(stack)
    assert len(sessions) == max(witness.seen), "a life of the collector is one session"
    for session in sessions:
        session.assert_whole()
        frames = sum(assert_frames_equal(f, sent, session.marks) for f in session.frames())
        print(f"{session.uid}: {len(session.rows)} events, {frames} frames of books as sent")
    seen = 0
    for generation, triggers in sorted(witness.seen.items()):
        sessions[generation - 1].assert_seen(triggers)
        seen += len(triggers)
        print(f"generation {generation}: {len(triggers)} triggers, all of them recorded")
    assert seen > 100


def caught_up(stack: Stack, witness: TriggerWitness) -> bool:
    """Every journal of book events is gone, or all of it is recorded."""
    before = events_recorded(stack)
    if before < 0:
        return False
    try:
        streams = asyncio.run(
            stack.fetch(
                "select status, count(*) from rl_streams where stream like 'collector/%' group by 1"
            )
        )
    except (OSError, asyncpg.PostgresError):
        return False
    counts = {row["status"]: row["count"] for row in streams}
    return counts.get("active", 0) == 0 and sum(counts.values()) >= len(witness.seen)


def victims_of(rounds: int, chance: np.random.Generator) -> list[list[str]]:
    """Each program alone and two at once, in an order of chance, again and again."""
    drawn: list[list[str]] = []
    while len(drawn) < rounds:
        alone = [[program] for program in PROGRAMS]
        together = chance.choice(PROGRAMS, TOGETHER, replace=False).tolist()
        kinds = [*alone, together]
        drawn += [kinds[n] for n in chance.permutation(len(kinds))]
    return drawn[:rounds]


class Pace:
    """Kills no program so often that the stack takes it for one that cannot run."""

    def __init__(self) -> None:
        self._kills: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=MOST_KILLS))

    def wait(self, victims: list[str]) -> None:
        for victim in victims:
            kills = self._kills[victim]
            if len(kills) == MOST_KILLS:
                due_ns = kills[0] + DEATHS_WINDOW_NS
                time.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)
            kills.append(time.monotonic_ns())


def test_kills_at_random_moments(stack: Stack, rounds: int, seed: int) -> None:
    print(f"seed {seed}, {rounds} rounds")
    chance = np.random.default_rng(seed)
    drawn, pace = victims_of(rounds, chance), Pace()
    with TriggerWitness(stack) as witness:
        for number, victims in enumerate(drawn, 1):
            pace.wait(victims)
            eventually(lambda: is_live(stack), "deltas are sent")
            begun, before = time.monotonic(), deltas_sent(stack)
            time.sleep(chance.uniform(0, LONGEST_WAIT_S))  # a random moment is the point
            rate = (deltas_sent(stack) - before) / (time.monotonic() - begun)
            stack.kill_together(*victims)
            print(f"round {number}: {' and '.join(victims)} killed at {rate:.0f} deltas/s")
        eventually(lambda: is_live(stack), "deltas after the last kill")
        lives = 1 + sum("collector" in victims for victims in drawn)
        eventually(lambda: lives in witness.seen, "triggers of the last life")
        assert_recorded(stack, witness)


def anonymous_bytes(stack: Stack, program: str) -> int:
    """Memory of a process that no file stands behind."""
    status = Path(f"/proc/{stack.info(program)['pid']}/status").read_text()
    (line,) = [row for row in status.splitlines() if row.startswith("RssAnon:")]
    return 1024 * int(line.split()[1])


def reasons_of_health(stack: Stack) -> str:
    """What `/rl/health` says is wrong; "" with 200."""
    reply = httpx.get(f"http://{stack.dashboard}/rl/health")
    reasons = "; ".join(reply.json()["reasons"])
    assert (reply.status_code == HTTPStatus.OK) == (not reasons and not reply.json()["silent"])
    return reasons


def stop_the_database(stack: Stack, seconds: float) -> None:
    eventually(lambda: is_live(stack), "the first deltas")
    with TriggerWitness(stack) as witness:
        eventually(lambda: events_recorded(stack) > 1_000, "events are recorded")
        before = {p: anonymous_bytes(stack, p) for p in ("collector", "recorder")}
        begun, sent = time.monotonic(), deltas_sent(stack)
        stack.halt("postgres")
        eventually(lambda: "no database" in reasons_of_health(stack), "health says it", 5)
        time.sleep(seconds)  # the time is the point
        grown = {p: anonymous_bytes(stack, p) - before[p] for p in before}
        sent = deltas_sent(stack) - sent
        stack.resume("postgres")
        away_s = time.monotonic() - begun
        print(f"{sent} deltas in {away_s:.0f} s without a database; grown by {grown} bytes")
        assert all(size < ANON_BYTES for size in grown.values())
        recorded = eventually(
            lambda: events_recorded(stack) > sent, "the recorder goes on", QUIET_S
        )
        assert recorded
        eventually(lambda: reasons_of_health(stack) == "", "health is well again", QUIET_S)
        assert_recorded(stack, witness)


@pytest.mark.slow
def test_a_database_that_stops_for_seconds_loses_nothing(stack: Stack) -> None:
    stop_the_database(stack, 5)


@pytest.mark.slow
def test_a_database_that_stops_for_a_minute_loses_nothing(stack: Stack) -> None:
    stop_the_database(stack, 60)
