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

from ipc.messages import Environment
from processes.runtime.config import ConfigError, Settings, load_settings

__all__ = ["LOCK_NAME", "check_ports", "hold_lock", "settings_below"]

LOCK_NAME: Final = "stack.lock"
_held: dict[Path, int] = {}  # supervisord runs its start again on SIGHUP, in the same process


def settings_below(root: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that programs started in `root` will see; `ConfigError`."""
    data_dir = Path(environ.get("RL_DATA_DIR", "").strip() or "var").expanduser()
    return load_settings({**environ, "RL_DATA_DIR": str(root / data_dir)})


def hold_lock(data_dir: Path) -> None:
    """Own a data folder for the life of this process; `ConfigError` when another stack does."""
    if data_dir in _held:
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={data_dir} cannot be written: {error.strerror}; choose a writable folder"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        raise ConfigError(
            f"RL_DATA_DIR={data_dir} is in use by another stack (pid {owner}); "
            "stop that one or choose another folder"
        ) from None
    os.truncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    _held[data_dir] = fd


def _ports(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """(variable, host, port) of everything that this stack will listen on."""
    yield "RL_BROADCASTER_PORT", settings.broadcaster.host, settings.broadcaster.port
    if settings.environment is Environment.SIMULATED:
        yield "RL_EXCHANGE_PORT", "127.0.0.1", settings.exchange.port
        yield "RL_EXCHANGE_ADMIN_PORT", "127.0.0.1", settings.exchange.admin_port


def check_ports(settings: Settings, patience_s: float = 4.0) -> None:
    """`ConfigError` for a port that stays occupied.

    Programs of a stack whose supervisord was killed need a moment to notice, hence the patience.
    """
    for variable, host, port in _ports(settings):
        for attempt in range(int(patience_s * 10) + 1):
            problem = _bind_problem(host, port)
            if problem != errno.EADDRINUSE:
                break
            if attempt < patience_s * 10:
                threading.Event().wait(0.1)
        if problem:
            raise ConfigError(
                f"{variable}={port} on {host} cannot be used: {os.strerror(problem).lower()}; "
                "choose a free port"
            )


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
