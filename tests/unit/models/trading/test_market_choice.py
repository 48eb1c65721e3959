"""The rule of docs/market-choice.md: scores, dwell, margin, what is left and what returns."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import new_account
from ipc.messages import MarketChange
from ipc.units import LINEAR_CENT
from models.trading.actions import Action, Pricing, exit_action
from models.trading.market_choice import (
    Activity,
    Bar,
    HotMarkets,
    HotRules,
    MarketLook,
    OnSwitch,
    exit_pricing,
    look_at,
    points,
)

RULES: Final = HotRules()
S: Final = 1_000  # milliseconds
NOON: Final = 1_785_945_600_000
GOOD: Final = MarketLook("A", "", 0, 4_500, 4_600, 10_000, 0, 0)


def look(ticker: str, *, hot: int = 0, **changes: object) -> MarketLook:
    """An eligible market; `hot` contracts have traded so far."""
    return GOOD._replace(ticker=ticker, traded_e2=100 * hot, **changes)  # type: ignore[arg-type]


class Played:
    """Looks one second apart at markets that trade so many contracts a second."""

    def __init__(self, rules: HotRules = RULES, **pace: int) -> None:
        self.hot = HotMarkets(rules)
        self.pace = pace
        self.now_ms = NOON
        self.traded = dict.fromkeys(pace, 0)
        self.changes: list[MarketChange] = []

    def seconds(self, count: int, **bars: str) -> tuple[str, ...]:
        """So many looks, with these bars -> the markets that it is in."""
        for _ in range(count):
            self.now_ms += S
            for ticker, a_second in self.pace.items():
                self.traded[ticker] += a_second
            looks = [
                look(t, hot=self.traded[t], bar=bars.get(t, ""))
                for t in self.pace
                if bars.get(t) != "gone"
            ]
            self.changes += self.hot.look(self.now_ms, looks)
        return self.hot.chosen

    def told(self) -> list[tuple[str, bool, str]]:
        return [(c.ticker, c.entered, c.reason) for c in self.changes]


# Scores


def test_a_doubling_is_a_thousand_points_and_between_is_a_line() -> None:
    assert [points(n) for n in (-1, 0, 1, 2, 3, 4, 6, 8)] == [
        0,
        0,
        0,
        1_000,
        1_500,
        2_000,
        2_500,
        3_000,
    ]


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_points_never_fall(one: int, other: int) -> None:
    assert (points(one) <= points(other)) == (one <= other) or points(one) == points(other)


def test_the_score_of_the_document() -> None:
    """120 contracts and 60 changes in a minute, one cent, 100 contracts at the touch."""
    activity = Activity(120 * S)
    activity.take(NOON, GOOD)
    activity.take(NOON + 60 * S, GOOD._replace(traded_e2=24_000, updates=120))
    assert (activity.volume_e2, activity.updates) == (12_000, 60)
    assert (
        activity.score == points(121) + points(61) // 2 + points(100) + points(101) // 2 == 19_694
    )


@pytest.mark.parametrize(
    "hotter",
    [
        GOOD._replace(traded_e2=20_000),
        GOOD._replace(updates=500),
        GOOD._replace(ask_e4=4_550),
        GOOD._replace(touch_e2=50_000),
    ],
    ids=["volume", "updates", "spread", "depth"],
)
def test_each_of_the_four_counts(hotter: MarketLook) -> None:
    scores = []
    for second in (GOOD, hotter):
        activity = Activity(RULES.window_ms)
        activity.take(NOON, GOOD)
        activity.take(NOON + S, second)
        scores.append(activity.score)
    assert scores[0] < scores[1]


def test_what_is_older_than_the_window_does_not_count() -> None:
    activity = Activity(120 * S)
    activity.take(NOON, GOOD)
    activity.take(NOON + S, GOOD._replace(traded_e2=10_000, updates=50))
    for second in range(2, 122):
        activity.take(NOON + second * S, GOOD._replace(traded_e2=10_000, updates=50))
    assert (activity.volume_e2, activity.updates) == (0, 0)
    quotes = points(100) + points(101) // 2
    assert activity.score == quotes


def test_counters_that_fall_begin_the_window_anew() -> None:
    """The row was given to the market again: what it counted before is not a loss."""
    activity = Activity(120 * S)
    activity.take(NOON, GOOD._replace(traded_e2=50_000, updates=100))
    activity.take(NOON + S, GOOD._replace(traded_e2=100, updates=1))
    assert (activity.volume_e2, activity.updates) == (0, 0)


def test_a_row_is_read_on_the_yes_scale() -> None:
    row = b.new_row(LINEAR_CENT.size, LINEAR_CENT)
    row[b.CLOSE_MS] = NOON
    sides = np.array([b.YES, b.NO], np.uint8)
    b.apply_snapshot(row, sides, np.array([4_500, 5_200]), np.array([700, 300]))
    b.apply_delta(row, b.YES, 4_400, 100)
    b.apply_trade(row, 4_500, 250, b.NO, NOON)
    b.apply_trade(row, 4_600, 150, b.YES, NOON)
    assert look_at("A", row) == MarketLook("A", "", NOON, 4_500, 4_800, 300, 400, 1)
    b.apply_delta(row, b.NO, 5_200, -300)
    empty = look_at("A", row, "stale")
    assert (empty.bar, empty.ask_e4, empty.spread_e4, empty.touch_e2) == ("stale", 0, 0, 0)


# Where it is


def test_it_goes_into_the_hottest_and_stays() -> None:
    played = Played(A=1, B=50, C=3)
    assert played.seconds(600) == ("B",)
    assert next(c.reason for c in played.changes) == "hottest"
    assert len(played.changes) <= 3  # the first look knows no volume: once it may go over


def test_another_replaces_it_only_after_the_dwell_and_only_when_hotter_by_the_margin() -> None:
    played = Played(A=10, B=10)
    played.seconds(300)
    assert played.hot.chosen == ("A",)
    played.pace["B"] = 19  # 0.9 of a doubling
    assert played.seconds(300) == ("A",)
    played.pace["B"] = 40
    assert played.seconds(130) == ("B",)
    entered_ms = played.changes[-1].at_ms
    played.pace.update(A=1_000, B=0)
    while played.hot.chosen == ("B",):
        played.seconds(1)
    assert played.now_ms - entered_ms >= RULES.dwell_ms


def test_the_dwell_is_kept_to_the_millisecond() -> None:
    hot = HotMarkets(HotRules(window_ms=10 * S))
    hot.look(NOON, [look("A")])
    for ms in (1, 59_999):
        assert hot.look(NOON + ms, [look("A"), look("B", hot=10 * ms)]) == []
    gone, came = hot.look(NOON + 60_000, [look("A"), look("B", hot=10**7)])
    assert (gone.ticker, gone.entered, gone.reason) == ("A", False, "B is hotter")
    assert (came.ticker, came.entered, came.at_ms) == ("B", True, NOON + 60_000)


@pytest.mark.parametrize(
    ("changes", "bar"),
    [
        ({"bid_e4": 0}, Bar.ONE_SIDED),
        ({"ask_e4": 0}, Bar.ONE_SIDED),
        ({"ask_e4": 5_501}, Bar.WIDE),
        ({"ask_e4": 5_500}, ""),
        ({"close_ms": NOON + 60 * S}, Bar.CLOSING),
        ({"close_ms": NOON + 60 * S + 1}, ""),
        ({"close_ms": NOON - 1}, Bar.CLOSING),
        ({"bar": "stale"}, "stale"),
    ],
)
def test_what_is_eligible(changes: dict[str, int], bar: str) -> None:
    hot, one = HotMarkets(RULES), GOOD._replace(**changes)
    hot.look(NOON - 1, [GOOD])
    left = [(c.ticker, c.reason) for c in hot.look(NOON, [one]) if not c.entered]
    assert left == ([("A", bar)] if bar else [])
    assert ("A" in hot) == (not bar)
    (score,) = hot.scores()
    assert (score.bar, score.since_ms) == (bar, None if bar else NOON - 1)


def test_what_turns_illiquid_is_left_at_once_whatever_the_dwell() -> None:
    hot = HotMarkets(RULES)
    hot.look(NOON, [look("A", hot=1), look("B")])
    changes = hot.look(NOON + 1, [look("A", ask_e4=0), look("B")])
    assert [(c.ticker, c.entered, c.reason) for c in changes] == [
        ("A", False, "one-sided"),
        ("B", True, "hottest"),
    ]


def test_a_market_that_is_gone_is_left() -> None:
    played = Played(A=5)
    played.seconds(2)
    assert played.seconds(1, A="gone") == ()
    assert played.told()[-1] == ("A", False, "not followed")


def test_as_many_as_are_asked_for() -> None:
    played = Played(HotRules(markets=2), A=10, B=20, C=40)
    assert set(played.seconds(200)) == {"B", "C"}
    assert set(played.seconds(1, B="stale")) == {"A", "C"}
    assert len(played.seconds(1, B="stale", C="stale")) == 1


def test_what_could_not_be_read_takes_its_place_back() -> None:
    played = Played(A=100, B=1)
    played.seconds(200)
    before = len(played.changes)
    assert played.seconds(5, A="stale") == ("B",)
    assert played.seconds(1) == ("A",)
    assert played.told()[before:] == [
        ("A", False, "stale"),
        ("B", True, "hottest"),
        ("B", False, "A is back"),
        ("A", True, "back"),
    ]


def test_it_takes_its_place_back_once_a_dwell_and_not_too_late() -> None:
    played = Played(A=100, B=1)
    played.seconds(200)
    played.seconds(5, A="stale")
    played.seconds(5)
    assert played.seconds(5, A="stale") == ("B",)
    assert played.seconds(5) == ("B",)  # a second time within the minute
    late = Played(A=100, B=1)
    late.seconds(200)
    late.seconds(31, A="paused")
    assert late.seconds(1) == ("B",)
    illiquid = Played(A=100, B=1)
    illiquid.seconds(200)
    illiquid.seconds(2, A=Bar.WIDE)
    assert illiquid.seconds(1) == ("B",)  # it was seen, and was not good


def test_what_was_left_is_the_last_choice_for_a_dwell() -> None:
    played = Played(A=100, B=2, C=1)
    played.seconds(200)
    assert played.seconds(1, A=Bar.WIDE) == ("B",)
    assert played.seconds(1, B=Bar.WIDE) == ("C",)
    assert played.seconds(1, B=Bar.WIDE, C=Bar.WIDE) == ("A",)  # rather than none


def test_what_was_left_replaces_none_within_a_dwell_however_hot() -> None:
    """With two markets: B has been in for long, and A, the hottest, was wide for a second."""
    played = Played(HotRules(markets=2), A=1_000, B=10, C=9)
    played.seconds(200)
    assert set(played.hot.chosen) == {"A", "B"}
    assert set(played.seconds(1, A=Bar.WIDE)) == {"B", "C"}
    assert set(played.seconds(50)) == {"B", "C"}
    assert "A" in played.seconds(12)


def test_time_that_goes_back_begins_anew() -> None:
    """A replay that starts over: no score of the time to come, no dwell that never ends."""
    hot = HotMarkets(RULES)
    hot.look(NOON, [look("A"), look("B")])
    hot.look(NOON + 90 * S, [look("A", hot=500), look("B")])
    hot.look(NOON - 900 * S, [look("A", hot=501), look("B")])
    assert [(s.ticker, s.volume_e2, s.since_ms) for s in hot.scores()] == [
        ("A", 0, NOON - 900 * S),
        ("B", 0, None),
    ]


def test_a_small_step_back_is_none() -> None:
    """A clock that is set right by a moment forgets nothing."""
    hot = HotMarkets(RULES)
    hot.look(NOON, [look("A"), look("B")])
    hot.look(NOON + 59 * S, [look("A"), look("B")])
    hot.look(NOON + 54 * S, [look("A"), look("B", hot=10**6)])
    changes = hot.look(NOON + 60 * S, [look("A"), look("B", hot=10**6)])
    assert [c.ticker for c in changes] == ["A", "B"]


# Whatever happens

TICKERS: Final = ("A", "B", "C", "D")
BARS: Final = ("", "", "", "", "stale", "paused", "old_data")
ONE: Final = st.tuples(
    st.sampled_from(BARS),
    st.sampled_from((0, 4_500, 4_500, 4_500, 4_400, 3_000)),
    st.sampled_from((0, 4_600, 4_600, 4_600, 4_700, 6_000)),
    st.integers(0, 3_000),  # traded since the look before
    st.booleans(),  # whether it is followed
)
STEPS: Final = st.lists(
    st.tuples(st.sampled_from((100, S, S, S, 7 * S, 61 * S)), st.tuples(*[ONE] * 4)),
    min_size=1,
    max_size=60,
)
CLOSES: Final = st.tuples(*[st.sampled_from((0, 30 * S, 120 * S, 600 * S))] * 4)


def looks_of(
    now_ms: int,
    closes: tuple[int, ...],
    traded: list[int],
    ones: tuple[tuple[str, int, int, int, bool], ...],
) -> list[MarketLook]:
    found = []
    for i, (bar, bid, ask, more, followed) in enumerate(ones):
        traded[i] += 100 * more
        close_ms = NOON + closes[i] if closes[i] else 0
        if followed or more % 3:
            found.append(
                MarketLook(TICKERS[i], bar, close_ms, bid, ask, 1_000, traded[i], traded[i])
            )
    return found


def is_eligible(one: MarketLook, now_ms: int, rules: HotRules) -> bool:
    """As docs/market-choice.md says it, written again."""
    two_sided = one.bid_e4 > 0 and one.ask_e4 > 0
    in_time = one.close_ms == 0 or one.close_ms - now_ms > rules.close_ms
    return (
        one.bar == "" and two_sided and one.ask_e4 - one.bid_e4 <= rules.max_spread_e4 and in_time
    )


@given(STEPS, CLOSES, st.integers(1, 3))
def test_whatever_happens(
    steps: list[tuple[int, tuple]], closes: tuple[int, ...], markets: int
) -> None:  # type: ignore[type-arg]
    """In an eligible market whenever there is one, never in more than N, no switch without need."""
    rules = HotRules(markets=markets)
    hot, now_ms, traded = HotMarkets(rules), NOON, [0] * 4
    since: dict[str, int] = {}
    for pause_ms, ones in steps:
        now_ms += pause_ms
        looks = looks_of(now_ms, closes, traded, ones)
        eligible = {one.ticker for one in looks if is_eligible(one, now_ms, rules)}
        before, scores = dict(since), {}
        changes = hot.look(now_ms, looks)
        scores = {s.ticker: s.score for s in hot.scores()}
        assert set(hot.chosen) <= eligible
        assert len(hot.chosen) == min(markets, len(eligible))
        for change in changes:
            if change.entered:
                since[change.ticker] = now_ms
                continue
            del since[change.ticker]
            if change.reason.endswith("is hotter"):
                other = change.reason.split()[0]
                assert now_ms - before[change.ticker] >= rules.dwell_ms
                assert scores[other] >= scores[change.ticker] + rules.margin
            elif not change.reason.endswith("is back"):
                assert change.ticker not in eligible
        assert set(since) == set(hot.chosen)


@given(STEPS, CLOSES)
def test_two_changes_of_will_are_a_dwell_apart(
    steps: list[tuple[int, tuple]], closes: tuple[int, ...]
) -> None:  # type: ignore[type-arg]
    """Markets that stay eligible: however their activity swings, at most one switch a dwell."""
    hot, now_ms, traded = HotMarkets(RULES), NOON, [0] * 4
    switches: list[int] = []
    for pause_ms, ones in steps:
        now_ms += pause_ms
        always = tuple(("", 4_500, 4_600, one[3], True) for one in ones)
        changes = hot.look(now_ms, looks_of(now_ms, (0, 0, 0, 0), traded, always))
        switches += [c.at_ms for c in changes if not c.entered]
    assert all(later - sooner >= RULES.dwell_ms for sooner, later in pairwise(switches))


# What becomes of a position


@pytest.mark.parametrize(
    ("position_e2", "action"),
    [(0, Action.HOLD), (100, Action.SELL_YES_LIMIT), (-250, Action.SELL_NO_LIMIT)],
)
def test_an_exit_sells_what_is_held(position_e2: int, action: Action) -> None:
    account = new_account(1)
    account[a.POSITION_E2] = position_e2
    assert exit_action(account) is action


@pytest.mark.parametrize(
    ("on_switch", "left_ms", "pricing"),
    [
        (OnSwitch.HOLD, 1, None),
        (OnSwitch.HOLD, 0, None),
        (OnSwitch.REDUCE, 0, Pricing.PASSIVE),
        (OnSwitch.REDUCE, 60 * S + 1, Pricing.PASSIVE),
        (OnSwitch.REDUCE, 60 * S, Pricing.AGGRESSIVE),
        (OnSwitch.FLATTEN, 0, Pricing.AGGRESSIVE),
        (OnSwitch.FLATTEN, 900 * S, Pricing.AGGRESSIVE),
    ],
)
def test_how_an_exit_is_priced(on_switch: OnSwitch, left_ms: int, pricing: Pricing | None) -> None:
    close_ms = NOON + left_ms if left_ms else 0
    assert exit_pricing(on_switch, close_ms, NOON, RULES) is pricing
