"""The WebSocket's commands. An `id` is the client's; commands are not answered in order.

Whether NO levels come at YES prices (`use_yes_price`) is always said for books: the exchange will
change what it takes for granted. We ask for YES prices; whoever reads the frames must know which.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from processes.adapters.kalshi.errors import WireError

__all__ = [
    "Channel",
    "Command",
    "CommandParams",
    "add_markets",
    "decode_command",
    "delete_markets",
    "get_snapshot",
    "list_subscriptions",
    "subscribe",
    "unsubscribe",
]


class Channel(StrEnum):
    """What can be subscribed to."""

    BOOK = "orderbook_delta"
    TRADE = "trade"
    FILL = "fill"
    USER_ORDERS = "user_orders"
    MARKET_POSITIONS = "market_positions"
    ORDER_GROUPS = "order_group_updates"
    LIFECYCLE = "market_lifecycle_v2"
    TICKER = "ticker"
    MULTIVARIATE_LIFECYCLE = "multivariate_market_lifecycle"
    COMMUNICATIONS = "communications"
    CF_BENCHMARKS = "cfbenchmarks_value"
    CF_BENCHMARKS_5HZ = "cfbenchmarks_value_5hz"
    PYTH = "pyth_value"


class CommandParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command is about."""

    channels: list[str] | None = None
    market_ticker: str | None = None
    market_tickers: list[str] | None = None
    sid: int | None = None
    sids: list[int] | None = None
    action: str | None = None
    use_yes_price: bool | None = None
    skip_ticker_ack: bool | None = None
    send_initial_snapshot: bool | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command; `id` 0 asks for no correlation."""

    id: int = 0
    cmd: str
    params: CommandParams | None = None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Command)


def decode_command(data: bytes | str) -> Command:
    """A client's command, for the local exchange; `WireError` says what does not fit."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a command: {error}") from None


def _encode(command_id: int, cmd: str, params: CommandParams | None = None) -> bytes:
    return _encoder.encode(Command(id=command_id, cmd=cmd, params=params))


def subscribe(
    command_id: int,
    channels: Iterable[str],
    market_tickers: Iterable[str] | None = None,
    *,
    use_yes_price: bool = True,
) -> bytes:
    """Subscribe to channels, of some markets or of all that the channel offers."""
    names = [str(c) for c in channels]
    tickers = None if market_tickers is None else list(market_tickers)
    yes_price = use_yes_price if Channel.BOOK in names else None
    params = CommandParams(channels=names, market_tickers=tickers, use_yes_price=yes_price)
    return _encode(command_id, "subscribe", params)


def _update(command_id: int, sid: int, action: str, tickers: Iterable[str]) -> bytes:
    params = CommandParams(sids=[sid], action=action, market_tickers=list(tickers))
    return _encode(command_id, "update_subscription", params)


def add_markets(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """More markets on a subscription."""
    return _update(command_id, sid, "add_markets", tickers)


def delete_markets(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """Fewer markets on a subscription."""
    return _update(command_id, sid, "delete_markets", tickers)


def get_snapshot(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """A fresh snapshot of markets of a book subscription."""
    return _update(command_id, sid, "get_snapshot", tickers)


def unsubscribe(command_id: int, sids: Iterable[int]) -> bytes:
    """End subscriptions."""
    return _encode(command_id, "unsubscribe", CommandParams(sids=list(sids)))


def list_subscriptions(command_id: int) -> bytes:
    """Ask which subscriptions there are."""
    return _encode(command_id, "list_subscriptions")
