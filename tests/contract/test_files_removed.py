"""Somebody removes a table, a journal or a socket under a running process: it notices and ends.

Exit code 1 is what supervisord answers with another start, which makes all of them again.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.exchange import Exchange, running_exchange
from support.execution_process import running_execution
from support.logged import events
from support.orders import intent
from support.patience import PATIENCE
from support.recorder_process import RecorderProcess, eventually
from support.running_collector import RunningCollector, running_collector

from ipc import book as b
from ipc.endpoints import socket_folder
from ipc.journal import list_streams
from ipc.messages import OrderStatus
from ipc.shared_file import shared_path

pytestmark = pytest.mark.slow

Remove = Callable[[Path], Path]  # removes something below a data folder -> its place


def table_in_memory(name: str) -> Remove:
    """The table itself, in /dev/shm; the link to it stays."""

    def remove(data_dir: Path) -> Path:
        place = shared_path(data_dir, name)
        place.resolve().unlink()
        return place

    return remove


def link_to_table(name: str) -> Remove:
    def remove(data_dir: Path) -> Path:
        place = shared_path(data_dir, name)
        place.unlink()
        return place

    return remove


def journal(producer: str, *, pattern: str = "") -> Remove:
    """The journal's folder, or the newest file of it."""

    def remove(data_dir: Path) -> Path:
        (folder,) = [f for name, _, f in list_streams(data_dir) if name == producer]
        if not pattern:
            shutil.rmtree(folder)
            return folder
        file = sorted(folder.glob(pattern))[-1]
        file.unlink()
        return file

    return remove


def socket_of(name: str) -> Remove:
    def remove(data_dir: Path) -> Path:
        place = socket_folder(data_dir) / f"{name}.sock"
        place.unlink()
        return place

    return remove


def says_which(said: str, process: str, place: Path) -> None:
    """One clear line, and no traceback."""
    lines = [line for line in events(said) if "file_gone" in line]
    assert len(lines) == 1, said
    assert lines[0].startswith(f'{process} file_gone error="{place}')
    assert "was removed or replaced while this program used it" in lines[0]
    assert "Traceback" not in said


# The collector, beside its exchange.


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with running_exchange(tmp_path / "data", RL_EXCHANGE_MARKETS="2") as running:
        yield running


def is_live(collector: RunningCollector) -> bool:
    books = collector.books()
    try:
        rows = [books.get_row(ticker) for ticker in books.table.rows]
    finally:
        books.table.close()
    return any(row is not None and row[b.STATE] == b.LIVE for row in rows)


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(table_in_memory("books"), id="table"),
        pytest.param(link_to_table("books"), id="link", marks=pytest.mark.slow),
        pytest.param(journal("collector"), id="journal"),
        pytest.param(
            journal("collector", pattern="events-*.seg"), id="segment", marks=pytest.mark.slow
        ),
        pytest.param(
            journal("collector", pattern="records-*.log"), id="records", marks=pytest.mark.slow
        ),
        pytest.param(socket_of("collector"), id="socket"),
    ],
)
async def test_a_collector_whose_file_was_removed_ends_and_the_next_one_works(
    exchange: Exchange, remove: Remove
) -> None:
    data_dir = exchange.data_dir
    with running_collector(data_dir, exchange.port) as collector:
        await collector.until(lambda: is_live(collector), "a live book")
        place = remove(data_dir)
        await asyncio.to_thread(collector.process.wait, PATIENCE)
        assert collector.process.returncode == 1
        says_which(collector.said, "collector", place)
    with running_collector(data_dir, exchange.port) as collector:
        await collector.until(lambda: is_live(collector), "a live book again")


async def test_without_its_data_folder_everything_that_works_in_it_ends(
    exchange: Exchange,
) -> None:
    data_dir = exchange.data_dir
    with running_collector(data_dir, exchange.port) as collector:
        await collector.until(lambda: is_live(collector), "a live book")
        in_memory = shared_path(data_dir, "books").resolve()
        while data_dir.exists():  # a file may come or go while this removes them
            shutil.rmtree(data_dir, ignore_errors=True)
        await asyncio.to_thread(collector.process.wait, PATIENCE)
        in_memory.unlink()
        assert collector.process.returncode == 1
        says_which(collector.said, "collector", data_dir)
    out, _ = await asyncio.to_thread(exchange.process.communicate, timeout=PATIENCE)
    assert exchange.process.returncode == 1
    says_which(out, "exchange", data_dir)


# The recorder.


def test_a_recorder_whose_doorbell_was_removed_ends(
    recorder: RecorderProcess, tmp_path: Path
) -> None:
    place = socket_folder(tmp_path / "data") / "doorbell.sock"
    recorder.start()
    eventually(place.exists, "it listens")
    eventually(lambda: "db_connected" in recorder.said, "it records")
    place.unlink()
    assert recorder.ended() == 1
    says_which(recorder.said, "recorder", place)


# Execution, on an account that trades.


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(table_in_memory("accounts"), id="table"),
        pytest.param(journal("execution"), id="journal"),
        pytest.param(
            journal("execution", pattern="records-*.log"), id="records", marks=pytest.mark.slow
        ),
        pytest.param(socket_of("intents"), id="intents"),
        pytest.param(socket_of("execution"), id="socket", marks=pytest.mark.slow),
    ],
)
async def test_execution_whose_file_was_removed_cancels_ends_and_the_next_one_trades(
    tmp_path: Path, remove: Remove
) -> None:
    async with running_execution(tmp_path) as world:
        await world.known()
        await world.push(intent("i1", yes_price_e4=4_500))
        await world.until(world.resting, "an order rests")
        place = remove(tmp_path)
        code, said = await world.ended()
        assert code == 1
        says_which(said, "execution", place)
        assert world.resting() == [], "nothing rests that no process follows"
        await world.start()
        world.listen()
        await world.known()
        await world.push(intent("i2", yes_price_e4=4_500))
        await world.order(intent_id="i2", status=OrderStatus.RESTING)
