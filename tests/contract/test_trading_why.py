"""`kalshi-actor trading why`: the story of an order out of the real tables."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.exchange import REPOSITORY
from support.journals import START_NS, FramedJournal
from support.postgres import Database
from support.recorder_process import RecorderProcess, eventually

from ipc import account_table as a
from ipc.account_table import OpenOrder, put_orders, words_of
from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import (
    AccountVersion,
    ActorAction,
    ActorFill,
    ActorOrder,
    ActorPosition,
    BookSide,
    Intent,
    Leg,
    Message,
    OrderStatus,
    Tick,
    TradingEvent,
    TradingEventKind,
)

MARKET, INTENT = "KXWHY-26DEC01-T1", "20261201T120000-1a2b3c4d-17"
NAME = f"ka-5e0c9a17-{INTENT}-BY"
HOPS = {"frame_mono_ns": 1_000, "written_mono_ns": 2_000, "decided_mono_ns": 301_000}


def at(seconds: float) -> int:
    return START_NS + int(seconds * NS_PER_S)


def order(status: OrderStatus, seconds: float, fill_e2: int = 0, **facts: Any) -> ActorOrder:
    standard: dict[str, Any] = {
        "order_id": "e-1",
        "client_order_id": NAME,
        "intent_id": INTENT,
        "market_ticker": MARKET,
        "leg": Leg.YES,
        "is_buy": True,
        "book_side": BookSide.BID,
        "yes_price_e4": 4_500,
        "initial_count_e2": 1_000,
        "fill_count_e2": fill_e2,
        "remaining_count_e2": 1_000 - fill_e2,
        "status": status,
        "reason": "",
        "expire_ms": None,
        "ts_ns": at(seconds),
        "received_mono_ns": 400_000,
        "sent_mono_ns": 600_000,
        "acknowledged_mono_ns": 5_600_000,
    }
    return ActorOrder(**standard | facts)


def event(kind: TradingEventKind, name: str, seconds: float, why: str, **numbers: int) -> Message:
    ticker = None if kind is TradingEventKind.COMMAND else MARKET
    return TradingEvent(
        kind=kind,
        name=name,
        who="ann (pid 7)" if ticker is None else "execution",
        why=why,
        market_ticker=ticker,
        numbers=numbers,
        ts_ns=at(seconds),
    )


def position(seconds: float, version: int) -> ActorPosition:
    return ActorPosition(
        market_ticker=MARKET,
        position_e2=0,
        cost_basis_e6=0,
        cash_e6=0,
        realized_e6=0,
        fees_e6=0,
        open_orders=1,
        account_version=version,
        ts_ns=at(seconds),
    )


def account(seconds: float, version: int, ahead_e2: int) -> AccountVersion:
    row = a.new_account(0)
    row[a.ACCOUNT_VERSION], row[a.TS_NS] = version, at(seconds)
    put_orders(row, [OpenOrder(True, 0, 4_500, 1_000, at(1), ahead_e2)])
    return AccountVersion(
        market_ticker=MARKET, account_version=version, words=words_of(row), layout=a.LAYOUT
    )


def decided() -> list[Message]:
    """A tick, what was decided on it, and the intent."""
    common: dict[str, Any] = {
        "session_uid": "s-1",
        "market_ticker": MARKET,
        "action": 1,
        "action_name": "BUY_YES_LIMIT",
        "event_no": 42,
        "account_version": 7,
        "model": "default",
        "decided_ns": at(1),
    }
    action = ActorAction(
        **common,
        **HOPS,
        reason="policy",
        model_hash="h",
        observation_hash="o",
        logits=(0.25,),
        value=None,
        mask=(True,),
        intent_id=INTENT,
        recv_ns=at(0.9),
        woken_mono_ns=3_000,
    )
    intent = Intent(
        **common,
        **HOPS,
        intent_id=INTENT,
        leg=Leg.YES,
        is_buy=True,
        book_side=BookSide.BID,
        price_e4=4_500,
        yes_price_e4=4_500,
        count_e2=1_000,
        deadline_mono_ns=301_000 + 1_000 * NS_PER_MS,
    )
    tick = Tick(session_uid="s-1", market_ticker=MARKET, event_no=42, recv_ns=at(0.9), history=3)
    return [tick, action, intent]


def story() -> list[Message]:
    """An order that rests, is filled in two parts, and what happened around it."""
    fills = [
        ActorFill(
            trade_id=f"t-{n}",
            order_id="e-1",
            client_order_id=None,
            market_ticker=MARKET,
            book_side=BookSide.BID,
            yes_price_e4=4_500,
            count_e2=count_e2,
            is_taker=n == 1,
            fee_e6=17_500,
            ts_ms=at(seconds) // NS_PER_MS,
        )
        for n, count_e2, seconds in ((1, 400, 4), (2, 600, 6))
    ]
    refused = f"{INTENT}-b"
    return [
        *decided(),
        order(OrderStatus.PENDING, 1, order_id=None, acknowledged_mono_ns=0),
        position(1.5, 8),
        account(1.5, 8, 12_000),
        order(OrderStatus.RESTING, 1.6),
        position(3, 9),
        account(3, 9, 2_500),
        fills[0],
        order(OrderStatus.RESTING, 4, 400),
        event(TradingEventKind.COMMAND, "pause", 5, "lunch", open_orders=1),
        fills[1],
        order(OrderStatus.EXECUTED, 6, 1_000),
        event(TradingEventKind.DIFFERENCE, "position", 7, "other", known_e2=0, exchange_e2=1_000),
        event(
            TradingEventKind.LIMIT,
            "not_enough_cash",
            8,
            f"{refused}: not_enough_cash",
            cash_e6=1_250_000,
            count_e2=1_000,
        ),
        order(
            OrderStatus.REJECTED,
            8,
            client_order_id=f"ka-5e0c9a17-{refused}-BY",
            intent_id=refused,
            order_id=None,
            reason="not_enough_cash",
            sent_mono_ns=0,
        ),
    ]


async def pay(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        number = await connection.fetchval(
            "insert into rl_markets (market_ticker) values ($1) returning market_id", MARKET
        )
        await connection.execute(
            "insert into rl_market_results values ('simulated', $1, 'yes', 10000, null, $2, 1)",
            number,
            at(60) // NS_PER_MS,
        )
    finally:
        await connection.close()


def why(dsn: str, data_dir: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(data_dir), "DATABASE_URL": dsn}
    return subprocess.run(
        [sys.executable, "-m", "processes.cli", "trading", "why", *argv],
        cwd=REPOSITORY,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def recorded(database: Database, recorder: RecorderProcess, tmp_path: Path) -> Database:
    """The story, recorded by the recorder, and what the market paid."""
    journal = FramedJournal(tmp_path / "data", "execution", "x1")
    assert journal.writer.append(*story())
    journal.end()
    recorder.start()
    eventually(lambda: not journal.folder.exists(), "the stream is finished")
    asyncio.run(pay(database))
    return database


def test_an_order_is_told_from_the_tick_to_the_settlement(
    recorded: Database, tmp_path: Path
) -> None:
    told = why(recorded.dsn, tmp_path, INTENT)
    assert (told.returncode, told.stderr) == (0, "")
    first, *lines = told.stdout.splitlines()
    assert first == f"order {NAME}"
    assert [line.split(maxsplit=2)[1:] for line in lines] == [
        ["tick", "event 42 of session s-1, 3 ticks before it"],
        [
            "decision",
            "BUY_YES_LIMIT by default (policy), account version 7, 300 us after the frame",
        ],
        ["intent", f"{INTENT}: buy 10.00 YES at 0.4500, void after 1000 ms"],
        ["order", "pending: buy YES at 0.4500, filled 0.00 of 10.00"],
        ["queue", "120.00 contracts trade before it"],
        [
            "order",
            "resting: buy YES at 0.4500, filled 0.00 of 10.00; exchange's id e-1; "
            "sent 200 us after it was received, answered 5000 us later",
        ],
        ["queue", "25.00 contracts trade before it"],
        [
            "order",
            "resting: buy YES at 0.4500, filled 4.00 of 10.00; exchange's id e-1; "
            "sent 200 us after it was received, answered 5000 us later",
        ],
        ["fill", "4.00 at 0.4500 on the YES scale, as taker, fee 0.017500, trade t-1"],
        ["audit", "command pause by ann (pid 7): lunch (open_orders 1)"],
        [
            "order",
            "executed: buy YES at 0.4500, filled 10.00 of 10.00; exchange's id e-1; "
            "sent 200 us after it was received, answered 5000 us later",
        ],
        ["fill", "6.00 at 0.4500 on the YES scale, as maker, fee 0.017500, trade t-2"],
        ["audit", "difference position by execution: other (known 0.00, exchange 10.00)"],
        [
            "result",
            "yes: a YES contract pays 1.0000; this order's fills, held until then: 5.500000 "
            "less fees 0.035000 = 5.465000 dollars",
        ],
    ]
    for name in (NAME, "e-1"):
        assert why(recorded.dsn, tmp_path, name).stdout == told.stdout
    refused = why(recorded.dsn, tmp_path, f"{INTENT}-b").stdout
    assert "rejected: buy YES at 0.4500, filled 0.00 of 10.00; not_enough_cash" in refused
    assert "not_enough_cash (cash 1.250000 dollars, count 10.00)" in refused
    market = json.loads(why(recorded.dsn, tmp_path, MARKET, "--json").stdout)
    names = [NAME, f"ka-5e0c9a17-{INTENT}-b-BY", None]
    assert [story["client_order_id"] for story in market] == names
    assert [line["what"] for line in market[-1]["lines"]] == ["audit", "audit"]
    last = json.loads(why(recorded.dsn, tmp_path, MARKET, "--last", "1", "--json").stdout)
    assert [story["client_order_id"] for story in last] == names[1:]
    unknown = why(recorded.dsn, tmp_path, "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "nothing is stored under 'nobody'" in unknown.stderr


def test_without_the_database_it_says_where_the_story_waits(tmp_path: Path) -> None:
    told = why("postgresql://nobody@127.0.0.1:1/none", tmp_path, INTENT)
    assert (told.returncode, told.stdout) == (2, "")
    assert "the story is in the database alone, which does not answer" in told.stderr
    assert str(tmp_path / "journal") in told.stderr
