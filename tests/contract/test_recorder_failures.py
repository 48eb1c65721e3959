"""recorder: what fails for a while is tried again and heals; what waits is never silent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import asyncpg
import msgspec
import pytest
from support.journals import START_NS, CollectorJournal, FramedJournal
from support.patience import PATIENCE, eventually
from support.postgres import Database
from support.recorder_process import RecorderProcess

from ipc.journal import stream_folder
from ipc.messages import ActorFill, ActorOrder, BookSide, Leg, OrderStatus
from processes.adapters.postgres.database import connect
from processes.adapters.postgres.packed_events import copy_events

A_WHILE_S = 3.0  # for attempts to add up, if they did


def events_in(database: Database) -> int:
    return int(database.value("select count(*) from rl_book_events"))


def order(status: OrderStatus, *, reason: str = "", ts_ns: int = START_NS) -> ActorOrder:
    return ActorOrder(
        order_id="o1",
        client_order_id="c1",
        intent_id="i1",
        market_ticker="KXTEST-1",
        leg=Leg.YES,
        is_buy=True,
        book_side=BookSide.BID,
        yes_price_e4=4_700,
        initial_count_e2=1_000,
        fill_count_e2=0,
        remaining_count_e2=1_000,
        status=status,
        reason=reason,
        expire_ms=None,
        ts_ns=ts_ns,
        received_mono_ns=5,
        sent_mono_ns=6,
        acknowledged_mono_ns=0,
    )


def fill(trade_id: str) -> ActorFill:
    return ActorFill(
        trade_id=trade_id,
        order_id="o1",
        client_order_id="c1",
        market_ticker="KXTEST-1",
        book_side=BookSide.BID,
        yes_price_e4=4_700,
        count_e2=100,
        is_taker=True,
        fee_e6=17_500,
        ts_ms=1,
    )


def test_a_right_that_is_granted_later_heals_the_stream(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    database.fetch(  # the test's role is a superuser, whom no revoke binds
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise insufficient_privilege; end $$"
    )
    database.fetch("create trigger refuses before insert on rl_ticks execute function refuse()")
    ticks = FramedJournal(tmp_path / "data", "inference", "i1")
    ticks.tick()
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    recorder.start()
    eventually(lambda: events_in(database) == 5, "the other stream is recorded")
    eventually(lambda: "stream_waits stream=inference/i1" in recorder.said, "it is reported")
    time.sleep(A_WHILE_S)  # attempts go on meanwhile
    assert recorder.said.count("stream_waits") == 1
    assert recorder.said.count("\n") < 12
    database.fetch("drop trigger refuses on rl_ticks")
    eventually(lambda: database.value("select count(*) from rl_ticks") == 1, "it heals")
    eventually(lambda: "stream_recovered stream=inference/i1" in recorder.said, "and is reported")
    journal.close()
    ticks.close()


def test_a_partition_that_is_there_already_is_used(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    database.fetch("create table rl_packed_events_s1 (like rl_packed_events including all)")
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the session is recorded")
    assert events_in(database) == 5


@pytest.mark.parametrize(
    "setting", ["default_transaction_read_only = on", "statement_timeout = '1ms'"]
)
def test_a_server_that_refuses_everything_costs_a_line_and_few_attempts(
    database: Database, recorder: RecorderProcess, tmp_path: Path, setting: str
) -> None:
    name = setting.partition(" ")[0]
    slow = (
        "create function slow() returns trigger language plpgsql as "
        "$$ begin perform pg_sleep(0.05); return new; end $$"
    )
    database.fetch(slow)
    database.fetch(
        "create trigger slow before insert on rl_journal_offsets for each row "
        "execute function slow()"
    )
    database.fetch(f"alter database {database.name} set {setting}")
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    recorder.start()
    troubles = ("stream_waits", "db_lost", "db_waiting")
    eventually(lambda: any(word in recorder.said for word in troubles), "it is reported")
    time.sleep(A_WHILE_S)
    assert recorder.said.count("\n") < 15, recorder.said
    asyncio.run(_reset(database, name))
    eventually(lambda: _events_or_none(database) == 5, "all is recorded")
    journal.close()


async def _reset(database: Database, name: str) -> None:
    """A reset by a connection that is not bound by the setting."""
    connection = await asyncpg.connect(
        database.server.dsn("postgres"), server_settings={"statement_timeout": "0"}
    )
    try:
        await connection.execute(f"alter database {database.name} reset {name}")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
            database.name,
        )
    finally:
        await connection.close()


def _events_or_none(database: Database) -> int | None:
    try:
        return events_in(database)
    except (OSError, asyncpg.PostgresError):
        return None


def test_a_database_that_fell_behind_is_waited_for_and_said_so_once(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1", capacity=1_000)
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5_000)
    recorder.start()
    eventually(lambda: events_in(database) == 5_000, "it follows")
    first = journal.folder / f"events-{1:012d}.seg"
    eventually(lambda: not first.exists(), "what is recorded goes")
    place = "update rl_journal_offsets set position = 10 where journal = 'events'"
    recorder.kill()
    database.fetch(place)
    recorder.start()
    eventually(lambda: "DatabaseBehindError" in recorder.said, "it is reported")
    other = CollectorJournal(tmp_path / "data", "s2")
    other.list_market(0, "KXTEST-2")
    other.deltas(7)
    eventually(
        lambda: database.value("select count(*) from rl_book_events where session_id = 2") == 7,
        "another stream is recorded",
    )
    assert recorder.said.count("stream_waits") == 1
    database.fetch(place.replace("= 10", "= 5000") + " and stream = 'collector/s1'")
    journal.deltas(3)
    eventually(
        lambda: database.value("select count(*) from rl_book_events where session_id = 1") == 5_003,
        "the database is back",
    )
    journal.close()
    other.close()


def test_a_fill_or_order_that_another_run_reports_again_is_stored_once(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    for run in ("x1", "x2"):
        journal = FramedJournal(tmp_path / "data", "execution", run)
        resting = order(OrderStatus.RESTING)
        assert journal.writer.append(fill("t1"), fill("t2"), resting)
        assert journal.writer.append(order(OrderStatus.EXECUTED, ts_ns=START_NS + 1))
        journal.end()
    recorder.start()
    for run in ("x1", "x2"):
        folder = stream_folder(tmp_path / "data", "execution", run)
        eventually(lambda folder=folder: not folder.exists(), "both are recorded")
    assert database.value("select count(*) from rl_fills") == 2
    assert database.value("select count(*) from rl_orders") == 2
    streams = database.fetch("select duplicates, status from rl_streams order by stream")
    assert [tuple(row) for row in streams] == [(0, "closed"), (4, "closed")]
    assert database.value("select count(*) from rl_rejected_rows") == 0


def test_an_order_whose_last_record_is_set_aside_does_not_stay_pending(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = FramedJournal(tmp_path / "data", "execution", "x1")
    assert journal.writer.append(order(OrderStatus.PENDING))
    end = order(OrderStatus.REJECTED, reason="no\0thing", ts_ns=START_NS + 1)
    assert journal.writer.append(msgspec.structs.replace(end, yes_price_e4=2**40))
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the stream is recorded")
    rows = database.fetch("select status, reason from rl_orders order by record_no")
    assert [tuple(row) for row in rows] == [
        ("pending", ""),
        ("rejected", "set aside: no\ufffdthing"),
    ]
    assert database.value("select count(*) from rl_rejected_rows") == 1


def test_an_order_whose_end_cannot_be_stored_at_all_is_unknown(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    """Such as one that a rule of the table's owner refuses."""
    database.fetch("alter table rl_orders add constraint no_end check (status <> 'canceled')")
    journal = FramedJournal(tmp_path / "data", "execution", "x1")
    assert journal.writer.append(order(OrderStatus.RESTING))
    assert journal.writer.append(order(OrderStatus.CANCELED, ts_ns=START_NS + 1))
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the stream is recorded")
    rows = database.fetch("select status, reason from rl_orders order by record_no")
    why = "set aside: record 2 of execution/x1 could not be stored"
    assert [tuple(row) for row in rows] == [("resting", ""), ("unknown", why)]


def test_a_session_is_marked_as_ended_with_its_last_rows_and_their_number(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    """Its last record is read before its last events: the mark has to wait for them."""
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(60_000)
    database.fetch(
        "create function slow() returns trigger language plpgsql as "
        "$$ begin perform pg_sleep(0.2); return new; end $$"
    )
    database.fetch(
        "create trigger slow before update on rl_journal_offsets for each row "
        "when (new.journal = 'events' and new.position > old.position) execute function slow()"
    )
    journal.end()
    recorder.start()
    look = (
        "select o.status as session, s.status as stream, o.events, s.events as counted, "
        "(select count(*) from rl_book_events) as rows "
        "from rl_orderbook_sessions o, rl_streams s"
    )
    seen = []

    def is_closed() -> bool:
        rows = database.fetch(look)
        seen.extend(dict(row) for row in rows)
        return bool(rows) and rows[0]["session"] == "closed"

    eventually(is_closed, "the session is closed")
    for row in seen:
        whole = {**row, "session": "closed", "stream": "closed", "events": 60_000}
        if "closed" in (row["session"], row["stream"]):
            assert row == {**whole, "counted": 60_000, "rows": 60_000}
        else:
            assert (row["events"], row["counted"]) == (None, None)
    assert any(row["rows"] and row["session"] == "active" for row in seen)


async def test_a_copy_ends_with_its_connection(database: Database) -> None:
    """Also one that waits for room to write to a server that reads no more."""
    connection = await connect(database.dsn)
    backend = connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    copy = asyncio.create_task(copy_events(connection, 1, bytes(16 << 20)))
    await asyncio.sleep(0.1)
    os.kill(backend, signal.SIGKILL)
    await asyncio.wait((copy,), timeout=PATIENCE)
    assert copy.done()
    assert isinstance(copy.exception(), ConnectionError)
