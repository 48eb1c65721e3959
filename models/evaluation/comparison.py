"""Policies compared market by market: the interval, the verdict, and the rule for going live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.evaluation.outcomes import PolicyOutcome
from models.policies.registry import LEAST_MARKETS

__all__ = [
    "PairedDifference",
    "beats_all",
    "best_by_chance",
    "compare",
    "differences",
    "verdict",
]

RESAMPLES: Final = 10_000


class PairedDifference(NamedTuple):
    """Paired difference of two policies in dollars per market; 95 % bootstrap over markets."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def compare(policy: PolicyOutcome, other: PolicyOutcome, seed: int = 0) -> PairedDifference:
    """Compare two policies on the same markets.

    Args:
        policy: The one.
        other: What is subtracted from it.
        seed: Of the bootstrap.

    Returns:
        Mean and 95 % interval of `policy` minus `other`, dollars per market.

    Raises:
        ValueError: They were not judged on the same markets.
    """
    if len(policy.net_e6) != len(other.net_e6) or policy.tickers != other.tickers:
        raise ValueError(f"{policy.policy} and {other.policy} were judged on different markets")
    nets = (np.array(policy.net_e6) - np.array(other.net_e6)) / 1e6
    random = np.random.Generator(np.random.PCG64(seed))
    picks = random.integers(0, len(nets), (RESAMPLES, len(nets)))
    low, high = np.quantile(nets[picks].mean(axis=1), [0.025, 0.975])
    return PairedDifference(float(nets.mean()), float(low), float(high))


def differences(outcomes: Sequence[PolicyOutcome]) -> list[tuple[str, str, PairedDifference]]:
    """(policy, other, policy minus other) of every pair."""
    return [
        (p.policy, o.policy, compare(p, o))
        for i, p in enumerate(outcomes)
        for o in outcomes[i + 1 :]
    ]


def best_by_chance(nets: npt.NDArray[np.float64], seed: int = 0) -> float:
    """How often the best of so many tries would look as good if none had any edge.

    The best is the try with the largest mean in standard errors. It is compared with the largest
    that a bootstrap finds when every try is moved to a mean of zero. Markets are drawn for all
    tries together, so tries that are alike count as little more than one. A try that lost in no
    market does not count: it never traded, or the losses that would show how large its error is
    have not happened yet, and a bootstrap cannot draw them.

    Source: White 2000, "A Reality Check for Data Snooping".

    Args:
        nets: float64[tries, markets], each try's net on the same markets.
        seed: Of the bootstrap.

    Returns:
        A share from 0 to 1; 1 when no try counts.
    """
    markets = nets.shape[1]
    errors = nets.std(axis=1, ddof=1) / np.sqrt(markets)
    comparable = (errors > 0) & (nets < 0).any(axis=1)
    if not comparable.any():
        return 1.0
    nets, errors = nets[comparable], errors[comparable]
    means = nets.mean(axis=1)
    picks = np.random.Generator(np.random.PCG64(seed)).integers(0, markets, (RESAMPLES, markets))
    largest = np.full(RESAMPLES, -np.inf)
    for net, mean, error in zip(nets, means, errors, strict=True):
        largest = np.maximum(largest, (net[picks].mean(axis=1) - mean) / error)
    return float((largest >= (means / errors).max()).mean())


def beats_all(candidate: PolicyOutcome, others: Sequence[PolicyOutcome]) -> tuple[bool, list[str]]:
    """Decide whether a policy may be promoted to trade live.

    It may when the lower end of its paired difference against every one of `others` is above zero.
    All must have been judged on the same markets, and these must not be markets that it learned
    from; only the caller can know that.

    Returns:
        (whether it may, what speaks against it). With nothing to compare with, or fewer than
        `LEAST_MARKETS` markets, it may not.
    """
    against = []
    if not others:
        against.append("it was not compared with anything")
    if len(candidate.net_e6) < LEAST_MARKETS:
        against.append(
            f"{len(candidate.net_e6)} markets are too few to tell; {LEAST_MARKETS} are needed"
        )
    for other in others:
        difference = compare(candidate, other)
        if difference.low <= 0:
            against.append(f"minus {other.policy} it made {difference} dollars per market")
    return not against, against


def verdict(candidate: PolicyOutcome, others: Sequence[PolicyOutcome]) -> str:
    """One line: does the candidate beat all others after fees, by the interval's lower end?"""
    short = [o.policy for o in others if compare(candidate, o).low <= 0]
    markets = len(candidate.net_e6)
    if short:
        return f"{candidate.policy} does not beat {', '.join(short)} after fees ({markets} markets)"
    if not others:
        return f"{candidate.policy} was not compared with anything ({markets} markets)"
    names = ", ".join(o.policy for o in others)
    if markets < LEAST_MARKETS:
        return (
            f"{candidate.policy} made more than {names}, but {markets} markets are too few to tell"
        )
    return f"{candidate.policy} beats {names} after fees ({markets} markets)"
