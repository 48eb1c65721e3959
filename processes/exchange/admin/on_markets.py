"""Orders about what an exchange decides by itself: pauses, hours, fees, prices, ends of markets."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.units import PriceGrid
from processes.exchange.admin import orders
from processes.exchange.core.closing import close
from processes.exchange.core.fee_board import FeeChange
from processes.exchange.core.markets import Closing, Market
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.house import House

__all__ = ["close_market", "close_time", "closing", "fees", "grid", "lag", "maintenance", "pause"]

SECOND_MS = 1_000


def _running(house: House, name: str) -> list[Market]:
    """The markets that trade or are paused and have this ticker or this series; "" means all."""
    markets = [m for m in house.venue.markets.values() if m.is_running]
    found = [m for m in markets if name in ("", m.ticker, m.facts.series_ticker)]
    if not found:
        names = sorted({m.facts.series_ticker for m in markets}) or ["none now"]
        text = f"ticker={name!r} is no running market; allowed: one of {', '.join(names)}"
        raise Rejection.flat(404, "not_found", text)
    return found


def pause(house: House, order: orders.Pause) -> dict[str, Any]:
    """Begin or end a pause."""
    if order.what == "trading":
        house.pauses.trading(on=order.on)
    elif order.what == "exchange":
        house.pauses.exchange(on=order.on)
    else:
        for market in _running(house, order.ticker):
            house.pauses.market(market, on=order.on)
    halts = house.desk.halts
    return {"trading": halts.trading, "exchange": halts.exchange}


def maintenance(house: House, order: orders.Maintenance) -> dict[str, Any]:
    """Announce a window; one that begins now begins now."""
    now_ms = house.venue.now_ms()
    start_ms = now_ms + order.in_s * SECOND_MS
    house.maintenance.announce(start_ms, start_ms + order.for_s * SECOND_MS)
    house.maintenance.apply(now_ms)
    return {"windows": [[w.start_ms, w.end_ms] for w in house.maintenance.windows(now_ms)]}


def fees(house: House, order: orders.Fees) -> dict[str, Any]:
    """Schedule other fees."""
    asked = FeeChange(
        change_id="",
        series_ticker=order.series_ticker,
        event_ticker=order.event_ticker,
        fee_type=order.fee_type or None,
        multiplier_e4=order.fee_multiplier_e4,
        scheduled_ms=order.scheduled_ms or house.venue.now_ms(),
    )
    try:
        change = house.fees.schedule(asked)
    except ValueError as error:
        raise bad_request(str(error)) from None
    house.keep()
    return {"id": change.change_id}


def grid(house: House, order: orders.Grid) -> dict[str, Any]:
    """Change the prices of markets."""
    try:
        prices = PriceGrid.from_wire(order.price_ranges)
    except (ValueError, KeyError, TypeError) as error:
        text = f"price_ranges={order.price_ranges!r}: {error!r}; allowed: start, end, step each"
        raise bad_request(text) from None
    markets = _running(house, order.ticker)
    for market in markets:
        house.venue.change_grid(market, prices, order.structure, house.venue.now_ms())
    return {"tickers": [m.ticker for m in markets], "structure": order.structure}


def close_time(house: House, order: orders.CloseTime) -> dict[str, Any]:
    """Say that a market closes at another time."""
    (market, *_) = _running(house, order.ticker)
    house.venue.move_close(market, order.close_ms, house.venue.now_ms())
    return {"ticker": market.ticker, "close_ms": order.close_ms}


def close_market(house: House, order: orders.CloseMarket) -> dict[str, Any]:
    """Close markets now: they are said to close now, and do."""
    how, now_ms = house.venue.closing, house.venue.now_ms()
    if order.burst is not None:
        how = msgspec.structs.replace(how, burst=order.burst)
    if order.snapshots is not None:
        how = msgspec.structs.replace(how, snapshots=order.snapshots)
    markets = _running(house, order.ticker)
    for market in markets:
        market.is_cut_short = True
        if market.facts.close_ms > now_ms:
            house.venue.move_close(market, now_ms, now_ms)
        close(house.desk, market, how, now_ms)
    return {"tickers": [m.ticker for m in markets]}


def closing(house: House, order: orders.Closing) -> dict[str, Any]:
    """Set how markets close from now on."""
    house.venue.closing = Closing(burst=order.burst, snapshots=order.snapshots)
    return {"burst": order.burst, "snapshots": order.snapshots}


def lag(house: House, order: orders.Lag) -> dict[str, Any]:
    """Set how far reads lie behind."""
    replica = house.replica
    if order.orders_ms is not None:
        replica.orders_lag_ms = order.orders_ms
    if order.positions_ms is not None:
        replica.positions_lag_ms = order.positions_ms
    return {"orders_ms": replica.orders_lag_ms, "positions_ms": replica.positions_lag_ms}
