"""The parts of a profit or loss: what each is, and that they sum to it to the micro-dollar."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_sessions import SessionBuilder, random_session
from support.order_logs import log_of, log_row
from support.recordings import needs_recordings, recordings_folder

from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.evaluation.attribution import (
    UNKNOWN,
    Attribution,
    Ending,
    attribute,
    market_mids,
    mid_before,
)
from models.evaluation.outcomes import Datasets, PolicyOutcome, run_policy
from models.policies.baselines import RandomChoice
from models.policies.onnx import load_strategy
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import SimulationRules
from models.simulation.order_state import MAKER, TAKER
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import Action, Pricing
from models.trading.fees import FeeRule, FeeSchedule
from processes.adapters.kalshi.recordings.sessions import load_sessions

WON = Ending(10_000, 0, 0, int(FeeRule.AUGUST_2026), 0)
BUY_YES, SELL_YES = Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT
BUY_NO, SELL_NO = Action.BUY_NO_LIMIT, Action.SELL_NO_LIMIT


def mids(*cents: float | None) -> np.ndarray:
    return np.array([UNKNOWN if c is None else round(100 * c) for c in cents], np.int64)


def dollars(attribution: Attribution) -> dict[str, float]:
    """The parts that are not nothing."""
    parts = msgspec.structs.asdict(attribution)
    return {name.removesuffix("_e6"): e6 / 1e6 for name, e6 in parts.items() if e6}


def test_a_taker_pays_the_spread_and_the_rest_is_the_markets() -> None:
    fills = log_of(log_row(TAKER, event=1, cents=48, more=20_000))
    parts = attribute(fills, mids(46.5, 50, 52.5), WON)
    assert dollars(parts) == {"spread": -0.15, "move": 0.6, "fees": -0.02, "settlement": 4.75}
    assert parts.net_e6 == 10_000_000 - 4_800_000 - 20_000


def test_a_maker_earns_the_spread() -> None:
    fills = log_of(log_row(MAKER, event=2, cents=45), log_row(MAKER, event=2, action=SELL_YES))
    assert dollars(attribute(fills, mids(40, 47, 47), WON)) == {"spread": 0.5}


def test_no_is_yes_sold() -> None:
    """NO bought at 54 while the mid of NO is 53.5, worth 60 at the end and then nothing."""
    fills = log_of(log_row(TAKER, action=BUY_NO, cents=46))
    parts = dollars(attribute(fills, mids(46.5, 40), WON))
    assert parts == {"spread": -0.05, "move": 0.65, "settlement": -6.0}
    back = log_of(fills[0], log_row(TAKER, action=SELL_NO, cents=41, event=2))
    assert dollars(attribute(back, mids(46.5, 40), WON)) == {"spread": -0.15, "move": 0.65}


def test_without_a_result_the_last_touch_less_the_fee_of_closing_counts() -> None:
    rate = FeeSchedule().taker_rate_e6
    rule = FeeSchedule().rule
    ending = Ending(None, 4_500, 5_200, int(rule), rate)
    fee = FeeSchedule().fee_e6(4_500, 1_000, is_buy=False, is_taker=True)
    parts = attribute(log_of(log_row(TAKER, cents=46.5)), mids(46.5), ending)
    assert parts.settlement_e6 == -150_000 - fee
    fee = FeeSchedule().fee_e6(5_200, 1_000, is_buy=False, is_taker=True)
    parts = attribute(log_of(log_row(TAKER, cents=46.5, action=BUY_NO)), mids(46.5), ending)
    assert parts.settlement_e6 == -150_000 - fee
    unbid = Ending(None, 0, 5_200, int(rule), rate)
    parts = attribute(log_of(log_row(TAKER, cents=46.5)), mids(46.5), unbid)
    assert parts.settlement_e6 == -4_650_000


def test_a_fill_that_met_no_mid_is_unknown_until_there_is_one() -> None:
    fills = log_of(log_row(TAKER, event=1, cents=48, more=10_000))
    parts = dollars(attribute(fills, mids(None, None, 50, 53), WON))
    assert parts == {"unknown": 0.2, "move": 0.3, "fees": -0.01, "settlement": 4.7}
    never = dollars(attribute(fills, mids(None, None), WON))
    assert never == {"unknown": 5.2, "fees": -0.01}


def test_who_does_not_trade_has_no_parts() -> None:
    assert attribute(log_of(), mids(46.5), WON) == Attribution()


def one_sided(seed: int) -> RecordedSession:
    """Nobody bids for YES until, perhaps, the end."""
    random = np.random.Generator(np.random.PCG64(seed))
    builder = SessionBuilder().snapshot({}, {52: 50, 51: 30})
    for i in range(60):
        builder.at(250 * i).delta(b.NO, 50 - i % 3, float(random.integers(1, 50)))
        if seed % 2 and i == 40:
            builder.delta(b.YES, 44, 20)
    return builder.build(ticker=f"O{seed}")


@functools.cache
def every_kind_of_market() -> Dataset:
    """Settled and not, two-sided and not, by several fee rules."""
    rules = (FeeRule.AUGUST_2026, FeeRule.OCTOBER_2026)
    settled = [random_session(s, 500, fees=FeeSchedule.of(rules[s % 2])) for s in range(4)]
    open_ended = [msgspec.structs.replace(s, yes_value_e4=None) for s in settled]
    scalar = msgspec.structs.replace(settled[0], yes_value_e4=3_333)
    lonely = [one_sided(s) for s in range(2)]
    return dataset_of([make_tape(s) for s in (*settled, *open_ended, scalar, *lonely)])


def assert_parts_sum_to_net(outcome: PolicyOutcome) -> None:
    for net, fees, parts in zip(outcome.net_e6, outcome.fees_e6, outcome.attribution, strict=True):
        assert parts.net_e6 == net
        assert parts.fees_e6 == -fees
    assert outcome.attributed.net_e6 == sum(outcome.net_e6)


@given(st.integers(0, 2**32), st.sampled_from(list(Pricing)), st.sampled_from([7, 100, 1_000]))
def test_the_parts_sum_to_the_net_of_every_market(seed: int, pricing: Pricing, size: int) -> None:
    rules = SimulationRules(pricing=pricing, contract_size_e2=size, market_cash_e6=20_000_000)
    outcome = run_policy(every_kind_of_market(), rules, RandomChoice(seed), seed)
    assert sum(outcome.filled_e2) > 0
    assert_parts_sum_to_net(outcome)


def test_all_that_can_be_unknown_is_met() -> None:
    """The markets above do what the property is about."""
    rules = SimulationRules(pricing=Pricing.AGGRESSIVE)
    outcome = run_policy(every_kind_of_market(), rules, RandomChoice(3), 3)
    assert outcome.attribution[-1].unknown_e6 != 0
    never = outcome.attribution[-2]
    assert never.unknown_e6 != 0
    assert never == Attribution(fees_e6=never.fees_e6, unknown_e6=never.unknown_e6)
    assert all(p.spread_e6 and p.move_e6 and p.settlement_e6 for p in outcome.attribution[:4])


@needs_recordings
@pytest.mark.parametrize("pricing", list(Pricing))
def test_the_parts_sum_to_the_net_on_a_real_recording(pricing: Pricing) -> None:
    folder, _ = recordings_folder()
    assert folder is not None
    files = sorted((folder / "gold15m-2026-08").glob("*.ndjson.gz"))[:2]
    if not files:
        pytest.skip("no gold markets among the recordings")
    datasets = Datasets([s for f in files for s in load_sessions(f)], 250)
    policy = load_strategy("baseline:random", seed=1, data_dir=Path("nowhere"))
    outcome = datasets.run(policy, SimulationRules(pricing=pricing))
    assert sum(outcome.filled_e2) > 0
    assert_parts_sum_to_net(outcome)


YES, NO = b.YES, b.NO


def mids_of(session: RecordedSession) -> list[int]:
    """Of a market alone in its dataset."""
    return [int(m) for m in market_mids(dataset_of([make_tape(session, throttle_ms=0)]), 0)]


def padded(builder: SessionBuilder) -> RecordedSession:
    """Long enough to be simulated: what is added is far from any touch."""
    for i in range(20):
        builder.at(10_000 + i).delta(YES, 1, 1)
    return builder.build()


def assert_mids_are_those_of_the_ticks(sessions: list[RecordedSession]) -> None:
    tapes = [make_tape(s) for s in sessions]
    dataset = dataset_of(tapes)
    for market, tape in enumerate(tapes):
        yes, no = tape.touch[:, YES], tape.touch[:, NO]
        expected = (yes + ONE_DOLLAR_E4 - no) // 2
        expected[(yes == 0) | (no == 0)] = UNKNOWN
        mids = market_mids(dataset, market)
        np.testing.assert_array_equal(mids[tape.tick_event], expected)
        assert len(mids) == len(tape.ns)


def test_at_every_tick_it_is_the_mid_of_the_touch() -> None:
    assert_mids_are_those_of_the_ticks([random_session(s, 900) for s in range(5)])


@needs_recordings
def test_at_every_tick_of_a_real_recording_too() -> None:
    folder, _ = recordings_folder()
    assert folder is not None
    files = sorted((folder / "gold15m-2026-08").glob("*.ndjson.gz"))[:2]
    if not files:
        pytest.skip("no gold markets among the recordings")
    assert_mids_are_those_of_the_ticks([s for f in files for s in load_sessions(f)])


def test_it_follows_both_sides_event_by_event() -> None:
    builder = SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30}).at(10)
    builder.delta(YES, 46, 5).delta(YES, 46, -5).delta(NO, 52, -50).delta(NO, 40, 1)
    assert mids_of(padded(builder))[5:10] == [4_650, 4_700, 4_650, 4_700, 4_700]


def test_a_side_that_is_empty_counts_at_its_last_known_bid() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {52: 50}).at(10).delta(NO, 52, -50)
    assert mids_of(padded(builder))[3:5] == [4_650, 4_650]


def test_half_a_snapshot_is_no_book() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {52: 50}).at(10).snapshot({30: 1}, {60: 1})
    mids = mids_of(padded(builder))
    assert mids[:4] == [UNKNOWN, UNKNOWN, UNKNOWN, 4_650]
    assert mids[4:8] == [4_650, 4_650, 4_650, 3_500]


def test_there_is_none_before_both_sides_have_had_a_bid() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {}).at(10).delta(NO, 52, 50)
    assert mids_of(padded(builder))[2:4] == [UNKNOWN, 4_650]


def test_an_event_meets_the_mid_before_it() -> None:
    mids = np.array([4_000, 4_100, 4_200], np.int64)
    assert mid_before(mids, np.array([0, 1, 3])).tolist() == [UNKNOWN, 4_000, 4_200]
