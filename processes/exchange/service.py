"""The local exchange: builds the house, serves it, and runs its flow until it is stopped."""

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
from processes.exchange.accounts import load_accounts
from processes.exchange.admin.scheduled import Scheduled, scheduled_of
from processes.exchange.admin.token import load_token
from processes.exchange.assembly import Rules, assemble
from processes.exchange.core.retention import Limits
from processes.exchange.house import House
from processes.exchange.market_time import MarketTime
from processes.exchange.replay.flow import Replay
from processes.exchange.replay.timeline import Recording, recordings_of
from processes.exchange.servers import Server, admin_app, exchange_app
from processes.exchange.stream.sockets import Connections
from processes.exchange.synthetic.flow import SyntheticFlow, profiles_of
from processes.runtime import tasks
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.run import Run

__all__ = ["serve"]

KEEP_S = 0.05
FORGET_TURNS = 20  # every second
REBALANCE_TURNS = 200  # every ten seconds
LOOK_TURNS = 5  # four times a second


def _ids(life: uuid.UUID) -> Callable[[], str]:
    """Ids that no other life of this exchange has used."""
    numbers: Iterator[int] = count(1)
    return lambda: str(uuid.uuid5(life, str(next(numbers))))


def _house(settings: Settings, recordings: list[Recording], life: uuid.UUID) -> House:
    """Accounts, markets and order entry."""
    wanted = settings.exchange
    keys = load_accounts(credentials_path(settings.data_dir), wanted.accounts, wanted.cash_e6)
    time = MarketTime(clock_path(settings.data_dir), _start_ms(settings, recordings), wanted.speed)
    rules = Rules(
        tier=wanted.tier,
        orders_lag_ms=wanted.orders_lag_ms,
        positions_lag_ms=wanted.positions_lag_ms,
        shards=wanted.shards,
        oldest_ms=wanted.oldest_ms,
        newest_ms=wanted.newest_ms,
        weekly_pause=wanted.weekly_pause,
        limits=Limits(keep_ms=wanted.keep_ms),
    )
    return assemble(keys, time, _ids(life), rules, shadow=bool(recordings))


def _start_ms(settings: Settings, recordings: list[Recording]) -> int:
    """Where market time begins: with the recordings, as wanted, or now."""
    if recordings:
        return recordings[0].starts_ms
    wanted_ms = settings.exchange.start_ms
    return real_ns() // NS_PER_MS if wanted_ms is None else wanted_ms


def _flow(
    settings: Settings,
    house: House,
    connections: Connections,
    recordings: list[Recording],
    log: Log,
) -> Coroutine[None, None, None]:
    """What moves the markets."""
    if not recordings:
        wanted = settings.exchange
        profiles = profiles_of(wanted.markets)
        flow = SyntheticFlow(house.venue, house.desk, wanted.seed, profiles)
        house.time.run(_start_ms(settings, recordings))
        if wanted.speed:
            return flow.run(house.time, connections.shed)
        return flow.race(house.time, house.hub.has_book_followers, connections.room)
    replay = Replay(
        recordings, house.venue, house.desk, house.hub, house.time, connections.room, log
    )
    return replay.run(loop=settings.exchange.loop)


async def serve(this: Run, life: uuid.UUID) -> None:
    """Run until asked to stop; a flow that ends leaves the exchange up and idle.

    Ids are derived from `life`, which no other run may have had.
    """
    settings = this.settings
    recordings, ordered = recordings_of(settings), scheduled_of(settings)
    house = _house(settings, recordings, life)
    connections = Connections(house)
    flow = _flow(settings, house, connections, recordings, this.log)
    faults = Scheduled(house, connections, ordered, this.log)
    this.ready()
    try:
        await tasks.serve(
            {
                "servers": _listen(settings, house, connections, faults, this.log),
                "flow": _follow(flow, settings),
                "upkeep": _keep(house, connections),
            },
            this.stop,
        )
    finally:
        house.time.close()


async def _listen(
    settings: Settings, house: House, connections: Connections, faults: Scheduled, log: Log
) -> NoReturn:
    """Both ports, until the end; then everybody is told goodbye."""
    token = load_token(admin_token_path(settings.data_dir))
    wanted = settings.exchange
    servers = [
        Server(exchange_app(house, connections), "RL_EXCHANGE_PORT", wanted.port),
        Server(admin_app(house, connections, token), "RL_EXCHANGE_ADMIN_PORT", wanted.admin_port),
    ]
    started: list[Server] = []
    try:
        await asyncio.sleep(0)  # the flow's first step: its markets are known
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


async def _keep(house: House, connections: Connections) -> None:
    """What must happen even when no market moves: expiries, and clients that do not read."""
    for turn in count(1):
        await asyncio.sleep(KEEP_S)
        house.keep()
        if not turn % FORGET_TURNS:
            house.forget()
        if not turn % LOOK_TURNS:
            house.look()
        if not turn % REBALANCE_TURNS:
            house.rebalance()
        if house.time.speed:
            connections.shed()
