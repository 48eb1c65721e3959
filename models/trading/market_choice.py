"""Which markets are the hottest, and when the actor goes from one to another: no I/O, no clock.

The rule is written out in docs/market-choice.md. `HotMarkets` gets one look at every market at a
time, in market time, and answers with the markets in which the actor is, each with the reason. A
live actor, a replay of recordings and a test all ask the same object.

Everything is an integer: prices 1e-4 dollars on the YES scale, counts 1e-2 contracts, times
milliseconds, scores points. A thousand points are one doubling of the traded volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.messages import MarketChange, MarketScore
from ipc.units import ONE_DOLLAR_E4
from models.trading.actions import Pricing

__all__ = [
    "Activity",
    "Bar",
    "HotMarkets",
    "HotRules",
    "MarketLook",
    "OnSwitch",
    "exit_pricing",
    "look_at",
    "points",
]

DOUBLING: Final = 1_000  # points
MINUTE_MS: Final = 60_000
RESTART_MS: Final = b.RESTART_NS // NS_PER_MS  # a longer step back is a replay that starts over
MISSING: Final = "not followed"  # the bar of a market of which there is no look


class OnSwitch(StrEnum):
    """Values of `RL_ACTOR_ON_SWITCH`: what becomes of the position in a market that was left.

    Attributes:
        HOLD: It stays, over the close too; only its resting orders are cancelled.
        REDUCE: It is offered at its own touch, and taken at the other once the close is near.
        FLATTEN: It is closed at the opposite touch, order by order.
    """

    HOLD = "hold"
    REDUCE = "reduce"
    FLATTEN = "flatten"


class Bar(StrEnum):
    """Why a market that can be read is not one to be in.

    Attributes:
        CLOSING: It closes in less than `HotRules.close_ms`, or has closed.
        ONE_SIDED: It has no bid or no ask.
        WIDE: Its spread is above `HotRules.max_spread_e4`.
    """

    CLOSING = "closing"
    ONE_SIDED = "one-sided"
    WIDE = "wide"


class HotRules(msgspec.Struct, frozen=True):
    """The bounds of the choice.

    Attributes:
        markets: How many at a time.
        dwell_ms: Least market time in a market before another may replace it.
        margin: Points by which another must be hotter.
        close_ms: A market that closes sooner than this is left, and not gone into.
        max_spread_e4: A market with a wider spread is illiquid.
        window_ms: Over which volume, updates, spread and depth are taken.
        return_ms: How long a market that could not be read or traded may claim its place back.
    """

    markets: int = 1
    dwell_ms: int = 60_000
    margin: int = DOUBLING
    close_ms: int = 60_000
    max_spread_e4: int = 1_000
    window_ms: int = 120_000
    return_ms: int = 30_000


class MarketLook(NamedTuple):
    """One market at one moment.

    Attributes:
        ticker: The market.
        bar: Why nothing may be decided there, as the caller knows it (stale, paused); "" for none.
        close_ms: When it closes, Unix milliseconds; 0 unknown.
        bid_e4: Best YES bid, 0 without one.
        ask_e4: Best YES ask, 0 without one.
        touch_e2: The smaller of the sizes at the two.
        traded_e2: Contracts traded so far.
        updates: Changes of levels so far.
    """

    ticker: str
    bar: str
    close_ms: int
    bid_e4: int
    ask_e4: int
    touch_e2: int
    traded_e2: int
    updates: int

    @property
    def spread_e4(self) -> int:
        """Ask less bid, at least 1; 0 when a side is missing."""
        if not (self.bid_e4 and self.ask_e4):
            return 0
        return max(self.ask_e4 - self.bid_e4, 1)


class _Left(NamedTuple):
    """When a market was left, and whether it may claim its place back."""

    at_ms: int
    claims: bool


def look_at(ticker: str, row: b.Row, bar: str = "") -> MarketLook:
    """Look at a row of the shared table, or at one of a recording.

    Args:
        ticker: The market.
        row: The book, in the layout of `ipc.book`.
        bar: Why nothing may be decided there; "" for none.
    """
    bid_e4, bid_e2 = b.best_bid(row, b.YES)
    no_bid_e4, ask_e2 = b.best_bid(row, b.NO)
    return MarketLook(
        ticker,
        bar,
        int(row[b.CLOSE_MS]),
        int(bid_e4),
        ONE_DOLLAR_E4 - int(no_bid_e4) if no_bid_e4 else 0,
        int(min(bid_e2, ask_e2)),
        int(row[b.TRADED]),
        int(row[b.N_DELTAS]),
    )


def points(number: int) -> int:
    """Points of a number: `DOUBLING` for each doubling from 1 on, in a straight line between.

    Args:
        number: At least 1; what is smaller counts as 1.

    Returns:
        0 for 1, 1000 for 2, 1500 for 3, 2000 for 4.
    """
    number = max(number, 1)
    doublings = number.bit_length() - 1
    whole = 1 << doublings
    return DOUBLING * doublings + DOUBLING * (number - whole) // whole


class Activity:
    """What happened in one market over the last `window_ms`.

    Args:
        window_ms: Length of the window, market time.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._looks: deque[tuple[int, int, int, int]] = deque()  # (when, traded, updates, quotes)
        self._quotes = 0  # sum of the points for spread and depth in `_looks`

    def take(self, now_ms: int, look: MarketLook) -> None:
        """Add one look; counters that fell back, or time that did, begin the window anew."""
        last = self._looks[-1] if self._looks else None
        if last and (last[0] > now_ms or last[1] > look.traded_e2 or last[2] > look.updates):
            self._looks.clear()
            self._quotes = 0
        quotes = _quote_points(look)
        self._looks.append((now_ms, look.traded_e2, look.updates, quotes))
        self._quotes += quotes
        while self._looks[0][0] < now_ms - self._window_ms:
            self._quotes -= self._looks.popleft()[3]

    @property
    def volume_e2(self) -> int:
        """Contracts a minute over a whole window, however short the market has been looked at."""
        return self._rise(1)

    @property
    def updates(self) -> int:
        """Changes of levels a minute, likewise."""
        return self._rise(2)

    def _rise(self, word: int) -> int:
        if not self._looks:
            return 0
        return (self._looks[-1][word] - self._looks[0][word]) * MINUTE_MS // self._window_ms

    @property
    def score(self) -> int:
        """Points: volume, half of the updates, and the mean of the looks for spread and depth."""
        if not self._looks:
            return 0
        quotes = self._quotes // len(self._looks)
        return points(1 + self.volume_e2 // 100) + points(1 + self.updates) // 2 + quotes


def _quote_points(look: MarketLook) -> int:
    """Points of a look for its spread, and half of those for its depth; 0 with a side missing."""
    if not look.spread_e4:
        return 0
    return points(ONE_DOLLAR_E4 // look.spread_e4) + points(1 + look.touch_e2 // 100) // 2


class HotMarkets:
    """The markets in which the actor is.

    Whenever there is an eligible market it is in one, and in as many as the rules allow. A market
    that is not eligible any more is left at the same look. Another one replaces it only after its
    dwell, and only when that is hotter by the margin and was not left within a dwell itself.

    A market that could not be read or traded for a moment (stale after a reconnect, paused) takes
    its place back if it returns within `HotRules.return_ms`, once a dwell.

    Args:
        rules: The bounds.
    """

    def __init__(self, rules: HotRules) -> None:
        self._rules = rules
        self._since: dict[str, int] = {}  # ticker -> when the actor went in
        self._left: dict[str, _Left] = {}
        self._returned: dict[str, int] = {}  # ticker -> when it last took its place back
        self._activity: dict[str, Activity] = {}
        self._scores: dict[str, int] = {}
        self._looks: Mapping[str, MarketLook] = {}
        self._now_ms = 0

    def __contains__(self, ticker: str) -> bool:
        return ticker in self._since

    @property
    def chosen(self) -> tuple[str, ...]:
        """The markets in which the actor is, the one that it has been in for longest first."""
        return tuple(self._since)

    def resume(self, now_ms: int, tickers: Iterable[str]) -> None:
        """Let the markets of an earlier run claim their places, as if they were left just now."""
        self._left |= {ticker: _Left(now_ms, True) for ticker in tickers}

    def may_return(self, ticker: str) -> bool:
        """Whether a market that was left takes its place back as soon as it is eligible."""
        left = self._left.get(ticker)
        in_time = left is not None and self._now_ms - left.at_ms <= self._rules.return_ms
        return left is not None and left.claims and in_time

    def bar(self, look: MarketLook, now_ms: int) -> str:
        """Why a market is not eligible at `now_ms`; "" when it is."""
        if look.bar:
            return look.bar
        if 0 < look.close_ms <= now_ms + self._rules.close_ms:
            return Bar.CLOSING
        if not look.spread_e4:
            return Bar.ONE_SIDED
        return Bar.WIDE if look.spread_e4 > self._rules.max_spread_e4 else ""

    def look(self, now_ms: int, looks: Iterable[MarketLook]) -> list[MarketChange]:
        """Take one look at every market that is followed, and choose.

        Args:
            now_ms: Market time. A step back of more than 5 s begins all windows and dwells anew, a
                shorter one counts as none.
            looks: One per market.

        Returns:
            What changed, in order; markets that were left come first.
        """
        if now_ms < self._now_ms - RESTART_MS:
            self._restart(now_ms)
        else:
            now_ms = max(now_ms, self._now_ms)
        self._now_ms = now_ms
        self._looks = {look.ticker: look for look in looks}
        self._observe()
        bars = {ticker: self.bar(look, now_ms) for ticker, look in self._looks.items()}
        changes = [
            self._leave(ticker, bars.get(ticker, MISSING), claims=_claims(bars.get(ticker)))
            for ticker in self.chosen
            if bars.get(ticker, MISSING)
        ]
        eligible = [ticker for ticker, bar in bars.items() if not bar]
        changes += self._replace([t for t in eligible if t not in self._since])
        changes += self._fill([t for t in eligible if t not in self._since])
        return changes

    def scores(self) -> list[MarketScore]:
        """Every market of the last look: those in which the actor is, then by score."""
        found = [self._score_of(look) for look in self._looks.values()]
        return sorted(found, key=lambda s: (s.since_ms is None, bool(s.bar), -s.score, s.ticker))

    def _score_of(self, look: MarketLook) -> MarketScore:
        activity = self._activity[look.ticker]
        return MarketScore(
            look.ticker,
            self._scores[look.ticker],
            activity.volume_e2,
            activity.updates,
            look.spread_e4,
            look.touch_e2,
            self.bar(look, self._now_ms),
            self._since.get(look.ticker),
        )

    def _restart(self, now_ms: int) -> None:
        """Market time went back: a replay has started over."""
        self._activity.clear()
        self._left.clear()
        self._returned.clear()
        self._since = dict.fromkeys(self._since, now_ms)

    def _observe(self) -> None:
        """Windows and scores of the markets of this look; those of others are dropped."""
        before = self._activity
        self._activity = {
            ticker: before.get(ticker) or Activity(self._rules.window_ms) for ticker in self._looks
        }
        for ticker, activity in self._activity.items():
            activity.take(self._now_ms, self._looks[ticker])
            self._scores[ticker] = activity.score
        forget_ms = self._now_ms - max(self._rules.dwell_ms, self._rules.return_ms)
        self._left = {t: left for t, left in self._left.items() if left.at_ms > forget_ms}
        self._returned = {t: at_ms for t, at_ms in self._returned.items() if at_ms > forget_ms}
        known = self._activity.keys() | self._since.keys()
        self._scores = {t: score for t, score in self._scores.items() if t in known}

    def _leave(self, ticker: str, reason: str, *, claims: bool = False) -> MarketChange:
        """Leave a market; a second claim within a dwell is none."""
        del self._since[ticker]
        claims = claims and not self._within_dwell(self._returned.get(ticker))
        self._left[ticker] = _Left(self._now_ms, claims)
        return MarketChange(ticker, False, reason, self._scores.get(ticker, 0), self._now_ms)

    def _enter(self, ticker: str, reason: str) -> MarketChange:
        self._since[ticker] = self._now_ms
        if self.may_return(ticker):
            self._returned[ticker] = self._now_ms
        self._left.pop(ticker, None)
        return MarketChange(ticker, True, reason, self._scores[ticker], self._now_ms)

    def _within_dwell(self, since_ms: int | None) -> bool:
        return since_ms is not None and self._now_ms - since_ms < self._rules.dwell_ms

    def _hotness(self, ticker: str) -> tuple[bool, bool, int, str]:
        """A key by which the market to go into comes first."""
        left = self._left.get(ticker)
        was_left = left is not None and self._within_dwell(left.at_ms)
        return not self.may_return(ticker), was_left, -self._scores[ticker], ticker

    def _replace(self, candidates: list[str]) -> list[MarketChange]:
        """At most one market makes place for another: what claims it, or what is hotter."""
        if not candidates or len(self._since) < self._rules.markets:
            return []
        best = min(candidates, key=self._hotness)
        if self.may_return(best):
            newest = self.chosen[-1]
            gone = self._leave(newest, f"{best} is back")
            return [gone, self._enter(best, "back")]
        free = [t for t, since_ms in self._since.items() if not self._within_dwell(since_ms)]
        if not free or self._hotness(best)[1]:
            return []
        weakest = min(free, key=lambda t: (self._scores[t], t))
        if self._scores[best] < self._scores[weakest] + self._rules.margin:
            return []
        gone = self._leave(weakest, f"{best} is hotter")
        return [gone, self._enter(best, "hotter")]

    def _fill(self, candidates: list[str]) -> list[MarketChange]:
        """Free places go to the hottest, one market each."""
        free = self._rules.markets - len(self._since)
        best = sorted(candidates, key=self._hotness)[:free]
        return [self._enter(t, "back" if self.may_return(t) else "hottest") for t in best]


def _claims(bar: str | None) -> bool:
    """Whether a market left for this may take its place back: what cannot be seen may return."""
    return bar not in list(Bar)


def exit_pricing(
    on_switch: OnSwitch, close_ms: int, now_ms: int, rules: HotRules
) -> Pricing | None:
    """How an order that closes a position is priced; None when nothing is closed.

    Args:
        on_switch: What was asked for.
        close_ms: When the market closes, 0 unknown.
        now_ms: Market time.
        rules: Say when the close is near.
    """
    if on_switch is OnSwitch.HOLD:
        return None
    near = 0 < close_ms <= now_ms + rules.close_ms
    return Pricing.PASSIVE if on_switch is OnSwitch.REDUCE and not near else Pricing.AGGRESSIVE
