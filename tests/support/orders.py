"""Orders, intents and fills for the tests of execution."""

from __future__ import annotations

from typing import Any

from ipc.messages import ActorFill, BookSide, Intent, Leg
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.stop.own_orders import FAMILY
from processes.execution.orders import TrackedOrder, client_order_id

TICKER = "KXTEST-1"
SESSION = "session-1"
FAR_NS = 1 << 62


def side_of(leg: Leg, *, is_buy: bool) -> BookSide:
    """The side of the YES book that an action works on."""
    return BookSide.BID if is_buy == (leg is Leg.YES) else BookSide.ASK


def intent(
    intent_id: str = "i1",
    *,
    leg: Leg = Leg.YES,
    is_buy: bool = True,
    yes_price_e4: int = 4_000,
    count_e2: int = 1_000,
    **fields: Any,
) -> Intent:
    """A consistent intent that passes every check in an account that can pay for it."""
    price_e4 = yes_price_e4 if leg is Leg.YES else ONE_DOLLAR_E4 - yes_price_e4
    standard = {
        "intent_id": intent_id,
        "market_ticker": TICKER,
        "action": 1,
        "action_name": "BUY_YES_LIMIT",
        "leg": leg,
        "is_buy": is_buy,
        "book_side": side_of(leg, is_buy=is_buy),
        "price_e4": price_e4,
        "yes_price_e4": yes_price_e4,
        "count_e2": count_e2,
        "deadline_mono_ns": FAR_NS,
        "decided_ns": 0,
        "session_uid": SESSION,
        "event_no": 1,
        "account_version": 1,
        "model": "test",
        "frame_mono_ns": 0,
        "written_mono_ns": 0,
        "decided_mono_ns": 0,
    }
    return Intent(**{**standard, **fields})


def order(
    name: str = "i1",
    *,
    leg: Leg = Leg.YES,
    is_buy: bool = True,
    yes_price_e4: int = 4_000,
    initial_e2: int = 1_000,
    **fields: Any,
) -> TrackedOrder:
    """A PENDING order; `intent_id=None` makes it a stranger's."""
    standard = {
        "client_order_id": client_order_id(name, is_buy=is_buy, leg=leg, prefix=FAMILY),
        "intent_id": name,
        "market_ticker": TICKER,
        "leg": leg,
        "is_buy": is_buy,
        "book_side": side_of(leg, is_buy=is_buy),
        "yes_price_e4": yes_price_e4,
        "initial_e2": initial_e2,
        "created_ns": 0,
        "expire_ms": None,
    }
    return TrackedOrder(**{**standard, **fields})


def fill(
    trade_id: str,
    side: BookSide = BookSide.BID,
    *,
    yes_price_e4: int = 4_000,
    count_e2: int = 1_000,
    fee_e6: int = 0,
    order_id: str = "e1",
    ts_ms: int = 1,
    **fields: Any,
) -> ActorFill:
    """An execution of an order of this stack, by its name; another `client_order_id` says else."""
    standard = {
        "trade_id": trade_id,
        "order_id": order_id,
        "client_order_id": f"{FAMILY}f-BY",
        "market_ticker": TICKER,
        "book_side": side,
        "yes_price_e4": yes_price_e4,
        "count_e2": count_e2,
        "is_taker": True,
        "fee_e6": fee_e6,
        "ts_ms": ts_ms,
    }
    return ActorFill(**{**standard, **fields})
