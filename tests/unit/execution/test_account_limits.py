"""Limits of the account at work: what is refused, canceled, latched, warned of, and resumed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.limits import LimitsRig, count_of, reading
from support.order_manager import START_NS, strange_order
from support.orders import TICKER, fill, intent

from ipc.messages import BookSide, Environment, Leg
from ipc.units import ONE_DOLLAR_E4
from models.trading.portfolio import Portfolio
from processes.execution.day_pnl import MS_PER_DAY
from processes.execution.latches import UNREADABLE, Latch
from processes.execution.limits_file import LIMITS, LimitsReading, LimitsStatus
from processes.execution.orders import CreateAccepted, OutcomeUnknown, TrackedOrder
from processes.execution.touch import Touch

BID, ASK = BookSide.BID, BookSide.ASK
MARKETS = ("KXA-E1-1", "KXA-E1-2", "KXA-E2-1", "KXB-E1-1")
INVALID = LimitsReading(LimitsStatus.INVALID, error="limits.toml: unknown key")
MISSING = LimitsReading(LimitsStatus.MISSING, error="limits.toml: there is no file")


def rig_of(text: str, *tickers: str, **more: Any) -> LimitsRig:
    rig = LimitsRig(text, **more)
    for ticker in tickers or (TICKER,):
        rig.market(ticker)
    return rig


def buy(ticker: str, cents: int = 40, contracts: int = 10) -> dict[str, Any]:
    return {"market_ticker": ticker, "yes_price_e4": 100 * cents, "count_e2": 100 * contracts}


# Sums over markets. Ten contracts at 40 cents cost 4.00 and at most 0.168 dollars of fees.


@pytest.mark.parametrize(
    ("limit", "passes", "fails"),
    [
        ("market_contracts = 10", [0, 1, 2, 3], []),
        ("event_contracts = 10", [0, 2, 3], [1]),
        ("series_contracts = 20", [0, 1, 3], [2]),
        ("total_contracts = 30", [0, 1, 2], [3]),
        ("event_exposure = 8.335999", [0, 2, 3], [1]),
        ("event_exposure = 8.336", [0, 1, 2, 3], []),
        ("series_exposure = 8.336", [0, 1, 3], [2]),
        ("total_exposure = 12.504", [0, 1, 2], [3]),
        ("total_exposure = 12.503999", [0, 1], [2, 3]),
        ("worst_case_loss = 12.504", [0, 1, 2], [3]),
        ("market_exposure = 4.167999", [], [0, 1, 2, 3]),
    ],
)
def test_sums_bind_across_markets(limit: str, passes: list[int], fails: list[int]) -> None:
    rig = rig_of(limit, *MARKETS)
    name = limit.partition(" = ")[0]
    answers = [rig.want(f"i{n}", **buy(ticker)) for n, ticker in enumerate(MARKETS)]
    assert [n for n, answer in enumerate(answers) if not answer] == passes
    assert all(answers[n].startswith(f"{name}: ") for n in fails)
    assert count_of(rig, name) == len(fails)
    assert rig.state.counters[f"refused_{name}"] == len(fails)


def test_the_event_is_the_exchange_s_and_not_the_ticker_s() -> None:
    rig = LimitsRig("event_contracts = 10")
    rig.market("KX-A-1", "KX-TOGETHER").market("KX-B-1", "KX-TOGETHER")
    assert rig.want("i1", **buy("KX-A-1")) == ""
    assert rig.want("i2", **buy("KX-B-1")) == (
        "event_contracts: 20 contracts, limit 10 contracts (event KX-TOGETHER)"
    )


def test_what_is_held_rests_or_is_in_doubt_counts_alike() -> None:
    rig = rig_of("total_contracts = 39", "KX-1", "KX-2", "KX-3", "KX-4")
    rig.trade("t1", ASK, 60, 10, "KX-1")
    rig.rests("i2", **buy("KX-2"))
    assert rig.want("i3", **buy("KX-3")) == ""
    (order,) = rig.state.orders.open_in("KX-3")
    rig.state.on_fact(order.client_order_id, OutcomeUnknown("lost"))
    assert rig.want("i4", **buy("KX-4")).startswith("total_contracts: 40 contracts, limit 39")
    assert rig.want("i5", **buy("KX-4", contracts=9)) == ""


def test_orders_of_others_count() -> None:
    rig = rig_of("total_exposure = 9")
    rig.state.on_order(strange_order("e-hand", BID, 1_000))  # 5.00 dollars and its fee
    assert rig.want("i1").startswith("total_exposure: 9.343 dollars")
    assert rig.want("i2", count_e2=900) == ""


def test_a_position_that_is_not_explained_counts_a_dollar_a_contract() -> None:
    rig = rig_of("total_exposure = 20", TICKER, "KX-2")
    assert rig.want("i1", **buy("KX-2")) == ""
    rig.after(5).compare(positions={TICKER: 2_000}, fills={TICKER: []})
    answer = rig.want("i2", **buy("KX-2"))
    assert answer.startswith("total_exposure: 24.168 dollars, limit 20.00 dollars")


def test_without_limits_nothing_is_measured() -> None:
    rig = rig_of("")
    rig.trade("t1", BID, 40, 10).second()
    assert rig.want("i1") == ""
    assert rig.limits.counters() == {"latched": 0, "limits_valid": 1, "limits_checked": 0}
    assert rig.saved == []
    rig.second()
    assert not rig.state.touched  # it does not grow


# What rests, when the account or the file changes


def test_what_no_longer_fits_is_canceled_the_newest_first_until_it_is_gone() -> None:
    rig = rig_of("total_exposure = 17", *MARKETS)
    orders = [rig.after(1).rests(f"i{n}", **buy(t)) for n, t in enumerate(MARKETS)]
    rig.trade("t1", BID, 50, 10, "KXA-E1-1")
    assert rig.all_canceled() == ["i3", "i2"]
    rig.ends(orders[3])
    rig.state.release(orders[2].client_order_id)  # that cancel failed
    assert rig.all_canceled() == ["i3", "i2", "i2"]
    rig.ends(orders[2])
    assert rig.all_canceled() == ["i3", "i2", "i2"]
    lines = rig.warned("resting_order_exceeds_limits")
    assert [line["ticker"] for line in lines] == ["KXB-E1-1", "KXA-E2-1"]
    assert str(lines[0]["reason"]).startswith("total_exposure: 21.")
    assert rig.state.counters["limit_excess_canceled"] == 2


def test_only_orders_that_make_a_sum_smaller_are_canceled() -> None:
    rig = rig_of("event_contracts = 30", *MARKETS)
    for n, ticker in enumerate(MARKETS):
        rig.after(1).rests(f"i{n}", **buy(ticker))
    rig.trade("t1", BID, 50, 11, "KXA-E1-1")
    assert rig.all_canceled() == ["i1"]


def test_sales_rest_on() -> None:
    rig = rig_of("total_exposure = 50")
    rig.trade("t1", BID, 50, 20)
    rig.rests("i1", is_buy=False, yes_price_e4=6_000)
    rig.limits.on_reading(reading("total_exposure = 1"))
    assert rig.all_canceled() == []
    assert rig.want("i2", is_buy=False, yes_price_e4=6_000) == ""  # kept


def test_a_file_that_allows_less_holds_what_rests_against_it() -> None:
    rig = rig_of("total_exposure = 50", *MARKETS)
    for n, ticker in enumerate(MARKETS[:2]):
        rig.after(1).rests(f"i{n}", **buy(ticker))
    changes = rig.limits.on_reading(reading("total_exposure = 5"))
    assert changes == {"total_exposure": "50.00 dollars -> 5.00 dollars"}
    rig.manager.tick()
    assert rig.all_canceled() == ["i1"]


def test_purchases_are_canceled_shortly_before_the_close() -> None:
    now_ms = START_NS // 1_000_000 + 10_000
    rig = LimitsRig("minutes_to_close = 2")
    rig.market(TICKER, close_ms=now_ms + 180_000)
    rig.rests("i1")
    rig.after(59).second()
    assert rig.all_canceled() == []
    rig.second()
    assert rig.all_canceled() == ["i1"]


def test_a_purchase_in_a_market_whose_close_is_not_known_is_canceled() -> None:
    rig = LimitsRig("open_orders = 9").market(close_ms=0)
    rig.rests("i1")
    rig.limits.on_reading(reading("minutes_to_close = 2"))
    rig.second()
    assert rig.all_canceled() == ["i1"]


# The file


@pytest.mark.parametrize("environment", [Environment.DEMO, Environment.PRODUCTION])
@pytest.mark.parametrize("bad", [INVALID, MISSING])
def test_without_a_valid_file_nothing_is_traded_outside_of_simulated(
    environment: Environment, bad: LimitsReading
) -> None:
    rig = rig_of("", environment=environment)
    assert rig.want("i0").startswith("limits_missing")  # not read yet
    rig.limits.on_reading(bad)
    rig.trade("t1", BID, 50, 20)
    for name, is_buy in (("i1", True), ("i2", False)):
        assert rig.want(name, is_buy=is_buy) == bad.status.value
    assert rig.state.counters[f"refused_{bad.status}"] == 2 + (bad is MISSING)
    rig.limits.on_reading(reading("total_exposure = 50"))
    assert rig.want("i3") == ""


def test_simulated_needs_no_file_but_an_invalid_one_stops_it() -> None:
    rig = rig_of("")
    rig.limits.on_reading(MISSING)
    assert rig.want("i1", count_e2=100) == ""
    rig.limits.on_reading(INVALID)
    assert rig.want("i2", count_e2=200) == "limits_invalid"


@pytest.mark.parametrize("bad", [INVALID, MISSING])
def test_a_file_that_goes_bad_stops_opening_until_it_is_mended(bad: LimitsReading) -> None:
    rig = rig_of("total_exposure = 50\norders_per_minute = 4", environment=Environment.DEMO)
    rig.rests("i1")
    rig.limits.on_reading(bad)
    assert rig.all_canceled() == ["i1"]
    assert rig.want("i2", yes_price_e4=4_100) == bad.status.value
    rig.ends(next(iter(rig.state.orders.open_orders())))
    rig.trade("t1", BID, 50, 20)
    assert rig.want("i3", is_buy=False) == ""  # what is held may be sold, within the last limits
    rig.limits.on_reading(reading("total_exposure = 50"))
    rig.ends(next(iter(rig.state.orders.open_orders())))
    assert rig.want("i4") == ""


def test_a_file_that_goes_away_in_simulated_takes_its_limits_with_it() -> None:
    rig = rig_of("total_exposure = 1")
    assert rig.want("i1").startswith("total_exposure")
    assert rig.limits.on_reading(MISSING) == {"total_exposure": "1.00 dollars -> none"}
    assert rig.want("i2") == ""


def test_limits_that_come_later_measure_what_is_there_already() -> None:
    rig = rig_of("", *MARKETS)
    rig.trade("t1", BID, 50, 20, "KXA-E1-1").second()
    rig.limits.on_reading(reading("total_exposure = 14"))
    assert rig.want("i1", **buy("KXB-E1-1")).startswith("total_exposure: 14.168 dollars")


# Losses: daily, drawdown, in a row


def test_the_day_s_loss_latches_when_it_is_reached() -> None:
    rig = rig_of("daily_loss = 5")
    rig.touches[TICKER] = Touch(4_000, 5_900)
    rig.trade("t1", BID, 45, 100, fee_e6=0)  # marked at 40: 5.00 lost
    assert rig.latched() == ["daily_loss"]
    assert rig.want("i1") == "daily_loss: latched at 5.00 dollars, limit 5.00 dollars"
    assert rig.want("i2", is_buy=False) == ""
    (line,) = rig.warned("limit_latched")
    assert line == {
        "limit": "daily_loss",
        "measured": "5.00 dollars",
        "allowed": "5.00 dollars",
        "scope": "total",
    }
    assert [latch.name for latch in rig.saved[-1][0]] == ["daily_loss"]


@pytest.mark.parametrize(
    ("bid_cents", "fee_e6", "latches"),
    [(41, 999_999, False), (41, 1_000_000, True), (40, 0, True), (50, 4_999_999, False)],
)
def test_prices_and_fees_are_part_of_the_loss(bid_cents: int, fee_e6: int, latches: bool) -> None:
    rig = rig_of("daily_loss = 5")
    rig.touches[TICKER] = Touch(4_500, 5_400)
    rig.trade("t1", BID, 45, 100, fee_e6=fee_e6)
    assert rig.latched() == []
    rig.touches[TICKER] = Touch(100 * bid_cents, 0)
    rig.second()
    assert rig.latched() == (["daily_loss"] if latches else [])


def test_a_position_without_a_bid_is_worth_nothing_and_one_without_a_book_what_it_was() -> None:
    rig = rig_of("daily_loss = 100")
    rig.trade("t1", ASK, 60, 10)  # 10 NO at 40 cents, no book
    assert rig.limits.counters()["daily_loss_e6"] == 0
    assert rig.limits.counters()["positions_without_price"] == 1
    rig.touches[TICKER] = Touch(5_000, 3_000)
    rig.second()
    assert rig.limits.counters()["daily_loss_e6"] == 1_000_000
    assert rig.limits.counters()["positions_without_price"] == 0
    del rig.touches[TICKER]
    rig.second()
    assert rig.limits.counters()["daily_loss_e6"] == 1_000_000
    rig.touches[TICKER] = Touch(5_000, 0)
    rig.second()
    assert rig.limits.counters()["daily_loss_e6"] == 4_000_000


def test_the_drawdown_is_from_the_day_s_peak() -> None:
    rig = rig_of("drawdown = 5")
    rig.touches[TICKER] = Touch(4_000, 5_900)
    rig.trade("t1", BID, 40, 100)
    for cents, latches in [(60, False), (56, False), (55, True)]:
        rig.touches[TICKER] = Touch(100 * cents, 0)
        rig.second()
        assert rig.latched() == (["drawdown"] if latches else [])
    assert rig.limits.latches[0].measured == "5.00 dollars"
    rig.limits.resume("me", "looked at it")
    assert rig.latched() == []
    rig.touches[TICKER] = Touch(5_000, 0)
    rig.second()
    assert rig.latched() == ["drawdown"]


def test_another_day_begins_without_loss() -> None:
    rig = rig_of("daily_loss = 100")
    rig.trade("t1", BID, 45, 10, fee_e6=3_000_000)
    assert rig.limits.counters()["daily_loss_e6"] == 3_000_000
    rig.after(MS_PER_DAY / 1_000).second()
    assert rig.limits.counters()["daily_loss_e6"] == 0


def test_losses_in_a_row_latch_and_are_counted_from_nothing_after_resume() -> None:
    rig = rig_of("loss_streak = 2")

    def lose(number: int) -> None:
        rig.trade(f"b{number}", BID, 50, 10).trade(f"s{number}", ASK, 49, 10)

    lose(1)
    rig.trade("b2", BID, 50, 10).trade("s2", ASK, 51, 10)  # a gain
    lose(3)
    assert rig.latched() == []
    lose(4)
    assert rig.latched() == ["loss_streak"]
    assert [latch.name for latch in rig.limits.resume("me", "why")] == ["loss_streak"]
    assert rig.want("i1") == ""
    lose(5)
    assert rig.latched() == []


def test_a_loss_that_is_still_there_latches_again_at_once() -> None:
    rig = rig_of("daily_loss = 5")
    rig.trade("t1", BID, 45, 10, fee_e6=6_000_000)
    assert [latch.name for latch in rig.limits.resume("me", "too soon")] == ["daily_loss"]
    assert rig.latched() == ["daily_loss"]
    (line,) = rig.warned("limits_resumed")
    assert line == {"by": "me", "reason": "too soon", "limits": "daily_loss"}
    rig.limits.on_reading(reading("daily_loss = 7"))
    rig.limits.resume("me", "it may lose more")
    assert rig.want("i1") == ""
    assert rig.saved[-1][0] == ()


def test_a_latch_cancels_our_resting_purchases() -> None:
    rig = rig_of("daily_loss = 5", TICKER, "KX-2")
    rig.rests("i1")
    rig.trade("t1", BID, 45, 10, "KX-2", fee_e6=5_000_000)
    assert rig.all_canceled() == ["i1"]


def test_a_latch_leaves_our_sales_and_orders_of_others_alone() -> None:
    rig = rig_of("orders_per_minute = 30", TICKER, "KX-2")
    rig.trade("t1", BID, 45, 10)
    rig.rests("sale", is_buy=False, yes_price_e4=5_500)
    rig.rests("buy", **buy("KX-2"))
    rig.state.on_order(strange_order("e-hand", BID, 1_000))
    rig.limits.latch("daily_loss", "2", "1", "total", {})
    assert [excess.order.intent_id for excess in rig.limits.excess()] == ["buy"]
    assert rig.all_canceled() == ["buy"]


def test_an_order_that_is_on_its_way_is_no_excess_yet() -> None:
    rig = rig_of("orders_per_minute = 1")
    assert rig.want("i1") == ""  # sent, and not answered
    rig.limits.latch("daily_loss", "2", "1", "total", {})
    assert rig.limits.excess() == []


# Rates


def test_orders_of_a_second_are_held_back_and_pass_in_the_next() -> None:
    rig = rig_of("orders_per_second = 2", *MARKETS)
    for n in range(2):
        assert rig.want(f"i{n}", **buy(MARKETS[n])) == ""
    assert rig.want("i2", **buy(MARKETS[2])) == "orders_per_second: 3, limit 2 (total)"
    assert rig.latched() == []
    rig.after(1.0)
    assert rig.want("i3", **buy(MARKETS[2])) == ""


def test_orders_of_a_minute_latch() -> None:
    rig = rig_of("orders_per_minute = 2", *MARKETS)
    for n in range(2):
        rig.after(20)
        assert rig.want(f"i{n}", **buy(MARKETS[n])) == ""
    rig.after(39.9)
    assert rig.want("i2", **buy(MARKETS[2])) == "orders_per_minute: 3, limit 2 (total)"
    rig.after(60)
    assert rig.want("i3", **buy(MARKETS[2])).startswith("orders_per_minute: latched at 3")
    rig.limits.resume("me", "why")
    assert rig.want("i4", **buy(MARKETS[2])) == ""


def test_replacing_too_often_latches_and_keeps_what_rests_until_then() -> None:
    rig = rig_of("cancels_per_minute = 1")
    first = rig.rests("i1")
    rig.manager.on_intent(intent("i2", leg=Leg.NO, yes_price_e4=4_000), rig.mono_ns)
    assert rig.all_canceled() == ["i1"]
    rig.ends(first)
    (second,) = rig.state.orders.open_orders()
    rig.state.on_fact(second.client_order_id, CreateAccepted("e-i2", 0, second.initial_e2, 1))
    rig.drain()
    assert rig.want("i3", yes_price_e4=4_000) == "cancels_per_minute: 2, limit 1 (total)"
    assert rig.latched() == ["cancels_per_minute"]
    assert rig.all_canceled() == ["i1", "i2"]  # for safety a cancel is never held back


def test_what_is_kept_or_renewed_is_no_order() -> None:
    rig = rig_of("orders_per_minute = 1\nopen_orders = 1")
    rig.rests("i1")
    assert rig.want("i2", yes_price_e4=4_000) == ""
    assert (rig.latched(), rig.state.counters["kept"]) == ([], 1)


# Restart


def test_latches_and_the_day_survive_a_restart() -> None:
    rig = rig_of("daily_loss = 5")
    rig.trade("t1", BID, 45, 10, fee_e6=5_000_000)
    latches, day = rig.saved[-1]
    again = rig_of("daily_loss = 5", latches=latches, day=day)
    assert again.want("i1").startswith("daily_loss: latched at 5.00 dollars")
    assert again.limits.latches == latches


def test_the_day_goes_on_with_what_was_filled_meanwhile() -> None:
    rig = rig_of("daily_loss = 100")
    rig.touches[TICKER] = Touch(4_000, 0)
    rig.trade("t1", BID, 45, 10, fee_e6=1_000_000)
    assert rig.limits.counters()["daily_loss_e6"] == 1_500_000
    day = rig.limits.record
    again = LimitsRig("daily_loss = 100", day=day)
    again.state.follow(TICKER)
    again.drain()
    assert again.limits.counters()["daily_loss_e6"] == 1_500_000  # nothing is read yet
    again.trade("t1", BID, 45, 10, fee_e6=1_000_000)
    again.compare(positions={TICKER: 1_000}, fills={TICKER: []})
    again.drain()
    again.limits.look()
    assert again.limits.counters()["daily_loss_e6"] == 1_500_000
    assert again.limits.counters()["positions_without_price"] == 1
    again.trade("t2", ASK, 40, 5)  # without a book only what is realised changes
    assert again.limits.counters()["daily_loss_e6"] == 1_750_000


def test_fills_of_earlier_days_are_not_the_day_s() -> None:
    rig = LimitsRig("daily_loss = 100")
    rig.state.follow(TICKER)
    yesterday_ms = START_NS // 1_000_000 - MS_PER_DAY
    rig.state.on_fill(fill("t0", BID, fee_e6=9_000_000, ts_ms=yesterday_ms))
    rig.compare(positions={TICKER: 1_000}, fills={TICKER: []})
    rig.drain()
    rig.limits.look()
    assert rig.limits.counters()["daily_loss_e6"] == 0


def test_a_record_that_cannot_be_read_is_a_latch() -> None:
    rig = LimitsRig("", record_error="latches.json: broken").market()
    assert rig.latched() == [UNREADABLE]
    assert rig.want("i1").startswith(f"{UNREADABLE}: latched at latches.json: broken")
    rig.limits.resume("me", "looked at it")
    assert rig.want("i2") == ""


def test_a_latch_of_a_limit_that_is_not_in_the_file_holds() -> None:
    latch = Latch("drawdown", "9.00 dollars", "5.00 dollars", "total", 1)
    rig = rig_of("", latches=[latch])
    assert rig.want("i1").startswith("drawdown: latched at 9.00 dollars")


# Warnings


def test_one_line_when_a_measure_comes_near_its_limit_until_it_falls_below_again() -> None:
    rig = rig_of("total_contracts = 10\nwarn_at = 0.8", TICKER, "KX-2")
    lines = []
    for number, (side, contracts) in enumerate([(BID, 7), (BID, 1), (BID, 1), (ASK, 2), (BID, 2)]):
        rig.trade(f"t{number}", side, 50, contracts).second()
        lines.append(len(rig.warned("limit_near")))
    assert lines == [0, 1, 1, 1, 2]
    assert rig.warned("limit_near")[0] == {
        "limit": "total_contracts",
        "measured": "8 contracts",
        "allowed": "10 contracts",
        "scope": "total",
    }


def test_a_reserve_is_near_from_above() -> None:
    rig = rig_of("cash_reserve = 80")
    for dollars, near in [(101, 0), (100, 1), (90, 1), (101, 1), (99, 2)]:
        rig.state.on_balance({0: dollars * 10**6}, rig.state.money.begin_read())
        rig.second()
        assert len(rig.warned("limit_near")) == near


def test_the_reserve_is_of_the_shard_that_the_market_is_on() -> None:
    rig = rig_of("cash_reserve = 95")
    rig.state.on_balance({0: 99_167_999}, rig.state.money.begin_read())
    reason = "cash_reserve: 94.999999 dollars, limit 95.00 dollars (shard 0)"
    assert rig.want("i1") == reason
    rig.state.on_balance({0: 99_168_000}, rig.state.money.begin_read())
    assert rig.want("i2") == ""


# Whatever is wanted, and whatever fills


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["want", "fill", "cancel"]),
        st.sampled_from(MARKETS),
        st.sampled_from([Leg.YES, Leg.NO]),
        st.booleans(),
        st.integers(1, 99),
        st.integers(1, 10),
    ),
    max_size=15,
)
LIMIT_E6 = 12_000_000


@settings(max_examples=25, deadline=None)
@given(ACTIONS)
def test_no_accepted_intents_can_lose_more_than_the_limit_if_everything_fills(
    actions: list[tuple[str, str, Leg, bool, int, int]],
) -> None:
    rig = rig_of("worst_case_loss = 12", *MARKETS)
    for number, (kind, ticker, leg, is_buy, cents, contracts) in enumerate(actions):
        orders = [o for o in rig.state.orders.open_in(ticker) if o.own]
        if kind == "want":
            rig.want(f"i{number}", leg=leg, is_buy=is_buy, **buy(ticker, cents, contracts))
            for order in rig.state.orders.open_in(ticker):
                fact = CreateAccepted(f"e-{order.client_order_id}", 0, order.remaining_e2, 1)
                rig.state.on_fact(order.client_order_id, fact)
        elif kind == "fill" and orders:
            fill_some(rig, number, orders[0], min(100 * contracts, orders[0].remaining_e2))
        elif kind == "cancel" and orders:
            rig.ends(orders[0])
        rig.drain()
        assert lost_e6(rig) <= LIMIT_E6


def fill_some(rig: LimitsRig, number: int, order: TrackedOrder, count_e2: int) -> None:
    facts = {"order_id": order.order_id, "market_ticker": order.market_ticker}
    price = {"yes_price_e4": order.yes_price_e4, "count_e2": count_e2}
    rig.state.on_fill(fill(f"t{number}", order.book_side, **facts, **price, ts_ms=number))


def lost_e6(rig: LimitsRig) -> int:
    """An oracle of its own: everything fills, or nothing, and every market pays the worse way."""
    total_e6 = 0
    for ticker, account in rig.state.accounts.items():
        worst_e6 = 0
        for orders in ((), rig.state.orders.open_in(ticker)):
            for yes_value_e4 in (0, ONE_DOLLAR_E4):
                after = Portfolio(0)
                after.row[:] = account.row
                for order in orders:
                    price_e4, count_e2 = order.yes_price_e4, order.remaining_e2
                    after.fill(order.book_side, price_e4, count_e2, 0)
                after.settle(yes_value_e4)
                worst_e6 = max(worst_e6, account.cash_e6 + account.cost_basis_e6 - after.cash_e6)
        total_e6 += worst_e6
    return total_e6


def test_the_names_of_what_latches_are_few() -> None:
    latching = {"daily_loss", "drawdown", "loss_streak", "orders_per_minute", "cancels_per_minute"}
    assert {name.value for name, kind in LIMITS.items() if kind.latches} == latching


def test_prices_are_looked_at_once_a_second() -> None:
    rig = rig_of("daily_loss = 1")
    rig.touches[TICKER] = Touch(5_000, 5_000)
    rig.trade("t1", BID, 50, 10).second()
    rig.touches[TICKER] = Touch(3_000, 6_000)  # ten contracts have lost 2 dollars
    rig.after(0.99)
    rig.manager.tick()
    assert rig.latched() == []
    rig.after(0.01)
    rig.manager.tick()
    assert rig.latched() == ["daily_loss"]
