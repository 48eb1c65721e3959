"""recorder: journals in, rows out; exactly once, whatever dies."""

from __future__ import annotations

import asyncio
import errno
import signal
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq.asyncio
from support.journals import START_NS, CollectorJournal, FramedJournal, expected, started
from support.logged import events
from support.patience import PATIENCE
from support.postgres import Database, PostgresServer
from support.recorder_process import RecorderProcess, eventually
from support.stored_sessions import move_to_own_table

from ipc.journal import EVENT
from ipc.messages import (
    Doorbell,
    MarkKind,
    Message,
    ProcessStats,
    SessionMark,
    Tick,
    decode,
)
from ipc.sockets import Pusher, Subscriber
from processes.adapters.postgres.database import connect_when_migrated
from processes.recorder.service import Recorder
from processes.runtime.log import no_log
from processes.runtime.tasks import TaskFailed
from processes.runtime.wires import Wires

BOUND_S = 30


def rows(database: Database, table: str) -> int:
    return int(database.value(f"select count(*) from {table}"))


def assert_events_recorded_once(database: Database, number: int) -> None:
    """Rows 1..number, each once, each with its own content."""
    found = database.fetch(
        "select event_no, recv_ns, seq, kind, side, price_e4, qty_e2 from rl_book_events "
        "order by event_no"
    )
    assert [row["event_no"] for row in found] == list(range(1, number + 1))
    for row in found[:: max(1, number // 500)]:
        assert dict(row) == expected(row["event_no"])


def test_a_session_becomes_rows_and_its_journal_goes(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.list_market(1, "KXTEST-2")
    journal.deltas(300, row=0)
    journal.deltas(200, row=1)
    journal.list_market(0, "KXTEST-3")
    journal.deltas(100, row=0)
    hole = SessionMark(
        kind=MarkKind.HOLE, market_ticker="KXTEST-2", event_no=600, ts_ns=START_NS, detail="full"
    )
    assert journal.writer.append(hole)
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the finished journal is removed")

    assert_events_recorded_once(database, 600)
    markets = database.fetch(
        "select market_ticker, count(*), min(event_no) from rl_book_events "
        "join rl_markets using (market_id) group by 1 order by 1"
    )
    assert [tuple(row) for row in markets] == [
        ("KXTEST-1", 300, 1),
        ("KXTEST-2", 200, 301),
        ("KXTEST-3", 100, 501),
    ]
    mark = database.fetch("select * from rl_session_marks join rl_markets using (market_id)")[0]
    assert (mark["kind"], mark["market_ticker"], mark["event_no"]) == ("hole", "KXTEST-2", 600)
    session = database.fetch("select * from rl_orderbook_sessions")[0]
    assert session["session_uid"] == "s1"
    assert session["environment"] == "simulated"
    assert session["status"] == "closed"
    assert session["ended_ns"] == START_NS + 1
    assert session["last_event_no"] == 600
    assert session["market_tickers"] == ["KXTEST-1", "KXTEST-2", "KXTEST-3"]
    line = f"recorder session_created session_id={session['session_id']}"
    assert f"{line} environment=simulated markets=0" in events(recorder.said)
    listed = database.fetch("select price_ranges from rl_session_markets")
    assert all(row["price_ranges"] == [[0, 10_000, 100]] for row in listed)


def test_killed_again_and_again_in_mid_batch_nothing_is_lost_or_doubled(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    chance = np.random.default_rng(7)
    journal = CollectorJournal(tmp_path / "data", "s1", capacity=4_096)
    journal.list_market(0, "KXTEST-1")
    ticks = FramedJournal(tmp_path / "data", "inference", "i1", file_bytes=20_000)
    for _ in range(5):
        recorder.start()
        seen = rows(database, "rl_book_events")
        for _ in range(200):
            journal.deltas(int(chance.integers(1, 400)))
            ticks.tick()
            if chance.random() < 0.02 and rows(database, "rl_book_events") > seen:
                break
        eventually(lambda seen=seen: rows(database, "rl_book_events") > seen, "rows arrive")
        recorder.kill()
    journal.end()
    ticks.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the session is finished")
    eventually(lambda: not ticks.folder.exists(), "the ticks are finished")
    assert_events_recorded_once(database, journal_events := rows(database, "rl_book_events"))
    assert journal_events == database.value("select last_event_no from rl_orderbook_sessions")
    numbers = [row[0] for row in database.fetch("select event_no from rl_ticks order by record_no")]
    assert numbers == list(range(1, ticks.accepted + 1))


def test_a_killed_server_costs_time_not_rows(
    postgres_server: PostgresServer, database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    recorder.start()
    for _ in range(2):
        journal.deltas(20_000)
        eventually(lambda: rows(database, "rl_book_events") > 0, "rows arrive")
        postgres_server.kill()
        journal.deltas(20_000)
        postgres_server.start()
    wanted = journal.events
    eventually(lambda: rows(database, "rl_book_events") == wanted, "all rows are there")
    assert_events_recorded_once(database, wanted)
    assert "recorder db_lost" in recorder.said
    journal.close()


def test_what_was_accepted_just_before_a_stop_is_flushed(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(10)
    recorder.start()
    eventually(lambda: rows(database, "rl_book_events") == 10, "it follows")
    journal.deltas(30_000)
    assert recorder.send(signal.SIGTERM) == 0
    assert rows(database, "rl_book_events") == journal.events
    assert "left_for_next_start" in recorder.said  # its producer still lives
    journal.end()


async def test_a_helper_that_fails_ends_the_recorder(database: Database, tmp_path: Path) -> None:
    """Without descriptors, as it was found: its counters cannot be sent, and nobody was told."""
    wires = Wires(tmp_path, {}, run=1)
    recorder = Recorder(tmp_path, partial(connect_when_migrated, database.dsn), wires, no_log())

    def refuse(topic: str, message: Message) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    recorder._publisher.send = refuse  # type: ignore[method-assign]
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(TaskFailed, match=r"task 'report' failed: OSError: .* Too many open"):
            await recorder.run(asyncio.Event())


def test_full_segments_are_removed_while_the_session_goes_on(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1", capacity=1_000, max_bytes=200_000)
    journal.list_market(0, "KXTEST-1")
    refused = 20_000 - journal.deltas(20_000)
    assert refused > 0  # the journal is bounded, and full
    recorder.start()
    eventually(lambda: journal.deltas(1) == 1, "there is room again")
    assert journal.deltas(2_000) == 2_000
    journal.end()
    eventually(lambda: not journal.folder.exists(), "the session is finished")
    assert_events_recorded_once(database, 20_000 - refused + 2_001)


def test_a_session_whose_producer_died_ends_with_error_at_its_last_sign(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    recorder.start()
    eventually(lambda: rows(database, "rl_book_events") == 5, "it follows")
    assert database.value("select status from rl_orderbook_sessions") == "active"
    journal.close()  # without a last record: the lock goes, as at a death
    eventually(lambda: not journal.folder.exists(), "the stream is settled")
    session = database.fetch("select * from rl_orderbook_sessions")[0]
    assert (session["status"], session["ended_ns"]) == ("error", START_NS + 5)
    assert session["ended_at"].timestamp() == pytest.approx(START_NS / 1e9)
    assert [session[name] for name in ("last_event_no", "events", "deltas", "trades")] == [
        5,
        5,
        5,
        0,
    ]
    assert database.value("select status from rl_streams") == "error"


def test_a_broken_stream_is_left_alone_and_the_others_go_on(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    broken = FramedJournal(tmp_path / "data", "inference", "a-broken")
    broken.tick()
    file = next(broken.folder.glob("records-*.log"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 0xFF
    file.write_bytes(bytes(data))
    newer = FramedJournal(tmp_path / "data", "inference", "b-newer")
    file = next(newer.folder.glob("records-*.log"))
    file.write_bytes(b"")
    assert newer.writer.append(msgspec.structs.replace(started("b-newer"), schema_version=999))
    sound = FramedJournal(tmp_path / "data", "inference", "c-sound")
    sound.tick()
    recorder.start()
    eventually(lambda: rows(database, "rl_ticks") == 1, "the sound stream is recorded")
    eventually(lambda: recorder.said.count("stream_refused") == 2, "both are refused, once each")
    assert str(broken.folder) in recorder.said
    assert "checksum" in recorder.said
    assert "schema 999, this program reads" in recorder.said
    assert broken.folder.exists()
    assert newer.folder.exists()


def test_a_run_that_died_before_its_first_record_stops_nothing(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    (tmp_path / "data" / "journal" / "inference" / "i0").mkdir(parents=True)
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(100, row=0)
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the other journal is recorded")
    assert_events_recorded_once(database, 100)
    assert recorder.send(signal.SIGTERM) == 0
    assert "left_for_next_start" not in recorder.said


async def test_the_doorbell_wakes_it_and_its_counters_are_published(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    context = zmq.asyncio.Context()
    stats = Subscriber(context, ["recorder"], tmp_path / "data", {})
    bell = Pusher(context, "doorbell", tmp_path / "data", {}, run=1)
    journal = FramedJournal(tmp_path / "data", "inference", "i1")
    recorder.start()
    journal.tick()
    async with asyncio.timeout(PATIENCE):
        while not bell.send(Doorbell(stream=journal.stream)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        counters: dict[str, int] = {}
        while counters.get("records", 0) < 2:
            _, message = await stats.recv()
            assert isinstance(message, ProcessStats)
            counters = message.counters
    assert counters["streams"] == 1
    assert counters["behind"] == 0
    bell.close()
    stats.close()
    context.term()


def test_a_small_session_moves_and_a_large_one_has_a_summarised_brin_for_its_unique_index(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    recorder.start()
    eventually(lambda: rows(database, "rl_book_events") == 5, "it follows")
    assert event_indexes(database) == ["CREATE UNIQUE INDEX"]
    journal.end()
    eventually(lambda: not journal.folder.exists(), "the session is finished")
    assert event_indexes(database) == []
    assert database.value("select count(*) from rl_shared_events") == 5
    move_to_own_table(database)  # as if it were large
    assert event_indexes(database) == ["CREATE INDEX"]
    ranges = (
        "select (brin_metapage_info(get_raw_page('rl_packed_events_s1_brin', 0))).pagesperrange,"
        " count(value) from brin_page_items(get_raw_page('rl_packed_events_s1_brin', 2),"
        " 'rl_packed_events_s1_brin') group by 1"
    )
    database.fetch("create extension pageinspect")
    assert [tuple(row) for row in database.fetch(ranges)] == [(32, 1)]


def event_indexes(database: Database) -> list[str]:
    """The beginnings of the definitions of the indexes of all events."""
    found = database.fetch(
        "select indexdef from pg_indexes where tablename like 'rl_packed_events_s%'"
    )
    return [row["indexdef"].partition(" rl_")[0] for row in found]


def rejected(database: Database) -> list[tuple[str, str, int, str]]:
    found = database.fetch("select * from rl_rejected_rows order by stream, position")
    return [(row["stream"], row["journal"], row["position"], row["reason"]) for row in found]


def test_events_that_no_market_owns_are_set_aside_and_the_rest_goes_in(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.deltas(2, row=1)  # of a row that was never listed
    journal.deltas(1, row=0)  # before it is listed
    journal.list_market(0, "KXTEST-1")
    journal.deltas(500, row=0)
    journal.deltas(2, row=1)
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the session is finished")
    numbers = [row[0] for row in database.fetch("select event_no from rl_book_events order by 1")]
    assert numbers == list(range(4, 504))
    unlisted = ((1, 1), (2, 1), (3, 0), (504, 1), (505, 1))
    wanted = [("collector/s1", "events", n, f"row={row} was not listed") for n, row in unlisted]
    assert rejected(database) == wanted
    assert (
        "recorder rows_rejected stream=collector/s1 journal=events rows=5 first=1" in recorder.said
    )
    record = database.value("select record from rl_rejected_rows where position = 504")
    assert np.frombuffer(record, EVENT)["event_no"] == 504  # the journal's own bytes


def test_an_event_that_the_database_refuses_is_found_by_halving_and_set_aside(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.list_market(0, "KXTEST-1")
    journal.deltas(5)
    recorder.start()
    eventually(lambda: rows(database, "rl_book_events") == 5, "it follows")
    for number in (7, 404):  # somebody was there before
        database.fetch(
            "insert into rl_packed_events values (1::bigint << 40 | $1, 0, 0, 0, 1 << 28, 0)",
            number,
        )
    journal.deltas(600)
    journal.end()
    eventually(lambda: not journal.folder.exists(), "the session is finished")
    numbers = [row[0] for row in database.fetch("select event_no from rl_book_events order by 1")]
    assert numbers == list(range(1, 606))
    found = rejected(database)
    assert [position for _, _, position, _ in found] == [7, 404]
    assert all("UniqueViolationError" in reason for *_, reason in found)


def test_a_message_that_its_table_refuses_is_set_aside_and_the_others_go_in(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = FramedJournal(tmp_path / "data", "inference", "i1")
    for _ in range(20):
        journal.tick()
    bad = Tick(session_uid="s", market_ticker="T", event_no=1, recv_ns=START_NS, history=2**40)
    assert journal.writer.append(bad)
    assert journal.writer.append(Doorbell(stream="a message of no table"))
    journal.tick()
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the stream is finished")
    assert rows(database, "rl_ticks") == 21
    (tick, bell) = rejected(database)
    assert tick[:3] == ("inference/i1", "marks", 21)
    assert "value out of int32 range" in tick[3]
    assert bell[:3] == ("inference/i1", "marks", 22)
    assert "record 22 is a Doorbell, which no table takes" in bell[3]
    kept = database.value("select record from rl_rejected_rows where position = 21")
    assert decode(kept) == bad
    assert database.value("select status from rl_streams") == "closed"
