"""The journal of everything that is not a book event: framed msgpack messages in append-only files.

A frame is `length, crc32, payload`, appended by one `write`. Positions are byte offsets over all
files of a stream, so a reader's place survives rotation. The files are named `records-<first
byte>.log`; those of the version before, `marks-<first byte>.log`, are read too.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import zlib
from pathlib import Path
from typing import Final

from ipc.event_journal import JournalError, open_journal
from ipc.messages import SCHEMA_VERSION, Message, SessionStarted, decode, encode
from ipc.private_files import create_file, private_folder

__all__ = ["FramedReader", "FramedWriter"]

NAME: Final = "records-{}.log"
OLD_NAME: Final = "marks-{}.log"  # what the version before wrote is read, never written
_HEAD: Final = struct.Struct("<II")
_MAX_PAYLOAD: Final = 1 << 24
_MAX_READ: Final = 2 * _MAX_PAYLOAD  # bytes of one file at a time


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

    Args:
        folder: Of the run; made when missing.
        file_bytes: Size at which the next file is begun.
        max_bytes: Of all files that the recorder has not removed yet.
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


class FramedReader:
    """Any process's view of a stream.

    A torn last frame has not been written yet; a broken one is an error. What precedes a broken
    frame can still be read: the error comes when the broken frame is the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def begun(self) -> bool:
        """Whether there is a file; a folder without one is all that its writer came to make."""
        return bool(_files(self._folder))

    def read(self, offset: int, limit: int = 10_000) -> tuple[list[Message], int]:
        """Read messages.

        Args:
            offset: Byte offset at which to begin, 0 or what an earlier `read` returned.
            limit: Most messages to read.

        Returns:
            (messages, the byte offset behind them).

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
            data = memoryview(file.read(_MAX_READ))
        at = 0
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
