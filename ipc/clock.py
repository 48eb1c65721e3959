"""The only caller of `time`: real time, market time, a clock that tests move by hand, and units.

Market time is what books, ticks, throttles, expiries and features use. Live it is real time. In a
replay it is the recording's own: the local exchange announces (market origin, monotonic origin,
speed) in a small shared file, and every process of the stack computes the present from it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from ipc.private_files import open_file, open_or_create, private_folder

__all__ = [
    "MS_PER_S",
    "NS_PER_MS",
    "NS_PER_S",
    "US_PER_S",
    "Clock",
    "ManualClock",
    "MarketClock",
    "MarketClockWriter",
    "RealClock",
    "mono_ns",
    "real_ns",
]

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
US_PER_S: Final = 1_000_000
MS_PER_S: Final = 1_000

_MAGIC: Final = 0x4B414C434C4B3031  # "KALCLK01"
_LAYOUT: Final = struct.Struct("<qqqqq")  # magic, version, market origin, mono origin, speed_e3
_SIZE: Final = 4096
_TRIES: Final = 1000
_LOCK_PATIENCE_S: Final = 2.0  # readers hold the lock for microseconds, to see whether they can
_UNREADABLE: Final = "the exchange's market clock cannot be read: not announced or torn"
_ENDED: Final = "the exchange that announced this market clock has ended"


def real_ns() -> int:
    """Nanoseconds since the Unix epoch by this machine's clock, for signing requests."""
    return time.time_ns()


def mono_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC, the same for every process of this machine."""
    return time.monotonic_ns()


class Clock(Protocol):
    """Market time: what books, ticks, throttles, expiries and features use."""

    def now_ns(self) -> int:
        """Market time in nanoseconds since the Unix epoch."""
        ...

    @property
    def replaying(self) -> bool:
        """Whether the exchange announces the time; then frames carry their own receive time."""
        ...

    @property
    def rate(self) -> float:
        """Market seconds in a real second; 0 while market time stands still."""
        ...


class RealClock:
    """Market time of a live exchange: real time."""

    replaying = False
    rate = 1.0

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return real_ns()


class ManualClock:
    """Market time that stands still until a test moves it.

    Args:
        start_ns: Where it stands, nanoseconds since the Unix epoch.
        replaying: What the property of this name answers.
    """

    rate = 1.0

    def __init__(self, start_ns: int = 0, *, replaying: bool = False) -> None:
        self._now = start_ns
        self.replaying = replaying

    def now_ns(self) -> int:
        """The time it was set to."""
        return self._now

    def advance(self, ns: int) -> None:
        """Move forward by `ns` nanoseconds."""
        self._now += ns


class MarketClockWriter:
    """The exchange's end of the shared clock file. One writer; readers retry on a torn read.

    The writer holds `flock` on the file as long as it lives, so that a reader which opens it later
    can tell what a dead exchange left from what a running one says. What was left is erased under a
    shared lock, before the exclusive one: at no moment does it look like this writer's word.

    Args:
        path: The clock file; made, with its folder, when missing.

    Raises:
        BlockingIOError: Another writer lives.
        UnsafePathError: The file or its folder is another user's, or open to others.
    """

    def __init__(self, path: Path) -> None:
        private_folder(path.parent)
        self._fd = open_or_create(path)
        try:
            _lock(self._fd, fcntl.LOCK_SH)
            os.ftruncate(self._fd, _SIZE)
            self._map = mmap.mmap(self._fd, _SIZE)
            self._map[: _LAYOUT.size] = bytes(_LAYOUT.size)
            _lock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._fd)
            raise
        self._version = 0

    def announce(self, market_ns: int, speed_e3: int) -> None:
        """Set market time.

        Args:
            market_ns: Market time now, nanoseconds since the Unix epoch.
            speed_e3: How fast it runs, in thousandths of real time; 0 stands still.
        """
        words = (market_ns, mono_ns(), speed_e3)
        self._put(self._version + 1, *words)
        self._version += 2
        self._put(self._version, *words)

    def _put(self, version: int, market_ns: int, origin_ns: int, speed_e3: int) -> None:
        self._map[: _LAYOUT.size] = _LAYOUT.pack(_MAGIC, version, market_ns, origin_ns, speed_e3)

    def close(self) -> None:
        """Release mapping and lock; those who read already keep the last announcement."""
        self._map.close()
        os.close(self._fd)


def _lock(fd: int, kind: int) -> None:
    """Take a lock that readers may hold for a moment; `BlockingIOError` when it stays taken."""
    until_ns = mono_ns() + int(_LOCK_PATIENCE_S * NS_PER_S)
    while mono_ns() < until_ns:
        with suppress(BlockingIOError):
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return
        time.sleep(0.001)
    raise BlockingIOError(errno.EAGAIN, "another exchange announces its market time here")


def _has_writer(fd: int) -> bool:
    """Whether an exchange that lives announces in the file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # the lock goes with the descriptor


class MarketClock:
    """A reader's end of the shared clock file. Where the exchange ends later, its last word stands.

    Args:
        path: The clock file that a `MarketClockWriter` announces in.

    Raises:
        FileNotFoundError: No exchange has announced a time.
        RuntimeError: The file is unfinished or torn, or what an exchange that has ended left.
        UnsafePathError: The file is another user's, or open to others.
    """

    def __init__(self, path: Path) -> None:
        fd = open_file(path)
        try:
            if not _has_writer(fd):
                raise RuntimeError(_ENDED if os.fstat(fd).st_size else _UNREADABLE)
            self._map = mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)
        except ValueError:  # made, but not yet of its size
            raise RuntimeError(_UNREADABLE) from None
        finally:
            os.close(fd)
        self._last: tuple[int, int, int] | None = None
        self._read()

    def _read(self) -> tuple[int, int, int]:
        for _ in range(_TRIES):
            first = bytes(self._map[: _LAYOUT.size])
            magic, version, market, origin, speed = _LAYOUT.unpack(first)
            whole = magic == _MAGIC and version and not version & 1
            if whole and bytes(self._map[: _LAYOUT.size]) == first:
                self._last = market, origin, speed
                return self._last
        if self._last is None:
            raise RuntimeError(_UNREADABLE)
        return self._last  # the exchange died while it announced: its last announcement counts

    def now_ns(self) -> int:
        """Market time by the last announcement, nanoseconds since the Unix epoch.

        An announcement torn by a dying exchange leaves the one before it in force.
        """
        market, origin, speed_e3 = self._read()
        return market + (mono_ns() - origin) * speed_e3 // 1000

    @property
    def replaying(self) -> bool:
        """Always: the local exchange's clock is the truth."""
        return True

    @property
    def rate(self) -> float:
        """Market seconds in a real second, by the last announcement."""
        return self._read()[2] / 1000

    def close(self) -> None:
        """Release the mapping."""
        self._map.close()
