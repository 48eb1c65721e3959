"""Execution when things go wrong: what an earlier life left, lost answers, cut connections."""

from __future__ import annotations

import asyncio

import pytest
from support.exchange import running_exchange
from support.execution_rig import SOON, executing
from support.execution_world import OTHER
from support.orders import TICKER, intent

from ipc import account_table as a
from ipc.clock import mono_ns
from ipc.journal import FramedReader
from ipc.messages import (
    ActorFill,
    ActorOrder,
    ActorPnl,
    Intent,
    Leg,
    OrderStatus,
    ProcessStats,
    SessionEnded,
)
from ipc.units import parse_money
from processes.execution import gateway, service

pytestmark = pytest.mark.slow

CANCELED = OrderStatus.CANCELED
EXECUTED = OrderStatus.EXECUTED
REJECTED = OrderStatus.REJECTED
RESTING = OrderStatus.RESTING
UNKNOWN = OrderStatus.UNKNOWN
SECOND_NS = 1_000_000_000


async def rests(rig, name="i1", **fields):
    """An intent whose order rests at 45 cents -> the order."""
    await rig.push(intent(name, **({"yes_price_e4": 4_500} | fields)))
    return await rig.order(intent_id=name, status=RESTING)


def positions(rig):
    """The requests for positions so far."""
    return [p for p in rig.between.sent("GET") if p.path.endswith("/positions")]


# A start


async def test_a_start_cancels_what_an_earlier_run_left_and_only_then_trades(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        rig.place("ka-earlier-BY", "bid", 4_100, 300)
        stranger = rig.place("by-hand", "bid", 4_200, 300)
        with rig.between.delaying("DELETE"):
            rig.start()
            await rig.until(lambda: rig.between.sent("DELETE"), "the leftover is found")
            await rig.known(OTHER, beside=TICKER)
            await rig.push(intent("early", yes_price_e4=4_500))
            refused = await rig.until(
                lambda: rig.journalled(ActorOrder, intent_id="early"), "it is refused"
            )
            assert refused[0].reason == "order_of_an_earlier_run"
            assert rig.row() is None
        await rig.known()
        assert rig.resting("ka-earlier") == []
        assert [o["order_id"] for o in rig.at_exchange("by-hand", "resting")] == [stranger]
        assert rig.journalled(ActorOrder, intent_id="earlier")[-1].status is CANCELED
        await rests(rig)


async def test_a_start_knows_what_earlier_runs_have_traded(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig, "b1", yes_price_e4=4_300, count_e2=333)
        rig.trade("ask", 4_300, 333)
        await rig.holds(333)
        await rig.push(intent("b2", yes_price_e4=5_000, count_e2=367))
        await rig.holds(700)
        await rig.push(intent("s1", is_buy=False, yes_price_e4=4_000, count_e2=300))
        await rig.holds(400)
        await rig.quiet()
        before = rig.row()
        assert before is not None
        await rig.stop()
        rig.start()
        await rig.known()
        after = rig.row()
        assert [int(w) for w in after[a.CASH_E6 : a.N_ORDERS]] == [
            int(w) for w in before[a.CASH_E6 : a.N_ORDERS]
        ]
        assert after[a.ACCOUNT_VERSION] > before[a.ACCOUNT_VERSION]
        rig.assert_account_is_the_exchange_s()
        first, second = (
            {m.trade_id for m in rig.journal(life) if isinstance(m, ActorFill)} for life in (0, 1)
        )
        assert first == second


# Answers that do not come


async def test_a_lost_answer_of_an_order_that_was_taken_doubles_nothing(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.between.repeats = 0  # nor does the private channel tell
        rig.between.lose("POST")
        await rig.push(intent("i1", yes_price_e4=4_500))
        lost = await rig.order(status=UNKNOWN)
        assert lost.order_id is None
        assert rig.row() is None  # of unknown outcome: the market is not traded
        found = await rig.order(status=RESTING)
        (there,) = rig.at_exchange()
        assert found.order_id == there["order_id"]
        assert rig.between.answers("POST") == [201, 409]  # tried again under its own name
        await rig.known()
        await rests(rig, "i2", leg=Leg.NO, yes_price_e4=4_500)
        assert rig.resting() == ["ka-i2-BN"]


async def test_a_lost_answer_is_resolved_by_the_private_channel_alone(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.between.lose("POST")
        with rig.between.delaying("GET"):  # the list of orders says nothing
            await rests(rig)
            await rig.known()
        assert len(rig.at_exchange()) == 1


async def test_a_lost_answer_of_an_order_that_filled_books_its_fill_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.between.repeats = 0
        rig.between.lose("POST")
        await rig.push(intent("i1", yes_price_e4=5_000))
        await rig.order(status=UNKNOWN)
        await rig.order(status=EXECUTED)
        await rig.until(lambda: rig.row() is not None, "known again")
        assert int(rig.row()[a.POSITION_E2]) == 1_000
        assert len(rig.at_exchange()) == len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


async def test_an_order_that_never_arrived_is_tried_again_under_its_name(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="error_next", method="POST", status=500)
        await rests(rig)
        assert [p.body["client_order_id"] for p in rig.between.sent("POST")] == [
            rig.own_name("ka-i1-BY")
        ] * 2
        assert len(rig.at_exchange()) == 1
        assert UNKNOWN in [o.status for o in rig.journalled(ActorOrder)]


async def test_an_order_that_is_nowhere_is_given_up_and_the_market_traded_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(gateway, "FIND_PAUSE", 0.05)
    monkeypatch.setattr(gateway, "FIND_NS", SECOND_NS // 4)
    async with executing(tmp_path) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="error_next", method="POST", status=503, calls=1_000)
        deadline = mono_ns() + 2 * SECOND_NS  # a new budget has room after half a second
        await rig.push(intent("i1", yes_price_e4=4_500, deadline_mono_ns=deadline))
        await rig.order(status=UNKNOWN)
        given_up = await rig.order(status=REJECTED)
        assert given_up.reason == "never_arrived"
        rig.exchange.order("fault", kind="clear")
        await rig.known()
        assert rig.at_exchange() == []
        await rests(rig, "i2")


async def test_a_cancel_that_failed_is_not_a_canceled_order(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        rig.exchange.order("fault", kind="error_next", method="DELETE", status=500, calls=2)
        await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
        await rig.until(lambda: rig.between.answers("DELETE") == [500, 500], "both fail")
        assert [o.status for o in rig.journalled(ActorOrder, intent_id="i1")][-1] is RESTING
        assert rig.resting() == ["ka-i1-BY"]
        await rig.order(intent_id="i2", status=RESTING)
        assert rig.between.writes() == ["POST", "DELETE", "DELETE", "DELETE", "POST"]
        assert rig.resting() == ["ka-i2-BN"]


async def test_a_stop_names_what_it_could_not_cancel(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "WITHDRAW_SECONDS", 0.5)
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        rig.exchange.order("fault", kind="error_next", method="DELETE", status=500, calls=1_000)
        await rig.stop()
        facts = {"after_s": 0.5, "orders": 1, "client_order_ids": [rig.own_name("ka-i1-BY")]}
        assert rig.log.has("orders_not_confirmed_canceled", **facts)
        assert isinstance(rig.journal()[-1], SessionEnded)


async def test_a_stop_cancels_what_rests_and_says_nothing(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        await rig.stop()
        assert rig.resting() == []
        assert "orders_not_confirmed_canceled" not in rig.log.actions()


async def test_a_lost_answer_to_a_cancel_is_asked_for(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        rig.between.repeats = 0
        rig.between.lose("DELETE")
        await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
        await rig.order(intent_id="i1", status=CANCELED)
        assert rig.between.answers("DELETE") == [200, 404]  # the second cancel finds nothing
        await rig.order(intent_id="i2", status=RESTING)
        assert rig.resting() == ["ka-i2-BN"]


async def test_a_cancel_that_comes_too_late_books_the_fill(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        rig.between.repeats = 0
        with rig.between.delaying("DELETE"):
            await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
            await rig.until(lambda: rig.between.sent("DELETE"), "the cancel is on its way")
            rig.trade("ask", 4_500, 1_000)
        await rig.order(intent_id="i1", status=EXECUTED)
        await rig.order(intent_id="i2", status=RESTING)
        assert int(rig.row()[a.POSITION_E2]) == 1_000
        rig.assert_account_is_the_exchange_s()


async def test_a_renewal_that_failed_leaves_the_old_expiry(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig)
        rig.clock.advance(31 * SECOND_NS)
        rig.exchange.order("fault", kind="error_next", method="POST", status=500)
        await rig.push(intent("i2", yes_price_e4=4_500))
        await rig.counted("renewals_failed")
        assert rig.journalled(ActorOrder)[-1].expire_ms == order.expire_ms
        await rig.push(intent("i3", yes_price_e4=4_500))
        await rig.order(status=RESTING, expire_ms=order.expire_ms + 31_000)
        assert len(rig.at_exchange()) == 1


# Connections


async def test_without_the_private_channel_nothing_is_traded_until_reconciled(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        order = await rests(rig)
        with rig.between.delaying("GET"):
            assert rig.exchange.order("disconnect")["cut"]
            await rig.unknown()
            await rig.until(lambda: ("private_channel_up", {}) in rig.log.lines[2:], "up")
            await rig.push(intent("i2", yes_price_e4=4_600))
            refused = await rig.order(intent_id="i2", status=REJECTED)
            assert refused.reason == "private_channel_down"
            assert rig.row() is None
        await rig.known()
        assert [o["order_id"] for o in rig.at_exchange(status="resting")] == [order.order_id]
        await rests(rig, "i3", leg=Leg.NO, yes_price_e4=4_500)
        assert rig.resting() == ["ka-i3-BN"]


async def test_a_read_that_outlives_its_connection_ends_nothing(tmp_path):
    """Reconnecting renews the keys of requests, it does not take requests under way with it."""
    async with executing(tmp_path, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        with rig.between.holding("GET", "/positions"):
            seen = len(positions(rig))
            await rig.until(lambda: len(positions(rig)) > seen, "a read is held")
            rig.exchange.order("disconnect")
            await rig.unknown()
            await rig.until(lambda: ("private_channel_up", {}) in rig.log.lines[2:], "up")
        await rig.known()
        await rests(rig)


async def test_after_the_exchange_has_died_and_forgotten_execution_goes_on(tmp_path):
    async with executing(tmp_path, starts=False, RL_RECONCILE_S=SOON) as rig:
        rig.is_direct = True
        rig.start()
        await rig.known()
        await rests(rig)
        old = rig.exchange
        old.process.kill()
        old.process.communicate()
        await rig.unknown()
        again = {
            "RL_EXCHANGE_PORT": str(old.port),
            "RL_EXCHANGE_REPLAY": str(tmp_path / "recordings"),
            "RL_EXCHANGE_SPEED": "0.001",
        }
        with running_exchange(tmp_path, **again) as rig.exchange:
            await rig.order(intent_id="i1", status=CANCELED)
            await rig.known()
            await rests(rig, "i2")
            assert rig.resting() == ["ka-i2-BY"]
            await rig.stop()


async def test_no_account_is_known_while_the_exchange_does_not_answer(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=SOON) as rig:
        await rig.known()
        rig.exchange.order("fault", kind="error_next", method="GET", status=503, calls=100_000)
        await rig.unknown()
        await rig.push(intent("i1", yes_price_e4=4_500))
        assert (await rig.order(intent_id="i1")).reason == "exchange_not_answering"
        rig.exchange.order("fault", kind="clear")
        await rig.known()
        await rests(rig, "i2")


async def test_a_balance_that_cannot_be_read_is_not_published(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.quiet()
        rig.exchange.order("fault", kind="error_next", method="GET", status=503, calls=100_000)
        await rests(rig)
        told = []
        while not any(_counts(message, "balances_not_read") for message in told):
            told.append((await rig.heard.recv())[1])
        assert not any(isinstance(message, ActorPnl) for message in told)
        rig.exchange.order("fault", kind="clear")
        pnl = await rig.told(ActorPnl)
        assert pnl.balance_e6 == parse_money(
            rig.exchange.get("/portfolio/balance")["balance_dollars"]
        )


def _counts(message, name):
    return isinstance(message, ProcessStats) and message.counters.get(name)


# A stop


async def test_a_stop_ends_it_though_there_is_news_in_that_very_moment(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        drop = rig.service._gateway.drop

        async def dropped():
            await drop()
            rig.service._reconciliation.soon.set()  # the last before all tasks are cancelled

        rig.service._gateway.drop = dropped
        stopping = asyncio.create_task(rig.stop())
        done, _ = await asyncio.wait([stopping], timeout=30)
        assert done == {stopping}, [task.get_coro() for task in asyncio.all_tasks()]


# The journal


async def test_what_cannot_be_journalled_is_not_traded(tmp_path):
    async with executing(tmp_path, journal_bytes=8_000) as rig:
        await rig.known()
        number = 0
        while rig.row() is not None:
            number += 1
            await rig.push(intent(f"i{number}", yes_price_e4=4_550))
            await rig.until(
                lambda n=number: rig.row() is None or rig.journalled(Intent, intent_id=f"i{n}"),
                "journalled, or refused",
            )
        await rig.push(intent("none", yes_price_e4=4_500))
        assert (await rig.told(ActorOrder, is_kept=False, intent_id="none")).reason == "journal"
        reader = FramedReader(rig.folder())
        reader.remove_before(reader.read(0)[1])  # the recorder made room
        await rig.known()
        assert rig.log.actions().count("journal_refuses") == 1
        assert "journal_accepts_again" in rig.log.actions()
        await rig.push(intent("again", yes_price_e4=4_500))
        rested = {"intent_id": "again", "status": RESTING}
        await rig.until(lambda: rig.journalled(ActorOrder, **rested), "it trades again")
