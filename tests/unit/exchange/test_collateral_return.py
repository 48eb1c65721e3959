"""What mutually exclusive markets return to each other is what they pay whatever happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processes.exchange.core.collateral_return import guaranteed_e6

COUNTS = st.lists(st.integers(-500, 500), min_size=1, max_size=6)


def paid_e6(counts: list[int], yes: int | None) -> int:
    """What positions are paid when the market at `yes` resolves to yes, or none does."""
    won = [max(c, 0) if place == yes else max(-c, 0) for place, c in enumerate(counts)]
    return 10_000 * sum(won)


@given(COUNTS)
def test_the_least_of_all_outcomes_is_returned(counts: list[int]) -> None:
    outcomes = [None, *range(len(counts))]
    assert guaranteed_e6(counts) == min(paid_e6(counts, yes) for yes in outcomes)


def test_a_no_in_each_of_three_markets_returns_two_dollars() -> None:
    assert guaranteed_e6([-100, -100, -100]) == 2_000_000
