"""Files that processes share: rows in memory that one of them writes, a few bytes that all change.

    header (512 words) = [magic, layout, generation, heartbeat, shape x 4, body words, ...]
    body               = what `ipc.book_table` and `ipc.account_table` put there

`SharedFile` is a file that processes map together; its one writer holds the lock while it runs. A
file is complete once its magic stands; what a reader holds is void once the generation differs.
`AttachedTable` is a table as a reader holds it: attached when it is there, and again when it is
replaced.

Every row of a body is guarded by a seqlock (`ipc.kernels`).

`CommonFile` is a few bytes that whoever holds its lock, for a moment, reads and writes.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import stat
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ipc.errors import KalshiActorError
from ipc.private_files import (
    UnsafePathError,
    create_file,
    exclusive,
    open_file,
    private_folder,
    random_word,
)

__all__ = [
    "HEADER_WORDS",
    "NO_ROOM",
    "SHAPE",
    "AttachedTable",
    "CommonFile",
    "LayoutError",
    "SharedFile",
    "WriterActiveError",
    "has_writer",
    "remove_tables",
    "shared_path",
]

Words = npt.NDArray[np.int64]

HEADER_WORDS: Final = 512
MAGIC: Final = 0
LAYOUT: Final = 1
GENERATION: Final = 2
HEARTBEAT_MONO_NS: Final = 3
SHAPE: Final = 4  # four words that describe the body
BODY_WORDS: Final = 8  # how many words follow the header
_SHM: Final = Path("/dev/shm")
NO_ROOM: Final = (  # what to say of a table on disk
    "/dev/shm has no room: reads may stall; "
    "mount -o remount,size=64m /dev/shm, or docker run --shm-size=64m, then start again"
)
_FOLDER: Final = "tables"
_PREFIX: Final = "kalshi-actor-"
_LOCK_SUFFIX: Final = ".lock"
_LOCK_TRIES: Final = 20  # a reader that asks `writer_is_dead` holds the lock for a moment
_LOCK_PAUSE: Final = 0.005  # seconds
_COMMON_HEAD: Final = struct.Struct("<3q")  # magic, layout, bytes of content
_COMMON_TRIES: Final = 100  # its lock is held for some microseconds


class LayoutError(KalshiActorError, ValueError):
    """A table that this program cannot use: of another layout, not this user's, or without room."""


class WriterActiveError(KalshiActorError, RuntimeError):
    """Another process holds the writer's lock."""


def shared_path(data_dir: Path, name: str) -> Path:
    """The table's place in the data folder: a symlink into memory, or the table itself.

    A file on disk stalls on write-back, so a table lies in /dev/shm under a random name wherever it
    fits. Only what this private folder names is ever opened: all processes agree where that is.

    Args:
        data_dir: Folder of the stack.
        name: `books` or `accounts`.
    """
    return data_dir / _FOLDER / name


def has_writer(path: Path) -> bool:
    """Whether a process writes the table of `path` now; False where there is no table.

    Raises:
        LayoutError: The file is not this user's alone.
    """
    try:
        fd = _opened(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _is_unlocked(fd)
    finally:
        os.close(fd)


def remove_tables(data_dir: Path) -> None:
    """Remove the tables of a data folder that no process writes, and what makers of them left.

    For the process that owns the stack, before it starts and when it has ended: memory is given
    back.

    Args:
        data_dir: Folder of the stack.

    Raises:
        LayoutError: A table in the data folder is not this user's alone.
        TimeoutError: Another process is making a table and does not finish.
    """
    folder = data_dir / _FOLDER
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        name = entry.name.lstrip(".").partition(".")[0]
        if entry.suffix != _LOCK_SUFFIX:
            with exclusive(_lock_file(folder / name)):
                _remove_unwritten(entry)
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    for name in ("books", "accounts"):  # where earlier versions had them
        with suppress(LayoutError):  # another user's is not ours to remove
            _remove_unwritten(_SHM / f"{_PREFIX}{digest}-{name}")


class SharedFile:
    """The mapped words of one table.

    Made by `create` (the one writer) or `attach` (readers, read-only).

    Attributes:
        path: Its place in the data folder.
        on_disk: Whether `create` made it now, on disk, because memory had no room for it.
        words: int64, header and body.
    """

    def __init__(self, path: Path, fd: int, mapping: mmap.mmap) -> None:
        self.path = path
        self.on_disk = False  # made now, and memory had no room for it
        self._is_writer = False
        self._fd = fd
        self._mapping = mapping
        self.words = np.frombuffer(mapping, np.int64)
        self._identity = _identity(os.fstat(fd))

    @classmethod
    def create(
        cls,
        path: Path,
        magic: int,
        layout: int,
        shape: tuple[int, ...],
        body_words: int,
    ) -> SharedFile:
        """Open as the one writer; a file of the same layout is taken over.

        A file of another shape or layout, which another version left, is replaced: readers see
        another file, and generations go on counting. The new writer voids what it found and then
        calls `raise_generation`.

        Args:
            path: The table's place, of `shared_path`.
            magic: Word that names the kind of table.
            layout: Version of the body's layout.
            shape: Up to four numbers that describe the body, such as rows and slots.
            body_words: Length of the body.

        Raises:
            WriterActiveError: Another writer lives, or is being made.
            LayoutError: The file is no such table or not this user's alone, or there is no room.
        """
        private_folder(path.parent)
        try:
            with exclusive(_lock_file(path)):
                return cls._create(path, magic, layout, _shape(shape), body_words)
        except TimeoutError:
            raise WriterActiveError(f"{path}: another process is making this table") from None
        except OSError as error:
            raise LayoutError(
                f"{error.filename or path}: the table cannot be made: {error.strerror}; "
                "make room or choose another data folder"
            ) from None

    @classmethod
    def _create(
        cls, path: Path, magic: int, layout: int, shape: tuple[int, ...], body_words: int
    ) -> SharedFile:
        size = 8 * (HEADER_WORDS + body_words)
        fd, generation = _taken_over(path, magic, layout, shape, size)
        on_disk = False
        if fd is None:
            fd, on_disk = _made(path, size)
        try:
            mapping = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        except BaseException:
            os.close(fd)
            raise
        file = cls(path, fd, mapping)
        file._is_writer = True
        file.on_disk = on_disk
        file.words[SHAPE:8] = shape
        file.words[BODY_WORDS] = body_words
        file.words[GENERATION] = max(file.generation, generation)
        file.words[LAYOUT] = layout
        file.words[MAGIC] = magic
        return file

    @classmethod
    def attach(cls, path: Path, magic: int, layout: int) -> SharedFile:
        """Map for reading.

        Args:
            path: The table's place, of `shared_path`.
            magic: Word that names the kind of table.
            layout: Version of the body's layout.

        Raises:
            FileNotFoundError: There is none yet, it is being made, or another version left it
                without a writer.
            LayoutError: It is not this user's alone, another version is writing it, or its size is
                not what its header says.
        """
        fd = _opened(path, os.O_RDONLY)
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
            if size != 8 * (HEADER_WORDS + int(head[BODY_WORDS])):  # else reading it is SIGBUS
                raise LayoutError(
                    f"{path}: {size} bytes, its header says {head[BODY_WORDS]} words behind "
                    f"{HEADER_WORDS}; stop what uses it and remove the file"
                )
            mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, mapping)

    def check_body(self, words: int) -> None:
        """Check that the body is as long as its shape asks for.

        Args:
            words: What it should be.

        Raises:
            LayoutError: It is not: the header has been damaged.
        """
        if self.body.size != words:
            shape = self.words[SHAPE:8].tolist()
            raise LayoutError(
                f"{self.path}: {self.body.size} words of shape {shape}, which takes {words}; "
                "stop what uses it and remove the file"
            )

    @property
    def body(self) -> npt.NDArray[np.int64]:
        """The words behind the header."""
        return self.words[HEADER_WORDS:]

    @property
    def generation(self) -> int:
        """How many writers this file has had; a change voids what a reader holds."""
        return int(self.words[GENERATION])

    def raise_generation(self) -> int:
        """Begin this writer's turn: what readers hold is void from here on.

        Returns:
            The new generation.
        """
        self.words[GENERATION] += 1
        return self.generation

    def heartbeat(self, mono_ns: int) -> None:
        """Say that the writer is running.

        Args:
            mono_ns: Now, nanoseconds of CLOCK_MONOTONIC.
        """
        self.words[HEARTBEAT_MONO_NS] = mono_ns

    @property
    def heartbeat_mono_ns(self) -> int:
        """When the writer last said that it runs; 0 where it never has, or has ended in order."""
        return int(self.words[HEARTBEAT_MONO_NS])

    def heartbeat_age_ns(self, mono_ns: int) -> int:
        """Age of the writer's last heartbeat in nanoseconds, as of `mono_ns`.

        A writer that hangs or is stopped keeps its lock; this grows nevertheless.
        """
        return mono_ns - int(self.words[HEARTBEAT_MONO_NS])

    def writer_is_dead(self) -> bool:
        """Whether no process holds the writer's lock, which the kernel drops at its death."""
        if self._is_writer or not _is_unlocked(self._fd):
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True

    def replaced(self) -> bool:
        """Whether the path now holds another file (or none)."""
        try:
            return _identity(os.stat(self.path)) != self._identity
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Unmap and drop the lock; arrays that still look into the file keep it mapped, no more."""
        self.words = np.zeros(HEADER_WORDS, np.int64)
        del self._mapping
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # by name: a mapping has a copy of the descriptor
        os.close(self._fd)


class _Table(Protocol):
    @property
    def generation(self) -> int: ...

    def heartbeat_age_ns(self, mono_ns: int) -> int: ...

    def replaced(self) -> bool: ...

    def close(self) -> None: ...


TableT = TypeVar("TableT", bound=_Table)


class AttachedTable(Generic[TableT]):
    """A table that may not be there yet, and may be replaced by another file at any time.

    One line when there is none, one each time that another is attached.

    Args:
        data_dir: Folder of the stack.
        name: `books` or `accounts`.
        attach: Maps the table, such as `BookTable.attach`.
        log: Gets the lines: an action, and facts by name.

    Attributes:
        attached: How often one was attached: what was read before belongs to another writer.
    """

    def __init__(
        self, data_dir: Path, name: str, attach: Callable[[Path], TableT], log: Callable[..., None]
    ) -> None:
        self.attached = 0  # how often: what was read before belongs to another writer
        self._path = shared_path(data_dir, name)
        self._name = name
        self._attach = attach
        self._log = log
        self._table: TableT | None = None
        self._reported_missing = False

    @property
    def table(self) -> TableT | None:
        """What was attached at the last `refresh`; None while there is no table."""
        return self._table

    def refresh(self) -> TableT | None:
        """Find the table that the path holds now; to be called now and then.

        Returns:
            The table, None while there is none.

        Raises:
            LayoutError: The file is no table of this version.
        """
        if self._table is not None and self._table.replaced():
            self.close()
        if self._table is None:
            self._table = self._find()
        return self._table

    def _find(self) -> TableT | None:
        try:
            found = self._attach(self._path)
        except FileNotFoundError:
            if not self._reported_missing:
                self._log("table_waiting", table=self._name)
            self._reported_missing = True
            return None
        self._reported_missing = False
        self.attached += 1
        self._log("table_attached", table=self._name, generation=found.generation)
        return found

    def age_ns(self, mono_ns: int) -> int | None:
        """Age of the writer's heartbeat; None without a table."""
        return None if self._table is None else self._table.heartbeat_age_ns(mono_ns)

    def close(self) -> None:
        """Unmap. Safe to repeat."""
        if self._table is not None:
            self._table.close()
            self._table = None


class CommonFile:
    """A few bytes that several processes read and change in turn, each while it holds the lock.

    By calls, not mapped: a file that was cut short reads short, and is no signal.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._identity = _identity(os.fstat(fd))

    @classmethod
    def open(cls, path: Path, magic: int, layout: int, content: bytes) -> CommonFile:
        """Open the file of `path`, or make it with `content`.

        Args:
            path: As `shared_path` names it.
            magic: Tells what it is.
            layout: Tells how its bytes are to be read.
            content: What is in a new one; every one has as many bytes.

        Raises:
            LayoutError: Another version's, another user's, or it cannot be made.
        """
        try:
            private_folder(path.parent)
            with exclusive(_lock_file(path)):
                fd = _found(path, magic, layout, len(content))
                if fd is None:
                    fd = _made(path, _COMMON_HEAD.size + len(content))[0]
                    os.pwrite(fd, _COMMON_HEAD.pack(magic, layout, len(content)) + content, 0)
                    fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError as error:
            raise LayoutError(f"{error.filename or path}: {error.strerror}") from None
        return cls(path, fd)

    def acquire(self) -> bool:
        """Hold the lock -> False when another process does, and goes on doing so for a while."""
        for _ in range(_COMMON_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.sched_yield()
            else:
                return True
        return False

    def release(self) -> None:
        """Give the lock back; the kernel does it for a process that dies."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from `at` on, fewer where the file was cut short."""
        return os.pread(self._fd, size, _COMMON_HEAD.size + at)

    def write(self, at: int, data: bytes) -> None:
        """Put bytes at a place; `OSError` where they do not go in."""
        os.pwrite(self._fd, data, _COMMON_HEAD.size + at)

    def replaced(self) -> bool:
        """Whether the path now holds another file (or none)."""
        try:
            return _identity(os.stat(self.path)) != self._identity
        except OSError:
            return True

    def close(self) -> None:
        """Close it. Do not use the object afterwards."""
        os.close(self._fd)


def _found(path: Path, magic: int, layout: int, size: int) -> int | None:
    """The descriptor of a common file that is there; one that was not finished is removed."""
    try:
        fd = _opened(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        head = os.pread(fd, _COMMON_HEAD.size, 0)
        if len(head) == _COMMON_HEAD.size and _COMMON_HEAD.unpack(head) == (magic, layout, size):
            return fd
        if head.strip(b"\0"):
            raise LayoutError(f"{path}: not of this version; stop what uses it and remove the file")
        _target(path).unlink()
        path.unlink(missing_ok=True)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


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


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _lock_file(path: Path) -> Path:
    """Who makes or removes a table is alone at it."""
    return path.with_name(f".{path.name}{_LOCK_SUFFIX}")


def _target(path: Path) -> Path:
    """Where the table of a place in the data folder lies."""
    found = os.lstat(path)
    if not stat.S_ISLNK(found.st_mode):
        return path
    if found.st_uid != os.geteuid():
        raise LayoutError(f"{path} is a symlink of user {found.st_uid}; remove it")
    return path.parent / os.readlink(path)


def _opened(path: Path, flags: int) -> int:
    """The table's descriptor; `FileNotFoundError`, or `LayoutError` when others may touch it."""
    try:
        return open_file(_target(path), flags)
    except UnsafePathError as error:
        raise LayoutError(str(error)) from None


def _taken_over(
    path: Path, magic: int, layout: int, shape: tuple[int, ...], size: int
) -> tuple[int | None, int]:
    """(the locked table that was there, if it fits; the generation that readers of it know)."""
    try:
        fd = _opened(path, os.O_RDWR)
    except FileNotFoundError:
        return None, 0
    try:
        _lock(fd, path)
        old = _head(fd)
        _check_magic(path, old, magic, layout)
        found = tuple(old[SHAPE:8].tolist()), int(old[LAYOUT])
        blank = old[MAGIC] == 0  # its maker died
        if os.fstat(fd).st_size == size and (blank or found == (shape, layout)):
            return fd, int(old[GENERATION])
        _retire(path, fd, old)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None, 0 if blank else int(old[GENERATION])


def _made(path: Path, size: int) -> tuple[int, bool]:
    """A new, locked table under its place in the data folder; whether memory had no room for it."""
    aside = path.with_name(f".{path.name}.{random_word(8)}")
    if _SHM.is_dir():
        target = _SHM / f"{_PREFIX}{random_word(16)}-{path.name}"
        aside.symlink_to(target)  # first: what is named here is found and removed
        with suppress(OSError):  # too small, not for us to write: then on disk
            return _placed(target, aside, path, size), False
    return _placed(aside, aside, path, size), True


def _placed(target: Path, aside: Path, path: Path, size: int) -> int:
    """Allocate (a store into a hole of a full disk is SIGBUS), lock, and give it its name."""
    try:
        fd = create_file(target)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(fd, 0, size)
            aside.rename(path)
        except BaseException:
            os.close(fd)
            target.unlink()
            raise
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return fd


def _remove_unwritten(entry: Path) -> None:
    try:
        target = _target(entry)
        fd = _opened(entry, os.O_RDONLY)
    except FileNotFoundError:
        entry.unlink(missing_ok=True)  # a symlink whose table has gone
        return
    try:
        if _is_unlocked(fd):
            target.unlink(missing_ok=True)
            entry.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _head(fd: int) -> npt.NDArray[np.int64]:
    return np.frombuffer(bytearray(os.pread(fd, 72, 0).ljust(72, b"\0")), np.int64)


def _retire(path: Path, fd: int, head: npt.NDArray[np.int64]) -> None:
    """Void what readers of a file hold, then take its names away."""
    head[GENERATION] += 1
    os.pwrite(fd, head[GENERATION].tobytes(), 8 * GENERATION)
    _target(path).unlink()
    path.unlink(missing_ok=True)


def _is_unlocked(fd: int) -> bool:
    """Whether no writer holds the lock; if so, `fd` holds it, until it is closed or unlocked."""
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
