"""Stored sessions as arrays: from PostgreSQL and from Parquet the same, bit for bit."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.postgres import Database
from support.stored_sessions import (
    book_events,
    loaded,
    move_to_own_table,
    record,
    same_sessions,
    wild_events,
)

from ipc.messages import Environment
from models.simulation.tape import RecordedSession, SessionError
from processes.adapters.parquet.archive import (
    HEADER_KEY,
    ArchiveError,
    ArchiveWriter,
    read_blocks,
    read_events,
    read_header,
)
from processes.adapters.postgres import sessions as postgres_sessions
from processes.adapters.postgres.archives import load_archive
from processes.adapters.postgres.packed_events import unfit
from processes.adapters.postgres.sessions import SessionDataLoader
from processes.recorder.sessions.__main__ import main
from processes.runtime.config import ConfigError

NUMBER = 5_000
Read = Callable[[SessionDataLoader], Awaitable[list[RecordedSession]]]


def whole(session_id: int) -> Read:
    async def read(loader: SessionDataLoader) -> list[RecordedSession]:
        return await loader.load(await loader.session(session_id))

    return read


@pytest.fixture
def stored(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three markets' events of every kind and size; -> the data folder."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    events = wild_events(NUMBER, seed=1)
    events["row"] = np.arange(NUMBER) % 3
    record(database, tmp_path, events, tickers=("KXTEST-1", "KXTEST-2", "KXTEST-3"))
    return tmp_path


def test_every_value_that_a_journal_holds_comes_back(database: Database, stored: Path) -> None:
    events, markets = loaded(database, lambda loader: loader.session_events(1))
    assert events.tobytes() == wild_events(NUMBER, seed=1).tobytes()  # `row` is not kept
    assert np.array_equal(markets, np.arange(NUMBER) % 3 + 1)


def test_the_view_says_the_same_as_the_arrays(database: Database, stored: Path) -> None:
    wanted = wild_events(NUMBER, seed=1)
    names = ("event_no", "recv_ns", "exch_ms", "seq", "price_e4", "count_e2", "kind", "leg")
    rows = database.fetch(
        "select event_no, recv_ns, exch_ms, seq, price_e4, qty_e2, kind, side "
        "from rl_book_events where session_id = 1 order by event_no"
    )
    assert [tuple(row) for row in rows] == list(
        zip(*(wanted[name].tolist() for name in names), strict=True)
    )


def test_an_archive_holds_the_same_bits_as_the_database(
    database: Database, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_sessions, "BLOCK", 1_999)  # several row groups
    before = loaded(database, whole(1))
    assert len(before) == 3
    assert main(["archive", "1", "--drop"]) == 0
    assert database.value("select count(*) from rl_book_events") == 0
    path = Path(database.value("select archive_path from rl_orderbook_sessions"))
    assert len(list(read_blocks(path))) == 3
    assert same_sessions(loaded(database, whole(1)), before)
    assert same_sessions(load_archive(path), before)  # without any database


def test_one_market_up_to_an_event_is_the_same_from_either(
    database: Database, stored: Path
) -> None:
    async def read(loader: SessionDataLoader) -> bytes:
        first, last = 1, 1_000  # both are of the market: 1, 4, 7 ... 1,000
        events = await loader.events(1, market_id=1, up_to_event_no=last)
        assert events["event_no"][[0, -1]].tolist() == [first, last]
        return events.tobytes()

    before = loaded(database, read)
    wanted = wild_events(NUMBER, seed=1)[:1_000:3]
    assert before == wanted.tobytes()
    assert main(["archive", "1", "--drop"]) == 0
    assert loaded(database, read) == before


def test_sessions_are_found_by_environment_and_a_mix_is_refused_unless_asked_for(
    database: Database, tmp_path: Path
) -> None:
    for uid, environment in (("a", "demo"), ("b", "production"), ("c", "demo")):
        record(database, tmp_path, book_events(), uid=uid, environment=Environment(environment))

    async def tickers(loader: SessionDataLoader, environment: str | None, **how: bool) -> int:
        return len(await loader.load_all(await loader.sessions(environment), **how))

    assert loaded(database, lambda loader: tickers(loader, "demo")) == 2
    assert loaded(database, lambda loader: tickers(loader, "production")) == 1
    with pytest.raises(SessionError, match="demo and production are not mixed by default"):
        loaded(database, lambda loader: tickers(loader, None))
    assert loaded(database, lambda loader: tickers(loader, None, mixed=True)) == 3


def test_a_session_of_an_unknown_environment_teaches_nothing(
    database: Database, tmp_path: Path
) -> None:
    record(database, tmp_path, book_events())
    database.fetch("update rl_orderbook_sessions set environment = 'unknown'")
    with pytest.raises(SessionError, match=r"session 1: environment=unknown .* allowed: simulated"):
        loaded(database, whole(1))


def test_a_session_that_is_not_there_is_refused_by_name(database: Database, stored: Path) -> None:
    with pytest.raises(SessionError, match="session 7 is unknown; allowed: 1"):
        loaded(database, whole(7))
    assert main(["archive", "1", "--drop"]) == 0
    next((stored / "archive").glob("*.parquet")).unlink()
    with pytest.raises(SessionError, match=r"session 1: .*cannot be read as an archive"):
        loaded(database, whole(1))
    database.fetch("update rl_orderbook_sessions set archive_path = null")
    with pytest.raises(SessionError, match="session 1: neither its events nor an archive"):
        loaded(database, whole(1))


def test_a_session_that_lacks_an_event_is_not_learnt_from(database: Database, stored: Path) -> None:
    database.fetch("delete from rl_shared_events where event_key & 65535 = 77")
    with pytest.raises(SessionError, match="session 1: 1 event numbers are missing; allowed:"):
        loaded(database, whole(1))


def test_rows_that_lie_out_of_order_come_back_in_order(database: Database, stored: Path) -> None:
    move_to_own_table(database)
    database.fetch("update rl_packed_events set qty_e2 = qty_e2 where event_key % 7 = 0")
    lying = [row[0] for row in database.fetch("select event_key from rl_packed_events_s1")]
    assert lying != sorted(lying)  # an update moves a row to the end
    events, _ = loaded(database, lambda loader: loader.session_events(1))
    assert events.tobytes() == wild_events(NUMBER, seed=1).tobytes()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price_e4", -1, "price_e4=-1 allowed: 0 to 16383"),
        ("price_e4", 16_384, "price_e4=16384 allowed: 0 to 16383"),
        ("leg", 2, "leg=2 allowed: 0, 1"),
        ("kind", 0, "kind=0 allowed: 1 to 7"),
        ("kind", 8, "kind=8 allowed: 1 to 7"),
        ("recv_ns", -1, "recv_ns=-1 allowed: 0 and more"),
        ("event_no", 2**40, "event_no=1099511627776 allowed: 1 to 1099511627775"),
        ("event_no", 0, "event_no=0 allowed: 1 to 1099511627775"),
    ],
)
def test_what_has_no_place_in_a_row_is_named(field: str, value: int, reason: str) -> None:
    events = wild_events(3, seed=2)
    assert unfit(events, np.ones(3, np.int32)) == []
    events[field][1] = value
    assert unfit(events, np.ones(3, np.int32)) == [(1, reason)]


def test_an_archive_is_whole_or_not_there(tmp_path: Path) -> None:
    path, events = tmp_path / "a.parquet", wild_events(10, seed=3)

    def dies() -> None:
        with ArchiveWriter(path, b"{}") as writer:
            writer.write(events, np.ones(10, np.int32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dies()
    assert list(tmp_path.iterdir()) == []
    with ArchiveWriter(path, b"{}") as writer:
        writer.write(events, np.ones(10, np.int32))
    assert list(tmp_path.iterdir()) == [path]
    assert read_header(path) == b"{}"
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.parquet: damaged"):
        read_events(path)
    path.write_bytes(data[:100])
    with pytest.raises(ArchiveError, match=r"a\.parquet: cannot be read as an archive"):
        read_events(path)


def test_a_parquet_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table({"event_no": [1]})
    parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(ArchiveError, match="not the archive of a session"):
        read_events(tmp_path / "b.parquet")


COLUMNS = ("event_no", "recv_ns", "exch_ms", "seq", "qty_e2", "price_e4", "kind", "side")
WRONG_VALUES = {
    "side": [9, 2, 255],
    "kind": [0, 99, 8],
    "price_e4": [-1, 2**20],
    "event_no": [0, -1, 2**50],
    "recv_ns": [-1],
    "exch_ms": [-1, 2**60],
    "seq": [-1, 2**40],
    "qty_e2": [2**40],
    "market_id": [0, -1, 2**40],
}


def archive_with(path: Path, **columns: object) -> None:
    """Three events as Parquet with some columns of another kind."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    sound = {name: [1, 2, 3] if name == "event_no" else [1, 1, 1] for name in COLUMNS}
    table = arrow.table(sound | {"market_id": [1, 1, 1]} | columns)
    parquet.write_table(table.replace_schema_metadata({HEADER_KEY: b"{}"}), path)


@pytest.mark.parametrize(
    ("column", "value"),
    [(name, value) for name, values in WRONG_VALUES.items() for value in values],
)
def test_a_value_that_no_event_has_is_refused_where_the_archive_is_opened(
    tmp_path: Path, column: str, value: int
) -> None:
    archive_with(tmp_path / "a.parquet", **{column: [1, value, 3]})
    for read in (read_events, lambda path: list(read_blocks(path))):
        with pytest.raises(ArchiveError, match=rf"{column}={value} in row 1; allowed: "):
            read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["1", "2", "3"], "side is string; allowed: whole numbers"),
        ([0.0, 1.0, 1.0], "side is double; allowed: whole numbers"),
        ([0, None, 1], "side is missing in 1 rows"),
        ([[0], [1], [1]], "side is list"),
    ],
)
def test_a_column_of_another_type_is_refused(
    tmp_path: Path, values: list[object], says: str
) -> None:
    archive_with(tmp_path / "a.parquet", side=values)
    with pytest.raises(ArchiveError, match=says):
        read_events(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price_ranges", []),
        ("price_ranges", [[0, 10_000, 0]]),
        ("price_ranges", [[0, 2**62, 1]]),
        ("price_ranges", [[-5, 10_000, 100]]),
        ("open_ms", -(2**60)),
        ("close_ms", 2**62),
        ("yes_value_e4", 2**40),
    ],
)
def test_facts_that_no_market_has_are_refused_where_the_archive_is_opened(
    database: Database, stored: Path, field: str, value: object
) -> None:
    assert main(["archive", "1"]) == 0
    path = Path(database.value("select archive_path from rl_orderbook_sessions"))
    header = json.loads(read_header(path))
    header["markets"][0][field] = value
    with ArchiveWriter(path, json.dumps(header).encode()) as writer:
        writer.write(wild_events(3, seed=4), np.ones(3, np.int32))
    with pytest.raises(SessionError, match="its header cannot be read"):
        load_archive(path)


def test_without_pyarrow_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install --constraint constraints.txt '\.\[archive"):
        read_events(tmp_path / "a.parquet")


def test_a_header_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ArchiveWriter(path, msgspec.json.encode({"session": 1})) as writer:
        writer.write(wild_events(1, seed=4), np.ones(1, np.int32))
    with pytest.raises(SessionError, match="its header cannot be read"):
        load_archive(path)
