"""Fills over the real exchange: cash, position and fees equal to REST, each fill counted once."""

from __future__ import annotations

from support.execution_rig import SOON, executing
from support.execution_world import OTHER
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.messages import ActorFill, ActorOrder, ActorPnl, ActorPosition, Leg, OrderStatus

CANCELED = OrderStatus.CANCELED
EXECUTED = OrderStatus.EXECUTED
RESTING = OrderStatus.RESTING
UNKNOWN = OrderStatus.UNKNOWN


async def filled(rig, name, **fields):
    """An intent whose order fills whole -> the order."""
    await rig.push(intent(name, **fields))
    return await rig.order(intent_id=name, status=EXECUTED)


# One fill


async def test_a_taker_s_fill_is_booked_with_its_fee(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await filled(rig, "i1", yes_price_e4=5_500)  # the ask is 50 cents
        await rig.holds(1_000)
        (fill,) = rig.journalled(ActorFill)
        assert (fill.yes_price_e4, fill.count_e2, fill.is_taker) == (5_000, 1_000, True)
        assert fill.fee_e6 > 0
        row = rig.row()
        assert int(row[a.CASH_E6]) == 100_000_000 - 5_000_000 - fill.fee_e6
        assert int(row[a.FEES_E6]) == fill.fee_e6
        rig.assert_account_is_the_exchange_s()


async def test_a_purchase_of_no_is_booked_at_its_own_price(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await filled(rig, "i1", leg=Leg.NO, yes_price_e4=4_000)  # the bid is 40 cents
        await rig.holds(-1_000)
        assert order.client_order_id == rig.own_name("ka-i1-BN")
        row = rig.row()
        assert int(row[a.COST_BASIS_E6]) == 10 * 600_000
        assert int(row[a.CASH_E6]) == 100_000_000 - 6_000_000 - int(row[a.FEES_E6])
        rig.assert_account_is_the_exchange_s()


async def test_a_resting_order_fills_in_parts_through_the_private_channel(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        order = await rig.order(status=RESTING)
        await rig.quiet()
        reads = len(rig.between.sent("GET"))
        held_e2 = 0
        for part_e2 in (137, 263, 600):
            rig.trade("ask", 4_500, part_e2)
            held_e2 += part_e2
            fill = await rig.told(ActorFill, count_e2=part_e2)
            assert (fill.order_id, fill.client_order_id) == (
                order.order_id,
                rig.own_name("ka-i1-BY"),
            )
            status = EXECUTED if held_e2 == 1_000 else RESTING
            told = await rig.order(fill_count_e2=held_e2, remaining_count_e2=1_000 - held_e2)
            assert told.status is status
            await rig.told(ActorPosition, position_e2=held_e2)
            rig.assert_account_is_the_exchange_s()
            row = rig.row()
            assert int(row[a.N_ORDERS]) == (status is RESTING)
            assert int(row[a.ORDERS + a.ORDER_REMAINING_E2]) == 1_000 - held_e2
        asked = {p.path.rpartition("/")[2] for p in rig.between.sent("GET")[reads:]}
        assert asked <= {"balance", "limits", "queue_positions"}  # nothing had to be looked up


async def test_what_is_left_after_a_part_is_canceled_and_its_fill_stays(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(status=RESTING)
        rig.trade("ask", 4_500, 250)
        await rig.order(fill_count_e2=250)
        await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
        canceled = await rig.order(intent_id="i1", status=CANCELED)
        assert (canceled.fill_count_e2, canceled.remaining_count_e2) == (250, 0)
        await rig.order(intent_id="i2", status=RESTING)
        await rig.holds(250)
        rig.assert_account_is_the_exchange_s()


# A life of many


async def test_a_run_of_many_fills_ends_with_the_exchange_s_own_figures(tmp_path):
    """Odd sizes and prices, both legs, closing and crossing zero: no cent is lost in rounding."""
    async with executing(tmp_path) as rig:
        await rig.known()
        buy, sell = {"is_buy": True}, {"is_buy": False}
        await rig.push(intent("b1", yes_price_e4=4_300, count_e2=333))
        await rig.order(status=RESTING)
        rig.trade("ask", 4_300, 333)
        await rig.holds(333)
        steps = (
            ("b2", buy | {"yes_price_e4": 5_100, "count_e2": 1_000}),
            ("s1", sell | {"yes_price_e4": 4_000, "count_e2": 700}),
            ("n1", buy | {"leg": Leg.NO, "yes_price_e4": 4_000, "count_e2": 1_000}),
            ("n2", sell | {"leg": Leg.NO, "yes_price_e4": 5_000, "count_e2": 101}),
        )
        position_e2 = 333
        for name, fields in steps:
            order = await filled(rig, name, **fields)
            position_e2 += fields["count_e2"] if order.book_side == "bid" else -fields["count_e2"]
            await rig.holds(position_e2)
            rig.assert_account_is_the_exchange_s()
        assert position_e2 == -266
        pnl = await rig.told(ActorPnl, account_version=int(rig.row()[a.ACCOUNT_VERSION]))
        row = rig.row()
        assert pnl.balance_e6 == rig.rest_cash_e6()
        assert (pnl.realized_e6, pnl.fees_e6) == (int(row[a.REALIZED_E6]), int(row[a.FEES_E6]))
        assert int(row[a.REALIZED_E6]) < 0 < int(row[a.FEES_E6])


async def test_what_is_held_can_be_sold_and_no_more(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await filled(rig, "b1", yes_price_e4=5_000, count_e2=600)
        await rig.holds(600)
        await rig.push(intent("s1", is_buy=False, yes_price_e4=4_000, count_e2=601))
        refused = await rig.order(intent_id="s1", status=OrderStatus.REJECTED)
        assert refused.reason == "sells_more_than_held"
        await filled(rig, "s2", is_buy=False, yes_price_e4=4_000, count_e2=600)
        await rig.holds(0)
        rig.assert_account_is_the_exchange_s()


# Once, whoever tells it


async def test_a_fill_reported_by_channel_and_rest_counts_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await filled(rig, "i1", yes_price_e4=5_000)
        await rig.holds(1_000)
        assert rig.exchange.order("disconnect")["cut"]
        await rig.unknown()
        await rig.known()  # by a reconciliation that has read all fills
        assert any(p.path.endswith("/fills") for p in rig.between.sent("GET"))
        await rig.counted("fills", 1)
        assert len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


async def test_a_fill_that_comes_before_the_answer_counts_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        with rig.between.holding("POST"):
            await rig.push(intent("i1", yes_price_e4=5_000))
            await rig.told(ActorFill, count_e2=1_000)
            await rig.holds(1_000)
        await rig.until(
            lambda: [o for o in rig.journalled(ActorOrder) if o.acknowledged_mono_ns],
            "the answer",
        )
        (fill,) = rig.journalled(ActorFill)
        assert fill.client_order_id == rig.own_name("ka-i1-BY")
        assert rig.journalled(ActorOrder)[-1].fill_count_e2 == 1_000
        rig.assert_account_is_the_exchange_s()


async def test_a_fill_that_the_channel_reports_twice_counts_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.between.repeats = 2
        await filled(rig, "i1", yes_price_e4=5_000)
        await rig.counted("duplicate_fills")
        assert len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


async def test_a_fill_that_the_channel_never_reports_is_fetched(tmp_path):
    """The answer says how much filled; the order's fills are then read over REST."""
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.between.repeats = 0
        reads = len(rig.between.sent("GET"))
        await rig.push(intent("i1", yes_price_e4=5_000))
        await rig.holds(1_000)
        asked = [p.path.rpartition("/")[2] for p in rig.between.sent("GET")[reads:]]
        assert "fills" in asked
        assert len(rig.journalled(ActorFill)) == 1
        assert rig.journalled(ActorOrder)[-1].status is EXECUTED
        rig.assert_account_is_the_exchange_s()


async def test_a_fill_of_the_time_without_a_channel_is_found(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(status=RESTING)
        rig.exchange.order("fault", kind="halt_acks")  # nobody can subscribe again
        rig.exchange.order("disconnect")
        await rig.unknown()
        rig.trade("ask", 4_500, 400)
        rig.exchange.order("fault", kind="clear")
        await rig.holds(400)
        fill = (await rig.until(lambda: rig.journalled(ActorFill), "the fill"))[0]
        assert fill.client_order_id == rig.own_name("ka-i1-BY")
        assert rig.journalled(ActorOrder)[-1].status is RESTING
        rig.assert_account_is_the_exchange_s()


# The end of a market


async def test_a_market_that_closes_and_settles_pays_once(tmp_path):
    """What rests ends with the market, what is held is paid, and it is not traded any more."""
    running = {"speed": "1.0", "changes": 20}
    async with executing(tmp_path, exchange=running, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        await filled(rig, "i1", yes_price_e4=5_000)
        await rig.holds(1_000)
        await rig.push(intent("i2", yes_price_e4=2_000))
        await rig.order(intent_id="i2", status=RESTING)
        async with rig.exchange.stream() as follower:
            await follower.subscribe("orderbook_delta", tickers=[TICKER, OTHER])
            await rig.order(intent_id="i2", status=CANCELED)
            await rig.told(ActorPosition, position_e2=0)
        await rig.holds(0)
        row = rig.row()
        fee_e6 = rig.journalled(ActorFill)[0].fee_e6
        assert int(row[a.CASH_E6]) == 100_000_000 - 5_000_000 - fee_e6 + 10_000_000
        assert int(row[a.CASH_E6]) - 100_000_000 == rig.rest_cash_e6() - 10_000_000_000
        (paid,) = rig.exchange.get("/portfolio/settlements")["settlements"]
        assert paid["market_result"] == "yes"
        await rig.push(intent("i3", yes_price_e4=4_500))
        assert (await rig.order(intent_id="i3")).reason == "settled"


# The account changes under an order that rests


async def test_what_is_sold_by_hand_is_not_sold_again_by_an_order_that_rests(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await filled(rig, "i1", yes_price_e4=5_500)
        await rig.holds(1_000)
        await rig.push(intent("i2", is_buy=False, yes_price_e4=6_000))
        await rig.order(intent_id="i2", status=RESTING)
        rig.place("by-hand", "ask", 4_000, 400)  # the bid is 40 cents
        canceled = await rig.order(intent_id="i2", status=CANCELED)
        assert canceled.fill_count_e2 == 0
        assert rig.resting() == []
        await rig.holds(600)
        await rig.push(intent("i3", is_buy=False, yes_price_e4=6_000, count_e2=600))
        await rig.order(intent_id="i3", status=RESTING)
        rig.assert_account_is_the_exchange_s()
