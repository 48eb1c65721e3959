"""A file of int64 words that processes map together; its one writer holds the lock for life."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import threading
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["HEADER_WORDS", "LayoutError", "SharedFile", "WriterActiveError", "shared_path"]

HEADER_WORDS: Final = 512
MAGIC: Final = 0
LAYOUT: Final = 1
GENERATION: Final = 2
HEARTBEAT_MONO_NS: Final = 3
SHAPE: Final = 4  # four words that describe the body
_SHM: Final = Path("/dev/shm")
_LOCK_TRIES: Final = 20  # a reader that asks `writer_is_dead` holds the lock for a moment
_LOCK_PAUSE: Final = 0.005  # seconds


class LayoutError(ValueError):
    """A table file that this program does not understand."""


class WriterActiveError(RuntimeError):
    """Another process holds the writer's lock."""


def shared_path(data_dir: Path, name: str) -> Path:
    """Where a table lives: memory where there is some (a file on disk stalls on write-back)."""
    if not _SHM.is_dir():
        return data_dir / "shm" / name
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return _SHM / f"kalshi-actor-{digest}-{name}"


class SharedFile:
    """The mapped words of one table; `body` is what follows the header."""

    def __init__(self, path: Path, fd: int, mapping: mmap.mmap) -> None:
        self.path = path
        self._fd = fd
        self._mapping = mapping
        self.words = np.frombuffer(mapping, np.int64)
        self.inode = os.fstat(fd).st_ino

    @classmethod
    def create(
        cls,
        path: Path,
        magic: int,
        layout: int,
        shape: tuple[int, ...],
        body_words: int,
        generation: int = 0,
    ) -> SharedFile:
        """Open as the one writer; a file of the same layout is taken over.

        `WriterActiveError` while another writer lives, `LayoutError` for a file that is no such
        table. One of another shape (rows, slots) or layout, which another version left, is
        replaced; readers see another inode, generations go on counting. The new writer voids what
        it found and then calls `raise_generation`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 8 * (HEADER_WORDS + body_words)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(fd, path)
            _check_path(path, fd)
            old = _head(fd)
            _check_magic(path, old, magic, layout)
            known = tuple(old[SHAPE:8]), int(old[LAYOUT])
            if os.fstat(fd).st_size not in (0, size) or (
                old[MAGIC] and known != (_shape(shape), layout)
            ):
                _retire(path, fd, old)
                os.close(fd)
                fd = -1
                return cls.create(path, magic, layout, shape, body_words, int(old[GENERATION]))
            os.posix_fallocate(fd, 0, size)
            mapping = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        file = cls(path, fd, mapping)
        file.words[SHAPE:8] = _shape(shape)
        file.words[GENERATION] = max(file.generation, generation)
        file.words[LAYOUT] = layout
        file.words[MAGIC] = magic
        return file

    @classmethod
    def attach(cls, path: Path, magic: int, layout: int) -> SharedFile:
        """Map for reading; `FileNotFoundError` before there is one, or `LayoutError`.

        What another version left, without a writer, is none.
        """
        fd = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            head = _head(fd)
            if head[MAGIC] == 0:
                raise FileNotFoundError(f"{path} is being made")
            _check_magic(path, head, magic, layout)
            if head[LAYOUT] != layout:
                if _is_unlocked(fd):
                    raise FileNotFoundError(f"{path} is what another version left")
                raise _other_layout(path, head, layout)
            mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, mapping)

    @property
    def body(self) -> npt.NDArray[np.int64]:
        """The words behind the header."""
        return self.words[HEADER_WORDS:]

    @property
    def generation(self) -> int:
        """How many writers this file has had; a change voids what a reader holds."""
        return int(self.words[GENERATION])

    def raise_generation(self) -> int:
        """A new writer's life begins: what readers hold is void. -> the new generation."""
        self.words[GENERATION] += 1
        return self.generation

    def heartbeat(self, mono_ns: int) -> None:
        """The writer is alive and moving."""
        self.words[HEARTBEAT_MONO_NS] = mono_ns

    def heartbeat_age_ns(self, mono_ns: int) -> int:
        """Age of the writer's last heartbeat."""
        return mono_ns - int(self.words[HEARTBEAT_MONO_NS])

    def writer_is_dead(self) -> bool:
        """True when nobody holds the writer's lock: the kernel drops it at death."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return _is_unlocked(fd)
        finally:
            os.close(fd)

    def replaced(self) -> bool:
        """Whether the path now holds another file (or none)."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Unmap and drop the lock; arrays that still look into the file keep it mapped, no more."""
        self.words = np.zeros(HEADER_WORDS, np.int64)
        del self._mapping
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # by name: a mapping has a copy of the descriptor
        os.close(self._fd)


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape + (0,) * (4 - len(shape))


def _lock(fd: int, path: Path) -> None:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            threading.Event().wait(_LOCK_PAUSE)
        else:
            return
    raise WriterActiveError(f"{path}: another process writes this table")


def _check_path(path: Path, fd: int) -> None:
    """The lock may be of a file that another writer has just replaced."""
    if not path.exists() or path.stat().st_ino != os.fstat(fd).st_ino:
        raise WriterActiveError(f"{path}: another process is making this table anew")


def _head(fd: int) -> npt.NDArray[np.int64]:
    return np.frombuffer(bytearray(os.pread(fd, 64, 0).ljust(64, b"\0")), np.int64)


def _retire(path: Path, fd: int, head: npt.NDArray[np.int64]) -> None:
    """Void what readers of a file hold, then take its name away."""
    head[GENERATION] += 1
    os.pwrite(fd, head[GENERATION].tobytes(), 8 * GENERATION)
    path.unlink()


def _is_unlocked(fd: int) -> bool:
    """Whether no writer holds the lock; holds it itself, until `fd` is closed, if so."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_magic(path: Path, head: npt.NDArray[np.int64], magic: int, layout: int) -> None:
    if head[MAGIC] not in (0, magic):
        raise _other_layout(path, head, layout)


def _other_layout(path: Path, head: npt.NDArray[np.int64], layout: int) -> LayoutError:
    return LayoutError(
        f"{path}: table layout {head[LAYOUT]} (magic {head[MAGIC]:#x}) is not the layout "
        f"{layout} of this program; stop what uses it and remove the file"
    )
