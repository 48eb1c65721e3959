"""OBSERVATION_V2 against an independent reading of its formulas, over whole random markets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.model_builders import NOON_NS, SECOND, book
from support.model_sessions import random_session

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import OpenOrder, new_account, put_orders
from ipc.units import PriceGrid, PriceRange
from models.observation.builder import (
    BUILDERS,
    OBSERVATION_V1,
    OBSERVATION_V2,
    LiveObservationAdapter,
    builder_of,
)
from models.simulation.tape import build_observation_from_session_data, make_tape

V2 = builder_of("OBSERVATION_V2")
FLAT = new_account(100_000_000)
FINE = PriceGrid([PriceRange(0, 10_000, 10)])


def signed_log(contracts: float) -> float:
    return math.copysign(math.log1p(abs(contracts)) / math.log(10_001), contracts)


class Naive:
    """One market's memory as plain floats; a tick at a time."""

    def __init__(self) -> None:
        self.ofi = dict.fromkeys((1, 3, 15, 60), 0.0)
        self.flow = dict.fromkeys((1, 3, 15, 60), 0.0)
        self.mean: dict[int, float] = {}
        self.variance = dict.fromkeys((15, 60), 0.0)
        self.rate = 0.0
        self.last: b.Row | None = None

    def tick(self, row: b.Row) -> dict[str, float]:
        mid = (int(row[b.LAST_MID2]) or 10_000) / 200  # cents
        last = row if self.last is None else self.last
        dt = int(row[b.RECV_NS] - last[b.RECV_NS]) / 1e9
        for s in (1, 3, 15, 60):
            self.ofi[s] = self.ofi[s] * math.exp(-dt / s) + int(row[b.OFI] - last[b.OFI]) / 100
            gained = int(row[b.TRADE_FLOW] - last[b.TRADE_FLOW]) / 100
            self.flow[s] = self.flow[s] * math.exp(-dt / s) + gained
        for s in (3, 15, 60):
            left = math.exp(-dt / s)
            self.mean[s] = self.mean.get(s, mid) * left + mid * (1 - left)
        for s in (15, 60):
            gained = int(row[b.REALISED] - last[b.REALISED]) / 40_000
            self.variance[s] = self.variance[s] * math.exp(-dt / s) + gained
        self.rate = self.rate * math.exp(-dt / 3) + int(row[b.N_DELTAS] - last[b.N_DELTAS])
        self.last = row.copy()
        named = {f"order_flow_{s}s": signed_log(x) for s, x in self.ofi.items()}
        named |= {f"trade_flow_{s}s": signed_log(x) for s, x in self.flow.items()}
        named |= {f"mid_minus_mean_{s}s": (mid - x) / 5 for s, x in self.mean.items()}
        for s, x in self.variance.items():
            named[f"volatility_{s}s"] = min(math.sqrt(x / s) / 5, 2)
        return named | {"update_rate_3s": signed_log(self.rate / 3)} | standing(row)


def standing(row: b.Row) -> dict[str, float]:
    """What the book itself says, by its levels."""
    bids = b.levels_of(row, b.YES)[::-1]
    asks = [(10_000 - p, c) for p, c in b.levels_of(row, b.NO)[::-1]]
    five = [sum(c for _, c in side[:5]) for side in (bids, asks)]
    named = {
        "depth_bids": signed_log(five[0] / 100),
        "depth_asks": signed_log(five[1] / 100),
        "five_level_imbalance": (five[0] - five[1]) / max(sum(five), 1),
    }
    if bids and asks:
        (bid, size), (ask, other) = bids[0], asks[0]
        lean = (size - other) / (size + other)
        named |= {
            "yes_mid": (bid + ask) / 20_000,
            "touch_imbalance": lean,
            "touch_log_ratio": max(-1.0, min(1.0, math.log(size / other) / math.log(100))),
            "microprice_minus_mid": max(-2.0, min(2.0, lean * (ask - bid) / 200)),
            "spread_ticks": min((ask - bid) / 100 / 10, 2),
        }
    return named


def named(values: Any) -> dict[str, float]:
    return dict(zip(OBSERVATION_V2.names, values.tolist(), strict=True))


def test_every_tick_of_random_markets_is_the_naive_reading() -> None:
    for seed in range(3):
        session = random_session(seed, 2_000)
        tape, naive, adapter = make_tape(session, 250, V2), Naive(), LiveObservationAdapter(V2)
        assert len(tape.rows) > 200
        for t, row in enumerate(tape.rows):
            expected = naive.tick(row)
            adapter.tick("M", row)
            live = adapter.observe("M", row, FLAT)
            trained = build_observation_from_session_data(tape, t, FLAT)
            assert live.tobytes() == trained.tobytes()
            got = named(live)
            for name, value in expected.items():
                assert got[name] == pytest.approx(max(-2.0, min(2.0, value)), abs=2e-6), (t, name)


def test_the_schema_has_what_its_kernels_make() -> None:
    assert OBSERVATION_V2.size == V2.size == 39
    assert V2.tick_size == 27
    assert len(set(OBSERVATION_V2.names)) == 39
    assert OBSERVATION_V2.hash != OBSERVATION_V1.hash
    assert set(BUILDERS) == {"OBSERVATION_V1", "OBSERVATION_V2", "OBSERVATION_V3"}
    assert len({builder.code for builder in BUILDERS.values()}) == len(BUILDERS)
    with pytest.raises(ValueError, match="allowed: OBSERVATION_V1, OBSERVATION_V2"):
        builder_of("OBSERVATION_V9")


def observe(row: b.Row, account: a.AccountRow = FLAT) -> dict[str, float]:
    adapter = LiveObservationAdapter(V2)
    adapter.tick("M", row)
    return named(adapter.observe("M", row, account))


def test_every_value_without_a_book() -> None:
    got = observe(book({}, {}))
    for feature in OBSERVATION_V2.features:
        assert got[feature.name] == feature.empty, feature.name


@pytest.mark.parametrize(("yes", "no", "lean"), [({45: 9}, {}, 1.0), ({}, {45: 9}, -1.0)])
def test_a_book_of_one_side(yes: Any, no: Any, lean: float) -> None:
    got = observe(book(yes, no))
    assert (got["touch_imbalance"], got["touch_log_ratio"]) == (lean, lean)
    assert (got["microprice_minus_mid"], got["spread_ticks"]) == (0.0, 2.0)


def test_the_spread_counts_prices_of_the_market_s_own_grid() -> None:
    row = book({45: 10}, {54.5: 10}, FINE)
    assert observe(row)["spread_ticks"] == pytest.approx(0.5)
    assert observe(book({45: 10}, {54: 10}))["spread_ticks"] == pytest.approx(0.1)


def test_time_to_the_close() -> None:
    row = book({45: 10}, {54: 10})
    row[b.CLOSE_MS] = row[b.RECV_NS] // 1_000_000 + 90_000
    got = observe(row)
    assert got["time_to_close"] == pytest.approx(0.1)
    assert got["log_time_to_close"] == pytest.approx(math.log(91) / math.log(86_401))
    row[b.CLOSE_MS] -= 100_000
    assert observe(row)["time_to_close"] == 0.0


def test_the_age_of_the_last_trade() -> None:
    row = book({45: 10}, {54: 10})
    row[b.LAST_TRADE_MS] = NOON_NS // 1_000_000 - 15_000
    row[b.RECV_NS] = NOON_NS
    assert observe(row)["last_trade_age"] == pytest.approx(0.25)


def holding(position_e2: int, *orders: OpenOrder) -> a.AccountRow:
    account = new_account(94_500_000)
    account[a.POSITION_E2] = position_e2
    account[a.COST_BASIS_E6] = 5_500_000
    put_orders(account, list(orders))
    return account


def test_inventory_is_signed_and_valued_at_the_mid() -> None:
    row = book({45: 100}, {52: 50})  # the mid is 46.5 cents
    got = observe(row, holding(-1_000))
    assert got["inventory"] == pytest.approx(-signed_log(10))
    assert got["inventory_share"] == pytest.approx(-5.35 / 99.85)
    assert got["cash_ratio"] == pytest.approx(94.5 / 99.85)
    assert got["unrealized_pnl"] == pytest.approx(math.tanh(10 * -0.15 / 99.85))


def test_own_orders_by_the_side_of_the_yes_book() -> None:
    row = book({45: 100, 43: 40}, {52: 50})
    second = int(row[b.RECV_NS]) - 6 * SECOND
    buy_yes = OpenOrder(is_buy=True, leg=0, price_e4=4_300, remaining_e2=1_000, created_ns=second)
    got = observe(row, holding(0, buy_yes))
    flags = [got[n] for n in ("has_bid", "has_ask", "bid_behind_touch", "ask_behind_touch")]
    assert flags == pytest.approx([1, 0, 0.2, 0])
    assert got["order_age"] == pytest.approx(0.1)
    assert got["order_share_of_level"] == pytest.approx(0.25)
    sell_no = OpenOrder(is_buy=False, leg=1, price_e4=5_700, remaining_e2=1_000, created_ns=second)
    assert observe(row, holding(-1_000, sell_no))["has_bid"] == 1
    assert observe(row, holding(0, sell_no))["bid_behind_touch"] == pytest.approx(0.2)
    buy_no = OpenOrder(is_buy=True, leg=1, price_e4=5_200, remaining_e2=1_000, created_ns=second)
    got = observe(row, holding(0, buy_no))
    assert [got["has_ask"], got["ask_behind_touch"]] == pytest.approx([1, 0])
    assert got["order_share_of_level"] == pytest.approx(0.2)


def bid(ahead_e2: int, price_e4: int = 4_500) -> OpenOrder:
    return OpenOrder(True, 0, price_e4, 1_000, 0, ahead_e2)


NO_ASK = OpenOrder(True, 1, 5_200, 1_000, 0, 2_500)  # an ask of the YES book, 25 before it


@pytest.mark.parametrize(
    ("orders", "ahead", "known"),
    [
        ((), 0.0, 0.0),
        ((bid(a.UNKNOWN_AHEAD),), 0.0, 0.0),
        ((bid(0),), 0.0, 1.0),
        ((bid(12_300),), 0.5233497, 1.0),  # ln(1 + 123)/ln(10001)
        ((bid(99_999_999),), 1.4999838, 1.0),
        ((bid(12_300), NO_ASK), 0.3537395, 1.0),  # ln(1 + 25)/ln(10001): the nearer one
        ((bid(0), NO_ASK), 0.0, 1.0),
        ((bid(a.UNKNOWN_AHEAD), NO_ASK), 0.3537395, 1.0),
        ((bid(12_300), bid(0, 4_300)), 0.5233497, 1.0),  # the first of a side counts
    ],
    ids=str,
)
def test_the_place_in_the_queue(orders: tuple[OpenOrder, ...], ahead: float, known: float) -> None:
    got = observe(book({45: 100, 43: 40}, {52: 50}), holding(0, *orders))
    assert got["queue_ahead"] == pytest.approx(ahead, abs=2e-7)
    assert got["queue_known"] == known


def test_a_reader_that_skips_updates_misses_no_flow() -> None:
    """Rows of one moment, all of them or only the last: the same memory afterwards."""
    rows = [book({45: 10}, {52: 10}) for _ in range(4)]
    for n, row in enumerate(rows):
        row[b.OFI], row[b.TRADE_FLOW], row[b.N_DELTAS] = 700 * n, -300 * n, 5 * n
        row[b.REALISED] = 10_000 * n
    rows[0][b.RECV_NS] -= SECOND
    everyone, hasty = LiveObservationAdapter(V2), LiveObservationAdapter(V2)
    for row in rows:
        everyone.tick("M", row)
    for row in (rows[0], rows[-1]):
        hasty.tick("M", row)
    seen = [adapter.observe("M", rows[-1], FLAT) for adapter in (everyone, hasty)]
    assert seen[0].tobytes() == seen[1].tobytes()
    assert named(seen[0])["order_flow_1s"] == pytest.approx(signed_log(21))


def test_what_is_not_a_number_never_leaves() -> None:
    tape = make_tape(random_session(4, 500), 250, V2)
    assert np.isfinite(tape.features).all()
    assert np.abs(tape.features).max() <= 2.0
