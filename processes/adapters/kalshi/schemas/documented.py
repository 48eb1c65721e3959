"""What is documented beyond our schemas: openapi.yaml 3.34.0 and asyncapi.yaml 2.0.0 (2026-10-26).

Names that we do not read, so that only what is new since then counts as new: on the wire (`drift`,
`fields`) and in newer specifications (`kalshi-actor check --protocol`, which prints what to add).
"""

from __future__ import annotations

from typing import Final

import msgspec

from processes.adapters.kalshi.schemas import rest_portfolio as portfolio
from processes.adapters.kalshi.schemas import rest_public as public

__all__ = ["MESSAGES", "OLDER", "OPERATIONS", "ROWS", "UNREAD"]

# Items that a page holds undecoded, by (struct, field).
ROWS: Final[dict[tuple[str, str], type[msgspec.Struct]]] = {
    ("MarketsPage", "markets"): public.Market,
    ("FeeChangesReply", "series_fee_change_arr"): public.FeeChangeRow,
    ("EventFeeChangesPage", "event_fee_changes"): public.EventFeeChangeRow,
    ("IncentivesPage", "incentive_programs"): public.IncentiveRow,
    ("PositionsPage", "market_positions"): portfolio.MarketPositionRow,
    ("OrdersPage", "orders"): portfolio.OrderRow,
    ("QueuePositionsReply", "queue_positions"): portfolio.QueuePositionRow,
    ("FillsPage", "fills"): portfolio.FillRow,
    ("SettlementsPage", "settlements"): portfolio.SettlementRow,
}

# Fields of our schemas that the specifications no longer have: in older replies and recordings.
OLDER: Final = frozenset({"FillRow.client_order_id", "Unsubscribed.msg"})

# Fields that the exchange sends and we do not read, by the struct that they belong to.
UNREAD: Final[dict[str, str]] = {
    "AccountLimits": "grants",
    "AmendReply": "average_fee_paid average_fill_price client_order_id",
    "ApiKeyRow": "fcm_subtrader_id",
    "BalanceReply": "balance",
    "BatchCancelRow": "client_order_id",
    "CutoffReply": "market_positions_last_updated_ts",
    "DecreaseReply": "client_order_id",
    "EventLifecycleMsg": "collateral_return_type strike_date strike_period subtitle",
    "EventReply": "markets",
    "EventRow": """
        category collateral_return_type exchange_index last_updated_ts markets mutually_exclusive
        product_metadata settlement_sources strike_date strike_period sub_title title
    """,
    "ExchangeStatus": "intra_exchange_transfers_active",
    "FillRow": """
        action fill_id market_ticker no_price_dollars outcome_side side subaccount_number
    """,
    "GroupBody": "contracts_limit",
    "GroupCreatedReply": "subaccount",
    "IncentiveRow": "market_id",
    "LifecycleMsg": """
        additional_metadata cap_strike custom_strike floor_strike strike_type yes_sub_title
    """,
    "Market": """
        can_close_early cap_strike created_time custom_strike early_close_condition
        expiration_time expiration_value floor_strike functional_strike is_provisional
        liquidity_dollars mve_collection_ticker mve_selected_legs no_sub_title
        notional_value_dollars occurrence_datetime previous_price_dollars
        previous_yes_ask_dollars previous_yes_bid_dollars primary_participant_key
        rules_primary rules_secondary settlement_bounds_type settlement_floor_dollars
        settlement_timer_seconds strike_type subtitle updated_time yes_sub_title
    """,
    "OkMsg": "channel index_ids market_ids sid underlying_tickers",
    "OrderRow": """
        action cancel_order_on_pause no_price_dollars order_group_id outcome_side
        self_trade_prevention_type side subaccount_number type user_id
    """,
    "PositionsPage": "event_positions",
    "SeriesRow": """
        additional_prohibitions categories category contract_terms_url contract_url
        frequency last_updated_ts product_metadata settlement_sources tags volume_fp
    """,
    "SettlementRow": "event_ticker exchange_index",
    "ShardStatus": "description intra_exchange_transfers_active",
    "SubaccountBalanceRow": "updated_ts",
    "UserOrderMsg": "expiration_time last_update_time order_group_id",
}

# Every operation, one a line.
OPERATIONS: Final = """
POST /account/api_usage_level/upgrade
GET /account/api_usage_level/volume_progress
GET /account/endpoint_costs
GET /account/limits
GET /api_keys
POST /api_keys
POST /api_keys/generate
DELETE /api_keys/{api_key}
GET /communications/block-trade-proposals
POST /communications/block-trade-proposals
POST /communications/block-trade-proposals/{block_trade_proposal_id}/accept
GET /communications/id
GET /communications/quotes
POST /communications/quotes
DELETE /communications/quotes/{quote_id}
GET /communications/quotes/{quote_id}
PUT /communications/quotes/{quote_id}/accept
PUT /communications/quotes/{quote_id}/confirm
GET /communications/rfq_batches
POST /communications/rfq_batches
DELETE /communications/rfq_batches/{rfq_batch_id}
GET /communications/rfq_batches/{rfq_batch_id}
PUT /communications/rfq_batches/{rfq_batch_id}/accept
GET /communications/rfq_batches/{rfq_batch_id}/best_quotes
GET /communications/rfq_batches/{rfq_batch_id}/quotes
POST /communications/rfq_batches/{rfq_batch_id}/quotes
DELETE /communications/rfq_batches/{rfq_batch_id}/quotes/{batch_quote_id}
PUT /communications/rfq_batches/{rfq_batch_id}/quotes/{batch_quote_id}/confirm
GET /communications/rfqs
POST /communications/rfqs
DELETE /communications/rfqs/{rfq_id}
GET /communications/rfqs/{rfq_id}
DELETE /communications/rfqs/{rfq_id}/quotes/{quote_id}
GET /communications/rfqs/{rfq_id}/quotes/{quote_id}
PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/accept
PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/confirm
GET /events
GET /events/fee_changes
GET /events/multivariate
GET /events/{event_ticker}
GET /events/{event_ticker}/metadata
GET /exchange/schedule
GET /exchange/status
GET /exchange/user_data_timestamp
GET /fcm/fills
GET /fcm/orders
GET /fcm/positions
POST /fcm/positions/transfers
GET /fcm/subtraders
POST /fcm/subtraders
GET /fcm/subtraders/blocked_categories
PUT /fcm/subtraders/blocked_categories
DELETE /fcm/subtraders/event_contract_daily_cap
GET /fcm/subtraders/event_contract_daily_cap
PUT /fcm/subtraders/event_contract_daily_cap
GET /historical/cutoff
GET /historical/fills
GET /historical/markets
GET /historical/markets/{ticker}
GET /historical/markets/{ticker}/candlesticks
GET /historical/orders
GET /historical/positions
GET /historical/trades
GET /incentive_programs
GET /live_data/batch
GET /live_data/events/{event_ticker}
GET /live_data/milestone/{milestone_id}
GET /live_data/milestone/{milestone_id}/game_stats
GET /live_data/weather/{city}
GET /live_data/weather/{city}/calibrations
GET /live_data/{type}/milestone/{milestone_id}
GET /markets
GET /markets/candlesticks
GET /markets/orderbooks
GET /markets/trades
GET /markets/{ticker}
GET /markets/{ticker}/orderbook
GET /milestones
GET /milestones/{milestone_id}
GET /multivariate_event_collections
GET /multivariate_event_collections/{collection_ticker}
POST /multivariate_event_collections/{collection_ticker}
GET /portfolio/balance
GET /portfolio/deposits
DELETE /portfolio/events/orders
POST /portfolio/events/orders
DELETE /portfolio/events/orders/batched
POST /portfolio/events/orders/batched
DELETE /portfolio/events/orders/{order_id}
POST /portfolio/events/orders/{order_id}/amend
POST /portfolio/events/orders/{order_id}/decrease
GET /portfolio/fills
POST /portfolio/intra_exchange_instance_transfer
GET /portfolio/intra_exchange_instance_transfers
GET /portfolio/intra_exchange_instance_transfers/{transfer_id}
GET /portfolio/order_groups
POST /portfolio/order_groups/create
DELETE /portfolio/order_groups/{order_group_id}
GET /portfolio/order_groups/{order_group_id}
PUT /portfolio/order_groups/{order_group_id}/limit
PUT /portfolio/order_groups/{order_group_id}/reset
PUT /portfolio/order_groups/{order_group_id}/trigger
GET /portfolio/orders
GET /portfolio/orders/queue_positions
GET /portfolio/orders/{order_id}
GET /portfolio/orders/{order_id}/queue_position
GET /portfolio/positions
GET /portfolio/settlements
POST /portfolio/subaccounts
GET /portfolio/subaccounts/balances
GET /portfolio/subaccounts/netting
PUT /portfolio/subaccounts/netting
POST /portfolio/subaccounts/transfer
GET /portfolio/subaccounts/transfers
GET /portfolio/summary/total_resting_order_value
GET /portfolio/target_balance_allocation
POST /portfolio/target_balance_allocation
GET /portfolio/withdrawals
GET /search/filters_by_sport
GET /search/tags_by_categories
GET /series
GET /series/fee_changes
GET /series/{series_ticker}
GET /series/{series_ticker}/events/{ticker}/candlesticks
GET /series/{series_ticker}/events/{ticker}/forecast_percentile_history
GET /series/{series_ticker}/markets/{ticker}/candlesticks
GET /structured_targets
GET /structured_targets/{structured_target_id}
"""

# Every message of the WebSocket, by its name in the specification.
MESSAGES: Final = """
incomingPing incomingPong subscribeCommand unsubscribeCommand listSubscriptionsCommand
updateSubscriptionCommand updateSubscriptionDeleteCommand updateSubscriptionGetSnapshotCommand
updateSubscriptionSingleSidCommand cfbenchmarksUpdateSubscriptionCommand
pythUpdateSubscriptionCommand subscribedResponse unsubscribedResponse subscribedIndicesResponse
subscribedUnderlyingsResponse okResponse listSubscriptionsResponse errorResponse outgoingPing
outgoingPong orderbookSnapshot orderbookDelta cfbenchmarksValue cfbenchmarksIndexList
cfbenchmarksValue5Hz cfbenchmarks5HzIndexList pythValue pythUnderlyingList ticker trade fill
marketLifecycleV2 marketMetadataUpdated multivariateMarketLifecycle eventLifecycle eventFeeUpdate
marketPosition orderGroupUpdates userOrder rfqCreated rfqDeleted quoteCreated quoteAccepted
quoteExecuted rfqBatchCreated rfqBatchDeleted batchQuoteCreated rfqBatchBestQuotes
batchQuoteAccepted rfqBatchExecuted batchQuoteExecuted
"""
