"""Many sub-accounts stepping over recorded markets at once: the kernel behind every environment.

One step is one tick: each environment's action becomes an order on its way, the events up to the
next tick pass, and the observation is that of the next tick. The reward is the change of the
liquidation value in dollars: each position at the last known touch it could be closed at, less the
taker fee; at the end of the market the position settles at its result.

Environments differ only in their seed and their state, so one alone and one of many walk the same
way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.kernels import kernel
from models.observation.builder import MOST, observe_with
from models.simulation.data_age import MAX_DATA_AGE_MS
from models.simulation.dataset import WARMUP_TICKS, Dataset, ask_for_step
from models.simulation.fills import advance, until_of
from models.simulation.order_state import (
    ACTION,
    ARRIVAL_NS,
    LOG_WORDS,
    LOGGED,
    ORDER_STATE_WORDS,
    PENDING_ACTION,
    PENDING_COUNT,
    PENDING_PRICE,
    RULE,
    TAKER_RATE,
    fee_period,
    publish_order,
)
from models.trading.actions import PRICING_CODE, Pricing, fill_mask, order_count_e2, yes_price_of
from models.trading.fees import trade_fee_e6
from models.trading.portfolio import apply_settlement, liquidation_value_e6

__all__ = [
    "ASK_AHEAD",
    "DEFAULT_LATENCIES_NS",
    "Simulation",
    "SimulationRules",
]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# State words of one environment.
MARKET: Final = 0
TICK: Final = 1  # index into the dataset's ticks
VALUE_E6: Final = 2  # liquidation value at TICK
_STATE_WORDS: Final = 3

ASK_AHEAD: Final = 4  # environments between asking for memory and reading it; 0: never ask

# Decision to matching engine, loopback to a home line; equally likely.
DEFAULT_LATENCIES_NS: Final = tuple(
    NS_PER_MS * ms for ms in (12, 18, 25, 32, 40, 48, 57, 66, 76, 88, 102, 120, 145, 180, 210, 240)
)


class SimulationRules(msgspec.Struct, frozen=True):
    """What is the same for every market and step.

    Attributes:
        pricing: Where an order's limit is placed.
        contract_size_e2: Size of an order before caps, whole contracts.
        market_cash_e6: Cash that each market begins with.
        latencies_ns: From decision to matching engine; each order draws one, all equally likely.
        random_start: Begin anywhere in a market instead of at its first decision; for training, so
            that environments do not all see the same minute.
        max_data_age_ms: Nothing is ordered on a tick whose data was older when it was received.
    """

    pricing: Pricing = Pricing.PASSIVE
    contract_size_e2: int = 1_000
    market_cash_e6: int = 100_000_000
    latencies_ns: tuple[int, ...] = DEFAULT_LATENCIES_NS
    random_start: bool = False
    max_data_age_ms: int = MAX_DATA_AGE_MS


class Fixed(NamedTuple):
    """`SimulationRules` as the kernel reads them."""

    pricing: int
    size_e2: int
    cash_e6: int
    latencies_ns: Words
    random_start: bool
    max_data_age_ms: int
    ask_ahead: int


@kernel
def _draw(states: Any, i: int) -> int:
    """Next number of one environment's splitmix64 stream, 0 .. 2^31 - 1."""
    states[i] += np.uint64(0x9E3779B97F4A7C15)
    z = states[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int((z ^ (z >> np.uint64(31))) >> np.uint64(33))


@kernel
def _value(dataset: Dataset, state: Any, account: a.AccountRow) -> int:
    """Liquidation value at the environment's tick."""
    market, tick = state[MARKET], state[TICK]
    position = account[a.POSITION_E2]
    fee = 0
    bid = dataset.touch[tick, b.YES if position > 0 else b.NO]
    if position != 0 and bid > 0:
        fees = dataset.fees[market]
        terms = fees[fee_period(fees, dataset.rows[tick, b.RECV_NS])]
        fee = trade_fee_e6(terms[RULE], terms[TAKER_RATE], bid, abs(position), False)
    return int(liquidation_value_e6(account, dataset.touch[tick, 0], dataset.touch[tick, 1], fee))


@kernel
def _reset(
    dataset: Dataset,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    market: int,
) -> None:
    """Put a flat account at the first decision of a market (-1: any market), or anywhere in it."""
    if market < 0:
        market = _draw(draws, i) % len(dataset.yes_value_e4)
    first, last = dataset.first_tick[market] + WARMUP_TICKS, dataset.first_tick[market + 1] - 1
    state[MARKET], state[TICK] = market, first
    if fixed.random_start:
        state[TICK] += _draw(draws, i) % (last - first)
    state[VALUE_E6] = fixed.cash_e6
    order[:] = 0
    account[:] = 0
    account[a.KNOWN] = 1
    account[a.CASH_E6] = fixed.cash_e6


@kernel
def _submit(
    dataset: Dataset,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    action: int,
) -> None:
    """Send the order that an action means; a forbidden action means HOLD."""
    latency = fixed.latencies_ns[_draw(draws, i) % len(fixed.latencies_ns)]
    if action == 0:
        return
    if dataset.age_ms[state[TICK]] > fixed.max_data_age_ms:
        return
    row = dataset.rows[state[TICK]]
    price = yes_price_of(row, action, fixed.pricing)
    if price == 0:
        return
    fees = dataset.fees[state[MARKET]]
    terms = fees[fee_period(fees, row[b.RECV_NS])]
    rule, rate = terms[RULE], terms[TAKER_RATE]
    count = order_count_e2(account, action, price, fixed.size_e2, rule, rate)
    if count == 0:
        return
    order[PENDING_ACTION], order[PENDING_PRICE], order[PENDING_COUNT] = action, price, count
    order[ARRIVAL_NS] = row[b.RECV_NS] + latency


@kernel
def _step(
    dataset: Dataset,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    action: int,
    log: Any,
) -> tuple[int, bool]:
    """Step one environment by a tick.

    Returns:
        (change of the liquidation value in micro-dollars, whether the market is over).
    """
    market, tick = state[MARKET], state[TICK]
    done = tick + 1 == dataset.first_tick[market + 1]
    _submit(dataset, fixed, state, order, account, draws, i, action)
    start = dataset.event_after[tick]
    stop = dataset.first_event[market + 1] if done else dataset.event_after[tick + 1]
    fees, row = dataset.fees[market], dataset.rows[tick]
    until_ns = until_of(dataset.rows, tick, done)
    advance(order, account, fees, row, dataset.flow, start, stop, until_ns, log)
    if done:
        order[ACTION] = 0
        if dataset.yes_value_e4[market] >= 0:
            apply_settlement(account, dataset.yes_value_e4[market])
    else:
        state[TICK] = tick + 1
    publish_order(order, account, dataset.rows[state[TICK], b.RECV_NS])
    value = _value(dataset, state, account)
    change = value - state[VALUE_E6]
    state[VALUE_E6] = value
    return int(change), bool(done)


@kernel
def _observe(dataset: Dataset, state: Any, account: Any, scratch: Any, out: Any) -> None:
    tick = state[TICK]
    observe_with(dataset.code, dataset.features[tick], dataset.rows[tick], account, scratch, out)


@kernel
def _reset_all(
    dataset: Dataset,
    fixed: Fixed,
    states: Any,
    orders: Any,
    accounts: Any,
    draws: Any,
    markets: Any,
    scratch: Any,
    obs: Any,
) -> None:
    for i in range(len(states)):
        _reset(dataset, fixed, states[i], orders[i], accounts[i], draws, i, markets[i])
        _observe(dataset, states[i], accounts[i], scratch, obs[i])


@kernel
def _step_all(
    dataset: Dataset,
    fixed: Fixed,
    states: Any,
    orders: Any,
    accounts: Any,
    draws: Any,
    actions: Any,
    logs: Any,
    restart: bool,
    scratch: Any,
    obs: Any,
    last_obs: Any,
    changes_e6: Any,
    dones: Any,
) -> None:
    """Step every environment; one that ends shows its last observation and starts again."""
    for i in range(len(states)):
        if 0 < fixed.ask_ahead < len(states) - i:
            ask_for_step(dataset, states[i + fixed.ask_ahead, TICK])
        changes_e6[i], dones[i] = _step(
            dataset, fixed, states[i], orders[i], accounts[i], draws, i, actions[i], logs[i]
        )
        _observe(dataset, states[i], accounts[i], scratch, obs[i])
        if dones[i] and restart:
            for k in range(obs.shape[1]):
                last_obs[i, k] = obs[i, k]
            _reset(dataset, fixed, states[i], orders[i], accounts[i], draws, i, -1)
            _observe(dataset, states[i], accounts[i], scratch, obs[i])


@kernel
def _mask_all(dataset: Dataset, fixed: Fixed, states: Any, accounts: Any, out: Any) -> None:
    for i in range(len(states)):
        row = dataset.rows[states[i, TICK]]
        periods = dataset.fees[states[i, MARKET]]
        fees = periods[fee_period(periods, row[b.RECV_NS])]
        fill_mask(
            row, accounts[i], fixed.pricing, fixed.size_e2, fees[RULE], fees[TAKER_RATE], out[i]
        )
        if dataset.age_ms[states[i, TICK]] > fixed.max_data_age_ms:
            out[i, 1:] = False


class Simulation:
    """`n` environments over one dataset; one kernel call steps all of them.

    Arrays are reused: copy what must outlive the next step.

    Args:
        dataset: The markets.
        rules: What is the same for every market.
        n: How many environments.
        seeds: One per environment: of its choice of markets, starts and latencies.
        log_rows: Rows of each environment's order log, to be collected with `take_log`; 0 for none.
        ask_ahead: How many environments ahead memory is asked for; 0 is the plain form.

    Attributes:
        accounts: int64[n, ACCOUNT_WORDS], the sub-accounts.
        observations: float32[n, size], after the last reset or step.
        last_observations: float32[n, size], the last one of each market that ended in this step.
        changes_e6: int64[n], change of the liquidation value in the last step.
        dones: bool[n], whether the market ended in the last step.

    Raises:
        ValueError: Not as many seeds as environments.
    """

    def __init__(
        self,
        dataset: Dataset,
        rules: SimulationRules,
        n: int,
        seeds: Sequence[int],
        *,
        log_rows: int = 0,
        ask_ahead: int = ASK_AHEAD,
    ) -> None:
        if len(seeds) != n:
            raise ValueError(f"{len(seeds)} seeds for {n} environments")
        self.dataset, self.rules, self.n = dataset, rules, n
        self._fixed = Fixed(
            PRICING_CODE[rules.pricing],
            rules.contract_size_e2,
            rules.market_cash_e6,
            np.array(rules.latencies_ns, np.int64),
            rules.random_start,
            rules.max_data_age_ms,
            ask_ahead,
        )
        self._draws = np.array(seeds, np.uint64)
        self._states = np.zeros((n, _STATE_WORDS), np.int64)
        self._orders = np.zeros((n, ORDER_STATE_WORDS), np.int64)
        self._logs = np.zeros((n, log_rows, LOG_WORDS), np.int64)
        self._scratch = np.zeros(MOST)
        self.accounts = np.zeros((n, a.ACCOUNT_WORDS), np.int64)
        self.observations = np.zeros((n, dataset.size), np.float32)
        self.last_observations = np.zeros((n, dataset.size), np.float32)
        self.changes_e6 = np.zeros(n, np.int64)
        self.dones = np.zeros(n, np.bool_)

    def seed(self, seeds: Sequence[int]) -> None:
        """Set the random state of every environment.

        Args:
            seeds: One per environment.
        """
        self._draws[:] = np.array(seeds, np.uint64)

    def reset(self, markets: Sequence[int] | None = None) -> Floats:
        """Put all environments at a market's first decision.

        Args:
            markets: Index of the market of each; None lets each draw its own.

        Returns:
            `observations`, float32[n, size].
        """
        chosen = np.full(self.n, -1, np.int64) if markets is None else np.array(markets, np.int64)
        _reset_all(
            self.dataset,
            self._fixed,
            self._states,
            self._orders,
            self.accounts,
            self._draws,
            chosen,
            self._scratch,
            self.observations,
        )
        return self.observations

    def step(self, actions: npt.NDArray[np.int64], *, restart: bool) -> None:
        """Step every environment by one tick; results are in the attributes.

        Args:
            actions: int64[n], values of `Action`; a forbidden one means HOLD.
            restart: Whether an environment whose market ended starts again in another.
        """
        _step_all(
            self.dataset,
            self._fixed,
            self._states,
            self._orders,
            self.accounts,
            self._draws,
            actions,
            self._logs,
            restart,
            self._scratch,
            self.observations,
            self.last_observations,
            self.changes_e6,
            self.dones,
        )

    def masks(self) -> npt.NDArray[np.bool_]:
        """Allowed actions of the present observations, bool[n, 5]."""
        out = np.zeros((self.n, 5), np.bool_)
        _mask_all(self.dataset, self._fixed, self._states, self.accounts, out)
        return out

    def take_log(self) -> dict[int, Words]:
        """Collect the rows of the order log since the last call; to be called after every step.

        Returns:
            int64[rows, LOG_WORDS] of every environment that has any.

        Raises:
            ValueError: A log had too few rows for one step.
        """
        logged = self._orders[:, LOGGED]
        if logged.max() > self._logs.shape[1]:
            raise ValueError(f"{logged.max()} rows in an order log of {self._logs.shape[1]}")
        taken = {int(i): self._logs[i, : logged[i]].copy() for i in np.flatnonzero(logged)}
        self._orders[:, LOGGED] = 0
        return taken

    @property
    def orders(self) -> Words:
        """Order words of every environment, int64[n, ORDER_STATE_WORDS]; see `order_state`."""
        return self._orders

    @property
    def values_e6(self) -> Words:
        """Liquidation value of every environment; after a market's end, its final value."""
        return self._states[:, VALUE_E6]

    @property
    def ticks(self) -> Words:
        """The tick that each environment is at, an index into the dataset's."""
        return self._states[:, TICK]

    @property
    def markets(self) -> Words:
        """The market that each environment is in."""
        return self._states[:, MARKET]
