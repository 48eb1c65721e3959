"""What all tests share: property tests without deadlines, the same examples every time."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from support.leftovers import kill_all, tables_of
from support.postgres import Database, PostgresServer

from ipc import shared_file
from processes.runtime.run import PARENT_VARIABLE

os.environ[PARENT_VARIABLE] = str(os.getpid())  # no program of ours outlives a run that is killed

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("hunt", deadline=None, max_examples=2_000)
settings.load_profile("house")


LONGEST_ROOT = 16  # bytes of the temporary folder: sockets below it have 107 in all


def pytest_configure() -> None:
    """What tests write is private, as it is for programs; sockets need a short temporary folder.

    Programs under test do not inherit that a run in the background ignores interrupts.
    """
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `nohup make test &` ignores it
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_ROOT:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/tmp")


# What takes long begins first, so that nothing long is left to one worker at the end.
FIRST = ("parity", "test_end_to_end.py", "faults", "replay", "contract", "browser")


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are taken out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole stacks, then single programs, then all the rest; else as they were found.

    Of a test with the mark `sample(n)` the first n cases are run by `make test`, the others by
    `make test-faults`: they start programs to see the same thing again with other values.
    """
    seen = Counter[tuple[Path, str]]()
    for item in items:
        if (sample := item.get_closest_marker("sample")) is not None:
            name = item.path, getattr(item, "originalname", item.name)
            seen[name] += 1
            if seen[name] > sample.args[0]:
                item.add_marker(pytest.mark.slow)
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    here = Path(__file__).parent
    items.sort(key=lambda i: ranks.get(i.path.relative_to(here).parts[0], len(FIRST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long, and on which chance, the tests that draw lots go on."""
    parser.addoption("--rounds", type=int, default=4, help="of tests that kill at random (4)")
    parser.addoption("--seed", type=int, default=1, help="of tests that draw lots (1)")


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> int:
    """How many rounds of kills were asked for."""
    asked: int = pytestconfig.getoption("rounds")
    return asked


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """The seed that was asked for."""
    asked: int = pytestconfig.getoption("seed")
    return asked


@contextmanager
def memory_of_its_own() -> Iterator[None]:
    """Tables that are made in this process lie in a folder that goes with them."""
    with (
        tempfile.TemporaryDirectory(prefix="kalshi-actor-tests-", dir="/dev/shm") as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(shared_file, "_SHM", Path(folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def memory_of_the_run() -> Iterator[None]:
    """For what lives longer than a test."""
    with memory_of_its_own():
        yield


@pytest.fixture(autouse=True)
def memory_of_the_test(memory_of_the_run: None) -> Iterator[None]:
    """For a test's own tables: they do not add up over a run."""
    with memory_of_its_own():
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end none of this process's tests has left a program or a table behind."""
    yield
    folder = tmp_path_factory.getbasetemp()
    programs = kill_all(folder)
    tables = list(tables_of(folder))
    for table in tables:
        table.unlink()
    assert (programs, tables) == ({}, [])


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's own, but with a short name: sockets are made in it."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One embedded server for the whole run."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop(signal.SIGQUIT)  # what is thrown away needs no checkpoint


@pytest.fixture
def database(postgres_server: PostgresServer) -> Database:
    """A database of this test's own, migrated."""
    return postgres_server.create()


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Database:
    """A database of this test's own, without any table."""
    return postgres_server.create("template0")
