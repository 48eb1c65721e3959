"""The admin port's other half: what an exchange decides by itself, ordered by a test."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import PriceGrid
from processes.exchange.core.fee_board import FeeChange
from processes.exchange.core.rejections import bad_request
from processes.exchange.house import HOUSE, House, answer
from processes.exchange.rest.fields import Fields, json_object

__all__ = ["routes"]

PAUSE_KINDS = {"what": "string", "ticker": "string", "on": "bool"}
FEE_KINDS = {
    "series_ticker": "string",
    "event_ticker": "string",
    "fee_type": "string",
    "fee_multiplier_e4": "int",
    "scheduled_ms": "int",
}
MARKET_KINDS = {"ticker": "string", "structure": "string", "close_ms": "int"}
LAG_KINDS = {"orders_ms": "int", "positions_ms": "int"}


async def _asked(request: web.Request, kinds: dict[str, str]) -> tuple[House, Fields, Any]:
    body = json_object(await request.read())
    return request.app[HOUSE], Fields(body, "AdminRequest", kinds), body


async def pause(request: web.Request) -> web.Response:
    """`{"what": "trading" | "exchange" | "market", "ticker": ..., "on": true}`."""
    house, fields, _ = await _asked(request, PAUSE_KINDS)
    what, on = fields.text("what"), fields.flag("on")
    if what == "trading":
        house.pauses.trading(on=on)
    elif what == "exchange":
        house.pauses.exchange(on=on)
    elif what == "market":
        house.pauses.market(house.market(fields.text("ticker")), on=on)
    else:
        raise bad_request(f"what={what!r} is unknown; allowed: trading, exchange, market")
    halts = house.desk.halts
    return answer({"trading": halts.trading, "exchange": halts.exchange})


async def fees(request: web.Request) -> web.Response:
    """Schedule other fees of a series, or of one event (without a type: none of its own)."""
    house, fields, _ = await _asked(request, FEE_KINDS)
    asked = FeeChange(
        change_id="",
        series_ticker=fields.text("series_ticker", required=True),
        event_ticker=fields.text("event_ticker"),
        fee_type=fields.text("fee_type") or None,
        multiplier_e4=fields.integer("fee_multiplier_e4"),
        scheduled_ms=fields.integer("scheduled_ms") or house.venue.now_ms(),
    )
    try:
        change = house.fees.schedule(asked)
    except ValueError as error:
        raise bad_request(str(error)) from None
    house.keep()
    return answer({"id": change.change_id})


async def grid(request: web.Request) -> web.Response:
    """`{"ticker": ..., "structure": ..., "price_ranges": [...]}`: other prices from now on."""
    house, fields, body = await _asked(request, MARKET_KINDS)
    try:
        prices = PriceGrid.from_wire(body.get("price_ranges") or ())
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"price_ranges: {error}") from None
    market = house.market(fields.text("ticker"))
    structure = fields.text("structure", required=True)
    house.venue.change_grid(market, prices, structure, house.venue.now_ms())
    return answer({"ticker": market.ticker, "structure": structure})


async def close_time(request: web.Request) -> web.Response:
    """`{"ticker": ..., "close_ms": ...}`: the market is said to close at another time."""
    house, fields, _ = await _asked(request, MARKET_KINDS)
    market, close_ms = house.market(fields.text("ticker")), fields.integer("close_ms")
    if close_ms is None:
        raise bad_request("close_ms is required")
    house.venue.move_close(market, close_ms, house.venue.now_ms())
    return answer({"ticker": market.ticker, "close_ms": close_ms})


async def lag(request: web.Request) -> web.Response:
    """`{"orders_ms": ..., "positions_ms": ...}`: how far reads lie behind."""
    house, fields, _ = await _asked(request, LAG_KINDS)
    replica = house.replica
    orders_ms, positions_ms = fields.integer("orders_ms"), fields.integer("positions_ms")
    if orders_ms is not None:
        replica.orders_lag_ms = orders_ms
    if positions_ms is not None:
        replica.positions_lag_ms = positions_ms
    return answer({"orders_ms": replica.orders_lag_ms, "positions_ms": replica.positions_lag_ms})


def routes() -> list[web.RouteDef]:
    """All of it."""
    return [
        web.post("/admin/pause", pause),
        web.post("/admin/fees", fees),
        web.post("/admin/grid", grid),
        web.post("/admin/close_time", close_time),
        web.post("/admin/lag", lag),
    ]
