"""Token buckets: what calls cost, who is billed, what a tier holds."""

from __future__ import annotations

import pytest

from processes.adapters.kalshi.rest.rate_budget import TokenBucket
from processes.exchange.core.access import TIERS, UNMETERED, Bill, Meter, cost_of
from processes.runtime.config import EXCHANGE_TIERS

SECOND_NS = 1_000_000_000
ORDERS = "/portfolio/events/orders"
ONE = f"{ORDERS}/{{order_id}}"


class Clock:
    """Real time, by hand."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def test_a_bucket_refills_to_its_capacity_and_no_further():
    clock = Clock()
    bucket = TokenBucket(100, 100, clock)
    assert bucket.take(100) == 0
    assert bucket.take(10) == SECOND_NS // 10
    clock.ns += SECOND_NS // 10 - 1
    assert bucket.take(10) == 1
    clock.ns += 1
    assert bucket.take(10) == 0
    clock.ns += 3600 * SECOND_NS
    assert bucket.tokens == 100


def spent(meter: Meter, bill: Bill) -> int:
    """How often a call goes before it is refused."""
    calls = 0
    while meter.take(bill):
        calls += 1
    return calls


def test_every_tier_of_the_settings_is_known():
    assert {UNMETERED, *TIERS} == set(EXCHANGE_TIERS)


@pytest.mark.parametrize(
    ("method", "path", "asked", "bill"),
    [
        ("GET", "/markets", {}, Bill(10, None)),
        ("GET", "/portfolio/orders/{order_id}", {}, Bill(2, None)),
        ("GET", "/portfolio/balance", {}, Bill(10, None, is_balance=True)),
        ("POST", ORDERS, {"ticker": "T"}, Bill(10, (0, 1, 2, 3))),
        ("POST", ORDERS, {"ticker": "T", "exchange_index": -1}, Bill(10, (0, 1, 2, 3))),
        ("POST", ORDERS, {"ticker": "T", "exchange_index": 2}, Bill(10, (2,))),
        ("POST", ORDERS, {"ticker": "T", "exchange_index": 0}, Bill(10, (0,))),
        ("DELETE", ONE, {}, Bill(2, (0,))),
        ("DELETE", ONE, {"market_ticker": "T"}, Bill(2, (0, 1, 2, 3))),
        ("DELETE", ONE, {"exchange_index": "3"}, Bill(2, (3,))),
        ("DELETE", ORDERS, {}, Bill(2, (0,))),
        ("POST", f"{ORDERS}/batched", {"orders": [{}, {}, {}]}, Bill(30, (0,))),
        ("DELETE", f"{ORDERS}/batched", {"orders": [{}, {}, {}]}, Bill(6, (0,))),
        ("POST", f"{ONE}/amend", {"ticker": "T"}, Bill(10, (0, 1, 2, 3))),
        ("POST", "/account/api_usage_level/upgrade", {}, Bill(30, (0,))),
    ],
)
def test_what_a_call_costs(method, path, asked, bill):
    assert cost_of(method, path, asked) == bill


def test_a_basic_account_creates_ten_orders_a_second():
    clock = Clock()
    meter = Meter("basic", clock)
    create = cost_of("POST", ORDERS, {"exchange_index": 0})
    assert spent(meter, create) == 10
    clock.ns += SECOND_NS // 10
    assert spent(meter, create) == 1
    clock.ns += 100 * SECOND_NS
    assert spent(meter, create) == 10


def test_reads_and_writes_are_apart_and_shards_too():
    meter = Meter("basic", Clock())
    assert spent(meter, Bill(10, None)) == 60
    assert spent(meter, Bill(10, (2,))) == 10
    assert not meter.take(Bill(10, (0, 1, 2, 3)))
    assert spent(meter, Bill(10, (0,))) == 10


def test_a_refused_call_costs_nothing():
    meter = Meter("basic", Clock())
    assert not meter.take(Bill(110, (0,)))
    assert meter.take(Bill(100, (0,)))


def test_the_balance_has_a_bucket_of_its_own():
    clock = Clock()
    meter = Meter("basic", clock)
    balance = cost_of("GET", "/portfolio/balance", {})
    assert spent(meter, balance) == 1
    clock.ns += SECOND_NS
    assert spent(meter, balance) == 1
    assert meter.read.tokens == 600


def test_basic_is_upgraded_once():
    meter = Meter("basic", Clock())
    assert meter.upgrade()
    assert meter.limits()["usage_tier"] == "advanced"
    assert not meter.upgrade()


def test_without_a_meter_nothing_is_refused():
    meter = Meter(UNMETERED, Clock())
    assert all(meter.take(Bill(10_000, (0,))) for _ in range(100))
    assert meter.limits()["usage_tier"] == "prestige"
