"""`kalshi-actor trading` beside execution as a process: killed, hung, the exchange away.

No collector's recorder, no inference and no PostgreSQL run here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from support.exchange import REPOSITORY
from support.execution_process import running_execution
from support.orders import intent
from support.trading_command import given, trading

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import OrderStatus, ProcessStats
from ipc.trading import TradingMode
from processes.execution.trading_record import load_record

RESTING = OrderStatus.RESTING
VERBS = ("pause", "resume", "flatten", "status")


async def rests(world, name="i1"):
    """An intent whose order rests at 45 cents -> the order."""
    await world.push(intent(name, yes_price_e4=4_500))
    return await world.order(intent_id=name, status=RESTING)


async def refused(world, name, reason):
    """An intent comes back refused."""
    world.listen()
    await world.known()
    await world.told(ProcessStats)  # the new subscription is there
    await world.push(intent(name, yes_price_e4=4_500))
    while (order := await world.order(intent_id=name)).reason != reason:
        assert order.status is not RESTING


async def test_a_stop_needs_execution_and_the_exchange_alone(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world)
        asked_ns = mono_ns()
        report = await given(world, "stop")
        assert mono_ns() - asked_ns < 2 * NS_PER_S
        assert report.mode is TradingMode.STOPPED
        assert (await trading(world, "stop")).code == 0
        assert world.resting() == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.sample(1)
async def test_without_execution_a_command_is_one_line(tmp_path, verb):
    async with running_execution(tmp_path) as world:
        await world.end(signal.SIGKILL)
        said = await trading(world, verb)
        assert (said.code, said.out) == (1, "")
        assert said.err == "trading: execution does not run\n"


async def test_a_stop_past_a_dead_execution_is_made_at_the_exchange_and_holds(
    tmp_path,
):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world)
        world.place("by-hand", "bid", 4_100, 100)
        await world.end(signal.SIGKILL)
        assert world.resting() == ["ka-i1-BY"]
        said = await trading(world, "stop", "--why", "it died")
        assert said.code == 0, said.err
        assert said.err.splitlines() == [
            "trading: execution does not run",
            "trading: cancelling at the exchange itself",
        ]
        assert world.resting() == []
        assert world.resting("by-hand") == ["by-hand"]
        assert load_record(tmp_path).mode is TradingMode.STOPPED
        await world.start()
        await refused(world, "i2", "trading_stopped")
        report = await given(world, "status")
        assert (report.mode, report.why) == (TradingMode.STOPPED, "it died")
        assert world.resting() == []


async def test_a_stop_past_a_hung_execution_holds_when_it_wakes(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world)
        world.process.send_signal(signal.SIGSTOP)
        try:
            said = await trading(world, "stop", "--json")
            assert said.code == 0
            assert "does not answer within 2 s" in said.err
            assert said.facts["past_execution"] is True
            assert world.resting() == []
        finally:
            world.process.send_signal(signal.SIGCONT)
        await refused(world, "i2", "trading_stopped")
        assert world.resting() == []


async def test_a_stop_past_execution_says_what_it_could_not_verify(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        await rests(world)
        await world.end(signal.SIGKILL)
        with world.between.delaying("GET"):
            said = await trading(world, "stop", "--wait", "1", "--json")
        assert said.code == 1
        assert said.facts["done"] is False
        assert said.facts["resting"] is None
        assert said.facts["error"]
        with world.between.delaying("DELETE"):
            said = await trading(world, "stop", "--wait", "1")
        assert said.code == 1
        assert world.own_name("ka-i1-BY") in said.out


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.sample(1)
async def test_a_state_outlives_any_end(tmp_path, signum):
    async with running_execution(tmp_path) as world:
        await world.known()
        await given(world, "pause", "a look")
        await world.end(signum)
        await world.start()
        await refused(world, "i1", "trading_paused")
        assert (await trading(world, "resume")).code == 0
        await rests(world, "i2")


def typed(tmp_path, *argv):
    """A command in a data folder that is not there."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    return subprocess.run(
        [sys.executable, "-m", "processes.cli", "trading", *argv],
        cwd=REPOSITORY,
        env=known | {"RL_DATA_DIR": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["halt"], "invalid choice: 'halt'"),
        ([], "required: command"),
        (["stop", "--wait", "-1"], "'-1'; allowed: numbers from 0 to 3600"),
        (["stop", "--why", "two\nlines"], "allowed: one line of 1 to 500 printable characters"),
        (["stop", "--why", ""], "allowed: one line of 1 to 500 printable characters"),
        (["flatten", "--collar", "100"], "'100'; allowed: cents from 0 to 99.99"),
        (["flatten", "--collar", "five"], "'five'; allowed: cents from 0 to 99.99"),
        (["flatten", "--slice", "0"], "'0'; allowed: contracts from 0.01 to 10000000"),
        (["flatten", "--deadline", "0"], "'0'; allowed: whole numbers from 1 to 3600"),
        (["status", "--why", "x"], "unrecognized arguments: --why x"),
    ],
)
@pytest.mark.sample(3)
def test_bad_input_is_one_line_and_exits_with_2(tmp_path, argv, said):
    done = typed(tmp_path, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_status_without_a_data_folder_says_so_and_makes_none(tmp_path):
    done = typed(tmp_path, "status")
    assert done.returncode == 1
    assert done.stderr.startswith("trading: execution does not run: there is no folder ")
    assert not (tmp_path / "none").exists()


def test_help_teaches(tmp_path):
    done = typed(tmp_path, "--help")
    assert done.returncode == 0
    for verb in ("pause", "resume", "stop", "flatten", "status"):
        assert f"{verb} " in done.stdout
    assert "Exit codes: 0 done and verified" in done.stdout
    assert 'kalshi-actor trading stop --why "odd quotes"' in done.stdout
    assert "--collar" in typed(tmp_path, "flatten", "--help").stdout
    assert json.dumps(done.stderr) == '""'
