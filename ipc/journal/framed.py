"""Everything that is not a book event: framed msgpack messages in append-only files.

A frame is `length, crc32, payload`, appended by one `write`. Positions are byte offsets over all
files of a stream, so a reader's place survives rotation.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from pathlib import Path
from typing import Final

from ipc.journal.events import JournalError
from ipc.messages import Message, decode, encode

__all__ = ["FramedReader", "FramedWriter"]

_HEAD: Final = struct.Struct("<II")
_MAX_PAYLOAD: Final = 1 << 24


def _files(folder: Path) -> list[tuple[int, Path]]:
    """(first byte, path) of a stream's files in order."""
    return [(int(p.stem.rpartition("-")[2]), p) for p in sorted(folder.glob("marks-*.log"))]


def _frame(message: Message) -> bytes:
    payload = encode(message)
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


class FramedWriter:
    """The producer's end; bounded by bytes, `False` is the refusal."""

    def __init__(
        self, folder: Path, *, file_bytes: int = 16 << 20, max_bytes: int = 1 << 30
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file_bytes = file_bytes
        self._max_bytes = max_bytes
        self._first = 0
        self._size = 0
        self._fd = self._create(0)

    def _create(self, first: int) -> int:
        path = self._folder / f"marks-{first:015d}.log"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    @property
    def position(self) -> int:
        """The offset behind the last accepted frame."""
        return self._first + self._size

    def append(self, *messages: Message) -> bool:
        """Accept all of them, in order and in one write, or none."""
        data = b"".join(_frame(m) for m in messages)
        try:
            if self._size and self._size + len(data) > self._file_bytes:
                self._rotate()
            if self.position + len(data) - self._oldest() > self._max_bytes:
                return False
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written < len(data):  # disk full in mid-frame: take the torn part back
            os.ftruncate(self._fd, self._size)
            return False
        self._size += written
        return True

    def _oldest(self) -> int:
        files = _files(self._folder)
        return files[0][0] if files else 0

    def _rotate(self) -> None:
        following = self._create(self.position)
        os.close(self._fd)
        self._fd, self._first, self._size = following, self.position, 0

    def close(self) -> None:
        """Close the file in use."""
        os.close(self._fd)


class FramedReader:
    """Any process's view of a stream; a torn last frame is not there yet, a broken one an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, offset: int, limit: int = 10_000) -> tuple[list[Message], int]:
        """Up to `limit` messages from byte `offset` on, and the offset behind them."""
        messages: list[Message] = []
        files = _files(self._folder)
        for (first, path), end in zip(files, [f for f, _ in files[1:]] + [None], strict=True):
            if end is not None and offset >= end:
                continue
            if offset < first:
                raise JournalError(f"{self._folder}: byte {offset} is no longer in the journal")
            data = self._tail(path, offset - first)
            used = self._decode(path, offset - first, data, limit - len(messages), messages)
            offset += used
            if len(messages) >= limit or offset != end:
                break
        return messages, offset

    @staticmethod
    def _tail(path: Path, start: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(32 << 20)

    @staticmethod
    def _decode(path: Path, start: int, data: bytes, limit: int, into: list[Message]) -> int:
        at = 0
        for _ in range(limit):
            if at + _HEAD.size > len(data):
                break
            length, crc = _HEAD.unpack_from(data, at)
            payload = data[at + _HEAD.size : at + _HEAD.size + length]
            if length > _MAX_PAYLOAD:
                raise JournalError(f"{path}: frame at byte {start + at} claims {length} bytes")
            if len(payload) < length:
                break
            if zlib.crc32(payload) != crc:
                raise JournalError(
                    f"{path}: frame at byte {start + at} does not match its checksum"
                )
            into.append(decode(payload))
            at += _HEAD.size + length
        return at

    def remove_before(self, offset: int) -> int:
        """Delete files that end at or before `offset`; the last file always stays."""
        files = _files(self._folder)
        removed = 0
        for (_, path), (end, _) in itertools.pairwise(files):
            if end <= offset:
                path.unlink(missing_ok=True)
                removed += 1
        return removed
