"""What the collector and its discovery process say to each other, and the socket between them.

A message is one packet, so a process that starts again finds whole messages. Lists are sent in
pieces that fit.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from ipc.errors import KalshiActorError
from processes.collector.choice import ChosenMarket

__all__ = [
    "ChoiceChanged",
    "DiscoveryEndedError",
    "DiscoveryLink",
    "DiscoveryMessage",
    "DiscoveryStarted",
    "DiscoveryStats",
    "FollowedChanged",
    "MarketNews",
    "MarketsChanged",
    "pieces",
    "socket_pair",
]

MOST_BYTES: Final = 1 << 17  # of a message; a packet may have about 200 kB
MOST_WAITING: Final = (
    10_000  # markets whose status changed; beyond them the list of changes is read
)
PIECE: Final = 40  # markets, or their tickers, in one message

Item = TypeVar("Item")


class DiscoveryEndedError(KalshiActorError, RuntimeError):
    """The other end of the link is gone."""


class ChoiceChanged(msgspec.Struct, frozen=True, tag=True):
    """To the collector: markets to follow, new or changed, and those no longer chosen."""

    chosen: tuple[ChosenMarket, ...] = ()
    dropped: tuple[str, ...] = ()


class DiscoveryStarted(msgspec.Struct, frozen=True, tag=True):
    """To the collector: a process that knows nothing of what is followed."""


class DiscoveryStats(msgspec.Struct, frozen=True, tag=True):
    """To the collector: counters of the discovery process."""

    counters: dict[str, int]


class FollowedChanged(msgspec.Struct, frozen=True, tag=True):
    """To discovery: markets that got a row, and those that lost it. The first one starts it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class MarketsChanged(msgspec.Struct, frozen=True, tag=True):
    """To discovery: markets that changed, those that are over, and whether some are missing.

    `ended` are determined or settled: nothing needs to be asked about them.
    """

    changed: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    is_incomplete: bool = False


DiscoveryMessage = (
    ChoiceChanged | DiscoveryStarted | DiscoveryStats | FollowedChanged | MarketsChanged
)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(DiscoveryMessage)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a link, for two processes."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def pieces(items: Sequence[Item], size: int = PIECE) -> Iterator[tuple[Item, ...]]:
    """A list in pieces of at most `size`."""
    for at in range(0, len(items), size):
        yield tuple(items[at : at + size])


class DiscoveryLink:
    """One end of the link, for one loop."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    async def send(self, message: DiscoveryMessage) -> None:
        """Send a message; `DiscoveryEndedError` when there is no other end."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._end, _encoder.encode(message))
        except OSError as error:
            raise DiscoveryEndedError(f"the other process is gone: {error}") from None

    async def receive(self) -> DiscoveryMessage:
        """The next message; `DiscoveryEndedError` when there is no other end."""
        loop = asyncio.get_running_loop()
        try:
            data = await loop.sock_recv(self._end, 2 * MOST_BYTES)
        except OSError as error:
            raise DiscoveryEndedError(f"the other process is gone: {error}") from None
        if not data:
            raise DiscoveryEndedError("the other process is gone")
        message: DiscoveryMessage = _decoder.decode(data)
        return message

    def close(self) -> None:
        """The other end sees it."""
        self._end.close()


class MarketNews:
    """Markets whose status changed, until discovery is asked about them. Never waits."""

    def __init__(self) -> None:
        self._changed: dict[str, bool] = {}  # ticker -> whether it is over
        self._is_incomplete = False
        self.waiting = asyncio.Event()

    def add(self, ticker: str, *, is_over: bool) -> None:
        """The lifecycle channel says something about a market."""
        if len(self._changed) < MOST_WAITING:
            self._changed[ticker] = is_over
        else:
            self._is_incomplete = True
        self.waiting.set()

    def missed(self) -> None:
        """Something may have been said that did not arrive."""
        self._is_incomplete = True
        self.waiting.set()

    def take(self) -> Iterator[MarketsChanged]:
        """All that waits, in pieces."""
        waiting, self._changed = self._changed, {}
        is_incomplete, self._is_incomplete = self._is_incomplete, False
        self.waiting.clear()
        if is_incomplete:
            yield MarketsChanged(is_incomplete=True)
        for piece in pieces(list(waiting.items()), 10 * PIECE):
            yield MarketsChanged(
                changed=tuple(ticker for ticker, is_over in piece if not is_over),
                ended=tuple(ticker for ticker, is_over in piece if is_over),
            )
