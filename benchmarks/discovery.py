"""Discovery of 100,000 markets: what it costs the collector, in time, memory and tokens.

The exchange and the collector run as processes, the exchange with the limits of its Basic tier. The
whole list is read at the start and once more while books move; what a frame takes is compared
between the seconds in which pages were read and the others. Then markets open on a second exchange,
whose time runs faster, and become LIVE.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.collector import process
from benchmarks.figures import Figure
from ipc import book as b
from ipc.book_table import BookTable
from ipc.clock import NS_PER_S, mono_ns
from ipc.journal import FramedReader, Kind, events_of, list_streams
from ipc.messages import MarketListed, ProcessStats, Trigger
from ipc.shared_file import remove_tables, shared_path
from ipc.sockets import Context, Subscriber
from models.command_line import Parser

__all__ = ["run"]

MARKETS: Final = 100_000
FOLLOWED: Final = 100
FULL_S: Final = 45  # seconds between two looks at the whole list; the default is 600
WATCHED_S: Final = 110  # so many that both are seen
PATIENCE_S: Final = 400
BASIC_TOKENS: Final = 120_000  # in ten minutes
READING: Final = 1  # pages in a second in which the list is read
SPEED: Final = 30
OPENED: Final = 6  # markets
STACK: Final = {"RL_EXCHANGE_PORT": "0", "RL_EXCHANGE_ADMIN_PORT": "0"}


class _Watch:
    """What the collector's messages say, second by second."""

    def __init__(self) -> None:
        self.took_ns: list[tuple[int, int]] = []  # (when, frame to book)
        self.pages: list[tuple[int, int]] = []
        self.counters: Mapping[str, int] = {}
        self.silent_ns = 0  # the longest silence of the heartbeat

    async def listen(self, subscriber: Subscriber) -> None:
        """Note triggers and counters."""
        while True:
            _, message = await subscriber.recv()
            if isinstance(message, Trigger):
                self.took_ns.append(
                    (message.frame_mono_ns, message.written_mono_ns - message.frame_mono_ns)
                )
            elif isinstance(message, ProcessStats):
                self.counters = message.counters
                self.pages.append((message.mono_ns, message.counters.get("discovery_pages", 0)))

    async def look(self, books: BookTable) -> None:
        """Note the heartbeat."""
        while True:
            self.silent_ns = max(self.silent_ns, books.heartbeat_age_ns(mono_ns()))
            await asyncio.sleep(0.02)

    def p99_us(self, *, reading: bool) -> float:
        """99th percentile of frame to book, of the seconds with or without reading."""
        times = np.array([at for at, _ in self.pages])
        read = np.diff(np.array([n for _, n in self.pages])) >= READING
        at, took = np.array(self.took_ns).T
        place = np.searchsorted(times, at) - 1
        known = (place >= 0) & (place < len(read))
        chosen = took[known][read[place[known]] == reading]
        return float(np.percentile(chosen, 99)) / 1e3


@contextmanager
def _stack(folder: Path, wanted: dict[str, str], **exchange: str) -> Iterator[int]:
    """An exchange and a collector that follows it -> the collector's process id."""
    places = {"RL_DATA_DIR": str(folder), "RL_BOOK_ROWS": "512"}
    with process("processes.exchange", **places, **STACK, **exchange) as venue:
        assert venue.stdout is not None
        words = dict(w.split("=") for w in venue.stdout.readline().split() if "=" in w)
        port = {"RL_EXCHANGE_PORT": words["port"]}
        with process("processes.collector", **places, **port, **wanted) as collector:
            yield collector.pid
    remove_tables(folder)


def _live(books: BookTable) -> int:
    """Markets whose book is LIVE."""
    row = np.zeros(books.row_words, np.int64)
    return sum(books.read(r, row) and row[b.STATE] == b.LIVE for r in books.rows.values())


async def _attached(folder: Path) -> BookTable:
    while True:
        try:
            return BookTable.attach(shared_path(folder, "books"))
        except FileNotFoundError:
            await asyncio.sleep(0.02)


async def _until_live(books: BookTable, number: int) -> None:
    while True:
        if _live(books) >= number:
            return
        await asyncio.sleep(0.05)


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


async def _watched(folder: Path, pid: int, begun_ns: int) -> list[Figure]:
    """The run over the whole list."""
    async with asyncio.timeout(PATIENCE_S):
        books = await _attached(folder)
        await _until_live(books, FOLLOWED)
    live_s = (mono_ns() - begun_ns) / NS_PER_S
    watch, context = _Watch(), Context()
    subscriber = Subscriber(context, ["collector"], folder, os.environ, ("trigger", "stats"))
    tasks = [asyncio.create_task(work) for work in (watch.listen(subscriber), watch.look(books))]
    await asyncio.sleep(WATCHED_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    subscriber.close()
    without, during = watch.p99_us(reading=False), watch.p99_us(reading=True)
    # Two looks in so short a time: the share of ten minutes with one look, and with what was spent.
    spent = watch.counters["discovery_tokens"]
    ten_minutes = watch.counters["discovery_tokens_10min"]
    return [
        Figure("the 100 busiest of 100,000 are LIVE after", live_s, "s"),
        Figure("frame -> book, p99, no page read", without, "us"),
        Figure("frame -> book, p99, pages read", during, "us"),
        Figure("the same, ratio", during / without, "x"),
        Figure("longest silence of the heartbeat", watch.silent_ns / 1e6, "ms"),
        Figure("resident, collector", _resident_mb(pid), "MB"),
        Figure("resident, discovery", watch.counters["discovery_memory_kib"] / 1024, "MB"),
        Figure("tokens of this run", spent, "tokens"),
        Figure("share of Basic in ten minutes", 100 * ten_minutes / BASIC_TOKENS, "%"),
    ]


def _opening_s(folder: Path) -> list[float]:
    """Real seconds from the opening of markets to their first snapshot, from the journal."""
    ((_, _, stream),) = [s for s in list_streams(folder) if s[0] == "collector"]
    blocks = list(events_of(stream))
    if not blocks:
        return []
    events = np.concatenate(blocks)
    begun_ms = int(events["recv_ns"].min()) // 1_000_000
    listed = [m for m in FramedReader(stream).read(0)[0] if isinstance(m, MarketListed)]
    found = []
    for market in listed:
        mine = events[(events["row"] == market.row) & (events["event_no"] >= market.from_event_no)]
        first = mine[mine["kind"] == Kind.SNAPSHOT_END][:1]
        if len(first) and market.open_ms > begun_ms:
            found.append((int(first["recv_ns"][0]) / 1e6 - market.open_ms) / 1e3 / SPEED)
    return found


async def _opened(folder: Path) -> list[Figure]:
    """Markets that open while the collector runs."""
    async with asyncio.timeout(PATIENCE_S):
        books = await _attached(folder)
        await _until_live(books, 1)
        seconds: list[float] = []
        for _ in range(PATIENCE_S):
            seconds = _opening_s(folder)
            if len(seconds) >= OPENED:
                break
            await asyncio.sleep(1.0)
    return [
        Figure("a market opens -> its book is LIVE, median", float(np.median(seconds)), "s"),
        Figure("a market opens -> its book is LIVE, longest", max(seconds), "s"),
    ]


def run() -> list[Figure]:
    """Both runs."""
    catalogue = {"RL_EXCHANGE_CATALOGUE": str(MARKETS), "RL_EXCHANGE_TIER": "basic"}
    wanted = {"RL_DISCOVERY_FULL_S": str(FULL_S), "RL_DISCOVERY_INTERVAL_S": "60"}
    with tempfile.TemporaryDirectory() as name, _stack(Path(name), wanted, **catalogue) as pid:
        figures = asyncio.run(_watched(Path(name), pid, mono_ns()))
    faster = {"RL_EXCHANGE_MARKETS": "4", "RL_EXCHANGE_SPEED": str(SPEED)}
    with tempfile.TemporaryDirectory() as name, _stack(Path(name), {}, **faster):
        figures += asyncio.run(_opened(Path(name)))
    return figures


if __name__ == "__main__":
    Parser(prog="python -m benchmarks.discovery", description=__doc__).parse_args()
    for figure in run():
        print(f"{figure.name}: {figure.value:,.1f} {figure.unit}")
