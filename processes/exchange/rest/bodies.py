"""REST bodies of orders, fills, positions, money; of markets, books, events, series."""

from __future__ import annotations

from typing import Any

from ipc.units import ONE_DOLLAR_E4, format_count, format_money, format_price
from processes.exchange.core.books import NO, YES, PublishedBook
from processes.exchange.core.clearing import FillRecord
from processes.exchange.core.events import TradePrinted
from processes.exchange.core.ledger import LedgerPosition, LedgerSettlement, TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.order_entry import OrderResult
from processes.exchange.core.orders import AccountOrder
from processes.exchange.stream.frames import ACTIONS, BOOK_SIDES, LEGS, iso_ms

__all__ = [
    "amended",
    "balance",
    "by_shard",
    "created",
    "event",
    "event_position",
    "fill",
    "market",
    "market_position",
    "order",
    "orderbook",
    "series",
    "settlement",
    "trade",
]

CENT_E6 = 10_000


def order(o: AccountOrder) -> dict[str, Any]:
    """One order of `GET /portfolio/orders`."""
    row: dict[str, Any] = {
        "order_id": o.order_id,
        "user_id": o.user_id,
        "client_order_id": o.client_order_id,
        "ticker": o.ticker,
        "side": "yes",  # an ask sells YES, as both legacy fields say
        "action": ACTIONS[o.leg],
        "outcome_side": LEGS[o.leg],
        "book_side": BOOK_SIDES[o.leg],
        "type": "limit",
        "status": str(o.status),
        "yes_price_dollars": format_price(o.yes_price_e4),
        "no_price_dollars": format_price(ONE_DOLLAR_E4 - o.yes_price_e4),
        "fill_count_fp": format_count(o.filled_e2),
        "remaining_count_fp": format_count(o.remaining_e2),
        "initial_count_fp": format_count(o.initial_e2),
        "taker_fill_cost_dollars": format_money(o.cost_e6[True]),
        "maker_fill_cost_dollars": format_money(o.cost_e6[False]),
        "taker_fees_dollars": format_money(o.paid_e6[True]),
        "maker_fees_dollars": format_money(o.paid_e6[False]),
        "created_time": iso_ms(o.created_ms),
        "last_update_time": iso_ms(o.updated_ms),
        "self_trade_prevention_type": str(o.self_trade),
        "subaccount_number": o.account.number,
        "exchange_index": o.exchange_index,
    }
    if o.group_id:
        row["order_group_id"] = o.group_id
    if o.cancel_on_pause:
        row["cancel_order_on_pause"] = True
    if o.expiration_ms is not None:
        row["expiration_time"] = iso_ms(o.expiration_ms)
    return row


def created(outcome: OrderResult) -> dict[str, Any]:
    """The answer to a create."""
    o = outcome.order
    body: dict[str, Any] = {"order_id": o.order_id}
    if o.client_order_id:
        body["client_order_id"] = o.client_order_id
    body["fill_count"] = format_count(outcome.filled_e2)
    body["remaining_count"] = format_count(o.remaining_e2)
    return body | _averages(outcome) | {"ts_ms": outcome.ts_ms}


def amended(outcome: OrderResult, *, resized: bool) -> dict[str, Any]:
    """The answer to an amend; counts only when it filled or changed size."""
    o = outcome.order
    body: dict[str, Any] = {"order_id": o.order_id}
    if o.client_order_id:
        body["client_order_id"] = o.client_order_id
    if resized or outcome.filled_e2:
        body["remaining_count"] = format_count(o.remaining_e2)
        body["fill_count"] = format_count(outcome.filled_e2)
    return body | _averages(outcome) | {"ts_ms": outcome.ts_ms}


def _averages(outcome: OrderResult) -> dict[str, str]:
    """Per contract, rounded to the nearest 1e-4 dollars."""
    count = outcome.filled_e2
    if not count:
        return {}
    price = (outcome.yes_cost_e6 + count // 2) // count
    fee = (outcome.fee_e6 + count // 2) // count
    return {"average_fill_price": format_price(price), "average_fee_paid": format_price(fee)}


def fill(f: FillRecord) -> dict[str, Any]:
    """One execution of `GET /portfolio/fills`."""
    return {
        "fill_id": f.trade_id,
        "trade_id": f.trade_id,
        "order_id": f.order_id,
        "ticker": f.ticker,
        "market_ticker": f.ticker,
        "exchange_index": f.exchange_index,
        "side": "yes",
        "action": ACTIONS[f.leg],
        "outcome_side": LEGS[f.leg],
        "book_side": BOOK_SIDES[f.leg],
        "count_fp": format_count(f.count_e2),
        "yes_price_dollars": format_price(f.yes_price_e4),
        "no_price_dollars": format_price(ONE_DOLLAR_E4 - f.yes_price_e4),
        "is_taker": f.is_taker,
        "fee_cost": format_money(f.fee_e6),
        "created_time": iso_ms(f.ts_ms),
        "ts": f.ts_ms // 1000,
        "subaccount_number": f.subaccount,
    }


def market_position(ticker: str, p: LedgerPosition, exchange_index: int) -> dict[str, Any]:
    """One market of `GET /portfolio/positions`."""
    return {
        "ticker": ticker,
        "exchange_index": exchange_index,
        "total_traded_dollars": format_money(p.traded_e6),
        "position_fp": format_count(p.count_e2),
        "market_exposure_dollars": format_money(p.cost_e6),
        "realized_pnl_dollars": format_money(p.realized_e6),
        "fees_paid_dollars": format_money(p.fees_e6),
        "last_updated_ts": iso_ms(p.updated_ms),
    }


def event_position(event_ticker: str, positions: list[LedgerPosition]) -> dict[str, Any]:
    """One event of `GET /portfolio/positions`."""
    return {
        "event_ticker": event_ticker,
        "total_cost_dollars": format_money(sum(p.traded_e6 for p in positions)),
        "total_cost_shares_fp": format_count(sum(p.volume_e2 for p in positions)),
        "event_exposure_dollars": format_money(sum(p.cost_e6 for p in positions)),
        "realized_pnl_dollars": format_money(sum(p.realized_e6 for p in positions)),
        "fees_paid_dollars": format_money(sum(p.fees_e6 for p in positions)),
    }


def balance(
    account: TradingAccount,
    portfolio_value_e6: int,
    now_ms: int,
    shard: int | None,
    *,
    locked: bool,
) -> dict[str, Any]:
    """`GET /portfolio/balance`: what is available, that is cash less what resting orders hold.

    A key that is `locked` to one account does not see the shards.
    """
    collaterals = {i: p.available_e6 for i, p in account.collaterals.items() if shard in (None, i)}
    available = sum(collaterals.values())
    body: dict[str, Any] = {
        "balance": available // CENT_E6,
        "balance_dollars": format_price(available // 100),
        "portfolio_value": portfolio_value_e6 // CENT_E6,
        "updated_ts": now_ms // 1000,
    }
    return body if locked else body | {"balance_breakdown": by_shard(collaterals)}


def by_shard(amounts_e6: dict[int, int]) -> list[dict[str, Any]]:
    """Money on each shard, in dollars of four decimals."""
    return [
        {"exchange_index": index, "balance": format_price(amount // 100)}
        for index, amount in sorted(amounts_e6.items())
    ]


def settlement(s: LedgerSettlement) -> dict[str, Any]:
    """One market of `GET /portfolio/settlements`."""
    is_yes = s.position_e2 >= 0
    count, cost = format_count(abs(s.position_e2)), format_money(s.cost_e6)
    return {
        "ticker": s.ticker,
        "exchange_index": s.exchange_index,
        "event_ticker": s.event_ticker,
        "market_result": s.result,
        "yes_count_fp": count if is_yes else "0.00",
        "yes_total_cost_dollars": cost if is_yes else "0.000000",
        "no_count_fp": "0.00" if is_yes else count,
        "no_total_cost_dollars": "0.000000" if is_yes else cost,
        "revenue": s.revenue_e6 // CENT_E6,
        "settled_time": iso_ms(s.settled_ms),
        "fee_cost": format_money(s.fees_e6),
        "value": s.yes_value_e4 // 100,
    }


WEEK_MS = 7 * 86_400_000


def market(m: ListedMarket) -> dict[str, Any]:
    """One market; a missing quote shows in its size only."""
    facts = m.facts
    row: dict[str, Any] = {
        "ticker": m.ticker,
        "event_ticker": facts.event_ticker,
        "market_type": "binary",
        "title": facts.title,
        "yes_sub_title": facts.yes_sub_title,
        "no_sub_title": facts.no_sub_title,
        "status": str(m.status),
        "created_time": iso_ms(facts.open_ms),
        "updated_time": iso_ms(m.updated_ms),
        "open_time": iso_ms(facts.open_ms),
        "close_time": iso_ms(facts.close_ms),
        "expected_expiration_time": iso_ms(facts.close_ms),
        "expiration_time": iso_ms(facts.close_ms + WEEK_MS),
        "latest_expiration_time": iso_ms(facts.close_ms + WEEK_MS),
        "settlement_timer_seconds": facts.settlement_timer_s,
        "last_price_dollars": format_price(m.last_price_e4),
        "volume_fp": format_count(m.volume_e2),
        "volume_24h_fp": format_count(m.volume_e2),
        "previous_price_dollars": format_price(0),
        "previous_yes_bid_dollars": format_price(0),
        "previous_yes_ask_dollars": format_price(0),
        "open_interest_fp": format_count(m.open_interest_e2),
        "notional_value_dollars": "1.0000",
        "result": m.result,
        "price_level_structure": facts.structure,
        "price_ranges": facts.grid.to_wire(),
        "can_close_early": True,
        "settlement_bounds_type": "default",
        "expiration_value": (facts.expiration_value or m.result) if m.value_e4 is not None else "",
        "liquidity_dollars": "0.0000",  # gone since October 2026; older clients need it
        "rules_primary": facts.rules,
        "rules_secondary": facts.rules_more,
        "exchange_index": facts.exchange_index,
    }
    return facts.details | row | _quotes(m) | _optional(m)


def _quotes(m: ListedMarket) -> dict[str, str]:
    """Best quotes; a missing ask is 0 while the market runs, a dollar when it has closed."""
    yes, yes_size, no, no_size = m.top()
    no_shown = no if no or not m.is_running else ONE_DOLLAR_E4
    return {
        "yes_bid_dollars": format_price(yes),
        "yes_bid_size_fp": format_count(yes_size),
        "yes_ask_dollars": format_price(ONE_DOLLAR_E4 - no_shown),
        "yes_ask_size_fp": format_count(no_size),
        "no_bid_dollars": format_price(no_shown),
        "no_ask_dollars": format_price(ONE_DOLLAR_E4 - yes),
    }


def _optional(m: ListedMarket) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if m.facts.waiver_until_ms:
        row["fee_waiver_expiration_time"] = iso_ms(m.facts.waiver_until_ms)
    if m.facts.strike_type:
        row["strike_type"] = m.facts.strike_type
    if m.facts.floor_strike is not None:
        row["floor_strike"] = m.facts.floor_strike
    if m.value_e4 is not None:
        row["settlement_value_dollars"] = format_price(m.value_e4)
    if m.settled_ms is not None:
        row["settlement_ts"] = iso_ms(m.settled_ms)
    return row


def orderbook(book: PublishedBook, depth: int) -> dict[str, Any]:
    """Bids of each leg at its own price, best last; `depth` 0 is all of them."""

    def side(leg: int) -> list[list[str]]:
        levels = book.ascending(leg)[-depth:]
        return [[format_price(p), format_count(c)] for p, c in levels]

    return {"yes_dollars": side(YES), "no_dollars": side(NO)}


def trade(t: TradePrinted) -> dict[str, Any]:
    """One public trade."""
    return {
        "trade_id": t.trade_id,
        "ticker": t.market.ticker,
        "count_fp": format_count(t.count_e2),
        "yes_price_dollars": format_price(t.yes_price_e4),
        "no_price_dollars": format_price(ONE_DOLLAR_E4 - t.yes_price_e4),
        "taker_side": LEGS[t.taker_leg],
        "taker_outcome_side": LEGS[t.taker_leg],
        "taker_book_side": BOOK_SIDES[t.taker_leg],
        "created_time": iso_ms(t.ts_ms),
        "is_block_trade": t.is_block,
    }


def event(event_ticker: str, markets: list[ListedMarket], *, nested: bool) -> dict[str, Any]:
    """An event and, if wanted, its markets."""
    facts = markets[0].facts
    body: dict[str, Any] = {
        "event_ticker": event_ticker,
        "series_ticker": facts.series_ticker,
        "sub_title": "",
        "title": facts.title,
        "collateral_return_type": "",
        "mutually_exclusive": False,
        "category": facts.category,
        "settlement_sources": [],
        "exchange_index": facts.exchange_index,
    }
    return body | ({"markets": [market(m) for m in markets]} if nested else {})


def series(ticker: str, markets: list[ListedMarket], fees: tuple[str, int]) -> dict[str, Any]:
    """A series, with what it charges: type, and multiplier in 1e-4."""
    facts = markets[0].facts
    return {
        "ticker": ticker,
        "frequency": "fifteen_min",
        "title": facts.title,
        "category": facts.category,
        "categories": [],
        "tags": [],
        "settlement_sources": [],
        "contract_url": "",
        "contract_terms_url": "",
        "fee_type": fees[0],
        "fee_multiplier": fees[1] / 10_000,
        "additional_prohibitions": [],
        "exchange_index": facts.exchange_index,
    }
