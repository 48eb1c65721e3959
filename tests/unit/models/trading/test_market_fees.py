"""What a market charges over time: precedence, periods, bounds, and the table of known series."""

from __future__ import annotations

import pytest

from models.trading.fees import (
    FLAT_RATE_E6,
    NO_FEES,
    FeeRule,
    FeeSchedule,
    FeeSource,
    FeeStep,
    MarketFees,
    OrderFees,
)
from models.trading.known_fees import KNOWN_FEES, fees_of_recording, series_of
from models.trading.market_fees import OverrideStep, assumed_fees, resolve_steps

RULE = FeeRule.OCTOBER_2026
NOON_2026_01_12 = 1_768_219_200_000


def test_a_waiver_goes_before_an_override_and_that_before_the_series() -> None:
    series = [FeeStep(100, "quadratic", 10_000), FeeStep(400, "quadratic", 5_000)]
    overrides = [OverrideStep(200, "flat", 10_000), OverrideStep(300, None, None)]
    assert resolve_steps(series, overrides) == (
        (100, "quadratic", 10_000),
        (200, "flat", 10_000),
        (300, "quadratic", 10_000),
        (400, "quadratic", 5_000),
    )
    waived = resolve_steps(series, overrides, waived_until_ms=250)
    assert waived[:2] == ((0, "quadratic", 0), (250, "flat", 10_000))


def test_a_period_begins_with_its_millisecond_and_the_first_also_holds_before() -> None:
    fees = MarketFees.of(RULE, [FeeStep(500, "flat", 10_000), FeeStep(100, "quadratic", 5_000)])
    half, flat = FeeSchedule(RULE, 35_000), FeeSchedule(RULE, FLAT_RATE_E6, FLAT_RATE_E6, True)
    assert [fees.at_ms(t) for t in (0, 100, 499)] == [half] * 3
    assert [fees.at_ms(t) for t in (500, 10**15)] == [flat] * 2


def test_a_bound_covers_every_schedule_of_its_time() -> None:
    fees = MarketFees.of(RULE, [FeeStep(0, "quadratic", 0), FeeStep(500, "quadratic", 10_000)])

    def bound(from_ms: int, until_ms: int) -> int:
        found = fees.bound(from_ms, until_ms)
        return found.fee_e6(5_000, 100, is_buy=True, is_taker=True)

    assert (bound(0, 499), bound(0, 500), bound(500, 900)) == (0, 17_500, 17_500)


def test_flat_is_per_contract_at_every_price_and_for_makers_too() -> None:
    flat = FeeSchedule.of(RULE, "flat", 5_000)
    for price_e4 in (100, 5_000, 9_900):
        for is_taker in (True, False):
            assert flat.fee_e6(price_e4, 300, is_buy=True, is_taker=is_taker) == 26_300  # 26_250 up


def test_an_orders_accumulator_survives_a_change_of_fees() -> None:
    order = OrderFees(FeeSchedule.of(RULE, "quadratic_with_maker_fees"))
    first = order.charge(3_333, 25, is_buy=True, is_taker=True)
    order.schedule = NO_FEES
    second = order.charge(3_333, 27, is_buy=True, is_taker=False)
    assert (first.trade_e6, second.trade_e6) == (3_889, 0)
    assert order.accumulator_e6 == first.rounding_e6 + second.rounding_e6 - (
        first.rebate_e6 + second.rebate_e6
    )


@pytest.mark.parametrize(
    ("fee_type", "multiplier"),
    [("margin_market_maker_program_fees", 10_000), ("quadratic", -1), ("flat", -20_000)],
)
def test_unknown_terms_are_refused(fee_type: str, multiplier: int) -> None:
    with pytest.raises(ValueError, match="fee"):
        MarketFees.of(RULE, [FeeStep(0, fee_type, multiplier)])


def test_what_is_assumed_says_so() -> None:
    assert assumed_fees(RULE).assumption == "fee type and multiplier"
    assert MarketFees.of(RULE, [FeeStep(0, "quadratic", 10_000)]).assumption == ""
    assert "flat" in MarketFees.of(RULE, [FeeStep(0, "flat", 10_000)]).assumption


def test_stored_fees_go_before_the_table_and_the_table_before_assumption() -> None:
    stored = fees_of_recording("CO2-25-A", NOON_2026_01_12, [FeeStep(0, "quadratic", 0)])
    assert (stored.source, stored.at_ms(0).taker_rate_e6) == (FeeSource.EXCHANGE, 0)
    table = fees_of_recording("CO2-25-A", NOON_2026_01_12)
    assert (table.source, table.at_ms(0).rule) == (FeeSource.TABLE, FeeRule.AUGUST_2026)
    later = fees_of_recording("CO2-25-A", NOON_2026_01_12 + 86_400_000)
    other = fees_of_recording("CO2X-25-A", NOON_2026_01_12)
    assert {later.source, other.source} == {FeeSource.ASSUMED}


def test_every_row_of_the_table_can_be_charged_by_and_names_its_source() -> None:
    for row in KNOWN_FEES:
        assert row.source
        assert row.first <= row.last
        FeeSchedule.of(RULE, row.fee_type, row.multiplier_e4)


def test_the_series_of_a_ticker() -> None:
    assert series_of("KXGOLD15M-26AUG050800-00") == series_of("KXGOLD15M") == "KXGOLD15M"
