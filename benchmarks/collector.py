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
from ipc.shared_file import shared_path

__all__ = ["run"]

DELTAS: Final = 100_000
PATIENCE_NS: Final = 60 * 1_000_000_000
POLL_S: Final = 0.05


@contextmanager
def _process(module: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
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


def _journalled(data_dir: Path, number: int, collector: subprocess.Popen[str]) -> np.ndarray:
    """The events of the run, once there are so many deltas."""
    deadline = mono_ns() + PATIENCE_NS
    while mono_ns() < deadline and collector.poll() is None:
        for _, _, folder in list_streams(data_dir):
            reader = EventReader(folder)
            if reader.count() > number:  # and its snapshot
                return reader.read(1, reader.count())
            reader.close()
        time.sleep(POLL_S)
    raise RuntimeError(f"the collector did not journal {number} deltas")


def _rate(events: np.ndarray) -> list[Figure]:
    received = events["recv_ns"][events["kind"] == Kind.DELTA]
    seconds = float(received[-1] - received[0]) / 1e9
    rate = (len(received) - 1) / seconds
    return [
        Figure("frame -> journal and book", rate, "deltas/s"),
        Figure("frame -> journal and book, each", 1e6 / rate, "us"),
    ]


def run() -> list[Figure]:
    """One burst, from its first delta to its last."""
    with tempfile.TemporaryDirectory() as name:
        with _process("benchmarks.sender", name, str(DELTAS)) as sender:
            assert sender.stdout is not None
            port = sender.stdout.readline().strip()
            places = {"RL_DATA_DIR": name, "RL_EXCHANGE_PORT": port}
            with _process("processes.collector", **places) as collector:
                events = _journalled(Path(name), DELTAS, collector)
        shared_path(Path(name), "books").unlink()
    return _rate(events)
