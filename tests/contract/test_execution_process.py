"""Execution as a process: a clean stop, kills at any moment, and what the next life makes of it."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from support.execution_process import running_execution
from support.execution_world import messages_of
from support.orders import intent

from ipc import account_table as a
from ipc.messages import ActorFill, ActorOrder, Intent, OrderStatus, SessionEnded, SessionStarted

pytestmark = pytest.mark.slow

CANCELED = OrderStatus.CANCELED
RESTING = OrderStatus.RESTING


async def rests(world, name, **fields):
    """An intent whose order rests at 45 cents -> the order."""
    await world.push(intent(name, **({"yes_price_e4": 4_500} | fields)))
    return await world.order(intent_id=name, status=RESTING)


async def test_a_stop_cancels_ends_the_journal_and_exits_with_zero(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world, "i1")
        assert await world.end(signal.SIGTERM) == 0
        assert world.resting() == []
        head, *_, last = world.journal()
        assert isinstance(head, SessionStarted)
        assert isinstance(last, SessionEnded)
        assert world.journalled(ActorOrder)[-1].status is CANCELED
        assert world.row() is None


async def test_after_a_kill_the_next_run_cancels_reconciles_and_trades(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world, "i1")
        world.trade("ask", 4_500, 250)
        await world.told(ActorFill, count_e2=250)
        await world.end(signal.SIGKILL)
        assert world.resting() == ["ka-i1-BY"]
        world.trade("ask", 4_500, 350)  # nobody sees it
        await world.start()
        await world.known()
        assert world.resting() == []
        leftover = world.journalled(ActorOrder, intent_id="i1")[-1]
        assert (leftover.status, leftover.fill_count_e2) == (CANCELED, 600)
        world.assert_account_is_the_exchange_s()
        assert int(world.row()[a.POSITION_E2]) == 600
        await rests(world, "i2")
        assert world.resting() == ["ka-i2-BY"]
        assert not any(isinstance(m, SessionEnded) for m in world.journal(0))


async def test_a_kill_before_the_answer_leaves_no_order_unknown(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        world.between.repeats = 0
        with world.between.holding("POST"):
            await world.push(intent("i1", yes_price_e4=4_500))
            await world.until(world.resting, "the exchange took it")
            await world.end(signal.SIGKILL)
        world.between.repeats = 1
        assert world.journalled(ActorOrder)[-1].status is OrderStatus.PENDING
        await world.start()
        await world.known()
        assert [o["status"] for o in world.at_exchange()] == ["canceled"]
        assert world.journalled(ActorOrder, intent_id="i1")[-1].status is CANCELED


async def test_kills_amid_a_stream_of_intents_leave_nothing_unknown_and_nothing_doubled(tmp_path):
    random = np.random.default_rng(7)
    async with running_execution(tmp_path) as world:
        for life in range(3):
            await world.known()
            world.assert_account_is_the_exchange_s()
            for number in range(int(random.integers(3, 12))):
                price_e4 = int(random.choice((4_400, 4_500, 5_000)))
                wanted = intent(f"{life}-{number}", yes_price_e4=price_e4, count_e2=100)
                await world.push(wanted)
                await world.until(
                    lambda wanted=wanted: wanted in world.journalled(Intent), "it is journalled"
                )
            await world.end(signal.SIGKILL)
            await world.start()
        await world.known()
        world.assert_account_is_the_exchange_s()
        assert world.resting() == []
        names = [o["client_order_id"] for o in world.at_exchange()]
        assert len(names) == len(set(names)) > 0
        all_lives = [m for life in range(3) for m in messages_of(tmp_path, life)]
        intents = {m.intent_id for m in all_lives if isinstance(m, Intent)}
        assert {name[3:-3] for name in names} <= intents
        told = {m.trade_id for m in world.journalled(ActorFill)}
        assert told == {f["trade_id"] for f in world.exchange.get("/portfolio/fills")["fills"]}


async def test_a_second_execution_on_the_same_data_folder_is_refused(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        second = await world.spawn()
        _, said = await second.communicate()
        assert second.returncode == 2
        line = f"RL_DATA_DIR={tmp_path}: another execution writes its table of accounts"
        assert said.decode() == f"execution: {line}\n"
        await rests(world, "i1")
