"""Private REST that reads: orders, fills, positions, balance, settlements, limits."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ipc.units import format_price
from processes.exchange import views
from processes.exchange.house import HOUSE, House, answer, page
from processes.exchange.ledger import Account, Position
from processes.exchange.orders import Order, Status
from processes.exchange.rejections import bad_request, not_found

__all__ = ["routes"]

LIMITS: Final = {
    "usage_tier": "prestige",
    "read": {"refill_rate": 12_000, "bucket_capacity": 12_000},
    "write": {"refill_rate": 9_600, "bucket_capacity": 28_800},
    "grants": [],
}
UNSETTLED, SETTLED, ALL = "unsettled", "settled", "all"


def _asker(request: web.Request) -> tuple[House, Account]:
    house = request.app[HOUSE]
    return house, house.account(request)


def _number(request: web.Request, name: str) -> int | None:
    raw = request.query.get(name, "")
    if raw and not raw.isdecimal():
        raise bad_request(f"{name}: {raw!r} is not a number")
    return int(raw) if raw else None


def _names(request: web.Request, name: str) -> set[str]:
    return {t for value in request.query.getall(name, []) for t in value.split(",") if t}


def _within(request: web.Request, ts_ms: int) -> bool:
    least, most = _number(request, "min_ts"), _number(request, "max_ts")
    return (least is None or ts_ms >= least * 1000) and (most is None or ts_ms <= most * 1000)


async def list_orders(request: web.Request) -> web.Response:
    """Orders, newest first."""
    house, account = _asker(request)
    status, tickers = request.query.get("status", ""), _names(request, "ticker")
    if status and status not in tuple(Status):
        raise bad_request(f"invalid status: {status}")
    events = _names(request, "event_ticker")

    def wanted(o: Order) -> bool:
        return (
            o.user_id == account.user_id
            and (not status or o.status == status)
            and (not tickers or o.ticker in tickers)
            and (not events or house.venue.markets[o.ticker].facts.event_ticker in events)
            and _within(request, o.created_ms)
        )

    found = [o for o in reversed(house.desk.orders.values()) if wanted(o)]
    rows, cursor = page(found, request.query, "GetOrders")
    return answer({"orders": [views.order(o) for o in rows], "cursor": cursor})


async def get_order(request: web.Request) -> web.Response:
    """One order."""
    house, account = _asker(request)
    order = house.desk.orders.get(request.match_info["order_id"])
    if order is None or order.user_id != account.user_id:
        raise not_found()
    return answer({"order": views.order(order)})


async def list_fills(request: web.Request) -> web.Response:
    """Fills, newest first."""
    house, account = _asker(request)
    order_id, tickers = request.query.get("order_id", ""), _names(request, "ticker")
    found = [
        f
        for f in reversed(house.desk.fills[account.user_id])
        if (not order_id or f.order_id == order_id)
        and (not tickers or f.ticker in tickers)
        and _within(request, f.ts_ms)
    ]
    rows, cursor = page(found, request.query, "GetFills")
    return answer({"fills": [views.fill(f) for f in rows], "cursor": cursor})


async def list_positions(request: web.Request) -> web.Response:
    """Positions by market and by event; settled ones only when asked for."""
    house, account = _asker(request)
    wanted, tickers = request.query.get("settlement_status", UNSETTLED), _names(request, "ticker")
    if wanted not in (UNSETTLED, SETTLED, ALL):
        raise bad_request(f"invalid settlement_status: {wanted}")
    event = request.query.get("event_ticker", "")
    found = [
        (ticker, position)
        for ticker, position in account.positions.items()
        if position.volume_e2
        and (wanted == ALL or position.settled == (wanted == SETTLED))
        and (not tickers or ticker in tickers)
        and (not event or house.venue.markets[ticker].facts.event_ticker == event)
    ]
    rows, cursor = page(found, request.query, "GetPositions")
    events: dict[str, list[Position]] = {}
    for ticker, position in rows:
        events.setdefault(house.venue.markets[ticker].facts.event_ticker, []).append(position)
    return answer(
        {
            "market_positions": [views.market_position(t, p) for t, p in rows],
            "event_positions": [views.event_position(e, ps) for e, ps in events.items()],
            "cursor": cursor,
        }
    )


async def get_balance(request: web.Request) -> web.Response:
    """Available money."""
    house, account = _asker(request)
    value_e6 = house.venue.portfolio_value_e6(account)
    return answer(views.balance(account, value_e6, house.venue.now_ms()))


async def get_resting_value(request: web.Request) -> web.Response:
    """What resting orders hold: cash is the balance plus this."""
    _, account = _asker(request)
    held = account.held_e6
    breakdown = [{"exchange_index": 0, "balance": format_price(held // 100)}]
    return answer(
        {"total_resting_order_value": held // 10_000, "resting_order_value_breakdown": breakdown}
    )


async def list_settlements(request: web.Request) -> web.Response:
    """Settled markets, newest first."""
    _, account = _asker(request)
    tickers = _names(request, "ticker")
    found = [s for s in reversed(account.settlements) if not tickers or s.ticker in tickers]
    rows, cursor = page(found, request.query, "GetSettlements")
    return answer({"settlements": [views.settlement(s) for s in rows], "cursor": cursor})


async def get_limits(request: web.Request) -> web.Response:
    """This exchange does not meter calls; a test orders its 429s over the admin port."""
    _asker(request)
    return answer(LIMITS)


def routes(base: str) -> list[web.RouteDef]:
    """All routes that read an account."""
    return [
        web.get(f"{base}/portfolio/orders", list_orders),
        web.get(f"{base}/portfolio/orders/{{order_id}}", get_order),
        web.get(f"{base}/portfolio/fills", list_fills),
        web.get(f"{base}/portfolio/positions", list_positions),
        web.get(f"{base}/portfolio/balance", get_balance),
        web.get(f"{base}/portfolio/summary/total_resting_order_value", get_resting_value),
        web.get(f"{base}/portfolio/settlements", list_settlements),
        web.get(f"{base}/account/limits", get_limits),
    ]
