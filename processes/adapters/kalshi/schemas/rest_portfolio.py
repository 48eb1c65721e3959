"""REST bodies of our account: cash, positions, orders, fills, settlements, transfers.

As on the wire (openapi.yaml): amounts are text, unknown fields are ignored. Fields without a
default are required: a reply that lacks one is refused by name.
"""

from __future__ import annotations

from typing import Final

import msgspec

from processes.adapters.kalshi.schemas.decoding import Cents, Count, Seconds
from processes.adapters.kalshi.schemas.enums import BookSideText, OrderStatusText, Result

__all__ = [
    "ApiKeyRow",
    "ApiKeysReply",
    "BalanceReply",
    "FillRow",
    "FillsPage",
    "MarketPositionRow",
    "OrderReply",
    "OrderRow",
    "OrdersPage",
    "PositionsPage",
    "QueuePositionRow",
    "QueuePositionsReply",
    "SettlementRow",
    "SettlementsPage",
    "ShardBalance",
    "SubaccountBalanceRow",
    "SubaccountBalancesReply",
    "TransferBody",
    "TransferMadeReply",
]

INSTANCE: Final = "event_contract"  # the other one is the margined exchange


class _PortfolioBody(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class ApiKeyRow(_PortfolioBody, frozen=True):
    """One key of the user; `subaccount` None: it is of all of them."""

    api_key_id: str
    scopes: tuple[str, ...]
    name: str = ""
    subaccount: Count | None = None


class ApiKeysReply(_PortfolioBody, frozen=True):
    """`GET /api_keys`; `api_key_region_expiration_ts`: until when it is known where we are."""

    api_keys: tuple[ApiKeyRow, ...]
    api_key_region_expiration_ts: Seconds | None = None


class ShardBalance(_PortfolioBody, frozen=True):
    """What one matching engine holds for us."""

    exchange_index: Count
    balance: str


class BalanceReply(_PortfolioBody, frozen=True):
    """`GET /portfolio/balance`: `balance` and `portfolio_value` are whole cents."""

    balance_dollars: str
    portfolio_value: Cents
    updated_ts: Seconds
    balance_breakdown: list[ShardBalance] = []


class SubaccountBalanceRow(_PortfolioBody, frozen=True):
    """One account on one shard."""

    subaccount_number: Count
    exchange_index: Count
    balance: str


class SubaccountBalancesReply(_PortfolioBody, frozen=True):
    """`GET /portfolio/subaccounts/balances`."""

    subaccount_balances: list[SubaccountBalanceRow]


class TransferBody(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /portfolio/intra_exchange_instance_transfer`: `amount` in hundredths of a cent."""

    amount: int
    source_exchange_shard: int
    destination_exchange_shard: int
    source_subaccount: int = 0
    destination_subaccount: int = 0
    client_transfer_id: str | msgspec.UnsetType = msgspec.UNSET
    source: str = INSTANCE
    destination: str = INSTANCE


class TransferMadeReply(_PortfolioBody, frozen=True):
    """Its answer."""

    transfer_id: str


class MarketPositionRow(_PortfolioBody, frozen=True):
    """One market of `GET /portfolio/positions`."""

    ticker: str
    position_fp: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    total_traded_dollars: str
    last_updated_ts: str | None = None
    exchange_index: Count = 0


class PositionsPage(_PortfolioBody, frozen=True):
    """`GET /portfolio/positions`."""

    rows: list[msgspec.Raw] = msgspec.field(name="market_positions")  # of MarketPositionRow
    cursor: str | None = None


class OrderRow(_PortfolioBody, frozen=True):
    """An order as `GET /portfolio/orders` shows it."""

    order_id: str
    client_order_id: str
    ticker: str
    status: OrderStatusText
    book_side: BookSideText
    yes_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    expiration_time: str | None = None
    created_time: str | None = None
    last_update_time: str | None = None
    exchange_index: Count = 0


class OrdersPage(_PortfolioBody, frozen=True):
    """`GET /portfolio/orders`."""

    rows: list[msgspec.Raw] = msgspec.field(name="orders")  # of OrderRow
    cursor: str | None = None


class OrderReply(_PortfolioBody, frozen=True):
    """`GET /portfolio/orders/{order_id}`."""

    order: OrderRow


class QueuePositionRow(_PortfolioBody, frozen=True):
    """How much stands before an order."""

    order_id: str
    market_ticker: str
    queue_position_fp: str


class QueuePositionsReply(_PortfolioBody, frozen=True):
    """`GET /portfolio/orders/queue_positions`."""

    rows: list[msgspec.Raw] = msgspec.field(name="queue_positions")  # of QueuePositionRow


class FillRow(_PortfolioBody, frozen=True):
    """One execution of ours; the exchange dropped `client_order_id` here in March 2026."""

    trade_id: str
    order_id: str
    ticker: str
    book_side: BookSideText
    yes_price_dollars: str
    count_fp: str
    is_taker: bool
    fee_cost: str
    created_time: str | None = None
    ts: Seconds | None = None
    client_order_id: str | None = None
    exchange_index: Count = 0


class FillsPage(_PortfolioBody, frozen=True):
    """`GET /portfolio/fills`."""

    rows: list[msgspec.Raw] = msgspec.field(name="fills")  # of FillRow
    cursor: str | None = None


class SettlementRow(_PortfolioBody, frozen=True):
    """One settled market of ours: `revenue` and `value` are whole cents."""

    ticker: str
    market_result: Result
    yes_count_fp: str
    no_count_fp: str
    yes_total_cost_dollars: str
    no_total_cost_dollars: str
    revenue: Cents
    settled_time: str
    fee_cost: str
    value: Cents | None = None


class SettlementsPage(_PortfolioBody, frozen=True):
    """`GET /portfolio/settlements`."""

    rows: list[msgspec.Raw] = msgspec.field(name="settlements")  # of SettlementRow
    cursor: str | None = None
