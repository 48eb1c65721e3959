"""Tick row, account and mask -> decision, for all markets that are due at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import new_account
from ipc.units import LINEAR_CENT
from models.observation.builder import Builder, LiveObservationAdapter, observation_hash
from models.policies.interface import Decisions, Policy
from models.trading.actions import (
    LEAVING,
    N_ACTIONS,
    Action,
    LimitOrderActionSpace,
    OrderRequest,
    Pricing,
    exit_action,
)
from processes.runtime.config import ConfigError
from processes.runtime.log import Log

__all__ = ["BATCH", "Decider", "Decision", "DecisionRequest", "Reason", "TickHistories"]

BATCH: Final = 64  # markets a policy is asked about at once; a longer burst sends its first sooner
_ONLY_HOLD: Final = (True, False, False, False, False)


class Reason(StrEnum):
    """Why an action is what it is.

    Attributes:
        POLICY: The policy chose an order.
        POLICY_HOLD: The policy preferred HOLD.
        MASKED: HOLD, because what was preferred is not allowed.
        WARMING_UP: The market has had too few ticks.
        ACCOUNT_UNKNOWN: Execution does not know the market's account.
        DISABLED: `RL_ACTOR_ENABLED` is off.
        POLICY_FAULT: The policy raised, or gave no finite numbers.
        LEAVING: The market was left; what is held is closed, the policy is not asked.
        LEFT: The market was left; nothing is held, or nothing can be sold at the touch.
    """

    POLICY = "policy"
    POLICY_HOLD = "policy hold"
    MASKED = "masked"
    WARMING_UP = "warming up"
    ACCOUNT_UNKNOWN = "account unknown"
    DISABLED = "disabled"
    POLICY_FAULT = "policy fault"
    LEAVING = LEAVING
    LEFT = "left"


class DecisionRequest(NamedTuple):
    """One market at one tick.

    Attributes:
        ticker: The market.
        tick_row: The book as of the tick.
        account: Its sub-account, None when it is not known.
        history: Ticks of the market before this one.
        exit_pricing: How what is held is closed in a market that was left; None: ask the policy.
    """

    ticker: str
    tick_row: b.Row
    account: a.AccountRow | None
    history: int  # ticks of the market before this one
    exit_pricing: Pricing | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer to one request.

    Attributes:
        action: What was chosen.
        reason: Why.
        order: What the action means, None for HOLD.
        observation_hash: 16 hex digits, empty where the account was not known.
        mask: Which actions were allowed.
        logits: One per action, empty where the policy was not asked.
        value: The policy's estimate, None where it has none or was not asked.
        observation: float32 as bytes, empty where the account was not known.
    """

    action: Action
    reason: Reason
    order: OrderRequest | None = None
    observation_hash: str = ""
    mask: tuple[bool, ...] = _ONLY_HOLD
    logits: tuple[float, ...] = ()
    value: float | None = None
    observation: bytes = b""


class TickHistories:
    """Each market's history of ticks, in every schema in which a model may ask for it.

    All schemas see the same ticks. So a model of another schema takes over with the history of the
    whole session, and its observations are those that a recording gives.

    Args:
        builders: Of those schemas.
    """

    def __init__(self, builders: Iterable[Builder]) -> None:
        self._builders = tuple(builders)
        self.reset()

    def reset(self) -> None:
        """Forget every market: the books have another writer."""
        self._adapters = {
            builder.code: LiveObservationAdapter(builder) for builder in self._builders
        }

    def of(self, builder: Builder) -> LiveObservationAdapter:
        """The adapter of that schema; `KeyError` for one that was not named at the start."""
        return self._adapters[builder.code]

    def tick(self, ticker: str, tick_row: b.Row) -> int:
        """Add a market's tick row.

        Returns:
            The number of its ticks before this one.
        """
        before = 0
        for adapter in self._adapters.values():  # all count alike
            before = adapter.tick(ticker, tick_row)
        return before

    def forget(self, ticker: str) -> None:
        """Drop a market's history."""
        for adapter in self._adapters.values():
            adapter.forget(ticker)


class _Asked(NamedTuple):
    """A request that goes to the policy as the batch's row `at`."""

    request: DecisionRequest
    at: int


class Decider:
    """Asks the policy once for every batch, through buffers that are allocated once.

    Args:
        policy: Answers observations of its own schema with actions, logits and values.
        histories: Of the same ticks as the requests; must hold the policy's schema.
        enabled: Without it every decision is HOLD (`DISABLED`).
        warmup_ticks: Ticks that a market needs before the policy is asked about it.
        pricing: How an action becomes a limit price.
        contract_size_e2: Hundredths of contracts of one order.
        log: One line for the first fault of the policy.

    Attributes:
        policy: As given.
        faults: Requests on which it failed.
    """

    def __init__(
        self,
        policy: Policy,
        histories: TickHistories,
        *,
        enabled: bool,
        warmup_ticks: int,
        pricing: Pricing | str,
        contract_size_e2: int,
        log: Log,
    ) -> None:
        self.policy = policy
        self._histories = histories
        self.faults = 0
        self._log = log
        self._enabled = enabled
        self._warmup_ticks = warmup_ticks
        self._space = LimitOrderActionSpace(pricing, contract_size_e2)
        self._exits = {p: LimitOrderActionSpace(p, contract_size_e2) for p in Pricing}
        self._observations = np.zeros((BATCH, policy.builder.size), np.float32)
        self._masks = np.zeros((BATCH, N_ACTIONS), np.bool_)

    @property
    def adapter(self) -> LiveObservationAdapter:
        """Builds observations in the policy's own schema."""
        return self._histories.of(self.policy.builder)

    def warm(self) -> None:
        """Run everything once, so that no kernel is loaded and no model is cold at the first tick.

        Leaves the histories alone.

        Raises:
            ConfigError: The strategy cannot answer.
        """
        adapter = LiveObservationAdapter(self.policy.builder)
        row, account = b.new_row(LINEAR_CENT.size, LINEAR_CENT), new_account(1)
        adapter.tick("", row)
        adapter.observe("", row, account, self._observations[0])
        self._space.mask(row, account, self._masks[0])
        self._space.order_for(int(Action.BUY_YES_LIMIT), row, account)
        try:
            for size in (1, 2):
                self.policy.decide(self._observations[:size], self._masks[:size])
        except Exception as error:  # noqa: BLE001  as in `_ask`
            raise ConfigError(f"RL_ACTOR_STRATEGY: {self.policy.model}: {error}") from None

    def decide(self, requests: Sequence[DecisionRequest]) -> list[Decision]:
        """Decide on a batch; the policy is asked only where it may act.

        Never raises for what a policy does: its errors and its NaNs are HOLD (`POLICY_FAULT`).

        Args:
            requests: At most `BATCH`, each of another market.

        Returns:
            One decision per request, in their order.
        """
        decisions: list[Decision | None] = []
        asked: list[_Asked] = []
        for request in requests:
            at = len(asked)
            hold = self._hold(request, at)
            decisions.append(hold)
            if hold is None:
                asked.append(_Asked(request, at))
        answers = iter(self._ask(asked))
        return [next(answers) if d is None else d for d in decisions]

    def _hold(self, request: DecisionRequest, at: int) -> Decision | None:
        """HOLD where the policy is not asked; observation and mask of the others into row `at`."""
        if request.account is None:
            reason = Reason.ACCOUNT_UNKNOWN if self._enabled else Reason.DISABLED
            return Decision(Action.HOLD, reason)
        self._observe(request, request.account, at)
        if self._enabled and request.exit_pricing is not None:
            return self._exit(request, request.account, request.exit_pricing, at)
        if self._enabled and request.history >= self._warmup_ticks:
            return None
        reason = Reason.WARMING_UP if self._enabled else Reason.DISABLED
        return self._decided(at, Action.HOLD, reason)

    def _exit(
        self, request: DecisionRequest, account: a.AccountRow, pricing: Pricing, at: int
    ) -> Decision:
        """Sell what is held in a market that was left, at most one order's size at a time."""
        action = exit_action(account)
        order = self._exits[pricing].order_for(int(action), request.tick_row, account)
        if order is None:
            return self._decided(at, Action.HOLD, Reason.LEFT)
        return self._decided(at, action, Reason.LEAVING, order)

    def _observe(self, request: DecisionRequest, account: a.AccountRow, at: int) -> None:
        self.adapter.observe(request.ticker, request.tick_row, account, self._observations[at])
        self._space.mask(request.tick_row, account, self._masks[at])

    def _mask(self, at: int) -> tuple[bool, ...]:
        return tuple(self._masks[at].tolist())

    def _ask(self, asked: Sequence[_Asked]) -> list[Decision]:
        if not asked:
            return []
        count = len(asked)
        try:
            answers = self.policy.decide(self._observations[:count], self._masks[:count])
        except Exception as error:  # noqa: BLE001  ONNX Runtime's errors share no other base
            return [self._fault(one.at, error) for one in asked]
        return [self._decision(one, answers) for one in asked]

    def _fault(self, at: int, error: object) -> Decision:
        if self.faults == 0:
            self._log.error("policy_fault", model=self.policy.model, error=error)
        self.faults += 1
        return self._decided(at, Action.HOLD, Reason.POLICY_FAULT)

    def _decision(self, asked: _Asked, answers: Decisions) -> Decision:
        at = asked.at
        value = None if answers.values is None else float(answers.values[at])
        if not (np.isfinite(answers.logits[at]).all() and math.isfinite(value or 0.0)):
            return self._fault(at, f"logits {answers.logits[at]}, value {value}")
        mask = self._mask(at)
        action = Action(int(answers.actions[at]))
        order = self._order(action, asked.request) if mask[action] else None
        if order is None:
            preferred = int(answers.logits[at].argmax())
            action = Action.HOLD
            reason = Reason.POLICY_HOLD if preferred == Action.HOLD else Reason.MASKED
        else:
            reason = Reason.POLICY
        logits = tuple(answers.logits[at].tolist())
        return self._decided(at, action, reason, order, logits, value)

    def _decided(
        self,
        at: int,
        action: Action,
        reason: Reason,
        order: OrderRequest | None = None,
        logits: tuple[float, ...] = (),
        value: float | None = None,
    ) -> Decision:
        """A decision with what it saw."""
        seen = self._observations[at]
        hashed, mask = observation_hash(seen), self._mask(at)
        return Decision(action, reason, order, hashed, mask, logits, value, seen.tobytes())

    def _order(self, action: Action, request: DecisionRequest) -> OrderRequest | None:
        if request.account is None:
            return None
        return self._space.order_for(int(action), request.tick_row, request.account)
