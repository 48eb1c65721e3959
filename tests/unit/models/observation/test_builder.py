"""OBSERVATION_V1: golden values, every default, history and missing mids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.model_builders import NOON_NS, SECOND, book

from ipc import account_table as a
from ipc import book as b
from ipc.units import PriceGrid, PriceRange
from models.observation.builder import (
    BUILDERS,
    FLOATS,
    INTS,
    MOST,
    OBSERVATION_V1,
    LiveObservationAdapter,
    ZoneClock,
    observation_hash,
    observe_account,
    observe_tick,
)
from models.observation.schema import Schema
from models.observation.v1 import (
    BOOK_SIZE,
    clean,
    market_features,
    momentum_of,
    portfolio_features,
    temporal_features,
)
from models.observation.v2 import OBSERVATION_V2
from models.observation.v3 import OBSERVATION_V3

SIZE = 52
FLAT = a.new_account(100_000_000)


def market(row: b.Row) -> list[float]:
    out = np.full(BOOK_SIZE, np.nan)
    market_features(row, out)
    return [float(x) for x in out[:21]]


def observe(row: b.Row, account: Any = FLAT) -> dict[str, float]:
    adapter = LiveObservationAdapter()
    adapter.tick("M", row)
    values = adapter.observe("M", row, account)
    return dict(zip(OBSERVATION_V1.names, values.tolist(), strict=True))


def ticks(mids: list[float | None], step_s: float = 1.0) -> dict[str, float]:
    """Tick a one-level book through mids (cents, whole or half) and observe the last."""
    adapter = LiveObservationAdapter()
    for i, mid in enumerate(mids):
        if mid is None:
            row = book({10: 100}, {})
        else:
            row = book({math.floor(mid) - 1: 100}, {100 - math.ceil(mid) - 1: 100})
        row[b.RECV_NS] += int(i * step_s * SECOND)
        assert adapter.tick("M", row) == i
    values = adapter.observe("M", row, FLAT)
    return dict(zip(OBSERVATION_V1.names, values.tolist(), strict=True))


def test_golden_a() -> None:
    expected = [0.45, 0.48, 0.52, 0.55, 0.03, 0.03, 0.465, 0.535, 0.63632, 0.63632, 0.711422]
    expected += [0, 0.714286, -0.714286, 0.15, 0.15, 1, 1, 0, 1, 1]
    assert market(book({45: 100, 44: 200}, {52: 50})) == pytest.approx(expected, abs=1e-6)


def test_golden_b() -> None:
    seen = np.array([NOON_NS + i * SECOND for i in range(1, 11)], np.int64)
    acts = np.array([0.005 + 0.001 * i for i in range(1, 11)])
    mids = np.array([50.0 + i % 3 for i in range(1, 11)])
    out = np.full(BOOK_SIZE, np.nan)
    now = NOON_NS + 11 * SECOND
    temporal_features(now, 1.0, 12, 3, 0.016, 0.1, 52.0, seen, acts, mids, 10, out)
    expected = [0.003333, 0.428571, 0.5, 0.016, 0.001, 0.5, 1, 0, 0.01, 0.1, 0.08, 0.994307]
    assert out[21:] == pytest.approx([*expected, 0.733333, 1], abs=1e-6)


def test_golden_c() -> None:
    out = np.full(SIZE, np.nan)
    value_e6 = 10 * (10_000 - 4_650) * 100.0
    portfolio_features(94_500_000.0, -1_000, 5_500_000.0, value_e6, 100_000_000.0, out)
    expected = [0.945, 0.055, 0.1, 0.01, 0, 1, -0.761594, 0.0535, -0.01, -0.0015, 1, 0.02675]
    assert out[35:47] == pytest.approx(expected, abs=1e-6)


def test_the_schema_is_the_contract() -> None:
    assert OBSERVATION_V1.size == SIZE
    groups = [f.group for f in OBSERVATION_V1.features]
    assert [groups.count(g) for g in ("market", "temporal", "portfolio", "order")] == [
        21,
        14,
        12,
        5,
    ]
    assert len(set(OBSERVATION_V1.names)) == 52


@pytest.mark.parametrize(
    ("schema", "known"),
    [
        (OBSERVATION_V1, "9ca855e311af7cacc0861e70ca65d16f"),
        (OBSERVATION_V2, "2e2d958246855c08a262c0a01d0a9624"),
        (OBSERVATION_V3, "7b6a5eaa18a1c8bff70fe24508da1b08"),
    ],
)
def test_models_of_every_version_are_of_the_same_schemas(schema: Schema, known: str) -> None:
    """Not a word of a formula changes: a model that was trained on it would be refused."""
    assert schema.hash == known


def test_every_empty_default() -> None:
    values = observe(book({}, {}))
    for feature in OBSERVATION_V1.features:
        if feature.empty is not None:
            assert values[feature.name] == pytest.approx(feature.empty), feature.name


@pytest.mark.parametrize("leg", ["yes", "no"])
def test_every_part_of_a_book_with_one_leg(leg: str) -> None:
    one = {30: 50, 20: 150}
    got = market(book(one, {}) if leg == "yes" else book({}, one))
    part = [f.part for f in OBSERVATION_V1.features]
    bid, own_ask, other_bid, ask = (0, 1, 2, 3) if leg == "yes" else (2, 3, 0, 1)
    assert got[bid] == pytest.approx(0.30)
    assert got[ask] == pytest.approx(0.70)  # the other leg's ask is derived from this bid
    assert (got[own_ask], got[other_bid]) == (part[own_ask], part[other_bid])
    for i in (4, 5, 6, 7, 11, 18, 19, 20):
        assert got[i] == part[i], OBSERVATION_V1.names[i]
    sign = 1 if leg == "yes" else -1
    assert got[12:14] == [sign, -sign]
    assert got[14:18] == [0.1, 0.1, 1, 1]
    assert got[8] == got[9] == pytest.approx(math.log(201) / math.log(10_001))


def test_concentration_takes_the_largest_not_the_nearest() -> None:
    got = market(book({50: 1, 40: 2, 30: 400, 20: 300, 10: 30}, {45: 200, 30: 67}))
    assert got[16] == got[17] == pytest.approx(0.9)


def test_spread_and_mid_are_clamped() -> None:
    fine = PriceGrid([PriceRange(0, 10_000, 1)][:1])
    row = b.new_row(10_000, fine)
    b.apply_snapshot(row, np.array([0, 1], np.uint8), np.array([5, 9_994]), np.array([100, 100]))
    got = market(row)
    assert got[4] == got[5] == 0.001
    assert got[6:8] == [0.01, 0.99]
    assert got[18] == pytest.approx(0)
    assert market(book({1: 1}, {1: 1}))[4:6] == [0.98, 0.98]


def test_depth_is_capped() -> None:
    got = market(book(dict.fromkeys(range(1, 16), 1), dict.fromkeys(range(1, 10), 1)))
    assert got[14:16] == [1, 1]


def test_first_tick_has_the_temporal_defaults() -> None:
    values = observe(book({45: 100}, {52: 50}))
    for feature in OBSERVATION_V1.features[25:35]:
        assert values[feature.name] == pytest.approx(feature.part), feature.name
    assert values["time_since_last_update"] == 0
    assert values["time_of_day_norm"] == pytest.approx(3 / 7)
    assert values["day_of_week_norm"] == pytest.approx(2 / 6)
    assert values["current_activity_score"] == pytest.approx(math.log(301) / 1000)


def test_gap_and_frequency() -> None:
    values = ticks([50.0] * 4, step_s=30.0)
    assert values["time_since_last_update"] == pytest.approx(0.1)
    assert values["update_frequency"] == pytest.approx(3 / 90 / 2)
    assert ticks([50.0] * 2, step_s=900.0)["time_since_last_update"] == 1
    assert ticks([50.0] * 2)["update_frequency"] == pytest.approx(0.1)
    assert ticks([50.0] * 12, step_s=0.25)["update_frequency"] == 1


def test_momentum_skips_ticks_without_a_mid() -> None:
    expected = math.tanh((3 - 1) / 1)
    assert ticks([50.0, 51.0, 54.0])["price_momentum"] == pytest.approx(expected)
    assert ticks([50.0, None, 51.0, 54.0, None])["price_momentum"] == pytest.approx(expected)
    assert ticks([50.0, None, 54.0])["price_momentum"] == 0
    assert ticks([50.0, 50.0, 54.0])["price_momentum"] == 0
    assert momentum_of(np.array([50.0, 50.001]), 2, 51.0) == 0.0


def test_volatility_and_stability_use_steps_between_neighbours_with_mids() -> None:
    values = ticks([50.0, 52.0, 50.0, 54.0, 50.0, 51.0])
    assert values["volatility_regime"] == pytest.approx(np.std([2, 2, 4, 4, 1]) / 5)
    assert values["price_stability"] == pytest.approx(1 - np.mean([2, 4, 4]) / 5)
    values = ticks([50.0, 52.0, None, 54.0, 50.0, 51.0])
    assert values["volatility_regime"] == pytest.approx(np.std([2, 4, 1]) / 5)
    assert values["price_stability"] == pytest.approx(1 - 4 / 5)
    values = ticks([None, 50.0, None, 50.0, None, 50.0])
    assert values["volatility_regime"] == pytest.approx(0.1)
    assert values["price_stability"] == 0.5


def test_quiet_and_persistence() -> None:
    adapter = LiveObservationAdapter()
    for i, size in enumerate([1000, 1000, 1000, 1000, 1]):
        row = book({40: size}, {40: size})
        row[b.RECV_NS] += i * SECOND
        adapter.tick("M", row)
    values = adapter.observe("M", row, FLAT)
    assert (values[27], values[28]) == (0, 1)
    assert values[29] < 0
    assert values[34] == pytest.approx(0.5)


def test_history_starts_over_when_the_book_becomes_live_again() -> None:
    adapter = LiveObservationAdapter()
    row = book({45: 100}, {52: 50})
    assert [adapter.tick("M", row) for _ in range(3)] == [0, 1, 2]
    assert adapter.tick("OTHER", row) == 0
    row[b.LIVE_EVENT_NO] = 99
    row[b.RECV_NS] += SECOND
    assert adapter.tick("M", row) == 0
    assert adapter.observe("M", row, FLAT)[21] == 0
    row[b.GENERATION] += 1
    assert adapter.tick("M", row) == 0


def test_zone() -> None:
    clock = ZoneClock()
    assert clock.offset_s(NOON_NS) == -4 * 3600
    assert clock.offset_s(NOON_NS + 120 * 86_400 * SECOND) == -5 * 3600
    before_change = 1_793_511_000 * SECOND  # 1 November 2026, 01:30 daylight time
    assert clock.offset_s(before_change) == -4 * 3600
    assert clock.offset_s(before_change + 3600 * SECOND) == -5 * 3600


def test_position_at_mid_and_when_the_mid_is_missing() -> None:
    account = a.new_account(90_000_000)
    account[a.POSITION_E2], account[a.COST_BASIS_E6] = 2_000, 10_000_000
    row = book({45: 100}, {52: 50})
    values = observe(row, account)
    pv = 90 + 20 * 0.465
    assert values["cash_ratio"] == pytest.approx(90 / pv)
    assert values["position_concentration"] == pytest.approx(9.3 / pv)
    assert values["unrealized_pnl_ratio"] == pytest.approx(math.tanh((9.3 - 10) / pv))
    assert values["largest_position_norm"] == pytest.approx(0.02)
    b.apply_delta(row, 1, 5_200, -5_000)  # no ask left: the last known mid stands
    assert observe(row, account)["cash_ratio"] == pytest.approx(90 / pv)
    values = observe(book({45: 100}, {}), account)
    assert values["cash_ratio"] == pytest.approx(90 / 100)


def test_a_worthless_account_is_the_default_block() -> None:
    account = a.new_account(10_000)
    names = OBSERVATION_V1.names[35:47]
    values = observe(book({45: 100}, {52: 50}), account)
    assert [values[n] for n in names] == [1] + [0] * 11


def test_orders_are_measured_on_their_own_leg() -> None:
    account = a.new_account(100_000_000)
    row = book({45: 100}, {52: 50})  # YES mid 46.5, NO mid 53.5
    old, new = NOON_NS - 60 * SECOND, NOON_NS - 30 * SECOND
    a.put_orders(
        account, [a.OpenOrder(True, 1, 5_000, 100, old), a.OpenOrder(False, 0, 6_000, 5, new)]
    )
    values = observe(row, account)
    assert [values[n] for n in OBSERVATION_V1.names[47:]] == pytest.approx(
        [1, 1, 0.035, 0.135, 0.1]
    )
    a.put_orders(
        account, [a.OpenOrder(True, 0, 4_000, 100, old), a.OpenOrder(True, 0, 100, 5, old)]
    )
    values = observe(row, account)
    assert [values[n] for n in OBSERVATION_V1.names[47:]] == pytest.approx([1, 0, 0.065, 0, 0.2])


def test_clean() -> None:
    assert [clean(x) for x in (math.nan, math.inf, -math.inf, 9.0, -9.0, 0.5)] == [
        0, 1, -1, 2, -2, 0.5,
    ]  # fmt: skip


def test_hash_sees_every_bit() -> None:
    values = np.zeros(SIZE, np.float32)
    first = observation_hash(values)
    values[51] = np.float32(1e-45)
    assert len(first) == 16
    assert observation_hash(values) != first


def test_a_code_of_no_schema_is_refused() -> None:
    row, code = book({40: 100}, {50: 100}), 1 + max(builder.code for builder in BUILDERS.values())
    ticked = np.zeros(BOOK_SIZE, np.float32)
    with pytest.raises(ValueError, match="no schema has this code"):
        observe_tick(code, row, 0, np.zeros(INTS, np.int64), np.zeros(FLOATS), ticked)
    with pytest.raises(ValueError, match="no schema has this code"):
        observe_account(code, ticked, row, FLAT, np.zeros(MOST, np.float32))
