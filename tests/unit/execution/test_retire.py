"""Markets that are over leave the account table; what they earned stays in the whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import zmq.asyncio
from support.logged import Logged
from support.order_manager import START_NS, ManagerRig
from support.orders import fill, intent

from ipc import account_table as a
from ipc.account_table import AccountTable, AccountTableWriter
from ipc.journal import RunJournal
from ipc.messages import ActorFill, BookSide, Environment, OrderStatus, SessionStarted
from ipc.sockets import Bell, Publisher, Pusher
from ipc.units import LINEAR_CENT
from processes.execution import state as execution_state
from processes.execution.account import Doubt, Payout
from processes.execution.gateway import EffectRunner
from processes.execution.orders import OrderReport
from processes.execution.state import KEEP_CLOSED_MS

UID = "20260810T221500-00000001"
STARTED = SessionStarted(
    session_uid=UID, environment=Environment.SIMULATED, websocket_url="ws://x", started_ns=1
)
ROWS = 4
CLOSE_MS = START_NS // 1_000_000 + 900_000


class Life:
    """A manager with a real table of few rows, and a reader of it."""

    def __init__(self, data_dir: Path, context: zmq.asyncio.Context) -> None:
        self.rig = ManagerRig()
        self.writer = AccountTableWriter.create(data_dir / "accounts", rows=ROWS)
        self.table = AccountTable.attach(data_dir / "accounts")
        self.log = Logged()
        self.publisher = Publisher(context, "execution", data_dir, {}, 1)
        self.pusher = Pusher(context, "doorbell", data_dir, {}, 1)
        records = RunJournal(data_dir, "execution", STARTED, 1 << 22)
        bell = Bell(self.pusher, f"execution/{UID}")
        self.effects = EffectRunner(
            self.rig.manager, self.writer, records, self.publisher, bell, self.log
        )

    def follow(self, ticker: str) -> None:
        """The collector lists a market; it is reconciled."""
        self.rig.state.listed |= {ticker}
        self.rig.state.follow(ticker, LINEAR_CENT, CLOSE_MS)
        self.compare(ticker)

    def compare(self, ticker: str, **view: object) -> None:
        """Reconcile."""
        self.rig.compare(**({"fills": {ticker: []}} | view))
        self.act()

    def act(self) -> None:
        """A beat."""
        self.rig.manager.tick()
        self.effects.act()

    def unlist(self, ticker: str) -> None:
        """The collector gives a market up."""
        self.rig.state.listed -= {ticker}

    def cash(self, ticker: str) -> int | None:
        """As inference reads it."""
        row = np.zeros(a.ACCOUNT_WORDS, np.int64)
        return int(row[a.CASH_E6]) if self.table.read(ticker, row) else None


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    with zmq.asyncio.Context() as context:
        made = Life(tmp_path, context)
        yield made
        made.publisher.close()
        made.pusher.close()


async def test_a_run_sees_more_markets_than_the_table_has_rows(life: Life) -> None:
    """Each is traded and settled; none is refused, and a reader never sees another's money."""
    for n in range(5 * ROWS):
        ticker = f"KXA-{n}"
        life.follow(ticker)
        bought = fill(f"t{n}", market_ticker=ticker, yes_price_e4=1_000 + 100 * n, count_e2=100)
        life.rig.state.on_fill(bought)
        life.rig.after(10)
        life.act()
        held = life.cash(ticker)
        assert held is not None
        life.rig.compare(positions={ticker: 100}, fills={ticker: [bought]})
        life.rig.compare(settlements={ticker: Payout(10_000)}, fills={ticker: [bought]})
        life.act()
        assert life.cash(ticker) == held + 1_000_000
        life.unlist(ticker)
        life.rig.after(10)
        life.act()
        assert life.cash(ticker) is None
    assert life.log.actions() == []
    pnl = life.rig.manager.pnl(0)
    assert pnl.realized_e6 == sum(100 * (10_000 - 1_000 - 100 * n) for n in range(5 * ROWS))
    assert life.rig.state.counters["accounts_retired"] == 5 * ROWS


async def test_a_market_without_a_settlement_goes_when_it_is_long_closed(life: Life) -> None:
    life.follow("KXA")
    life.unlist("KXA")
    life.rig.after(900)
    life.act()
    assert life.cash("KXA") is not None
    life.rig.after(KEEP_CLOSED_MS / 1_000)
    life.act()
    assert (life.cash("KXA"), life.table.tickers()) == (None, [])
    assert life.rig.state.grids == {}


async def test_what_is_listed_open_held_or_in_doubt_stays(life: Life) -> None:
    for ticker in ("KXLISTED", "KXOPEN", "KXHELD", "KXDOUBT"):
        life.follow(ticker)
    rig = life.rig
    rig.manager.on_intent(intent("i1", market_ticker="KXOPEN"), rig.mono_ns)
    bought = fill("t1", market_ticker="KXHELD")
    rig.state.on_fill(bought)
    rig.state.listed = frozenset({"KXLISTED"})
    rig.after(900 + KEEP_CLOSED_MS / 1_000 + 10)
    told = {"KXDOUBT": 500, "KXHELD": bought.count_e2}
    rig.compare(positions=told, fills={"KXDOUBT": [], "KXHELD": [bought]})
    life.act()
    rig.after(10)
    life.act()
    await life.effects.gateway.drop()
    assert rig.state.accounts["KXHELD"].known
    assert rig.state.accounts.keys() == {"KXLISTED", "KXOPEN", "KXHELD", "KXDOUBT"}


async def test_a_late_word_on_an_order_of_a_market_that_is_over_changes_nothing(
    life: Life,
) -> None:
    life.follow("KXA")
    rig = life.rig
    rig.manager.on_intent(intent("i1", market_ticker="KXA"), rig.mono_ns)
    rig.state.on_fact("ka-i1-BY", OrderReport("e1", OrderStatus.CANCELED, 0))
    life.act()
    await life.effects.gateway.drop()
    life.unlist("KXA")
    rig.after(900 + KEEP_CLOSED_MS / 1_000 + 10)
    life.act()
    assert "KXA" not in rig.state.accounts
    rig.state.on_fact("ka-i1-BY", OrderReport("e1", OrderStatus.CANCELED, 100))
    life.act()
    assert life.table.tickers() == []


def traded_and_retired(life: Life) -> list[ActorFill]:
    """A market is bought, sold at a loss, and retired long after its close -> its fills."""
    fills = [
        fill("t1", market_ticker="KXA", yes_price_e4=6_000, count_e2=100, fee_e6=7_000),
        fill("t2", BookSide.ASK, market_ticker="KXA", yes_price_e4=4_000, count_e2=100, ts_ms=2),
    ]
    life.follow("KXA")
    for each in fills:
        life.rig.state.on_fill(each)
    life.act()
    life.unlist("KXA")
    life.rig.after(900 + KEEP_CLOSED_MS / 1_000 + 10)
    life.compare("KXA", fills={"KXA": fills})
    life.rig.after(10)
    life.act()
    assert "KXA" not in life.rig.state.accounts
    return fills


async def test_a_market_that_is_followed_again_counts_its_fills_and_money_once(life: Life) -> None:
    fills = traded_and_retired(life)
    before = life.rig.manager.pnl(0)
    assert (before.realized_e6, before.fees_e6) == (-200_000, 7_000)
    life.rig.state.follow("KXA", LINEAR_CENT)
    assert life.rig.state.accounts["KXA"].doubts == {Doubt.STARTING}
    life.compare("KXA", positions={"KXA": 0}, fills={"KXA": fills})
    after = life.rig.manager.pnl(0)
    assert (after.realized_e6, after.fees_e6) == (before.realized_e6, before.fees_e6)
    assert life.rig.state.counters["fills"] == len(fills)  # each is journalled once


async def test_a_retired_market_that_the_exchange_lists_as_flat_stays_retired(life: Life) -> None:
    traded_and_retired(life)
    assert life.rig.compare(positions={"KXA": 0}) == set()
    assert "KXA" not in life.rig.state.accounts
    assert life.rig.compare(positions={"KXA": 100}) == {"KXA"}  # somebody bought again


async def test_a_fill_of_a_retired_market_brings_its_account_back(life: Life) -> None:
    traded_and_retired(life)
    life.rig.state.on_fill(fill("t3", market_ticker="KXA", count_e2=100, ts_ms=3))
    assert life.rig.manager.get_positions() == {"KXA": 100}
    assert life.rig.manager.pnl(0).realized_e6 == -200_000


async def test_of_many_retired_markets_the_settled_are_forgotten_first(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their profit stays; what a forgotten market still reports is somebody else's."""
    monkeypatch.setattr(execution_state, "KEEP_RETIRED", 2)
    traded_and_retired(life)
    rig, before = life.rig, life.rig.manager.pnl(0)
    rig.compare(settlements={"KXA": Payout(0)})
    for ticker in ("KXB", "KXC"):
        life.follow(ticker)
        life.unlist(ticker)
        rig.after(900 + KEEP_CLOSED_MS / 1_000 + 10)
        life.act()
    after = rig.manager.pnl(0)
    assert (after.realized_e6, after.fees_e6) == (before.realized_e6, before.fees_e6)
    assert rig.state.counters["accounts_forgotten"] == 1
    rig.state.on_fill(fill("t3", market_ticker="KXB", count_e2=100, ts_ms=3))
    rig.state.on_fill(fill("t4", market_ticker="KXA", count_e2=100, ts_ms=3))
    assert rig.manager.get_positions() == {"KXB": 100}
    assert rig.state.counters["fills_elsewhere"] == 1
