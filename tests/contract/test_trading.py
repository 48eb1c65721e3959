"""`kalshi-actor trading` over the local exchange: what rests, what is held, and what it says."""

from __future__ import annotations

import asyncio
import stat
from contextlib import contextmanager

import msgspec
import pytest
import zmq
import zmq.asyncio
from support.execution_rig import both_open, executing
from support.execution_world import OTHER
from support.orders import TICKER, intent
from support.trading_command import command, given, trading

from ipc.clock import NS_PER_S, mono_ns
from ipc.endpoints import socket_folder
from ipc.messages import Leg, OrderStatus, TradingEvent, TradingEventKind
from ipc.trading import CommandRefused, TradingMode
from processes.execution.latches import Latch
from processes.execution.trading_record import load_record, record_path

CANCELED, REJECTED, RESTING = OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.RESTING
RECONCILED = "1"  # RL_RECONCILE_S


async def rests(rig, name="i1", **fields):
    """An intent whose order rests at 45 cents -> the order."""
    await rig.push(intent(name, **({"yes_price_e4": 4_500} | fields)))
    return await rig.order(intent_id=name, status=RESTING)


async def holds_yes(rig, count_e2=1_000):
    """10 contracts of YES, bought at 50 cents."""
    await rig.push(intent("buy", yes_price_e4=5_000, count_e2=count_e2))
    await rig.holds(count_e2)


async def is_done(rig):
    """Until what was commanded is done -> the last answer."""
    async with asyncio.timeout(60):
        while not (report := await given(rig, "status")).is_done:  # noqa: ASYNC110  asked for
            await asyncio.sleep(0.05)
    return report


def events(rig, kind=TradingEventKind.COMMAND):
    """(name, who, why) of the audit's lines of a kind, in order."""
    lines = rig.journalled(TradingEvent)
    return [(line.name, line.who, line.why) for line in lines if line.kind is kind]


@contextmanager
def away(rig):
    """The exchange answers no request."""
    with rig.between.delaying("GET"), rig.between.delaying("DELETE"):
        yield


# Stop


async def test_a_stop_cancels_what_rests_and_verifies_it_at_the_exchange(tmp_path):
    async with executing(tmp_path) as rig, both_open(rig):
        await rests(rig)
        await rests(rig, "i2", market_ticker=OTHER)
        rig.place("by-hand", "bid", 4_100, 100)
        said = await trading(rig, "stop", "--why", "odd quotes", "--json")
        assert (said.code, said.err) == (0, "")
        assert rig.resting() == []
        assert rig.resting("by-hand") == ["by-hand"]
        assert said.facts["mode"] == "stopped"
        assert said.facts["done"] is True
        assert said.facts["resting"] == []
        assert said.facts["why"] == "odd quotes"
        assert "(pid " in said.facts["who"]
        ((name, who, why),) = events(rig)
        assert (name, who, why) == ("stop", said.facts["who"], "odd quotes")
        assert [name for name, _, _ in events(rig, TradingEventKind.MODE)] == ["nothing_rests"]


async def test_stopped_nothing_is_sent_and_resumed_it_trades_again(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        assert (await trading(rig, "stop")).code == 0
        await rig.push(intent("i1", yes_price_e4=4_500))
        refused = await rig.order(intent_id="i1")
        assert (refused.status, refused.reason) == (REJECTED, "trading_stopped")
        assert rig.at_exchange() == []
        assert (await trading(rig, "resume", "--why", "all is well")).code == 0
        await rests(rig, "i2")
        assert rig.resting() == ["ka-i2-BY"]
        assert [name for name, _, _ in events(rig)] == ["stop", "resume"]


async def test_an_order_on_its_way_when_the_stop_comes_does_not_stay(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        with rig.between.holding("POST"):
            await rig.push(intent("i1", yes_price_e4=4_500))
            await rig.until(rig.resting, "the exchange took it")
            report = await given(rig, "stop")
            assert (report.mode, report.is_done) == (TradingMode.STOPPED, False)
            assert [line.client_order_id for line in report.resting] == [rig.own_name("ka-i1-BY")]
        assert (await is_done(rig)).resting == ()
        assert rig.resting() == []


async def test_a_stop_finds_orders_of_ours_that_this_run_does_not_know(tmp_path):
    async with executing(tmp_path) as rig, both_open(rig):
        rig.between.repeats = 0  # the private channel says nothing
        rig.place("ka-old-1-BY", "bid", 4_200, 100, OTHER)
        assert (await trading(rig, "stop")).code == 0
        assert rig.resting() == []


async def test_while_the_exchange_is_away_it_is_not_verified_goes_on_and_says_when_done(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        with away(rig):
            asked_ns = mono_ns()
            report = await given(rig, "stop")
            assert mono_ns() - asked_ns < 2 * NS_PER_S
            assert (report.mode, report.is_done) == (TradingMode.STOPPED, False)
            said = await trading(rig, "stop", "--wait", "1")
            assert said.code == 1
            assert "not verified" in said.err
            assert rig.own_name("ka-i1-BY") in said.out
            assert rig.resting() == ["ka-i1-BY"]
        report = await is_done(rig)
        assert "no order of this stack rests" in report.progress
        assert rig.resting() == []
        assert rig.log.actions().count("trading_nothing_rests") == 1


# Pause


async def test_a_pause_keeps_what_rests_and_what_is_still_wanted(tmp_path):
    async with executing(tmp_path) as rig, both_open(rig):
        await rests(rig)
        assert (await trading(rig, "pause")).code == 0
        await rig.push(intent("i2", yes_price_e4=4_500))  # the same again
        await rig.counted("kept")
        await rig.push(intent("i3", yes_price_e4=4_400))
        assert (await rig.order(intent_id="i3")).reason == "trading_paused"
        await rig.push(intent("i4", yes_price_e4=4_400, market_ticker=OTHER))
        assert (await rig.order(intent_id="i4")).reason == "trading_paused"
        assert rig.resting() == ["ka-i1-BY"]
        assert (await trading(rig, "resume")).code == 0
        await rig.push(intent("i5", yes_price_e4=4_400))
        await rig.order(intent_id="i1", yes_price_e4=4_400, reason="amended: i5")
        assert rig.resting() == ["ka-i1-BY"]


async def test_a_pause_does_not_loosen_a_stop(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await given(rig, "stop")
        said = await trading(rig, "pause")
        assert said.code == 1
        assert "trading is stopped" in said.err
        assert len(said.err.splitlines()) == 1
        assert (await given(rig, "status")).mode is TradingMode.STOPPED


# Restarts


@pytest.mark.parametrize("verb", ["pause", "stop"])
async def test_a_restart_keeps_the_state_and_says_so(tmp_path, verb):
    async with executing(tmp_path) as rig:
        await rig.known()
        before = await given(rig, verb, "before the restart")
        await rig.stop()
        rig.start()
        await rig.known()
        after = await given(rig, "status")
        assert (after.mode, after.who, after.why) == (before.mode, "ann (pid 4711)", before.why)
        assert after.since_utc_ns == before.since_utc_ns
        await rig.push(intent("i1"))
        assert (await rig.order(intent_id="i1")).reason == f"trading_{before.mode}"
        assert f"trading_starts_{before.mode}" in rig.log.actions()
        assert (f"starts_{before.mode}", before.who, before.why) in events(
            rig, TradingEventKind.MODE
        )


async def test_a_state_that_cannot_be_read_means_stopped(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        record_path(tmp_path).write_text('{"mode": "on", "who"')
        record_path(tmp_path).chmod(0o600)
        rig.start()
        await rig.known()
        report = await given(rig, "status")
        assert report.mode is TradingMode.STOPPED
        assert "cannot be read" in report.why


async def test_what_is_written_while_it_does_not_answer_counts(tmp_path):
    """As `trading stop` does when execution hangs."""
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        await given(rig, "pause")
        record = msgspec.structs.replace(load_record(tmp_path), mode=TradingMode.STOPPED)
        path = record_path(tmp_path)
        aside = path.with_name("aside")
        aside.write_bytes(msgspec.json.encode(record))
        aside.chmod(0o600)
        aside.rename(path)
        await rig.order(intent_id="i1", status=CANCELED)
        assert (await is_done(rig)).mode is TradingMode.STOPPED
        assert rig.resting() == []


async def test_a_state_that_cannot_be_written_still_counts_and_is_said(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        record_path(tmp_path).mkdir()
        said = await trading(rig, "stop", "--json")
        assert said.code == 1
        assert "trading.json" in said.facts["persist_error"]
        assert rig.resting() == []
        record_path(tmp_path).rmdir()
        await rig.until(lambda: record_path(tmp_path).is_file(), "it is written after all")
        assert load_record(tmp_path).mode is TradingMode.STOPPED


# Flatten


async def test_flatten_closes_in_slices_that_never_rest(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await holds_yes(rig)
        await rests(rig, "ask", is_buy=False, yes_price_e4=4_800)
        said = await trading(rig, "flatten", "--slice", "4", "--collar", "0", "--json")
        assert (said.code, said.err) == (0, ""), said.out
        assert said.facts["positions"] == []
        assert rig.rest_position()["position_e2"] == 0
        assert rig.resting() == []
        slices = rig.at_exchange("ka-20260810T221500")
        assert [o["client_order_id"][-9:] for o in slices] == [
            "flat-1-SY",
            "flat-2-SY",
            "flat-3-SY",
        ]
        assert {o["status"] for o in slices} == {"executed"}
        assert "no position is left" in said.facts["progress"]
        names = [name for name, _, _ in events(rig, TradingEventKind.MODE)]
        assert "flattened" in names
        rig.assert_account_is_the_exchange_s()


async def test_flatten_buys_no_back_within_its_collar(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await rig.push(intent("no", leg=Leg.NO, yes_price_e4=4_000))
        await rig.holds(-1_000)
        assert (await trading(rig, "flatten")).code == 0
        assert rig.rest_position()["position_e2"] == 0
        fills = rig.exchange.get("/portfolio/fills")["fills"]
        assert {f["yes_price_dollars"] for f in fills} == {"0.4000", "0.5000"}


async def test_flatten_in_an_empty_book_says_what_is_left(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await holds_yes(rig)
        rig.trade("ask", 100, 100_000)  # all that bids is taken; what is left of it asks 1 cent
        said = await trading(rig, "flatten", "--deadline", "3", "--json")
        assert said.code == 1
        (left,) = said.facts["positions"]
        assert (left["market_ticker"], left["position_contracts"]) == (TICKER, "10.00")
        assert left["note"]
        assert said.facts["mode"] == "stopped"
        assert "positions are left in 1 markets" in said.facts["progress"]
        (event,) = rig.journalled(TradingEvent, name="position_left")
        assert (event.market_ticker, event.numbers) == (
            TICKER,
            {"position_e2": 1_000, "foreign_e2": 0},
        )


async def test_the_collar_stays_where_the_first_touch_was(tmp_path):
    """Bids at 40, then only at 30 cents: what is beyond 5 cents is not sold."""
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await rig.push(intent("b1", yes_price_e4=5_000))
        await rig.holds(1_000)
        rig.trade("ask", 4_000, 9_600)  # 4 contracts bid are left at 40 cents
        rig.trade("bid", 3_000, 10_000)
        said = await trading(rig, "flatten", "--deadline", "4", "--json")
        assert said.code == 1
        (left,) = said.facts["positions"]
        assert left["position_contracts"] == "6.00"
        assert "0.3500" in left["note"]
        assert rig.rest_position()["position_e2"] == 600


async def test_a_stop_ends_a_flatten(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await holds_yes(rig)
        rig.trade("ask", 4_000, 10_000)  # all that bids is taken
        await given(rig, "flatten")
        refused = await given(rig, "resume")
        assert isinstance(refused, CommandRefused)
        assert "being closed" in refused.error
        await given(rig, "stop")
        rig.trade("bid", 4_000, 5_000)  # it could be sold now
        await is_done(rig)
        await asyncio.sleep(0.6)
        assert rig.rest_position()["position_e2"] == 1_000


async def test_a_restart_goes_on_closing_positions(tmp_path):
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await holds_yes(rig)
        rig.trade("ask", 4_000, 10_000)  # nobody bids
        await given(rig, "flatten")
        await rig.stop()
        rig.start()
        assert (await given(rig, "status")).mode is TradingMode.FLATTENING
        rig.trade("bid", 4_000, 5_000)

        await rig.known()
        assert (await is_done(rig)).positions == ()
        assert rig.rest_position()["position_e2"] == 0


# The socket


async def test_malformed_commands_are_answered_in_one_line_and_change_nothing(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        sent = [
            b"",
            b"\xff" * 40,
            msgspec.msgpack.encode({"verb": "explode"}),
            msgspec.msgpack.encode(msgspec.to_builtins(command("stop")) | {"why": "two\nlines"}),
            msgspec.msgpack.encode(msgspec.to_builtins(command("stop")) | {"more": 1}),
            msgspec.msgpack.encode(msgspec.to_builtins(command("flatten")) | {"flatten": None}),
            msgspec.msgpack.encode(
                msgspec.to_builtins(command("flatten"))
                | {"flatten": {"collar_e4": -1, "slice_e2": 1, "deadline_s": 1}}
            ),
        ]
        for data in sent:
            client = rig.context.socket(zmq.REQ)
            client.connect(f"ipc://{socket_folder(tmp_path)}/commands.sock")
            await client.send(data)
            answer = msgspec.msgpack.decode(await asyncio.wait_for(client.recv(), 10))
            client.close(0)
            assert answer["type"] == "CommandRefused"
            assert answer["is_malformed"] is True
            assert len(answer["error"].splitlines()) == 1
        assert rig.log.actions().count("command_refused") == len(sent)
        report = await given(rig, "status")
        assert report.mode is TradingMode.ON
        assert events(rig) == []


async def test_two_commands_at_once_are_both_answered_and_one_counts(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig)
        stop, resume = await asyncio.gather(trading(rig, "stop"), trading(rig, "resume"))
        names = [name for name, _, _ in events(rig)]
        assert sorted(names) == ["resume", "stop"]
        mode = (await given(rig, "status")).mode
        assert mode is (TradingMode.STOPPED if names[-1] == "stop" else TradingMode.ON)
        assert resume.code == 0
        if mode is TradingMode.STOPPED:
            assert stop.code == 0
            assert rig.resting() == []


async def test_a_command_that_waited_too_long_is_not_carried_out_but_a_stop_is(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await given(rig, "stop")
        old_ns = mono_ns() - 3 * NS_PER_S
        refused = await given(rig, "resume", sent_mono_ns=old_ns)
        assert isinstance(refused, CommandRefused)
        assert (await given(rig, "status")).mode is TradingMode.STOPPED
        await given(rig, "resume")
        assert (await given(rig, "stop", sent_mono_ns=old_ns)).mode is TradingMode.STOPPED


async def test_only_this_user_reaches_the_socket_and_the_state(tmp_path):
    async with executing(tmp_path) as rig:
        await given(rig, "pause")
        folder = socket_folder(tmp_path)
        socket = folder / "commands.sock"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(record_path(tmp_path).stat().st_mode) == 0o600


async def test_status_says_what_rests_what_is_held_and_since_when(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await holds_yes(rig)
        await rests(rig, "ask", is_buy=False, yes_price_e4=4_800, count_e2=300)
        said = await trading(rig, "status")
        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines() == [
            "trading is on, by execution: no command was given yet",
            "orders open: 1",
            f"  {TICKER} sell 3.00 YES at 0.4800 resting {rig.own_name('ka-ask-SY')}",
            "positions: 1",
            f"  {TICKER} 10.00 YES",
        ]


async def test_a_latch_holds_until_resume_and_its_end_is_in_the_audit(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        hit = Latch("daily_loss", "12.00 dollars", "10.00 dollars", "total", 1)
        rig.service._manager.account_limits.latched["daily_loss"] = hit
        told = "daily_loss: 12.00 dollars, limit 10.00 dollars (total)"
        assert (await given(rig, "status")).latches == (told,)
        report = await given(rig, "resume")
        assert report.latches == ()
        assert events(rig, TradingEventKind.CLEARED) == [("daily_loss", "ann (pid 4711)", told)]
