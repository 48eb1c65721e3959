"""An ExecutionService in this process, among the ends of `execution_world`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from support.actor_rig import remove_tables
from support.between import Between, standing_between
from support.exchange import Exchange
from support.execution_world import OTHER, START_MS, World, idle_exchange
from support.logged import Logged
from support.orders import TICKER

from ipc.clock import Clock, ManualClock
from ipc.journal import stream_folder
from ipc.messages import Environment, SessionStarted
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.execution import reconciliation
from processes.execution.service import ExecutionService
from processes.runtime.config import Settings, load_settings

__all__ = ["SOON", "Rig", "both_open", "executing"]

SOON = "1"  # RL_RECONCILE_S: unanswered for three times as long, an exchange is not trusted
READ_LAG_NS = 50_000_000  # the local exchange's reads do not lag


class Rig(World):
    """A world with an ExecutionService in this process; one life after the other."""

    def __init__(
        self, settings: Settings, exchange: Exchange, between: Between, clock: Clock
    ) -> None:
        super().__init__(settings.data_dir, exchange, between)
        self.settings = settings
        self.clock = clock
        self.is_direct = False  # to the exchange itself, with nobody in between
        self.log = Logged()
        self.service: ExecutionService
        self.environment = Environment.SIMULATED  # that execution takes the exchange for
        self._lives = 0
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A new life."""
        self._lives += 1
        uid = f"20260810T221500-{self._lives:08x}"
        host = self.exchange.url if self.is_direct else self.between.url
        target = KalshiTarget(
            self.environment,
            f"{host}/trade-api/v2",
            f"{host.replace('http', 'ws')}/trade-api/ws/v2",
        )
        stream = SessionStarted(
            session_uid=uid,
            environment=self.environment,
            websocket_url=target.ws_url,
            started_ns=self.clock.now_ns(),
        )
        self._stop.clear()
        self.service = ExecutionService(self.settings, target, self.clock, stream, self.log)
        self.listen()
        self._running = asyncio.create_task(self.service.run(self._stop))
        self.check_alive = self._check

    def _check(self) -> None:
        if self._running is not None and self._running.done():
            self._running.result()
            raise AssertionError("execution has ended")

    async def stop(self) -> None:
        """Ask this life to end, and wait for it."""
        running, self._running = self._running, None
        self.check_alive = lambda: None
        self._stop.set()
        if running is not None:
            await running

    def forget(self) -> None:
        """This life has ended by itself, as it should."""
        self._running = None
        self.check_alive = lambda: None

    def folder(self) -> Path:
        """Where the newest life's journal is."""
        return stream_folder(self.data_dir, "execution", f"20260810T221500-{self._lives:08x}")


@asynccontextmanager
async def executing(
    data_dir: Path,
    *,
    clock: Clock | None = None,
    starts: bool = True,
    journal_bytes: int | None = None,
    read_lag_ns: int = READ_LAG_NS,
    exchange: dict[str, Any] | None = None,
    **environ: str,
) -> AsyncIterator[Rig]:
    """A running ExecutionService and the world around it; REST is read only when it must be."""
    known = {"RL_DATA_DIR": str(data_dir), "RL_RECONCILE_S": "3600"}
    settings = load_settings(known | environ)
    if journal_bytes is not None:
        books = msgspec.structs.replace(settings.books, journal_max_bytes=journal_bytes)
        settings = msgspec.structs.replace(settings, books=books)
    with (
        remove_tables(data_dir),
        idle_exchange(data_dir, **(exchange or {})) as running,
        patch.object(reconciliation, "READ_LAG_NS", read_lag_ns),
    ):
        async with standing_between(running.url) as between:
            rig = Rig(settings, running, between, clock or ManualClock(1_000_000 * START_MS))
            try:
                if starts:
                    rig.start()
                yield rig
            finally:
                try:
                    await rig.stop()
                finally:
                    rig.close()


@asynccontextmanager
async def both_open(rig: Rig) -> AsyncIterator[None]:
    """Both markets are open and known: the second opens when somebody follows the first."""
    async with rig.exchange.stream() as follower:
        await follower.subscribe("orderbook_delta", tickers=[TICKER, OTHER])
        for ticker in (TICKER, OTHER):
            await follower.until("orderbook_snapshot", market_ticker=ticker)
        await rig.known(TICKER, OTHER)
        yield
