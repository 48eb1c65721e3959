"""OBSERVATION_V3: V2 whole, and beside it V2's own values of some ticks ago."""

from __future__ import annotations

import numpy as np
import pytest
from support.model_builders import SECOND, book
from support.model_sessions import random_session

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import OpenOrder, new_account, put_orders
from models.observation.builder import (
    OBSERVATION_V2,
    OBSERVATION_V3,
    LiveObservationAdapter,
    Observation,
    builder_of,
)
from models.simulation.tape import build_observation_from_session_data, make_tape

V2, V3 = builder_of("OBSERVATION_V2"), builder_of("OBSERVATION_V3")
LAGS = (1, 4, 20)
FLAT = new_account(100_000_000)


def named(values: Observation) -> dict[str, float]:
    return dict(zip(OBSERVATION_V3.names, values.tolist(), strict=True))


def holding() -> a.AccountRow:
    """A position and a resting order, so that no feature of the account is empty."""
    account = new_account(94_500_000)
    account[a.POSITION_E2], account[a.COST_BASIS_E6] = -1_000, 5_500_000
    order = OpenOrder(is_buy=True, leg=0, price_e4=4_300, remaining_e2=1_000, created_ns=SECOND)
    put_orders(account, [order])
    return account


def test_every_tick_of_random_markets_holds_v2_and_what_it_was() -> None:
    account = holding()
    for seed in range(3):
        session = random_session(seed, 2_000)
        tape, tape_v2 = make_tape(session, 250, V3), make_tape(session, 250, V2)
        live, live_v2 = LiveObservationAdapter(V3), LiveObservationAdapter(V2)
        assert len(tape.rows) > 200
        seen: list[dict[str, float]] = []
        for t, row in enumerate(tape.rows):
            live.tick("M", row)
            live_v2.tick("M", row)
            observation = live.observe("M", row, account)
            trained = build_observation_from_session_data(tape, t, account)
            assert observation.tobytes() == trained.tobytes()
            got = named(observation)
            seen.append(got)
            for name, value in zip(
                OBSERVATION_V2.names, live_v2.observe("M", row, account), strict=True
            ):
                assert got[name] == value, (t, name)
            for lag in LAGS:
                then = seen[max(t - lag, 0)]
                assert got[f"touch_imbalance_{lag}_ago"] == then["touch_imbalance"], t
                assert got[f"order_flow_{lag}_ago"] == then["order_flow_1s"], t
                move = (got["yes_mid"] - then["yes_mid"]) * 20
                clipped = max(-2.0, min(2.0, move))
                assert got[f"mid_move_{lag}_ago"] == pytest.approx(clipped, abs=3e-6), t
        assert (tape.features[:, : V2.tick_size] == tape_v2.features).all()


def test_a_memory_that_starts_over_forgets() -> None:
    adapter = LiveObservationAdapter(V3)
    before, after = book({45: 90}, {52: 10}), book({60: 10}, {35: 90})
    for n in range(30):
        before[b.RECV_NS] += n
        adapter.tick("M", before)
    after[b.RECV_NS] = before[b.RECV_NS] + SECOND
    after[b.LIVE_EVENT_NO] += 1
    adapter.tick("M", after)
    got = named(adapter.observe("M", after, FLAT))
    assert [got[f"touch_imbalance_{lag}_ago"] for lag in LAGS] == pytest.approx([-0.8] * 3)
    assert [got[f"mid_move_{lag}_ago"] for lag in LAGS] == [0.0] * 3


def test_every_value_without_a_book() -> None:
    row, adapter = book({}, {}), LiveObservationAdapter(V3)
    adapter.tick("M", row)
    got = named(adapter.observe("M", row, FLAT))
    for feature in OBSERVATION_V3.features:
        assert got[feature.name] == feature.empty, feature.name


def test_the_schema_is_v2_with_its_history_between() -> None:
    assert OBSERVATION_V3.size == V3.size == OBSERVATION_V2.size + 9
    assert V3.tick_size == V2.tick_size + 9
    names = OBSERVATION_V3.names
    assert names[: V2.tick_size] + names[V3.tick_size :] == OBSERVATION_V2.names
    assert len(set(names)) == len(names)
    assert OBSERVATION_V3.hash != OBSERVATION_V2.hash


def test_what_is_not_a_number_never_leaves() -> None:
    tape = make_tape(random_session(4, 500), 250, V3)
    assert np.isfinite(tape.features).all()
    assert np.abs(tape.features).max() <= 2.0
