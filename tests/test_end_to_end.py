"""The whole stack, as a newcomer starts it: from a recording to decisions, orders and rows."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from support.made_recording import write_recording
from support.patience import PATIENCE
from support.stack import ROOT, Stack, eventually

pytestmark = pytest.mark.stack

Start = Callable[..., Stack]
KINDS = {
    "connection",
    "orderbook_snapshot",
    "session",
    "stats",
    "actor_action",
    "actor_order",
    "actor_fill",
    "actor_position",
    "actor_pnl",
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Start]:
    """Starts stacks and leaves none behind."""
    started: list[Stack] = []

    def start(name: str = "a", **environ: str) -> Stack:
        stack = Stack(tmp_path / name, **environ)
        started.append(stack)
        stack.start()
        return stack

    yield start
    for stack in started:
        stack.close()


def replaying(tmp_path: Path, seconds: int, speed: str) -> dict[str, str]:
    recording = write_recording(tmp_path / "recordings", seconds=seconds)
    return {"RL_EXCHANGE_REPLAY": str(recording), "RL_EXCHANGE_SPEED": speed}


def verify(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "processes.recorder.verify", *arguments],
        cwd=ROOT,
        env=stack.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_a_replay_is_decided_on_and_recorded_level_for_level(
    stack: Start, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seconds = 60
    running = stack(**replaying(tmp_path, seconds, "10"))
    actions = [running.next_action() for _ in range(2)]
    assert all(action["model"] for action in actions)
    assert actions[0]["ticker"] == "KXMADE-1"
    eventually(lambda: "replay_finished" in running.said, "the replay ends")
    compared = verify(running, "--live", "1", "--samples", "100")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert f"deltas sent {seconds * 50}, recorded {seconds * 50}" in compared.stdout
    assert "100 random seqs" in compared.stdout

    asyncio.run(_lie(running))
    compared = verify(running, "--samples", "100")
    assert compared.returncode == 1, "a changed row must be noticed"
    assert "DIFFERENT" in compared.stdout

    code, took = running.stop()
    record_property("stop_seconds", took)
    print(f"stopped in {took:.2f} s")
    assert code == 0
    assert "http://" + running.dashboard in running.said
    assert "Traceback" not in running.said


async def _lie(stack: Stack) -> None:
    """Another size for one recorded delta, wherever its session is stored."""
    for table in ("rl_packed_events", "rl_shared_events"):
        await stack.fetch(
            f"update {table} set qty_e2 = qty_e2 + 100 where event_key = "
            "(select min(session_id << 40 | event_no) from rl_book_events where kind = 4)"
        )


def test_every_kind_of_message_comes_and_the_account_is_the_exchange_s(
    stack: Start, tmp_path: Path
) -> None:
    running = stack(RL_ACTOR_STRATEGY="baseline:random", RL_ACTOR_WARMUP_TICKS="1")
    wanted = set(KINDS)
    with running.feed() as feed:
        while wanted:
            wanted.discard(feed.next()["type"])
    ours = eventually(lambda: _positions_agree(running), "positions agree with the exchange")
    assert ours, "something was traded"
    code, _ = running.stop()
    assert code == 0


def _positions_agree(stack: Stack) -> dict[str, int]:
    """Positions that our last recorded word and the exchange's ledger agree on."""
    account = stack.admin_get("/admin/orders")["accounts"][0]
    theirs = {t: n for t, n in account["positions_e2"].items() if n}
    try:
        rows = asyncio.run(
            stack.fetch(
                "select distinct on (market_ticker) market_ticker, position_e2 from rl_positions "
                "order by market_ticker, stream_id desc, record_no desc"
            )
        )
    except (OSError, asyncpg.PostgresError):
        return {}
    ours = {row["market_ticker"]: row["position_e2"] for row in rows if row["position_e2"]}
    return ours if ours == theirs else {}


@pytest.mark.slow
@pytest.mark.parametrize("speeds", [("0", "20")])
def test_the_same_replay_gives_the_same_event_rows_at_every_speed(
    stack: Start, tmp_path: Path, speeds: tuple[str, ...]
) -> None:
    rows = []
    for speed in speeds:
        running = stack(f"speed-{speed}", **replaying(tmp_path, 40, speed))
        eventually(lambda running=running: "replay_finished" in running.said, "the replay ends")
        eventually(lambda running=running: _recorded(running) >= 40 * 50, "all is recorded")
        rows.append(asyncio.run(running.fetch(_EVENTS)))
        assert running.stop()[0] == 0
    assert rows[0] == rows[1]


_EVENTS = (
    "select event_no, recv_ns, exch_ms, kind, side, price_e4, qty_e2, market_ticker "
    "from rl_book_events join rl_markets using (market_id) order by event_no"
)


def _recorded(stack: Stack) -> int:
    try:
        found = asyncio.run(stack.fetch("select count(*) from rl_book_events where kind = 4"))
    except (OSError, asyncpg.PostgresError):
        return 0
    return int(found[0][0])


@pytest.mark.slow
def test_a_second_stack_on_the_same_folder_is_refused_and_another_folder_is_not(
    stack: Start, tmp_path: Path
) -> None:
    first = stack("first")
    eventually(lambda: first.info("broadcaster"), "it is up")
    second = stack("second", RL_DATA_DIR=str(first.data_dir))
    assert second.wait() == 2
    assert second.said.splitlines()[-1].startswith(
        f"stack: RL_DATA_DIR={first.data_dir} is in use by another stack (pid {first.pid})"
    )
    third = stack("third")
    assert third.next_action()
    assert first.next_action()


@pytest.mark.slow
def test_after_a_kill_of_supervisord_the_next_start_works(stack: Start, tmp_path: Path) -> None:
    running = stack()
    assert running.next_action()
    assert running.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    running.start()
    assert running.next_action()
    code, _ = running.stop()
    assert code == 0
