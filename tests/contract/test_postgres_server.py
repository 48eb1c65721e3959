"""The embedded server's launcher, with what an earlier one left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.postgres import PostgresServer

from processes.adapters.postgres import server
from processes.adapters.postgres.location import pg_folder, socket_folder
from processes.runtime.config import ConfigError


def cluster(data_dir: Path) -> Path:
    return pg_folder(data_dir) / server.DATA


@pytest.fixture
def stopped(tmp_path: Path) -> PostgresServer:
    """A server that has run, and ended."""
    one = PostgresServer(tmp_path)
    one.start()
    one.stop()
    return one


def test_lock_files_whose_pid_is_another_stack_s_server_now_do_not_hinder(
    stopped: PostgresServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """After a power cut both files are left, and pids are given out again."""
    theirs = (cluster(postgres_server.data_dir) / "postmaster.pid").read_text()
    pid, _, rest = theirs.partition("\n")
    left = f"{pid}\n{cluster(tmp_path)}\n{rest.partition(chr(10))[2]}"
    (cluster(tmp_path) / "postmaster.pid").write_text(left)
    (socket_folder(tmp_path) / ".s.PGSQL.5432.lock").write_text(left)
    stopped.start()
    stopped.stop()
    assert server._serves(int(pid), cluster(postgres_server.data_dir)), "and it runs on"


def test_a_copy_of_a_data_folder_in_use_is_a_folder_of_its_own(
    stopped: PostgresServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """The copy's pid file names the original's server, its memory too."""
    theirs = cluster(postgres_server.data_dir) / "postmaster.pid"
    shutil.copy(theirs, cluster(tmp_path) / "postmaster.pid")
    stopped.start()
    stopped.stop()


async def test_a_server_of_this_folder_that_does_not_end_is_refused(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OLD_SERVER_PATIENCE", 0.0)
    data = cluster(postgres_server.data_dir)
    with pytest.raises(ConfigError, match=r"an earlier PostgreSQL \(pid \d+\) still uses "):
        await server._wait_for_predecessor(data, socket_folder(postgres_server.data_dir))
    assert (data / "postmaster.pid").exists()


def test_children_of_a_killed_server_are_seen_by_their_memory(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    pid_file = cluster(postgres_server.data_dir) / "postmaster.pid"
    assert server._has_children(pid_file)
    copy = tmp_path / "postmaster.pid"
    shutil.copy(pid_file, copy)
    assert not server._has_children(copy), "the block of another folder"


def test_a_server_in_single_user_mode_is_known_by_its_pid_too(tmp_path: Path) -> None:
    """It writes the pid with a minus; one whose launcher was killed is waited for."""
    lock = tmp_path / "postmaster.pid"
    lock.write_text("-4321\n/data\n")
    assert server._pid_in(lock) == 4321


INITDB = """\
2026-11-30 15:54:31.484 UTC [12899] FATAL:  could not resize shared memory segment: No space left
2026-11-30 15:54:31.484 UTC [12899] PANIC:  cannot abort transaction 1
Aborted
child process exited with exit code 134
initdb: removing data directory "/x"
"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (INITDB, "could not resize shared memory segment: No space left"),
        ('initdb: error: could not create directory "/x": No\n', 'could not create directory "/x"'),
        ("Illegal instruction\n", "Illegal instruction"),
        ("", "initdb ended with -4 and said nothing"),
    ],
)
def test_the_first_error_of_initdb_is_its_reason(said: str, reason: str) -> None:
    assert server._reason(said, "initdb", -4).startswith(reason)
