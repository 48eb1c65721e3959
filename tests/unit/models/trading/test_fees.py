"""Fees: the two dated rules, exactly."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.trading.fees import NO_FEES, FeeRule, FeeSchedule, OrderFees, rule_at_ms, rule_on

AUGUST = FeeSchedule.of(FeeRule.AUGUST_2026)
OCTOBER = FeeSchedule.of(FeeRule.OCTOBER_2026)
PRICES = st.integers(1, 9999)
COUNTS = st.integers(1, 1_000_000)


@pytest.mark.parametrize("schedule", [AUGUST, OCTOBER])
@pytest.mark.parametrize(("price_e4", "fee_e6"), [(5200, 17_500), (9900, 700)])
def test_recorded_fills(schedule: FeeSchedule, price_e4: int, fee_e6: int) -> None:
    assert schedule.fee_e6(price_e4, 100, is_buy=True, is_taker=True) == fee_e6


def test_august_rounds_the_fee_and_then_the_cost() -> None:
    # 0.29 contracts at 0.34: fee 0.0045553 -> 0.0046; cost 0.0986 is aligned already
    assert AUGUST.fee_e6(3400, 29, is_buy=True, is_taker=True) == 4_600
    # 0.25 contracts at 0.3333: fee 0.003888.. -> 0.0039; cost 0.083325 -> the sum ends on 0.0873
    assert AUGUST.fee_e6(3333, 25, is_buy=True, is_taker=True) == 3_975
    assert AUGUST.fee_e6(3333, 25, is_buy=False, is_taker=True) == 3_925


def test_october_rounds_only_the_balance() -> None:
    # trade fee 0.003889, cost 0.083325, sum 0.087214 -> 0.0873
    assert OCTOBER.fee_e6(3333, 25, is_buy=True, is_taker=True) == 3_975
    # sell: 0.083325 - 0.003889 = 0.079436 -> 0.0794
    assert OCTOBER.fee_e6(3333, 25, is_buy=False, is_taker=True) == 3_925
    # 0.01 contracts at 0.0105 cost 0.000105, fee 0.0000073: rounded twice, or once
    assert AUGUST.fee_e6(105, 1, is_buy=True, is_taker=True) == 195
    assert OCTOBER.fee_e6(105, 1, is_buy=True, is_taker=True) == 95


@given(PRICES, COUNTS, st.booleans())
def test_august_is_its_decimal_definition(price_e4: int, count_e2: int, is_buy: bool) -> None:
    p, c, unit = Decimal(price_e4).scaleb(-4), Decimal(count_e2).scaleb(-2), Decimal("0.0001")
    fee = (Decimal("0.07") * c * p * (1 - p)).quantize(unit, ROUND_CEILING)
    cost = c * p if is_buy else -c * p
    total = (cost + fee).quantize(unit, ROUND_CEILING)
    got = AUGUST.fee_e6(price_e4, count_e2, is_buy=is_buy, is_taker=True)
    assert got == int((total - cost).scaleb(6))


@given(st.integers(1, 99), st.integers(1, 5_000), st.booleans())
def test_rules_agree_on_whole_cents_and_contracts(cents: int, contracts: int, is_buy: bool) -> None:
    args = (100 * cents, 100 * contracts)
    got = [s.fee_e6(*args, is_buy=is_buy, is_taker=True) for s in (AUGUST, OCTOBER)]
    assert got[0] == got[1]


@given(PRICES, COUNTS, st.sampled_from([AUGUST, OCTOBER]))
def test_selling_yes_is_buying_no(price_e4: int, count_e2: int, schedule: FeeSchedule) -> None:
    sell = schedule.fee_e6(price_e4, count_e2, is_buy=False, is_taker=True)
    assert sell == schedule.fee_e6(10_000 - price_e4, count_e2, is_buy=True, is_taker=True)


@given(PRICES, COUNTS, st.booleans(), st.sampled_from([AUGUST, OCTOBER]))
def test_balance_moves_in_its_precision(
    price_e4: int, count_e2: int, is_buy: bool, schedule: FeeSchedule
) -> None:
    cost = price_e4 * count_e2 * (1 if is_buy else -1)
    assert (cost + schedule.fee_e6(price_e4, count_e2, is_buy=is_buy, is_taker=True)) % 100 == 0


@given(st.lists(st.tuples(PRICES, st.integers(1, 500), st.booleans()), min_size=1, max_size=30))
def test_octobers_accumulator_gives_back_whole_units_and_no_more(
    fills: list[tuple[int, int, bool]],
) -> None:
    order = OrderFees(FeeSchedule.of(FeeRule.OCTOBER_2026, "quadratic_with_maker_fees"))
    trade = rounding = rebate = 0
    for price_e4, count_e2, is_taker in fills:
        fee = order.charge(price_e4, count_e2, is_buy=True, is_taker=is_taker)
        assert fee.net_e6 >= 0
        assert fee.rebate_e6 % 100 == 0
        trade, rounding, rebate = trade + fee[0], rounding + fee[1], rebate + fee[2]
        assert order.accumulator_e6 == rounding - rebate >= 0
    assert order.charged_e6 == trade + rounding - rebate


def test_octobers_rebate_needs_two_fills() -> None:
    order = OrderFees(OCTOBER)
    nets = [order.charge(5200, 100, is_buy=True, is_taker=True).net_e6 for _ in range(8)]
    # 28 micro-dollars of rounding a fill: the fourth brings the accumulator to 112
    assert nets == [17_500, 17_500, 17_500, 17_400, 17_500, 17_500, 17_500, 17_400]


def test_makers_and_multipliers() -> None:
    maker = FeeSchedule.of(FeeRule.AUGUST_2026, "quadratic_with_maker_fees", 5_000)
    assert (maker.taker_rate_e6, maker.maker_rate_e6) == (35_000, 8_750)
    assert AUGUST.fee_e6(5000, 100, is_buy=True, is_taker=False) == 0
    assert NO_FEES.fee_e6(5000, 100, is_buy=True, is_taker=True) == 0


def test_large_fills_do_not_overflow() -> None:
    # 10 million contracts at 0.50: 0.07 * 1e7 / 4 dollars
    assert AUGUST.fee_e6(5000, 10**9, is_buy=True, is_taker=True) == 175_000 * 10**6


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fee_type 'free'; allowed: quadratic"):
        FeeSchedule.of(FeeRule.AUGUST_2026, "free")
    with pytest.raises(ValueError, match="finer than 1e-6"):
        FeeSchedule.of(FeeRule.AUGUST_2026, "quadratic_with_maker_fees", 1)


def test_the_rule_of_a_date() -> None:
    assert rule_on(date(2026, 9, 30)) is FeeRule.AUGUST_2026
    assert rule_on(date(2026, 10, 1)) is FeeRule.OCTOBER_2026
    assert rule_at_ms(1_785_930_336_512) is FeeRule.AUGUST_2026
