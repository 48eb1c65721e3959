"""Tasks that run for as long as their process does, and how long to wait before trying again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from ipc.private_files import UnsafePathError
from ipc.shared_file import LayoutError
from ipc.sockets import SchemaError
from processes.runtime.config import ConfigError
from processes.runtime.owned_files import FileGone

__all__ = ["HOPELESS", "Backoff", "Stopped", "TaskFailed", "serve"]

# Trying again cannot help.
HOPELESS: Final = (ConfigError, LayoutError, SchemaError, UnsafePathError)
_MOST_DOUBLINGS: Final = 62


class Stopped(Exception):
    """Asked to stop while still waiting for something to start with; a clean end."""


class TaskFailed(Exception):
    """A task that its process needs has ended.

    Attributes:
        task: Its name.
        error: Why it failed, None when it just returned.
    """

    def __init__(self, task: str, error: BaseException | None) -> None:
        self.task = task
        self.error = error
        super().__init__(f"task {task!r} {_how(error)}")


def _how(error: BaseException | None) -> str:
    return "ended" if error is None else f"failed: {type(error).__name__}: {error}"


class _Watched:
    """The first task that ended before anybody asked."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.failure: Exception | None = None
        self.stopping = False

    async def run(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Do the work; note how it ends, unless it ends because the process does."""
        try:
            await work
        except (*HOPELESS, FileGone, Stopped) as error:
            self._note(error)
        except asyncio.CancelledError as error:
            if self.stopping:
                raise
            self._note(TaskFailed(name, error))
        except Exception as error:  # noqa: BLE001  raised again by `serve`, with the task's name
            self._note(TaskFailed(name, error))
        else:
            if not self.stopping:
                self._note(TaskFailed(name, None))

    def _note(self, failure: Exception) -> None:
        self.failure = self.failure or failure
        self.ended.set()


async def serve(tasks: Mapping[str, Coroutine[Any, Any, object]], stop: asyncio.Event) -> None:
    """Run named tasks until `stop` is set; none of them may end before. Sets `stop` if one does.

    However it ends, the tasks are cancelled in the order in which they are named, each only when
    the one before it has ended: in its `finally` a task may still use those named after it. Such a
    `finally` has to bound its own time.

    Args:
        tasks: By name; the names are in errors and log lines.
        stop: Ends all of them.

    Raises:
        TaskFailed: A task returned or failed; it names the task, and carries the error.
        ConfigError, LayoutError, SchemaError, UnsafePathError, FileGone, Stopped: As a task raised
            them.
    """
    watched = _Watched()
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(watched.run(name, work), name=name) for name, work in tasks.items()
        ]
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, watched.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            watched.stopping = True
            stop.set()  # for what waits for it elsewhere
        for task in running:
            task.cancel()
            await asyncio.wait((task,))
    if watched.failure is not None:
        raise watched.failure


class Backoff(msgspec.Struct, frozen=True):
    """Seconds between attempts, doubled by each failure in a row.

    Attributes:
        first_s: After the first failure.
        longest_s: Never more than this.
    """

    first_s: float
    longest_s: float

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row; `first_s` after none."""
        return min(self.first_s * 2.0 ** min(failures, _MOST_DOUBLINGS), self.longest_s)

    def jittered(self, failures: int, rng: np.random.Generator) -> float:
        """As `after`, but half to all of it: many clients must not come back at the same moment."""
        return self.after(failures) * float(rng.uniform(0.5, 1.0))
