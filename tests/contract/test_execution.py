"""Execution over the real exchange: intents in, orders out, refusals, what rests, renewals."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from support.execution_rig import both_open, executing
from support.execution_world import OTHER, START_MS
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.account_table import row_of_words
from ipc.clock import ManualClock, mono_ns
from ipc.messages import (
    AccountVersion,
    ActorFill,
    ActorOrder,
    ActorPosition,
    Doorbell,
    Environment,
    Intent,
    Leg,
    OrderStatus,
    SessionEnded,
    SessionStarted,
)
from processes.execution import market_learning

CANCELED = OrderStatus.CANCELED
EXECUTED = OrderStatus.EXECUTED
PENDING = OrderStatus.PENDING
REJECTED = OrderStatus.REJECTED
RESTING = OrderStatus.RESTING
SECOND_NS = 1_000_000_000
EXPIRY_S = 60  # RL_ORDER_EXPIRY_S


async def rests(rig, name="i1", **fields):
    """An intent whose order rests at 45 cents -> the order."""
    await rig.push(intent(name, **({"yes_price_e4": 4_500} | fields)))
    return await rig.order(intent_id=name, status=RESTING)


# Intents become orders


@pytest.mark.parametrize(
    ("leg", "yes_price_e4", "side", "price", "code"),
    [(Leg.YES, 4_500, "bid", "0.4500", "BY"), (Leg.NO, 4_600, "ask", "0.4600", "BN")],
)
async def test_an_intent_becomes_exactly_one_order(tmp_path, leg, yes_price_e4, side, price, code):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig, leg=leg, yes_price_e4=yes_price_e4)
        (request,) = rig.between.sent("POST")
        assert request.path == "/trade-api/v2/portfolio/events/orders"
        wanted = {"ticker": TICKER, "side": side, "price": price, "count": "10.00"}
        wanted |= {
            "client_order_id": rig.own_name(f"ka-i1-{code}"),
            "time_in_force": "good_till_canceled",
        }
        wanted |= {"expiration_time": START_MS // 1000 + EXPIRY_S}
        assert request.body.items() >= wanted.items()
        (there,) = rig.at_exchange()
        assert (there["order_id"], rig.own_name(there["client_order_id"])) == (
            order.order_id,
            order.client_order_id,
        )
        assert there["status"] == "resting"
        assert order.expire_ms == START_MS + 1_000 * EXPIRY_S


async def test_a_repeated_intent_is_the_same_order(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.counted("duplicate_intents")
        assert len(rig.at_exchange()) == 1
        assert rig.between.writes() == ["POST"]


async def test_all_that_happens_is_in_the_journal_before_it_is_published(tmp_path):
    """`told` compares every message with the journal as it comes."""
    async with executing(tmp_path) as rig:
        await rig.known()
        wanted = intent("i1", yes_price_e4=4_500)
        await rests(rig)
        rig.trade("ask", 4_500, 1_000)
        await rig.order(status=EXECUTED)
        await rig.told(ActorPosition, position_e2=1_000)
        head, *records = rig.journal()
        assert isinstance(head, SessionStarted)
        asked = records.index(wanted)
        kinds = [type(m) for m in records[asked:]]
        assert kinds[:2] == [Intent, ActorOrder]
        orders = [m.status for m in records[asked:] if isinstance(m, ActorOrder)]
        assert list(dict.fromkeys(orders)) == [PENDING, RESTING, EXECUTED]
        assert kinds.count(ActorFill) == 1
        versions = [m.account_version for m in records if isinstance(m, ActorPosition)]
        assert versions == sorted(set(versions))
        assert int(rig.row()[a.ACCOUNT_VERSION]) == versions[-1]
        rings = [await rig.rung() for _ in range(2)]  # the first may be that of the start
        assert set(rings) == {Doorbell(stream=f"execution/{head.session_uid}")}


async def test_hop_times_rise_from_the_intent_to_the_answer(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        before = mono_ns()
        await rests(rig)  # which the private channel may tell before the answer comes

        def answered():
            return [o for o in rig.journalled(ActorOrder) if o.acknowledged_mono_ns]

        order = (await rig.until(answered, "the answer is journalled"))[0]
        hops = (order.received_mono_ns, order.sent_mono_ns, order.acknowledged_mono_ns)
        times = [before, *hops, mono_ns()]
        assert times == sorted(times)


async def test_orders_of_two_markets_do_not_wait_for_each_other(tmp_path):
    async with executing(tmp_path) as rig, both_open(rig):
        with rig.between.holding("POST", TICKER):
            await rig.push(intent("slow", yes_price_e4=4_500))
            await rig.until(lambda: rig.resting("ka-slow"), "the exchange took the first")
            await rests(rig, "quick", market_ticker=OTHER)
            assert rig.journalled(ActorOrder, intent_id="slow", status=PENDING)
        await rig.order(intent_id="slow", status=RESTING)


# Refusals: journalled as such, and nothing is sent


async def refused(rig, wanted: Intent) -> str:
    """Push -> the reason why it became no order."""
    await rig.push(wanted)
    facts = {"intent_id": wanted.intent_id}
    (order,) = await rig.until(lambda: rig.journalled(ActorOrder, **facts), "it is refused")
    assert order.status is REJECTED  # and never was anything else
    assert rig.between.writes() == []
    assert rig.at_exchange() == []
    return order.reason


REFUSALS = {
    "deadline": {"deadline_mono_ns": 1},
    "session": {"session_uid": "another"},
    "market_unknown": {"market_ticker": "KXNOBODY-1"},
    "price_off_grid": {"yes_price_e4": 4_550},
    "count": {"count_e2": 1_001},
    "contradiction": {"price_e4": 4_400},
    "sells_more_than_held": {"is_buy": False},
    "malformed": {"price_e4": 0, "yes_price_e4": 0},
}


async def test_what_must_not_be_sent_is_refused_and_journalled_as_such(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        for reason, fields in REFUSALS.items():
            wanted = intent(reason, **({"yes_price_e4": 4_500} | fields))
            assert await refused(rig, wanted) == reason
            assert (wanted in rig.journal()) is (reason != "malformed")
        for name, fields in (("no-size", {"count_e2": 0}), ("no", {"leg": Leg.NO, "count_e2": -1})):
            assert await refused(rig, intent(name, **fields)) == "malformed"
        sale = intent("no-sale", leg=Leg.NO, is_buy=False, yes_price_e4=4_500)
        assert await refused(rig, sale) == "sells_more_than_held"


async def test_an_intent_is_sent_until_its_deadline_and_not_after_it(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        late = intent("late", yes_price_e4=4_500, deadline_mono_ns=mono_ns() - 1)
        assert await refused(rig, late) == "deadline"
        await rests(rig, "in-time", deadline_mono_ns=mono_ns() + 20 * SECOND_NS)


async def test_a_purchase_beyond_the_cash_is_refused(tmp_path):
    async with executing(tmp_path, RL_ACTOR_MARKET_CASH="4.50") as rig:
        await rig.known()
        assert await refused(rig, intent("i1", yes_price_e4=4_500)) == "not_enough_cash"
        await rests(rig, "i2", yes_price_e4=4_000)


async def test_a_disabled_actor_sends_nothing(tmp_path):
    async with executing(tmp_path, RL_ACTOR_ENABLED="false") as rig:
        await rig.known()
        assert await refused(rig, intent("i1", yes_price_e4=4_500)) == "actor_disabled"


async def test_decisions_on_data_of_another_environment_are_refused(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        demo = {"environment": Environment.DEMO, "session_uid": "demo"}
        rig.tell_session(OTHER, **demo)
        await rig.until(lambda: rig.row(OTHER) is not None, "the new session is heard")
        reason = await refused(rig, intent("i1", session_uid="demo", yes_price_e4=4_500))
        assert reason == "environment"


async def test_an_account_that_is_not_reconciled_does_not_trade(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        with rig.between.holding("GET", "/portfolio/positions"):
            rig.start()

            def followed():
                rig.tell_session()
                return rig.journalled(ActorPosition, market_ticker=TICKER)

            await rig.until(followed, "the market is followed")
            names = (f"early{n}" for n in count())
            why = await refused(rig, intent(next(names), yes_price_e4=4_500))
            while why == "balance_not_read_yet":  # it is read beside the positions
                why = await refused(rig, intent(next(names), yes_price_e4=4_500))
            assert why == "not_reconciled_yet"
            assert rig.row() is None
        await rig.known()
        await rests(rig, "later")


# What the exchange refuses


async def test_an_order_that_the_exchange_refuses_is_not_tried_again(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order(
            "fault", kind="error_next", method="POST", status=400, code="invalid_order"
        )
        await rig.push(intent("i1", yes_price_e4=4_500))
        assert "invalid_order" in (await rig.order(status=REJECTED)).reason
        await rests(rig, "i2")
        assert rig.between.writes() == ["POST", "POST"]
        assert rig.resting() == ["ka-i2-BY"]


async def test_a_refusal_that_lasts_is_not_asked_for_at_every_tick(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        facts = {"method": "POST", "status": 400, "code": "insufficient_balance"}
        rig.exchange.order("fault", kind="error_next", calls=1_000, **facts)
        reasons = []
        for n in range(20):
            await rig.push(intent(f"i{n}", yes_price_e4=4_500))
            reasons.append((await rig.order(intent_id=f"i{n}", status=REJECTED)).reason)
        sent = len(rig.between.sent("POST"))
        assert reasons.count("backing_off") == 20 - sent
        assert 2 <= sent < 20
        assert rig.log.actions().count("orders_refused") == 1


async def test_a_rate_limit_is_outwaited_under_the_same_name(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="rate_limit_next", method="POST", calls=3)
        await rests(rig)
        assert [p.body["client_order_id"] for p in rig.between.sent("POST")] == [
            rig.own_name("ka-i1-BY")
        ] * 4
        answers = [429, 429, 429, 201]
        await rig.until(lambda: rig.between.answers("POST") == answers, "three refusals")
        assert rig.resting() == ["ka-i1-BY"]


async def test_a_rate_limit_that_lasts_beyond_the_deadline_is_a_refusal(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="rate_limit_next", method="POST", calls=1_000)
        deadline = mono_ns() + 2 * SECOND_NS  # the own budget pauses for a third after a 429
        await rig.push(intent("i1", yes_price_e4=4_500, deadline_mono_ns=deadline))
        assert "too many requests" in (await rig.order(status=REJECTED)).reason
        assert len(rig.between.sent("POST")) > 1
        rig.exchange.order("fault", kind="clear")
        assert rig.at_exchange() == []


# What rests


async def test_what_is_wanted_again_keeps_its_place(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig)
        for name in ("i2", "i3"):
            await rig.push(intent(name, yes_price_e4=4_500))
        await rig.counted("kept", 2)
        assert rig.between.writes() == ["POST"]
        assert [o["order_id"] for o in rig.at_exchange()] == [order.order_id]


async def test_another_price_and_size_are_one_amend_of_the_same_order(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig)
        rig.trade("ask", 4_500, 300)
        await rig.order(fill_count_e2=300)
        await rig.holds(300)
        await rig.push(intent("i2", yes_price_e4=4_600, count_e2=500))
        amended = await rig.order(intent_id="i1", reason="amended: i2")
        assert (amended.yes_price_e4, amended.initial_count_e2) == (4_600, 800)
        assert (amended.remaining_count_e2, amended.order_id) == (500, order.order_id)
        await rig.counted("planned_amend_price")
        assert rig.between.writes() == ["POST", "POST"]
        (there,) = rig.at_exchange()
        assert (there["yes_price_dollars"], there["remaining_count_fp"]) == ("0.4600", "5.00")
        await rig.push(intent("i2", yes_price_e4=4_600, count_e2=500))
        await rig.counted("duplicate_intents")
        await rig.push(intent("i3", yes_price_e4=4_600, count_e2=200))  # smaller, in its place
        await rig.order(intent_id="i1", remaining_count_e2=200)
        rig.trade("ask", 4_600, 200)
        await rig.order(intent_id="i1", status=EXECUTED)
        await rig.holds(500)
        rig.assert_account_is_the_exchange_s()
        assert len(rig.at_exchange()) == 1


async def test_another_action_is_created_while_the_old_order_is_being_canceled(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        with rig.between.delaying("DELETE"):
            await rests(rig, "i2", leg=Leg.NO, yes_price_e4=4_600)
            assert rig.resting() == ["ka-i1-BY", "ka-i2-BN"]
        await rig.order(intent_id="i1", status=CANCELED)
        assert sorted(rig.between.writes()) == ["DELETE", "POST", "POST"]
        assert rig.resting() == ["ka-i2-BN"]


async def test_a_lost_answer_to_an_amend_is_found_by_reading_the_order(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        rig.between.repeats = 0
        rig.between.lose("POST")
        await rig.push(intent("i2", yes_price_e4=4_600))
        amended = await rig.order(intent_id="i1", reason="amended: i2")
        assert (amended.yes_price_e4, amended.status) == (4_600, RESTING)
        await rig.known()
        assert rig.between.writes() == ["POST", "POST"]


async def test_an_amend_that_comes_too_late_is_an_order_of_its_own(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        with rig.between.delaying("POST"):
            await rig.push(intent("i2", yes_price_e4=4_600))
            await rig.until(lambda: len(rig.between.sent("POST")) == 2, "the amend is on its way")
            rig.trade("ask", 4_500, 1_000)
        await rig.order(intent_id="i1", status=EXECUTED)
        await rig.order(intent_id="i2", status=RESTING)
        assert rig.resting() == ["ka-i2-BY"]
        assert int(rig.row()[a.POSITION_E2]) == 1_000
        rig.assert_account_is_the_exchange_s()


async def test_only_the_newest_of_the_intents_that_wait_is_sent(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        with rig.between.holding("POST"):
            await rig.push(intent("i1", yes_price_e4=4_500))
            await rig.until(lambda: rig.resting(), "the first is on its way")
            for name in ("i2", "i3"):  # each would trade with the first: it must be gone before
                await rig.push(intent(name, leg=Leg.NO, yes_price_e4=4_500))
            assert (await rig.order(intent_id="i2", status=REJECTED)).reason == "superseded"
        await rig.order(intent_id="i3", status=RESTING)
        assert rig.resting() == ["ka-i3-BN"]
        assert len(rig.at_exchange()) == 2


async def test_an_order_is_renewed_before_it_expires(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig)
        rig.clock.advance(31 * SECOND_NS)
        await rig.push(intent("i2", yes_price_e4=4_500))
        renewed = await rig.order(status=RESTING, expire_ms=START_MS + 91_000)
        assert renewed.order_id == order.order_id
        (there,) = rig.at_exchange()
        assert there["expiration_time"].startswith("2026-08-10T22:02:46")
        assert rig.between.sent("POST")[-1].path.endswith(f"{order.order_id}/amend")
        await rig.push(intent("i3", yes_price_e4=4_500))
        await rig.counted("kept")
        assert len(rig.between.sent("POST")) == 2


async def test_an_order_that_nobody_renews_ends_at_the_exchange(tmp_path):
    behind = ManualClock(1_000_000 * START_MS - (EXPIRY_S - 2) * SECOND_NS)  # two seconds are left
    running = {"speed": "1.0", "changes": 4_000}
    async with (
        executing(tmp_path, clock=behind, exchange=running) as rig,
        rig.exchange.stream() as follower,
    ):
        await rig.known()
        order = await rests(rig, yes_price_e4=2_000)  # below all that the recording trades
        await follower.subscribe("orderbook_delta", tickers=[TICKER, OTHER])
        gone = await rig.order(intent_id="i1", status=CANCELED)
        assert gone.order_id == order.order_id
        assert rig.at_exchange()[0]["status"] == "canceled"
        await rig.until(lambda: not rig.row()[a.N_ORDERS], "no order in the account")


# The end


async def test_a_stop_cancels_what_rests_and_ends_the_journal(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        stranger = rig.place("by-hand", "bid", 4_100, 300)
        await rig.stop()
        assert rig.resting() == []
        assert [o["order_id"] for o in rig.at_exchange("by-hand", "resting")] == [stranger]
        *_, order, position, version, end = rig.journal()
        assert (order.status, order.intent_id) == (CANCELED, "i1")
        assert position.open_orders == 0
        assert version.account_version == position.account_version
        assert end == SessionEnded(ended_ns=1_000_000 * START_MS, event_no=0)
        assert rig.row() is None


async def test_every_version_of_an_account_is_journalled_as_it_is_read(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        row = rig.row()
        assert (row[a.N_ORDERS], row[a.KNOWN]) == (1, 1)
        known = {v.account_version: v for v in rig.journalled(AccountVersion)}
        found = known[int(row[a.ACCOUNT_VERSION])]
        assert (row_of_words(found.words)[1:] == row[1:]).all()
        assert found.market_ticker == TICKER


async def test_a_stop_cancels_an_order_that_is_only_now_on_its_way(tmp_path):
    async with executing(tmp_path) as rig, both_open(rig):
        await rests(rig, "i1", market_ticker=OTHER)
        with rig.between.delaying("POST"):
            await rig.push(intent("i2", yes_price_e4=4_500))
            await rig.until(lambda: len(rig.between.sent("POST")) == 2, "it is sent")
            stopping = asyncio.create_task(rig.stop())
            await rig.until(lambda: rig.between.sent("DELETE"), "the stop has begun")
            assert len(rig.at_exchange()) == 1
        await stopping
        assert [o["status"] for o in rig.at_exchange()] == ["canceled", "canceled"]
        assert rig.journalled(ActorOrder)[-1].status is CANCELED


async def test_a_stop_ends_what_was_not_sent_yet(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="rate_limit_next", method="POST", calls=1_000)
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.until(lambda: len(rig.between.sent("POST")) > 1, "it is tried again")
        await rig.push(intent("i2", yes_price_e4=4_600))
        await rig.until(lambda: rig.journalled(Intent, intent_id="i2"), "the next waits")
        await rig.stop()
        rig.exchange.order("fault", kind="clear")
        ends = {o.intent_id: (o.status, o.reason) for o in rig.journalled(ActorOrder)}
        assert ends == {
            "i1": (REJECTED, "429: too many requests"),
            "i2": (REJECTED, "stopping"),
        }
        assert rig.at_exchange() == []


# Facts of a market that change while it is traded


async def test_a_grid_that_changes_is_learned_again_after_the_first_refusal(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        fine = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        rig.exchange.order("grid", ticker=TICKER, structure="deci_cent", price_ranges=fine)
        await rig.push(intent("i1", yes_price_e4=4_550))
        assert (await rig.order(intent_id="i1")).reason == "price_off_grid"
        state = rig.service._state
        await rig.until(lambda: state.grids[TICKER].index(4_550) >= 0, "the new grid")
        await rests(rig, "i2", yes_price_e4=4_550)


async def test_what_the_collector_lists_again_is_learned_again(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        fine = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        rig.exchange.order("grid", ticker=TICKER, structure="deci_cent", price_ranges=fine)
        state = rig.service._state
        for markets in ((OTHER,), (OTHER, TICKER)):
            await rig.until(lambda m=markets: _lists(rig, m), f"{markets} are listed")
        await rig.until(lambda: state.grids[TICKER].index(4_550) >= 0, "the new grid")


def _lists(rig, markets):
    """The collector says so until execution has heard."""
    rig.tell_session(*markets)
    return rig.service._state.listed == frozenset(markets)


async def test_markets_are_read_again_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(market_learning, "RELEARN_S", 0.2)
    async with executing(tmp_path) as rig:
        await rig.known()
        fine = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        rig.exchange.order("grid", ticker=TICKER, structure="deci_cent", price_ranges=fine)
        state = rig.service._state
        await rig.until(lambda: state.grids[TICKER].index(4_550) >= 0, "the new grid")
