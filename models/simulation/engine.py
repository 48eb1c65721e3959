"""Many sub-accounts stepping over recorded markets at once: the kernel behind every environment.

One step is one tick: the action of each environment becomes an order on its way, the events up to
the next tick pass, and the observation is that of the next tick. The reward is the change of the
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
from ipc.kernels import kernel
from models.observation.builder import MOST, observe_with
from models.simulation.dataset import WARMUP_TICKS, World, ask_for_step
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
    publish_order,
)
from models.trading.actions import PRICING_CODE, Pricing, fill_mask, order_count_e2, yes_price_of
from models.trading.fees import trade_fee_e6
from models.trading.portfolio import apply_settlement, liquidation_value_e6

__all__ = [
    "DEFAULT_LATENCIES_NS",
    "Simulation",
    "SimulationRules",
]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# State words of one environment.
MARKET: Final = 0
TICK: Final = 1  # index into the world's ticks
VALUE_E6: Final = 2  # liquidation value at TICK
_STATE_WORDS: Final = 3

_ASKED_AHEAD: Final = 4  # environments between asking for memory and reading it

# Decision to matching engine, loopback to a home line; equally likely.
DEFAULT_LATENCIES_NS: Final = tuple(
    1_000_000 * ms for ms in (12, 18, 25, 32, 40, 48, 57, 66, 76, 88, 102, 120, 145, 180, 210, 240)
)


class SimulationRules(msgspec.Struct, frozen=True):
    """What is the same for every market and step."""

    pricing: Pricing = Pricing.PASSIVE
    contract_size_e2: int = 1_000
    market_cash_e6: int = 100_000_000
    latencies_ns: tuple[int, ...] = DEFAULT_LATENCIES_NS
    random_start: bool = False


class Fixed(NamedTuple):
    """`SimulationRules` as the kernel reads them."""

    pricing: int
    size_e2: int
    cash_e6: int
    latencies_ns: Words
    random_start: bool


@kernel
def _draw(states: Any, i: int) -> int:
    """Next number of one environment's splitmix64 stream, 0 .. 2^31 - 1."""
    states[i] += np.uint64(0x9E3779B97F4A7C15)
    z = states[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int((z ^ (z >> np.uint64(31))) >> np.uint64(33))


@kernel
def _value(world: World, state: Any, account: a.AccountRow) -> int:
    """Liquidation value at the environment's tick."""
    market, tick = state[MARKET], state[TICK]
    position = account[a.POSITION_E2]
    fee = 0
    bid = world.touch[tick, b.YES if position > 0 else b.NO]
    if position != 0 and bid > 0:
        rule, rate = world.fees[market, RULE], world.fees[market, TAKER_RATE]
        fee = trade_fee_e6(rule, rate, bid, abs(position), False)
    return int(liquidation_value_e6(account, world.touch[tick, 0], world.touch[tick, 1], fee))


@kernel
def _reset(
    world: World,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    market: int,
) -> None:
    """A flat account at the first decision of a market (-1: any), or anywhere in it."""
    if market < 0:
        market = _draw(draws, i) % len(world.yes_value_e4)
    first, last = world.first_tick[market] + WARMUP_TICKS, world.first_tick[market + 1] - 1
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
    world: World,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    action: int,
) -> None:
    """Send the order that an action means; a forbidden one means HOLD."""
    latency = fixed.latencies_ns[_draw(draws, i) % len(fixed.latencies_ns)]
    if action == 0:
        return
    row = world.rows[state[TICK]]
    price = yes_price_of(row, action, fixed.pricing)
    if price == 0:
        return
    market = state[MARKET]
    rule, rate = world.fees[market, RULE], world.fees[market, TAKER_RATE]
    count = order_count_e2(account, action, price, fixed.size_e2, rule, rate)
    if count == 0:
        return
    order[PENDING_ACTION], order[PENDING_PRICE], order[PENDING_COUNT] = action, price, count
    order[ARRIVAL_NS] = row[b.RECV_NS] + latency


@kernel
def _step(
    world: World,
    fixed: Fixed,
    state: Any,
    order: Any,
    account: Any,
    draws: Any,
    i: int,
    action: int,
    log: Any,
) -> tuple[int, bool]:
    """One tick -> (change of the liquidation value, micro-dollars; whether the market is over)."""
    market, tick = state[MARKET], state[TICK]
    done = tick + 1 == world.first_tick[market + 1]
    _submit(world, fixed, state, order, account, draws, i, action)
    start = world.event_after[tick]
    stop = world.first_event[market + 1] if done else world.event_after[tick + 1]
    fees, row = world.fees[market], world.rows[tick]
    until_ns = until_of(world.rows, tick, done)
    advance(order, account, fees, row, world.flow, start, stop, until_ns, log)
    if done:
        order[ACTION] = 0
        if world.yes_value_e4[market] >= 0:
            apply_settlement(account, world.yes_value_e4[market])
    else:
        state[TICK] = tick + 1
    publish_order(order, account, world.rows[state[TICK], b.RECV_NS])
    value = _value(world, state, account)
    change = value - state[VALUE_E6]
    state[VALUE_E6] = value
    return int(change), bool(done)


@kernel
def _observe(world: World, state: Any, account: Any, scratch: Any, out: Any) -> None:
    tick = state[TICK]
    observe_with(world.code, world.features[tick], world.rows[tick], account, scratch, out)


@kernel
def _reset_all(
    world: World,
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
        _reset(world, fixed, states[i], orders[i], accounts[i], draws, i, markets[i])
        _observe(world, states[i], accounts[i], scratch, obs[i])


@kernel
def _step_all(
    world: World,
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
    """Step every environment; those that end show their last observation and begin anew."""
    for i in range(len(states)):
        if i + _ASKED_AHEAD < len(states):
            ask_for_step(world, states[i + _ASKED_AHEAD, TICK])
        changes_e6[i], dones[i] = _step(
            world, fixed, states[i], orders[i], accounts[i], draws, i, actions[i], logs[i]
        )
        _observe(world, states[i], accounts[i], scratch, obs[i])
        if dones[i] and restart:
            for k in range(obs.shape[1]):
                last_obs[i, k] = obs[i, k]
            _reset(world, fixed, states[i], orders[i], accounts[i], draws, i, -1)
            _observe(world, states[i], accounts[i], scratch, obs[i])


@kernel
def _mask_all(world: World, fixed: Fixed, states: Any, accounts: Any, out: Any) -> None:
    for i in range(len(states)):
        fees = world.fees[states[i, MARKET]]
        row = world.rows[states[i, TICK]]
        fill_mask(
            row, accounts[i], fixed.pricing, fixed.size_e2, fees[RULE], fees[TAKER_RATE], out[i]
        )


class Simulation:
    """`n` environments over one world. Arrays are reused: copy what must outlive the next step.

    With `log_rows`, each keeps what became of its orders until `take_log` collects it.
    """

    def __init__(
        self,
        world: World,
        rules: SimulationRules,
        n: int,
        seeds: Sequence[int],
        *,
        log_rows: int = 0,
    ) -> None:
        if len(seeds) != n:
            raise ValueError(f"{len(seeds)} seeds for {n} environments")
        self.world, self.rules, self.n = world, rules, n
        self._fixed = Fixed(
            PRICING_CODE[rules.pricing],
            rules.contract_size_e2,
            rules.market_cash_e6,
            np.array(rules.latencies_ns, np.int64),
            rules.random_start,
        )
        self._draws = np.array(seeds, np.uint64)
        self._states = np.zeros((n, _STATE_WORDS), np.int64)
        self._orders = np.zeros((n, ORDER_STATE_WORDS), np.int64)
        self._logs = np.zeros((n, log_rows, LOG_WORDS), np.int64)
        self._scratch = np.zeros(MOST)
        self.accounts = np.zeros((n, a.ACCOUNT_WORDS), np.int64)
        self.observations = np.zeros((n, world.size), np.float32)
        self.last_observations = np.zeros((n, world.size), np.float32)
        self.changes_e6 = np.zeros(n, np.int64)
        self.dones = np.zeros(n, np.bool_)

    def seed(self, seeds: Sequence[int]) -> None:
        """Start the streams of draws anew."""
        self._draws[:] = np.array(seeds, np.uint64)

    def reset(self, markets: Sequence[int] | None = None) -> Floats:
        """All environments to a market's first decision; without `markets` each draws its own."""
        chosen = np.full(self.n, -1, np.int64) if markets is None else np.array(markets, np.int64)
        _reset_all(
            self.world,
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
        """One tick each; results in `observations`, `changes_e6`, `dones`, `last_observations`."""
        _step_all(
            self.world,
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
        _mask_all(self.world, self._fixed, self._states, self.accounts, out)
        return out

    def take_log(self) -> dict[int, Words]:
        """The rows of the fill log since the last call, of the environments that have any.

        To be called after every step: a restart forgets them.
        `ValueError` when a log was too short for them.
        """
        logged = self._orders[:, LOGGED]
        if logged.max() > self._logs.shape[1]:
            raise ValueError(f"{logged.max()} rows in an order log of {self._logs.shape[1]}")
        taken = {int(i): self._logs[i, : logged[i]].copy() for i in np.flatnonzero(logged)}
        self._orders[:, LOGGED] = 0
        return taken

    @property
    def orders(self) -> Words:
        """Order words of every environment; see `models.simulation.fills`."""
        return self._orders

    @property
    def values_e6(self) -> Words:
        """Liquidation value of every environment; after a market's end, what it came to."""
        return self._states[:, VALUE_E6]

    @property
    def ticks(self) -> Words:
        """The tick each environment is at, as an index into the world's."""
        return self._states[:, TICK]

    @property
    def markets(self) -> Words:
        """The market each environment is in."""
        return self._states[:, MARKET]
