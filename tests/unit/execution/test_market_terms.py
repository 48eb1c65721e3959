"""Fees that the collector reports: what risk holds, and what the account row says."""

from __future__ import annotations

import pytest
from support import order_manager
from support.order_manager import EXPIRY_MS, START_NS, ManagerRig
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.messages import OrderStatus
from models.trading.actions import LimitOrderActionSpace
from models.trading.fees import NEWEST_RULE, FeeBound, FeeSchedule
from processes.execution.account import ReportedFees

COST_E6 = 5_000 * 1_000
NOW_MS = START_NS // 1_000_000 + 10_000  # of the rig
Steps = tuple[tuple[int, str, int], ...]


@pytest.mark.parametrize(
    ("steps", "fee_e6"),
    [
        ((), 175_000),  # not reported: the usual ones
        (((0, "quadratic", 0),), 0),
        (((0, "quadratic", 5_000),), 87_500),
        (((0, "quadratic_with_maker_fees", 10_000),), 175_000),
        (((0, "flat", 20_000),), 350_000),
        (((0, "quadratic", 0), (NOW_MS + EXPIRY_MS, "quadratic", 10_000)), 175_000),
        (((0, "quadratic", 0), (NOW_MS + EXPIRY_MS + 1, "quadratic", 10_000)), 0),
        (((0, "quadratic", 10_000), (NOW_MS, "quadratic", 0)), 0),
        (((0, "by_the_hour", 0),), 175_000),
    ],
)
def test_a_purchase_must_pay_the_most_that_its_market_may_charge(
    monkeypatch: pytest.MonkeyPatch, steps: Steps, fee_e6: int
) -> None:
    for less, status in ((0, OrderStatus.PENDING), (1, OrderStatus.REJECTED)):
        monkeypatch.setattr(order_manager, "CASH_E6", COST_E6 + fee_e6 - less)
        rig = ManagerRig().known()
        rig.state.on_fees({TICKER: steps} if steps else {})
        rig.manager.on_intent(intent(yes_price_e4=5_000, count_e2=1_000), rig.mono_ns)
        assert rig.last_order().status is status, less


def test_the_account_row_says_what_is_charged_now_and_a_change_is_a_new_version() -> None:
    rig = ManagerRig().known()
    row = rig.manager.account_row(TICKER)
    assert row[a.FEE_CODE] == 0
    rig.state.on_fees({TICKER: ((0, "quadratic", 5_000), (NOW_MS + 1_000, "flat", 10_000))})
    first = rig.manager.account_row(TICKER)
    assert first[a.ACCOUNT_VERSION] > row[a.ACCOUNT_VERSION]
    half = FeeSchedule.of(NEWEST_RULE, "quadratic", 5_000)
    words = (half.code + 1, half.taker_rate_e6, half.maker_rate_e6)
    assert tuple(first[a.FEE_CODE : a.MAKER_RATE_E6 + 1]) == words
    rig.after(0.5).manager.tick()
    assert rig.manager.account_row(TICKER)[a.ACCOUNT_VERSION] == first[a.ACCOUNT_VERSION]
    rig.after(0.5).manager.tick()
    then = rig.manager.account_row(TICKER)
    assert then[a.ACCOUNT_VERSION] > first[a.ACCOUNT_VERSION]
    flat = FeeSchedule.of(NEWEST_RULE, "flat")
    assert tuple(then[a.FEE_CODE : a.TAKER_RATE_E6 + 1]) == (flat.code + 1, flat.taker_rate_e6)


def test_quotes_are_sized_by_the_fees_in_the_account_row() -> None:
    from support.model_sessions import SessionBuilder

    from models.simulation.tape import make_tape

    tape = make_tape(SessionBuilder().snapshot({49: 10}, {50: 10}).build())
    account = a.new_account(5_000 * 1_000)  # ten contracts at 0.50, without any fee
    space = LimitOrderActionSpace("aggressive", 1_000)
    with_usual = space.order_for(1, tape.rows[0], account)
    free = FeeSchedule.of(NEWEST_RULE, "quadratic", 0)
    account[a.FEE_CODE], account[a.TAKER_RATE_E6] = free.code + 1, free.taker_rate_e6
    without = space.order_for(1, tape.rows[0], account)
    assert with_usual is not None
    assert without is not None
    assert (with_usual.count_e2, without.count_e2) == (900, 1_000)


def test_bad_terms_are_named_once_and_what_was_known_stays() -> None:
    fees = ReportedFees()
    assert fees.report({"A": ((0, "quadratic", 0),)}, NOW_MS) == []
    bad = {"A": ((0, "by_the_hour", 0),)}
    assert fees.report(bad, NOW_MS) == ["A"]
    assert fees.report(bad, NOW_MS) == []
    assert fees.bound("A", NOW_MS, NOW_MS).schedules[0].taker_rate_e6 == 0
    fees.forget("A")
    assert fees.bound("A", NOW_MS, NOW_MS) == FeeBound()
    assert fees.in_force("A", NOW_MS) is None
