"""REST bodies of markets, books, events and series."""

from __future__ import annotations

from typing import Any

from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from processes.exchange.core.books import NO, YES, PublishedBook
from processes.exchange.core.events import Traded
from processes.exchange.core.markets import Market
from processes.exchange.stream.frames import BOOK_SIDES, LEGS, iso_ms

__all__ = ["event", "market", "orderbook", "series", "trade"]

WEEK_MS = 7 * 86_400_000


def market(m: Market) -> dict[str, Any]:
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
        "open_interest_fp": format_count(m.volume_e2),
        "notional_value_dollars": "1.0000",
        "result": m.result,
        "price_level_structure": facts.structure,
        "price_ranges": facts.grid.to_wire(),
        "can_close_early": True,
        "settlement_bounds_type": "default",
        "expiration_value": "",
        "rules_primary": facts.rules,
        "rules_secondary": facts.rules_more,
        "exchange_index": facts.exchange_index,
    }
    return facts.details | row | _quotes(m) | _optional(m)


def _quotes(m: Market) -> dict[str, str]:
    yes, yes_size, no, no_size = m.top()
    return {
        "yes_bid_dollars": format_price(yes),
        "yes_bid_size_fp": format_count(yes_size),
        "yes_ask_dollars": format_price(ONE_DOLLAR_E4 - no if no else 0),
        "yes_ask_size_fp": format_count(no_size),
        "no_bid_dollars": format_price(no if no else ONE_DOLLAR_E4),
        "no_ask_dollars": format_price(ONE_DOLLAR_E4 - yes),
    }


def _optional(m: Market) -> dict[str, Any]:
    row: dict[str, Any] = {}
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


def trade(t: Traded) -> dict[str, Any]:
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
        "is_block_trade": False,
    }


def event(event_ticker: str, markets: list[Market], *, nested: bool) -> dict[str, Any]:
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


def series(ticker: str, markets: list[Market]) -> dict[str, Any]:
    """A series, with what it charges."""
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
        "fee_type": facts.fee_type,
        "fee_multiplier": 1,
        "additional_prohibitions": [],
        "exchange_index": facts.exchange_index,
    }
