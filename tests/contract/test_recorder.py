"""recorder: journals in, rows out; exactly once, whatever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq.asyncio
from support.journals import START_NS, CollectorJournal, FramedJournal, expected, started
from support.postgres import ROOT, Database, PostgresServer

from ipc.messages import (
    ActorAction,
    ActorFill,
    ActorOrder,
    ActorPosition,
    BookSide,
    Doorbell,
    Intent,
    Leg,
    MarkKind,
    OrderStatus,
    ProcessStats,
    SessionMark,
    Tick,
)
from ipc.sockets import Pusher, Subscriber
from processes.recorder.records import TABLES, columns_of

BOUND_S = 30


class RecorderProcess:
    """`python -m processes.recorder` on a database and a data folder of the test."""

    def __init__(self, database: Database, data_dir: Path, log: Path) -> None:
        self._environ = {**os.environ, "DATABASE_URL": database.dsn, "RL_DATA_DIR": str(data_dir)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "processes.recorder"],
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def send(self, signum: int) -> int:
        """Signal, and wait for the end; -> exit code."""
        assert self._process is not None
        self._process.send_signal(signum)
        code = self._process.wait(BOUND_S)
        self._process = None
        return code

    def kill(self) -> None:
        if self._process is not None:
            self.send(signal.SIGKILL)

    @property
    def said(self) -> str:
        return self._log.read_text()


@pytest.fixture
def recorder(database: Database, tmp_path: Path) -> Iterator[RecorderProcess]:
    process = RecorderProcess(database, tmp_path / "data", tmp_path / "recorder.log")
    yield process
    process.kill()


def eventually(check: Callable[[], bool], what: str) -> None:
    """Wait for the world to agree; bounded, never a figure."""
    for _ in range(BOUND_S * 20):
        if check():
            return
        time.sleep(0.05)
    pytest.fail(f"never happened: {what}")


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
    line = f"recorder session session_id={session['session_id']} environment=simulated markets=0\n"
    assert line in recorder.said
    listed = database.fetch("select price_ranges from rl_session_markets")
    assert all(row["price_ranges"] == [[0, 10_000, 100]] for row in listed)


def messages() -> list[msgspec.Struct]:
    """One of every kind that has a table, with awkward values."""
    moments = {"frame_mono_ns": 1, "written_mono_ns": 2, "decided_mono_ns": 4}
    return [
        Tick(session_uid="s", market_ticker="T", event_no=7, recv_ns=START_NS, history=3),
        ActorAction(
            session_uid="s",
            market_ticker="T",
            action=1,
            action_name="BUY_YES",
            reason="policy",
            model="default",
            model_hash="h",
            observation_hash="o",
            event_no=7,
            account_version=2,
            logits=(0.25, -1.5),
            value=None,
            mask=(True, False),
            intent_id=None,
            decided_ns=START_NS,
            recv_ns=START_NS,
            woken_mono_ns=3,
            **moments,
        ),
        Intent(
            intent_id="i",
            market_ticker="T",
            action=1,
            action_name="BUY_YES",
            leg=Leg.YES,
            is_buy=True,
            book_side=BookSide.BID,
            price_e4=4700,
            yes_price_e4=4700,
            count_e2=1000,
            deadline_mono_ns=5,
            decided_ns=START_NS,
            session_uid="s",
            event_no=7,
            account_version=2,
            model="default",
            **moments,
        ),
        ActorOrder(
            order_id=None,
            client_order_id="c",
            intent_id="i",
            market_ticker="T",
            leg=Leg.NO,
            is_buy=False,
            book_side=BookSide.ASK,
            yes_price_e4=4700,
            initial_count_e2=1000,
            fill_count_e2=0,
            remaining_count_e2=1000,
            status=OrderStatus.PENDING,
            reason="",
            expire_ms=None,
            ts_ns=START_NS,
            received_mono_ns=5,
            sent_mono_ns=6,
            acknowledged_mono_ns=0,
        ),
        ActorFill(
            trade_id="t",
            order_id="o",
            client_order_id=None,
            market_ticker="T",
            book_side=BookSide.BID,
            yes_price_e4=4700,
            count_e2=100,
            is_taker=True,
            fee_e6=17_500,
            ts_ms=1,
        ),
        ActorPosition(
            market_ticker="T",
            position_e2=-100,
            cost_basis_e6=-1,
            cash_e6=2**40,
            realized_e6=0,
            fees_e6=0,
            open_orders=1,
            account_version=3,
            ts_ns=START_NS,
        ),
    ]


def test_every_kind_of_record_is_a_row_equal_to_its_message(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    assert {type(m) for m in messages()} == set(TABLES)
    journal = FramedJournal(tmp_path / "data", "execution", "x1")
    assert journal.writer.append(*messages())
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the stream is finished")
    for number, message in enumerate(messages(), 1):
        (row,) = database.fetch(f"select * from {TABLES[type(message)]}")
        assert row["record_no"] == number
        for field in columns_of(type(message))[2:]:
            value = getattr(message, field)
            assert row[field] == (list(value) if isinstance(value, tuple) else value), field
    assert database.value("select status from rl_streams") == "closed"


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
    assert "recorder database_lost" in recorder.said
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


def test_a_producer_that_died_is_lost_not_ended(
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
    assert (session["status"], session["ended_ns"], session["last_event_no"]) == ("lost", None, 5)


def test_a_broken_stream_is_left_alone_and_the_others_go_on(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    broken = FramedJournal(tmp_path / "data", "inference", "a-broken")
    broken.tick()
    file = next(broken.folder.glob("marks-*.log"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 0xFF
    file.write_bytes(bytes(data))
    newer = FramedJournal(tmp_path / "data", "inference", "b-newer")
    file = next(newer.folder.glob("marks-*.log"))
    file.write_bytes(b"")
    assert newer.writer.append(msgspec.structs.replace(started("b-newer"), schema_version=999))
    sound = FramedJournal(tmp_path / "data", "inference", "c-sound")
    sound.tick()
    recorder.start()
    eventually(lambda: rows(database, "rl_ticks") == 1, "the sound stream is recorded")
    eventually(lambda: recorder.said.count("stream_refused") == 2, "both are refused")
    assert str(broken.folder) in recorder.said
    assert "checksum" in recorder.said
    assert "schema 999, this program reads" in recorder.said
    assert broken.folder.exists()
    assert newer.folder.exists()


async def test_the_doorbell_wakes_it_and_its_counters_are_published(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    context = zmq.asyncio.Context()
    stats = Subscriber(context, ["recorder"], tmp_path / "data", {})
    bell = Pusher(context, "doorbell", tmp_path / "data", {}, life=1)
    journal = FramedJournal(tmp_path / "data", "inference", "i1")
    recorder.start()
    journal.tick()
    async with asyncio.timeout(BOUND_S):
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


def test_rows_of_a_batch_that_the_database_refuses_stop_only_their_stream(
    database: Database, recorder: RecorderProcess, tmp_path: Path
) -> None:
    journal = CollectorJournal(tmp_path / "data", "s1")
    journal.deltas(5)  # of a row that was never listed
    other = FramedJournal(tmp_path / "data", "inference", "i1")
    other.tick()
    recorder.start()
    eventually(lambda: "stream_refused" in recorder.said, "it is refused")
    assert "table row 0, which was not listed" in recorder.said
    eventually(lambda: rows(database, "rl_ticks") == 1, "the other goes on")
    assert rows(database, "rl_book_events") == 0
