"""How many files of execution one decision passes: the list is the reading order for a newcomer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from support.execution_rig import executing
from support.orders import intent

import processes.execution
from ipc.messages import OrderStatus

FOLDER = str(Path(processes.execution.__file__).parent)
BUDGET = 9  # files of processes/execution, from the intent to the order that rests
# Tasks that run meanwhile and have no part in the decision.
OTHER_TASKS = {
    *("account limits", "balance", "beat", "commands", "files", "flattening", "markets"),
    *("order groups", "persistence", "probe", "queues", "reconciliation", "session"),
    *("signatures", "stopping", "watchdog"),
}


@contextmanager
def executed_files() -> Iterator[list[str]]:
    """Names of the files of execution in which a function is called, in order of the first call."""
    files: dict[str, None] = {}

    def on_call(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and str(path.parent) == FOLDER and _task() not in OTHER_TASKS:
            files[path.name] = None

    names: list[str] = []
    sys.setprofile(on_call)
    try:
        yield names
    finally:
        sys.setprofile(None)
        names.extend(files)


def _task() -> str:
    task = asyncio.current_task()
    return "" if task is None else task.get_name()


async def test_one_intent_becomes_an_order_within_the_budget_of_files(tmp_path: Path) -> None:
    async with executing(tmp_path, RL_QUEUE_POSITION_S="0") as rig:
        await rig.known()
        with executed_files() as names:
            await rig.push(intent("i1", yes_price_e4=4_500))
            await rig.order(intent_id="i1", status=OrderStatus.RESTING)
        print("\n".join(names))
        assert len(names) <= BUDGET, names
