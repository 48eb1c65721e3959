"""The hot choice as decisions ask for it: what a tick's own row says against it, and exits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.logged import Logged

from ipc import account_table as a
from ipc import book as b
from ipc.messages import LeaveMarket
from ipc.units import LINEAR_CENT
from models.trading.actions import Pricing, TargetMarketMode
from models.trading.market_choice import HotRules, OnSwitch, look_at
from processes.inference.hot_markets import HotChoice, HotWatch
from processes.inference.models import choice_of
from processes.runtime.config import ConfigError, load_settings

NOON_MS = 1_785_945_600_000
S = 1_000


def row_of(bid: int = 45, no_bid: int = 54, *, close_s: int = 0, at_s: int = 0) -> b.Row:
    """A book of one level a side, in cents; 0 for none."""
    row = b.new_row(LINEAR_CENT.size, LINEAR_CENT)
    levels = [(b.YES, 100 * bid)] * (bid > 0) + [(b.NO, 100 * no_bid)] * (no_bid > 0)
    legs = np.array([leg for leg, _ in levels], np.uint8)
    prices = np.array([price for _, price in levels], np.int64)
    b.apply_snapshot(row, legs, prices, np.full(len(levels), 10_000))
    row[b.RECV_NS] = 1_000_000 * (NOON_MS + at_s * S)
    row[b.CLOSE_MS] = NOON_MS + close_s * S if close_s else 0
    return row


def chosen(on_switch: OnSwitch = OnSwitch.FLATTEN) -> HotChoice:
    """The actor is in A."""
    choice = HotChoice(HotRules(), on_switch)
    choice.hot.look(NOON_MS, [look_at("A", row_of())])
    return choice


def left(on_switch: OnSwitch, bar: str = "wide") -> HotChoice:
    """It was in A, which was barred, and is in B."""
    choice = chosen(on_switch)
    looks = [look_at("A", row_of(), bar), look_at("B", row_of())]
    choice.hot.look(NOON_MS + S, looks)
    choice.leaving["A"] = NOON_MS + S
    return choice


@pytest.mark.parametrize(
    ("row", "forbidden"),
    [
        (row_of(), False),
        (row_of(no_bid=0), True),
        (row_of(bid=0), True),
        (row_of(bid=36), False),  # at 46
        (row_of(bid=35), True),
        (row_of(close_s=61), False),
        (row_of(close_s=61, at_s=1), True),
    ],
)
def test_a_tick_that_is_not_eligible_is_not_decided_on(row: b.Row, forbidden: bool) -> None:
    choice = chosen()
    assert choice.trades("A")
    assert choice.forbids("A", row) is forbidden
    assert choice.exit_pricing("A", row) is None


def test_a_market_that_it_never_was_in_is_not_decided() -> None:
    choice = chosen()
    assert not choice.trades("B")
    assert choice.exit_pricing("B", row_of()) is None


@pytest.mark.parametrize(
    ("on_switch", "pricing"),
    [
        (OnSwitch.HOLD, None),
        (OnSwitch.REDUCE, Pricing.PASSIVE),
        (OnSwitch.FLATTEN, Pricing.AGGRESSIVE),
    ],
)
def test_what_is_held_in_a_market_left_is_closed_even_where_none_would_enter(
    on_switch: OnSwitch, pricing: Pricing | None
) -> None:
    choice = left(on_switch)
    assert choice.trades("A")
    one_sided = row_of(no_bid=0, at_s=2)
    assert choice.exit_pricing("A", one_sided) is pricing
    assert choice.forbids("A", one_sided) is (pricing is None)


def test_what_may_return_is_not_sold_unless_its_close_is_near() -> None:
    choice = left(OnSwitch.REDUCE, "stale")
    assert choice.forbids("A", row_of(at_s=2))
    assert choice.exit_pricing("A", row_of(at_s=2, close_s=63)) is None
    assert choice.exit_pricing("A", row_of(at_s=2, close_s=62)) is Pricing.AGGRESSIVE
    choice.hot.look(NOON_MS + 32 * S, [look_at("B", row_of())])
    assert choice.exit_pricing("A", row_of(at_s=32)) is Pricing.PASSIVE


# The watch


class Books:
    """The collector's rows, of this test's own making."""

    row_words = len(row_of())

    def __init__(self, **rows: b.Row) -> None:
        self.table: Any = self
        self.rows_of = rows
        self.reads: list[str] = []
        self.busy: set[str] = set()  # being written
        self.renamed: set[str] = set()  # given to another market while it is read

    @property
    def rows(self) -> dict[str, int]:
        return {ticker: n for n, ticker in enumerate(self.rows_of)}

    def row_of(self, ticker: str) -> int | None:
        return self.rows.get(ticker)

    def ticker_of(self, row: int) -> str:
        ticker = list(self.rows_of)[row]
        return "another" if ticker in self.renamed else ticker

    def read(self, row: int, out: b.Row) -> bool:
        ticker = list(self.rows_of)[row]
        self.reads.append(ticker)
        out[:] = self.rows_of[ticker]
        return ticker not in self.busy

    def writer_gate(self) -> None:
        return None

    def market_gate(self, _ticker: str, _row: b.Row) -> None:
        return None


class Accounts:
    """Execution's sub-accounts: position and number of resting orders."""

    def __init__(self) -> None:
        self.table: Any = self
        self.known: dict[str, tuple[int, int]] = {}

    def tickers(self) -> list[str]:
        return list(self.known)

    def read(self, ticker: str, out: Any) -> bool:
        if ticker not in self.known:
            return False
        out[a.POSITION_E2], out[a.N_ORDERS] = self.known[ticker]
        return True


class Watch:
    """A watch over two markets, the tighter of which is A."""

    def __init__(self, data_dir: Path, on_switch: OnSwitch = OnSwitch.FLATTEN) -> None:
        self.choice = HotChoice(HotRules(), on_switch)
        self.books = Books(A=row_of(), B=row_of(no_bid=52))
        self.accounts, self.log = Accounts(), Logged()
        self.left: list[tuple[str, str]] = []
        self.path = data_dir / "hot_markets.json"
        parts: tuple[Any, ...] = (self.choice, self.books, self.accounts, self.books)
        self.watch = HotWatch(*parts, self._leave, self.path, self.log)

    def _leave(self, message: LeaveMarket) -> None:
        self.left.append((message.market_ticker, message.reason))

    def look(self, at_ms: float = 0) -> list[str]:
        """Look at noon and so many milliseconds -> the markets that the actor is in."""
        for row in self.books.rows_of.values():
            row[b.RECV_NS] = 1_000_000 * (NOON_MS + int(at_ms))
        self.watch.look(1_000_000 * (NOON_MS + int(at_ms)))
        return sorted(self.choice.hot.chosen)

    def bar(self, ticker: str) -> None:
        """Nobody asks in it any more."""
        self.books.rows_of[ticker] = row_of(no_bid=0)


def test_all_markets_are_looked_at_once_a_second_and_the_chosen_one_every_time(
    tmp_path: Path,
) -> None:
    rig = Watch(tmp_path)
    assert rig.look() == ["A"]
    rig.books.reads.clear()
    rig.look(1)
    rig.look(999)
    assert rig.books.reads == ["A", "A"]
    rig.look(1_000)
    assert rig.books.reads == ["A", "A", "A", "B"]


def test_what_turns_bad_between_two_looks_is_left_at_once(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    assert rig.look(1) == ["B"]
    assert rig.left == [("A", "one-sided")]
    assert list(rig.choice.leaving) == ["A"]


def test_a_row_that_is_being_written_is_as_it_was(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.books.busy.add("A")
    assert rig.look(1_000) == ["A"]


def test_a_row_of_another_market_is_not_looked_at(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.books.renamed.add("A")
    assert rig.look() == ["B"]


def test_what_is_entered_again_is_not_left_any_more(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    rig.look(1)
    rig.accounts.known["A"] = (1_000, 0)
    rig.books.rows_of["A"] = row_of()
    rig.bar("B")
    assert rig.look(120 * S) == ["A"]
    assert list(rig.choice.leaving) == ["B"]


def test_a_position_that_is_held_is_not_being_closed(tmp_path: Path) -> None:
    rig = Watch(tmp_path, OnSwitch.HOLD)
    rig.look()
    rig.bar("A")
    rig.look(1)
    assert list(rig.choice.leaving) == []


def test_an_exit_ends_when_nothing_is_held_or_rests(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    rig.accounts.known["A"] = (1_000, 0)
    rig.look(1)
    rig.look(1_001)
    assert list(rig.choice.leaving) == ["A"]
    rig.accounts.known["A"] = (0, 1)
    rig.look(2_001)
    assert rig.left[-1] == ("A", "left")
    assert list(rig.choice.leaving) == ["A"]
    rig.accounts.known["A"] = (0, 0)
    rig.look(3_001)
    assert list(rig.choice.leaving) == []


@pytest.mark.parametrize("on_switch", [OnSwitch.HOLD, OnSwitch.FLATTEN])
def test_orders_where_the_actor_is_not_are_canceled(tmp_path: Path, on_switch: OnSwitch) -> None:
    rig = Watch(tmp_path, on_switch)
    rig.accounts.known |= {"B": (1_000, 1), "A": (0, 1)}  # of an earlier run
    rig.look()
    assert rig.left == [("B", "left")]


def test_what_closes_before_it_could_be_closed_is_given_up(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    rig.books.rows_of["A"][b.CLOSE_MS] = NOON_MS + 10 * S
    rig.accounts.known["A"] = (1_000, 0)
    rig.look(1)
    rig.look(9_999)
    assert list(rig.choice.leaving) == ["A"]
    rig.look(11 * S)
    assert list(rig.choice.leaving) == []
    assert rig.log.has("position_not_closed", ticker="A", position_e2=1_000)


def test_what_is_not_followed_any_more_is_remembered_for_an_hour(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    rig.accounts.known["A"] = (1_000, 0)
    rig.look(1)
    rig.look(100 * S)  # followed until here
    del rig.books.rows_of["A"]
    rig.look(3_700 * S)
    assert list(rig.choice.leaving) == ["A"]
    rig.look(3_702 * S)
    assert list(rig.choice.leaving) == []


def test_where_it_was_outlives_a_restart(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.look()
    rig.bar("A")
    rig.accounts.known["A"] = (1_000, 0)
    rig.look(1)
    assert rig.watch.unsaved == ["A", "B"]
    rig.watch.save(["A", "B"])
    assert rig.watch.unsaved is None
    again = Watch(tmp_path)
    again.bar("A")
    again.accounts.known["A"] = (1_000, 0)
    assert again.look(2_000) == ["B"]
    assert "A" in again.choice.leaving


def test_after_a_restart_it_is_where_it_was_though_another_is_hotter(tmp_path: Path) -> None:
    rig = Watch(tmp_path)
    rig.watch.save(["B"])
    assert rig.look() == ["B"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"x": ' + b"[" * 100_000]
)
def test_a_memory_that_cannot_be_read_is_said_and_nothing_is_remembered(
    tmp_path: Path, content: bytes
) -> None:
    rig = Watch(tmp_path)
    rig.path.write_bytes(content)
    assert rig.look() == ["A"]
    assert rig.log.has("hot_markets_not_read")


def test_a_memory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    rig = Watch(tmp_path / "not there")
    rig.watch.save(["A"])
    assert rig.log.has("hot_markets_not_written")


# Settings


@pytest.mark.parametrize(
    ("environment", "mode"), [("simulated", "all"), ("demo", "hot"), ("production", "hot")]
)
def test_hot_is_the_default_where_money_may_be_real(environment: str, mode: str) -> None:
    choice = choice_of(load_settings({"KALSHI_TRADING_ENVIRONMENT": environment}).actor)
    assert choice.mode is TargetMarketMode(mode)
    if isinstance(choice, HotChoice):
        assert choice.on_switch is OnSwitch.FLATTEN


def test_every_bound_is_a_setting() -> None:
    environ = {
        "RL_ACTOR_TARGET_MARKET_MODE": "hot",
        "RL_ACTOR_HOT_MARKETS": "3",
        "RL_ACTOR_HOT_DWELL_S": "5",
        "RL_ACTOR_HOT_CLOSE_S": "7",
        "RL_ACTOR_HOT_MAX_SPREAD": "0.025",
        "RL_ACTOR_ON_SWITCH": "hold",
    }
    choice = choice_of(load_settings(environ).actor)
    assert isinstance(choice, HotChoice)
    wanted = HotRules(markets=3, dwell_ms=5_000, close_ms=7_000, max_spread_e4=250)
    assert (choice.hot._rules, choice.on_switch) == (wanted, OnSwitch.HOLD)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("RL_ACTOR_TARGET_MARKET_MODE", "hottest", "hot, all, config"),
        ("RL_ACTOR_HOT_MARKETS", "0", "1 to 1000"),
        ("RL_ACTOR_HOT_DWELL_S", "1.5", "0 to 86400"),
        ("RL_ACTOR_HOT_CLOSE_S", "-1", "0 to 86400"),
        ("RL_ACTOR_HOT_MAX_SPREAD", "1", "0.0001 to 0.9999 dollars"),
        ("RL_ACTOR_HOT_MAX_SPREAD", "0.00001", "0.0001 to 0.9999 dollars"),
        ("RL_ACTOR_ON_SWITCH", "sell", "hold, reduce, flatten"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{value}.*allowed: {allowed}"):
        load_settings({name: value})
