"""Execution knows what trades before its orders: asked of the exchange, told in the account row."""

from __future__ import annotations

import pytest
from support.execution_rig import executing
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.account_table import LAYOUT, UNKNOWN_AHEAD, row_of_words
from ipc.messages import AccountVersion, ActorOrder, OrderStatus
from ipc.units import parse_count

pytestmark = pytest.mark.slow

RESTING = OrderStatus.RESTING
QUEUES = "/portfolio/orders/queue_positions"


def ahead(row):
    """What a row says of its only order, None without one."""
    return int(row[a.ORDERS + a.ORDER_AHEAD_E2]) if row is not None and row[a.N_ORDERS] else None


def at_the_exchange(rig, order):
    """What the exchange itself says of an order."""
    told = rig.exchange.get(f"/portfolio/orders/{order.order_id}/queue_position")
    return parse_count(told["queue_position_fp"])


def asked(rig):
    """How often queues were read."""
    return len([p for p in rig.between.sent("GET") if p.path.endswith(QUEUES)])


async def rests(rig, name="i1", yes_price_e4=4_000):
    """An intent whose order rests, at 40 cents behind 100 contracts -> the order."""
    await rig.push(intent(name, yes_price_e4=yes_price_e4))
    return await rig.order(intent_id=name, status=RESTING)


async def moves(rig, name, yes_price_e4):
    """An intent whose price the order takes: it loses its place."""
    await rig.push(intent(name, yes_price_e4=yes_price_e4))
    await rig.order(yes_price_e4=yes_price_e4, reason=f"amended: {name}")


async def shows(rig, ahead_e2):
    """Until the account row says so."""
    await rig.until(lambda: ahead(rig.row()) == ahead_e2, f"{ahead_e2} trade before ours")


async def test_the_row_says_what_the_exchange_says_and_falls_with_trades_ahead(tmp_path):
    async with executing(tmp_path, RL_QUEUE_POSITION_S="0.3") as rig:
        await rig.known()
        order = await rests(rig)
        for traded_e2, left_e2 in ((0, 10_000), (3_000, 7_000), (2_500, 4_500)):
            if traded_e2:
                rig.trade("ask", 4_000, traded_e2)
            assert at_the_exchange(rig, order) == left_e2
            await shows(rig, left_e2)
        rig.trade("ask", 4_000, 4_600)
        await rig.order(fill_count_e2=100)
        await shows(rig, 0)
        assert at_the_exchange(rig, order) == 0
        versions = rig.journalled(AccountVersion, market_ticker=TICKER)
        assert {v.layout for v in versions} == {LAYOUT}
        told = [ahead(row_of_words(v.words, v.layout)) for v in versions]
        resting = [e2 for e2 in told if e2 is not None]
        assert list(dict.fromkeys(resting)) == [UNKNOWN_AHEAD, 10_000, 7_000, 4_500, 0]


async def test_an_answer_that_says_nothing_new_is_no_new_version(tmp_path):
    async with executing(tmp_path, RL_QUEUE_POSITION_S="0.3") as rig:
        await rig.known()
        await rests(rig)
        await shows(rig, 10_000)
        before, version = asked(rig), int(rig.row()[a.ACCOUNT_VERSION])
        await rig.until(lambda: asked(rig) >= before + 3, "queues are read again and again")
        assert int(rig.row()[a.ACCOUNT_VERSION]) == version


async def test_another_price_is_asked_for_at_once_and_begins_unknown(tmp_path):
    async with executing(tmp_path, RL_QUEUE_POSITION_S="3600") as rig:
        await rig.known()
        await rests(rig)
        await shows(rig, 10_000)
        with rig.between.holding("GET", QUEUES):
            before = asked(rig)
            await moves(rig, "i2", 4_500)
            await shows(rig, UNKNOWN_AHEAD)
            await rig.until(lambda: asked(rig) > before, "its place is asked for")
            await moves(rig, "i3", 4_000)  # nothing that changes orders waits for the answer
            assert (ahead(rig.row()), rig.resting()) == (UNKNOWN_AHEAD, ["ka-i1-BY"])
            assert asked(rig) == before + 1, "one question at a time"
        await shows(rig, 10_000)


async def test_where_nothing_rests_or_nobody_wants_to_know_nothing_is_asked(tmp_path):
    async with executing(tmp_path, RL_QUEUE_POSITION_S="0") as rig:
        await rig.known()
        await rests(rig)
        rig.trade("ask", 4_000, 3_000)
        await rig.quiet()
        assert (asked(rig), ahead(rig.row())) == (0, UNKNOWN_AHEAD)
    async with executing(tmp_path / "idle", RL_QUEUE_POSITION_S="0.3") as rig:
        await rig.known()
        await rig.quiet()
        assert asked(rig) == 0


@pytest.mark.parametrize("renewed", [False, True])
async def test_a_wish_that_is_kept_or_renewed_keeps_its_place(tmp_path, renewed):
    async with executing(tmp_path, RL_QUEUE_POSITION_S="0.3", RL_ORDER_EXPIRY_S="60") as rig:
        await rig.known()
        order = await rests(rig)
        await shows(rig, 10_000)
        if renewed:
            rig.clock.advance(40 * 1_000_000_000)
        await rig.push(intent("i2", yes_price_e4=4_000))
        await rig.counted("renewed" if renewed else "kept")
        rig.trade("ask", 4_000, 3_000)
        await shows(rig, 7_000)
        assert at_the_exchange(rig, order) == 7_000
        names = {o.client_order_id for o in rig.journalled(ActorOrder)}
        assert names == {rig.own_name("ka-i1-BY")}
