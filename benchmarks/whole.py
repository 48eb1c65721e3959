"""The whole supervised stack at a rate, the local exchange and the actor with it.

`python -m benchmarks.whole --seconds 400` goes on for longer than the 20 s of `python -m benchmarks
whole`, to see whether memory grows. The exchange's market time runs fast, so that its markets come
to the rate, and the actor's throttle with it: each market is decided on four times a second.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import Figure
from ipc.clock import mono_ns
from ipc.journal import EventReader, list_streams
from models.command_line import Parser, number
from tests.support.stack import ACTORS, Stack

__all__ = ["run"]

MARKETS: Final = 128
SPEED: Final = 8  # of market time
THROTTLE_MS: Final = 250 * SPEED  # of market time: 250 ms of real time
SECONDS: Final = 20.0
SETTLED_S: Final = 10.0  # after the first decision, before anything is counted
PROGRAMS: Final = ("exchange", *ACTORS, "postgres")
WATCHED: Final = ("collector", "recorder")  # whose memory must not grow
RECORDED: Final = "select count(*) as n from rl_book_events"
MARKS: Final = (
    "select count(*) as n from rl_session_marks where kind in ('gap', 'hole', 'unrecorded')"
)
SETTINGS: Final = {
    "RL_EXCHANGE_MARKETS": str(MARKETS),
    "RL_EXCHANGE_SPEED": str(SPEED),
    "RL_EXCHANGE_TIER": "unmetered",
    "RL_BOOK_ROWS": "1024",
    "ORDERBOOK_MARKET_LIMIT": "1000",
    "RL_ACTOR_STRATEGY": "baseline:random",
    "RL_ACTOR_TICK_THROTTLE_MS": str(THROTTLE_MS),
}


class _Reading(msgspec.Struct, frozen=True):
    """Everything at one moment."""

    mono_ns: int
    sent: int  # deltas that left the exchange
    recorded: int  # events in PostgreSQL
    gaps: int
    orders: int
    cpu_s: dict[str, float]
    anonymous_mb: dict[str, float]


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with suppress(FileNotFoundError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _cpu_s(pid: int) -> float:
    """Seconds of a core that one process has used, 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0.0
    used = text.rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _anonymous_mb(pid: int) -> float:
    """Memory that no file stands behind."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [row for row in status.splitlines() if row.startswith("RssAnon:")]
    return int(line.split()[1]) / 1024


def _number(stack: Stack, query: str) -> int:
    (row,) = asyncio.run(stack.fetch(query))
    return int(row["n"])


def _journalled(stack: Stack) -> int:
    """Events that the collector's journal has accepted."""
    (folder,) = [f for name, _, f in list_streams(stack.data_dir) if name == "collector"]
    return EventReader(folder).count()


def _read(stack: Stack, pids: dict[str, int]) -> _Reading:
    return _Reading(
        mono_ns=mono_ns(),
        sent=stack.admin_get("/admin/sent")["deltas"],
        recorded=_number(stack, RECORDED),
        gaps=_number(stack, MARKS),
        orders=len(stack.admin_get("/admin/orders")["orders"]),
        cpu_s={name: sum(map(_cpu_s, _tree(pid))) for name, pid in pids.items()},
        anonymous_mb={name: _anonymous_mb(pids[name]) for name in WATCHED},
    )


def _figures(first: _Reading, last: _Reading) -> list[Figure]:
    seconds = (last.mono_ns - first.mono_ns) / 1e9
    sent = last.sent - first.sent
    return [
        Figure("whole stack, sent", sent / seconds, "deltas/s"),
        Figure("whole stack, sent in all", sent, "deltas"),
        Figure("recorded", (last.recorded - first.recorded) / seconds, "events/s"),
        Figure("gaps and refusals", last.gaps - first.gaps, "marks"),
        Figure("orders placed meanwhile", last.orders - first.orders, "orders"),
        *(
            Figure(f"{name}, of a core", (last.cpu_s[name] - first.cpu_s[name]) / seconds, "s/s")
            for name in last.cpu_s
        ),
        *(
            Figure(f"{name}, memory", last.anonymous_mb[name] - first.anonymous_mb[name], "MB more")
            for name in WATCHED
        ),
    ]


def run(seconds: float = SECONDS) -> list[Figure]:
    """One run: what was sent, recorded and refused, and what each program needed for it."""
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name) / "stack", **SETTINGS)
        try:
            stack.start()
            stack.deciding()
            time.sleep(SETTLED_S)
            pids = {program: int(stack.info(program)["pid"]) for program in PROGRAMS}
            first = _read(stack, pids)
            time.sleep(seconds)
            last = _read(stack, pids)
            waiting = _journalled(stack) - _number(stack, RECORDED)
            return [*_figures(first, last), Figure("not yet recorded", waiting, "events")]
        finally:
            stack.close()


if __name__ == "__main__":
    parser = Parser(
        prog="python -m benchmarks.whole", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=number(1, 86_400), default=SECONDS)
    for figure in run(parser.parse_args().seconds):
        print(f"{figure.name:40} {figure.value:14,.2f} {figure.unit}")
