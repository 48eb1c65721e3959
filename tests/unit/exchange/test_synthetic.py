"""The synthetic flow in the exchange's books: repeatable, exact, informative, beside our orders."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.flow_rig import START_MS, FlowRig

from processes.exchange.calibration.compare import sample
from processes.exchange.calibration.tape import Happening, Tape, tapes_of, walk
from processes.exchange.core.books import NO, YES, PublishedBook
from processes.exchange.core.events import (
    BookChanged,
    BookReplaced,
    LifecycleChanged,
    OrderFilled,
    TradePrinted,
)
from processes.exchange.core.markets import Closing, MarketPhase
from processes.exchange.core.operations import close_trading
from processes.exchange.core.orders import OrderTimeInForce
from processes.exchange.synthetic.flow import SyntheticMarket, profiles_of
from processes.exchange.synthetic.profiles import ACTIVE, SLOW

DOLLAR = 10_000


def tape_of(rig: FlowRig) -> Tape:
    return tapes_of(rig.said)[rig.market.ticker]


class TestRepeatable:
    def test_the_same_seed_makes_the_same_market_however_it_is_stepped(self):
        coarse, fine = FlowRig(ACTIVE), FlowRig(ACTIVE)
        coarse.go(20, stride_ms=1_000)
        fine.go(20, stride_ms=7)
        assert len(tape_of(coarse)) > 300
        assert tape_of(coarse) == tape_of(fine)

    def test_another_seed_makes_another(self):
        one, other = FlowRig(ACTIVE, seed=1), FlowRig(ACTIVE, seed=2)
        one.go(5)
        other.go(5)
        assert tape_of(one) != tape_of(other)

    def test_a_market_does_not_depend_on_its_neighbours(self):
        alone, beside = FlowRig(ACTIVE), FlowRig(ACTIVE, ACTIVE)
        alone.go(5)
        beside.go(5)
        first = beside.venue.by_number[0]
        assert tapes_of(beside.said)[first.ticker] == tape_of(alone)


@pytest.fixture(scope="module")
def rig():
    """Five minutes of an active market."""
    followed = FlowRig(ACTIVE)
    followed.go(300)
    return followed


class TestExact:
    def test_books_are_never_crossed_or_negative(self, rig):
        found = walk(tape_of(rig))
        assert len(found.rows) > 5_000
        assert (found.crossed, found.negative) == (0, 0)

    def test_the_tape_rebuilds_the_book(self, rig):
        book = PublishedBook()
        for mark in tape_of(rig):
            if mark.what is Happening.SNAPSHOT:
                book.replace(mark.levels)
            elif mark.what is Happening.CHANGE:
                book.change(mark.leg, mark.price_e4, mark.count_e2)
        assert book.levels() == rig.market.book.levels()

    def test_every_price_is_on_the_grid_and_every_amount_an_integer(self, rig):
        for mark in tape_of(rig):
            if mark.what is not Happening.SNAPSHOT:
                assert rig.market.facts.grid.index(mark.price_e4) >= 0
                assert type(mark.count_e2) is int
                assert mark.count_e2

    def test_every_trade_has_its_delta(self, rig):
        trades = 0
        for before, event in zip(rig.said, rig.said[1:], strict=False):
            if isinstance(event, TradePrinted):
                trades += 1
                maker_leg = 1 - event.taker_leg
                yes_e4 = event.yes_price_e4
                assert isinstance(before, BookChanged)
                assert (before.leg, before.delta_e2) == (maker_leg, -event.count_e2)
                assert before.price_e4 == (yes_e4 if maker_leg == YES else DOLLAR - yes_e4)
                assert before.ts_ms == event.ts_ms
        assert trades > 100

    def test_time_runs_forward_to_the_microsecond(self, rig):
        changes = [e for e in rig.said if isinstance(e, BookChanged)]
        times = [c.ts_us for c in changes]
        assert times == sorted(times)
        assert all(c.ts_us // 1000 == c.ts_ms for c in changes)
        assert any(us % 1000 for us in times)


class TestLife:
    def test_a_result_is_known_the_settlement_timer_before_it_is_paid(self):
        rig = FlowRig(ACTIVE, start_ms=START_MS + 895_000)
        first = rig.market
        rig.go(8)
        ends = [e for e in rig.said if isinstance(e, LifecycleChanged) and e.market is first]
        times = {e.event_type: e.facts for e in ends}
        determined_s = times["determined"]["determination_ts"]
        assert times["settled"]["settled_ts"] == determined_s + first.facts.settlement_timer_s

    def test_a_market_closes_settles_by_its_walk_and_the_next_one_opens(self):
        rig = FlowRig(ACTIVE, start_ms=START_MS + 895_000)
        first = rig.market
        rig.go(8)
        assert (first.status, first.book.levels()) == (MarketPhase.FINALIZED, ())
        assert first.result == ("yes" if first.value_e4 else "no")
        assert rig.market is not first
        assert rig.market.is_open
        assert rig.market.book.levels()
        kinds = [(e.market, e.event_type) for e in rig.said if isinstance(e, LifecycleChanged)]
        assert kinds == [
            (first, "created"),
            (rig.market, "created"),
            (first, "determined"),
            (first, "settled"),
        ]

    def test_a_market_that_closes_early_does_not_come_back(self):
        rig = FlowRig(ACTIVE)
        first = rig.market
        rig.venue.move_close(first, rig.now_ms + 1_000, rig.now_ms)
        rig.go(10)
        assert first.status is MarketPhase.FINALIZED
        assert rig.market is first
        rig.go(891)
        assert rig.market is not first

    def test_a_market_may_close_with_a_removal_of_every_level(self):
        rig = FlowRig(ACTIVE, start_ms=START_MS + 895_000)
        rig.venue.closing = Closing(burst=True, snapshots=2)
        first = rig.market
        rig.go(5)
        said = [e for e in rig.said if isinstance(e, BookChanged | BookReplaced)]
        ends = [e for e in said if e.market is first]
        assert [e.levels for e in ends[-2:]] == [(), ()]
        close_ms = ends[-1].sent_ms
        burst = [(e.leg, e.price_e4) for e in ends[:-2] if e.sent_ms == close_ms]
        full = first.log.state(first.log.events - 2 - len(burst))
        assert burst == [(leg, price_e4) for leg, price_e4, _ in full.levels()]
        assert len(burst) > 10
        assert first.log.state(first.log.events - 2).levels() == ()

    def test_a_market_closed_by_order_settles_in_its_turn(self):
        rig = FlowRig(ACTIVE)
        rig.go(1)
        first = rig.market
        rig.venue.move_close(first, rig.now_ms, rig.now_ms)
        close_trading(rig.order_entry, first, Closing(snapshots=1), rig.now_ms)
        rig.go(5)
        empty = [e for e in rig.said if isinstance(e, BookReplaced) and not e.levels]
        assert len(empty) == 1  # the flow does not close it again
        assert first.status is MarketPhase.FINALIZED

    def test_nothing_moves_while_trading_is_paused(self):
        rig = FlowRig(ACTIVE)
        rig.go(2)
        said = len(rig.said)
        rig.order_entry.halts.trading = True
        rig.go(5)
        assert len(rig.said) == said
        rig.order_entry.halts.trading = False
        rig.go(5)
        assert len(rig.said) > said

    def test_the_default_markets_are_active_and_slow(self):
        assert profiles_of(3) == [ACTIVE, ACTIVE, SLOW]
        rig = FlowRig(*profiles_of(3))
        assert [m.is_open for m in rig.venue.by_number.values()] == [True] * 3
        assert all(m.book.best(YES) and m.book.best(NO) for m in rig.venue.by_number.values())


class TestOurOrders:
    def test_the_flow_trades_with_what_we_rest(self):
        rig = FlowRig(ACTIVE)
        rig.go(1)
        rig.buy(YES, rig.market.book.best(YES), 500)
        rig.go(120)
        fills = [e for e in rig.said if isinstance(e, OrderFilled)]
        assert sum(f.count_e2 for f in fills) == 500
        assert not any(f.is_taker for f in fills)
        assert rig.account.position(rig.market.ticker).count_e2 == 500

    def test_a_bid_above_the_value_is_picked_off(self):
        rig = FlowRig(ACTIVE)
        no_bid = rig.market.book.best(NO)
        rig.buy(YES, 9_900, 10**8, OrderTimeInForce.IMMEDIATE_OR_CANCEL)
        assert not rig.market.book.best(NO)  # nobody is left to sell to us
        held = rig.account.position(rig.market.ticker).count_e2
        rig.buy(YES, DOLLAR - no_bid + 2_000, 700)
        rig.go(30)
        assert rig.account.position(rig.market.ticker).count_e2 == held + 700
        assert walk(tape_of(rig)).crossed == 0

    def test_a_new_order_of_the_flow_that_crosses_ours_trades_with_it(self):
        rig = FlowRig(ACTIVE)
        no_bid = rig.market.book.best(NO)
        rig.buy(YES, 9_900, 10**8, OrderTimeInForce.IMMEDIATE_OR_CANCEL)
        held = rig.account.position(rig.market.ticker).count_e2
        rig.buy(YES, DOLLAR - no_bid, 500)
        clearing = rig.order_entry.clearings[rig.market.ticker]
        floor = SyntheticMarket(rig.venue, rig.market, clearing, ACTIVE, (1,))
        assert floor.add(NO, no_bid // 100, 800) == 300
        assert rig.account.position(rig.market.ticker).count_e2 == held + 500
        assert rig.market.book.count(NO, no_bid) == 300

    def test_what_we_took_is_not_there_for_the_flow(self):
        rig = FlowRig(ACTIVE)
        for leg in (YES, NO) * 10:
            rig.go(2)
            rig.buy(leg, 9_900, 100_000, OrderTimeInForce.IMMEDIATE_OR_CANCEL)
        rig.go(60)
        found = walk(tape_of(rig))
        assert (found.crossed, found.negative) == (0, 0)
        assert rig.market.book.best(YES)
        assert rig.market.book.best(NO)


class TestInformation:
    def test_the_price_before_the_close_predicts_the_outcome(self):
        told = []
        for window in range(24):
            followed = sample(ACTIVE, 1, window, 125, skip_s=780)
            looks = walk(followed.tape).looks[-120]  # half a minute of changes before the end
            bid, ask = looks[0], looks[1] or DOLLAR
            told.append(((bid + ask) / 2 / DOLLAR, followed.value_e4 == DOLLAR))
        price = np.array([p for p, _ in told])
        outcome = np.array([float(o) for _, o in told])
        assert 4 < outcome.sum() < 20
        assert np.square(price - outcome).mean() < 0.12  # 0.25 knows nothing
        assert price[outcome == 1].mean() - price[outcome == 0].mean() > 0.5

    def test_informed_takers_are_right_more_often_than_others(self):
        knowing, guessing = (self.profit_of_takers(share) for share in (1.0, 0.0))
        assert knowing > 0.5 > guessing

    @staticmethod
    def profit_of_takers(informed: float) -> float:
        """Cents by which the mid is better for a taker of the flow half a minute later."""
        habits = msgspec.structs.replace(ACTIVE.habits, informed=informed, picks_off=0.0)
        profile = msgspec.structs.replace(ACTIVE, habits=habits)
        gains = []
        for window in range(3):
            tape = sample(profile, 1, window, 500).tape
            looks = walk(tape).looks.astype(float)
            begin_us = next(m.ts_us for m in tape if m.what is Happening.CHANGE)
            mid = (looks[:, 0] + looks[:, 1]) / 200
            for trade in (m for m in tape if m.what is Happening.TRADE):
                at = (trade.ts_us - begin_us) // 250_000
                if at + 120 < len(mid):
                    gain = mid[at + 120] - mid[at]
                    gains.append(gain if trade.leg == NO else -gain)
        return float(np.mean(gains))
