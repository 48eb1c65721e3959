"""The collector as a process beside a running exchange, and everything it leaves to be seen."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from support.exchange import Exchange
from support.leftovers import end
from support.patience import PATIENCE

from ipc import book as b
from ipc.book_table import BookTable, SharedOrderbookState
from ipc.journal import FramedReader, Kind, events_of, list_streams
from ipc.messages import Message, SessionMark
from ipc.shared_file import remove_tables, shared_path
from ipc.units import format_count, format_price

__all__ = ["RunningCollector", "running_collector", "start_collector"]

ROOT = Path(__file__).resolve().parents[2]


def start_collector(
    data_dir: Path, port: int, log: IO[str] | None = None, **environ: str
) -> subprocess.Popen[str]:
    """The bare process; its log goes to a pipe, or to a file."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(data_dir), "RL_EXCHANGE_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-m", "processes.collector"],
        cwd=ROOT,
        env=known | environ,
        stdout=log or subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class RunningCollector:
    """Looks from outside only: shared memory and journals."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, log: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self._log = log

    @property
    def said(self) -> str:
        """Its log so far."""
        return self._log.read_text(encoding="utf-8")

    def books(self) -> SharedOrderbookState:
        return SharedOrderbookState(BookTable.attach(shared_path(self.data_dir, "books")))

    def folders(self) -> list[Path]:
        """Journals of all lives, oldest first."""
        return [f for producer, _, f in list_streams(self.data_dir) if producer == "collector"]

    def messages(self) -> list[Message]:
        return [m for f in self.folders() for m in FramedReader(f).read(0)[0]]

    def marks(self) -> list[str]:
        return [str(m.kind) for m in self.messages() if isinstance(m, SessionMark)]

    def events(self, folder: Path | None = None) -> np.ndarray[Any, Any]:
        blocks = list(events_of(folder or self.folders()[-1]))
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def deltas(self) -> int:
        return int((self.events()["kind"] == Kind.DELTA).sum()) if len(self.events()) else 0

    async def until(self, check: Callable[[], Any], what: str) -> Any:
        """The first answer that is a row, or true; bounded."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while loop.time() < deadline:
            assert self.process.poll() is None, (self.said, self.process.communicate())
            try:
                answer = check()
                if isinstance(answer, np.ndarray) or answer:
                    return answer
            except FileNotFoundError:
                pass  # not made yet
            await asyncio.sleep(0.02)
        raise AssertionError(f"never happened: {what}")

    def row(self, ticker: str) -> b.Row | None:
        """A market's live row, None when there is none yet."""
        books = self.books()
        try:
            return books.get_row(ticker)
        finally:
            books.table.close()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def assert_row_equals_exchange(row: b.Row, exchange: Exchange, ticker: str) -> None:
    """Level for level, at the very `seq` that the row names."""
    theirs = exchange.admin("book", ticker=ticker, seq=int(row[b.SEQ]))
    for side, name in ((b.YES, "yes"), (b.NO, "no")):
        ours = [[format_price(p), format_count(c)] for p, c in b.levels_of(row, side)]
        assert ours == theirs[name], (ticker, name, int(row[b.SEQ]))


@contextmanager
def running_collector(data_dir: Path, port: int, **environ: str) -> Iterator[RunningCollector]:
    """Start, and end at the end."""
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        process = start_collector(data_dir, port, log, **environ)
        try:
            yield RunningCollector(process, data_dir, Path(log.name))
        finally:
            end(process)
            remove_tables(data_dir)
