"""The stack on other machines than this one: it trades, or says one line that names the way out."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.machine import ACCOUNTS, ROOT_LINE, Machine, missing
from support.stack import CHECKOUT, ROOT, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

Start = Callable[..., Stack]
STRANGER = 4321  # a uid without an account here
READY = "database system is ready to accept connections"
PYTHON = (str(ROOT), sys.prefix, sys.base_prefix)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Start]:
    """Starts stacks on machines, skips where such a machine cannot be made, leaves none behind."""
    started: list[Stack] = []

    def start(machine: Machine, folder: Path = tmp_path / "stack", **environ: str) -> Stack:
        require(machine)
        stack = Stack(folder, **environ)
        stack.around = machine.around
        started.append(stack)
        if machine.uid:
            own_checkout(folder, machine.uid)  # its log stays ours: it can write, but not open it
        stack.start()
        return stack

    yield start
    for stack in started:
        stack.close()


def require(machine: Machine) -> None:
    if reason := missing(machine):
        pytest.skip(reason)


def own_checkout(folder: Path, uid: int) -> None:
    """A copy that belongs to the user, its compiled kernels too."""
    ignored = shutil.ignore_patterns("node_modules", "src")
    folder.mkdir(parents=True)
    for name in CHECKOUT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["chown", "-R", f"{uid}:{uid}", str(folder)], check=True)


def assert_trades(stack: Stack) -> None:
    assert stack.next_action()
    code, _ = stack.stop()
    assert code == 0, stack.said
    assert "Traceback" not in stack.said


def test_as_root_where_no_account_has_uid_1000(stack: Start) -> None:
    """In a bare container: memory for the tables and little else, and no umask."""
    machine = Machine(accounts=ACCOUNTS, memory="16m", umask=0)
    assert_trades(stack(machine))


def test_as_root_where_user_namespaces_are_forbidden(stack: Start) -> None:
    """The server's own files are another account's; the folders around them stay root's."""
    running = stack(Machine(namespaces=False))
    assert running.next_action()
    pg = running.data_dir / "pg"
    around = (running.data_dir, pg, pg / "sock", running.data_dir / "pg.pass")
    own = (pg / "data18", pg / "postgres.log", pg / "sock" / ".s.PGSQL.5432")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {(path.stat().st_uid, path.stat().st_mode & 0o077) for path in around} == {(0, 0)}
    assert {(path.stat().st_uid, path.stat().st_mode & 0o077) for path in own} == {(nobody, 0)}
    assert_trades(running)


def test_as_an_ordinary_user_without_account_home_and_path(stack: Start, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    shown = (*PYTHON, str(folder))
    machine = Machine(uid=STRANGER, shown=shown, unset=("HOME", "PATH"))
    assert_trades(stack(machine, folder))


def test_without_memory_worth_the_name(stack: Start) -> None:
    """Its tables lie on disk, each says so once, and it trades."""
    running = stack(Machine(memory="64k"))
    assert_trades(running)
    warnings = [line for line in running.said.splitlines() if "table_on_disk" in line]
    assert sorted(line.split("table=")[1].split()[0] for line in warnings) == ["accounts", "books"]
    assert all("docker run --shm-size" in line for line in warnings)


def test_two_stacks_of_one_checkout(stack: Start, tmp_path: Path) -> None:
    """Apart by their data folder and ports alone."""
    here = Machine()
    first = stack(here, RL_DATA_DIR=str(tmp_path / "one"))
    second = stack(here, RL_DATA_DIR=str(tmp_path / "two"))
    first.data_dir, second.data_dir = tmp_path / "one", tmp_path / "two"
    assert first.next_action()
    assert second.next_action()
    assert pids_of(first).isdisjoint(pids_of(second))
    assert_trades(first)
    assert second.info("recorder")["statename"] == "RUNNING"
    assert_trades(second)


def pids_of(stack: Stack) -> set[str]:
    """What `supervisorctl` says when it is called in the stack's environment."""
    program = str(Path(sys.executable).parent / "supervisorctl")
    command = [program, "-c", str(stack.configuration), "pid", "base:postgres", "rl:recorder"]
    environ = {**stack.environ, "RL_DATA_DIR": str(stack.data_dir)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    pids = set(done.stdout.split())
    assert pids == {str(stack.info(name)["pid"]) for name in ("postgres", "recorder")}
    return pids


@pytest.fixture
def shared_temp() -> Iterator[Path]:
    """A temporary directory where everybody may make names."""
    folder = Path(tempfile.mkdtemp(prefix="m"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def test_names_in_a_shared_folder_that_another_user_made(
    stack: Start, tmp_path: Path, shared_temp: Path
) -> None:
    """What a digest of the path of a long data folder could name."""
    folder = tmp_path / ("long" * 20) / "stack"
    taken = [
        shared_temp / f"{prefix}-{os.getuid()}-{digest(folder / 'data' / part)}"
        for prefix, part in (("kalshi-actor-pg", "pg/sock"), ("kalshi-actor", "sockets"))
    ]
    require(Machine())
    for path in taken:
        path.mkdir()
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o777)
    running = stack(Machine(), folder, TMPDIR=str(shared_temp), XDG_RUNTIME_DIR="")
    assert running.next_action()
    assert [path for path in taken if [*path.iterdir()]] == []
    assert_trades(running)


def digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def server(machine: Machine, data_dir: Path, *before: str) -> subprocess.Popen[str]:
    """The embedded PostgreSQL alone."""
    require(machine)
    environ = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    program = (sys.executable, "-m", "processes.adapters.postgres.server")
    return subprocess.Popen(
        machine.around(*before, *program),
        cwd=ROOT,
        env={**environ, "RL_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("machine", "before", "line"),
    [
        (
            Machine(accounts=ROOT_LINE),
            (),
            "PostgreSQL does not run as root, and /etc/passwd has no other account; "
            "add one (useradd nobody)",
        ),
        (
            Machine(namespaces=False, uid=STRANGER),
            (),
            f"uid {STRANGER} has no account, which PostgreSQL needs, and user namespaces are "
            "forbidden here; add a line for it to /etc/passwd",
        ),
        (
            Machine(namespaces=False),
            ("/usr/bin/setpriv", "--bounding-set=-dac_override"),
            "PostgreSQL does not run as root, and cannot run as nobody here (Operation not "
            "permitted); start the stack as an ordinary user",
        ),
        (Machine(memory="4m"), (), "/pg/data18 cannot be made: could not "),
    ],
    ids=["no other account", "no account", "no passage", "no room"],
)
def test_a_database_that_cannot_run_says_why(
    tmp_path: Path, machine: Machine, before: tuple[str, ...], line: str
) -> None:
    if before and not Path(before[0]).exists():
        pytest.skip(f"needs {before[0]}")
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, machine.uid, machine.uid)
    if machine.memory:
        data = Path("/dev/shm/data")
    shown = (*PYTHON, str(data)) if machine.uid else ()
    process = server(replace(machine, shown=shown), data, *before)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert said.startswith("postgres: ")
    assert line in said
    assert "removing" not in said, "what initdb does after its reason"
    assert said.rstrip().endswith("or set DATABASE_URL to a PostgreSQL of your own")
    assert len(said.splitlines()) == 1


def test_a_database_of_root_goes_on_on_another_machine(tmp_path: Path) -> None:
    """Without memory, then without namespaces, then with all of it: one data folder.

    Earlier versions gave `nobody` all of pg/ and opened the data folder so that it could pass.
    """
    pg, log = tmp_path / "pg", tmp_path / "pg" / "postgres.log"
    for machine in (Machine(memory="64k"), Machine(namespaces=False), Machine()):
        if not machine.namespaces:
            subprocess.run(["chown", "-R", "nobody", str(pg)], check=True)
            tmp_path.chmod(0o711)
        process = server(machine, tmp_path)
        try:
            eventually(lambda: log.exists() and READY in log.read_text(), "it is ready")
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert {p.stat().st_mode & 0o7777 for p in (tmp_path, pg, pg / "sock")} == {0o700}
        assert {p.stat().st_uid for p in (tmp_path, pg, pg / "sock")} == {0}
        log.rename(tmp_path / "old.log")
