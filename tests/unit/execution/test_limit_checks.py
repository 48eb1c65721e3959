"""Every limit at, below and above its value; what reduces is bound by few of them."""

from __future__ import annotations

from typing import Any

import pytest
from support.limits import bounds
from support.orders import TICKER, intent

from ipc.messages import Leg, TradingState
from ipc.units import LINEAR_CENT
from processes.execution.account import MarketAccount, ShardFunds
from processes.execution.account_measures import Measures
from processes.execution.exposure import MarketRisk, RiskScope, ScopeKind
from processes.execution.limit_checks import (
    CANCEL_CHECKS,
    DECISION_CHECKS,
    ORDER_CHECKS,
    LimitBreach,
    LimitCase,
    breaches,
)
from processes.execution.limits_file import LIMITS, LimitName
from processes.execution.risk import RiskCase, RiskLimits
from processes.execution.touch import Touch

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
ALL = (*ORDER_CHECKS, *CANCEL_CHECKS)
SCOPES = {
    "market": RiskScope(ScopeKind.MARKET, TICKER),
    "event": RiskScope(ScopeKind.EVENT, "KXTEST"),
    "series": RiskScope(ScopeKind.SERIES, "KXTEST"),
    "total": RiskScope(ScopeKind.TOTAL),
}


def case(limits: str = "", wanted: Any = None, **fields: Any) -> LimitCase:
    """A purchase of 10 contracts at 40 cents that nothing forbids."""
    account = MarketAccount(TICKER, 100_000_000)
    risk = {
        "intent": wanted or intent(),
        "limits": RiskLimits(),
        "now_mono_ns": fields.pop("now_mono_ns", 0),
        "account": account,
        "grid": LINEAR_CENT,
        "others": (),
        "open_orders": 0,
        "session_uid": "s",
        "environment_ok": True,
        "trading": TradingState.TRADING,
        "funds": fields.pop("funds", ShardFunds(3, 100_000_000)),
    }
    standard: dict[str, Any] = {
        "risk": RiskCase(**risk),
        "bounds": bounds(limits),
        "measures": Measures(),
        "sums": {},
        "touch": Touch(3_900, 5_900),
        "close_ms": NOW_MS + 60 * MINUTE_MS,
        "now_ms": NOW_MS,
    }
    return LimitCase(**{**standard, **fields})


def sums(scope: str, **figures: int) -> dict[str, Any]:
    return {"sums": {SCOPES[scope]: MarketRisk(**figures)}}


def measured(**figures: int) -> dict[str, Any]:
    return {"measures": Measures(**figures)}


def touched(yes_bid: int, no_bid: int) -> dict[str, Any]:
    return {"touch": Touch(100 * yes_bid, 100 * no_bid)}


def left(minutes: float) -> dict[str, Any]:
    return {"close_ms": NOW_MS + int(minutes * MINUTE_MS)}


# The purchase costs 4.00 and a worst fee of 0.168 dollars.
FITS = [
    *[(f"{s}_contracts = 10", sums(s, contracts_e2=n)) for s in SCOPES for n in (999, 1_000)],
    *[(f"{s}_exposure = 10", sums(s, exposure_e6=n)) for s in SCOPES for n in (0, 10_000_000)],
    *[("worst_case_loss = 10", sums("total", worst_e6=n)) for n in (9_999_999, 10_000_000)],
    *[("daily_loss = 10", measured(daily_loss_e6=n)) for n in (-5_000_000, 9_999_999)],
    *[("drawdown = 10", measured(drawdown_e6=n)) for n in (0, 9_999_999)],
    ("loss_streak = 3", measured(losses=2)),
    *[("orders_per_second = 5", measured(orders_second=n)) for n in (0, 4)],
    ("orders_per_minute = 5", measured(orders_minute=4)),
    ("cancels_per_second = 5", measured(cancels_second=4)),
    ("cancels_per_minute = 5", measured(cancels_minute=4)),
    ("open_orders = 5", measured(open_orders=4)),
    *[("price_collar_cents = 2", touched(*t)) for t in [(40, 60), (42, 50), (38, 62), (42, 0)]],
    ("price_collar_cents = 2", touched(0, 62)),
    ("data_age_ms = 500", {"touch": Touch(0, 0, 500)}),
    ("data_age_ms = 500", {"touch": Touch(0, 0, 200), "now_mono_ns": 300_999_999}),
    ("cash_reserve = 95.832", {}),
    ("cash_reserve = 95", {}),
    ("minutes_to_close = 2", left(2)),
    ("minutes_to_close = 2", left(60)),
]
BREAKS = [
    *[(f"{s}_contracts = 10", sums(s, contracts_e2=1_001), 1_001) for s in SCOPES],
    *[(f"{s}_exposure = 10", sums(s, exposure_e6=10_000_001), 10_000_001) for s in SCOPES],
    ("worst_case_loss = 10", sums("total", worst_e6=10_000_001), 10_000_001),
    *[("daily_loss = 10", measured(daily_loss_e6=n), n) for n in (10_000_000, 10_000_001)],
    *[("drawdown = 10", measured(drawdown_e6=n), n) for n in (10_000_000, 10_000_001)],
    *[("loss_streak = 3", measured(losses=n), n) for n in (3, 4)],
    ("orders_per_second = 5", measured(orders_second=5), 6),
    ("orders_per_second = 0", {}, 1),
    ("orders_per_minute = 5", measured(orders_minute=5), 6),
    ("cancels_per_second = 5", measured(cancels_second=5), 6),
    ("cancels_per_minute = 5", measured(cancels_minute=5), 6),
    ("open_orders = 5", measured(open_orders=5), 6),
    ("price_collar_cents = 2", touched(43, 50), 300),
    ("price_collar_cents = 2", touched(30, 63), 300),
    ("price_collar_cents = 2", touched(43, 0), 300),
    ("price_collar_cents = 2", touched(37, 0), 300),
    ("price_collar_cents = 2", touched(0, 63), 300),
    ("price_collar_cents = 2", touched(0, 0), None),
    ("price_collar_cents = 2", {"touch": None}, None),
    ("data_age_ms = 500", {"touch": Touch(0, 0, 501)}, 501),
    ("data_age_ms = 500", {"touch": Touch(0, 0, 200), "now_mono_ns": 301_000_000}, 501),
    ("data_age_ms = 500", {"touch": None}, None),
    ("cash_reserve = 95.832001", {}, 95_832_000),
    ("cash_reserve = 0", {"funds": None}, None),
    ("minutes_to_close = 2", left(1.99), 119_400),
    ("minutes_to_close = 2", left(-5), -5 * MINUTE_MS),
    ("minutes_to_close = 2", {"close_ms": None}, None),
]


@pytest.mark.parametrize(("limit", "facts"), FITS)
def test_what_is_within_a_limit_passes(limit: str, facts: dict[str, Any]) -> None:
    assert breaches(case(limit, **facts), ALL) == ()


@pytest.mark.parametrize(("limit", "facts", "number"), BREAKS)
def test_what_is_beyond_a_limit_is_refused_with_the_numbers(
    limit: str, facts: dict[str, Any], number: int | None
) -> None:
    (found,) = breaches(case(limit, **facts), ALL)
    name, _, value = limit.partition(" = ")
    assert (found.name, found.measured) == (name, number)
    assert found.limit == bounds(f"{name} = {value}").of(found.name)


@pytest.mark.parametrize(("_limit", "facts", "_number"), BREAKS)
def test_a_limit_that_is_not_named_is_not_checked(
    _limit: str, facts: dict[str, Any], _number: int | None
) -> None:
    assert breaches(case("", **facts), ALL) == ()


@pytest.mark.parametrize(("limit", "facts", "_number"), BREAKS)
def test_a_sale_of_what_is_held_keeps_to_rates_collar_and_number_of_orders_only(
    limit: str, facts: dict[str, Any], _number: int | None
) -> None:
    sale = case(limit, intent(is_buy=False), **facts)
    names = {breach.name.value for breach in breaches(sale, ALL)}
    bound = {
        *("orders_per_second", "orders_per_minute", "cancels_per_second", "cancels_per_minute"),
        *("open_orders", "price_collar_cents"),
    }
    assert names == {limit.partition(" = ")[0]} & bound
    assert {name.value for name, kind in LIMITS.items() if kind.binds_reductions} == bound


def test_every_limit_is_tried_here_on_both_sides() -> None:
    names = {name.value for name in LimitName}
    assert {limit.partition(" = ")[0] for limit, _ in FITS} == names
    assert {limit.partition(" = ")[0] for limit, _, _ in BREAKS} == names


def test_the_answer_is_every_breach_at_once() -> None:
    every = "\n".join(
        ["total_exposure = 1", "daily_loss = 1", "minutes_to_close = 9", "open_orders = 1"]
    )
    facts = sums("total", exposure_e6=2_000_000) | measured(daily_loss_e6=1_500_000, open_orders=1)
    found = breaches(case(every, **facts, **left(1)), ORDER_CHECKS)
    assert [str(breach) for breach in found] == [
        "daily_loss: 1.50 dollars, limit 1.00 dollars (total)",
        "total_exposure: 2.00 dollars, limit 1.00 dollars (total)",
        f"minutes_to_close: 1 minutes, limit 9 minutes (market {TICKER})",
        "open_orders: 2, limit 1 (total)",
    ]


def test_what_is_not_known_is_said_so() -> None:
    breach = LimitBreach(LimitName.PRICE_COLLAR_CENTS, None, 250, "order")
    assert str(breach) == "price_collar_cents: not known, limit 2.5 cents (order)"


def test_a_purchase_of_no_is_held_against_the_same_touch() -> None:
    wanted = intent(leg=Leg.NO, yes_price_e4=4_000)
    assert breaches(case("price_collar_cents = 2", wanted, **touched(42, 50)), ALL) == ()
    (found,) = breaches(case("price_collar_cents = 2", wanted, **touched(43, 50)), ALL)
    assert found.measured == 300


def test_rates_bind_what_is_sent_and_cancels_what_replaces() -> None:
    limits = "orders_per_second = 1\ncancels_per_second = 1\nopen_orders = 1"
    full = case(limits, **measured(orders_second=1, cancels_second=1, open_orders=1))
    names = [[b.name.value for b in breaches(full, c)] for c in (DECISION_CHECKS, CANCEL_CHECKS)]
    assert names == [[], ["cancels_per_second"]]
    assert [b.name.value for b in breaches(full, ORDER_CHECKS)] == [
        "open_orders",
        "orders_per_second",
    ]
