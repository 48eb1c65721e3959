"""What all tests share: property tests without deadlines, the same examples every time."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from support.postgres import Database, PostgresServer

from ipc import shared_file

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("hunt", deadline=None, max_examples=2_000)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """What a test writes into a data folder is private, as what the programs write there is."""
    os.umask(0o077)
    os.environ.setdefault("SUPERVISOR_ENABLED", "1")  # what a test starts ends with it


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
