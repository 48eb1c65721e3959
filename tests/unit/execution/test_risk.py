"""Every check refuses what it is there for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders import SESSION, TICKER, fill, intent, order

from ipc.messages import BookSide, Leg, OrderStatus, TradingState
from ipc.trading import TradingMode
from ipc.units import LINEAR_CENT
from processes.execution.account import Doubt, MarketAccount, Payout
from processes.execution.risk import (
    RiskCase,
    RiskLimits,
    closing_refusal,
    collateral_e6,
    refusal,
)

CASH_E6 = 100_000_000


def account(position_e2: int = 0, cash_e6: int = CASH_E6) -> MarketAccount:
    """A known account that paid nothing for what it holds."""
    acc = MarketAccount(TICKER, cash_e6 + abs(position_e2) * 1)
    acc.doubts.clear()
    if position_e2:
        side = BookSide.BID if position_e2 > 0 else BookSide.ASK
        price_e4 = 1 if position_e2 > 0 else 9_999
        acc.book(fill("t0", side, yes_price_e4=price_e4, count_e2=abs(position_e2)))
        acc.claim("e1", own=True)
    return acc


def case(wanted: Any = None, **fields: Any) -> RiskCase:
    standard = {
        "intent": wanted or intent(),
        "limits": RiskLimits(),
        "now_mono_ns": 0,
        "account": account(),
        "grid": LINEAR_CENT,
        "others": (),
        "open_orders": 0,
        "session_uid": SESSION,
        "environment_ok": True,
        "trading": TradingState.TRADING,
    }
    return RiskCase(**{**standard, **fields})


def doubted() -> MarketAccount:
    acc = account()
    acc.doubts.add(Doubt.CHANNEL)
    return acc


def settled() -> MarketAccount:
    acc = account()
    acc.settle(Payout(10_000))
    return acc


def taken_over() -> MarketAccount:
    """Holds a position whose fills are not known."""
    acc = account()
    acc.take_over(500, 2_000_000)
    return acc


def test_a_position_taken_over_may_be_sold() -> None:
    assert refusal(case(intent(is_buy=False, count_e2=500), account=taken_over())) is None


def test_a_good_intent_passes() -> None:
    assert refusal(case()) is None


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("deadline", case(intent(deadline_mono_ns=4), now_mono_ns=5)),
        ("actor_disabled", case(limits=RiskLimits(enabled=False))),
        ("model_environment: onnx:x", case(model_error="onnx:x")),
        ("trading_paused", case(mode=TradingMode.PAUSED)),
        ("trading_stopped", case(mode=TradingMode.STOPPED)),
        ("trading_stopped", case(mode=TradingMode.STOPPED, keeps=True)),
        ("trading_flattening", case(mode=TradingMode.FLATTENING)),
        ("intent_id", case(intent("a b"))),
        ("intent_id", case(intent("x" * 60))),
        ("contradiction", case(intent(book_side=BookSide.ASK))),
        ("contradiction", case(intent(price_e4=4_100))),
        ("contradiction", case(intent(leg=Leg.NO, price_e4=4_100))),
        ("session", case(intent(session_uid="another"))),
        ("session", case(session_uid=None)),
        ("environment", case(environment_ok=False)),
        ("market_unknown", case(account=None)),
        ("market_unknown", case(grid=None)),
        ("private_channel_down", case(account=doubted())),
        ("settled", case(account=settled())),
        ("reduce_only", case(account=taken_over())),
        ("not_recorded: 6 wait, allowed 5", case(unrecorded="6 wait, allowed 5")),
        ("backing_off", case(backing_off=True)),
        ("price_off_grid", case(intent(yes_price_e4=4_050))),
        ("count", case(intent(count_e2=0))),
        ("count", case(intent(count_e2=1_001))),
        ("order_open", case(others=(order(status=OrderStatus.RESTING),))),
        ("too_many_orders", case(open_orders=200)),
        ("sells_more_than_held", case(intent(is_buy=False), account=account(999))),
        ("sells_more_than_held", case(intent(is_buy=False, leg=Leg.NO), account=account(5_000))),
        ("not_enough_cash", case(account=account(cash_e6=4_000_000))),
    ],
)
def test_the_reason(reason: str, changed: RiskCase) -> None:
    assert refusal(changed) == reason


def test_in_a_pause_what_rests_may_stay() -> None:
    assert refusal(case(mode=TradingMode.PAUSED, keeps=True)) is None


def test_what_closes_a_position_by_command_needs_no_actor_and_no_session() -> None:
    sale = intent(is_buy=False, session_uid="none")
    stopped = {"mode": TradingMode.FLATTENING, "limits": RiskLimits(enabled=False)}
    assert closing_refusal(case(sale, account=account(1_000), **stopped)) is None


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("not_trading_paused", case(intent(is_buy=False), trading=TradingState.PAUSED)),
        ("private_channel_down", case(intent(is_buy=False), account=doubted())),
        ("backing_off", case(intent(is_buy=False), account=account(1_000), backing_off=True)),
        ("sells_more_than_held", case(intent(is_buy=False), account=account(999))),
    ],
)
def test_the_reason_not_to_close(reason: str, changed: RiskCase) -> None:
    assert closing_refusal(changed) == reason


def test_the_deadline_itself_is_in_time() -> None:
    assert refusal(case(intent(deadline_mono_ns=5), now_mono_ns=5)) is None


@pytest.mark.parametrize(("leg", "position_e2"), [(Leg.YES, 1_000), (Leg.NO, -1_000)])
def test_what_is_held_can_be_sold(leg: Leg, position_e2: int) -> None:
    sale = intent(leg=leg, is_buy=False)
    assert refusal(case(sale, account=account(position_e2))) is None


def test_what_is_held_can_be_sold_though_it_may_not_be_recorded() -> None:
    sale = intent(is_buy=False)
    assert refusal(case(sale, account=account(1_000), unrecorded="6 wait, allowed 5")) is None


def test_a_stranger_s_sale_counts() -> None:
    strange = order("x", is_buy=False, intent_id=None, initial_e2=1, status=OrderStatus.RESTING)
    sale = intent(is_buy=False)
    assert refusal(case(sale, account=account(1_000), others=(strange,))) == "sells_more_than_held"
    assert refusal(case(sale, account=account(1_001), others=(strange,))) is None


def test_the_fee_is_part_of_the_price() -> None:
    fee_e6 = RiskLimits().fees.fee_e6(4_000, 1_000, is_buy=True, is_taker=True)
    assert fee_e6 > 0
    enough = 4_000_000 + fee_e6
    assert refusal(case(account=account(cash_e6=enough))) is None
    assert refusal(case(account=account(cash_e6=enough - 1))) == "not_enough_cash"


def test_netting_pays_its_dollar() -> None:
    """Buying NO against held YES costs nothing: the pair is worth a dollar."""
    purchase = intent(leg=Leg.NO, yes_price_e4=4_000)
    assert refusal(case(purchase, account=account(1_000, cash_e6=0))) is None


@given(
    position_e2=st.integers(-3_000, 3_000),
    leg=st.sampled_from(Leg),
    count_e2=st.integers(1, 1_000),
    others=st.lists(
        st.tuples(st.booleans(), st.sampled_from(Leg), st.integers(1, 1_000)), max_size=3
    ),
)
def test_all_sales_together_never_exceed_what_is_held(
    position_e2: int, leg: Leg, count_e2: int, others: list[tuple[bool, Leg, int]]
) -> None:
    """Whatever else fills on the same side of the book, a sale finds its contracts."""
    strangers = tuple(
        order(f"x{i}", is_buy=b, leg=o, initial_e2=n, intent_id=None, status=OrderStatus.RESTING)
        for i, (b, o, n) in enumerate(others)
    )
    sale = intent(leg=leg, is_buy=False, count_e2=count_e2)
    if refusal(case(sale, account=account(position_e2), others=strangers)) is not None:
        return
    same_side = [o for o in strangers if o.book_side is sale.book_side]
    sold_e2 = count_e2 + sum(o.remaining_e2 for o in same_side)
    assert sold_e2 <= (position_e2 if leg is Leg.YES else -position_e2)


@given(yes_price_e4=st.integers(1, 99), better_e4=st.integers(0, 98), leg=st.sampled_from(Leg))
def test_the_limit_is_the_worst_case(yes_price_e4: int, better_e4: int, leg: Leg) -> None:
    """Cost plus fee at any better price is not above cost plus fee at the limit."""
    limit = order(leg=leg, yes_price_e4=100 * yes_price_e4)
    better = 100 * max(1, min(99, yes_price_e4 + (-better_e4 if leg is Leg.YES else better_e4)))
    fees = RiskLimits().fees
    filled = order(leg=leg, yes_price_e4=better)
    assert collateral_e6(filled, fees) <= collateral_e6(limit, fees)


def test_sales_need_no_cash() -> None:
    assert collateral_e6(order(is_buy=False), RiskLimits().fees) == 0
