"""The choice of hot markets replayed: on recorded evenings and on synthetic ones.

    python -m models.evaluation.market_choices --recordings FOLDER --synthetic 100

Prints the table of docs/market-choice.md. An evening is what was listed together: recorded markets
without a pause of more than ten minutes between them, or fifteen minutes of three synthetic series
whose markets follow one another. The actor buys one order of YES at the ask of every market that it
enters and holds it there; what it leaves is closed by the rule, at most one order's size at a tick,
at the touch of that tick and for no more than stands there. An order of `reduce` that only offers
is taken never: the worst case.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.journal import Kind
from models.command_line import Parser, whole
from models.simulation.tape import RecordedSession, SessionError, make_tape
from models.trading.actions import Pricing
from models.trading.market_choice import (
    Bar,
    HotMarkets,
    HotRules,
    MarketLook,
    OnSwitch,
    exit_pricing,
    look_at,
)

__all__ = [
    "ChoiceReport",
    "MarketLooks",
    "evenings_of",
    "main",
    "replay",
    "synthetic_evening",
    "table",
]

STEP_MS: Final = 250  # a tick: how often the markets that it is in are looked at
LOOK_MS: Final = 1_000  # how often all are
ORDER_E2: Final = 1_000  # contracts of an order, 1e-2
RELEASED_MS: Final = 60_000  # after its close a market is no longer followed
PAUSE_MS: Final = 600_000  # between two evenings
QUARTER_MS: Final = 900_000
START_MS: Final = 1_785_945_600_000
SERIES: Final = ("KXONE", "KXTWO", "KXTEN")
SPREADS: Final = (100, 100, 100, 100, 200, 200, 300, 400)  # 1e-4 dollars


class MarketLooks(NamedTuple):
    """One market of an evening, as it looks from moment to moment.

    Attributes:
        ticker: The market.
        times_ms: Moments, ascending.
        looks: The market at each.
    """

    ticker: str
    times_ms: Sequence[int]
    looks: Sequence[MarketLook]


class ChoiceReport:
    """What the choice did over some evenings.

    Attributes:
        evenings: How many.
        markets: Of all of them.
        steps: Ticks of 250 ms.
        eligible: Of these, with an eligible market.
        missed: Of these, in none.
        barred: Ticks in a market that was not eligible.
        entered: How often a market was entered.
        left: Why markets were left: `hotter`, `back`, `closing`, `illiquid`, `not seen`.
        returns: Times that it came back within a dwell, for being hotter, to a market which it had
            left for a hotter one.
        shortest_ms: Least time in a market that was left for a hotter one; None without one.
        closes: Markets in which it was, and whose close it saw.
        held_over: Of these, with a position at the close although a bid came after it was left.
        no_bid: Of these, with a position for which no bid came any more.
    """

    def __init__(self) -> None:
        self.evenings = self.markets = self.steps = self.eligible = 0
        self.missed = self.barred = self.entered = self.returns = 0
        self.left = dict.fromkeys(("hotter", "back", "closing", "illiquid", "not seen"), 0)
        self.shortest_ms: int | None = None
        self.closes = self.held_over = self.no_bid = 0


class _Evening:
    """One replay: market time, the looks of now, the positions."""

    def __init__(
        self,
        listed: Sequence[MarketLooks],
        rules: HotRules,
        on_switch: OnSwitch,
        report: ChoiceReport,
    ) -> None:
        self._listed = listed
        self._rules = rules
        self._on_switch = on_switch
        self._report = report
        self._hot = HotMarkets(rules)
        self._at = [0] * len(listed)  # of each market, the first moment that has not come
        self._held_e2: dict[str, int] = {}
        self._was_in: set[str] = set()
        self._since: dict[str, int] = {}
        self._left_ms: dict[str, int] = {}
        self._lost: dict[str, int] = {}  # ticker -> when it was left for a hotter one

    def play(self) -> None:
        """Every tick from the first look to the last."""
        first = min(one.times_ms[0] for one in self._listed)
        last = max(one.times_ms[-1] for one in self._listed) + RELEASED_MS
        self._report.evenings += 1
        self._report.markets += len(self._listed)
        looked_ms = first - LOOK_MS
        for now_ms in range(first, last, STEP_MS):
            looks = self._looks(now_ms)
            due = now_ms - looked_ms >= LOOK_MS or not self._hot.chosen
            if due or any(t not in looks or self._bar(looks[t], now_ms) for t in self._hot.chosen):
                looked_ms = now_ms
                self._choose(now_ms, looks)
            self._count(now_ms, looks)
            self._close_out(now_ms, looks)
        for one in self._listed:
            if one.ticker in self._was_in and 0 < one.looks[-1].close_ms <= last:
                self._count_close(one)

    def _count_close(self, one: MarketLooks) -> None:
        report = self._report
        report.closes += 1
        if self._held_e2[one.ticker] > 0:
            since_ms = self._left_ms.get(one.ticker, 0)
            later = zip(one.times_ms, one.looks, strict=True)
            bid = any(ms >= since_ms and k.bid_e4 and not k.bar for ms, k in later)
            report.held_over += bid
            report.no_bid += not bid

    def _looks(self, now_ms: int) -> dict[str, MarketLook]:
        """The newest look at each market that is followed now."""
        found = {}
        for i, one in enumerate(self._listed):
            at = self._at[i]
            while at < len(one.times_ms) and one.times_ms[at] <= now_ms:
                at += 1
            self._at[i] = at
            if at and now_ms < (one.looks[at - 1].close_ms or now_ms + 1) + RELEASED_MS:
                found[one.ticker] = one.looks[at - 1]
        return found

    def _bar(self, look: MarketLook, now_ms: int) -> bool:
        """Whether a market is not eligible: by the rule of the document, not by its code."""
        rules = self._rules
        two_sided = look.bid_e4 > 0 and look.ask_e4 > 0
        in_time = look.close_ms == 0 or look.close_ms - now_ms > rules.close_ms
        narrow = look.ask_e4 - look.bid_e4 <= rules.max_spread_e4
        return not (look.bar == "" and two_sided and in_time and narrow)

    def _choose(self, now_ms: int, looks: dict[str, MarketLook]) -> None:
        report = self._report
        for change in self._hot.look(now_ms, looks.values()):
            ticker = change.ticker
            if change.entered:
                report.entered += 1
                lost_ms = self._lost.pop(ticker, None)
                soon = lost_ms is not None and now_ms - lost_ms < self._rules.dwell_ms
                report.returns += soon and change.reason == "hotter"
                self._since[ticker] = now_ms
                self._was_in.add(ticker)
                bought_e2 = min(ORDER_E2, looks[ticker].touch_e2)
                self._held_e2[ticker] = max(self._held_e2.get(ticker, 0), bought_e2)
                continue
            kind = _kind(change.reason)
            report.left[kind] += 1
            self._left_ms[ticker] = now_ms
            if kind == "hotter":
                self._lost[ticker] = now_ms
                stayed_ms = now_ms - self._since[ticker]
                report.shortest_ms = min(report.shortest_ms or stayed_ms, stayed_ms)

    def _count(self, now_ms: int, looks: dict[str, MarketLook]) -> None:
        report, chosen = self._report, self._hot.chosen
        eligible = sum(not self._bar(look, now_ms) for look in looks.values())
        report.steps += 1
        report.eligible += eligible > 0
        report.missed += eligible > 0 and not chosen
        report.barred += any(t not in looks or self._bar(looks[t], now_ms) for t in chosen)

    def _close_out(self, now_ms: int, looks: dict[str, MarketLook]) -> None:
        """One tick of every market that was left and in which something is held."""
        for ticker, held_e2 in self._held_e2.items():
            look = looks.get(ticker)
            if not held_e2 or look is None or ticker in self._hot or look.bar:
                continue
            if 0 < look.close_ms <= now_ms or not look.bid_e4:
                continue
            near = self._hot.bar(look, now_ms) == Bar.CLOSING
            pricing = exit_pricing(self._on_switch, look.close_ms, now_ms, self._rules)
            if pricing is Pricing.AGGRESSIVE and (near or not self._hot.may_return(ticker)):
                there_e2 = look.touch_e2 or ORDER_E2  # of a book without asks it is not known
                self._held_e2[ticker] = held_e2 - min(held_e2, ORDER_E2, there_e2)


def _kind(reason: str) -> str:
    """A reason in one of the columns of the table."""
    if reason.endswith("is hotter"):
        return "hotter"
    if reason.endswith("is back"):
        return "back"
    if reason == Bar.CLOSING:
        return "closing"
    return "illiquid" if reason in (Bar.ONE_SIDED, Bar.WIDE) else "not seen"


def replay(
    evenings: Iterable[Sequence[MarketLooks]], rules: HotRules, on_switch: OnSwitch
) -> ChoiceReport:
    """Let the rule choose, tick by tick.

    Args:
        evenings: Each on its own.
        rules: The bounds.
        on_switch: What becomes of positions.
    """
    report = ChoiceReport()
    for listed in evenings:
        _Evening(listed, rules, on_switch, report).play()
    return report


# Recorded evenings


def _listed(session: RecordedSession) -> MarketLooks:
    """A recorded market: its rows every 250 ms, and when its book was not to be believed."""
    rows = make_tape(session, STEP_MS).rows
    found = [(int(row[b.RECV_NS]) // NS_PER_MS, look_at(session.ticker, row)) for row in rows]
    events = session.events[session.events["kind"] == int(Kind.STATE)]
    for event in events[events["count_e2"] != b.LIVE]:
        at_ms = int(event["recv_ns"]) // NS_PER_MS
        before = [look for ms, look in found if ms <= at_ms]
        if before:
            found.append((at_ms, before[-1]._replace(bar="stale")))
    found.sort(key=lambda one: one[0])
    return MarketLooks(session.ticker, [ms for ms, _ in found], [look for _, look in found])


def evenings_of(sessions: Iterable[RecordedSession]) -> Iterator[list[MarketLooks]]:
    """Recorded markets by evening, in order; those without a tick are left out.

    Args:
        sessions: Recorded markets of any number of days.
    """
    evening: list[MarketLooks] = []
    until_ms = 0
    for session in sorted(sessions, key=lambda s: s.first_ns):
        try:
            listed = _listed(session)
        except SessionError:
            continue
        if not listed.looks:
            continue
        if evening and listed.times_ms[0] > until_ms + PAUSE_MS:
            yield evening
            evening = []
        evening.append(listed)
        until_ms = max(until_ms, listed.times_ms[-1])
    if evening:
        yield evening


# Synthetic evenings


def synthetic_evening(seed: int) -> list[MarketLooks]:
    """Three series for fifteen minutes; each has two markets, the second opens as the first closes.

    The price walks about, activity changes every two minutes or so by a factor of up to a hundred,
    now and then a book is wide, one-sided or not to be believed for some seconds, and towards the
    close it is one-sided more often.

    Args:
        seed: Of everything.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    found = []
    for series, ticker in enumerate(SERIES):
        first_close_ms = START_MS + (series + 1) * QUARTER_MS // 3
        found.append(_synthetic(f"{ticker}-1", START_MS, first_close_ms, chance))
        if first_close_ms < START_MS + QUARTER_MS:
            second_close_ms = first_close_ms + QUARTER_MS
            found.append(_synthetic(f"{ticker}-2", first_close_ms, second_close_ms, chance))
    return found


def _synthetic(
    ticker: str, open_ms: int, close_ms: int, chance: np.random.Generator
) -> MarketLooks:
    """One market, a look a second until its close or the evening's end."""
    seconds = (min(close_ms, START_MS + QUARTER_MS) - open_ms) // 1_000
    mids = np.clip(5_000 + 100 * chance.normal(0, 1.2, seconds).cumsum(), 300, 9_700)
    regimes = np.exp(chance.normal(0, 1.5, seconds // 120 + 2))  # trades of ten contracts a second
    spoilt, until = "", 0
    traded = updates = 0
    looks = []
    for second in range(seconds):
        left_s = (close_ms - open_ms) // 1_000 - second
        if second >= until:
            spoilt, until = _spoilt(chance, left_s), second + int(chance.integers(1, 20))
        pace = regimes[second // 120]
        traded += 1_000 * int(chance.poisson(pace))
        updates += int(chance.poisson(30 * pace))
        spread = 2_000 if spoilt == "wide" else int(chance.choice(SPREADS))
        bid = int(mids[second]) // 100 * 100
        sides = (bid, 0) if spoilt == "one-sided" else (bid, min(bid + spread, 9_900))
        touch = 0 if spoilt == "one-sided" else int(100 * np.exp(chance.normal(4.6, 2)))
        bar = "stale" if spoilt == "stale" else ""
        looks.append(MarketLook(ticker, bar, close_ms, *sides, touch, traded, updates))
    return MarketLooks(ticker, [open_ms + 1_000 * s for s in range(seconds)], looks)


def _spoilt(chance: np.random.Generator, left_s: int) -> str:
    """What is wrong with a book for the next seconds; mostly nothing."""
    draw = float(chance.random())
    if draw < (0.3 if left_s < 120 else 0.06):
        return "one-sided"
    if draw > 0.94:
        return "wide"
    return "stale" if draw > 0.9 else ""


# The table


def table(rows: Iterable[tuple[str, ChoiceReport]]) -> list[str]:
    """The table of docs/market-choice.md, in Markdown.

    Args:
        rows: (what was replayed, what came of it).
    """
    lines = [
        "| replayed | evenings, markets | ticks with an eligible market | of these in none "
        "| ticks in one that is not | left: hotter, back, closing, illiquid, not seen "
        "| least time before a hotter one | of its own will back within the dwell "
        "| closes seen, held over, without a bid |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, r in rows:
        share = f"{r.eligible} of {r.steps}"
        left = ", ".join(str(count) for count in r.left.values())
        shortest = "none" if r.shortest_ms is None else f"{r.shortest_ms / 1_000:g} s"
        cells = (
            *(name, f"{r.evenings}, {r.markets}", share, r.missed, r.barred, left, shortest),
            *(r.returns, f"{r.closes}, {r.held_over}, {r.no_bid}"),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 2 for an invalid argument."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    parser = Parser(
        prog="python -m models.evaluation.market_choices",
        description="Replay the choice of hot markets.",
    )
    parser.add_argument("--recordings", type=Path, help="file or folder")
    parser.add_argument(
        "--synthetic", type=whole(0, 10_000), default=0, help="how many synthetic evenings"
    )
    options = parser.parse_args(argv)
    if options.recordings is None and not options.synthetic:
        print("market_choices: nothing to replay: --recordings or --synthetic", file=sys.stderr)
        return 2
    rows = []
    try:
        recorded = [] if options.recordings is None else load_sessions(options.recordings)
    except (ValueError, OSError) as error:
        print(f"market_choices: {error}", file=sys.stderr)
        return 2
    evenings = list(evenings_of(recorded))
    for on_switch in OnSwitch:
        if evenings:
            rows.append((f"recorded, {on_switch}", replay(evenings, HotRules(), on_switch)))
        if options.synthetic:
            made = (synthetic_evening(seed) for seed in range(options.synthetic))
            rows.append((f"synthetic, {on_switch}", replay(made, HotRules(), on_switch)))
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
