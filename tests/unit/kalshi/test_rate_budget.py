"""Token buckets under a clock that stands until it is moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.clock import ManualClock
from processes.adapters.kalshi.errors import RateLimited, WireError
from processes.adapters.kalshi.rest.rate_budget import (
    COSTS,
    Bucket,
    BucketName,
    Call,
    CallCosts,
    OwnBuckets,
    Rank,
    RateBudget,
)
from processes.adapters.kalshi.schemas.rest_public import (
    AccountLimits,
    BucketLimits,
    CostsReply,
    EndpointCost,
)

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
ORDERS = "/portfolio/events/orders"


class Patience:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(round(seconds * SECOND))

    def budget(self, rank: Rank = Rank.TRADING) -> RateBudget:
        return RateBudget(self.clock.now_ns, self.sleep, rank=rank)


def limits(tier: str, read: tuple[int, int], write: tuple[int, int]) -> AccountLimits:
    return AccountLimits(
        usage_tier=tier,
        read=BucketLimits(refill_rate=read[0], bucket_capacity=read[1]),
        write=BucketLimits(refill_rate=write[0], bucket_capacity=write[1]),
    )


def taken(budget: RateBudget, call: Call) -> int:
    """How many calls go at once."""
    count = 0
    while budget.try_take(call) == 0:
        count += 1
    return count


@given(
    st.lists(
        st.tuples(st.integers(0, SECOND), st.integers(1, 60), st.booleans()),
        min_size=20,
        max_size=60,
    ),
    st.integers(1, 300),
    st.integers(60, 300),
)
def test_a_bucket_never_gives_more_than_the_exchange_has(
    steps: list[tuple[int, int, bool]], rate: int, capacity: int
) -> None:
    bucket, now_ns = Bucket.of(rate, capacity, 0), 0
    given_out = 0
    for wait_ns, cost, limited in steps:
        now_ns += wait_ns
        if limited:
            bucket.on_limited(now_ns)
        if delay_ns := bucket.take(cost, 0, now_ns):
            now_ns += delay_ns
            assert bucket.take(cost, 0, now_ns) == 0  # the delay it named is enough
        given_out += cost
        assert given_out * SECOND <= capacity * SECOND + rate * now_ns


def test_the_basic_tier_less_a_tenth() -> None:
    budget = Patience().budget()
    assert taken(budget, Call.READ) == 54
    assert budget.try_take(Call.READ_ORDER) > 0
    assert taken(budget, Call.BALANCE) == 1


def test_cancels_go_when_new_orders_cannot() -> None:
    budget = Patience().budget()
    assert taken(budget, Call.CREATE) == 7  # of nine: one fifth is kept
    assert budget.try_take(Call.AMEND) > 0
    assert taken(budget, Call.CANCEL) == 10
    assert budget.try_take(Call.CANCEL_ALL) > 0


def test_reads_of_data_leave_the_last_fifth_to_those_who_trade() -> None:
    patience = Patience()
    data = patience.budget(Rank.DATA)
    assert taken(data, Call.READ) == 43
    assert data.counters()["budget_read_tokens"] == 110


class Rival:
    """Those who trade, at full speed: whatever they wait for, they take at that very moment."""

    def __init__(self, patience: Patience, buckets: OwnBuckets, readers: int) -> None:
        self._clock = patience.clock
        self._budget = RateBudget(patience.clock.now_ns, patience.sleep, buckets=buckets)
        self._due = [self._clock.now_ns()] * readers
        self.reads = 0

    async def sleep(self, seconds: float) -> None:
        """What the data's budget sleeps, they use."""
        until_ns = self._clock.now_ns() + round(seconds * SECOND)
        assert self.reads < 2_000, "the data's reads never go"
        while (due_ns := min(self._due)) <= until_ns:
            self._clock.advance(max(due_ns - self._clock.now_ns(), 0))
            delay_ns = self._budget.try_take(Call.READ)
            self.reads += delay_ns == 0
            self._due[self._due.index(due_ns)] = self._clock.now_ns() + (delay_ns or MILLISECOND)
        self._clock.advance(until_ns - self._clock.now_ns())


@pytest.mark.parametrize("readers", [1, 4, 40])
async def test_reads_of_data_are_late_and_not_never_beside_those_who_trade(readers: int) -> None:
    patience = Patience()
    buckets = OwnBuckets(patience.clock.now_ns())
    rival = Rival(patience, buckets, readers)
    data = RateBudget(patience.clock.now_ns, rival.sleep, rank=Rank.DATA, buckets=buckets)
    await rival.sleep(1.0)  # the bucket is empty from here on
    for _ in range(5):
        begun_ns, before = patience.clock.now_ns(), rival.reads
        await data.acquire(Call.READ)
        waited_ns = patience.clock.now_ns() - begun_ns
        assert 2 * SECOND <= waited_ns < 4 * SECOND
        assert rival.reads - before >= waited_ns // SECOND * 19 - 2, "they still go first"


async def test_waiting_reads_of_data_hold_up_those_who_trade_by_one_read_at_most() -> None:
    patience = Patience()
    bucket = OwnBuckets(patience.clock.now_ns())
    trading = RateBudget(patience.clock.now_ns, patience.sleep, buckets=bucket)
    taken(trading, Call.READ)
    now_ns = patience.clock.now_ns()
    reserved = [bucket.change(BucketName.READ, lambda b: b.reserve(10, now_ns)) for _ in range(30)]
    assert [is_taken for is_taken, _ in reserved] == [True] + [False] * 29
    assert 0 < trading.try_take(Call.READ) < SECOND // 8
    patience.clock.advance(reserved[0][1] - MILLISECOND)
    assert bucket.change(BucketName.READ, lambda b: b.nano) < 0
    assert trading.try_take(Call.READ) > 0
    patience.clock.advance(MILLISECOND)
    assert trading.counters()["budget_read_tokens"] == 0, "what was taken is there now"


def test_a_second_gives_what_the_rate_says_and_never_more_than_fits() -> None:
    patience = Patience()
    budget = patience.budget()
    taken(budget, Call.READ_ORDER)
    taken(budget, Call.CANCEL)
    patience.clock.advance(SECOND)
    counters = budget.counters()
    assert (counters["budget_read_tokens"], counters["budget_write_tokens"]) == (198, 90)
    patience.clock.advance(3_600 * SECOND)
    assert budget.counters()["budget_read_tokens"] == 540


def test_writes_do_not_take_from_reads() -> None:
    budget = Patience().budget()
    taken(budget, Call.CREATE)
    assert taken(budget, Call.READ) == 54


async def test_a_read_waits_for_its_turn() -> None:
    patience = Patience()
    budget = patience.budget()
    for _ in range(55):
        await budget.acquire(Call.READ)
    assert patience.slept == [pytest.approx(10 / 198)]
    assert budget.waits == 1


async def test_a_cancel_waits_a_moment_at_most() -> None:
    patience = Patience()
    budget = patience.budget()
    for _ in range(46):
        await budget.acquire(Call.CANCEL)
    assert patience.slept == [pytest.approx(2 / 99)]


async def test_a_new_order_waits_no_longer_than_a_second() -> None:
    patience = Patience()
    budget = patience.budget()
    budget.apply(limits("tiny", (1, 10), (1, 20)))
    await budget.acquire(Call.CREATE)
    with pytest.raises(RateLimited, match="own_rate_budget"):
        await budget.acquire(Call.CREATE)
    assert budget.refusals == 1
    assert patience.slept == []
    await budget.acquire(Call.CANCEL)  # still goes


def test_stated_limits_replace_the_assumed_ones_and_fill_nothing() -> None:
    patience = Patience()
    budget = patience.budget()
    budget.apply(limits("advanced", (300, 900), (300, 900)))
    assert taken(budget, Call.READ) == 54
    patience.clock.advance(3 * SECOND)
    assert taken(budget, Call.READ) == 81
    assert taken(budget, Call.CREATE) == 64


def test_a_smaller_tier_takes_away_what_is_too_much() -> None:
    budget = Patience().budget()
    budget.apply(limits("tiny", (10, 100), (10, 100)))
    assert taken(budget, Call.READ) == 9


@pytest.mark.parametrize("read", [(0, 600), (200, 0), (10**9, 600), (200, 10**9)])
def test_limits_that_cannot_be_right_change_nothing(read: tuple[int, int]) -> None:
    budget = Patience().budget()
    with pytest.raises(WireError, match="account limits: read"):
        budget.apply(limits("odd", read, (1, 1)))
    assert taken(budget, Call.READ) == 54
    assert taken(budget, Call.CREATE) == 7


def test_a_429_empties_the_bucket_and_lowers_its_rate_which_comes_back_slowly() -> None:
    patience = Patience()
    budget = patience.budget()
    budget.on_limited(Call.READ)
    counters = budget.counters()
    assert counters["budget_read_tokens"] == 0
    assert (counters["budget_read_share_percent"], counters["budget_read_limited"]) == (80, 1)
    assert counters["budget_read_refill_per_s"] == 158
    assert (counters["budget_write_share_percent"], counters["budget_limited"]) == (100, 1)
    budget.on_limited(Call.READ)  # of the same moment
    assert budget.counters()["budget_read_share_percent"] == 80
    patience.clock.advance(SECOND)
    budget.on_limited(Call.READ)
    assert budget.counters()["budget_read_share_percent"] == 64
    patience.clock.advance(60 * SECOND)
    assert budget.counters()["budget_read_share_percent"] == 74
    patience.clock.advance(600 * SECOND)
    assert budget.counters()["budget_read_share_percent"] == 100


def test_many_429s_leave_a_tenth_of_the_rate() -> None:
    patience = Patience()
    budget = patience.budget()
    for _ in range(50):
        budget.on_limited(Call.CANCEL)
        patience.clock.advance(SECOND)
    assert budget.counters()["budget_write_share_percent"] == 10


def test_every_call_has_a_cost() -> None:
    assert set(COSTS) == set(Call)


def test_the_exchange_says_what_calls_cost() -> None:
    budget = Patience().budget()
    rows = [
        EndpointCost(method="DELETE", path=f"/trade-api/v2{ORDERS}/{{order_id}}", cost=3),
        EndpointCost(method="GET", path="/trade-api/v2/markets", cost=20),
        EndpointCost(method="post", path=f"{ORDERS}/:id/amend", cost=5),
    ]
    budget.use_costs(CallCosts(CostsReply(default_cost=12, endpoint_costs=tuple(rows))))

    def cost(method: str, path: str) -> int:
        return budget.cost(Call.READ, method, path)

    assert cost("DELETE", f"{ORDERS}/o-1") == 3
    assert cost("DELETE", ORDERS) == 12
    assert (cost("GET", "/markets"), cost("GET", "/markets/KXA-1")) == (20, 12)
    assert cost("POST", f"{ORDERS}/o-1/amend") == 5
    assert budget.cost(Call.BALANCE, "GET", "/portfolio/balance") == 1  # a bucket of its own


async def test_a_batch_that_never_fits_is_not_waited_for() -> None:
    patience = Patience()
    budget = patience.budget()
    with pytest.raises(RateLimited, match="51 x cancel never fit"):
        await budget.acquire(Call.CANCEL, 51)
    assert patience.slept == []


def test_a_batch_costs_what_its_items_cost() -> None:
    budget = Patience().budget()
    assert budget.try_take(Call.CREATE, 6) == 0
    assert taken(budget, Call.CREATE) == 1  # the last fifth is for cancels


async def test_a_batch_may_be_all_that_the_exchange_takes_at_once() -> None:
    patience = Patience()
    budget = patience.budget()
    assert budget.try_take(Call.CREATE, 10) == 0  # the debt is waited for
    await budget.acquire(Call.CANCEL)
    assert patience.slept == [pytest.approx(12 / 99)]
