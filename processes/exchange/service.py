"""The local exchange: builds it, serves it, and runs its order flow until stopped."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from typing import NoReturn

from ipc.clock import NS_PER_MS, real_ns
from processes.adapters.kalshi.auth.credentials import admin_token_path, credentials_path
from processes.adapters.kalshi.auth.environments import clock_path
from processes.adapters.kalshi.recordings import RecordingError
from processes.exchange.admin.fault_handlers import FaultSchedule, fault_schedule_of
from processes.exchange.admin.token import load_token
from processes.exchange.core.fees import ScheduledFeeChange
from processes.exchange.core.history import RetentionLimits
from processes.exchange.replay.flow import Replay
from processes.exchange.replay.sources import replay_sources
from processes.exchange.replay.timeline import ReplaySource
from processes.exchange.servers import Server, admin_app, exchange_app
from processes.exchange.shared.accounts import load_accounts
from processes.exchange.shared.connections import Connections
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.shared.state import ExchangeRules, ExchangeState, assemble
from processes.exchange.synthetic.flow import SyntheticFlow, profiles_of, series_of
from processes.runtime import tasks
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.run import Run

__all__ = ["serve"]

KEEP_S = 0.05
FEES_CHANGE_MS = 300_000  # market time after the start
FORGET_TURNS = 20  # every second
REBALANCE_TURNS = 200  # every ten seconds
QUOTE_TURNS = 5  # four times a second


def _ids(run_uid: uuid.UUID) -> Callable[[], str]:
    """Ids unique over all runs of the exchange: UUID version 5 of the run's uid and a counter."""
    numbers: Iterator[int] = count(1)
    return lambda: str(uuid.uuid5(run_uid, str(next(numbers))))


def _exchange_state(
    settings: Settings, recordings: list[ReplaySource], run_uid: uuid.UUID
) -> ExchangeState:
    """Accounts, markets and order entry."""
    wanted = settings.exchange
    keys = load_accounts(credentials_path(settings.data_dir), wanted.accounts, wanted.cash_e6)
    time = MarketTime(clock_path(settings.data_dir), _start_ms(settings, recordings), wanted.speed)
    rules = ExchangeRules(
        tier=wanted.tier,
        orders_lag_ms=wanted.orders_lag_ms,
        positions_lag_ms=wanted.positions_lag_ms,
        shards=wanted.shards,
        oldest_ms=wanted.oldest_ms,
        newest_ms=wanted.newest_ms,
        weekly_pause=wanted.weekly_pause,
        limits=RetentionLimits(keep_ms=wanted.keep_ms),
        catalogue_markets=wanted.catalogue,
        catalogue_combos=wanted.combos,
        catalogue_seed=wanted.seed,
    )
    return assemble(keys, time, _ids(run_uid), rules, shadow=bool(recordings))


def _start_ms(settings: Settings, recordings: list[ReplaySource]) -> int:
    """Where market time begins: with the recordings, at RL_EXCHANGE_START, or now (Unix ms)."""
    if recordings:
        return recordings[0].starts_ms
    wanted_ms = settings.exchange.start_ms
    return real_ns() // NS_PER_MS if wanted_ms is None else wanted_ms


def _flow(
    settings: Settings,
    state: ExchangeState,
    connections: Connections,
    recordings: list[ReplaySource],
    log: Log,
) -> Coroutine[None, None, None]:
    """What moves the markets."""
    if not recordings:
        wanted = settings.exchange
        profiles = profiles_of(wanted.markets)
        flow = SyntheticFlow(state.venue, state.order_entry, wanted.seed, profiles)
        _announce_fees(state, series_of(0, profiles[0]), _start_ms(settings, recordings))
        state.time.run(_start_ms(settings, recordings))
        if wanted.speed:
            return flow.run(state.time, connections.shed)
        return flow.race(state.time, state.hub.has_book_followers, connections.room)
    replay = Replay(
        recordings, state.venue, state.order_entry, state.hub, state.time, connections.room, log
    )
    return replay.run(loop=settings.exchange.loop)


def _announce_fees(state: ExchangeState, series: str, start_ms: int) -> None:
    """The first series charges makers too from a moment within its first window on."""
    change = ScheduledFeeChange(
        change_id="",
        series_ticker=series,
        event_ticker="",
        fee_type="quadratic_with_maker_fees",
        multiplier_e4=10_000,
        scheduled_ms=start_ms + FEES_CHANGE_MS,
    )
    state.fees.schedule(change)


async def serve(this: Run, run_uid: uuid.UUID) -> None:
    """Run until asked to stop; a flow that ends leaves the exchange up and idle.

    Every id is derived from `run_uid`, so no other run may have had it.
    """
    settings = this.settings
    recordings, ordered = await replay_sources(settings, this.stop), fault_schedule_of(settings)
    state = _exchange_state(settings, recordings, run_uid)
    connections = Connections(state)
    flow = _flow(settings, state, connections, recordings, this.log)
    faults = FaultSchedule(state, connections, ordered, this.log)
    this.ready()
    try:
        await tasks.serve(
            {
                "servers": _listen(settings, state, connections, faults, this.log),
                "flow": _follow(flow, settings),
                "housekeeping": _housekeeping(state, connections),
                "files": OwnedFiles((clock_path(settings.data_dir),)).watch(),
            },
            this.stop,
        )
    finally:
        state.time.close()


async def _listen(
    settings: Settings,
    state: ExchangeState,
    connections: Connections,
    faults: FaultSchedule,
    log: Log,
) -> NoReturn:
    """Serve both ports until cancelled; then close every connection."""
    token = load_token(admin_token_path(settings.data_dir))
    wanted = settings.exchange
    servers = [
        Server(exchange_app(state, connections), "RL_EXCHANGE_PORT", wanted.port),
        Server(admin_app(state, connections, token), "RL_EXCHANGE_ADMIN_PORT", wanted.admin_port),
    ]
    started: list[Server] = []
    try:
        await asyncio.sleep(0)  # the flow's first step lists its markets
        faults.begin()
        for server in servers:  # by then the first market is open
            await server.start()
            started.append(server)
        log("listening", port=servers[0].port, admin_port=servers[1].port)
        faults.listening()
        await _for_ever()
    finally:
        faults.close()
        await connections.close()
        await asyncio.gather(*(server.stop() for server in started), return_exceptions=True)


async def _follow(flow: Coroutine[None, None, None], settings: Settings) -> NoReturn:
    """What moves the markets, then nothing; `ConfigError` for what cannot be replayed."""
    try:
        await flow
    except RecordingError as error:
        path = settings.exchange.replay
        raise ConfigError(f"RL_EXCHANGE_REPLAY={path} cannot be replayed: {error}") from None
    await _for_ever()


async def _for_ever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _housekeeping(state: ExchangeState, connections: Connections) -> None:
    """What is due even when no market moves: expiries, retention, slow clients."""
    for turn in count(1):
        await asyncio.sleep(KEEP_S)
        state.apply_due()
        state.followed.move_books(state.venue.now_ms())
        if not turn % FORGET_TURNS:
            state.apply_retention()
        if not turn % QUOTE_TURNS:
            state.sample_quotes()
        if not turn % REBALANCE_TURNS:
            state.rebalance()
        if state.time.speed:
            connections.shed()
