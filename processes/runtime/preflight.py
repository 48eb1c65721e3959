"""What must be true before any process of a stack starts: settings, data folder, ports."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ipc.endpoints import socket_folder
from ipc.messages import Environment
from ipc.places import default_data_dir
from ipc.private_files import UnsafePathError, data_folder, open_or_create
from ipc.shared_file import has_writer, shared_path
from processes.runtime.config import ConfigError, Settings, load_settings

__all__ = [
    "LOCK_NAME",
    "check_folders",
    "check_free",
    "check_idle",
    "control_socket",
    "data_dir_below",
    "hold_lock",
    "settings_below",
]

LOCK_NAME: Final = "stack.lock"
_FOLDERS: Final = ("exchange", "journal", "pg", "sockets")  # of a data folder, made by programs
_TABLES: Final = ("books", "accounts")  # of shared memory, each with one writer
_RETRY_S: Final = 0.1
_held: dict[Path, int] = {}  # supervisord runs its start again on SIGHUP, in the same process


def data_dir_below(root: Path, environ: Mapping[str, str]) -> Path:
    """The data folder that programs started in `root` will use."""
    return root / Path(environ.get("RL_DATA_DIR", "").strip() or default_data_dir()).expanduser()


def settings_below(root: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that programs started in `root` will see; `ConfigError`."""
    return load_settings({**environ, "RL_DATA_DIR": str(data_dir_below(root, environ))})


def control_socket(data_dir: Path) -> Path:
    """Where supervisord listens for `supervisorctl`."""
    return socket_folder(data_dir) / "supervisor.sock"


def hold_lock(data_dir: Path) -> None:
    """Own a data folder for the life of this process; safe to repeat.

    Args:
        data_dir: The folder; made when missing.

    Raises:
        ConfigError: Another stack owns it, or it cannot be used or written.
    """
    if data_dir in _held:
        return
    try:
        data_folder(data_dir)
        fd = open_or_create(data_dir / LOCK_NAME)
    except UnsafePathError as error:
        raise ConfigError(f"RL_DATA_DIR={data_dir} cannot be used: {error}") from None
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={data_dir} cannot be written: {error.strerror}; choose a writable folder"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(fd)
        os.close(fd)
        raise ConfigError(_in_use(data_dir, owner)) from None
    os.truncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    _held[data_dir] = fd


def check_idle(data_dir: Path) -> None:
    """`ConfigError` when a stack uses the data folder, unless its supervisord asks. Takes nothing.

    A folder without a lock file, or one that cannot be read, is for `hold_lock` to judge.
    """
    try:
        fd = os.open(data_dir / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if (owner := _owner(fd)) != str(os.getppid()):
            raise ConfigError(_in_use(data_dir, owner)) from None
    finally:
        os.close(fd)


def _owner(fd: int) -> str:
    return os.pread(fd, 32, 0).decode(errors="replace").strip()


def _in_use(data_dir: Path, owner: str) -> str:
    return (
        f"RL_DATA_DIR={data_dir} is in use by another stack (pid {owner}); "
        "stop that one or choose another folder"
    )


def check_folders(data_dir: Path) -> None:
    """`ConfigError` for a part of the data folder that another user's stack, or a file, is."""
    for folder in (data_dir / name for name in _FOLDERS):
        usable = folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
        if folder.exists() and not usable:
            raise ConfigError(
                f"RL_DATA_DIR={data_dir} cannot be used: {folder} must be a folder that this user "
                "may write; remove it or choose another data folder"
            )


def _ports(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """(variable, host, port) of everything that this stack will listen on."""
    yield "RL_BROADCASTER_PORT", settings.broadcaster.host, settings.broadcaster.port
    if settings.environment is Environment.SIMULATED:
        yield "RL_EXCHANGE_PORT", "127.0.0.1", settings.exchange.port
        yield "RL_EXCHANGE_ADMIN_PORT", "127.0.0.1", settings.exchange.admin_port


def check_free(settings: Settings, patience_s: float = 4.0) -> None:
    """Check that the ports and shared tables of a stack are free.

    Programs of a stack whose supervisord was killed need a moment to notice, hence the patience.

    Args:
        settings: Of the stack.
        patience_s: How long to wait for what is in use, in seconds.

    Raises:
        ConfigError: A port or a table stays in use, or a port is given twice.
    """
    _refuse_twins(settings)
    for attempt in range(int(patience_s / _RETRY_S) + 1):
        problem = _first_problem(settings)
        if problem is None:
            return
        if attempt * _RETRY_S < patience_s:
            threading.Event().wait(_RETRY_S)
    raise ConfigError(problem)


def _refuse_twins(settings: Settings) -> None:
    taken: dict[int, str] = {}
    for variable, _, port in _ports(settings):
        if port and port in taken:
            raise ConfigError(f"{variable}={port} is {taken[port]} too; choose another port")
        taken[port] = variable


def _first_problem(settings: Settings) -> str | None:
    for variable, host, port in _ports(settings):
        if code := _bind_problem(host, port):
            reason = os.strerror(code).lower()
            return f"{variable}={port} on {host} cannot be used: {reason}; choose a free port"
    for name in _TABLES:
        path = shared_path(settings.data_dir, name)
        if has_writer(path):
            return f"RL_DATA_DIR={settings.data_dir}: a program of another stack writes {path}"
    return None


def _bind_problem(host: str, port: int) -> int:
    """0 when a server could listen there now, else the errno."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return 0
