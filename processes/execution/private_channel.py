"""The private channels: fills and order changes as they happen; no `seq`, so never the only word.

Whenever it was away, everything that may have happened meanwhile is read over REST, and until then
every account is in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Final, NoReturn

import numpy as np

from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.auth.credentials import wait_for_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import ApiError, KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.schemas.frames import (
    Channel,
    Fill,
    Frame,
    OrderGroupUpdate,
    UserOrder,
)
from processes.adapters.kalshi.schemas.normalise import fill_of, order_of
from processes.adapters.kalshi.schemas.stream_messages import OrderGroupMsg
from processes.adapters.kalshi.stream.socket import KalshiSocket
from processes.adapters.kalshi.stream.subscriptions import Ended, Ready, Rejected, Subscriptions
from processes.execution.account import Doubt
from processes.execution.gateway import EffectRunner
from processes.execution.order_groups import OrderGroupKeeper
from processes.execution.reconciliation import Reconciliation
from processes.execution.state import ExecutionState
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["ExchangeConnection", "PrivateChannel"]

CHANNELS: Final = (Channel.FILL, Channel.USER_ORDERS)
READY_TIMEOUT: Final = 5.0  # seconds for both subscriptions
RECONNECT: Final = Backoff(first_s=0.1, longest_s=2.0)
SIGNING_PAUSE: Final = 0.1  # seconds between looks at how many signatures are ready


class ExchangeConnection:
    """Two tasks: the private channel with the client that signs as it does, and its signatures.

    Args:
        settings: credentials and the subaccount.
        target: the exchange's addresses.
        budget: of the requests of this run.
        clock_offset: learns of the exchange's clock from REST replies.
        epoch: of this run; it seeds the pauses between attempts.
        effects: to carry out what the channel brings; the client is put into its gateway.
        reconciliation: learns that the channel is up.
        groups: looks at the order groups before anything is sent, and hears of their changes.
        log: of this run.
    """

    def __init__(
        self,
        settings: Settings,
        target: KalshiTarget,
        budget: RateBudget,
        clock_offset: ClockOffset,
        epoch: int,
        effects: EffectRunner,
        reconciliation: Reconciliation,
        groups: OrderGroupKeeper,
        log: Log,
    ) -> None:
        self._settings = settings
        self._target = target
        self._budget = budget
        self._clock_offset = clock_offset
        self._epoch = epoch
        self._rng = np.random.default_rng(epoch)
        self._effects = effects
        self._gateway = effects.gateway
        self._state = effects.state
        self._reconciliation = reconciliation
        self._groups = groups
        self._log = log
        self._state.doubt(Doubt.CHANNEL)

    async def run(self, stop: asyncio.Event) -> NoReturn:
        """Keep the private channel up, until `stop` while there are no credentials."""
        failures = 0
        while True:
            try:
                socket = await self._connect(stop)
                try:
                    subaccount = self._settings.execution.subaccount
                    on_group = self._groups.on_update
                    channel = PrivateChannel(
                        socket, self._state, self._effects.act, subaccount, on_group
                    )
                    await channel.open()
                    await self._groups.on_channel_up()
                    self._on_up()
                    failures = 0
                    await channel.follow()
                finally:
                    await socket.close()
            except KalshiError as error:
                self._on_down(error)
            await asyncio.sleep(RECONNECT.jittered(failures, self._rng))
            failures += 1

    async def _connect(self, stop: asyncio.Event) -> KalshiSocket:
        """Connect with credentials loaded now: a restarted local exchange issues new ones."""
        signer = Signer(await wait_for_credentials(self._settings, stop))
        if self._gateway.client is None:
            client = KalshiTradingClient.at(
                self._target,
                signer,
                self._budget,
                subaccount=self._settings.execution.subaccount,
                seed=self._epoch,
                clock_offset=self._clock_offset,
                read_only=self._settings.execution.is_shadow,
            )
            async with AsyncExitStack() as unless_taken:
                unless_taken.push_async_callback(client.close)
                await self._check_subaccount(client)
                unless_taken.pop_all()
            self._gateway.client = client
        self._gateway.client.sign_with(signer)  # not a new client: requests may be under way
        return await KalshiSocket.connect(self._target, signer)

    async def _check_subaccount(self, client: KalshiTradingClient) -> None:
        """`ConfigError` when the key sees several and none is named: they must not be mixed."""
        if self._settings.execution.subaccount is not None or not self._settings.actor.enabled:
            return
        try:
            seen = {number for number, _ in await client.subaccount_balances()}
        except ApiError as error:
            if error.http_status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            return  # a key that may not ask has none
        if len(seen) > 1:
            raise ConfigError(
                "KALSHI_SUBACCOUNT is empty, and the key sees several subaccounts; allowed: "
                f"the one to trade in: {', '.join(map(str, sorted(seen)))}"
            )

    def _on_up(self) -> None:
        self._state.counters["channel_ups"] += 1
        self._state.trust(Doubt.CHANNEL)
        self._log("private_channel_up")
        self._reconciliation.on_channel_up()

    def _on_down(self, error: KalshiError) -> None:
        if Doubt.CHANNEL not in self._state.everywhere:
            self._state.counters["channel_downs"] += 1
        self._state.doubt(Doubt.CHANNEL)
        self._effects.act()
        self._log.warning("private_channel_down", error=error)

    async def sign_ahead(self) -> NoReturn:
        """Have signatures ready before an intent comes."""
        while True:
            if self._gateway.client is not None:
                await self._gateway.client.keep_signatures()
            await asyncio.sleep(SIGNING_PAUSE)


class PrivateChannel:
    """One connection, from its subscriptions to its end.

    Args:
        socket: connected and signed in.
        state: fills and orders are applied to it.
        act: carries out the effects.
        subaccount: whose fills and orders count; None for a key that has only one.
        on_group: takes what is reported of order groups.
    """

    def __init__(
        self,
        socket: KalshiSocket,
        state: ExecutionState,
        act: Callable[[], None],
        subaccount: int | None,
        on_group: Callable[[OrderGroupMsg], None] = lambda _update: None,
    ) -> None:
        self._socket = socket
        self._state = state
        self._act = act
        self._subaccount = subaccount
        self._on_group = on_group
        self._subscriptions = Subscriptions()
        self._ready: set[str] = set()

    async def open(self) -> None:
        """Subscribe and wait until fills and orders are confirmed.

        Changes of order groups are news, no more: the next order shows a group that was stopped.

        Raises:
            SocketClosed: They were not within 5 seconds, or one of them was refused.
            KalshiError: The connection failed.
        """
        for channel in (*CHANNELS, Channel.ORDER_GROUPS):
            await self._socket.send(self._subscriptions.subscribe(channel))
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while not self._ready.issuperset(CHANNELS):
                    await self._take()
        except TimeoutError:
            raise SocketClosed("the private channels were not confirmed") from None

    async def follow(self) -> None:
        """Take frames until the connection ends, with `SocketClosed`."""
        while True:
            await self._take()

    async def _take(self) -> None:
        try:
            batch = await self._socket.recv_many()
        except WireError as error:
            raise SocketClosed(f"a frame cannot be read: {error}") from error
        for frame, _ in batch:
            self._on_frame(frame)
        self._act()

    def _on_frame(self, frame: Frame) -> None:
        for event in self._subscriptions.on_frame(frame):
            if isinstance(event, Ready):
                self._ready.add(event.channel)
            elif isinstance(event, Ended | Rejected) and event.channel != Channel.ORDER_GROUPS:
                raise SocketClosed(f"{event.channel}: code {event.code}")
        try:
            if isinstance(frame, Fill) and self._is_for_us(frame.msg.subaccount):
                self._state.on_fill(fill_of(frame.msg))
            elif isinstance(frame, UserOrder) and self._is_for_us(frame.msg.subaccount_number):
                self._state.on_order(order_of(frame.msg))
            elif isinstance(frame, OrderGroupUpdate):
                self._on_group(frame.msg)
        except KalshiError as error:
            raise SocketClosed(f"a frame cannot be read: {error}") from error

    def _is_for_us(self, subaccount: int | None) -> bool:
        """A key for all subaccounts gets reports on all; one that names none may be on this one."""
        return self._subaccount is None or subaccount in (None, self._subaccount)
