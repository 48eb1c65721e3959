"""The loop: events and shared tables in, `/rl/ws` and the dashboard's pages out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from websockets.asyncio.server import Server, serve

from ipc.clock import NS_PER_MS, Clock, MarketClock, RealClock, mono_ns, real_ns
from ipc.messages import Environment, ProcessStats, TradingStatus
from ipc.sockets import Subscriber
from ipc.units import format_count, format_money
from processes.broadcaster.readiness import Known
from processes.broadcaster.site import (
    DIST,
    Access,
    HttpPage,
    Site,
    health_page,
    load_pages,
    metrics_page,
    ready_page,
)
from processes.broadcaster.state import Health, LatestState
from processes.broadcaster.views import ChangedBooks, SubAccounts
from processes.broadcaster.wire import (
    PROTOCOL,
    ActorData,
    ConnectionData,
    MessageType,
    StatsData,
    Update,
    WebSocketManager,
    update_of,
)
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.tasks import serve as serve_tasks
from processes.runtime.wires import Wires

__all__ = ["NAME", "Broadcaster"]

NAME: Final = "broadcaster"
BEAT_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 1.0  # at a stop, for connections that are not accepted yet


class Broadcaster:
    """The dashboard's server: follows the other processes and serves what is known.

    Args:
        settings: `broadcaster` (address, origins, token, depth, interval), `data_dir`, `actor`.
        log: where this run logs.
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._state = LatestState()
        self._health = Health()
        self._trading: TradingStatus | None = None
        self._started_ms = real_ns() // NS_PER_MS
        wanted = settings.broadcaster
        self.manager = WebSocketManager(
            self._welcome, lambda: real_ns() // NS_PER_MS, wanted.client_buffer_bytes
        )
        self._books = ChangedBooks(settings.data_dir, wanted.depth, log)
        self._accounts = SubAccounts(settings.data_dir, log)
        self._execution_generation = 0
        self._busy = 0
        self._clock: Clock | None = None
        self._subscribers: list[Subscriber] = []

    async def run(self, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
        """Serve until `stop` is set; `announce` gets the dashboard's URL once it answers.

        Raises:
            ConfigError: host or port cannot be bound; the message names the variable.
            TaskFailed: a task of the run ended or failed.
        """
        server = await self._serve()
        try:
            announce(_address(server))
            await self._follow(stop)
        finally:
            server.close(close_connections=False)
            await self.manager.close()
            with suppress(TimeoutError):  # a client may be in mid-handshake
                async with asyncio.timeout(CLOSE_SECONDS):
                    await server.wait_closed()
            self._books.close()
            self._accounts.close()

    async def _serve(self) -> Server:
        wanted = self._settings.broadcaster
        environment = self._settings.environment
        live = {
            "/rl/health": lambda: health_page(self._health, environment, mono_ns()),
            "/rl/ready": self._ready,
            "/metrics": self._metrics,
        }
        site = Site(Access(wanted.host, wanted.origins), load_pages(DIST), live, wanted.token)
        site.full = lambda: self.manager.full
        try:
            return await serve(
                self.manager.handle,
                wanted.host,
                wanted.port,
                process_request=site.process_request,
                compression=None,
                max_size=4_096,
                server_header=None,
            )
        except OSError as error:
            raise ConfigError(_bind_failure(wanted.host, wanted.port, error)) from None

    def _metrics(self) -> HttpPage:
        self._health.heard(NAME, self._counters(), mono_ns())
        return metrics_page(self._health, mono_ns(), self._trading)

    def _ready(self) -> HttpPage:
        known = Known(self._health, self._trading, mono_ns())
        return ready_page(known, self._settings.environment)

    async def _follow(self, stop: asyncio.Event) -> None:
        wires = Wires(self._settings.data_dir, self._settings.environ, run=0)  # it only receives
        # No triggers: the table itself is read, so a burst costs nothing here.
        collector = wires.subscriber("collector", topics=("session", "trading", "stats"))
        others = wires.subscriber("inference", "execution", "recorder", "watchdog")
        self._subscribers = [collector, others]
        tasks = {
            "collector": self._listen(collector),
            "others": self._listen(others),
            "books": self._watch_books(),
            "beat": self._beat(),
            "files": OwnedFiles((self._settings.data_dir,)).watch(),
        }
        try:
            await serve_tasks(tasks, stop)
        finally:
            wires.close()

    async def _listen(self, subscriber: Subscriber) -> None:
        while True:
            _, first = await subscriber.recv()
            messages = [first, *(message for _, message in subscriber.recv_waiting())]
            for message in messages:
                if isinstance(message, ProcessStats):
                    self._health.heard(message.process, message.counters, mono_ns())
                elif isinstance(message, TradingStatus):
                    self._trading = message
            self.manager.publish([u for message in messages for u in self._state.apply(message)])

    async def _watch_books(self) -> None:
        interval = self._settings.broadcaster.book_interval_ms / 1_000
        while True:
            self._publish_books()
            await asyncio.sleep(interval)

    def _publish_books(self) -> None:
        now = mono_ns()
        found = self._books.read(now)
        self._health.beat("books", self._books.age_ns(now), now)
        if found is not None:
            self._busy += found.busy
            updates = [self._state.book(book) for book in found.changed]
            self.manager.publish([*updates, *self._state.keep_books(found.tickers)])

    async def _beat(self) -> None:
        while True:
            self._publish_positions()
            now = mono_ns()
            self._health.heard(NAME, self._counters(), now)
            stats = StatsData(
                process=NAME,
                counters=self._counters(),
                parts=self._health.parts(now),
                market_ms=self._market_ms(),
            )
            self.manager.publish([self._state.stats(stats)])
            await asyncio.sleep(BEAT_SECONDS)

    def _publish_positions(self) -> None:
        now = mono_ns()
        generation = self._accounts.generation()
        self._health.beat("accounts", self._accounts.age_ns(now), now)
        if self._execution_generation not in (0, generation):
            self.manager.publish(self._state.execution_restarted())
        self._execution_generation = generation
        self.manager.publish(self._state.add_positions(self._accounts.read()))

    def _counters(self) -> dict[str, int]:
        return {
            "clients": self.manager.clients,
            "connections": self.manager.connected,
            "messages_sent": self.manager.sent,
            "dropped_slow_clients": self.manager.dropped_slow,
            "missed_messages": sum(s.gaps for s in self._subscribers),
            "busy_rows": self._busy,
        }

    def _market_ms(self) -> int | None:
        """Market time; None until the local exchange announces it."""
        if self._clock is None:
            self._clock = self._find_clock()
        return None if self._clock is None else self._clock.now_ns() // NS_PER_MS

    def _find_clock(self) -> Clock | None:
        if self._settings.environment is not Environment.SIMULATED:
            return RealClock()
        try:
            return MarketClock(self._settings.data_dir / "exchange" / "clock")
        except (OSError, ValueError, RuntimeError):  # no file, an empty one, not announced
            return None

    def _welcome(self) -> list[Update]:
        actor, wanted = self._settings.actor, self._settings.broadcaster
        connection = ConnectionData(
            protocol=PROTOCOL,
            environment=self._settings.environment,
            depth=wanted.depth,
            book_interval_ms=wanted.book_interval_ms,
            started_ms=self._started_ms,
            actor=ActorData(
                enabled=actor.enabled,
                strategy=actor.strategy,
                throttle_ms=actor.throttle_ms,
                contract_size=format_count(actor.contract_size_e2),
                market_cash=format_money(actor.market_cash_e6),
                pricing=actor.pricing,
            ),
        )
        return [update_of(MessageType.CONNECTION, connection), *self._state.welcome()]


def _address(server: Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"RL_BROADCASTER_HOST={host} is not an address of this machine"
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error})"
    return f"RL_BROADCASTER_PORT={port} {reason} on {host}; allowed: a free port, or 0 for any"
