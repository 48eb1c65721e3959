"""Which markets of the exchange are followed, and why. Rows in, a choice out; no I/O and no clock.

Of the whole list only the best are kept (`SPARE` more than are followed), so the choice is made
among a few thousand at most, however long the list is. A market that is followed keeps its place
until it closes: one whole recording is worth more than parts of several.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from ipc.clock import MS_PER_S
from ipc.units import format_count, parse_count
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.normalise import MarketInfo, amount, market_of, ms_of_rfc3339
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.runtime.config import BookSettings

__all__ = ["LIVING", "ChosenMarket", "MarketChoice", "MarketRules", "differences"]

LIVING: Final = frozenset({MarketStatus.INITIALIZED, MarketStatus.INACTIVE, MarketStatus.ACTIVE})
SPARE: Final = 1_000  # candidates kept beside those that are followed, to take their places
MOST_NAME: Final = 112  # bytes of a ticker that the table of books holds
MOST_TITLE: Final = 200  # characters
MOST_REFUSED: Final = 10_000  # tickers remembered so that each is reported once
BY_CLOSE: Final = "close"
UNKNOWN_REASON: Final = "followed already"

Refuse = Callable[[str, str], None]  # a ticker, and why it cannot be followed


class ChosenMarket(msgspec.Struct, frozen=True):
    """A market to follow, and why it was chosen; `volume_e2` is of the last 24 hours."""

    market: Market
    reason: str
    volume_e2: int

    @property
    def info(self) -> MarketInfo:
        """The market in integers; `WireError` when its grid or times cannot be read."""
        return market_of(self.market)


class MarketRules(msgspec.Struct, frozen=True):
    """What the settings say about the choice; see `BookSettings`."""

    named: tuple[str, ...] = ()  # follow these and no others
    series: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    limit: int = 100
    min_volume_e2: int = 0
    min_left_ms: int = 0
    max_left_ms: int | None = None
    by_close: bool = False

    @classmethod
    def of(cls, books: BookSettings) -> MarketRules:
        """From the settings."""
        if books.mode == "config":
            return cls(named=books.tickers, limit=len(books.tickers))
        return cls(
            series=books.series,
            patterns=books.patterns,
            limit=books.market_limit,
            min_volume_e2=books.min_volume_e2,
            min_left_ms=books.min_left_ms,
            max_left_ms=books.max_left_ms or None,
            by_close=books.order == BY_CLOSE,
        )

    def takes_name(self, ticker: str) -> bool:
        """Whether a market of this ticker may be followed at all.

        A ticker begins with that of its series, which a market of REST does not name.
        """
        if self.named:
            return ticker in self.named
        if self.series and not any(ticker.startswith(f"{s}-") for s in self.series):
            return False
        return not self.patterns or any(fnmatchcase(ticker, p) for p in self.patterns)

    def takes_time(self, close_ms: int, now_ms: int) -> bool:
        """Whether a new market has neither too little nor too much time to its close."""
        left_ms = close_ms - now_ms
        if left_ms < self.min_left_ms:
            return False
        return self.max_left_ms is None or left_ms <= self.max_left_ms

    @property
    def chosen_by(self) -> str:
        """The filters, for the reason of a choice."""
        words = [("series", self.series), ("pattern", self.patterns)]
        return ", ".join(f"{word} {' or '.join(names)}" for word, names in words if names)


class _Candidate(msgspec.Struct, frozen=True):
    """A market of the list with what decides about it."""

    market: Market
    volume_e2: int
    open_ms: int
    close_ms: int


class MarketChoice:
    """The candidates, and which of them to follow.

    Args:
        rules: what the settings say.
        refuse: called once for each market that cannot be read.

    Attributes:
        closed_rows: rows of lists of open markets that were closed, and were dropped.
    """

    def __init__(self, rules: MarketRules, refuse: Refuse) -> None:
        self.rules = rules
        self.closed_rows = 0
        self._refuse = refuse
        self._refused: set[str] = set()
        self._known: dict[str, _Candidate] = {}
        self._listed: dict[str, _Candidate] | None = None  # of the look that is under way
        self._followed: frozenset[str] = frozenset()
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def followed(self) -> frozenset[str]:
        """The markets that have a row now."""
        return self._followed

    def on_followed(self, tickers: Iterable[str]) -> None:
        """These have a row now, and no others."""
        self._followed = frozenset(tickers)

    # What the exchange says

    def begin_look(self) -> None:
        """The list is read from its beginning."""
        self._listed = {}

    def on_page(self, markets: Iterable[Market], now_ms: int) -> None:
        """A page of the list of open markets, in a look that has begun."""
        listed = self._listed if self._listed is not None else {}
        for market in markets:
            if market.status is not MarketStatus.ACTIVE:
                self.closed_rows += 1
            elif (candidate := self._candidate(market, now_ms)) is not None:
                listed[market.ticker] = candidate
        if len(listed) > 4 * self._room:
            self._listed = self._best(listed, now_ms)

    def end_look(self, now_ms: int) -> frozenset[str]:
        """The list has been read -> followed markets that it did not have: ask for them by name."""
        listed, self._listed = self._listed or {}, None
        missing = self._followed - listed.keys()
        kept = {t: self._known[t] for t in missing if t in self._known}
        self._known = self._best(listed, now_ms) | kept
        return missing

    def abandon_look(self) -> None:
        """The list could not be read to its end: what is known stays."""
        self._listed = None

    def put(self, market: Market, now_ms: int) -> None:
        """A market as it is now, whether or not it was known."""
        candidate = self._candidate(market, now_ms)
        if candidate is None:
            self.drop(market.ticker)
            return
        for known in (self._known, self._listed):
            if known is not None:
                known[market.ticker] = candidate
        if len(self._known) > 4 * self._room:
            self._known = self._best(self._known, now_ms)

    def drop(self, ticker: str) -> None:
        """A market that is over, or that the exchange does not know (any more)."""
        self._known.pop(ticker, None)
        if self._listed is not None:
            self._listed.pop(ticker, None)

    def _candidate(self, market: Market, now_ms: int) -> _Candidate | None:
        """None for what is over, is not wanted, or cannot be read."""
        ticker = market.ticker
        if market.status not in LIVING or not self.rules.takes_name(ticker):
            return None
        try:
            open_ms, close_ms = ms_of_rfc3339(market.open_time), ms_of_rfc3339(market.close_time)
        except WireError as error:
            self._refuse_once(ticker, str(error))
            return None
        if 0 < close_ms <= now_ms or len(ticker) + len(market.event_ticker) > 2 * MOST_NAME:
            return None
        return _Candidate(market, _volume_e2(market), open_ms, close_ms)

    def _refuse_once(self, ticker: str, reason: str) -> None:
        if ticker not in self._refused and len(self._refused) < MOST_REFUSED:
            self._refused.add(ticker)
            self._refuse(ticker, reason)

    # The choice

    @property
    def _room(self) -> int:
        return self.rules.limit + max(self.rules.limit, SPARE)

    def _best(self, found: dict[str, _Candidate], now_ms: int) -> dict[str, _Candidate]:
        """The followed ones, and the best of the others."""
        if len(found) <= self._room:
            return found
        ranked = sorted(found.items(), key=lambda item: self._rank(item[1], now_ms))
        best = dict(ranked[: self._room])
        best.update((t, found[t]) for t in self._followed & found.keys())
        return best

    def _rank(self, candidate: _Candidate, now_ms: int) -> tuple[bool, int, int, str]:
        """The best has the lowest; those that may not be chosen now come last."""
        late = not self._may_join(candidate, now_ms)
        first = candidate.close_ms if self.rules.by_close else -candidate.volume_e2
        return late, first, -candidate.volume_e2, candidate.market.ticker

    def _may_join(self, candidate: _Candidate, now_ms: int) -> bool:
        """Whether a market that is not followed may be."""
        if self.rules.named:
            return True
        status = candidate.market.status
        is_open = status is MarketStatus.ACTIVE or (
            status is MarketStatus.INITIALIZED and candidate.open_ms <= now_ms
        )
        return (
            is_open
            and candidate.volume_e2 >= self.rules.min_volume_e2
            and self.rules.takes_time(candidate.close_ms, now_ms)
        )

    def choose(self, now_ms: int) -> list[ChosenMarket]:
        """Those to follow: first the followed ones that are not over, then the best others."""
        living = {t: c for t, c in self._known.items() if not 0 < c.close_ms <= now_ms}
        self._reasons = {t: r for t, r in self._reasons.items() if t in living}
        ranked = self._ranked(living, now_ms)
        kept = [t for t in ranked if t in self._followed]
        joining = [
            t for t in ranked if t not in self._followed and self._may_join(living[t], now_ms)
        ]
        places = {ticker: place for place, ticker in enumerate(ranked, 1)}
        chosen: list[ChosenMarket] = []
        for ticker in [*kept, *joining]:
            if len(chosen) == self.rules.limit:
                break
            if self._is_readable(living[ticker].market):
                chosen.append(self._chosen(living[ticker], places[ticker], now_ms))
        return chosen

    def _ranked(self, living: dict[str, _Candidate], now_ms: int) -> list[str]:
        if self.rules.named:
            return [t for t in dict.fromkeys(self.rules.named) if t in living]
        return sorted(living, key=lambda t: self._rank(living[t], now_ms))

    def _is_readable(self, market: Market) -> bool:
        try:
            market_of(market)
        except WireError as error:
            self._refuse_once(market.ticker, str(error))
            return False
        return True

    def _chosen(self, candidate: _Candidate, place: int, now_ms: int) -> ChosenMarket:
        """With the reason that it was chosen for first."""
        ticker = candidate.market.ticker
        reason = self._reasons.get(ticker)
        if reason is None:
            known = ticker not in self._followed
            reason = self._reason(candidate, place, now_ms) if known else UNKNOWN_REASON
            self._reasons[ticker] = reason
        return ChosenMarket(_short(candidate.market), reason, candidate.volume_e2)

    def _reason(self, candidate: _Candidate, place: int, now_ms: int) -> str:
        rules = self.rules
        if rules.named:
            return "named in RL_MARKET_TICKERS"
        volume = f"{format_count(candidate.volume_e2)} contracts in 24 h"
        if rules.by_close:
            minutes = (candidate.close_ms - now_ms) // (60 * MS_PER_S)
            words = f"number {place} by time to close, {minutes} min left, {volume}"
        else:
            words = f"number {place} by volume, {volume}"
        return f"{words}, {rules.chosen_by}" if rules.chosen_by else words

    # What to ask for

    def wants_news_of(self, ticker: str) -> bool:
        """Whether to ask about a market whose status changed, followed or not.

        A new market has no volume: among the most traded it is of no use while all places are
        taken. By its close, its series or its name it may be the next to follow.
        """
        if ticker in self._followed:
            return True
        if not self.rules.takes_name(ticker):
            return False
        is_narrow = self.rules.by_close or bool(self.rules.chosen_by) or bool(self.rules.named)
        return is_narrow or len(self._followed) < self.rules.limit

    def next_open_ms(self, now_ms: int) -> int | None:
        """When the next market opens that is not open yet, Unix ms; None without one."""
        waiting = [c.open_ms for c in self._known.values() if c.open_ms > now_ms]
        return min(waiting, default=None)

    def short_of_volume(self, number: int, now_ms: int) -> list[str]:
        """The `number` markets that lack volume least, while there are places to take."""
        if self.rules.named or not self.rules.min_volume_e2:
            return []
        if len(self._followed) >= self.rules.limit:
            return []
        short = [
            (-c.volume_e2, t)
            for t, c in self._known.items()
            if t not in self._followed
            and c.volume_e2 < self.rules.min_volume_e2
            and self.rules.takes_time(c.close_ms, now_ms)
        ]
        return [ticker for _, ticker in sorted(short)[:number]]


def differences(
    before: dict[str, ChosenMarket], now: Collection[ChosenMarket]
) -> tuple[list[ChosenMarket], list[str]]:
    """(new or changed, no longer chosen) between two choices."""
    tickers = {c.market.ticker for c in now}
    changed = [c for c in now if _facts(before.get(c.market.ticker)) != _facts(c)]
    return changed, [t for t in before if t not in tickers]


def _facts(chosen: ChosenMarket | None) -> object:
    """What makes a difference to the one who follows it; volumes do not."""
    if chosen is None:
        return None
    m = chosen.market
    times = m.open_time, m.close_time, m.fee_waiver_expiration_time
    return *times, m.price_ranges, m.status, m.exchange_index, chosen.reason


def _volume_e2(market: Market) -> int:
    """Contracts of the last 24 hours; one that is not said or cannot be read counts as none."""
    try:
        return amount(parse_count, market.volume_24h_fp or "0.00")
    except WireError:
        return 0


def _short(market: Market) -> Market:
    """Without texts that are longer than any real one: the exchange decides how long they are."""
    texts = {name: getattr(market, name) for name in market.__struct_fields__}
    long = {n: None for n, v in texts.items() if isinstance(v, str) and len(v) > MOST_TITLE}
    if not long:
        return market
    return msgspec.structs.replace(market, **{**long, "title": market.title[:MOST_TITLE]})
