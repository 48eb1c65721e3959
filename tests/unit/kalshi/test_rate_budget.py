"""Token buckets under a clock that stands until it is moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.clock import ManualClock
from processes.adapters.kalshi.errors import RateLimited
from processes.adapters.kalshi.rest.rate_budget import COSTS, Call, RateBudget, TokenBucket
from processes.adapters.kalshi.schemas.rest_public import AccountLimits, BucketLimits

SECOND = 1_000_000_000


class Patience:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(round(seconds * SECOND))

    def budget(self) -> RateBudget:
        return RateBudget(self.clock.now_ns, self.sleep)


def taken(budget: RateBudget, call: Call) -> int:
    """How many calls go at once."""
    count = 0
    while budget.try_take(call) == 0:
        count += 1
    return count


def test_a_bucket_refills_to_its_capacity_and_no_further() -> None:
    clock = ManualClock()
    bucket = TokenBucket(100, 100, clock.now_ns)
    assert bucket.take(100) == 0
    assert bucket.take(10) == SECOND // 10
    clock.advance(SECOND // 10 - 1)
    assert bucket.take(10) == 1
    clock.advance(1)
    assert bucket.take(10) == 0
    clock.advance(3600 * SECOND)
    assert bucket.tokens == 100


@given(
    st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 60)), max_size=100),
    st.integers(1, 300),
    st.integers(60, 300),
)
def test_a_bucket_never_gives_more_than_it_got(
    steps: list[tuple[int, int]], rate: int, capacity: int
) -> None:
    clock = ManualClock()
    bucket, given_out = TokenBucket(rate, capacity, clock.now_ns), 0
    for wait_ns, cost in steps:
        clock.advance(wait_ns)
        delay_ns = bucket.take(cost)
        if delay_ns:
            clock.advance(delay_ns)
            assert bucket.take(cost) == 0  # the delay it named is enough
        given_out += cost
        assert given_out * SECOND <= capacity * SECOND + rate * clock.now_ns()


def test_the_basic_tier() -> None:
    budget = Patience().budget()
    assert taken(budget, Call.READ) == 60
    assert budget.try_take(Call.READ_ORDER) > 0
    assert taken(budget, Call.BALANCE) == 1


def test_cancels_go_when_new_orders_cannot() -> None:
    budget = Patience().budget()
    assert taken(budget, Call.CREATE) == 8  # of ten: one fifth is kept
    assert budget.try_take(Call.AMEND) > 0
    assert taken(budget, Call.CANCEL) == 10
    assert budget.try_take(Call.CANCEL_ALL) > 0


def test_writes_do_not_take_from_reads() -> None:
    budget = Patience().budget()
    taken(budget, Call.CREATE)
    assert taken(budget, Call.READ) == 60


async def test_a_read_waits_for_its_turn() -> None:
    patience = Patience()
    budget = patience.budget()
    for _ in range(61):
        await budget.acquire(Call.READ)
    assert patience.slept == [0.05]
    assert budget.waits == 1


async def test_a_cancel_waits_a_moment_at_most() -> None:
    patience = Patience()
    budget = patience.budget()
    for _ in range(51):
        await budget.acquire(Call.CANCEL)
    assert patience.slept == [0.02]


async def test_a_new_order_waits_no_longer_than_a_second() -> None:
    patience = Patience()
    limits = AccountLimits(
        usage_tier="tiny",
        read=BucketLimits(refill_rate=1, bucket_capacity=10),
        write=BucketLimits(refill_rate=1, bucket_capacity=20),
    )
    budget = patience.budget()
    budget.apply(limits)
    await budget.acquire(Call.CREATE)
    with pytest.raises(RateLimited, match="own_rate_budget"):
        await budget.acquire(Call.CREATE)
    assert budget.refusals == 1
    assert patience.slept == []
    await budget.acquire(Call.CANCEL)  # still goes


def test_stated_limits_replace_the_assumed_ones() -> None:
    budget = Patience().budget()
    budget.apply(
        AccountLimits(
            usage_tier="advanced",
            read=BucketLimits(refill_rate=300, bucket_capacity=900),
            write=BucketLimits(refill_rate=300, bucket_capacity=900),
        )
    )
    assert taken(budget, Call.READ) == 90
    assert taken(budget, Call.CREATE) == 72


def test_every_call_has_a_cost() -> None:
    assert set(COSTS) == set(Call)


async def test_a_batch_that_never_fits_is_not_waited_for() -> None:
    patience = Patience()
    budget = patience.budget()
    await budget.acquire(Call.CANCEL, 50)
    with pytest.raises(RateLimited, match="51 x cancel never fit"):
        await budget.acquire(Call.CANCEL, 51)
    assert patience.slept == []


def test_a_batch_costs_what_its_items_cost() -> None:
    budget = Patience().budget()
    assert budget.try_take(Call.CREATE, 7) == 0
    assert taken(budget, Call.CREATE) == 1  # the last fifth is for cancels


def test_a_batch_may_be_all_that_the_exchange_takes_at_once() -> None:
    assert Patience().budget().try_take(Call.CREATE, 10) == 0
