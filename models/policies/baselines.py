"""Rules behind the interface of a policy: what a learned one must beat, and demonstrations.

`BASELINES` maps a name to a factory that takes a seed. All are deterministic given their seed, and
their logits are enough to rebuild their actions. Logits have no unit here: only their order counts.
Each decides with `decide` as `models.policies.interface.Policy` describes it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from models.observation.builder import DEFAULT, OBSERVATION_V2, builder_of
from models.policies.interface import Decisions, Policy
from models.trading.actions import N_ACTIONS, Action, Mask, masked_argmax

__all__ = [
    "BASELINES",
    "Hold",
    "JoinBest",
    "MarketMaker",
    "Microprice",
    "RandomChoice",
    "TouchImbalance",
]

_V2: Final = OBSERVATION_V2.names.index
MID: Final = _V2("yes_mid")
SPREAD: Final = _V2("spread_ticks")
TOUCH_IMBALANCE: Final = _V2("touch_imbalance")
TOUCH_LOG_RATIO: Final = _V2("touch_log_ratio")
MICROPRICE: Final = _V2("microprice_minus_mid")
INVENTORY: Final = _V2("inventory")
ONE_PRICE: Final = 0.1  # of SPREAD
HARD_LEAN: Final = 0.8
CENTS_PER_LEAN: Final = 3.0  # that the mid is taken to move, per unit of TOUCH_LOG_RATIO
MARGIN: Final = 1.0  # cents beyond the costs

Observations = npt.NDArray[np.float32]


def _hash(model: str) -> str:
    return blake2b(model.encode(), digest_size=8).hexdigest()


class Hold:
    """Never trades."""

    model = "baseline:hold"
    model_hash = _hash(model)
    builder = DEFAULT

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """HOLD, always."""
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        logits[:, Action.HOLD] = 1.0
        return Decisions(masked_argmax(logits, masks), logits, None)


class RandomChoice:
    """Uniform over the allowed actions; seeded. The logits are the draws that decided.

    Args:
        seed: Of its PCG64 generator; part of the model's hash.
    """

    builder = DEFAULT

    def __init__(self, seed: int) -> None:
        self.model = "baseline:random"
        self.model_hash = _hash(f"{self.model}:{seed}")
        self._random = np.random.Generator(np.random.PCG64(seed))

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """One independent draw per action; the largest allowed one wins."""
        draws = self._random.random((len(observations), N_ACTIONS), np.float32)
        return Decisions(masked_argmax(draws, masks), draws, None)


class JoinBest:
    """Buys below an even price and closes what it holds; meant for passive pricing.

    Flat: joins the bid of the cheaper outcome. Holding: offers it at its own touch.
    """

    model = "baseline:join_best"
    model_hash = _hash(model)
    builder = DEFAULT

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Buy the cheaper outcome by the YES mid (feature 6).

        A sell is allowed, and then preferred, only with a position.
        """
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        cheap_yes = observations[:, 6] <= 0.5
        logits[:, Action.BUY_YES_LIMIT] = np.where(cheap_yes, 1.0, -1.0)
        logits[:, Action.BUY_NO_LIMIT] = np.where(cheap_yes, -1.0, 1.0)
        logits[:, [Action.SELL_YES_LIMIT, Action.SELL_NO_LIMIT]] = 2.0
        return Decisions(masked_argmax(logits, masks), logits, None)


class TouchImbalance:
    """Takes when the sizes at the touch lean far enough to pay for the spread and the fee.

    The forecast is a straight line through zero in the log ratio of the touch sizes; its slope is a
    choice (CENTS_PER_LEAN), not a fit. The cost of a contract is half the spread (a price counted
    as one cent), the taker's fee of 7 cents times p (1 - p), and MARGIN. Meant for aggressive
    pricing; closes what it holds when the book leans back.
    """

    model = "baseline:touch_imbalance"
    model_hash = _hash(model)
    builder = builder_of(OBSERVATION_V2.name)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Positive logits where the forecast beats the costs, HOLD at zero."""
        mid, lean = observations[:, MID], observations[:, TOUCH_LOG_RATIO]
        forecast = CENTS_PER_LEAN * lean
        cost = observations[:, SPREAD] * 5.0 + 7.0 * mid * (1.0 - mid) + MARGIN
        return _taker(observations, masks, forecast, cost)


class Microprice:
    """Takes when the size-weighted price of the touch leaves more than the fee over the mid.

    Meant for aggressive pricing; closes when it lies on the other side of the mid. Source: Stoikov
    2018, "The micro-price: a high-frequency estimator of future prices", in its simplest form.
    """

    model = "baseline:microprice"
    model_hash = _hash(model)
    builder = builder_of(OBSERVATION_V2.name)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """HOLD at zero; a buy is worth what the microprice leaves over the fee."""
        mid = observations[:, MID]
        return _taker(observations, masks, observations[:, MICROPRICE], 7.0 * mid * (1.0 - mid))


def _taker(
    observations: Observations, masks: Mask, forecast: Observations, cost: Observations
) -> Decisions:
    """Buy what the forecast favours by more than its cost; sell what it no longer favours."""
    held = observations[:, INVENTORY]
    logits = np.zeros((len(observations), N_ACTIONS), np.float32)
    logits[:, Action.BUY_YES_LIMIT] = forecast - cost
    logits[:, Action.BUY_NO_LIMIT] = -forecast - cost
    logits[:, Action.SELL_YES_LIMIT] = np.where((held > 0) & (forecast < 0), 9.0, -1.0)
    logits[:, Action.SELL_NO_LIMIT] = np.where((held < 0) & (forecast > 0), 9.0, -1.0)
    return Decisions(masked_argmax(logits, masks), logits, None)


class MarketMaker:
    """Quotes the side that brings its inventory back to zero; when flat, the thinner side.

    Meant for passive pricing: one resting order at a time, at the touch. It quotes only where the
    spread is at least two prices, and never against a book that leans hard.
    """

    model = "baseline:market_maker"
    model_hash = _hash(model)
    builder = builder_of(OBSERVATION_V2.name)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Sell what it holds; when flat, buy the outcome with the shorter queue."""
        lean, spread = observations[:, TOUCH_IMBALANCE], observations[:, SPREAD]
        quotes = (spread >= 2 * ONE_PRICE) & (np.abs(lean) < HARD_LEAN)
        held = observations[:, INVENTORY]
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        logits[:, Action.BUY_YES_LIMIT] = np.where(quotes & (lean <= 0), 1.0, -1.0)
        logits[:, Action.BUY_NO_LIMIT] = np.where(quotes & (lean > 0), 1.0, -1.0)
        logits[:, Action.SELL_YES_LIMIT] = np.where(held > 0, 2.0, -1.0)
        logits[:, Action.SELL_NO_LIMIT] = np.where(held < 0, 2.0, -1.0)
        return Decisions(masked_argmax(logits, masks), logits, None)


BASELINES: Final[dict[str, Callable[[int], Policy]]] = {
    "hold": lambda _seed: Hold(),
    "join_best": lambda _seed: JoinBest(),
    "market_maker": lambda _seed: MarketMaker(),
    "microprice": lambda _seed: Microprice(),
    "random": RandomChoice,
    "touch_imbalance": lambda _seed: TouchImbalance(),
}
