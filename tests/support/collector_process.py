"""A `FakeCollector` in a process of its own, to be killed: commands on stdin, answers on stdout.

`tick <ms>` ticks and publishes; `freeze <ms>` ticks and answers with the unpublished trigger.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import zmq.asyncio
from support.actor_rig import MARKET, FakeCollector

from ipc import book as b
from ipc.messages import Trigger, decode, encode
from ipc.sockets import Publisher

__all__ = ["CollectorProcess"]

ROOT = Path(__file__).parents[2]


class CollectorProcess:
    """The end that a test holds."""

    def __init__(self, data_dir: Path, uid: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.collector_process", str(data_dir), uid],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def tick(self, at_ms: int) -> None:
        """A tick, published, with the session before it."""
        self._say(f"tick {at_ms}")

    def freeze(self, at_ms: int) -> Trigger:
        """A tick that nobody is told of, and what its trigger would have said."""
        message = decode(bytes.fromhex(self._say(f"freeze {at_ms}")))
        assert isinstance(message, Trigger)
        return message

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.communicate()

    def _say(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main(data_dir: Path, uid: str) -> None:
    """Collect until killed or until stdin ends."""
    context = zmq.asyncio.Context()
    publisher = Publisher(context, "collector", data_dir, {}, msgspec.msgpack.encode(uid)[-1])
    collector = FakeCollector(data_dir, publisher, uid=uid)
    row = collector.add()
    collector.snapshot(-250, {45: 100, 44: 200}, {52: 50, 50: 10})
    print("ready", flush=True)
    for line in sys.stdin:
        command, at_ms = line.split()
        collector.beat()
        collector.delta(int(at_ms), b.YES, 2, 1)
        trigger = collector.triggers._trigger(row, MARKET, "delta")
        if command == "tick":
            collector.tell()
            collector.flush()
        print(encode(trigger).hex(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
