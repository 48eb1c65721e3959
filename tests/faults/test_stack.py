"""kill -9 of each program of a running stack: it comes back by itself and no record is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from support.stack import ACTORS, Stack, eventually
from websockets.exceptions import WebSocketException

from processes.recorder.rows import TABLES

pytestmark = pytest.mark.stack

PROGRAMS = (*ACTORS, "postgres")
Key = tuple[str, str, int]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Markets that never fall silent, and a strategy that trades."""
    running = Stack(
        tmp_path / "stack",
        RL_ACTOR_STRATEGY="baseline:random",
        RL_ACTOR_WARMUP_TICKS="2",
        RL_EXCHANGE_SEED="7",
    )
    running.start()
    yield running
    running.close()


class Witness:
    """Notes every decision that anybody could see on `/rl/ws`, from life to life."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: Counter[Key] = Counter()

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with self._stack.feed() as feed:
                    self._note(feed)
            except (WebSocketException, OSError):  # the broadcaster was killed
                continue

    def _note(self, feed: Any) -> None:
        while not self._stop.is_set():
            message = feed.next()
            if message["type"] == "actor_action":
                action = message["data"]
                self.seen[action["session_uid"], action["ticker"], action["decided_mono_ns"]] += 1


def fetch(stack: Stack, query: str) -> list[Any]:
    return asyncio.run(stack.fetch(query))


def recorded_actions(stack: Stack) -> set[Key]:
    rows = fetch(stack, "select session_uid, market_ticker, decided_mono_ns from rl_actions")
    return {tuple(row) for row in rows}


def unrecorded(stack: Stack, seen: Counter[Key]) -> set[Key]:
    try:
        return set(seen) - recorded_actions(stack)
    except (OSError, asyncpg.PostgresError):
        return set(seen)


def assert_every_record_is_a_row_once(stack: Stack) -> None:
    """Event numbers without gap, and as many rows as the journals had records."""
    sessions = fetch(
        stack, "select count(*), max(event_no) from rl_book_events group by session_id"
    )
    assert sessions
    assert all(row["count"] == row["max"] for row in sessions)
    rows: Counter[str] = Counter()
    for table in TABLES.values():
        found = fetch(
            stack,
            f"select stream, count(*) from {table} join rl_streams using (stream_id) group by 1",
        )
        rows.update({row["stream"]: row["count"] for row in found})
    streams = fetch(
        stack,
        "select stream, records, duplicates, status "
        "from rl_journal_offsets join rl_streams using (stream) "
        "where journal = 'marks' and stream not like 'collector/%'",
    )
    for stream in streams:
        around = 2 if stream["status"] == "closed" else 1  # SessionStarted, SessionEnded
        stored = rows[stream["stream"]] + stream["duplicates"]
        assert stream["records"] == stored + around, stream


def assert_no_order_is_unknown(stack: Stack) -> None:
    """Every order that the exchange holds was journalled before it was sent."""
    theirs = stack.admin_get("/admin/orders")["orders"]
    known = {row[0] for row in fetch(stack, "select client_order_id from rl_orders")}
    assert {o["client_order_id"] for o in theirs} <= known


def recorded_since(stack: Stack, mono_ns: int) -> bool:
    """Whether a decision taken after that moment is in the database."""
    query = f"select 1 from rl_actions where decided_mono_ns > {mono_ns} limit 1"
    try:
        return bool(fetch(stack, query))
    except (OSError, asyncpg.PostgresError):
        return False


def wait_until_whole(stack: Stack, killed_ns: int) -> None:
    """The policy decides, an order of a later decision is acknowledged, and both are recorded."""
    with stack.feed() as feed:
        feed.until(
            "actor_order",
            lambda o: (
                o["status"] in ("resting", "executed") and (o["sent_mono_ns"] or 0) > killed_ns
            ),
        )
    eventually(lambda: recorded_since(stack, killed_ns), "decisions are recorded again")


def kill_each(stack: Stack, programs: tuple[str, ...], rounds: int) -> None:
    for program in programs:
        for _ in range(rounds):
            killed_ns = time.monotonic_ns()
            stack.kill(program)
            deciding_s = stack.deciding()
            wait_until_whole(stack, killed_ns)
            whole_s = (time.monotonic_ns() - killed_ns) / 1e9
            print(
                f"{program} killed: deciding after {deciding_s:.2f} s, whole after {whole_s:.2f} s"
            )


def test_each_program_killed_once_comes_back_and_loses_nothing(stack: Stack) -> None:
    chance = np.random.default_rng(11)
    stack.deciding()
    with Witness(stack) as witness:
        kill_each(stack, tuple(chance.permutation(PROGRAMS).tolist()), rounds=1)
    eventually(lambda: not unrecorded(stack, witness.seen), "every decision seen is recorded")
    assert len(witness.seen) > len(PROGRAMS)
    eventually(lambda: not _unknown_orders(stack), "every order is recorded")
    assert_no_order_is_unknown(stack)
    code, took = stack.stop()
    print(f"stopped in {took:.2f} s")
    assert code == 0
    assert "gave up" not in stack.said
    assert_nothing_left_in_journals(stack)


def _unknown_orders(stack: Stack) -> bool:
    try:
        assert_no_order_is_unknown(stack)
    except (AssertionError, OSError, asyncpg.PostgresError):
        return True
    return False


def assert_nothing_left_in_journals(stack: Stack) -> None:
    """A clean stop flushes; look once more at what a fresh start finds in the database."""
    left = [p for p in (stack.data_dir / "journal").glob("*/*") if p.is_dir()]
    assert left == []
    stack.start()
    stack.deciding()
    assert stack.stop()[0] == 0
    stack.start()
    eventually(lambda: _rows_there(stack), "the database is back")
    assert_every_record_is_a_row_once(stack)


def _rows_there(stack: Stack) -> bool:
    try:
        return bool(fetch(stack, "select 1 from rl_book_events limit 1"))
    except (OSError, asyncpg.PostgresError):
        return False


@pytest.mark.slow
def test_after_a_kill_of_the_exchange_the_others_go_on_by_themselves(stack: Stack) -> None:
    stack.deciding()
    pids = {program: stack.info(program)["pid"] for program in ACTORS}
    stack.kill("exchange")
    print(f"exchange killed, deciding again after {stack.deciding():.2f} s")
    assert {program: stack.info(program)["pid"] for program in ACTORS} == pids


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_program_killed_three_times_in_a_row(stack: Stack) -> None:
    stack.deciding()
    with Witness(stack) as witness:
        kill_each(stack, PROGRAMS, rounds=3)
    eventually(lambda: not unrecorded(stack, witness.seen), "every decision seen is recorded")
    eventually(lambda: not _unknown_orders(stack), "every order is recorded")
    assert stack.stop()[0] == 0
    assert_nothing_left_in_journals(stack)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_at_random_moments_for_a_long_time(stack: Stack) -> None:
    chance = np.random.default_rng(23)
    stack.deciding()
    with Witness(stack) as witness:
        for _ in range(25):
            for program in chance.permutation(PROGRAMS).tolist()[: chance.integers(1, 4)]:
                stack.kill(program)
            print(f"deciding again after {stack.deciding():.2f} s")
    eventually(lambda: not unrecorded(stack, witness.seen), "every decision seen is recorded")
    eventually(lambda: not _unknown_orders(stack), "every order is recorded")
    assert stack.stop()[0] == 0
    assert_nothing_left_in_journals(stack)
