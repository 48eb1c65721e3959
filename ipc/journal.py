"""The write-ahead log between a producer and the recorder.

Accepted means counted: an accepted record will be in PostgreSQL exactly once, whatever process dies
at any moment after. It survives the death of processes, not loss of power. A refusal (full, disk
error) is an answer, not an exception.

Below the data folder: `journal/<producer>/<run_uid>/{events-<first event>.seg, records-<first
byte>.log}`. The book's events are packed (`ipc.event_journal`). All other records are framed
messages in append-only files: a frame is `length, crc32, payload` (two little-endian uint32, then
msgpack of `ipc.messages`), appended by one `write`. Positions are byte offsets over all files of a
stream, so a reader's place survives rotation. Files that the version before named `marks-<first
byte>.log` are read too.

`RunJournal` is the journal of one run: the first record says whose it is, the last that it ended.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import zlib
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ipc.clock import NS_PER_S
from ipc.event_journal import (
    EVENT,
    EventReader,
    EventSegments,
    JournalError,
    Kind,
    Segment,
    events_of,
    open_journal,
)
from ipc.messages import SCHEMA_VERSION, Message, SessionEnded, SessionStarted, decode, encode
from ipc.private_files import create_file, private_folder

__all__ = [
    "EVENT",
    "EventReader",
    "EventSegments",
    "FramedReader",
    "FramedWriter",
    "JournalError",
    "Kind",
    "RunJournal",
    "Segment",
    "accepted_bytes",
    "events_of",
    "list_streams",
    "new_stream_uid",
    "run_number",
    "stream_folder",
]

NAME: Final = "records-{}.log"
OLD_NAME: Final = "marks-{}.log"  # what the version before wrote is read, never written
_HEAD: Final = struct.Struct("<II")
_MAX_PAYLOAD: Final = 1 << 24
_MAX_READ: Final = 2 * _MAX_PAYLOAD  # bytes of one file at a time
_FIRST_READ: Final = 1 << 22  # of them first: more than 10,000 ticks and decisions
FILE_BYTES: Final = 16 << 20
MAX_WAITING: Final = 10_000  # records that the journal refused; beyond it the oldest goes, counted


def new_stream_uid(started_ns: int, entropy: bytes) -> str:
    """Name one run of a producer.

    Args:
        started_ns: When it started, nanoseconds since the Unix epoch.
        entropy: 4 random bytes or more.

    Returns:
        A name such as `20260803T120000-1a2b3c4d`: names sort by start, and no two runs share one.
    """
    started = datetime.fromtimestamp(started_ns // NS_PER_S, UTC)
    return f"{started:%Y%m%dT%H%M%S}-{entropy[:4].hex()}"


def run_number(run_uid: str) -> int:
    """The number that the messages of a run carry: the random part of its name.

    Args:
        run_uid: A name that `new_stream_uid` made.

    Raises:
        ValueError: It is no such name.
    """
    return int(run_uid.rpartition("-")[2], 16)


def stream_folder(data_dir: Path, producer: str, run_uid: str) -> Path:
    """The folder into which one run of a producer writes its journal.

    Args:
        data_dir: Folder of the stack.
        producer: Name of the process, such as `collector`.
        run_uid: Name of its run.

    Returns:
        `<data_dir>/journal/<producer>/<run_uid>`; not made here.
    """
    return data_dir / "journal" / producer / run_uid


def list_streams(data_dir: Path) -> list[tuple[str, str, Path]]:
    """List every journal below a data folder as (producer, run_uid, folder).

    Sorted by name, so the oldest run of each producer comes first.
    """
    top = data_dir / "journal"
    found = [p for p in top.glob("*/*") if p.is_dir()] if top.is_dir() else []
    return [(p.parent.name, p.name, p) for p in sorted(found)]


def _files(folder: Path) -> list[tuple[int, Path]]:
    """(first byte, path) of a stream's files in order, those named by the version before too."""
    found = [p for pattern in (NAME, OLD_NAME) for p in folder.glob(pattern.format("*"))]
    return sorted((int(p.stem.rpartition("-")[2]), p) for p in found)


def _frame(message: Message) -> bytes:
    payload = encode(message)
    if len(payload) > _MAX_PAYLOAD:
        raise ValueError(f"a message of {len(payload)} bytes, allowed {_MAX_PAYLOAD}")
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _payload(data: memoryview) -> memoryview | None:
    """The payload of the first frame, None while it is not whole; `ValueError` when broken."""
    if len(data) < _HEAD.size:
        return None
    length, crc = _HEAD.unpack_from(data)
    if length > _MAX_PAYLOAD:
        raise ValueError(f"claims {length} bytes")
    payload = data[_HEAD.size : _HEAD.size + length]
    if len(payload) < length:
        return None
    if zlib.crc32(payload) != crc:
        raise ValueError("does not match its checksum")
    return payload


def _message(payload: memoryview) -> Message:
    message = decode(payload)
    if isinstance(message, SessionStarted) and message.schema_version != SCHEMA_VERSION:
        raise ValueError(f"schema {message.schema_version}, this program reads {SCHEMA_VERSION}")
    return message


class FramedWriter:
    """The producer's end, bounded by bytes; False is the refusal.

    Holds the lock of the file in use, by which readers see that it runs.

    Args:
        folder: Of the run; made when missing.
        file_bytes: Size at which the next file is begun.
        max_bytes: Of all files that the recorder has not removed yet.

    Attributes:
        path: The file in use.

    Raises:
        FileExistsError: The folder holds the first file of a journal already.
        UnsafePathError: The folder is another user's, or a shared one.
    """

    def __init__(
        self, folder: Path, *, file_bytes: int = 16 << 20, max_bytes: int = 1 << 30
    ) -> None:
        private_folder(folder)
        self._folder = folder
        self._file_bytes = file_bytes
        self._max_bytes = max_bytes
        self._first = 0
        self._size = 0
        self._oldest = 0  # first byte still on disk when last looked at
        self._fd = self._create(0)

    def _create(self, first: int) -> int:
        """Make a file and lock it; the kernel releases the lock when the writer dies."""
        path = self._folder / NAME.format(f"{first:015d}")
        fd = create_file(path, os.O_WRONLY | os.O_APPEND)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.path = path
        return fd

    @property
    def position(self) -> int:
        """The byte offset behind the last accepted frame."""
        return self._first + self._size

    def append(self, *messages: Message) -> bool:
        """Append messages in order and in one write.

        Returns:
            True when all were accepted; False when none was, because the journal is full or the
            disk failed.

        Raises:
            ValueError: A message is larger than 16 MiB.
        """
        data = b"".join(_frame(m) for m in messages)
        if not self._room(len(data)):
            return False
        try:
            if self._size and self._size + len(data) > self._file_bytes:
                self._rotate()
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written < len(data):  # disk full in mid-frame: take the torn part back
            os.ftruncate(self._fd, self._size)
            return False
        self._size += written
        return True

    def _room(self, wanted: int) -> bool:
        """Whether `wanted` more bytes are within bounds; looks at the disk only when in doubt."""
        end = self.position + wanted
        if end - self._oldest > self._max_bytes:
            self._oldest = next((first for first, _ in _files(self._folder)), self._first)
        return end - self._oldest <= self._max_bytes

    def _rotate(self) -> None:
        following = self._create(self.position)
        os.close(self._fd)
        self._fd, self._first, self._size = following, self.position, 0

    def close(self) -> None:
        """Close the file in use, which releases its lock."""
        os.close(self._fd)


def accepted_bytes(folder: Path) -> tuple[int, int]:
    """How far a stream's records reach.

    Args:
        folder: Of the run's journals.

    Returns:
        (byte before which nothing is on disk any more, byte behind the last that was written);
        zeros without a file.

    Raises:
        OSError: A file cannot be looked at.
    """
    files = _files(folder)
    if not files:
        return 0, 0
    first, path = files[-1]
    try:
        return files[0][0], first + path.stat().st_size
    except FileNotFoundError:  # removed in between: all of it is recorded
        return 0, 0


class FramedReader:
    """Any process's view of a stream.

    A torn last frame has not been written yet; a broken one is an error. What precedes a broken
    frame can still be read: the error comes when the broken frame is the first.

    Args:
        folder: Of one run; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def begun(self) -> bool:
        """Whether there is a file; a folder without one is all that its writer came to make."""
        return bool(_files(self._folder))

    def first(self) -> int:
        """The oldest byte offset still on disk, 0 without a file."""
        files = _files(self._folder)
        return files[0][0] if files else 0

    def read(self, offset: int, limit: int = 10_000) -> tuple[list[Message], int]:
        """Read messages.

        Args:
            offset: Byte offset at which to begin, 0 or what an earlier `read` returned.
            limit: Most messages to read.

        Returns:
            (messages, the byte offset behind them). At most 32 MiB of a file are looked at, so
            fewer messages than `limit` do not mean the end; no message and the same offset do.

        Raises:
            JournalError: The bytes have been removed, a frame is broken, or a message cannot be
                decoded.
        """
        messages: list[Message] = []
        files = _files(self._folder)
        if offset and not files:
            raise JournalError(f"{self._folder}: byte {offset} is no longer in the journal")
        for at, (first, path) in enumerate(files):
            end = files[at + 1][0] if at + 1 < len(files) else None
            if end is not None and offset >= end:
                continue
            if offset < first:
                raise JournalError(f"{self._folder}: byte {offset} is no longer in the journal")
            used = self._decode(path, offset - first, limit - len(messages), messages)
            offset += used
            if end is not None and not used and not messages:
                raise JournalError(f"{path}: torn frame at byte {offset - first} of a whole file")
            if len(messages) >= limit or offset != end:
                break
        return messages, offset

    @staticmethod
    def _decode(path: Path, start: int, limit: int, into: list[Message]) -> int:
        """Append the whole frames from byte `start` on -> bytes used."""
        with os.fdopen(open_journal(path), "rb") as file:
            file.seek(start)
            read = file.read(_FIRST_READ)
            length = _HEAD.unpack_from(read)[0] if len(read) >= _HEAD.size else 0
            if _HEAD.size + length > len(read):  # a large frame, or a torn one
                read += file.read(_MAX_READ - len(read))
        data, at = memoryview(read), 0
        for _ in range(limit):
            try:
                payload = _payload(data[at:])
                if payload is None:
                    break
                into.append(_message(payload))
            except ValueError as error:
                if into:
                    break
                raise JournalError(f"{path}: frame at byte {start}: {error}") from None
            at += _HEAD.size + len(payload)
        return at

    def writer_is_dead(self) -> bool:
        """Whether no process holds the lock of the newest file: then nothing will be added."""
        while files := _files(self._folder):
            path = files[-1][1]
            with os.fdopen(open_journal(path), "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                if _files(self._folder)[-1][1] == path:  # else it was closed by a rotation
                    return True
        return False

    def remove_before(self, offset: int) -> int:
        """Delete files that end at or before a byte offset; the last file always stays.

        For the recorder alone, once what they hold is committed.

        Returns:
            How many files were deleted.
        """
        files = _files(self._folder)
        removed = 0
        for (_, path), (end, _) in itertools.pairwise(files):
            if end <= offset:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


class RunJournal:
    """One run's framed journal, written in one of two ways.

    `append` is for what may be refused: nothing is done about it unless it was accepted. `keep` is
    for what has happened: it waits, in order, for as long as the journal has no room.

    Attributes:
        stream: `<producer>/<run_uid>`, the journal's name for the recorder's doorbell.
        folder: Where it is.
        dropped: Records that waited too long: beyond 10,000 the oldest goes.
    """

    def __init__(
        self, data_dir: Path, producer: str, started: SessionStarted, max_bytes: int = 1 << 30
    ) -> None:
        """Begin the stream of a run; its first record is `started`.

        Args:
            data_dir: Folder of the stack.
            producer: Name of the process.
            started: Names the run.
            max_bytes: Of all files that the recorder has not removed yet.
        """
        self.stream = f"{producer}/{started.session_uid}"
        self.folder = stream_folder(data_dir, producer, started.session_uid)
        self.dropped = 0  # records that waited too long
        self._writer = FramedWriter(
            self.folder,
            file_bytes=min(FILE_BYTES, max_bytes // 4),  # room comes back file by file
            max_bytes=max_bytes,
        )
        self._heading: SessionStarted | None = started  # until it is accepted
        self._waiting: deque[Message] = deque()
        self._is_open = True
        self.flush()

    @property
    def path(self) -> Path:
        """The file in use."""
        return self._writer.path

    @property
    def healthy(self) -> bool:
        """Whether nothing waits for room."""
        return self._heading is None and not self._waiting

    @property
    def waiting(self) -> int:
        """Records that the journal has refused so far."""
        return len(self._waiting)

    def append(self, *messages: Message) -> bool:
        """Accept all of them, in order, or none; refused while older records wait."""
        return self.flush() and self._writer.append(*messages)

    def keep(self, message: Message) -> None:
        """Journal what has happened, now or as soon as there is room."""
        self._waiting.append(message)
        self.flush()
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def flush(self) -> bool:
        """Offer again what waits -> whether nothing waits any more."""
        if self._heading is not None and self._writer.append(self._heading):
            self._heading = None
        while self._heading is None and self._waiting and self._writer.append(self._waiting[0]):
            self._waiting.popleft()
        return self.healthy

    def end(self, ended_ns: int, event_no: int = 0) -> None:
        """The last record of a clean run, at market time `ended_ns` and event `event_no`."""
        self.keep(SessionEnded(ended_ns=ended_ns, event_no=event_no))
        self.close()

    def close(self) -> None:
        """Close without a last record: the recorder ends the stream. Safe to repeat."""
        if self._is_open:
            self._is_open = False
            self._writer.close()
