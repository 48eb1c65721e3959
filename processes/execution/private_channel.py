"""The private channels: fills and order changes as they happen; no `seq`, so never the only word.

Whenever it was away, everything that may have happened meanwhile is read over REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from processes.adapters.kalshi.errors import KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.normalise import fill_of, order_of
from processes.adapters.kalshi.schemas.frames import Channel, Fill, Frame, UserOrder
from processes.adapters.kalshi.stream.socket import KalshiSocket
from processes.adapters.kalshi.stream.subscriptions import Ended, Ready, Rejected, Subscriptions
from processes.execution.ledger import Ledger

__all__ = ["PrivateChannel"]

CHANNELS: Final = (Channel.FILL, Channel.USER_ORDERS)
READY_TIMEOUT: Final = 5.0  # seconds for both subscriptions


class PrivateChannel:
    """One connection, from its subscriptions to its end."""

    def __init__(
        self,
        socket: KalshiSocket,
        ledger: Ledger,
        act: Callable[[], None],
        subaccount: int | None,
    ) -> None:
        self._socket = socket
        self._ledger = ledger
        self._act = act
        self._subaccount = subaccount
        self._subscriptions = Subscriptions()
        self._ready: set[str] = set()

    async def open(self) -> None:
        """Subscribe and wait until both channels are ours; `KalshiError` when they are not."""
        for channel in CHANNELS:
            await self._socket.send(self._subscriptions.subscribe(channel))
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while len(self._ready) < len(CHANNELS):
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
            elif isinstance(event, Ended | Rejected):
                raise SocketClosed(f"{event.channel}: code {event.code}")
        try:
            if isinstance(frame, Fill) and self._is_ours(frame.msg.subaccount):
                self._ledger.on_fill(fill_of(frame.msg))
            elif isinstance(frame, UserOrder) and self._is_ours(frame.msg.subaccount_number):
                self._ledger.on_order(order_of(frame.msg))
        except KalshiError as error:
            raise SocketClosed(f"a frame cannot be read: {error}") from error

    def _is_ours(self, subaccount: int | None) -> bool:
        """A key for all subaccounts is told of all; what does not say whose it is may be ours."""
        return self._subaccount is None or subaccount in (None, self._subaccount)
