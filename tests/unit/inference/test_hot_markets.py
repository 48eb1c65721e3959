"""The hot choice as decisions ask for it: what a tick's own row says against it, and exits."""

from __future__ import annotations

import numpy as np
import pytest

from ipc import book as b
from ipc.units import LINEAR_CENT
from models.trading.actions import Pricing, TargetMarketMode
from models.trading.market_choice import HotRules, OnSwitch, look_at
from processes.inference.hot_markets import HotChoice
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
