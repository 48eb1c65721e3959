"""Folders and files that belong to this user alone, whatever the umask and whatever was there.

Modes are set, never inherited. What exists already is looked at through its descriptor before it is
used: what it is, whose it is, and who else may touch it. A symlink in the place of a file is never
followed; one in the place of a folder only where this user (or root) made it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ipc.errors import KalshiActorError

__all__ = [
    "UnreadableFileError",
    "UnsafePathError",
    "create_file",
    "data_folder",
    "exclusive",
    "open_file",
    "open_or_create",
    "private_folder",
    "random_word",
    "read_file",
    "read_json",
    "short_folder",
    "write_file",
]

MOST_JSON_BYTES: Final = 1_048_576
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_PARENT_MODE: Final = 0o711  # of folders made above a data folder: they hold nothing else
_OTHERS: Final = 0o077
_MAX_UNIX_PATH: Final = 107  # bytes of sockaddr_un.sun_path
_PREFIX: Final = "kalshi-actor-"
_LOCK_PATIENCE_S: Final = 5.0
_LOCK_PAUSE_S: Final = 0.005
_PARTS: Final = frozenset(  # what a data folder holds; any of them identifies one
    {
        *("stack.lock", "exchange", "journal", "pg", "sockets", "tables", "run"),
        *("models", "archive", "import", "training", ".gitkeep"),
    }
)

Record = TypeVar("Record")


class UnsafePathError(KalshiActorError, ValueError):
    """A path that another user made or may change: what is wrong with it, and the way out."""


class UnreadableFileError(KalshiActorError, ValueError):
    """What a file of ours holds cannot be used: why, in one line and without its path."""


def private_folder(path: Path) -> Path:
    """Make a folder below the data folder, parents too, or check the one that is there.

    One of this user's that others may enter, as earlier versions made them, is closed to them.

    Args:
        path: The folder; a symlink in its place must be this user's or root's.

    Returns:
        `path`.

    Raises:
        UnsafePathError: It is another user's, or a shared one such as /tmp.
        OSError: It cannot be made, or is no folder.
    """
    _make_missing(path, FOLDER_MODE)
    os.close(_checked_folder(path))
    return path


def data_folder(path: Path) -> Path:
    """Make the data folder, or check and close the one that is there, with what lies in it.

    Args:
        path: The folder; missing parents are made with mode 0711.

    Returns:
        `path`.

    Raises:
        UnsafePathError: It is another user's, a shared one such as /tmp, or one that others may
            enter and that holds other things than a data folder does: closing it might break what
            else lives there.
        OSError: It cannot be made, or is no folder.
    """
    _make_missing(path.parent, _PARENT_MODE)
    _make_missing(path, FOLDER_MODE)
    os.close(_checked_folder(path, adopt=False))
    for part in path.iterdir():
        _close_part(part)
    return path


def random_word(size: int) -> str:
    """`size` random bytes of the operating system, in hexadecimal: for names and passwords."""
    return secrets.token_hex(size)


def create_file(path: Path, flags: int = os.O_RDWR) -> int:
    """Make a new file of mode 0600, whatever the umask.

    Args:
        path: The file; a symlink in its place is never followed.
        flags: How to open it, as for `os.open`.

    Returns:
        Its descriptor.

    Raises:
        FileExistsError: Something has the name.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(fd, FILE_MODE)
    return fd


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that must be this user's alone.

    Args:
        path: The file.
        flags: How to open it, as for `os.open`.

    Returns:
        Its descriptor.

    Raises:
        FileNotFoundError: There is none.
        UnsafePathError: It is another user's, others may read or write it, or it is a symlink or
            no file.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafePathError(f"{path} is a symlink where a file belongs; remove it") from None
        if error.errno in (errno.EACCES, errno.ENXIO, errno.EISDIR):
            _check_file(path, os.lstat(path))
        raise
    try:
        _check_file(path, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_or_create(path: Path, flags: int = os.O_RDWR) -> int:
    """Open as `open_file` does, or make the file where there is none.

    Two processes that come at once get the same file: who loses the race opens the other's.

    Returns:
        Its descriptor.

    Raises:
        UnsafePathError: As of `open_file`.
    """
    while True:
        with suppress(FileNotFoundError):
            return open_file(path, flags)
        with suppress(FileExistsError):
            return create_file(path, flags)


def read_file(path: Path) -> bytes:
    """What a private file holds; errors as of `open_file`."""
    with os.fdopen(open_file(path), "rb") as file:
        return file.read()


def read_json(path: Path, kind: type[Record], most_bytes: int = MOST_JSON_BYTES) -> Record | None:
    """What a private file of JSON holds; None where there is no file.

    Args:
        path: Of the file.
        kind: Of the whole.
        most_bytes: How large it may be.

    Raises:
        UnreadableFileError: It cannot be read, is larger, or holds something else.
    """
    try:
        content = read_file(path)
        if len(content) > most_bytes:
            raise ValueError(f"it has {len(content)} bytes; allowed: {most_bytes}")
        return msgspec.json.decode(content, type=kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFileError(" ".join(str(error).split())) from None


def write_file(path: Path, content: bytes) -> None:
    """Make or replace a private file; a reader has the old content whole, or the new.

    The content is on disk before the name changes, so a crash leaves one or the other.

    Args:
        path: The file; its folder must exist.
        content: All of it.

    Raises:
        OSError: It cannot be written; the old file stays.
    """
    aside = path.with_name(f".{path.name}.{random_word(4)}")
    try:
        with os.fdopen(create_file(aside, os.O_WRONLY), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, patience_s: float = _LOCK_PATIENCE_S) -> Iterator[None]:
    """Hold the lock of a private file while the block runs.

    The kernel releases the lock when the process dies. Not reentrant: the same process that asks
    again waits for itself.

    Args:
        path: The lock file; made when missing, never removed.
        patience_s: How long to wait for another process, in seconds.

    Raises:
        TimeoutError: Another process kept it.
        UnsafePathError: As of `open_file`.
    """
    fd = open_or_create(path)
    try:
        for _ in range(int(patience_s / _LOCK_PAUSE_S)):
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            threading.Event().wait(_LOCK_PAUSE_S)
        else:
            raise TimeoutError(errno.ETIMEDOUT, "another process holds its lock", str(path))
        yield
    finally:
        os.close(fd)


def short_folder(wanted: Path, longest_name: int, memo: Path) -> Path:
    """Find a private folder for sockets, whose paths may have 107 bytes and no more.

    Args:
        wanted: The answer where a name of `longest_name` bytes fits behind it; not made here.
        longest_name: Bytes of the longest name of a socket.
        memo: File of the data folder that remembers the other answer, so that all processes find
            the same: a folder with a random name, below XDG_RUNTIME_DIR or the temporary
            directory. One that has gone, or that another user made meanwhile, is replaced.

    Raises:
        UnsafePathError: No folder is short enough, or `memo` is not this user's alone.
        TimeoutError: Another process kept the lock of `memo`.
    """
    wanted = wanted.absolute()
    if len(os.fsencode(wanted)) + 1 + longest_name <= _MAX_UNIX_PATH:
        return wanted
    if found := _remembered(memo):
        return found
    private_folder(memo.parent)
    with exclusive(memo.with_name(memo.name + ".lock")):
        if found := _remembered(memo):  # another process was first
            return found
        made = _random_folder(longest_name)
        write_file(memo, os.fsencode(made))
        return made


def _remembered(memo: Path) -> Path | None:
    try:
        path = Path(os.fsdecode(read_file(memo)))
    except (OSError, ValueError) as error:
        if isinstance(error, UnsafePathError):
            raise
        return None
    return path if path.is_absolute() and _is_private(path) else None


def _random_folder(longest_name: int) -> Path:
    """mkdtemp makes it with mode 0700 and refuses whatever has the name."""
    bases = [Path(tempfile.gettempdir()), Path("/tmp")]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_private(Path(runtime)):
        bases.insert(0, Path(runtime))
    for base in bases:
        length = len(os.fsencode(base)) + len(f"/{_PREFIX}12345678/") + longest_name
        if length <= _MAX_UNIX_PATH and os.access(base, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    raise UnsafePathError(
        f"no folder for sockets: their paths have at most {_MAX_UNIX_PATH} bytes; choose a data "
        "folder with a shorter path or make XDG_RUNTIME_DIR a folder of your own (mode 0700)"
    )


def _is_private(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    mine = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
    return mine and stat.S_ISDIR(found.st_mode)


def _make_missing(path: Path, mode: int) -> None:
    """Folders that are not there, from the top down, each with its mode set."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(folder, mode)
            os.chmod(folder, mode)


def _checked_folder(path: Path, *, adopt: bool = True) -> int:
    """The descriptor of a folder of this user's, closed to others; `adopt`: whatever it holds."""
    link = os.lstat(path)
    if stat.S_ISLNK(link.st_mode):
        if link.st_uid not in (0, os.geteuid()):
            raise _foreign(path, link.st_uid)
        path = path.resolve()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        if (owner := os.lstat(path).st_uid) != os.geteuid():
            raise _foreign(path, owner) from None
        raise
    try:
        _close_to_others(path, fd, adopt=adopt)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _close_to_others(path: Path, fd: int, *, adopt: bool) -> None:
    found = os.fstat(fd)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        raise _foreign(path, found.st_uid)
    if not mode & _OTHERS:
        return
    held = set(os.listdir(fd))
    if mode & stat.S_ISVTX or (not adopt and held and not held & _PARTS):
        raise UnsafePathError(
            f"{path} has mode {mode:04o}, others may use it, and it holds other things than a data "
            f"folder does; choose a folder of its own, or close this one: chmod 700 {path}"
        )
    os.fchmod(fd, FOLDER_MODE)


def _close_part(path: Path) -> None:
    """What an earlier version, or a copy by hand, left open to others in a data folder."""
    with suppress(FileNotFoundError):  # it went meanwhile
        found = os.lstat(path)
        is_folder = stat.S_ISDIR(found.st_mode)
        wanted = FOLDER_MODE if is_folder else FILE_MODE
        if not is_folder and not stat.S_ISREG(found.st_mode):
            return
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fchmod(fd, wanted)
            finally:
                os.close(fd)


def _check_file(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePathError(f"{path} is no file; remove it")
    if found.st_uid != os.geteuid():
        raise _foreign(path, found.st_uid)
    if mode & _OTHERS:
        raise UnsafePathError(
            f"{path} has mode {mode:04o}, others may use it; allowed: 0600 (chmod 600 {path})"
        )


def _foreign(path: Path, owner: int) -> UnsafePathError:
    return UnsafePathError(
        f"{path} belongs to user {owner}, not to {os.geteuid()} who runs this; "
        "remove it or choose another data folder"
    )
