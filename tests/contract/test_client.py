"""Our client against the local exchange, over real sockets: everything that a bot asks."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.local_exchange import LocalExchange, keys
from support.local_orders import CRYPTO, TICKER, two_markets

from ipc.book import YES
from ipc.messages import BookSide, OrderStatus
from processes.adapters.kalshi.auth.signing import Signer, real_ms
from processes.adapters.kalshi.errors import (
    ORDER_ALREADY_EXISTS,
    ApiError,
    NotFound,
    OrderRejected,
    RateLimited,
    UnknownOutcome,
)
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.orders import (
    AmendOrder,
    CanceledOrder,
    CreatedOrder,
    CreateOrder,
    TimeInForce,
)
from processes.adapters.kalshi.rest.rate_budget import RateBudget

Both = tuple[LocalExchange, KalshiTradingClient]
Open = Callable[..., AbstractAsyncContextManager[Both]]


@pytest.fixture
def both(tmp_path: Path) -> Open:
    """An exchange by rules of the test's own, and a client of one of its accounts."""

    @asynccontextmanager
    async def opened(account: int = 0, **rules: Any) -> AsyncIterator[Both]:
        async with two_markets(tmp_path, **rules) as exchange:
            signer = Signer(keys()[account])
            async with KalshiTradingClient.at(exchange.target, signer, RateBudget()) as client:
                yield exchange, client

    return opened


def bid(yes_price_e4: int = 4_000, count_e2: int = 1_000, **more: Any) -> CreateOrder:
    """A bid that rests: the market is 47 to 52 cents."""
    facts: dict[str, Any] = {
        "market_ticker": TICKER,
        "client_order_id": str(uuid.uuid4()),
        "book_side": BookSide.BID,
        "yes_price_e4": yes_price_e4,
        "count_e2": count_e2,
    }
    return CreateOrder(**(facts | more))


def made(item: CreatedOrder | ApiError) -> CreatedOrder:
    assert isinstance(item, CreatedOrder), item
    return item


def refused(item: object) -> ApiError:
    assert isinstance(item, ApiError), item
    return item


@pytest.mark.parametrize("account", [0, 1], ids=["rsa", "ed25519"])
async def test_an_order_from_its_birth_to_its_end(both: Open, account: int) -> None:
    async with both(account) as (_, client):
        order = bid()
        created = await client.create_order(order)
        assert (created.fill_count_e2, created.remaining_count_e2) == (0, 1_000)
        with pytest.raises(OrderRejected) as again:
            await client.create_order(order)
        assert (again.value.http_status, again.value.code) == (409, ORDER_ALREADY_EXISTS)
        amended = await client.amend_order(
            AmendOrder(
                order_id=created.order_id,
                market_ticker=TICKER,
                book_side=BookSide.BID,
                yes_price_e4=4_100,
                count_e2=900,
            )
        )
        assert amended.remaining_count_e2 == 900
        decreased = await client.decrease_order(created.order_id, TICKER, by_e2=200)
        assert decreased.remaining_count_e2 == 700
        decreased = await client.decrease_order(created.order_id, TICKER, to_e2=350)
        assert (decreased.order_id, decreased.remaining_count_e2) == (created.order_id, 350)
        (listed,) = (await client.orders(ticker=TICKER)).items
        assert listed == await client.order(created.order_id)
        assert (listed.yes_price_e4, listed.remaining_count_e2) == (4_100, 350)
        assert (await client.cancel_order(created.order_id, TICKER)).reduced_by_e2 == 350
        with pytest.raises(NotFound):
            await client.cancel_order(created.order_id, TICKER)
        with pytest.raises(NotFound):
            await client.decrease_order(created.order_id, TICKER, by_e2=100)
        assert (await client.order(created.order_id)).status is OrderStatus.CANCELED


async def test_a_lost_answer_is_an_unknown_outcome_and_the_same_create_finds_it(both: Open) -> None:
    async with both() as (exchange, client):
        asked = bid()
        await exchange.order("fault", kind="lose_answer", method="POST")
        with pytest.raises(UnknownOutcome):
            await client.create_order(asked)
        with pytest.raises(OrderRejected) as refusal:
            await client.create_order(asked)
        assert refusal.value.code == ORDER_ALREADY_EXISTS
        (there,) = (await client.orders()).items
        assert there.client_order_id == asked.client_order_id
        await exchange.order("fault", kind="lose_answer", method="DELETE")
        with pytest.raises(UnknownOutcome):
            await client.cancel_order(there.order_id, TICKER)
        with pytest.raises(NotFound):
            await client.cancel_order(there.order_id, TICKER)


async def test_a_lost_answer_to_a_read_is_asked_for_again(both: Open) -> None:
    async with both() as (exchange, client):
        await exchange.order("fault", kind="lose_answer", method="GET")
        assert (await client.balance()).balance_e6 == 10_000_000_000
        assert [asked.method for asked in exchange.asked] == ["GET", "GET"]


async def test_a_fill_shows_in_everything_that_is_read(both: Open) -> None:
    async with both() as (_, client):
        before = await client.balance()
        order = bid(5_200, 200, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
        created = await client.create_order(order)
        assert (created.fill_count_e2, created.remaining_count_e2) == (200, 0)
        (fill,) = (await client.fills(order_id=created.order_id)).items
        assert (fill.yes_price_e4, fill.count_e2, fill.is_taker) == (5_200, 200, True)
        (position,) = (await client.positions(TICKER)).items
        assert (position.position_e2, position.fees_e6) == (200, fill.fee_e6)
        after = await client.balance()
        assert before.balance_e6 - after.balance_e6 == 200 * 5_200 + fill.fee_e6


async def test_a_decrease_names_exactly_one_count(both: Open) -> None:
    async with both() as (_, client):
        for counts in ({}, {"by_e2": 1, "to_e2": 1}):
            with pytest.raises(ValueError, match="exactly one"):
                await client.decrease_order("o", TICKER, **counts)


class TestBatches:
    async def test_each_order_is_made_or_refused_by_itself(self, both: Open) -> None:
        async with both() as (_, client):
            first, other = bid(), bid(market_ticker=CRYPTO, yes_price_e4=3_000)
            again, off_grid = bid(client_order_id=first.client_order_id), bid(4_050)
            items = await client.create_orders([first, again, off_grid, other, bid(5_200, 100)])
            assert made(items[0]).client_order_id == first.client_order_id
            assert refused(items[1]).code == ORDER_ALREADY_EXISTS
            assert refused(items[1]).http_status == 409
            assert refused(items[2]).code == "invalid_price"
            assert refused(items[3]).code == "insufficient_balance"  # nothing on that shard
            assert made(items[4]).fill_count_e2 == 100
            assert [o.order_id for o in (await client.orders()).items] == [made(items[0]).order_id]

    async def test_each_order_is_cancelled_or_not_by_itself(self, both: Open) -> None:
        async with both() as (_, client):
            one, two = await client.create_orders([bid(count_e2=100), bid(count_e2=250)])
            wanted = [
                (made(one).order_id, TICKER),
                ("nothing", TICKER),
                (made(two).order_id, TICKER),
            ]
            items = await client.cancel_orders(wanted)
            assert isinstance(refused(items[1]), NotFound)
            found = [i for i in items if isinstance(i, CanceledOrder)]
            assert [(i.order_id, i.reduced_by_e2) for i in found] == [
                (made(one).order_id, 100),
                (made(two).order_id, 250),
            ]
            assert (await client.orders()).items == []

    async def test_what_the_bucket_never_holds_is_not_sent(self, both: Open) -> None:
        async with both(tier="basic") as (_, client):
            with pytest.raises(RateLimited, match="own_rate_budget"):
                await client.create_orders([bid() for _ in range(11)])
            assert len(await client.create_orders([bid() for _ in range(10)])) == 10
            assert len((await client.orders()).items) == 10

    async def test_all_are_cancelled_at_once(self, both: Open) -> None:
        async with both() as (_, client):
            await client.create_orders([bid(), bid(4_100)])
            await client.cancel_all()
            assert (await client.orders()).items == []


async def test_places_in_the_queue(both: Open) -> None:
    async with both() as (exchange, client):
        exchange.add(TICKER, YES, 4_000, 12_300)
        behind, best = await client.create_orders([bid(), bid(4_800)])
        listed = (await client.queue_positions(tickers=[TICKER])).items
        assert {p.order_id: p.ahead_e2 for p in listed} == {
            made(behind).order_id: 12_300,
            made(best).order_id: 0,
        }
        assert {p.market_ticker for p in listed} == {TICKER}


async def test_a_group_of_orders(both: Open) -> None:
    async with both() as (_, client):
        group = await client.create_order_group(1_000)
        created = await client.create_order(bid(order_group_id=group))
        (listed,) = await client.order_groups()
        assert (listed.group_id, listed.limit_e2, listed.order_ids) == (group, 1_000, None)
        await client.limit_order_group(group, 2_500)
        read = await client.order_group(group)
        assert (read.limit_e2, read.order_ids) == (2_500, (created.order_id,))
        await client.trigger_order_group(group)
        assert (await client.orders()).items == []
        with pytest.raises(OrderRejected):
            await client.create_order(bid(order_group_id=group))
        await client.reset_order_group(group)
        await client.create_order(bid(order_group_id=group))
        await client.delete_order_group(group)
        assert (await client.orders()).items == []
        with pytest.raises(NotFound):
            await client.order_group(group)


async def test_fees_of_a_series_and_those_to_come(both: Open) -> None:
    async with both() as (exchange, client):
        series = await client.series("KXA")
        assert (series.ticker, series.fee_type, series.fee_multiplier_e4) == (
            "KXA",
            "quadratic",
            10_000,
        )
        assert (await client.series_fee_changes("KXA")).items == []
        at_ms = (real_ms() // 1_000 + 3_600) * 1_000
        await exchange.order(
            "fees",
            series_ticker="KXA",
            fee_type="quadratic",
            fee_multiplier_e4=5_000,
            scheduled_ms=at_ms,
        )
        (change,) = (await client.series_fee_changes("KXA")).items
        assert (change.series_ticker, change.fee_multiplier_e4) == ("KXA", 5_000)
        assert change.at_ms == at_ms


async def test_hours_costs_limits_and_status(both: Open) -> None:
    async with both(tier="basic") as (_, client):
        assert (await client.exchange_status()).trading_active
        (week,) = (await client.exchange_schedule()).weeks
        assert len(week.thursday) == 1
        costs = await client.endpoint_costs()
        assert costs.default == 10
        assert costs.of("DELETE", "/portfolio/events/orders/o-1") == 2
        assert (await client.account_limits()).write.refill_rate == 100


async def test_orders_are_signed_before_they_are_sent(both: Open) -> None:
    async with both() as (_, client):
        pool = client.signatures
        while pool.refill():
            pass
        created = await client.create_order(bid())
        while pool.refill():
            pass
        await client.amend_order(
            AmendOrder(
                order_id=created.order_id,
                market_ticker=TICKER,
                book_side=BookSide.BID,
                yes_price_e4=4_100,
                count_e2=900,
            )
        )
        await client.cancel_order(created.order_id, TICKER)
        assert (pool.hits, pool.misses) == (3, 0)
