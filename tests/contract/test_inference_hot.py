"""Inference in mode `hot`, between real tables and sockets: where it is, what it leaves, how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.actor_rig import BUYS, FakeExecution, Rig, acting
from support.fake_collector import MS, FakeCollector
from support.model_builders import NOON_NS

from ipc import book as b
from ipc.account_table import OpenOrder, new_account, put_orders
from ipc.book_kernels import set_state
from ipc.messages import LeaveMarket
from models.trading.actions import Action
from processes.inference.hot_markets import hot_path

HOT = {"RL_ACTOR_TARGET_MARKET_MODE": "hot", **BUYS}
TIGHT = ({45: 100}, {54: 100})  # YES bids and NO bids in cents: 45 at 46
FAIR = ({45: 100}, {52: 100})  # 45 at 48
S = 1_000  # milliseconds


async def begin(rig: Rig) -> tuple[FakeCollector, FakeExecution]:
    """Books of A, which is tighter, and B; the actor is in A."""
    execution = await rig.execute("A", "B")
    collector = rig.collect("A", "B")
    await rig.follow(collector.uid)
    for ticker, book in (("A", TIGHT), ("B", FAIR)):
        collector.snapshot(0, ticker, *book)
    await rig.chosen("A")
    return collector, execution


def close_at(collector: FakeCollector, ticker: str, at_ms: int) -> None:
    """The market closes so long after noon."""
    collector.table.live[collector.rows[ticker], b.CLOSE_MS] = NOON_NS // MS + at_ms


async def test_decisions_are_made_in_the_hot_market_and_all_markets_tick(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT) as rig:
        collector, _ = await begin(rig)
        collector.flush()
        assert (await rig.action()).market_ticker == "A"
        await rig.nothing_more()
        assert sorted(tick.market_ticker for tick in rig.ticks()) == ["A", "B"]
        assert rig.log.has("market_entered", ticker="A", reason="hottest")


async def test_it_says_what_speaks_for_each_market(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT, RL_ACTOR_ON_SWITCH="reduce") as rig:
        await begin(rig)
        message = await rig.chosen("A")
        first, second = message.scores
        assert (message.on_switch, message.leaving) == ("reduce", ())
        assert (first.ticker, first.spread_e4, first.touch_e2, first.bar) == ("A", 100, 10_000, "")
        assert (second.ticker, second.spread_e4, second.since_ms) == ("B", 300, None)
        assert first.score > second.score
        (change,) = message.changes
        assert (change.ticker, change.entered, change.at_ms) == ("A", True, NOON_NS // MS)


@pytest.mark.parametrize(
    ("on_switch", "sells_at"), [("hold", None), ("reduce", None), ("flatten", 4_500)]
)
async def test_what_turns_one_sided_is_left_at_once(
    tmp_path: Path, on_switch: str, sells_at: int | None
) -> None:
    """Nothing rests there any more; what is held is sold where that is asked for, and can be."""
    async with acting(tmp_path, **HOT, RL_ACTOR_ON_SWITCH=on_switch) as rig:
        collector, execution = await begin(rig)
        execution.knows("A", position=25)
        collector.delta(250, b.NO, 54, -100, "A")  # no ask: a passive sale has no price
        assert await rig.left() == LeaveMarket(market_ticker="A", reason="one-sided")
        message = await rig.chosen("B")
        assert message.leaving == (() if on_switch == "hold" else ("A",))
        collector.tick(500, "A")
        if on_switch == "hold":
            collector.tick(500, "B")
            assert (await rig.action()).market_ticker == "B"
            return
        action = await rig.action()
        assert action.market_ticker == "A"
        assert (action.logits, action.observation != b"") == ((), True)
        if sells_at is None:
            assert (action.action, action.reason) == (Action.HOLD, "left")
            return
        assert (action.action, action.reason) == (Action.SELL_YES_LIMIT, "leaving")
        intent = await rig.intent()
        assert (intent.price_e4, intent.count_e2, intent.is_buy) == (sells_at, 1_000, False)


@pytest.mark.parametrize(("position", "price_e4"), [(25, 4_500), (-25, 5_400)])
async def test_before_its_close_a_market_is_left_and_what_is_held_is_sold(
    tmp_path: Path, position: int, price_e4: int
) -> None:
    """With `reduce` too: an offer may not be taken in time, so the other side's price is."""
    async with acting(tmp_path, **HOT, RL_ACTOR_ON_SWITCH="reduce") as rig:
        collector, execution = await begin(rig)
        execution.knows("A", position=position)
        close_at(collector, "A", 61 * S)
        rig.clock.advance(S * MS)
        assert await rig.left() == LeaveMarket(market_ticker="A", reason="closing")
        collector.tick(S, "A")
        intent = await rig.intent()
        assert (intent.market_ticker, intent.price_e4, intent.is_buy) == ("A", price_e4, False)
        execution.knows("A", position=0)
        rig.clock.advance(S * MS)
        assert (await rig.chosen("B")).scores[1].bar == "closing"
        await rig.until(lambda _: not rig.service._hot._choice.leaving)
        collector.tick(2 * S, "A")
        collector.tick(2 * S, "B")
        while (action := await rig.action()).market_ticker == "A":
            assert action.recv_ns < NOON_NS + 2 * S * MS  # flat: no more is decided there


async def test_what_could_not_be_sold_before_the_close_is_named(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT) as rig:
        collector, execution = await begin(rig)
        execution.knows("A", position=25)
        close_at(collector, "A", 61 * S)
        rig.clock.advance(S * MS)
        await rig.chosen("B")
        assert not rig.log.has("position_not_closed")
        rig.clock.advance(60 * S * MS)  # no tick came
        await rig.until(lambda _: rig.log.has("position_not_closed", ticker="A", position_e2=2_500))
        assert (await rig.chosen("B")).leaving == ()


async def test_while_the_close_is_far_an_offer_is_made_at_its_own_touch(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT, RL_ACTOR_ON_SWITCH="reduce") as rig:
        collector, execution = await begin(rig)
        execution.knows("A", position=25)
        collector.snapshot(300, "A", {30: 100}, {54: 100})  # 30 at 46
        assert (await rig.left()).reason == "wide"
        collector.flush()
        while (intent := await rig.intent()).market_ticker != "A":
            pass
        assert (intent.price_e4, intent.is_buy) == (4_600, False)


async def test_what_rests_where_the_actor_is_not_is_cancelled_until_it_is_gone(
    tmp_path: Path,
) -> None:
    async with acting(tmp_path, **HOT) as rig:
        _, execution = await begin(rig)
        account = new_account(100_000_000)
        put_orders(account, [OpenOrder(True, 0, 4_500, 1_000, NOON_NS)])
        execution.table.write("B", account)
        execution.table.write("A", account)
        for _ in range(2):
            while rig.service.counters["leaves"] == 0:
                rig.clock.advance(S * MS)
                await rig.settled()
            assert await rig.left() == LeaveMarket(market_ticker="B", reason="left")
            rig.service._counts["leaves"] = 0


async def test_a_reconnect_costs_no_position(tmp_path: Path) -> None:
    """Stale, then back: it is left and returned to, and nothing is sold in between."""
    async with acting(tmp_path, **HOT) as rig:
        collector, execution = await begin(rig)
        execution.knows("A", position=25)
        set_state(collector.table.live, collector.rows["A"], b.STALE, 0)
        await rig.chosen("B")
        assert (await rig.left()).reason == "stale"
        collector.snapshot(400, "A", *TIGHT)
        collector.flush()
        await rig.settled()
        rig.clock.advance(S * MS)
        message = await rig.chosen("A")
        assert [c.reason for c in message.changes[-2:]] == ["A is back", "back"]
        assert not [d for d in rig.decisions() if d.reason == "leaving"]


async def test_a_position_elsewhere_is_not_touched(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT) as rig:
        collector, execution = await begin(rig)
        execution.knows("B", position=25)
        collector.delta(250, b.YES, 44, 10, "B")
        collector.delta(250, b.YES, 44, 10, "A")
        collector.flush()
        assert (await rig.action()).market_ticker == "A"
        await rig.nothing_more()
        assert rig.service.counters["leaves"] == 0


async def test_where_it_is_outlives_it(tmp_path: Path) -> None:
    async with acting(tmp_path, **HOT) as rig:
        await begin(rig)
        await rig.until(lambda _: hot_path(tmp_path).exists())
        assert json.loads(hot_path(tmp_path).read_bytes()) == {"markets": ["A"]}


async def test_a_restart_goes_back_to_where_it_was(tmp_path: Path) -> None:
    hot_path(tmp_path).write_text('{"markets": ["B"]}')
    async with acting(tmp_path, **HOT) as rig:
        execution = await rig.execute("A", "B")
        execution.knows("B", position=25)
        collector = rig.collect("A", "B", uid="c-2")
        await rig.follow(collector.uid)
        collector.snapshot(0, "A", *TIGHT)
        await rig.chosen("A")
        collector.snapshot(0, "B", *FAIR)
        rig.clock.advance(S * MS)
        assert (await rig.chosen("B")).changes[-1].reason == "back"


async def test_what_a_run_left_behind_is_closed_by_the_next(tmp_path: Path) -> None:
    hot_path(tmp_path).write_text('{"markets": ["B"]}')
    async with acting(tmp_path, **HOT) as rig:
        execution = await rig.execute("A", "B")
        execution.knows("B", position=25)
        collector = rig.collect("A", "B")
        await rig.follow(collector.uid)
        collector.snapshot(0, "A", *TIGHT)
        await rig.chosen("A")
        rig.clock.advance(31 * S * MS)  # longer than it may claim its place
        await rig.chosen("A")
        collector.snapshot(31 * S, "B", *FAIR)
        collector.flush()
        while (intent := await rig.intent()).market_ticker != "B":
            pass
        assert (intent.is_buy, intent.price_e4) == (False, 4_500)


@pytest.mark.parametrize("content", ["", "[", '{"markets": 3}', "\udcff"])
async def test_a_spoilt_memory_is_a_line_and_no_end(tmp_path: Path, content: str) -> None:
    hot_path(tmp_path).write_bytes(content.encode("utf-8", "surrogateescape"))
    async with acting(tmp_path, **HOT) as rig:
        await begin(rig)
        assert rig.log.has("hot_markets_not_read")
