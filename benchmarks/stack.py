"""The whole supervised stack on its synthetic flow: how long it takes to start and stop, and how
long a frame takes from the socket to an acknowledged order.

Every hop is stamped by the processes themselves and read from the rows that they recorded. The
shipped policy rarely trades on synthetic flow, so it is asked for the hops up to the decision, and
`baseline:random` for those after it.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, latencies
from ipc.clock import mono_ns
from tests.support.stack import Stack

__all__ = ["run"]

WINDOW_S: Final = 6.0
SETTLE_S: Final = 1.0  # for the recorder to bring in the last rows of a window
DECIDED: Final = ("frame_mono_ns", "written_mono_ns", "woken_mono_ns", "decided_mono_ns")
ORDERED: Final = (*DECIDED[-1:], "received_mono_ns", "sent_mono_ns", "acknowledged_mono_ns")
DECISIONS: Final = """
    select frame_mono_ns, written_mono_ns, woken_mono_ns, decided_mono_ns from rl_actions
    where decided_mono_ns between {since} and {until} and cardinality(logits) > 0
"""
ORDERS: Final = """
    select distinct on (intent_id)
        a.frame_mono_ns, a.decided_mono_ns,
        o.received_mono_ns, o.sent_mono_ns, o.acknowledged_mono_ns
    from rl_actions a join rl_orders o using (intent_id)
    where a.decided_mono_ns between {since} and {until} and o.acknowledged_mono_ns > 0
    order by intent_id, o.stream_id, o.record_no
"""


def _started(stack: Stack, name: str) -> Figure:
    begun = mono_ns()
    stack.start()
    stack.next_action()
    return Figure(name, (mono_ns() - begun) / 1e9, "s")


def _stopped(stack: Stack) -> Figure:
    code, seconds = stack.stop(signal.SIGINT)
    if code:
        raise RuntimeError(f"the stack ended with {code}")
    return Figure("stop", seconds, "s")


def _window(stack: Stack, query: str) -> list[Any]:
    """The rows of some seconds in which the policy decides."""
    stack.deciding()
    since = mono_ns()
    time.sleep(WINDOW_S)
    until = mono_ns()
    time.sleep(SETTLE_S)
    return asyncio.run(stack.fetch(query.format(since=since, until=until)))


def _hops(rows: Sequence[Any], stamps: Sequence[str]) -> list[Figure]:
    """One hop after the other."""
    found = []
    for begin, end in itertools.pairwise(stamps):
        name = " -> ".join(stamp.removesuffix("_mono_ns") for stamp in (begin, end))
        found += latencies(name, [row[end] - row[begin] for row in rows])
    return found


def _through(rows: Sequence[Any], end: str) -> list[Figure]:
    name = f"frame -> {end.removesuffix('_mono_ns')}"
    return latencies(name, [row[end] - row["frame_mono_ns"] for row in rows])


def _decisions(stack: Stack) -> list[Figure]:
    rows = _window(stack, DECISIONS)
    count = Figure("decisions of the shipped policy", len(rows), "rows")
    return [count, *_hops(rows, DECIDED), *_through(rows, "decided_mono_ns")]


def _orders(stack: Stack) -> list[Figure]:
    rows = _window(stack, ORDERS)
    count = Figure("orders of baseline:random", len(rows), "rows")
    whole = [f for end in ORDERED[-2:] for f in _through(rows, end)]
    return [count, *_hops(rows, ORDERED), *whole]


def run() -> list[Figure]:
    """A start in a new folder, another in the one it left, and a window in each."""
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name) / "stack", RL_ACTOR_STRATEGY="baseline:random")
        try:
            cold = _started(stack, "start to first decision, new folder")
            orders, stopped = _orders(stack), _stopped(stack)
            del stack.environ["RL_ACTOR_STRATEGY"]
            warm = _started(stack, "start to first decision, used folder")
            return [cold, warm, stopped, *_decisions(stack), *orders]
        finally:
            stack.close()
