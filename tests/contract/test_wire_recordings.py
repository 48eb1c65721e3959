"""The local exchange answers as the recorded one did: status, error code, shape of the body.

`KALSHI_WIRE_DIR` names the folder of recordings. The table at the end lists every one of them.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.exchange import Stream
from support.local_exchange import LocalExchange
from support.patience import PATIENCE
from support.recordings import needs_wire, wire_folder
from support.wire_recordings import Recording, differences, error_code, load
from support.wire_state import balance_e6, prepare, prepare_market, rows_in

from ipc.units import parse_count, parse_price
from processes.adapters.kalshi.auth.signing import KEY_HEADER, SIGNATURE_HEADER, real_ms
from processes.exchange.core.books import NO, YES

pytestmark = needs_wire

FOLDER, _ = wire_folder()
CALLS, SESSIONS = load(FOLDER) if FOLDER else ([], [])


def markets_in(body: Any) -> dict[str, dict[str, Any]]:
    """The bodies of markets in an answer, by ticker."""
    rows = [r for r in rows_in(body) if "price_ranges" in r and "event_ticker" in r]
    return {row["ticker"]: row for row in rows}


MARKETS = {ticker: row for call in CALLS for ticker, row in markets_in(call.body).items()}

Row = tuple[str, str, str, bool]


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """What was compared, printed when all of it has been."""
    rows: list[Row] = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nrequest | recorded status/code | ours | same")
        for name, recorded, ours, same in rows:
            print(f"{name} | {recorded} | {ours} | {'yes' if same else 'NO'}")


def headers_of(exchange: LocalExchange, call: Recording, path: str) -> dict[str, str]:
    """Signed as the recording was: well, wrongly, by nobody."""
    auth = str(call.meta.get("auth", "signed")).lower()
    if auth.startswith(("none", "unauth")):
        return {}
    signed = exchange.headers(call.method, path.partition("?")[0], ahead_ms=call.ahead_ms)
    if "bad-signature" in auth:
        other = exchange.headers(call.method, "/another/path")
        return signed | {SIGNATURE_HEADER: other[SIGNATURE_HEADER]}
    if "unknown-key" in auth:
        return signed | {KEY_HEADER: str(uuid.UUID(int=0))}
    missing = re.match(r"missing-(\w+)-header", auth)
    if missing:
        return {k: v for k, v in signed.items() if missing[1].upper() not in k}
    return signed


def summary(status: int, code: str) -> str:
    return f"{status} {code}".strip()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_a_call_is_answered_alike(call: Recording, tmp_path: Path, table: list[Row]) -> None:
    expected = call.expected
    now_ms = int(call.meta.get("recorded_at_epoch_ms", 0)) or real_ms()
    async with LocalExchange(tmp_path, now_ms, balance_e6(call)) as exchange:
        path = prepare(exchange, call, MARKETS | markets_in(call.body))
        reply = await exchange.send(
            call.method,
            path,
            call.meta.get("request_body"),
            headers_of(exchange, call, path),
        )
    ours = reply.json() if reply.content else None
    code = error_code(ours) if reply.status_code >= 400 else ""
    wanted = expected.code if expected.status >= 400 else ""
    found = differences(expected.body, ours)
    if reply.status_code >= 400 and not expected.is_later_change:
        found += wording(expected.body, ours)
    same = (reply.status_code, code) == (expected.status, wanted) and not found
    note = " -> 410 by a later change" if expected.is_later_change else ""
    recorded = summary(call.status, error_code(call.body) if call.status >= 400 else "")
    table.append(
        (
            f"{call.name}: {call.method} {call.plain}",
            recorded + note,
            summary(reply.status_code, code),
            same,
        )
    )
    assert (reply.status_code, code) == (expected.status, wanted), ours
    assert found == []


def wording(recorded: Any, ours: Any) -> list[str]:
    """An error is the same to the letter; `service` went in August 2026."""
    theirs = recorded
    if isinstance(recorded, dict) and isinstance(recorded.get("error"), dict):
        theirs = {"error": {k: v for k, v in recorded["error"].items() if k != "service"}}
    return [] if theirs == ours else [f"{theirs}, ours {ours}"]


def market_of(session: Recording) -> str:
    params = session.meta["subscribe_cmd"]["params"]
    return str(params.get("market_ticker") or params["market_tickers"][0])


def cause(exchange: LocalExchange, ticker: str, frame: dict[str, Any], *, yes_scale: bool) -> None:
    """Make happen what a recorded frame told of."""
    msg = frame["msg"]
    if frame["type"] == "orderbook_delta":
        leg, price_e4 = (YES, NO)[msg["side"] == "no"], parse_price(msg["price_dollars"])
        if leg == NO and yes_scale:
            price_e4 = 10_000 - price_e4
        exchange.add(ticker, leg, price_e4, parse_count(msg["delta_fp"]))
    elif frame["type"] == "trade":
        leg = (YES, NO)[msg["taker_side"] == "no"]
        price_e4 = parse_price(msg["yes_price_dollars"])
        limit_e4 = price_e4 if leg == YES else 10_000 - price_e4
        exchange.add(ticker, 1 - leg, 10_000 - limit_e4, parse_count(msg["count_fp"]))
        matcher = exchange.order_entry.clearings[ticker].matcher
        matcher.take_anonymously(leg, limit_e4, parse_count(msg["count_fp"]))


async def answer_to(
    stream: Stream, exchange: LocalExchange, ticker: str, frame: dict[str, Any], *, yes_scale: bool
) -> dict[str, Any]:
    """Our next frame of the recorded one's type."""
    cause(exchange, ticker, frame, yes_scale=yes_scale)
    while True:
        ours = await asyncio.wait_for(stream.next(), PATIENCE)
        if ours["type"] == frame["type"]:
            return ours


def seqs_without_gap(frames: list[dict[str, Any]]) -> bool:
    """Whether every subscription counts from 1 by ones."""
    by_sid: dict[int, list[int]] = {}
    for frame in frames:
        if "seq" in frame:
            by_sid.setdefault(frame["sid"], []).append(frame["seq"])
    return all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_sid.values())


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
async def test_a_session_has_the_same_frames(
    session: Recording, tmp_path: Path, table: list[Row]
) -> None:
    ticker = market_of(session)
    command = session.meta["subscribe_cmd"]
    yes_scale = command["params"].get("use_yes_price") is True
    found: list[str] = []
    async with LocalExchange(tmp_path, real_ms()) as exchange:
        prepare_market(exchange, ticker, MARKETS.get(ticker))
        async with exchange.stream() as stream:
            await stream.say(command)
            for frame in session.body:
                ours = await answer_to(stream, exchange, ticker, frame, yes_scale=yes_scale)
                found += differences(frame, ours, frame["type"])
            counted = seqs_without_gap(stream.frames)
    name = f"{session.name}: {len(session.body)} frames"
    table.append((name, "101", "101", not found))
    assert found == []
    assert counted


def test_something_was_compared() -> None:
    assert CALLS or SESSIONS
