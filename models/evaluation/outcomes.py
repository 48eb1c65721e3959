"""One policy over recorded markets, and everything that is then known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from models.evaluation.attribution import Attribution, attribute, ending_of, fills_of, market_mids
from models.evaluation.executions import (
    Holding,
    Markout,
    QueueShare,
    holding_of,
    markouts_of,
    ordered_e2,
    queue_shares_of,
    summed_markouts,
    summed_queue_shares,
    turnover_e6,
)
from models.observation.builder import Builder
from models.policies.interface import Policy
from models.simulation.dataset import Dataset, dataset_of, usable_tapes
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.order_state import EVENT, FILLED_E2, LOG_WORDS, MAKER_FILLS, TAKER_FILLS
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import Action

__all__ = ["Datasets", "PolicyOutcome", "run_policy"]

LOG_ROWS: Final = 2_048  # of one market between two ticks

Words = npt.NDArray[np.int64]


class Datasets:
    """The same recorded markets in every observation schema that a policy reads, each walked once.

    Args:
        sessions: The markets.
        throttle_ms: Least market time between two ticks.

    Attributes:
        tickers: The markets that are long enough, known after the first `of`.
    """

    def __init__(self, sessions: Sequence[RecordedSession], throttle_ms: int) -> None:
        self._sessions = sessions
        self._throttle_ms = throttle_ms
        self._known: dict[str, Dataset] = {}
        self.tickers: tuple[str, ...] = ()

    def of(self, builder: Builder) -> Dataset:
        """The markets as a builder sees them.

        Raises:
            ValueError: No market is long enough.
            SessionError: A market cannot be walked.
        """
        name = builder.schema.name
        if name not in self._known:
            tapes = [make_tape(s, self._throttle_ms, builder) for s in self._sessions]
            self._known[name] = dataset_of(tapes)
            self.tickers = tuple(t.ticker for t in usable_tapes(tapes))
        return self._known[name]

    def run(self, policy: Policy, rules: SimulationRules, seed: int = 0) -> PolicyOutcome:
        """Play a policy over the markets; see `run_policy`. The result names the markets."""
        outcome = run_policy(self.of(policy.builder), rules, policy, seed)
        return msgspec.structs.replace(outcome, tickers=self.tickers)


class PolicyOutcome(msgspec.Struct, frozen=True):
    """One policy over every market of a dataset.

    Tuples have one entry per market unless they say otherwise.

    Attributes:
        policy: Its name.
        net_e6: Net profit and loss after fees, the settlement included, micro-dollars.
        fees_e6: Fees paid.
        filled_e2: Contracts filled.
        taker_fills: Over all markets.
        maker_fills: Over all markets.
        decisions: Over all markets.
        action_shares: Of all decisions, by the name of the action.
        tickers: The markets.
        model_hash: Of the policy.
        attribution: Where the net comes from.
        ordered_e2: Contracts ordered.
        turnover_e6: Money traded.
        drawdown_e6: The deepest fall of the liquidation value from its peak.
        holding: How long contracts were held.
        markouts: Over all markets.
        queue: Over all markets.
    """

    policy: str
    net_e6: tuple[int, ...]  # settlement in
    fees_e6: tuple[int, ...]
    filled_e2: tuple[int, ...]
    taker_fills: int
    maker_fills: int
    decisions: int
    action_shares: dict[str, float]
    tickers: tuple[str, ...] = ()
    model_hash: str = ""
    attribution: tuple[Attribution, ...] = ()
    ordered_e2: tuple[int, ...] = ()
    turnover_e6: tuple[int, ...] = ()
    drawdown_e6: tuple[int, ...] = ()  # the deepest fall of the liquidation value from its peak
    holding: tuple[Holding, ...] = ()
    markouts: tuple[Markout, ...] = ()  # over all markets
    queue: tuple[QueueShare, ...] = ()  # over all markets

    @property
    def mean_dollars(self) -> float:
        """Net profit and loss per market, dollars."""
        return sum(self.net_e6) / len(self.net_e6) / 1e6

    @property
    def mean_drawdown_dollars(self) -> float:
        """Mean of the markets' deepest falls, dollars."""
        return sum(self.drawdown_e6) / len(self.drawdown_e6) / 1e6

    @property
    def fill_ratio(self) -> float | None:
        """Share of the ordered contracts that was filled; None when nothing was ordered."""
        ordered = sum(self.ordered_e2)
        return sum(self.filled_e2) / ordered if ordered else None

    @property
    def holding_seconds(self) -> float | None:
        """Mean time that a contract was held, until its sale or its market's end.

        None when none was.
        """
        opened = sum(h.opened_e2 for h in self.holding)
        return Holding(opened, sum(h.held_e2_ms for h in self.holding)).seconds

    @property
    def attributed(self) -> Attribution:
        """The parts of the net, all markets together."""
        parts = zip(*(msgspec.structs.astuple(x) for x in self.attribution), strict=True)
        return Attribution(*(sum(part) for part in parts))


class _Played:
    """What must be kept of every market while it is played."""

    def __init__(self, simulation: Simulation) -> None:
        n = simulation.n
        self._simulation = simulation
        self.alive = np.ones(n, np.bool_)
        self.accounts, self.orders = simulation.accounts.copy(), simulation.orders.copy()
        self.values_e6 = simulation.values_e6.copy()
        self.peaks_e6 = simulation.values_e6.copy()
        self.drawdowns_e6 = np.zeros(n, np.int64)
        self.logs: list[list[Words]] = [[] for _ in range(n)]

    def after_step(self) -> None:
        """Take in one step; a market that has ended is not looked at again."""
        simulation, alive = self._simulation, self.alive
        for i, rows in simulation.take_log().items():
            if alive[i]:
                self.logs[i].append(rows)
        values = np.where(alive, simulation.values_e6, self.peaks_e6)
        self.peaks_e6 = np.maximum(self.peaks_e6, values)
        self.drawdowns_e6 = np.maximum(self.drawdowns_e6, self.peaks_e6 - values)
        over = alive & simulation.dones
        self.accounts[over], self.orders[over] = simulation.accounts[over], simulation.orders[over]
        self.values_e6[over] = simulation.values_e6[over]
        self.alive = alive & ~simulation.dones

    def log(self, market: int) -> Words:
        """All rows of a market's order log."""
        return np.concatenate([np.zeros((0, LOG_WORDS), np.int64), *self.logs[market]])


def run_policy(
    dataset: Dataset, rules: SimulationRules, policy: Policy, seed: int = 0
) -> PolicyOutcome:
    """Play every market once, greedily, from its first decision to its end.

    Args:
        dataset: The markets, in the policy's own observation schema.
        rules: Pricing, size, cash and latencies; the start is never random here.
        policy: What decides.
        seed: Of the latencies.

    Returns:
        Everything that is known of it; without the markets' names.
    """
    n = len(dataset.yes_value_e4)
    fixed = msgspec.structs.replace(rules, random_start=False)
    simulation = Simulation(dataset, fixed, n, range(seed, seed + n), log_rows=LOG_ROWS)
    simulation.reset(range(n))
    played = _Played(simulation)
    counts = np.zeros(len(Action), np.int64)
    while played.alive.any():
        actions = policy.decide(simulation.observations, simulation.masks()).actions
        counts += np.bincount(actions[played.alive], minlength=len(Action))
        simulation.step(actions, restart=False)
        played.after_step()
    shares = {x.name: float(counts[x] / counts.sum()) for x in Action}
    outcome = PolicyOutcome(
        policy=policy.model,
        model_hash=policy.model_hash,
        net_e6=_ints(played.values_e6 - rules.market_cash_e6),
        fees_e6=_ints(played.accounts[:, a.FEES_E6]),
        filled_e2=_ints(played.orders[:, FILLED_E2]),
        taker_fills=int(played.orders[:, TAKER_FILLS].sum()),
        maker_fills=int(played.orders[:, MAKER_FILLS].sum()),
        decisions=int(counts.sum()),
        action_shares=shares,
        drawdown_e6=_ints(played.drawdowns_e6),
    )
    return _with_executions(outcome, dataset, played)


def _ints(values: Words) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _with_executions(outcome: PolicyOutcome, dataset: Dataset, played: _Played) -> PolicyOutcome:
    """Add what the logs of all markets say."""
    attribution, holding, markouts, queue, ordered, turnover = [], [], [], [], [], []
    for market in range(len(dataset.yes_value_e4)):
        start, stop = dataset.first_event[market], dataset.first_event[market + 1]
        log, ns = played.log(market), dataset.flow.ns[start:stop]
        log[:, EVENT] -= start
        fills, mids = fills_of(log), market_mids(dataset, market)
        attribution.append(attribute(fills, mids, ending_of(dataset, market)))
        holding.append(holding_of(fills, int(ns[-1])))
        markouts.append(markouts_of(fills, mids, ns))
        queue.append(queue_shares_of(log))
        ordered.append(ordered_e2(log))
        turnover.append(turnover_e6(fills))
    return msgspec.structs.replace(
        outcome,
        attribution=tuple(attribution),
        ordered_e2=tuple(ordered),
        turnover_e6=tuple(turnover),
        holding=tuple(holding),
        markouts=summed_markouts(markouts),
        queue=summed_queue_shares(queue),
    )
