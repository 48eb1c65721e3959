"""The process beside the collector that reads the exchange's list of markets and chooses.

It is a process of its own because decoding 100,000 markets on the collector's loop, or in a thread
of it, delays frames (docs/adr/0016-discovery.md). It is forked before the collector has a loop, a
thread or a socket, so it shares the memory of all modules and starts at once. A small watcher in
between forks it again when it dies. Both end when the collector does: their socket says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns
from processes.adapters.kalshi.auth.credentials import wait_for_credentials
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.feed.session import PRODUCER
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import shared_budget
from processes.adapters.kalshi.rest.rate_budget import Rank
from processes.collector.choice import ChosenMarket, MarketChoice, MarketRules, differences
from processes.collector.discovery import MOST_TICKERS, Discovery, MarketReader, ReadAllowance
from processes.collector.discovery_link import (
    ChoiceChanged,
    DiscoveryEndedError,
    DiscoveryLink,
    DiscoveryStarted,
    DiscoveryStats,
    FollowedChanged,
    MarketsChanged,
    pieces,
    socket_pair,
)
from processes.runtime.run import Run, leave, run
from processes.runtime.tasks import Backoff, serve

__all__ = ["DiscoveryLoops", "fork_discovery"]

AGAIN_AFTER_S: Final = 1.0  # before a process that died is forked again
FAILED_LOOK: Final = Backoff(first_s=1.0, longest_s=60.0)
MOST_NEWS: Final = 10_000  # markets; when there are more, the list of changes is read instead
MOST_IN_VAIN: Final = 3  # questions about a market that the exchange's list does not have yet
READS_LAG: Final = 0.3  # seconds between them
NEWS_PAUSE: Final = 0.02  # seconds in which news are collected before they are asked about
CHOICE_PAUSE: Final = 0.02  # seconds between two choices, and so many times what one takes:
CHOICE_SHARE: Final = 3
NOTHING_NEW: Final = (
    1.0  # seconds after which a choice is made without news: markets open and close
)
REPLAYING: Final = 0.05  # the same where market time is not real time
NAMED_AGAIN: Final = 60.0  # seconds between two looks at the markets that are followed
SECONDS_A_REQUEST: Final = 2.0  # and at least so many for each request that they take
NICE: Final = 5  # frames come first when there are fewer cores than processes


def fork_discovery() -> socket.socket:
    """Start the process -> the collector's end of the link, whose closing ends it.

    To be called before anything else has begun: what is open then is open in both. The process
    waits for the first message.
    """
    here, there = socket_pair()
    if not os.fork():
        here.close()
        _watch(there)
    there.close()
    return here


def _watch(link: socket.socket) -> NoReturn:
    """Fork the process, and fork it again when it dies."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # it ends with the collector
        signal.signal(signum, signal.SIG_IGN)
    pid = 0
    while _is_wanted(link, wait=not pid):
        pid = os.fork()
        if not pid:
            os.nice(NICE)
            run(PRODUCER, partial(_discover, link))
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        threading.Event().wait(AGAIN_AFTER_S)
    leave(0)


def _is_wanted(link: socket.socket, *, wait: bool) -> bool:
    """Whether there is another end; with `wait`, once it has sent something, which stays there."""
    link.setblocking(wait)
    try:
        return bool(link.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _memory_kib() -> int:
    """What is resident of this process."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration, ValueError):  # not Linux
        return 0


async def _discover(end: socket.socket, this: Run) -> None:
    """Wire one run of discovery and let it go until the collector has ended."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # meant for the collector too: it ends first
        signal.signal(signum, signal.SIG_IGN)
    settings, log = this.settings, this.log
    target = target_of(settings, Purpose.DATA)
    signer = Signer(await wait_for_credentials(settings, this.stop, Purpose.DATA))
    clock = await clock_of(settings, this.stop)
    budget = shared_budget(settings.data_dir, target.environment, log, rank=Rank.DATA)
    client = KalshiTradingClient.at(target, signer, budget, seed=os.getpid())
    reader = MarketReader(client, ReadAllowance(), log)
    choice = MarketChoice(
        MarketRules.of(settings.books),
        lambda ticker, error: log.warning("market_refused", ticker=ticker, error=error),
    )
    discovery = Discovery(reader, choice, clock, log)
    loops = DiscoveryLoops(this, discovery, reader, DiscoveryLink(end), clock)
    try:
        await serve(loops.tasks(), this.stop)
    finally:
        await client.close()
        budget.close()


class DiscoveryLoops:
    """The tasks of the process: looks, changes, news, choices, and what comes over the link."""

    def __init__(
        self,
        this: Run,
        discovery: Discovery,
        reader: MarketReader,
        link: DiscoveryLink,
        clock: Clock,
    ) -> None:
        self._settings = this.settings.books
        self._log = this.log
        self._stop = this.stop
        self._discovery = discovery
        self._choice = discovery.choice
        self._reader = reader
        self._link = link
        self._clock = clock
        self._sent: dict[str, ChosenMarket] = {}
        self._news: dict[str, int] = {}  # ticker -> how often it has been asked for in vain
        self._has_news = asyncio.Event()
        self._changes_due = asyncio.Event()
        self._changed = asyncio.Event()  # the choice may be another
        self._is_listed = False  # whether the whole list has been read once
        self._is_failing = False

    def tasks(self) -> dict[str, Coroutine[None, None, NoReturn]]:
        """All of them, for `serve`."""
        return {
            "looks": self._look(),
            "changes": self._read_changes(),
            "followed": self._read_followed(),
            "news": self._read_news(),
            "choice": self._linked(self._choose()),
            "link": self._linked(self._receive()),
            "stats": self._linked(self._report()),
        }

    async def _linked(self, work: Coroutine[None, None, NoReturn]) -> NoReturn:
        """What goes over the link: the collector's end is the end, and no failure."""
        try:
            await work
        except DiscoveryEndedError:
            self._stop.set()
            await asyncio.Event().wait()
        raise AssertionError("unreachable")

    def _on_failure(self, error: KalshiError) -> None:
        """One line at the change; what is followed stays followed."""
        if not self._is_failing:
            self._log.warning("discovery_failed", error=error)
        self._is_failing = True

    def _on_success(self) -> None:
        if self._is_failing:
            self._log("discovery_works_again")
        self._is_failing = False
        self._changed.set()

    async def _attempt(self, look: Coroutine[None, None, object]) -> bool:
        """One look; False when the exchange failed."""
        try:
            await look
        except KalshiError as error:
            self._on_failure(error)
            return False
        self._on_success()
        return True

    async def _look(self) -> NoReturn:
        """The whole list, or the named markets, again and again."""
        failures = 0
        while True:
            if await self._attempt(self._discovery.look()):
                self._is_listed, failures = True, 0
                await asyncio.sleep(self._between_looks_s())
            else:
                await asyncio.sleep(FAILED_LOOK.after(failures))
                failures += 1

    def _between_looks_s(self) -> float:
        named = self._discovery.named
        if not named:
            return self._settings.full_look_s
        return max(self._settings.discovery_s, _seconds_for(named))

    async def _read_changes(self) -> NoReturn:
        """What changed, at its interval, or at once when news were missed."""
        while True:
            try:
                async with asyncio.timeout(self._settings.discovery_s):
                    await self._changes_due.wait()
            except TimeoutError:
                pass
            self._changes_due.clear()
            if self._is_listed and not self._discovery.named:
                await self._attempt(self._discovery.read_changes())
            short = self._choice.short_of_volume(MOST_TICKERS, self._now_ms())
            if short:
                await self._attempt(self._discovery.read_named(short))

    async def _read_followed(self) -> NoReturn:
        """The markets that are followed, by name: also what no list of changes has."""
        while True:
            await asyncio.sleep(max(NAMED_AGAIN, _seconds_for(self._choice.followed)))
            if not self._discovery.named:
                await self._attempt(self._discovery.read_named(sorted(self._choice.followed)))

    async def _read_news(self) -> NoReturn:
        """Markets whose status changed, those first that are followed."""
        failures = 0
        while True:
            await self._has_news.wait()
            await asyncio.sleep(NEWS_PAUSE)
            followed = self._choice.followed
            asked = sorted(self._news, key=lambda t: t not in followed)[:MOST_TICKERS]
            try:
                unknown = await self._discovery.read_named(asked)
            except KalshiError as error:
                self._on_failure(error)
                await asyncio.sleep(FAILED_LOOK.after(failures))
                failures += 1
                continue
            failures = 0
            self._on_success()
            self._after_news(asked, unknown)
            if unknown:
                await asyncio.sleep(READS_LAG)

    def _after_news(self, asked: Collection[str], unknown: Collection[str]) -> None:
        """What is not on the list yet is asked for again: reads lag behind the channel."""
        for ticker in asked:
            tries = self._news.pop(ticker, MOST_IN_VAIN) + 1
            if ticker in unknown and tries < MOST_IN_VAIN:
                self._news[ticker] = tries
        if not self._news:
            self._has_news.clear()

    async def _choose(self) -> NoReturn:
        """Choose again when something changed, and as markets open and close."""
        while True:
            try:
                async with asyncio.timeout(self._until_choice_s()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if not self._is_listed:
                continue
            begun_ns = mono_ns()
            await self._send(self._choice.choose(self._now_ms()))
            took_s = (mono_ns() - begun_ns) / NS_PER_S
            await asyncio.sleep(max(CHOICE_PAUSE, CHOICE_SHARE * took_s))

    def _until_choice_s(self) -> float:
        if self._clock.replaying:
            return REPLAYING
        now_ms = self._now_ms()
        opens_ms = self._choice.next_open_ms(now_ms)
        return NOTHING_NEW if opens_ms is None else min(NOTHING_NEW, (opens_ms - now_ms) / 1000)

    async def _send(self, chosen: list[ChosenMarket]) -> None:
        changed, dropped = differences(self._sent, chosen)
        for piece in pieces(changed):
            await self._link.send(ChoiceChanged(chosen=piece))
        for tickers in pieces(dropped):
            await self._link.send(ChoiceChanged(dropped=tickers))
        self._sent = {c.market.ticker: c for c in chosen}

    async def _receive(self) -> NoReturn:
        """What the collector says; its end is the end."""
        followed: set[str] = set()
        await self._link.send(DiscoveryStarted())
        while True:
            message = await self._link.receive()
            if isinstance(message, FollowedChanged):
                followed = (followed | set(message.added)) - set(message.removed)
                self._choice.on_followed(followed)
                self._changed.set()
            elif isinstance(message, MarketsChanged):
                self._on_news(message)

    def _on_news(self, news: MarketsChanged) -> None:
        for ticker in news.ended:
            self._choice.drop(ticker)
            self._news.pop(ticker, None)
            self._changed.set()
        wanted = [t for t in news.changed if self._choice.wants_news_of(t)]
        self._news.update(dict.fromkeys(wanted, 0))
        if self._news:
            self._has_news.set()
        if is_flood := len(self._news) > MOST_NEWS:
            self._news.clear()
        if news.is_incomplete or is_flood:
            self._changes_due.set()

    async def _report(self) -> NoReturn:
        while True:
            counters = dict(self._reader.counts)
            counters["discovery_tokens"] = self._reader.allowance.spent
            counters["discovery_tokens_10min"] = self._reader.allowance.recent
            counters["discovery_waits"] = self._reader.allowance.waits
            counters["discovery_candidates"] = len(self._choice)
            counters["discovery_closed_rows"] = self._choice.closed_rows
            counters["discovery_memory_kib"] = _memory_kib()
            await self._link.send(DiscoveryStats(counters))
            await asyncio.sleep(NOTHING_NEW)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS


def _seconds_for(tickers: Collection[str]) -> float:
    """The least time between two looks at so many markets by name."""
    return SECONDS_A_REQUEST * -(-len(tickers) // MOST_TICKERS)
