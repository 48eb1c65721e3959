"""The same market and the same orders through the simulator and through the local exchange.

They are two implementations of one set of rules: an int64 kernel, and the matching, ledger and fees
of the exchange. Every order must fill alike, to the hundredth of a contract and the micro-dollar.

Two differences are meant, and kept out here:

- What we take from a replayed book stays taken at the exchange until the recording changes that
  level; the simulator's book heals at once. `test_a_level_taken_twice` shows it.
- A recorded execution is a removal and a trade, milliseconds apart. The simulator books our fill at
  the first of the two, the exchange at the trade, so an order that comes or goes between them may
  fill at one and not at the other. No order arrives there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from support.model_sessions import SessionBuilder, random_session
from support.recorded_exchange import PLENTY_E6, Fill, Sent, exchange_fills
from support.recordings import needs_recordings, recordings_folder
from support.session_frames import write_frames

from ipc import book as b
from ipc.journal import Kind
from ipc.units import ONE_DOLLAR_E4
from models.simulation import order_state as log
from models.simulation.data_age import NO_LIMIT_MS
from models.simulation.dataset import WARMUP_TICKS, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.tape import EXECUTED, RecordedSession, Tape, make_tape
from models.trading.actions import Action, LimitOrderActionSpace, Pricing
from processes.adapters.kalshi.recordings.sessions import load_sessions

MS = 1_000_000
LATENCY_NS = 35 * MS + MS // 2  # recordings are in whole milliseconds: nothing arrives with a frame
ACTING = 0.25  # share of the ticks at which something is done
GOLD = "gold15m-2026-08"
MARKETS = ("KXGOLD15M-26AUG102145-45", "KXGOLD15M-26AUG102215-15")


def _torn(session: RecordedSession, tape: Tape) -> list[tuple[int, int]]:
    """Where a removal and its trade lie apart: (first, second) time of receipt."""
    waiting = defaultdict[tuple[int, int, int], list[tuple[int, bool]]](list)
    found = []
    for e, kind in enumerate(session.events["kind"][: len(tape.ns)].tolist()):
        is_trade = kind == Kind.TRADE
        if not is_trade and not tape.meaning[e] & EXECUTED:
            continue
        side, price = int(session.events["leg"][e]), int(session.events["price_e4"][e])
        maker = (1 - side, price if side == b.NO else ONE_DOLLAR_E4 - price)
        key = (*(maker if is_trade else (side, price)), abs(int(session.events["count_e2"][e])))
        opposite = [w for w in waiting[key] if w[1] != is_trade]
        if opposite:
            waiting[key].remove(opposite[0])
            found.append((opposite[0][0], int(tape.ns[e])))
        else:
            waiting[key].append((int(tape.ns[e]), is_trade))
    return [(first, second) for first, second in found if second > first]


class _Simulated:
    """One market under random actions: what was sent, what became of it, what it came to."""

    def __init__(self, session: RecordedSession, pricing: Pricing, seed: int) -> None:
        self.sent: list[Sent] = []
        self.fills: list[Fill] = []
        self._orders = 0
        tape = make_tape(session)
        torn = np.array(_torn(session, tape) or [(0, 0)])
        rules = SimulationRules(
            pricing=pricing,
            latencies_ns=(LATENCY_NS,),
            market_cash_e6=PLENTY_E6,
            max_data_age_ms=NO_LIMIT_MS,  # as the exchange, which takes every order
        )
        simulation = Simulation(dataset_of([tape]), rules, 1, [0], log_rows=1_024)
        simulation.reset([0])
        space = LimitOrderActionSpace(pricing, fees=tape.fees.at_ms(0))
        random = np.random.default_rng(seed)
        for row in tape.rows[WARMUP_TICKS:]:
            action = int(random.integers(5)) if random.random() < ACTING else Action.HOLD
            arrival_ns = int(row[b.RECV_NS]) + LATENCY_NS
            if ((torn[:, 0] <= arrival_ns) & (arrival_ns <= torn[:, 1])).any():
                action = Action.HOLD
            order = space.order_for(action, row, simulation.accounts[0])
            if order is not None:
                sent = Sent(arrival_ns, order.action, order.yes_price_e4, order.count_e2)
                self.sent.append(sent)
            simulation.step(np.array([action]), restart=False)
            for words in simulation.take_log().get(0, ()):
                self._note([int(w) for w in words])
        assert simulation.dones[0]
        self.gained_e6 = int(simulation.values_e6[0]) - PLENTY_E6

    def _note(self, words: list[int]) -> None:
        kind, _, at_ns, action, price, count, fee = words
        self._orders += kind == log.ARRIVED
        if kind in (log.TAKER, log.MAKER):
            facts = Action(action), price, count, fee, kind == log.TAKER, at_ns // MS
            self.fills.append(Fill(self._orders, *facts))


Part = tuple[int, Action, int, bool]


def _parts(fills: list[Fill]) -> dict[Part, tuple[int, int]]:
    """(contracts, fees) by order, price and part; an execution may come in one piece or several."""
    counts, fees = Counter[Part](), Counter[Part]()
    for fill in fills:
        part = (fill.order, fill.action, fill.yes_price_e4, fill.is_taker)
        counts[part] += fill.count_e2
        fees[part] += fill.fee_e6
    return {part: (counts[part], fees[part]) for part in counts}


@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize("seed", range(4))
def test_every_order_fills_alike(tmp_path: Path, pricing: Pricing, seed: int) -> None:
    recording = write_frames(random_session(seed), tmp_path / "recording")
    (session,) = load_sessions(recording)
    ours = _Simulated(session, pricing, seed)
    theirs, _ = exchange_fills(recording, ours.sent, tmp_path, heals=True)
    assert _parts(ours.fills) == _parts(theirs)
    assert theirs


@needs_recordings
@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize(
    "market", [MARKETS[0], *(pytest.param(m, marks=pytest.mark.slow) for m in MARKETS[1:])]
)
def test_every_order_fills_alike_on_a_real_market(
    tmp_path: Path, pricing: Pricing, market: str
) -> None:
    folder, _ = recordings_folder()
    assert folder is not None
    _compare(folder / GOLD / f"{market}.ndjson.gz", pricing, tmp_path)


@needs_recordings
@pytest.mark.slow
@pytest.mark.parametrize("pricing", list(Pricing))
def test_every_order_fills_alike_on_every_real_market(tmp_path: Path, pricing: Pricing) -> None:
    folder, _ = recordings_folder()
    assert folder is not None
    for recording in sorted((folder / GOLD).glob("*.ndjson.gz")):
        _compare(recording, pricing, tmp_path / recording.name)


def _compare(recording: Path, pricing: Pricing, folder: Path) -> None:
    """Fills, fees and what it all came to when the market had settled."""
    (session,) = load_sessions(recording)
    ours = _Simulated(session, pricing, seed=1)
    folder.mkdir(exist_ok=True)
    theirs, gained_e6 = exchange_fills(recording, ours.sent, folder, heals=True)
    assert _parts(ours.fills) == _parts(theirs), recording.name
    assert ours.gained_e6 == gained_e6
    assert sum(fill.count_e2 for fill in theirs) > 10_000


def _taken_twice() -> RecordedSession:
    """Ten contracts offered, never replenished; the book's other side moves to make ticks."""
    builder = SessionBuilder().snapshot({40: 50, 39: 50}, {55: 10, 50: 100})
    for tick in range(1, 41):
        builder.at(260 * tick).delta(b.YES, 39, 1)
    return builder.build(ticker="TWICE")


def test_a_level_taken_twice(tmp_path: Path) -> None:
    """The simulator finds it whole again, the exchange does not: the second order goes deeper."""
    recording = write_frames(_taken_twice(), tmp_path / "recording")
    (session,) = load_sessions(recording)
    row = make_tape(session).rows[WARMUP_TICKS]
    orders = [
        Sent(int(row[b.RECV_NS]) + n * LATENCY_NS, Action.BUY_YES_LIMIT, price, 1_000)
        for n, price in ((1, 4_500), (2, 5_000))
    ]
    healed, _ = exchange_fills(recording, orders, tmp_path, heals=True)
    real, _ = exchange_fills(recording, orders, tmp_path, heals=False)
    assert [(f.order, f.yes_price_e4, f.count_e2) for f in healed] == [
        (1, 4_500, 1_000),
        (2, 4_500, 1_000),
    ]
    assert [(f.order, f.yes_price_e4, f.count_e2) for f in real] == [
        (1, 4_500, 1_000),
        (2, 5_000, 1_000),
    ]
