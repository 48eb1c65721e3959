"""The collector at full load: frames that wait in its socket -> books and journal.

The process itself runs; the figures are read from its journal, where every event has its time of
receipt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.figures import Figure
from ipc.clock import mono_ns
from ipc.journal import EventReader, Kind, list_streams
from ipc.shared_file import remove_tables

__all__ = ["count_of", "cpu_s", "process", "run", "until_journalled"]

DELTAS: Final = 300_000
PATIENCE_NS: Final = 60 * 1_000_000_000
POLL_S: Final = 0.05


@contextmanager
def process(module: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=known | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def count_of(data_dir: Path) -> int:
    """Events that the collector has journalled."""
    total = 0
    for producer, _, folder in list_streams(data_dir):
        if producer == "collector":
            reader = EventReader(folder)
            total += reader.count()
            reader.close()
    return total


def until_journalled(data_dir: Path, number: int, collector: subprocess.Popen[str]) -> int:
    """Wait for so many events -> how many there are."""
    deadline = mono_ns() + PATIENCE_NS
    while mono_ns() < deadline and collector.poll() is None:
        if (count := count_of(data_dir)) > number:
            return count
        time.sleep(POLL_S)
    raise RuntimeError(f"the collector did not journal {number} events")


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Seconds of a core that a process has used."""
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    used = text.rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _events(data_dir: Path) -> np.ndarray:
    ((_, _, folder),) = list_streams(data_dir)
    reader = EventReader(folder)
    return reader.read(1, reader.count())


def _rate(events: np.ndarray) -> list[Figure]:
    received = events["recv_ns"][events["kind"] == Kind.DELTA]
    seconds = float(received[-1] - received[0]) / 1e9
    rate = (len(received) - 1) / seconds
    return [
        Figure("frame -> journal and book", rate, "deltas/s"),
        Figure("frame -> journal and book, each", 1e6 / rate, "us"),
    ]


def run() -> list[Figure]:
    """One burst, from its first delta to its last; what it cost is known however busy the rest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with process("benchmarks.sender", name, str(DELTAS)) as sender:
            assert sender.stdout is not None
            port = sender.stdout.readline().strip()
            places = {"RL_DATA_DIR": name, "RL_EXCHANGE_PORT": port}
            with process("processes.collector", **places) as collector:
                first, used_s = until_journalled(folder, DELTAS // 10, collector), cpu_s(collector)
                last = until_journalled(folder, DELTAS, collector)
                used_s = cpu_s(collector) - used_s
                events = _events(folder)
        remove_tables(folder)
    cost = Figure("the same, of a core", 1e6 * used_s / (last - first), "us")
    return [*_rate(events), cost]
