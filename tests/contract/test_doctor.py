"""`kalshi-actor check --connect`: what is wrong is named with what to do; nothing is written."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from support.doctor import settings_for, write_key
from support.local_exchange import LocalExchange, keys
from support.local_orders import ORDERS, TICKER, order, two_markets
from support.logged import Logged
from support.patience import PATIENCE

from ipc.messages import Environment
from ipc.shared_file import remove_tables
from processes.adapters.kalshi.auth.credentials import Algorithm, Credentials, new_credentials
from processes.adapters.kalshi.rest.limits import shared_budget
from processes.adapters.kalshi.rest.rate_budget import Rank
from processes.adapters.kalshi.rest.trading_hours import NEW_YORK
from processes.adapters.kalshi.schemas.drift import SEEN, DriftCounts
from processes.adapters.kalshi.schemas.rest_public import WeekRow
from processes.doctor.examination import examine
from processes.doctor.exchange_checks import READS
from processes.doctor.findings import Finding, Report, Verdict
from processes.doctor.subject import Check, Subject

ROOT = Path(__file__).resolve().parents[2]
ONE_SHARD = {"RL_MARKET_MODE": "config", "RL_MARKET_TICKERS": TICKER}
PLENTY = {"RL_JOURNAL_MAX_BYTES": str(1 << 20)}
EXAMINED = frozenset(
    {
        *("clock", "exchange", "key", "tier", "latency", "markets", "fees", "money", "positions"),
        *("orders", "websocket", "protocol", "disk", "memory", "database", "next"),
    }
)


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process does."""
    empty = DriftCounts()
    monkeypatch.setattr(SEEN, "counts", empty.counts)
    monkeypatch.setattr(SEEN, "_not_reported", [])


async def nothing(_: LocalExchange) -> None:
    """The exchange as it is."""


async def fault(exchange: LocalExchange, **command: object) -> None:
    await exchange.order("fault", **command)


async def clock_off(exchange: LocalExchange) -> None:
    await fault(exchange, kind="clock", ahead_ms=300_000)


async def paused(exchange: LocalExchange) -> None:
    await exchange.order("pause", what="trading")


async def used_up(exchange: LocalExchange) -> None:
    await fault(exchange, kind="rate_limit_next", calls=1_000_000)


async def sockets_refused(exchange: LocalExchange) -> None:
    await fault(exchange, kind="refuse_sockets", status=503)


async def unknowns(exchange: LocalExchange) -> None:
    await fault(exchange, kind="unknowns")


async def other_bot(exchange: LocalExchange) -> None:
    body = order("0.5200", "3.00", client_order_id="gridbot-17")
    assert (await exchange.call("POST", ORDERS, body)).status_code == 201


class Broken(NamedTuple):
    """A broken state: how it comes about, and what the doctor must say."""

    check: str
    found: str
    advice: str
    prepare: Callable[[LocalExchange], Awaitable[None]] = nothing
    environ: dict[str, str] = ONE_SHARD
    key: Credentials | None = None


def stranger() -> Credentials:
    """A private key that does not belong to the id of the account's key."""
    return new_credentials(keys()[0].api_key_id, Algorithm.ED25519)


def foreign() -> Credentials:
    """A key of another environment: demo knows no id of production."""
    return new_credentials("11111111-2222-4333-8444-555555555555", Algorithm.ED25519)


STATES = {
    "key of another environment": Broken("key", "NOT_FOUND", "knows no key of", key=foreign()),
    "bad key": Broken("key", "INCORRECT_API_KEY_SIGNATURE", "does not belong", key=stranger()),
    "clock 5 min off": Broken(
        "clock", "behind the exchange", "timedatectl set-ntp true", clock_off
    ),
    "no money on the shard": Broken(
        "money", "no money on shard 2", "funds move DOLLARS --from 0 --to 2", environ={}
    ),
    "paused": Broken("exchange", "trading is paused", "wait", paused),
    "Basic tier used up": Broken("tier", "too many requests", "stop the other programs", used_up),
    "WebSocket refused": Broken("websocket", "503", "REST works without it", sockets_refused),
    "no such series": Broken(
        "markets",
        "no such series: KXNOSUCH",
        "correct it",
        environ={"RL_MARKET_SERIES": "KXNOSUCH"},
    ),
    "disk nearly full": Broken(
        "disk",
        " free in ",
        "free some room",
        environ=ONE_SHARD | {"RL_JOURNAL_MAX_BYTES": str(1 << 50)},
    ),
    "unknown enum on the wire": Broken(
        "protocol", "MarketStatus=suspended", "--protocol", unknowns, {"RL_MARKET_SERIES": "KXA"}
    ),
    "positions of another bot": Broken("positions", TICKER, "subaccount", other_bot),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.sample(4)
async def test_a_broken_state_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    state = STATES[name]
    write_key(tmp_path, state.key or keys()[0])
    async with two_markets(tmp_path / "exchange", tier="basic") as exchange:
        await state.prepare(exchange)
        exchange.asked.clear()
        environ = PLENTY | {"RL_ACTOR_STRATEGY": "baseline:hold"} | state.environ
        report = await examine(settings_for(tmp_path, exchange, **environ))
        assert {asked.method for asked in exchange.asked} <= {"GET"}
    named = [f for f in report.problems if f.check == state.check and state.found in f.found]
    assert named, report.as_table()
    assert state.advice in named[0].advice
    assert report.exit_code == 1
    assert [f.check for f in report.findings][-1] == "next", "the other checks went on"
    for finding in report.findings:
        bad = finding.verdict is Verdict.PROBLEM
        assert finding.advice or not bad, f"{finding} does not say what to do"
    assert not any("the check failed" in f.found for f in report.findings), report.as_table()
    skipped = {f.check for f in report.findings if f.verdict is Verdict.SKIPPED}
    signed = {"tier", "latency", "money", "positions", "orders", "websocket"}
    if state.key or state.check == "clock":
        assert skipped == signed, "what is refused is tried once"
    else:
        assert skipped <= {"websocket"}, "which needs a market"


async def test_a_good_state_has_no_problem(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange", tier="basic") as exchange:
        environ = PLENTY | ONE_SHARD | {"RL_ACTOR_STRATEGY": "baseline:hold"}
        report = await examine(settings_for(tmp_path, exchange, **environ))
        assert {asked.method for asked in exchange.asked} == {"GET"}
    problems = [f for f in report.problems if f.check != "memory"]  # of the machine of the tests
    assert problems == [], report.as_table()
    said = {finding.check: finding.found for finding in report.findings}
    assert said.keys() - {"settings"} == EXAMINED
    assert "basic: 200 read and 100 write" in said["tier"]
    assert "shard 0: $10000.00" in said["money"]
    assert TICKER in said["markets"]
    assert "tick $0.0100" in said["markets"]
    assert "quadratic x1: KXA-" in said["fees"]
    assert "first book" in said["websocket"]
    assert "20 signed reads" in said["latency"]
    assert "the actor trades: baseline:hold" in said["next"]


async def test_money_would_be_moved_from_the_richest_shard(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    body = {"source": "event_contract", "destination": "event_contract", "amount": 90_000_000}
    body |= {"source_exchange_shard": 0, "destination_exchange_shard": 1}
    async with two_markets(tmp_path / "exchange", tier="basic") as exchange:
        path = "/portfolio/intra_exchange_instance_transfer"
        assert (await exchange.call("POST", path, body)).status_code == 200
        report = await examine(settings_for(tmp_path, exchange, **PLENTY))
    (named,) = [f for f in report.problems if f.check == "money"]
    assert "funds move DOLLARS --from 1 --to 2" in named.advice


async def test_an_exchange_that_is_not_there(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange") as exchange:
        settings = settings_for(tmp_path, exchange, **ONE_SHARD)
    report = await examine(settings)
    clock = next(f for f in report.findings if f.check == "clock")
    assert clock.verdict is Verdict.PROBLEM
    assert "start the local exchange" in clock.advice


async def test_a_check_that_hangs_is_cut_off_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: Subject) -> list[Finding]:
        await asyncio.Event().wait()
        raise AssertionError

    async def fail(_: Subject) -> list[Finding]:
        raise KeyError("x")

    async def good(_: Subject) -> list[Finding]:
        return [Finding("c", Verdict.OK, "fine")]

    checks = [Check(n, 0.05, False, ask) for n, ask in (("a", hang), ("b", fail), ("c", good))]
    monkeypatch.setattr("processes.doctor.examination.CHECKS", checks)
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange") as exchange:
        report = await examine(settings_for(tmp_path, exchange))
    assert [(f.check, str(f.verdict)) for f in report.findings] == [
        ("a", "problem"),
        ("b", "problem"),
        ("c", "ok"),
    ]
    assert "no answer within 0.05 s" in report.findings[0].found


async def command(data_dir: Path, port: str, *argv: str) -> tuple[int | None, str, str]:
    """`python -m processes.check ...` -> (exit code, output, errors)."""
    foreign = ("RL_", "KALSHI_", "ORDERBOOK_", "DATABASE_URL")
    known = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    known |= PLENTY | ONE_SHARD | {"RL_DATA_DIR": str(data_dir), "RL_EXCHANGE_PORT": port}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processes.check", *argv),
        cwd=ROOT,
        env=known | {"RL_ACTOR_ENABLED": "false"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_a_table_or_json_and_its_exit_code_says_it(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange") as exchange:
        port = exchange.target.rest_url.split(":")[2].partition("/")[0]
        await paused(exchange)
        code, out, err = await command(tmp_path, port, "--connect")
        assert (code, err) == (1, "")
        assert "\nexchange   problem  trading is paused" in out
        assert "-> nothing to do but wait" in out
        assert "next       note     the actor is off" in out
        code, out, err = await command(tmp_path, port, "--connect", "--json")
        assert (code, err) == (1, "")
        body = json.loads(out)
        assert body["ok"] is False
        assert {c["check"]: c["verdict"] for c in body["checks"]}["exchange"] == "problem"
        (tmp_path / "exchange" / "credentials.json").unlink()
        code, out, err = await command(tmp_path, port, "--connect")
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_what_a_peer_says_stays_on_one_line() -> None:
    rude = Finding("key", Verdict.PROBLEM, "x\x1b[2J\n" + "y" * 10_000, "do this")
    table = Report(Environment.DEMO, Environment.DEMO, (rude,)).as_table()
    assert len(table.splitlines()) == 4
    assert "\x1b" not in table
    assert max(map(len, table.splitlines())) < 400


async def test_an_events_own_fees_are_shown_not_its_series(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange", tier="basic") as exchange:
        event = {"series_ticker": "KXA", "event_ticker": "KXA-26NOV25"}
        await exchange.order("fees", **event, fee_type="quadratic", fee_multiplier_e4=0)
        report = await examine(settings_for(tmp_path, exchange, **PLENTY, **ONE_SHARD))
    said = {finding.check: finding.found for finding in report.findings}
    assert said["fees"] == "quadratic x0: KXA-26NOV25"


async def test_it_keeps_to_the_budget_of_the_stack_beside_it(tmp_path: Path) -> None:
    write_key(tmp_path, keys()[0])
    async with two_markets(tmp_path / "exchange", tier="basic") as exchange:
        log = Logged()
        stack = shared_budget(tmp_path, Environment.SIMULATED, log, rank=Rank.TRADING)
        await examine(settings_for(tmp_path, exchange, **PLENTY, **ONE_SHARD))
        taken = stack.counters()["budget_read_taken"]
        stack.close()
        remove_tables(tmp_path)
    assert log.lines == []
    assert taken >= 10 * READS


async def test_closed_hours_are_named_with_their_end(tmp_path: Path) -> None:
    """The exchange's status says that it trades, its weekly hours that it does not."""
    open_at = "12:00" if datetime.now(NEW_YORK).hour < 6 else "00:00"
    day = [{"open_time": open_at, "close_time": open_at[:-1] + "1"}]
    week = dict.fromkeys(WeekRow.__struct_fields__[2:], day)
    week |= {"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}
    body = {"schedule": {"standard_hours": [week], "maintenance_windows": []}}

    @web.middleware
    async def closed(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_asked = request.path.endswith("/exchange/schedule")
        return web.json_response(body) if is_asked else await handler(request)

    write_key(tmp_path, keys()[0])
    exchange = two_markets(tmp_path / "exchange", tier="basic")
    exchange.app.middlewares.append(closed)
    async with exchange:
        report = await examine(settings_for(tmp_path, exchange, **PLENTY, **ONE_SHARD))
    (found,) = [finding for finding in report.problems if finding.check == "exchange"]
    assert found.found.startswith("closed until ")
    assert "nothing to do but wait" in found.advice
