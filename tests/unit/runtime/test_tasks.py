"""Tasks end with their process, and their process with any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from ipc.shared_file import LayoutError
from ipc.sockets import SchemaError
from processes.runtime.config import ConfigError
from processes.runtime.tasks import Backoff, Stopped, TaskFailed, serve

BOUND_S = 30


class Tasks:
    """Tasks that wait for ever, and the order in which they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.alive: set[str] = set()
        self.stop = asyncio.Event()

    async def waits(self, name: str) -> None:
        self.alive.add(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.alive.discard(name)
            self.ended.append(name)

    async def served(self, **more: Awaitable[object]) -> None:
        """Serve three that wait, with others in between."""
        tasks = {"first": self.waits("first"), **more}
        tasks |= {"second": self.waits("second"), "third": self.waits("third")}
        async with asyncio.timeout(BOUND_S):
            await serve(tasks, self.stop)  # type: ignore[arg-type]


async def fails(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def returns() -> None:
    await asyncio.sleep(0)


async def is_cancelled() -> None:
    """As when what it waits for is cancelled by somebody else."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_a_stop_ends_all_in_the_order_of_their_names() -> None:
    tasks = Tasks()
    asyncio.get_running_loop().call_soon(tasks.stop.set)
    await tasks.served()
    assert tasks.ended == ["first", "second", "third"]


async def test_a_stop_before_the_start_ends_all_too() -> None:
    tasks = Tasks()
    tasks.stop.set()
    await tasks.served()
    assert tasks.ended == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda: fails(ValueError("x")), "task 'helper' failed: ValueError: x"),
        (lambda: fails(OSError(24, "Too many open files")), "task 'helper' failed: OSError: "),
        (returns, "task 'helper' ended"),
        (is_cancelled, "task 'helper' failed: CancelledError: "),
    ],
)
async def test_a_task_that_ends_takes_all_with_it_and_is_named(
    work: Callable[[], Awaitable[None]], says: str
) -> None:
    tasks = Tasks()
    with pytest.raises(TaskFailed) as raised:
        await tasks.served(helper=work())
    assert str(raised.value).startswith(says)
    assert raised.value.task == "helper"
    assert tasks.ended == ["first", "second", "third"]
    assert tasks.stop.is_set()  # whoever waits for it elsewhere ends too


@pytest.mark.parametrize("kind", [ConfigError, LayoutError, SchemaError, Stopped])
async def test_what_trying_again_cannot_help_stays_what_it_is(kind: type[Exception]) -> None:
    tasks = Tasks()
    with pytest.raises(kind, match=r"^RL_X=1 is wrong$"):
        await tasks.served(helper=fails(kind("RL_X=1 is wrong")))
    assert tasks.ended == ["first", "second", "third"]


async def test_the_first_failure_counts() -> None:
    async def fails_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("later")

    tasks = Tasks()
    with pytest.raises(TaskFailed, match="'helper' failed: OSError: sooner"):
        await tasks.served(helper=fails(OSError("sooner")), other=fails_at_the_end())


async def test_a_task_may_use_those_after_it_until_its_own_end() -> None:
    tasks, seen = Tasks(), set[str]()

    async def winds_down() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # others could have ended meanwhile
            seen.update(tasks.alive)

    asyncio.get_running_loop().call_soon(tasks.stop.set)
    await tasks.served(helper=winds_down())
    assert seen == {"second", "third"}


async def test_a_cancelled_service_leaves_no_task_behind() -> None:
    tasks = Tasks()
    service = asyncio.create_task(tasks.served())
    while len(tasks.alive) < 3:  # noqa: ASYNC110  they tell nobody
        await asyncio.sleep(0)
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service
    assert sorted(tasks.ended) == ["first", "second", "third"]


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Backoff(first_s=0.1, longest_s=5.0)
    assert [pauses.after(n) for n in (0, 1, 3)] == [0.1, 0.2, 0.8]
    assert pauses.after(6) == pauses.after(10**9) == 5.0


def test_no_two_clients_come_back_together() -> None:
    pauses = Backoff(first_s=0.1, longest_s=5.0)
    for failures in (0, 3, 40):
        whole = pauses.after(failures)
        drawn = [pauses.jittered(failures, np.random.default_rng(seed)) for seed in range(20)]
        assert all(whole / 2 <= pause <= whole for pause in drawn)
        assert len(set(drawn)) == len(drawn)
