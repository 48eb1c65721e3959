"""Messages about the markets in which the actor is, in mode `hot`; part of `ipc.messages`."""

from __future__ import annotations

import msgspec

__all__ = ["LeaveMarket", "MarketChange", "MarketScore", "MarketsChosen"]


class LeaveMarket(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The actor has left a market: nothing of this stack's rests there any more.

    Sent by inference to execution on the socket of intents. It only ever cancels, so it needs no
    record; it is sent again for as long as something rests.

    Attributes:
        market_ticker: The market.
        reason: Why it was left, for people.
    """

    market_ticker: str
    reason: str


class MarketScore(msgspec.Struct, frozen=True, gc=False):
    """What speaks for a market in mode `hot`, as it was last looked at.

    Attributes:
        ticker: The market.
        score: Points, see docs/market-choice.md.
        volume_e2: Contracts a minute over the window.
        updates: Changes of levels a minute over the window.
        spread_e4: Of now, 0 when a side is missing.
        touch_e2: The smaller of the sizes at the touch, of now.
        bar: Why it is not eligible; "" when it is.
        since_ms: Since when the actor is in it, market time; None when it is not.
    """

    ticker: str
    score: int
    volume_e2: int
    updates: int
    spread_e4: int
    touch_e2: int
    bar: str
    since_ms: int | None


class MarketChange(msgspec.Struct, frozen=True, gc=False):
    """The actor went into a market, or left it.

    Attributes:
        ticker: The market.
        entered: Whether it went in.
        reason: Why, for people.
        score: Of the market, at that moment.
        at_ms: Market time.
    """

    ticker: str
    entered: bool
    reason: str
    score: int
    at_ms: int


class MarketsChosen(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """In which markets the actor is in mode `hot`, and why; at changes and once a second.

    Attributes:
        at_ms: Market time of the look.
        on_switch: What becomes of a position in a market that was left.
        leaving: Markets that were left and whose position is being closed.
        scores: The markets that it is in, then the hottest others.
        changes: The newest changes, oldest first.
    """

    at_ms: int
    on_switch: str
    leaving: tuple[str, ...]
    scores: tuple[MarketScore, ...]
    changes: tuple[MarketChange, ...]
