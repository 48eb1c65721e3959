"""The gate on old data in simulation: the rule of inference, on recorded times."""

from __future__ import annotations

import msgspec
import numpy as np
from support.model_sessions import MS, SessionBuilder

from ipc import book as b
from models.simulation.data_age import MAX_DATA_AGE_MS
from models.simulation.dataset import WARMUP_TICKS, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.order_state import PENDING_ACTION
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import Action
from processes.runtime.config import load_settings

TICKS = 30
BUY = np.array([int(Action.BUY_YES_LIMIT)])


def session(delays_ms: dict[int, int], offset_ms: int = 0) -> RecordedSession:
    """A tick every 250 ms; tick `n` came so much later than it was sent, by a clock that is off."""
    builder = SessionBuilder().snapshot({45: 100}, {52: 50})
    for i in range(TICKS):
        builder.at(250 * (i + 1)).delta(b.YES, 10, 1)
    whole = builder.build()
    events = whole.events.copy()
    deltas = np.flatnonzero(events["kind"] == 4)
    for i, delay_ms in delays_ms.items():
        events["exch_ms"][deltas[i]] -= delay_ms
    events["exch_ms"] += offset_ms
    events["exch_ms"][events["kind"] != 4] = 0
    return msgspec.structs.replace(whole, events=events)


def ages(recorded: RecordedSession) -> list[int]:
    return [b.data_age_ms(row) for row in make_tape(recorded).rows]


def orders_at_first_decision(recorded: RecordedSession, **rules: int) -> tuple[bool, int]:
    """(whether the mask allows it, the order that is on its way) when buying at once."""
    simulation = Simulation(
        dataset_of([make_tape(recorded)]),
        SimulationRules(latencies_ns=(10_000 * MS,), **rules),
        1,
        [1],
    )
    simulation.reset([0])
    allowed = bool(simulation.masks()[0, 1])
    simulation.step(BUY, restart=False)
    return allowed, int(simulation._orders[0, PENDING_ACTION])


def test_the_age_is_what_a_frame_took() -> None:
    found = ages(session({3: 1_500}))
    assert found[0] == 0, "a snapshot does not say when it was sent"
    assert found[4] == 1_500
    assert sum(found) == 1_500


def test_a_clock_that_is_behind_shows_in_frames_that_seem_to_come_early() -> None:
    found = ages(session({3: 1_500}, offset_ms=2_000))
    assert found[4] == 1_500
    assert sum(found) == 1_500


def test_what_the_collector_noted_of_its_clock_counts_from_there_on() -> None:
    recorded = msgspec.structs.replace(session({3: 1_500}), clock_offsets=((8, 100),))
    found = ages(recorded)
    at = next(i for i, age in enumerate(found) if age == 100)
    assert found[4] in (1_500, 1_600)
    assert set(found[at + 1 :]) <= {100, 1_600}
    assert set(found[:at]) <= {0, 1_500}


def test_nothing_is_ordered_on_a_tick_whose_data_was_old() -> None:
    first = WARMUP_TICKS - 1  # the delta of the first tick that is decided on
    assert orders_at_first_decision(session({})) == (True, 1)
    assert orders_at_first_decision(session({first: MAX_DATA_AGE_MS})) == (True, 1)
    late = session({first: MAX_DATA_AGE_MS + 1})
    assert orders_at_first_decision(late) == (False, 0)
    assert orders_at_first_decision(late, max_data_age_ms=2_000) == (True, 1)


def test_the_limit_is_that_of_the_live_actor() -> None:
    assert load_settings({}).actor.max_data_age_ms == MAX_DATA_AGE_MS
    assert load_settings({"RL_MAX_DATA_AGE_MS": "off"}).actor.max_data_age_ms is None
