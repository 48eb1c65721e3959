"""The verdict and the gate: what beats what, and when that is enough to trade live."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.outcomes import outcome_of

from models.evaluation.comparison import (
    beats_all,
    best_by_chance,
    compare,
    differences,
    verdict,
)
from models.evaluation.outcomes import PolicyOutcome
from models.policies.registry import LEAST_MARKETS

N = LEAST_MARKETS
HOLD = outcome_of("hold", [0.0] * N)
RULE = outcome_of("rule", [0.5] * N)
GOOD = outcome_of("good", [1.0 + 0.01 * i for i in range(N)])
LUCKY = outcome_of("lucky", [*[-1.0] * (N - 1), 100.0])


def test_pairs_are_compared_market_by_market() -> None:
    """What all markets share does not widen the interval."""
    swings = [(-1) ** i * 50.0 for i in range(N)]
    first, second = outcome_of("a", [s + 1 for s in swings]), outcome_of("b", swings)
    assert compare(first, second) == pytest.approx((1, 1, 1))
    mean, low, high = compare(first, HOLD)
    assert low < 0 < mean < high


def test_every_pair_is_there_once() -> None:
    pairs = [(policy, other) for policy, other, _ in differences([GOOD, RULE, HOLD])]
    assert pairs == [("good", "rule"), ("good", "hold"), ("rule", "hold")]


def test_what_was_judged_on_other_markets_is_not_compared() -> None:
    with pytest.raises(ValueError, match="good and short were judged on different markets"):
        compare(GOOD, outcome_of("short", [0.0]))
    nameless = [msgspec.structs.replace(o, tickers=()) for o in (GOOD, outcome_of("short", [0.0]))]
    with pytest.raises(ValueError, match="different markets"):
        compare(*nameless)
    with pytest.raises(ValueError, match="different markets"):
        compare(GOOD, outcome_of("other", [0.0] * N, [f"X-{i}" for i in range(N)]))


def test_a_policy_that_beats_every_baseline_may_be_promoted() -> None:
    assert beats_all(GOOD, [HOLD, RULE]) == (True, [])


def test_one_baseline_that_is_not_beaten_is_enough_against_it() -> None:
    promoted, against = beats_all(LUCKY, [HOLD, outcome_of("worst", [-200.0] * N)])
    assert not promoted
    (reason,) = against
    assert reason.startswith("minus hold it made +9.1000 [-")


def test_to_equal_a_baseline_is_not_to_beat_it() -> None:
    assert beats_all(HOLD, [HOLD])[0] is False
    assert beats_all(RULE, [GOOD])[0] is False


def test_nothing_to_compare_with_is_no_proof() -> None:
    assert beats_all(GOOD, []) == (False, ["it was not compared with anything"])


def test_few_markets_are_no_proof() -> None:
    few = [1.0] * (N - 1)
    promoted, against = beats_all(outcome_of("few", few), [outcome_of("hold", [0.0] * (N - 1))])
    assert not promoted
    assert against == [f"{N - 1} markets are too few to tell; {N} are needed"]


@pytest.mark.parametrize(
    ("ours", "others", "says"),
    [
        (GOOD, [HOLD, RULE], f"good beats hold, rule after fees ({N} markets)"),
        (RULE, [HOLD, GOOD, LUCKY], f"rule does not beat good, lucky after fees ({N} markets)"),
        (GOOD, [], f"good was not compared with anything ({N} markets)"),
        (
            outcome_of("few", [1.0, 1.0]),
            [outcome_of("hold", [0.0, 0.0])],
            "few made more than hold, but 2 markets are too few to tell",
        ),
        (
            outcome_of("few", [-1.0, 1.0]),
            [outcome_of("hold", [0.0, 0.0])],
            "few does not beat hold after fees (2 markets)",
        ),
    ],
)
def test_the_verdict_says_who_is_not_beaten(
    ours: PolicyOutcome, others: list[PolicyOutcome], says: str
) -> None:
    assert verdict(ours, others) == says


def luck(tries: int, markets: int = 20) -> np.ndarray:
    """Nets of tries without any edge."""
    return np.random.Generator(np.random.PCG64(7)).normal(0, 5, (tries, markets))


def test_the_best_of_many_is_luck_more_often_than_one_alone() -> None:
    nets = luck(60)
    errors = nets.mean(axis=1) / nets.std(axis=1)
    best = nets[[errors.argmax()]]
    assert best_by_chance(best) < 0.05  # alone, it would have been a find
    assert best_by_chance(nets) > 0.2
    assert best_by_chance(np.vstack([nets, luck(1) + 6])) < 0.001


def test_tries_that_are_alike_are_hardly_more_than_one() -> None:
    nets = luck(1) + 1.5
    assert best_by_chance(np.vstack([nets] * 30)) == pytest.approx(best_by_chance(nets))


@pytest.mark.parametrize("net", [[0.0] * 20, [-1.0] * 20, [0.4, 0.6] * 10])
def test_a_try_that_does_not_show_its_error_is_no_find(net: list[float]) -> None:
    """Never traded, always the same, never lost: pennies until the steamroller comes."""
    assert best_by_chance(np.array([net] * 3)) == 1.0
    nets = luck(5)
    assert best_by_chance(np.vstack([nets, [net] * 3])) == best_by_chance(nets)
