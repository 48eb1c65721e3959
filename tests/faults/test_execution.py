"""Random faults while trading: afterwards both sides agree, and no limit was passed at any moment.

    pytest tests/faults/test_execution.py -k often --rounds 200 [--seed N] -s

Round `n` of seed `s` is round 1 of seed `s + n - 1`: a failing one replays with `--rounds 1` and
the seed that it printed. The witness is the exchange's own log of orders and fills.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.limit_witness import HAND, LimitWitness
from support.stack import eventually
from support.trading_rounds import START_S, TradingStack, limits_text

from ipc.trading import TradingVerb
from ipc.units import ONE_DOLLAR_E4

from .test_recording import Pace

pytestmark = [pytest.mark.stack, pytest.mark.timeout(14_400)]

ROUNDS = 2  # of `make test`
MOST_FAULTS = 3  # of one round
LONGEST_S = 2.0  # from the first fault of a round to its end
AGREE_S = 120  # until both sides agree: a generous limit, not a figure
KILLED = ("execution", "inference", "collector", "recorder", "postgres")

Strike = Callable[[TradingStack, np.random.Generator], object]


def kill(program: str) -> Strike:
    return lambda stack, _: stack.kill(program)


def order_fault(kind: str, **facts: Any) -> Strike:
    """A fault of the exchange; numbers in a tuple are bounds to draw between."""

    def strike(stack: TradingStack, chance: np.random.Generator) -> object:
        drawn = {
            name: int(chance.integers(*value)) if isinstance(value, tuple) else value
            for name, value in facts.items()
        }
        return stack.fault(kind, **drawn)

    return strike


def of_a_call(kind: str, **facts: Any) -> Strike:
    """A fault of the next answers, of one method."""

    def strike(stack: TradingStack, chance: np.random.Generator) -> object:
        method = str(chance.choice(["POST", "DELETE", "GET"]))
        return order_fault(kind, method=method, **facts)(stack, chance)

    return strike


def by_hand(stack: TradingStack, chance: np.random.Generator) -> object:
    return [stack.by_hand(chance) for _ in range(3)]


STRIKES: dict[str, Strike] = {
    **{f"kill -9 of {program}": kill(program) for program in KILLED},
    "connections cut": order_fault("disconnect"),
    "answers lost": of_a_call("lose_answer", calls=(1, 4)),
    "answers slow": of_a_call("slow_answers", ms=(200, 1_500), calls=(1, 8)),
    "answers twice": of_a_call("duplicate_answers", calls=(1, 4)),
    "calls repeated": of_a_call("repeat_calls", calls=(1, 4)),
    "fills twice": order_fault("duplicate_fills", fills=(1, 6)),
    "fills late": order_fault("delay_fills", ms=(200, 1_500), fills=(1, 6)),
    "fills in reverse": order_fault("reorder_fills", ms=(200, 1_000), fills=(2, 5)),
    "429": of_a_call("rate_limit_next", calls=(1, 6)),
    "5xx": of_a_call("error_next", status=503, code="service_unavailable", calls=(1, 6)),
    "stale reads": order_fault("lag", orders_ms=(200, 2_000), positions_ms=(200, 2_000)),
    "trading paused": order_fault("pause", what="trading"),
    "exchange paused": order_fault("pause", what="exchange"),
    "orders by hand": by_hand,
}


class Round(NamedTuple):
    """What happens in one round: moments in seconds, and what strikes then."""

    seed: int
    faults: tuple[tuple[float, str], ...]

    def __str__(self) -> str:
        told = ", ".join(f"{name} at {at_s:.2f} s" for at_s, name in self.faults)
        return f"seed {self.seed}: {told}"


def drawn(seed: int) -> tuple[Round, np.random.Generator]:
    """The round of a seed, and the chance that goes on to draw what its faults need."""
    chance = np.random.default_rng(seed)
    number = int(chance.integers(1, MOST_FAULTS + 1))
    names = chance.choice(list(STRIKES), number, replace=False).tolist()
    moments = np.sort(chance.uniform(0, LONGEST_S, number)).tolist()
    return Round(seed, tuple(zip(moments, names, strict=True))), chance


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[TradingStack]:
    running = TradingStack(tmp_path / "stack")
    try:
        running.begin(limits_text())
        yield running
    finally:
        running.close()


def is_trading(stack: TradingStack) -> bool:
    """Whether the exchange has an order of ours that the witness does not know yet."""
    known = len(stack.witness.orders)
    stack.follow_log()
    return len(stack.witness.orders) > known


def play(stack: TradingStack, seed: int, pace: Pace) -> None:
    """One round, from trading to agreement."""
    this, chance = drawn(seed)
    print(this, flush=True)
    stack.give(TradingVerb.RESUME)
    eventually(lambda: is_trading(stack), f"orders before the faults of {this}", START_S)
    pace.wait([name.rpartition(" ")[2] for _, name in this.faults if name.startswith("kill")])
    begun = time.monotonic()
    for at_s, name in this.faults:
        time.sleep(max(0.0, begun + at_s - time.monotonic()))  # the moment is drawn
        STRIKES[name](stack, chance)
    time.sleep(float(chance.uniform(0, LONGEST_S)))
    stack.calm()
    stack.give(TradingVerb.PAUSE)
    assert_agreed(stack, this)


def assert_agreed(stack: TradingStack, this: Round) -> None:
    """Once it is quiet: views, table, money, database and the exchange's log."""
    eventually(lambda: views_agree(stack), f"both sides agree after {this}", AGREE_S)
    stack.follow_log()
    witness = stack.witness
    assert witness.breaches == [], (str(this), witness.breaches[:3])
    eventually(lambda: recorded(stack), f"the database agrees after {this}", AGREE_S)
    assert_no_intent_became_two_orders(stack, this)


def views_agree(stack: TradingStack) -> bool:
    """Positions, open orders and cash per shard; the exchange is asked before and after."""
    before, available = stack.theirs(), stack.available()
    ours, table = stack.ours(), stack.table()
    if ours != before or table is None:
        return False
    held = {ticker: position_e2 for ticker, (position_e2, _) in table.items() if position_e2}
    stack.follow_log()
    paid = {row["ticker"] for row in stack.settlements()}
    flows = flows_e6_of_log(stack)
    wrong = [
        (ticker, cash_e6)
        for ticker, (_, cash_e6) in table.items()
        if ticker not in paid and cash_e6 != MARKET_CASH_E6 + flows.get(ticker, 0)
    ]
    if wrong or held != before.positions_e2:
        return False
    shown = stack.shards_shown()
    near = all(abs(shown.get(shard, -1) - e6) <= SHOWN_E6 for shard, e6 in available.items())
    return near and stack.theirs() == before


class Fill(NamedTuple):
    """An execution of an order of ours."""

    ticker: str
    is_bid: bool
    yes_price_e4: int
    count_e2: int
    fee_e6: int

    @classmethod
    def of_log(cls, row: Any) -> Fill:
        price_e4, count_e2 = row["fill_yes_price_e4"], row["count_e2"]
        return cls(row["ticker"], row["side"] == "bid", price_e4, count_e2, row["fee_e6"])

    @classmethod
    def of_row(cls, row: Any) -> Fill:
        is_bid, price_e4 = row["book_side"] == "bid", row["yes_price_e4"]
        return cls(row["market_ticker"], is_bid, price_e4, row["count_e2"], row["fee_e6"])


def flows_e6(fills: Iterable[Fill]) -> dict[str, int]:
    """What all fills of each market did to cash: every pair of YES and NO pays a dollar at once.

    It is the same in whatever order they came.
    """
    paid: defaultdict[str, int] = defaultdict(int)
    bought: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for fill in fills:
        price_e4 = fill.yes_price_e4 if fill.is_bid else ONE_DOLLAR_E4 - fill.yes_price_e4
        paid[fill.ticker] += price_e4 * fill.count_e2 + fill.fee_e6
        bought[fill.ticker][fill.is_bid] += fill.count_e2
    return {ticker: min(bought[ticker]) * ONE_DOLLAR_E4 - e6 for ticker, e6 in paid.items()}


def flows_e6_of_log(stack: TradingStack) -> dict[str, int]:
    """The same of all fills that the exchange logged."""
    return flows_e6(map(Fill.of_log, stack.witness.fills.values()))


def recorded(stack: TradingStack) -> bool:
    """Every fill is a row once, the rows make up each shard's cash, and the same orders rest."""
    shards = stack.account()["shards"]
    stack.follow_log()
    rows = stack.rows(FILLS)
    fills = Counter(f"{r['trade_id']} {r['order_id']}" for r in rows)
    if fills != Counter(dict.fromkeys(stack.witness.fills, 1)):
        return False
    cash_e6 = dict(stack.start_e6)
    for ticker, e6 in flows_e6(map(Fill.of_row, rows)).items():
        cash_e6[stack.shard_of(ticker)] += e6
    for paid in stack.settlements():
        cash_e6[str(paid["shard"])] += paid["revenue_e6"]
    if cash_e6 != {shard: c["cash_e6"] for shard, c in shards.items()}:
        return False
    open_now = {r["client_order_id"] for r in stack.rows(OPEN)}
    own = {name for name in open_now if not name.startswith(HAND)}
    return own == {name for name, _, _ in stack.theirs().resting}


MARKET_CASH_E6 = 100_000_000  # RL_ACTOR_MARKET_CASH
SHOWN_E6 = 100  # the exchange gives a balance in four decimals
FILLS = """
    select trade_id, order_id, market_ticker, book_side, yes_price_e4, count_e2, fee_e6
    from rl_fills
"""
OPEN = """
    select client_order_id from (
        select distinct on (client_order_id) client_order_id, status
        from rl_orders join rl_streams using (stream_id)
        order by client_order_id, ts_ns desc, record_no desc
    ) as latest where status not in ('executed', 'canceled', 'rejected')
"""


def assert_no_intent_became_two_orders(stack: TradingStack, this: Round) -> None:
    """Each name stands for one order, and each intent for one name that the exchange took."""
    witness = stack.witness
    twice = {name: ids for name, ids in witness.names.items() if name and len(ids) > 1}
    assert twice == {}, str(this)
    intents: dict[str, set[str]] = {}
    for row in stack.rows("select distinct intent_id, client_order_id from rl_orders"):
        taken = witness.names.get(row["client_order_id"], set())
        intents.setdefault(row["intent_id"], set()).update(taken)
    unknown = {n for n in witness.names if not n.startswith(HAND)} - {
        r["client_order_id"] for r in stack.rows("select distinct client_order_id from rl_orders")
    }
    assert unknown == set(), str(this)
    assert {i: ids for i, ids in intents.items() if i and len(ids) > 1} == {}, str(this)


def play_rounds(stack: TradingStack, rounds: int, seed: int) -> None:
    pace = Pace()
    for number in range(rounds):
        begun = time.monotonic()
        play(stack, seed + number, pace)
        witness = stack.witness
        took_s = time.monotonic() - begun
        told = f"{len(witness.orders)} orders, {len(witness.fills)} fills so far"
        print(f"round {number + 1} of {rounds}: {took_s:.1f} s, {told}", flush=True)
    print(f"largest of each measure: {stack.witness.most}", flush=True)
    assert len(stack.witness.fills) > rounds


@pytest.mark.slow
def test_a_few_rounds_of_faults(stack: TradingStack, seed: int) -> None:
    play_rounds(stack, ROUNDS, seed)


@pytest.mark.slow
def test_rounds_of_faults_however_often(stack: TradingStack, rounds: int, seed: int) -> None:
    play_rounds(stack, rounds, seed)


@pytest.mark.parametrize(
    ("sides", "cash_e6"),
    [
        ("b", -4_000_000),
        ("a", -6_000_000),
        ("ba", 0),  # bought and sold at the same price
        ("ab", 0),
        ("bba", -4_000_000),
        ("abb", -4_000_000),
        ("aab", -6_000_000),
    ],
)
def test_fills_add_up_in_any_order(sides: str, cash_e6: int) -> None:
    fills = [Fill("KX-1", side == "b", 4_000, 1_000, 0) for side in sides]
    assert flows_e6(fills) == {"KX-1": cash_e6}
    assert flows_e6([fills[0]._replace(fee_e6=7), *fills[1:]]) == {"KX-1": cash_e6 - 7}


# The witness itself: it must see what it is there for.


def row(number: int, **facts: Any) -> dict[str, Any]:
    """A row of the exchange's log: a bid for ten contracts at 50 cents."""
    standard = {
        "number": number,
        "mono_ns": number * 1_000_000_000,
        "what": "order",
        "user_id": "me",
        "subaccount": 0,
        "order_id": f"order-{number}",
        "client_order_id": f"ka-{number}",
        "ticker": "KX-1",
        "side": "bid",
        "yes_price_e4": 5_000,
        "initial_e2": 1_000,
        "remaining_e2": 1_000,
    }
    return standard | facts


BOUNDS = {"market_contracts": 1_500, "total_exposure": 8_000_000, "open_orders": 2}


def breaches(*rows: dict[str, Any], limits: dict[str, int] = BOUNDS) -> list[str]:
    witness = LimitWitness("me", limits)
    witness.apply(rows)
    return [breach.limit for breach in witness.breaches]


BOUGHT = {"what": "fill", "trade_id": "t", "fill_yes_price_e4": 5_000, "count_e2": 2_000}
FILLED = {"what": "fill", "trade_id": "t", "fill_yes_price_e4": 5_000, "count_e2": 1_000}


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((row(1),), []),
        ((row(1), row(2)), ["market_contracts", "total_exposure"]),
        ((row(1), row(2, ticker="KX-2")), ["total_exposure"]),
        ((row(1), row(2, side="ask", yes_price_e4=8_000)), []),  # a NO costs 20 cents
        ((row(1), row(2, side="ask", yes_price_e4=1_000)), ["total_exposure"]),
        ((row(1), row(2, order_id="order-1", remaining_e2=0), row(3)), []),  # canceled before
        (
            (row(1), row(2, order_id="order-1", remaining_e2=0, **FILLED), row(3, side="ask")),
            [],  # sells what is held
        ),
        (
            (row(1), row(2, order_id="order-1", remaining_e2=0, **FILLED), row(3)),
            ["market_contracts", "total_exposure"],
        ),
        (tuple(row(n, remaining_e2=100) for n in (1, 2, 3)), ["open_orders"]),
        ((row(1), row(2, user_id="another")), []),
    ],
)
def test_the_witness_measures(rows: tuple[dict[str, Any], ...], found: list[str]) -> None:
    assert breaches(*rows) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((row(1), row(2, client_order_id="hand-1")), []),
        ((row(1, client_order_id="hand-1"), row(2)), []),  # execution may not know yet
        ((row(1, client_order_id="hand-1"), row(12)), ["market_contracts", "total_exposure"]),
        (
            (
                row(1),
                row(2, client_order_id="hand-1", side="ask"),
                row(3, initial_e2=3_000, remaining_e2=3_000),
            ),
            ["market_contracts", "total_exposure"],  # more than the orders by hand explain
        ),
        (
            (
                row(1, client_order_id="hand-1", initial_e2=2_000, remaining_e2=0, **BOUGHT),
                row(19, side="ask"),
            ),
            [],  # too much is held, and is sold
        ),
    ],
)
def test_orders_by_hand_are_nobodys_fault(
    rows: tuple[dict[str, Any], ...], found: list[str]
) -> None:
    assert breaches(*rows) == found
