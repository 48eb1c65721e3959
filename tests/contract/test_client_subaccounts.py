"""Our client against the local exchange: subaccounts, and a client that acts for one of them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.local_exchange import LocalExchange, keys
from support.local_orders import TICKER, two_markets
from support.subaccounts import a_key

from ipc.messages import BookSide
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import ApiError, NotFound, OrderRejected
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.order_types import AmendOrder, CanceledOrder, CreateOrder
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.rest.subaccounts import SubaccountTransfer

DOLLAR_E6 = 1_000_000


class Both(NamedTuple):
    """A user's client for the primary account, one for subaccount 1 with 100 dollars."""

    exchange: LocalExchange
    primary: KalshiTradingClient
    below: KalshiTradingClient


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[Both]:
    async with two_markets(folder) as exchange:
        target, signer = exchange.target, Signer(keys()[0])
        async with (
            KalshiTradingClient.at(target, signer, RateBudget(), subaccount=0) as primary,
            KalshiTradingClient.at(target, signer, RateBudget(), subaccount=1) as below,
        ):
            assert await primary.open_subaccount() == 1
            await primary.move_to_subaccount(100 * DOLLAR_E6, 0, 1, uuid.uuid4())
            yield Both(exchange, primary, below)


def bid(yes_price_e4: int = 4_000, count_e2: int = 1_000, **more: Any) -> CreateOrder:
    return CreateOrder(
        market_ticker=TICKER,
        client_order_id=str(uuid.uuid4()),
        book_side=BookSide.BID,
        yes_price_e4=yes_price_e4,
        count_e2=count_e2,
        **more,
    )


async def test_money_moves_once_in_whole_cents(tmp_path):
    async with both(tmp_path) as (_, primary, _below):
        name = uuid.uuid4()
        await primary.move_to_subaccount(25 * DOLLAR_E6, 1, 0, name)
        with pytest.raises(OrderRejected, match="transfer_already_applied"):
            await primary.move_to_subaccount(25 * DOLLAR_E6, 1, 0, name)
        with pytest.raises(ValueError, match="multiples of 10000"):
            await primary.move_to_subaccount(1, 1, 0, uuid.uuid4())
        balances = await primary.subaccount_balances()
        assert balances == {(0, 0): 9_925 * DOLLAR_E6, (1, 0): 75 * DOLLAR_E6}
        last, first = await primary.subaccount_transfers()
        assert (last.source, last.destination, last.amount_e6) == (1, 0, 25 * DOLLAR_E6)
        assert isinstance(first, SubaccountTransfer)
        await primary.net_subaccount(1, enabled=True)
        assert await primary.subaccount_netting() == {(0, 0): False, (1, 0): True}


async def test_a_client_of_a_subaccount_sees_and_does_nothing_beside_it(tmp_path):
    async with both(tmp_path) as (_, primary, below):
        theirs = await primary.create_order(bid())
        ours = await below.create_order(bid())
        await below.create_order(bid(5_200, 200))
        assert [o.order_id for o in await below.orders()] == [ours.order_id]
        assert [q.order_id for q in await below.queue_positions(tickers=[TICKER])] == [
            ours.order_id
        ]
        assert [f.count_e2 for f in await below.fills()] == [200]
        assert [p.position_e2 for p in await below.positions()] == [200]
        assert (await primary.fills(), await primary.positions()) == ([], [])
        assert (await primary.balance()).balance_e6 == 9_896 * DOLLAR_E6
        assert (await below.balance()).balance_e6 < 95 * DOLLAR_E6
        change = AmendOrder(
            order_id=theirs.order_id,
            market_ticker=TICKER,
            book_side=BookSide.BID,
            yes_price_e4=4_000,
            count_e2=900,
        )
        with pytest.raises(NotFound):
            await below.amend_order(change)
        with pytest.raises(NotFound):
            await below.decrease_order(theirs.order_id, TICKER, by_e2=100)
        with pytest.raises(NotFound):
            await below.cancel_order(theirs.order_id, TICKER)
        (refused,) = await below.cancel_orders([(theirs.order_id, TICKER)])
        assert isinstance(refused, ApiError)
        await below.cancel_all()
        assert [o.order_id for o in await primary.orders()] == [theirs.order_id]
        assert await below.orders() == []
        assert await below.settlements() == await below.historical_orders() == []
        assert await below.historical_fills() == []


async def test_orders_of_a_subaccount_are_changed_there(tmp_path):
    async with both(tmp_path) as (_, _primary, below):
        group = await below.create_order_group(50_000)
        made = await below.create_orders([bid(order_group_id=group), bid(3_900)])
        ids = [order.order_id for order in made]
        change = AmendOrder(
            order_id=ids[0],
            market_ticker=TICKER,
            book_side=BookSide.BID,
            yes_price_e4=4_100,
            count_e2=900,
        )
        await below.amend_order(change)
        assert (await below.decrease_order(ids[0], TICKER, by_e2=100)).remaining_count_e2 == 800
        assert (await below.order_group(group)).order_ids == (ids[0],)
        assert len(await below.order_groups()) == 1
        canceled = await below.cancel_orders([(i, TICKER) for i in ids])
        assert all(isinstance(done, CanceledOrder) for done in canceled)
        await below.reset_order_group(group)
        await below.delete_order_group(group)


async def test_cash_of_a_subaccount_moves_between_shards(tmp_path):
    async with both(tmp_path) as (_, primary, below):
        await below.move_collateral(10 * DOLLAR_E6, 0, 2, uuid.uuid4())
        assert (await primary.subaccount_balances())[1, 2] == 10 * DOLLAR_E6


async def test_a_key_that_is_restricted_to_another_subaccount(tmp_path):
    async with both(tmp_path) as (exchange, _primary, _below):
        signer = Signer(await a_key(exchange, subaccount=1))
        async with KalshiTradingClient.at(exchange.target, signer, RateBudget()) as client:
            balance = await client.balance()  # names none: the key's own is meant
            assert (balance.balance_e6, balance.by_exchange_e6) == (100 * DOLLAR_E6, {})
        async with KalshiTradingClient.at(
            exchange.target, signer, RateBudget(), subaccount=0
        ) as client:
            with pytest.raises(ApiError, match="restricted to another subaccount"):
                await client.balance()
