"""Frames as the exchange sends them, written for the tests, and where the captured ones lie."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MARKET", "delta", "error", "fill", "ok", "raw", "snapshot", "subscribed", "trade"]

MARKET = "KXTEST-26AUG05-A"


def raw(kind: str, msg: object = None, **head: Any) -> bytes:
    """A frame with its trailing newline."""
    frame = {"type": kind, **head} | ({} if msg is None else {"msg": msg})
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def snapshot(seq: int, *, sid: int = 1, ticker: str = MARKET, **msg: Any) -> bytes:
    """A whole book; empty unless the levels are given."""
    return raw("orderbook_snapshot", {"market_ticker": ticker} | msg, sid=sid, seq=seq)


def delta(
    seq: int,
    *,
    sid: int = 1,
    ticker: str = MARKET,
    side: str = "yes",
    price: str = "0.4700",
    size: str = "-3.00",
    **more: Any,
) -> bytes:
    """A change of one level."""
    msg = {
        "market_ticker": ticker,
        "market_id": "f5ed38e2-0991-4c8f-817e-08c4fd9cbfdb",
        "price_dollars": price,
        "delta_fp": size,
        "side": side,
        "ts": "2026-06-11T06:31:29.957081Z",
        "ts_ms": 1781159489957,
    }
    return raw("orderbook_delta", msg | more, sid=sid, seq=seq)


def trade(seq: int, *, sid: int = 2, ticker: str = MARKET, taker: str = "yes") -> bytes:
    """A public execution of one contract at 0.52."""
    msg = {
        "trade_id": "f4a42159-b500-57c6-efa2-c31d94d916c1",
        "market_ticker": ticker,
        "yes_price_dollars": "0.5200",
        "no_price_dollars": "0.4800",
        "count_fp": "1.00",
        "taker_side": taker,
        "taker_outcome_side": taker,
        "taker_book_side": "bid" if taker == "yes" else "ask",
        "is_block_trade": False,
        "ts": 1781159370,
        "ts_ms": 1781159370164,
    }
    return raw("trade", msg, sid=sid, seq=seq)


def fill(**more: Any) -> bytes:
    """An execution of ours: one contract at 0.52 as taker."""
    msg = {
        "trade_id": "f4a42159-b500-57c6-efa2-c31d94d916c1",
        "order_id": "97ec18b7-10d3-4557-9de0-8598aad625f0",
        "client_order_id": "my-2",
        "market_ticker": MARKET,
        "exchange_index": 0,
        "is_taker": True,
        "side": "yes",
        "action": "buy",
        "outcome_side": "yes",
        "book_side": "bid",
        "purchased_side": "yes",
        "yes_price_dollars": "0.5200",
        "count_fp": "1.00",
        "fee_cost": "0.017500",
        "post_position_fp": "1.00",
        "ts": 1781159370,
        "ts_ms": 1781159370164,
        "subaccount": 0,
    }
    return raw("fill", msg | more, sid=3)


def subscribed(command_id: int, channel: str, sid: int) -> bytes:
    """The answer to a channel's first subscribe."""
    return raw("subscribed", {"channel": channel, "sid": sid}, id=command_id)


def ok(command_id: int, sid: int, seq: int, *tickers: str) -> bytes:
    """The answer to any other command."""
    return raw("ok", {"market_tickers": list(tickers)}, id=command_id, sid=sid, seq=seq)


def error(code: int, **head: Any) -> bytes:
    """A refusal, of a command (`id`) or of a subscription (`sid`, `seq`)."""
    return raw("error", {"code": code, "msg": "so it is"}, **head)
