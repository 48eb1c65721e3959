"""What happens to markets beside trading is booked as the exchange books it, or refused by name."""

from __future__ import annotations

from support.execution_rig import SOON, executing
from support.execution_world import CASH_E6
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.messages import ActorFill, OrderStatus

EXECUTED = OrderStatus.EXECUTED


async def bought(rig, count_e2=1_000):
    """Execution buys at 50 cents."""
    await rig.push(intent("i1", yes_price_e4=5_500, count_e2=count_e2))
    await rig.order(intent_id="i1", status=EXECUTED)
    await rig.holds(count_e2)


def fees_e6(rig):
    """Paid for all fills so far."""
    return sum(fill.fee_e6 for fill in rig.journalled(ActorFill))


async def gained_e6(rig, expected_e6):
    """Until the market's cash, and the whole account's profit, have become this much more."""

    def agrees():
        row = rig.row()
        return row is not None and int(row[a.CASH_E6]) - CASH_E6 == expected_e6

    await rig.until(agrees, f"the account gained {expected_e6}")
    assert rig.rest_cash_e6() - 10_000_000_000 == expected_e6


async def test_a_corrected_result_is_booked_again(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        await bought(rig)
        rig.exchange.order("close_market", ticker=TICKER)
        rig.exchange.order("fault", kind="result", ticker=TICKER, value_e4=10_000)
        cost_e6 = 5_000_000 + fees_e6(rig)
        await gained_e6(rig, 10_000_000 - cost_e6)
        rig.exchange.order("fault", kind="result", ticker=TICKER, value_e4=0)
        await gained_e6(rig, -cost_e6)
        assert "settlement_corrected" in rig.log.actions()


async def test_a_payout_of_a_part_of_a_dollar_is_booked_to_the_cent(tmp_path):
    """Also under a word for the result that nobody has heard of."""
    async with executing(tmp_path, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        await bought(rig)
        rig.exchange.order("close_market", ticker=TICKER)
        rig.exchange.order("fault", kind="result", ticker=TICKER, value_e4=3_333, word="fair_value")
        await gained_e6(rig, 3_330_000 - 5_000_000 - fees_e6(rig))


async def test_a_position_older_than_the_list_of_fills_is_known(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        await bought(rig)
        await rig.stop()
        rig.exchange.order("fault", kind="history", after_ms=0)
        listed = lambda: rig.exchange.get("/portfolio/fills")["fills"]  # noqa: E731
        await rig.until(lambda: not listed(), "the fill is history")
        rig.start()
        rig.listen()
        await rig.known()
        await rig.holds(1_000)
        assert "position_taken_over" not in rig.log.actions()
        rig.assert_account_is_the_exchange_s()


async def test_an_order_beyond_the_limits_of_a_market_is_refused_by_name(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="order_limits", ticker=TICKER, position_e2=500)
        await rig.push(intent("i1", yes_price_e4=4_500))
        refused = await rig.order(intent_id="i1", status=OrderStatus.REJECTED)
        assert refused.reason.startswith("exceeded_per_market_risk_limit")
        rig.exchange.order("fault", kind="order_limits", ticker=TICKER, minimum_e2=2_000)
        await rig.push(intent("i2", yes_price_e4=4_500))
        refused = await rig.order(intent_id="i2", status=OrderStatus.REJECTED)
        assert refused.reason.startswith("invalid_order_size")
