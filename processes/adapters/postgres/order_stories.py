"""The story of an order, from the tick to the settlement, as the database has it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ipc import account_table as a
from ipc.account_table import UNKNOWN_AHEAD, row_of_words
from ipc.clock import NS_PER_S
from processes.adapters.postgres.database import FOREIGN_PATIENCE, connect_within
from processes.adapters.postgres.queries import load_queries

__all__ = ["MarketStory", "OrderStory", "QueueStep", "Row", "market_story", "order_stories"]

Row = Any  # of asyncpg: columns by name

AROUND_NS: Final = 60 * NS_PER_S  # of the audit, before the first and after the last state
_SQL: Final = load_queries("order_stories.sql")


class QueueStep(NamedTuple):
    """A place in the queue, as the exchange reported it.

    Attributes:
        ts_ns: Market time of the account's row that has it.
        ahead_e2: Contracts that trade before the order.
    """

    ts_ns: int
    ahead_e2: int


class OrderStory(NamedTuple):
    """Everything that is stored about one order; parts that are not there are None or empty.

    Attributes:
        client_order_id: Its name.
        states: Rows of `rl_orders`, in order.
        tick: Row of `rl_ticks`.
        decision: Row of `rl_actions`.
        intent: Row of `rl_intents`.
        fills: Rows of `rl_fills`.
        queue: Its places in the queue, as they changed.
        audit: Rows of `rl_trading_events` while it lived, of its market and of all markets.
        result: Row of `rl_market_results`.
    """

    client_order_id: str
    states: list[Row]
    tick: Row | None
    decision: Row | None
    intent: Row | None
    fills: list[Row]
    queue: list[QueueStep]
    audit: list[Row]
    result: Row | None


class MarketStory(NamedTuple):
    """The last stories of a market.

    Attributes:
        orders: Oldest first.
        audit: The newest lines of its audit, oldest first.
    """

    orders: list[OrderStory]
    audit: list[Row]


async def order_stories(dsn: str, word: str) -> list[OrderStory]:
    """The stories of the orders of an intent, or of one order by either name.

    Args:
        dsn: Of the database.
        word: An intent id, a client order id or the exchange's order id.

    Returns:
        Oldest first; none where nothing has that name.

    Raises:
        ConfigError: The database cannot be used.
        Unreachable: It cannot be reached now.
    """
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = await connection.fetch(_SQL["orders_named"], word)
            return [await _story(connection, row["client_order_id"]) for row in found]
    finally:
        await connection.close()


async def market_story(dsn: str, ticker: str, last: int) -> MarketStory | None:
    """A market's last orders and its audit; None where nothing is stored of it.

    Args:
        dsn: Of the database.
        ticker: The market.
        last: How many orders, and ten times as many lines of the audit.

    Raises:
        ConfigError: The database cannot be used.
        Unreachable: It cannot be reached now.
    """
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if not await connection.fetchval(_SQL["is_market"], ticker):
                return None
            found = await connection.fetch(_SQL["orders_of_market"], ticker, last)
            orders = [await _story(connection, row["client_order_id"]) for row in found]
            audit = await connection.fetch(_SQL["last_audit"], ticker, 10 * last)
            return MarketStory(orders, audit)
    finally:
        await connection.close()


async def _story(connection: Any, name: str) -> OrderStory:
    states = await connection.fetch(_SQL["order_rows"], name)
    first, last = states[0], states[-1]
    intent_id, ticker, environment = first["intent_id"], first["market_ticker"], last["environment"]
    intent = intent_id and await connection.fetchrow(_SQL["intent"], intent_id)
    decision = intent_id and await connection.fetchrow(_SQL["decision"], intent_id)
    tick = None
    if decision:
        read = decision["session_uid"], ticker, decision["event_no"]
        tick = await connection.fetchrow(_SQL["tick"], *read)
    ids = sorted({row["order_id"] for row in states if row["order_id"]})
    times = [row["ts_ns"] for row in states]
    lived = min(times) - AROUND_NS, max(times) + AROUND_NS
    return OrderStory(
        client_order_id=name,
        states=states,
        tick=tick,
        decision=decision or None,
        intent=intent or None,
        fills=await connection.fetch(_SQL["fills"], environment, ids),
        queue=await _queue(connection, states),
        audit=await connection.fetch(_SQL["audit"], environment, ticker, *lived),
        result=await connection.fetchrow(_SQL["result"], environment, ticker),
    )


async def _queue(connection: Any, states: list[Row]) -> list[QueueStep]:
    """Places of the market's oldest order at this price: at most one of a stack is open there."""
    first, last = states[0], states[-1]
    span = first["ts_ns"], last["ts_ns"]
    asked = last["stream_id"], first["market_ticker"], *span
    yes_e4 = first["yes_price_e4"]
    price_e4 = yes_e4 if first["leg"] == "yes" else 10_000 - yes_e4
    steps: list[QueueStep] = []
    for version in await connection.fetch(_SQL["accounts"], *asked):
        row = row_of_words(version["words"], version["layout"])
        slots = row[a.ORDERS :].reshape(-1, a.ORDER_WORDS)[: int(row[a.N_ORDERS])]
        of_order = [slot for slot in slots if int(slot[a.ORDER_PRICE_E4]) == price_e4]
        ahead_e2 = int(of_order[0][a.ORDER_AHEAD_E2]) if of_order else UNKNOWN_AHEAD
        if ahead_e2 != UNKNOWN_AHEAD and (not steps or steps[-1].ahead_e2 != ahead_e2):
            steps.append(QueueStep(int(row[a.TS_NS]), ahead_e2))
    return steps
