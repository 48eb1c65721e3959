"""The journal of book events: mapped segments of packed 40-byte records.

A record is accepted when the segment's count covers it. The kernel that writes the book stores
record and count (`ipc.book_kernels`), so accepting costs nothing.

`EVENT` is the layout of a record:

    event_no  int64    number in the run, from 1, without gaps
    recv_ns   int64    market time of receipt, nanoseconds since the Unix epoch
    exch_ms   int64    exchange time, milliseconds since the Unix epoch; 0 unknown
    count_e2  int32    DELTA: signed change; LEVEL and trades: size; BEGIN and END: levels;
                       STATE: the new `BookState`
    seq       uint32   sequence number of the frame in its subscription
    kind      uint8    `Kind`
    leg       uint8    `YES` or `NO`; of a trade, what the taker bought
    row       uint16   row of the table of books, named by the journal's `MarketListed` records
    price_e4  int32    on that leg's scale; of a trade on the YES scale
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.errors import KalshiActorError
from ipc.private_files import UnsafePathError, create_file, open_file, private_folder

__all__ = [
    "CAPACITY",
    "COUNT",
    "EVENT",
    "FIRST",
    "HEADER_WORDS",
    "RECORD_WORDS",
    "EventReader",
    "EventSegments",
    "JournalError",
    "Kind",
    "Segment",
    "accepted_events",
    "events_of",
    "open_journal",
]

EVENT: Final = np.dtype(
    [
        ("event_no", "<i8"),
        ("recv_ns", "<i8"),
        ("exch_ms", "<i8"),
        ("count_e2", "<i4"),
        ("seq", "<u4"),
        ("kind", "u1"),
        ("leg", "u1"),
        ("row", "<u2"),
        ("price_e4", "<i4"),
    ]
)
RECORD_WORDS: Final = EVENT.itemsize // 8
MAGIC: Final = 0x4B414C4A524E3031  # "KALJRN01"
HEADER_WORDS: Final = 8  # magic, record words, first event, capacity, count, 3 spare
FIRST: Final = 2
CAPACITY: Final = 3
COUNT: Final = 4


class JournalError(KalshiActorError, ValueError):
    """A journal that cannot be read: which file, where, and why."""


def open_journal(path: Path) -> int:
    """Open a journal's file for reading.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        FileNotFoundError: There is none, or the recorder has removed it.
        JournalError: It is not this user's alone.
    """
    try:
        return open_file(path)
    except UnsafePathError as error:
        raise JournalError(str(error)) from None


class Kind(IntEnum):
    """What a book event is.

    A snapshot is one BEGIN, one LEVEL each, one END; BEGIN and END both carry the number of levels,
    and the kernel counts them in together: a reader never sees half of one.

    A BLOCK_TRADE was agreed off the book: it takes nothing from a queue and is no part of the flow.
    Recordings of versions before 0.2.0 do not tell it from a TRADE.
    """

    SNAPSHOT_BEGIN = 1
    SNAPSHOT_LEVEL = 2
    SNAPSHOT_END = 3
    DELTA = 4
    TRADE = 5
    STATE = 6
    BLOCK_TRADE = 7


class Segment:
    """One mapped file of packed records.

    Made by `create` (the one writer) or `open` (any number of readers).

    Attributes:
        path: The file.
        words: int64, header and records as the kernels write them; read-only after `open`.
    """

    def __init__(self, path: Path, words: npt.NDArray[np.int64], mapping: mmap.mmap) -> None:
        self.path = path
        self.words = words
        self._mapping = mapping

    @classmethod
    def create(cls, path: Path, first_event_no: int, capacity: int) -> Segment:
        """Make a segment, allocated on disk and in memory.

        A store into a hole of a full disk would be a SIGBUS.

        Args:
            path: The file; must not exist.
            first_event_no: Number of its first record.
            capacity: Records it has room for.

        Raises:
            OSError: No room on disk, or the file exists.
        """
        size = 8 * (HEADER_WORDS + RECORD_WORDS * capacity)
        fd = create_file(path)
        try:
            try:
                os.posix_fallocate(fd, 0, size)
                mapping = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
            except OSError:
                path.unlink()
                raise
        finally:
            os.close(fd)
        words = np.frombuffer(mapping, np.int64)
        words[1 : CAPACITY + 1] = (RECORD_WORDS, first_event_no, capacity)
        words[0] = MAGIC
        return cls(path, words, mapping)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Attach to a segment for reading.

        Raises:
            JournalError: The file is not this user's alone, of another layout, shorter than it
                says, or has an impossible count.
        """
        fd = open_journal(path)
        try:
            size = os.fstat(fd).st_size
            if size < 8 * HEADER_WORDS:
                raise JournalError(f"{path}: {size} bytes is shorter than a segment's header")
            mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        words = np.frombuffer(mapping, np.int64)
        segment = cls(path, words, mapping)
        segment._check(size)
        return segment

    def _check(self, size: int) -> None:
        if self.words[0] != MAGIC or self.words[1] != RECORD_WORDS:
            raise JournalError(f"{self.path}: not a journal segment of this layout")
        needed = 8 * (HEADER_WORDS + RECORD_WORDS * self.capacity)
        if size < needed or not 0 <= self.count <= self.capacity:
            raise JournalError(
                f"{self.path}: {self.count} of {self.capacity} records in {size} bytes"
            )

    @property
    def first_event_no(self) -> int:
        """Number of its first record."""
        return int(self.words[FIRST])

    @property
    def capacity(self) -> int:
        """Records it has room for."""
        return int(self.words[CAPACITY])

    @property
    def count(self) -> int:
        """Records accepted so far."""
        return int(self.words[COUNT])

    def records(self, start: int, stop: int) -> npt.NDArray[np.void]:
        """Copy some records.

        Args:
            start: Position in the segment of the first, from 0.
            stop: Position behind the last, at most `count`.

        Returns:
            `EVENT`[stop - start].
        """
        base = HEADER_WORDS + RECORD_WORDS * start
        end = HEADER_WORDS + RECORD_WORDS * stop
        return self.words[base:end].view(EVENT).copy()

    def close(self) -> None:
        """Unmap; arrays that still look into it keep it alive."""
        self.words = np.zeros(HEADER_WORDS, np.int64)
        del self._mapping


def _segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.seg"))


def accepted_events(folder: Path) -> tuple[int, int]:
    """How far a run's book events reach, without mapping any of them.

    Args:
        folder: Of the run's journals.

    Returns:
        (number of the last event that is no longer on disk, number of the last accepted event);
        zeros without events.

    Raises:
        OSError: A file cannot be read.
        JournalError: A file is not this user's alone.
    """
    found = [header for path in _segment_files(folder) if (header := _header(path))]
    if not found:
        return 0, 0
    return found[0][0] - 1, found[-1][0] + found[-1][1] - 1


def _header(path: Path) -> tuple[int, int] | None:
    """(first event, count) of a segment; None while it is being made or once it is removed."""
    try:
        with os.fdopen(open_journal(path), "rb") as file:
            words = np.frombuffer(file.read(8 * HEADER_WORDS), np.int64)
    except FileNotFoundError:
        return None
    if len(words) < HEADER_WORDS or words[0] != MAGIC:
        return None
    return int(words[FIRST]), int(words[COUNT])


class EventSegments:
    """The producer's end: a chain of segments bounded by bytes.

    Before it writes, the producer asks `room(n)`, which moves on to the next segment when n more
    records do not fit into this one; False is the refusal. `words` changes with the segment: read
    it again after each `room`.

    Args:
        folder: Of the run; made when missing.
        capacity: Records of one segment, and so the largest snapshot plus 2.
        max_bytes: Of all segments that the recorder has not removed yet.

    Attributes:
        words: int64, the segment in use as the kernels write it.

    Raises:
        OSError: There is no room for the first segment, or the folder has a journal already.
        UnsafePathError: The folder is another user's, or a shared one.
    """

    def __init__(self, folder: Path, *, capacity: int = 65_536, max_bytes: int = 1 << 30) -> None:
        private_folder(folder)
        self._folder = folder
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._segment = Segment.create(folder / f"events-{1:012d}.seg", 1, capacity)
        self.words = self._segment.words

    @property
    def path(self) -> Path:
        """The segment in use."""
        return self._segment.path

    @property
    def next_event_no(self) -> int:
        """The number that the next accepted record gets."""
        return self._segment.first_event_no + self._segment.count

    @property
    def left(self) -> int:
        """Records that the segment in use has room for."""
        return int(self.words[CAPACITY] - self.words[COUNT])

    def room(self, records: int) -> bool:
        """Make room for more records.

        Args:
            records: How many will be written together.

        Returns:
            True when they will be accepted; False when they exceed a segment, when the segments
            that are on disk have reached `max_bytes`, or when the disk has no room for another.
        """
        if self.words[COUNT] + records <= self.words[CAPACITY]:
            return True
        return records <= self._capacity and self._roll()

    def _roll(self) -> bool:
        if self._bytes() + 8 * RECORD_WORDS * self._capacity > self._max_bytes:
            return False
        first = self.next_event_no
        try:
            following = Segment.create(
                self._folder / f"events-{first:012d}.seg", first, self._capacity
            )
        except OSError:
            return False
        self._segment.close()
        self._segment = following
        self.words = following.words
        return True

    def _bytes(self) -> int:
        total = 0
        for path in _segment_files(self._folder):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # the recorder removed it in between
                continue
        return total

    def close(self) -> None:
        """Unmap the segment in use."""
        self.words = np.zeros(HEADER_WORDS, np.int64)
        self._segment.close()


class EventReader:
    """Any process's view of one run's book events, in order and without gaps.

    Follows the producer while it writes: each call looks for new segments. Positions are event
    numbers, so a reader's place survives the removal of what it has read.

    Args:
        folder: Of the run; one without segments reads as empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Path, Segment] = {}

    def _segments(self) -> list[Segment]:
        paths = _segment_files(self._folder)
        for gone in self._open.keys() - set(paths):
            self._open.pop(gone).close()
        for path in paths:
            if path not in self._open and (segment := self._try_open(path)):
                self._open[path] = segment
        return [self._open[p] for p in paths if p in self._open]

    @staticmethod
    def _try_open(path: Path) -> Segment | None:
        """None while its writer has not finished making it, or when it has just been removed."""
        try:
            with os.fdopen(open_journal(path), "rb") as file:
                begun = file.read(8) == MAGIC.to_bytes(8, "little")
            return Segment.open(path) if begun else None
        except FileNotFoundError:
            return None

    def count(self) -> int:
        """Records accepted so far, which is the number of the last event."""
        segments = self._segments()
        return segments[-1].first_event_no + segments[-1].count - 1 if segments else 0

    def first(self) -> int:
        """Number of the oldest event still on disk, 1 when there is none."""
        segments = self._segments()
        return segments[0].first_event_no if segments else 1

    def read(self, first_event_no: int, limit: int) -> npt.NDArray[np.void]:
        """Read a stretch of events.

        Args:
            first_event_no: Where to begin.
            limit: Most events to read.

        Returns:
            An array of `EVENT`, shorter than `limit` at the end of the journal, empty beyond it.

        Raises:
            JournalError: The recorder has removed these events already.
        """
        parts: list[npt.NDArray[np.void]] = []
        wanted = first_event_no
        for segment in self._segments():
            if limit <= 0:
                break
            start = wanted - segment.first_event_no
            stop = min(segment.count, start + limit)
            if start < 0:
                raise JournalError(f"{self._folder}: event {wanted} is no longer in the journal")
            if start < stop:
                parts.append(segment.records(start, stop))
                wanted += stop - start
                limit -= stop - start
        return np.concatenate(parts) if parts else np.zeros(0, EVENT)

    def remove_before(self, event_no: int) -> int:
        """Delete full segments all of whose records are below `event_no`.

        For the recorder alone, once the events are committed. The last segment always stays: its
        writer may still be using it.

        Returns:
            How many segments were deleted.
        """
        removed = 0
        for segment in self._segments()[:-1]:
            if segment.first_event_no + segment.count <= event_no:
                segment.path.unlink(missing_ok=True)
                removed += 1
        return removed

    def close(self) -> None:
        """Unmap everything."""
        for segment in self._open.values():
            segment.close()
        self._open.clear()


def events_of(folder: Path) -> Iterator[npt.NDArray[np.void]]:
    """Read all events that a folder holds; for tools and tests.

    Args:
        folder: Of one run.

    Yields:
        Blocks of at most 65,536 events, in order, as arrays of `EVENT`.

    Raises:
        JournalError: A segment cannot be read, or was removed meanwhile.
    """
    reader = EventReader(folder)
    try:
        at = reader.first()
        while len(block := reader.read(at, 65_536)):
            yield block
            at += len(block)
    finally:
        reader.close()
