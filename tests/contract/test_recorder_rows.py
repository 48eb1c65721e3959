"""recorder: every kind of record becomes a row that is equal to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from support.journals import START_NS, FramedJournal
from support.postgres import Database
from support.recorder_process import RecorderProcess, eventually

from ipc.messages import (
    AccountVersion,
    ActorAction,
    ActorFill,
    ActorOrder,
    ActorPosition,
    BookSide,
    Intent,
    Leg,
    OrderStatus,
    Tick,
    TradingEvent,
    TradingEventKind,
)
from processes.recorder.rows import TABLES, columns_of


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
            shadow=True,
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
            model_hash="0123456789abcdef",
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
        AccountVersion(
            market_ticker="T", account_version=5, words=(5, 1, -(2**62), 0, 2**62), layout=2
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
        TradingEvent(
            kind=TradingEventKind.LATCH,
            name="daily_loss",
            who="limits",
            why='the "day" is over its limit',
            market_ticker=None,
            numbers={"loss_e6": 2**40, "limit_e6": -1},
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
            value, stored = getattr(message, field), row[field]
            if isinstance(value, dict):
                stored = msgspec.json.decode(stored)
            assert stored == (list(value) if isinstance(value, tuple) else value), field
    assert database.value("select status from rl_streams") == "closed"
