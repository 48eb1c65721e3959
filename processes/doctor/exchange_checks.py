"""Checks of the exchange and of the way to it: clock, hours, round trips, WebSocket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, RealClock, mono_ns, real_ns
from ipc.messages import Environment
from processes.adapters.kalshi.auth.environments import clock_of
from processes.adapters.kalshi.errors import ExchangeUnavailable, KalshiError
from processes.adapters.kalshi.rest.trading_hours import TradingHours, halt_at, next_halt
from processes.adapters.kalshi.schemas.frames import Channel, Snapshot
from processes.adapters.kalshi.stream.socket import KalshiSocket
from processes.adapters.kalshi.stream.subscriptions import Subscriptions
from processes.doctor.findings import Finding, Verdict
from processes.doctor.subject import Subject, advice_of
from processes.runtime.tasks import Stopped

__all__ = ["clock", "hours", "market_clock", "round_trips", "websocket"]

CLOCK_SAMPLES: Final = 3
CLOCK_LIMIT_S: Final = 5.0  # the exchange was seen to accept so much, and to refuse 30 s
CLOCK_NOTE_S: Final = 2.0
HALF_SECOND_NS: Final = NS_PER_S // 2  # a Date has whole seconds, cut off
READS: Final = 20
SLOW_MS: Final = 500.0
BOOK_S: Final = 2.0  # until the first book
MARKET_TIME_S: Final = 0.5  # to wait for the local exchange's clock


async def clock(subject: Subject) -> list[Finding]:
    """This machine's clock against the `Date` of unsigned replies; the quickest reply counts."""
    samples = [await _sample(subject) for _ in range(CLOCK_SAMPLES)]
    known = [sample for sample in samples if sample is not None]
    if not known:
        text = "the exchange says no time in its replies"
        return [Finding("clock", Verdict.NOTE, text, "compare the clock with another machine's")]
    trip_ns, ahead_ns = min(known)
    off_s = abs(ahead_ns) / NS_PER_S
    accuracy_s = (trip_ns // 2 + HALF_SECOND_NS) / NS_PER_S
    side = "ahead of" if ahead_ns > 0 else "behind"
    text = f"{off_s:.1f} s {side} the exchange (to {accuracy_s:.1f} s)"
    advice = "set this machine's clock: sudo timedatectl set-ntp true"
    if off_s - accuracy_s > CLOCK_LIMIT_S:
        text += ": signatures may be refused"
        return [Finding("clock", Verdict.PROBLEM, text, advice)]
    if off_s - accuracy_s > CLOCK_NOTE_S:
        return [Finding("clock", Verdict.NOTE, text, advice)]
    return [Finding("clock", Verdict.OK, text)]


async def _sample(subject: Subject) -> tuple[int, int] | None:
    """(round trip, how far this machine is ahead), both in nanoseconds; None without a `Date`."""
    is_local = subject.trading.environment is Environment.SIMULATED
    url = f"{subject.trading.rest_url}/exchange/status"
    async with httpx.AsyncClient(timeout=5.0, trust_env=not is_local) as client:
        sent_ns = real_ns()
        try:
            reply = await client.get(url)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise ExchangeUnavailable(f"GET /exchange/status: {reason}") from None
        trip_ns = real_ns() - sent_ns
    try:
        there = parsedate_to_datetime(reply.headers.get("Date", ""))
        there_ns = int(there.timestamp()) * NS_PER_S + HALF_SECOND_NS
    except (ValueError, TypeError, OverflowError):
        return None
    return trip_ns, sent_ns + trip_ns // 2 - there_ns


async def hours(subject: Subject) -> list[Finding]:
    """Whether the exchange trades now, and its next announced pause."""
    status = await subject.account.exchange_status()
    resumes = _shown_time(status.exchange_estimated_resume_time)
    until = f" until {resumes}" if resumes else ""
    schedule = await subject.account.exchange_schedule()
    if not status.exchange_active:
        text = f"the exchange is down{until}: it takes no order and no cancel"
        return [Finding("exchange", Verdict.PROBLEM, text, "wait, then check again")]
    if not status.trading_active:
        text = f"trading is paused{until}: cancels are taken, orders are refused"
        advice = "nothing to do but wait; a stack that runs goes on by itself after the pause"
        return [Finding("exchange", Verdict.PROBLEM, text, advice)]
    now_ms = (await market_clock(subject)).now_ns() // NS_PER_MS
    halts = TradingHours.of(schedule).halts(now_ms)
    if halt := halt_at(halts, now_ms):
        text = f"{halt.state} until {_utc(halt.end_ms)}, by the exchange's schedule"
        advice = "nothing to do but wait; a stack that runs goes on by itself"
        return [Finding("exchange", Verdict.PROBLEM, text, advice)]
    coming = next_halt(halts, now_ms)
    if coming is None:
        return [Finding("exchange", Verdict.OK, "trades; no pause is announced")]
    span = f"{_utc(coming.start_ms)} to {_utc(coming.end_ms)}"
    return [Finding("exchange", Verdict.OK, f"trades; next pause {span} ({coming.state})")]


async def market_clock(subject: Subject) -> Clock:
    """Time as the exchange has it: a local one may replay other days."""
    try:
        async with asyncio.timeout(MARKET_TIME_S):
            return await clock_of(subject.settings, asyncio.Event())
    except (TimeoutError, Stopped, OSError):
        return RealClock()


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _shown_time(text: str | None) -> str:
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return ""


async def round_trips(subject: Subject) -> list[Finding]:
    """The time of 20 signed reads, one after the other."""
    times = []
    for _ in range(READS):
        sent_ns = mono_ns()
        await subject.account.account_limits()
        times.append((mono_ns() - sent_ns) / NS_PER_MS)
    times.sort()
    p50, p99 = times[len(times) // 2], times[-1]
    text = f"{READS} signed reads: p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    if p99 <= SLOW_MS:
        return [Finding("latency", Verdict.OK, text)]
    advice = "orders and cancels take as long: use a machine nearer to the exchange (US East)"
    return [Finding("latency", Verdict.NOTE, text, advice)]


async def websocket(subject: Subject) -> list[Finding]:
    """Connect, subscribe to the books of the first markets, and wait for one."""
    begun_ns = mono_ns()
    try:
        socket = await KalshiSocket.connect(subject.data, subject.data_signer)
    except KalshiError as error:
        advice = advice_of(error, subject.data.environment)
        if isinstance(error, ExchangeUnavailable):
            advice += "; REST works without it, books and private news do not"
        return [Finding("websocket", Verdict.PROBLEM, f"refused: {error}", advice)]
    try:
        connected_ms = (mono_ns() - begun_ns) / NS_PER_MS
        return [await _first_book(subject, socket, connected_ms)]
    finally:
        await socket.close()


async def _first_book(subject: Subject, socket: KalshiSocket, connected_ms: float) -> Finding:
    tickers = [market.ticker for market in subject.markets or ()][:3]
    text = f"connected in {connected_ms:.0f} ms"
    if not tickers:
        return Finding("websocket", Verdict.SKIPPED, f"{text}; no market to ask a book of")
    begun_ns = mono_ns()
    try:
        async with asyncio.timeout(BOOK_S):
            ticker = await _until_book(socket, tickers)
    except TimeoutError:
        text += f"; no book of {tickers[0]} within {BOOK_S:.0f} s"
        advice = "try again; if it stays, the exchange is overloaded or the market is closed"
        return Finding("websocket", Verdict.PROBLEM, text, advice)
    took_ms = (mono_ns() - begun_ns) / NS_PER_MS
    return Finding("websocket", Verdict.OK, f"{text}; first book, {ticker}, after {took_ms:.0f} ms")


async def _until_book(socket: KalshiSocket, tickers: list[str]) -> str:
    subscriptions = Subscriptions()
    await socket.send(subscriptions.subscribe(Channel.BOOK, tickers))
    while True:
        frame, _ = await socket.recv()
        subscriptions.on_frame(frame)
        if isinstance(frame, Snapshot):
            return frame.msg.market_ticker
