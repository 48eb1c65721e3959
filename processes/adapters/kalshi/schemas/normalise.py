"""From the wire's text to integers: levels, changes, trades, markets, orders, fills.

A row of `ipc.book` holds bids of both legs at their own leg's price. So the exchange sends books
without `use_yes_price` (and recordings hold them); with it NO levels come at YES prices and are
mirrored here (`on_yes_scale`). `WireError` names the market or order of an amount that cannot be
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.messages import ActorFill, BookSide, OrderStatus
from ipc.units import (
    NO,
    ONE_DOLLAR_E4,
    YES,
    LegCode,
    PriceGrid,
    parse_count,
    parse_money,
    parse_price,
)
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.enums import (
    BookSideText,
    LegText,
    MarketStatus,
    OrderStatusText,
    Result,
)
from processes.adapters.kalshi.schemas.rest_portfolio import FillRow, OrderRow
from processes.adapters.kalshi.schemas.rest_public import Market, PriceRangeText
from processes.adapters.kalshi.schemas.stream_messages import (
    DeltaMsg,
    FillMsg,
    SnapshotMsg,
    TradeMsg,
    UserOrderMsg,
)

__all__ = [
    "ExchangeOrder",
    "Levels",
    "MarketInfo",
    "amount",
    "change_of_delta",
    "exchange_ms",
    "fill_of",
    "grid_of_market",
    "levels_of_snapshot",
    "market_of",
    "ms_of_rfc3339",
    "order_of",
    "paid_of",
    "trade_of",
]

Levels = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]
Text = tuple[str, str]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
_LEGS: Final = {LegText.YES: YES, LegText.NO: NO}
_TAKERS: Final = {BookSideText.BID: YES, BookSideText.ASK: NO}
_SIDES: Final = {BookSideText.BID: BookSide.BID, BookSideText.ASK: BookSide.ASK}
_STATUSES: Final = {
    OrderStatusText.RESTING: OrderStatus.RESTING,
    OrderStatusText.EXECUTED: OrderStatus.EXECUTED,
    OrderStatusText.CANCELED: OrderStatus.CANCELED,
}

# The same few thousand texts come over and over.
_price = lru_cache(maxsize=16_384)(parse_price)
_count = lru_cache(maxsize=16_384)(parse_count)


class MarketInfo(msgspec.Struct, frozen=True):
    """A market as the collector follows it.

    Attributes:
        ticker: The market.
        event_ticker: The event that it belongs to.
        grid: The prices that it allows.
        open_ms: When it opens, Unix milliseconds.
        close_ms: When it closes.
        status: As REST says it.
        exchange_index: The shard that matches its orders.
        result: How it ended, `NONE` before.
        title: For people.
    """

    ticker: str
    event_ticker: str
    grid: PriceGrid
    open_ms: int
    close_ms: int
    status: MarketStatus
    exchange_index: int = 0
    result: Result = Result.NONE
    title: str = ""
    fee_waiver_ms: int = 0  # nothing is charged before

    @property
    def series_ticker(self) -> str:
        """Its series, with which the ticker of its event begins; REST does not name it."""
        return self.event_ticker.partition("-")[0]


class ExchangeOrder(msgspec.Struct, frozen=True):
    """An order of this account as the exchange reports it.

    Attributes:
        order_id: The exchange's.
        client_order_id: The one that was sent with it.
        market_ticker: The market.
        book_side: The side of the YES book.
        yes_price_e4: Limit on the YES scale.
        initial_count_e2: Its size, as the exchange reports it.
        fill_count_e2: Filled so far.
        remaining_count_e2: What rests.
        status: `UNKNOWN` for a word that is not known.
        fees_e6: Of all its fills, taker and maker.
        cost_e6: What all its fills cost, fees apart.
        expire_ms: When the exchange cancels it, None without expiry.
        created_ms: When it was made, None where the exchange did not say.
        updated_ms: When it last changed, None where the exchange did not say.
        reason: Of the last change, from the private channel alone.
        exchange_index: Its shard.
    """

    order_id: str
    client_order_id: str
    market_ticker: str
    book_side: BookSide
    yes_price_e4: int
    initial_count_e2: int
    fill_count_e2: int
    remaining_count_e2: int
    status: OrderStatus
    fees_e6: int
    cost_e6: int
    expire_ms: int | None
    created_ms: int | None
    updated_ms: int | None
    reason: str = ""
    exchange_index: int = 0


def amount(parse: Callable[[str], int], text: str, owner: str = "") -> int:
    """Parse an amount of the wire.

    Args:
        parse: `parse_price`, `parse_count` or `parse_money` of `ipc.units`.
        text: As received.
        owner: What it belongs to, for the error.

    Raises:
        WireError: It is no such amount.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise WireError(f"{owner}: {error}" if owner else str(error)) from None


def ms_of_rfc3339(text: str) -> int:
    """`2026-06-11T06:29:30.164956Z` -> Unix milliseconds, rounded down.

    Raises:
        WireError: It is not a time with a zone.
    """
    try:
        return (datetime.fromisoformat(text) - EPOCH) // MILLISECOND
    except (ValueError, TypeError, OverflowError):  # TypeError: without a zone
        raise WireError(f"{str(text)[:40]!r} is not a time") from None


def _maybe_ms(text: str | None) -> int | None:
    return ms_of_rfc3339(text) if text else None


def exchange_ms(ts_ms: int | None, ts: str | int | None = None) -> int:
    """The exchange's time of a frame, Unix milliseconds.

    Args:
        ts_ms: The frame's `ts_ms`.
        ts: Its deprecated `ts`, RFC 3339 or whole seconds, used where there is no `ts_ms`.

    Returns:
        0 when the frame has neither.

    Raises:
        WireError: `ts` is not a time.
    """
    if ts_ms is not None:
        return ts_ms
    if isinstance(ts, str):
        return ms_of_rfc3339(ts)
    return ts * 1000 if ts else 0


def _levels(yes: Iterable[Text] | None, no: Iterable[Text] | None, owner: str) -> Levels:
    yes, no = list(yes or ()), list(no or ())
    try:
        prices = [[_price(p) for p, _ in leg] for leg in (yes, no)]
        counts = [_count(c) for _, c in yes + no]
    except ValueError as error:
        raise WireError(f"{owner}: {error}") from None
    if any(len(set(leg)) < len(leg) for leg in prices):
        raise WireError(f"{owner}: a level is listed twice")
    legs = np.full(len(counts), NO, np.uint8)
    legs[: len(yes)] = YES
    return legs, np.array(prices[YES] + prices[NO], np.int64), np.array(counts, np.int64)


def levels_of_snapshot(msg: SnapshotMsg, *, on_yes_scale: bool = False) -> Levels:
    """The levels of a snapshot as `ipc.book.apply_snapshot` takes them.

    Args:
        msg: The payload.
        on_yes_scale: Whether NO levels come at YES prices (`use_yes_price`).

    Returns:
        (legs uint8[n], prices_e4 int64[n] of the level's own leg, counts_e2 int64[n]), YES levels
        first.

    Raises:
        WireError: An amount cannot be read, or a level is listed twice.
    """
    legs, prices, counts = _levels(msg.yes_dollars_fp, msg.no_dollars_fp, msg.market_ticker)
    if on_yes_scale:
        prices = np.where(legs == NO, ONE_DOLLAR_E4 - prices, prices)
    return legs, prices, counts


def change_of_delta(msg: DeltaMsg, *, on_yes_scale: bool = False) -> tuple[LegCode, int, int]:
    """The change of one level.

    Args:
        msg: The payload.
        on_yes_scale: Whether NO levels come at YES prices (`use_yes_price`).

    Returns:
        (leg, price_e4 of the leg, signed delta_e2).

    Raises:
        WireError: An amount cannot be read, or the side is neither yes nor no.
    """
    try:
        price_e4, delta_e2 = _price(msg.price_dollars), _count(msg.delta_fp)
    except ValueError as error:
        raise WireError(f"{msg.market_ticker}: {error}") from None
    if msg.side is LegText.YES:
        return YES, price_e4, delta_e2
    if msg.side is LegText.NO:
        return NO, ONE_DOLLAR_E4 - price_e4 if on_yes_scale else price_e4, delta_e2
    raise WireError(f"{msg.market_ticker}: side is neither yes nor no")


def trade_of(msg: TradeMsg) -> tuple[LegCode, int, int]:
    """A public trade.

    The taker's leg is `taker_outcome_side`, else the older `taker_side`, else by the side of the
    book that it took from.

    Returns:
        (leg that the taker bought, yes_price_e4, count_e2).

    Raises:
        WireError: An amount cannot be read, or no field says which side took.
    """
    text = msg.taker_outcome_side or msg.taker_side
    leg = _LEGS.get(text) if text else _TAKERS.get(msg.taker_book_side or BookSideText.UNKNOWN)
    if leg is None:
        raise WireError(f"{msg.market_ticker}: trade {msg.trade_id} has no taker's side")
    try:
        return leg, _price(msg.yes_price_dollars), _count(msg.count_fp)
    except ValueError as error:
        raise WireError(f"{msg.market_ticker}: {error}") from None


@lru_cache(maxsize=256)  # markets share a few grids
def _grid(ranges: tuple[PriceRangeText, ...]) -> PriceGrid:
    return PriceGrid.from_wire(msgspec.to_builtins(ranges))


def grid_of_market(market: Market) -> PriceGrid:
    """The prices that a market allows, from `price_ranges`; labels of structures are not used.

    Raises:
        WireError: They are no grid.
    """
    try:
        return _grid(market.price_ranges)
    except ValueError as error:
        raise WireError(f"{market.ticker}: {error}") from None


def market_of(market: Market) -> MarketInfo:
    """A market of REST in integers.

    Raises:
        WireError: Its grid or one of its times cannot be read.
    """
    return MarketInfo(
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        grid=grid_of_market(market),
        open_ms=ms_of_rfc3339(market.open_time),
        close_ms=ms_of_rfc3339(market.close_time),
        status=market.status,
        exchange_index=market.exchange_index,
        result=market.result,
        title=market.title,
        fee_waiver_ms=_maybe_ms(market.fee_waiver_expiration_time) or 0,
    )


def paid_of(settlement_value: str | None, ticker: str) -> int | None:
    """What a YES contract paid.

    Args:
        settlement_value: In dollars as text; None or empty when there is none yet.
        ticker: Of the market, for the error.

    Returns:
        1e-4 dollars, None when that is unknown.

    Raises:
        WireError: It is no price.
    """
    return amount(parse_price, settlement_value, ticker) if settlement_value else None


def _book_side(side: BookSideText, owner: str) -> BookSide:
    if side not in _SIDES:
        raise WireError(f"{owner}: book_side is neither bid nor ask")
    return _SIDES[side]


def fill_of(msg: FillMsg | FillRow) -> ActorFill:
    """A fill of this account, from the private channel or from REST.

    Raises:
        WireError: An amount, the time or the side of the book cannot be read.
    """
    owner = f"fill {msg.trade_id}"
    if isinstance(msg, FillRow):
        ticker, ts_ms = msg.ticker, _maybe_ms(msg.created_time) or exchange_ms(None, msg.ts)
    else:
        ticker, ts_ms = msg.market_ticker, msg.ts_ms
    return ActorFill(
        trade_id=msg.trade_id,
        order_id=msg.order_id,
        client_order_id=msg.client_order_id or None,
        market_ticker=ticker,
        book_side=_book_side(msg.book_side, owner),
        yes_price_e4=amount(parse_price, msg.yes_price_dollars, owner),
        count_e2=amount(parse_count, msg.count_fp, owner),
        is_taker=msg.is_taker,
        fee_e6=amount(parse_money, msg.fee_cost, owner),
        ts_ms=ts_ms,
    )


def order_of(msg: UserOrderMsg | OrderRow) -> ExchangeOrder:
    """An order of this account, from the private channel or from REST.

    Raises:
        WireError: An amount, a time or the side of the book cannot be read.
    """
    owner = f"order {msg.order_id}"
    expire, created, updated, reason = _times_of(msg)

    def money(*texts: str) -> int:
        return sum(amount(parse_money, text, owner) for text in texts)

    return ExchangeOrder(
        order_id=msg.order_id,
        client_order_id=msg.client_order_id,
        market_ticker=msg.ticker,
        book_side=_book_side(msg.book_side, owner),
        yes_price_e4=amount(parse_price, msg.yes_price_dollars, owner),
        initial_count_e2=amount(parse_count, msg.initial_count_fp, owner),
        fill_count_e2=amount(parse_count, msg.fill_count_fp, owner),
        remaining_count_e2=amount(parse_count, msg.remaining_count_fp, owner),
        status=_STATUSES.get(msg.status, OrderStatus.UNKNOWN),
        fees_e6=money(msg.taker_fees_dollars, msg.maker_fees_dollars),
        cost_e6=money(msg.taker_fill_cost_dollars, msg.maker_fill_cost_dollars),
        expire_ms=expire,
        created_ms=created,
        updated_ms=updated,
        reason=reason,
        exchange_index=msg.exchange_index,
    )


def _times_of(msg: UserOrderMsg | OrderRow) -> tuple[int | None, int | None, int | None, str]:
    """(expiry, creation, last change in ms, reason of the last change)."""
    if isinstance(msg, UserOrderMsg):
        created = msg.created_ts_ms or _maybe_ms(msg.created_time)
        reason = msg.last_update_reason or ""
        return msg.expiration_ts_ms, created, msg.last_updated_ts_ms, reason
    times = (msg.expiration_time, msg.created_time, msg.last_update_time)
    expire, created, updated = (_maybe_ms(text) for text in times)
    return expire, created, updated, ""
