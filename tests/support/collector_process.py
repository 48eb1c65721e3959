"""A `FakeCollector` in a process of its own, to be killed: `tick <ms>` in, its trigger out.

It writes table and journal; the test publishes its triggers, when and if it wants to.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from support.fake_collector import FakeCollector
from support.patience import PATIENCE

from ipc.messages import Message, Trigger, decode, encode
from ipc.sockets import Publisher

__all__ = ["CollectorProcess", "collecting"]

ROOT = Path(__file__).resolve().parents[2]
READY = "ready"


class CollectorProcess:
    """The end that a test holds."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def tick(self, at_ms: int) -> Trigger:
        """A tick in table and journal -> the trigger that nobody has been sent."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{at_ms}\n".encode())
        message = decode(bytes.fromhex(await self.answer()))
        assert isinstance(message, Trigger)
        return message

    async def answer(self) -> str:
        """The next line of its stdout, '' when it has ended."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        return line.decode().strip()

    async def kill(self) -> None:
        """kill -9."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def collecting(data_dir: Path, uid: str) -> AsyncIterator[CollectorProcess]:
    """A collector that has its book; killed at the end unless it was before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.collector_process", str(data_dir), uid),
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdin=PIPE,
        stdout=PIPE,
    )
    collector = CollectorProcess(process)
    try:
        assert await collector.answer() == READY
        yield collector
    finally:
        await collector.kill()


class _Answers:
    """What a publisher sends goes to stdout."""

    def send(self, _topic: str, message: Message) -> None:
        print(encode(message).hex(), flush=True)


def main(data_dir: Path, uid: str) -> None:
    """Collect until killed or until stdin ends."""
    collector = FakeCollector(data_dir, cast(Publisher, _Answers()), uid)
    collector.add()
    collector.snapshot(-250)
    print(READY, flush=True)
    for line in sys.stdin:
        collector.tick(int(line))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
