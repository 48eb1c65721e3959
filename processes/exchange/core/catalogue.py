"""A catalogue of listed markets beside the few that trade: as many as the real exchange lists.

Nothing of it is stored but a few integers a market. Market `i` is listed again and again in windows
of its own length: it is unopened for a moment, open, closed, determined after a minute, settled
after five, and begins again under the ticker of its next close. In one of `EARLY_EVERY` windows the
close is moved forward. Volumes change every ten minutes. A combo is created every few milliseconds
and is listed for half an hour, then it is gone. Everything follows from the seed and from market
time; `changes` says what has happened between two moments, for the lifecycle channel.

Real figures (PROTOCOL 6.3, autumn 2026): about 95,000 open markets without combos, tens of
thousands of combos made within half an hour, 130 of 12,396 series charge makers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.units import ONE_DOLLAR_E4, format_price, is_whole
from models.trading.fees import FLAT, FeeSchedule, rule_at_ms
from processes.exchange.core.books import NO, YES, Level
from processes.exchange.core.events import BookChanged, EventCreated, LifecycleChanged
from processes.exchange.core.markets import ListedMarket, MarketFacts, MarketPhase
from processes.exchange.core.operations import close_trading
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.venue import Venue

__all__ = [
    "COMBO_SERIES",
    "Catalogue",
    "CatalogueChange",
    "CatalogueEvent",
    "CatalogueFilter",
    "ComboRow",
    "FollowedMarkets",
    "MarketRow",
    "combo_event",
    "outcome_of",
]

EVENT_SIZES: Final = (1, 2, 2, 3, 5, 8, 12, 31)  # markets of the events of a series
BLOCK: Final = sum(EVENT_SIZES)  # markets of a series
STARTS: Final = tuple(sum(EVENT_SIZES[:n]) for n in range(len(EVENT_SIZES)))
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WINDOWS_MS: Final = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS)
SHARES: Final = (0.01, 0.29, 0.3, 0.25, 0.15)  # of the windows
CLOSED_MS: Final = 10 * MINUTE_MS  # at the end of a window
UNOPENED_MS: Final = 2 * MINUTE_MS  # at its beginning
DETERMINED_MS: Final = MINUTE_MS  # after the close
SETTLED_MS: Final = 5 * MINUTE_MS  # after the close
EARLY_EVERY: Final = 16  # of so many windows one closes early,
EARLY_MS: Final = 5 * MINUTE_MS  # by so much; this is announced in the middle of the window
VOLUME_MS: Final = 10 * MINUTE_MS  # between two changes of a volume
VOLUME_STEPS: Final = 32  # a market's volume lies between its least and twice that
ACTIVE_AT_ONCE: Final = 10  # followed markets whose book changes in one step
ACTIVE_E2: Final = 500  # contracts by which it changes
COMBO_SERIES: Final = "KXMVECATALOGUE"
COMBO_LISTED_MS: Final = 30 * MINUTE_MS
COMBO_LEGS: Final = 3
ENDINGS: Final = frozenset({"determined", "settled"})
CATEGORIES: Final = ("Sports", "Politics", "Economics", "Climate and Weather", "Crypto")
MAKER_FEES_EVERY: Final = 95  # of so many series one charges makers
OTHER_MULTIPLIERS: Final = {3: 5_000, 11: 0}  # of 16 series, 1e-4
FLAT_FEES: Final = 7  # of 16 series, the one with flat fees

Ints = npt.NDArray[np.int64]


class MarketRow(NamedTuple):
    """One market of the catalogue as it is at a moment; `place` is its own for ever."""

    place: int
    open_ms: int
    close_ms: int
    phase: MarketPhase


class ComboRow(NamedTuple):
    """One combo; numbers ascend with the time of creation."""

    number: int
    created_ms: int


class CatalogueChange(NamedTuple):
    """What the lifecycle channel says about a market of the catalogue, and when it happened.

    `event_type` as the channel calls it. `is_first`: it is the first of its event.
    """

    event_type: str
    row: MarketRow
    is_first: bool


class CatalogueEvent(NamedTuple):
    """One event: its place for ever, its series' number, and its markets' places."""

    place: int
    block: int
    first: int
    end: int


class CatalogueFilter(msgspec.Struct, frozen=True):
    """What a list asks for; times in Unix milliseconds, both ends included, None for any."""

    status: str = ""
    series: str = ""
    event: str = ""
    created_ms: tuple[float, float] | None = None
    close_ms: tuple[float, float] | None = None
    settled_ms: tuple[float, float] | None = None
    updated_ms: tuple[float, float] | None = None


class Catalogue:
    """`markets` listed markets and `combos` combos, decided by `seed`.

    Times are market time, Unix milliseconds; prices 1e-4 dollars, counts 1e-2 contracts.
    """

    def __init__(self, markets: int, combos: int, seed: int) -> None:
        self.markets = markets
        self.combos = combos
        random = np.random.default_rng((seed, 0xCA7A))
        events = -(-markets // BLOCK) * len(EVENT_SIZES)
        windows = random.choice(np.array(WINDOWS_MS), events, p=SHARES)
        offsets = (random.random(events) * windows).astype(np.int64) // MINUTE_MS * MINUTE_MS
        of_market = self._events_of(np.arange(markets, dtype=np.int64))
        self._event: Ints = of_market
        self._windows_ms, self._offsets_ms = windows, offsets  # of events
        self._window_ms: Ints = windows[of_market]
        self._offset_ms: Ints = offsets[of_market]
        self._bid_e4 = (random.integers(1, 97, markets) * 100).astype(np.int16)
        self._spread_e4 = (random.integers(1, 4, markets) * 100).astype(np.int16)
        volume = 50 * np.exp(2.2 * random.standard_normal(markets))
        self._volume_e2 = (np.minimum(volume, 200_000) * 100).astype(np.int32)

    @staticmethod
    def _events_of(indices: Ints) -> Ints:
        within = np.searchsorted(np.array(STARTS), indices % BLOCK, side="right") - 1
        found: Ints = indices // BLOCK * len(EVENT_SIZES) + within
        return found

    # Markets

    def rows(self, wanted: CatalogueFilter, now_ms: int, after: int = -1) -> Iterator[MarketRow]:
        """The markets that pass a filter, by their place, those after place `after`."""
        first, end = self._range(wanted)
        first = max(first, after + 1)
        if first >= end:
            return
        open_ms, close_ms = self._times(first, end, now_ms)
        fits = np.ones(end - first, bool)
        if wanted.status:
            fits &= self._in_status(wanted.status, open_ms, close_ms, now_ms)
        for times, limits in (
            (open_ms, wanted.created_ms),
            (close_ms, wanted.close_ms),
            (close_ms + SETTLED_MS, wanted.settled_ms),
            (self._updated(first, end, open_ms, close_ms, now_ms), wanted.updated_ms),
        ):
            if limits is not None:
                fits &= (times >= limits[0]) & (times <= limits[1])
        if wanted.settled_ms is not None:
            fits &= now_ms >= close_ms + SETTLED_MS
        for place in np.flatnonzero(fits).tolist():
            row = first + place, int(open_ms[place]), int(close_ms[place])
            if not wanted.event or self.event_ticker(*row) == wanted.event:
                yield MarketRow(*row, self._phase(row[1], row[2], now_ms))

    def _range(self, wanted: CatalogueFilter) -> tuple[int, int]:
        """The places among which the wanted ones are."""
        series = wanted.series or wanted.event.partition("-")[0]
        if not series:
            return 0, self.markets
        block = _block_of(series)
        if block is None or (wanted.series and wanted.event and series not in wanted.event):
            return 0, 0
        return block * BLOCK, min((block + 1) * BLOCK, self.markets)

    def _times(self, first: int, end: int, now_ms: int) -> tuple[Ints, Ints]:
        """When the windows that are running open and close."""
        window_ms, offset_ms = self._window_ms[first:end], self._offset_ms[first:end]
        number = (now_ms - offset_ms) // window_ms
        begins_ms = number * window_ms + offset_ms
        early = _closes_early(self._event[first:end], number)
        early &= now_ms >= begins_ms + window_ms // 2
        close_ms = begins_ms + window_ms - CLOSED_MS - EARLY_MS * early
        return begins_ms + UNOPENED_MS, close_ms

    def _updated(self, first: int, end: int, open_ms: Ints, close_ms: Ints, now_ms: int) -> Ints:
        """When each market last changed, but for trading."""
        window_ms = self._window_ms[first:end]
        updated_ms = open_ms - UNOPENED_MS
        usual_ms = updated_ms + window_ms - CLOSED_MS
        updated_ms = np.where(close_ms != usual_ms, updated_ms + window_ms // 2, updated_ms)
        for after_ms in (0, DETERMINED_MS, SETTLED_MS):
            times = close_ms + after_ms
            updated_ms = np.where(now_ms >= times, times, updated_ms)
        return updated_ms

    @staticmethod
    def _in_status(
        status: str, open_ms: Ints, close_ms: Ints, now_ms: int
    ) -> npt.NDArray[np.bool_]:
        if status == "open":
            return np.asarray((open_ms <= now_ms) & (now_ms < close_ms))
        if status == "unopened":
            return np.asarray(now_ms < open_ms)
        if status == "closed":
            return np.asarray((now_ms >= close_ms) & (now_ms < close_ms + SETTLED_MS))
        if status == "settled":
            return np.asarray(now_ms >= close_ms + SETTLED_MS)
        return np.zeros(len(open_ms), bool)

    @staticmethod
    def _phase(open_ms: int, close_ms: int, now_ms: int) -> MarketPhase:
        if now_ms < open_ms:
            return MarketPhase.INITIALIZED
        if now_ms < close_ms:
            return MarketPhase.ACTIVE
        if now_ms < close_ms + DETERMINED_MS:
            return MarketPhase.CLOSED
        settles_ms = close_ms + SETTLED_MS
        return MarketPhase.DETERMINED if now_ms < settles_ms else MarketPhase.FINALIZED

    def row(self, index: int, now_ms: int) -> MarketRow:
        """One market by its place."""
        (open_ms,), (close_ms,) = self._times(index, index + 1, now_ms)
        phase = self._phase(int(open_ms), int(close_ms), now_ms)
        return MarketRow(index, int(open_ms), int(close_ms), phase)

    def find(self, ticker: str, now_ms: int) -> MarketRow | None:
        """The market that is listed under a ticker now."""
        series, *rest = ticker.split("-")
        block = _block_of(series)
        if block is None or len(rest) != 2 or not is_whole(rest[1]):
            return None
        index = block * BLOCK + int(rest[1]) - 1
        if not block * BLOCK <= index < min((block + 1) * BLOCK, self.markets):
            return None
        row = self.row(index, now_ms)
        return row if self.ticker(row) == ticker else None

    def event_ticker(self, index: int, open_ms: int, _close_ms: int) -> str:
        """The ticker of a market's event: its series, its first close, its place in the series."""
        block, within = divmod(index, BLOCK)
        event = sum(start <= within for start in STARTS)
        close_ms = open_ms - UNOPENED_MS + int(self._window_ms[index]) - CLOSED_MS
        close = datetime.fromtimestamp(close_ms // 1000, UTC)
        return f"{_series(block)}-{close:%y%b%d%H%M}E{event}".upper()

    def ticker(self, row: MarketRow) -> str:
        """A market's ticker."""
        event = self.event_ticker(row.place, row.open_ms, row.close_ms)
        return f"{event}-{row.place % BLOCK + 1}"

    def market(self, row: MarketRow, now_ms: int) -> ListedMarket:
        """A market with its book, as the venue has its own."""
        block, within = divmod(row.place, BLOCK)
        market = ListedMarket(
            MarketFacts(
                ticker=self.ticker(row),
                event_ticker=self.event_ticker(row.place, row.open_ms, row.close_ms),
                series_ticker=_series(block),
                open_ms=row.open_ms,
                close_ms=row.close_ms,
                title=f"Catalogue market {row.place}?",
                yes_sub_title=f"Outcome {within + 1}",
                no_sub_title=f"Outcome {within + 1}",
                category=CATEGORIES[block % len(CATEGORIES)],
                fee_type=_fee_type(block),
                fee_multiplier_e4=_multiplier(block),
                fees=FeeSchedule.of(rule_at_ms(row.open_ms), _fee_type(block), _multiplier(block)),
            ),
            0,
        )
        market.status = row.phase
        if row.phase is MarketPhase.ACTIVE:
            market.book.replace(self.levels(row.place))
        market.volume_e2 = self.volume_e2(row.place, now_ms)
        market.open_interest_e2 = market.volume_e2 // 3
        market.last_price_e4 = int(self._bid_e4[row.place])
        market.updated_ms = self._updated_ms(row, now_ms)
        if row.phase in (MarketPhase.DETERMINED, MarketPhase.FINALIZED):
            market.result, market.value_e4 = outcome_of(row.place)
        if row.phase is MarketPhase.FINALIZED:
            market.settled_ms = row.close_ms + SETTLED_MS
        return market

    def _updated_ms(self, row: MarketRow, now_ms: int) -> int:
        place, times = row.place, (np.array([row.open_ms]), np.array([row.close_ms]))
        return int(self._updated(place, place + 1, *times, now_ms)[0])

    def volume_e2(self, index: int, now_ms: int) -> int:
        """Contracts of the last 24 hours, 1e-2."""
        least = int(self._volume_e2[index])
        return (
            least + least * ((now_ms // VOLUME_MS + index * 7_919) % VOLUME_STEPS) // VOLUME_STEPS
        )

    def changes(self, last_ms: int, now_ms: int) -> Iterator[CatalogueChange]:
        """What happened after `last_ms` and up to `now_ms`; everything happens on whole minutes."""
        if not self.markets or last_ms // MINUTE_MS == now_ms // MINUTE_MS:
            return
        for event_type, after_ms in self._steps():
            for early in (False, True):
                if event_type == "close_date_updated" and not early:
                    continue
                times_ms = after_ms - (EARLY_MS if early and event_type in ENDINGS else 0)
                for event in self._events_at(times_ms, last_ms, now_ms, early=early):
                    yield from self._rows_of(event_type, event, now_ms)

    def _steps(self) -> tuple[tuple[str, Ints], ...]:
        """Each kind of change, and how long after the beginning of a window it happens."""
        close_ms = self._windows_ms - CLOSED_MS
        return (
            ("created", np.zeros_like(self._windows_ms)),
            ("close_date_updated", self._windows_ms // 2),
            ("determined", close_ms + DETERMINED_MS),
            ("settled", close_ms + SETTLED_MS),
        )

    def _events_at(self, times_ms: Ints, last_ms: int, now_ms: int, *, early: bool) -> list[int]:
        """The events for which a moment of their window has come, in windows that close early."""
        base_ms = self._offsets_ms + times_ms
        number = (now_ms - base_ms) // self._windows_ms
        has_come = number > (last_ms - base_ms) // self._windows_ms
        is_early = _closes_early(np.arange(len(number)), number)
        found: list[int] = np.flatnonzero(has_come & (is_early == early)).tolist()
        return found

    def _rows_of(self, event_type: str, event: int, now_ms: int) -> Iterator[CatalogueChange]:
        block, n = divmod(event, len(EVENT_SIZES))
        first = block * BLOCK + STARTS[n]
        for place in range(first, min(first + EVENT_SIZES[n], self.markets)):
            yield CatalogueChange(event_type, self.row(place, now_ms), place == first)

    def levels(self, index: int) -> tuple[Level, ...]:
        """Three levels a leg, for ever the same."""
        bid_e4, spread_e4 = int(self._bid_e4[index]), int(self._spread_e4[index])
        no_e4 = ONE_DOLLAR_E4 - bid_e4 - spread_e4
        size_e2 = 1_000 + index % 97 * 100
        steps = [(YES, bid_e4 - 100 * n, size_e2 * (n + 1)) for n in range(3)]
        steps += [(NO, no_e4 - 100 * n, size_e2 * (n + 1)) for n in range(3)]
        return tuple(level for level in steps if level[1] > 0)

    # Events and series

    def events(self, series: str, after: int = -1) -> Iterator[CatalogueEvent]:
        """The events of a series or of all, by their place, those after place `after`."""
        blocks: Iterable[int] = range(self.blocks)
        if series:
            block = _block_of(series)
            blocks = [] if block is None or block >= self.blocks else [block]
        else:
            blocks = range(max(after, 0) // len(EVENT_SIZES), self.blocks)
        for block in blocks:
            for n, (start, size) in enumerate(zip(STARTS, EVENT_SIZES, strict=True)):
                event, first = block * len(EVENT_SIZES) + n, block * BLOCK + start
                if event > after and first < self.markets:
                    yield CatalogueEvent(event, block, first, min(first + size, self.markets))

    def event_markets(self, event: CatalogueEvent, now_ms: int) -> list[MarketRow]:
        """An event's markets as they are now; all have the same times."""
        return [self.row(place, now_ms) for place in range(event.first, event.end)]

    def find_event(self, ticker: str, now_ms: int) -> CatalogueEvent | None:
        """The event that is listed under a ticker now."""
        series, _, digits = ticker.partition("-")[0], *ticker.rpartition("E")[1:]
        if not digits.isdecimal():
            return None
        for event in self.events(series) if _block_of(series) is not None else ():
            row = self.row(event.first, now_ms)
            if self.event_ticker(event.first, row.open_ms, row.close_ms) == ticker:
                return event
        return None

    @property
    def blocks(self) -> int:
        """Series that there are."""
        return -(-self.markets // BLOCK)

    def series(self, now_ms: int) -> Iterator[tuple[str, MarketRow]]:
        """Every series' ticker, with its first market."""
        for block in range(self.blocks):
            yield _series(block), self.row(block * BLOCK, now_ms)

    def first_of(self, series: str, now_ms: int) -> MarketRow | None:
        """The first market of a series of this ticker."""
        block = _block_of(series)
        return None if block is None or block >= self.blocks else self.row(block * BLOCK, now_ms)

    # Combos

    def combo_rows(self, now_ms: int, after: int = -1) -> Iterator[ComboRow]:
        """The combos that are listed now, by number, those after number `after`."""
        if not self.combos:
            return
        last = now_ms * self.combos // COMBO_LISTED_MS
        for number in range(max(last - self.combos + 1, after + 1), last + 1):
            yield ComboRow(number, -(-number * COMBO_LISTED_MS // self.combos))

    def find_combo(self, ticker: str, now_ms: int) -> ComboRow | None:
        """The combo that is listed under a ticker (or its event under an event's)."""
        series, _, rest = ticker.partition("-S")
        text = rest.partition("-")[0]
        if series != COMBO_SERIES or not self.combos:
            return None
        try:
            number = int(text, 16)
        except ValueError:
            return None
        last = now_ms * self.combos // COMBO_LISTED_MS
        if not last - self.combos < number <= last:
            return None
        row = ComboRow(number, -(-number * COMBO_LISTED_MS // self.combos))
        return row if ticker in (combo_event(row), combo_event(row) + "-1") else None

    def combo(self, row: ComboRow) -> ListedMarket:
        """A combo as a market: no book, a few legs of the catalogue."""
        legs: list[dict[str, Any]] = []
        for n in range(COMBO_LEGS if self.markets else 0):
            leg = self.row((row.number * 31 + n * 7_919) % self.markets, row.created_ms)
            event = self.event_ticker(leg.place, leg.open_ms, leg.close_ms)
            legs.append({"market_ticker": self.ticker(leg), "event_ticker": event, "side": "yes"})
        market = ListedMarket(
            MarketFacts(
                ticker=combo_event(row) + "-1",
                event_ticker=combo_event(row),
                series_ticker=COMBO_SERIES,
                open_ms=row.created_ms,
                close_ms=row.created_ms + DAY_MS,
                title=f"Combo {row.number}",
                category=CATEGORIES[0],
                exchange_index=1,
                details={
                    "mve_collection_ticker": f"{COMBO_SERIES}-R",
                    "mve_selected_legs": legs,
                },
            ),
            0,
        )
        market.status = MarketPhase.ACTIVE
        return market


class FollowedMarkets:
    """The markets of a catalogue that are followed or traded: from then on the venue has them.

    Only accounts trade in them; where none does, the size of one level goes up and down. They open,
    close, are determined and settle like all of the catalogue, and the lifecycle channel reports
    that of every market, followed or not.
    """

    def __init__(self, venue: Venue, order_entry: OrderEntry, catalogue: Catalogue) -> None:
        self.by_place: dict[int, ListedMarket] = {}
        self._venue = venue
        self._order_entry = order_entry
        self._catalogue = catalogue
        self._last_ms: int | None = None
        self._turn = 0
        self._added: set[str] = set()  # markets with a size that is to be taken away again

    def follow(self, ticker: str) -> ListedMarket | None:
        """A market that the venue has, or has from now on; None for an unknown ticker."""
        known = self._venue.markets.get(ticker)
        if known is not None:
            return known
        now_ms = self._venue.now_ms()
        row = self._catalogue.find(ticker, now_ms)
        if row is None or row.phase not in (MarketPhase.INITIALIZED, MarketPhase.ACTIVE):
            return None
        listed = self._catalogue.market(row, now_ms)
        market = self._venue.add_market(listed.facts)
        market.volume_e2, market.open_interest_e2 = listed.volume_e2, listed.open_interest_e2
        market.last_price_e4 = listed.last_price_e4
        self._order_entry.open(market)
        market.status = row.phase
        market.book.replace(listed.book.levels())
        market.log.replaced(market.book.levels())
        market.flow_ms, market.updated_ms = now_ms, listed.updated_ms
        self.by_place[row.place] = market
        return market

    def apply(self, now_ms: int) -> None:
        """Everything that has happened since the last call."""
        if self._last_ms is not None:
            for change in self._catalogue.changes(self._last_ms, now_ms):
                self._report(change, now_ms)
        self._last_ms = now_ms
        for place, market in list(self.by_place.items()):
            self._keep_up(place, market, now_ms)

    def _keep_up(self, place: int, market: ListedMarket, now_ms: int) -> None:
        """A followed market's times and phase; once its window is over it is the venue's alone."""
        row = self._catalogue.row(place, now_ms)
        is_over = row.open_ms != market.facts.open_ms
        if not is_over and row.close_ms != market.facts.close_ms:
            self._venue.move_close(market, row.close_ms, now_ms)
        if market.status is MarketPhase.INITIALIZED and now_ms >= market.facts.open_ms:
            market.status = MarketPhase.ACTIVE
            self._venue.replace_book(market, self._catalogue.levels(place), now_ms)
        close_ms = market.facts.close_ms
        if market.is_running and now_ms >= close_ms:
            close_trading(self._order_entry, market, self._venue.closing, now_ms)
        if market.status is MarketPhase.CLOSED and now_ms >= close_ms + DETERMINED_MS:
            self._venue.determine_market(market, *outcome_of(place), now_ms)
        if market.status is MarketPhase.DETERMINED and now_ms >= close_ms + SETTLED_MS:
            self._order_entry.settle(market, now_ms)
            self._venue.settle_market(market, now_ms)
        if is_over:
            del self.by_place[place]
            self._added.discard(market.ticker)

    def _report(self, change: CatalogueChange, now_ms: int) -> None:
        """A change of a market that is not followed; the venue reports its own markets."""
        if change.row.place in self.by_place:
            return
        market = self._catalogue.market(change.row, now_ms)
        facts: dict[str, Any] = {}
        match change.event_type:
            case "created":
                if change.is_first:
                    self._venue.emit(EventCreated(market, now_ms))
                facts = market.created_facts()
            case "close_date_updated":
                facts = {"close_ts": market.facts.close_ms // 1000}
            case "determined":
                result, value_e4 = outcome_of(change.row.place)
                facts = {
                    "determination_ts": now_ms // 1000,
                    "result": result,
                    "settlement_value": format_price(value_e4),
                }
            case "settled":
                facts = {"settled_ts": now_ms // 1000}
        self._venue.emit(LifecycleChanged(market, change.event_type, facts, now_ms))

    def move_books(self, now_ms: int) -> None:
        """Change the size of one level of some followed markets, unless accounts trade there."""
        places = list(self.by_place)
        for _ in range(min(ACTIVE_AT_ONCE, len(places))):
            self._turn += 1
            place = places[self._turn % len(places)]
            market = self.by_place[place]
            if market.is_open:
                self._move_book(place, market, now_ms)

    def _move_book(self, place: int, market: ListedMarket, now_ms: int) -> None:
        leg, price_e4, usual_e2 = self._catalogue.levels(place)[0]
        has_more = market.ticker in self._added
        if market.book.count(leg, price_e4) != usual_e2 + ACTIVE_E2 * has_more:
            return  # an account rests or has taken there
        delta_e2 = -ACTIVE_E2 if has_more else ACTIVE_E2
        self._added ^= {market.ticker}
        self._venue.change_book(BookChanged(market, leg, price_e4, delta_e2, now_ms, now_ms))


def combo_event(row: ComboRow) -> str:
    """The ticker of a combo's event."""
    return f"{COMBO_SERIES}-S{row.number:X}"


def outcome_of(place: int) -> tuple[str, int]:
    """(result, what a YES contract pays in 1e-4 dollars) of a market."""
    return ("no", 0) if place % 2 else ("yes", ONE_DOLLAR_E4)


def _closes_early(events: Ints, numbers: Ints) -> npt.NDArray[np.bool_]:
    """Whether events close early in these windows of theirs."""
    return np.asarray((events * 7 + numbers) % EARLY_EVERY == 3)


def _series(block: int) -> str:
    return f"KXC{block:05d}"


def _block_of(series: str) -> int | None:
    digits = series.removeprefix("KXC")
    return int(digits) if digits != series and len(digits) == 5 and digits.isdecimal() else None


def _fee_type(block: int) -> str:
    if not block % MAKER_FEES_EVERY:
        return "quadratic_with_maker_fees"
    return FLAT if block % 16 == FLAT_FEES else "quadratic"


def _multiplier(block: int) -> int:
    return OTHER_MULTIPLIERS.get(block % 16, 10_000)
