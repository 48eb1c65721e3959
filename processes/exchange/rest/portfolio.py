"""Private REST that reads: orders, queues, fills, positions, balance, settlements."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.ledger import Account, Position
from processes.exchange.core.markets import Market
from processes.exchange.core.orders import Order, Status
from processes.exchange.core.rejections import bad_request, not_found
from processes.exchange.house import House, answer, asked
from processes.exchange.rest import views
from processes.exchange.rest.pages import page
from processes.exchange.rest.query import names, shard, span, subaccount

__all__ = ["routes"]

UNSETTLED, SETTLED, ALL = "unsettled", "settled", "all"


async def list_orders(request: web.Request) -> web.Response:
    """Orders, newest first; those that ended long ago are history."""
    house, asker = asked(request)
    accounts = asker.accounts(subaccount(request))
    status, tickers = request.query.get("status", ""), names(request, "ticker")
    if status and status not in tuple(Status):
        raise bad_request(f"invalid status: {status}")
    events, wanted_ms, where = names(request, "event_ticker"), span(request), shard(request)
    cutoff_ms = house.cutoff_ms()

    def wanted(o: Order) -> bool:
        return (
            (not status or o.status == status)
            and (not tickers or o.ticker in tickers)
            and (not events or house.venue.markets[o.ticker].facts.event_ticker in events)
            and where in (None, o.exchange_index)
            and wanted_ms(o.created_ms)
            and (o.status is Status.RESTING or o.updated_ms >= cutoff_ms)
        )

    mine = (o for o in reversed(house.desk.orders.values()) if o.account in accounts)
    seen = (house.replica.order(o) for o in mine)
    found = (o for o in seen if o is not None and wanted(o))
    rows, cursor = page(found, request.query, "GetOrders")
    return answer({"orders": [views.order(o) for o in rows], "cursor": cursor})


async def get_order(request: web.Request) -> web.Response:
    """One order."""
    house, asker = asked(request)
    order = house.desk.orders.get(request.match_info["order_id"])
    seen = house.replica.order(order) if order is not None else None
    if seen is None or not asker.sees(seen.account):
        raise not_found()
    return answer({"order": views.order(seen)})


def _queue_row(house: House, order: Order) -> dict[str, str]:
    matcher = house.desk.clearings[order.ticker].matcher
    return {"queue_position_fp": format_count(matcher.queue_position(order))}


async def get_queue_position(request: web.Request) -> web.Response:
    """What trades before one order."""
    house, asker = asked(request)
    order_id = request.match_info["order_id"]
    known = house.desk.orders.get(order_id)
    if known is None or not asker.sees(known.account):
        raise not_found()
    order = house.desk.resting(known.account, order_id)
    return answer(_queue_row(house, order))


async def list_queue_positions(request: web.Request) -> web.Response:
    """What trades before each resting order; markets or an event must be named."""
    house, asker = asked(request)
    account = asker.account(subaccount(request))
    tickers, event = names(request, "market_tickers"), request.query.get("event_ticker", "")
    if not tickers and not event:
        raise bad_request("market_tickers or event_ticker is required")
    rows = [
        {"order_id": o.order_id, "market_ticker": o.ticker} | _queue_row(house, o)
        for o in house.desk.live_orders()
        if o.account is account
        and (not tickers or o.ticker in tickers)
        and (not event or house.venue.markets[o.ticker].facts.event_ticker == event)
    ]
    return answer({"queue_positions": rows})


async def list_fills(request: web.Request) -> web.Response:
    """Fills, newest first."""
    house, asker = asked(request)
    numbers = {a.number for a in asker.accounts(subaccount(request))}
    order_id, tickers = request.query.get("order_id", ""), names(request, "ticker")
    wanted, where, cutoff_ms = span(request), shard(request), house.cutoff_ms()
    found = (
        f
        for f in reversed(house.desk.fills[asker.member.user_id])
        if f.subaccount in numbers
        and (not order_id or f.order_id == order_id)
        and (not tickers or f.ticker in tickers)
        and where in (None, f.exchange_index)
        and f.ts_ms >= cutoff_ms
        and wanted(f.ts_ms)
    )
    rows, cursor = page(found, request.query, "GetFills")
    return answer({"fills": [views.fill(f) for f in rows], "cursor": cursor})


async def list_positions(request: web.Request) -> web.Response:
    """Positions by market and by event; settled ones only when asked for."""
    house, asker = asked(request)
    found = list(_positions(request, house, asker.account(subaccount(request))))
    rows, cursor = page(found, request.query, "GetPositions")
    events: dict[str, list[Position]] = {}
    for market, position in rows:
        events.setdefault(market.facts.event_ticker, []).append(position)
    return answer(
        {
            "market_positions": [
                views.market_position(m.ticker, p, m.facts.exchange_index) for m, p in rows
            ],
            "event_positions": [views.event_position(e, ps) for e, ps in events.items()],
            "cursor": cursor,
        }
    )


def _positions(
    request: web.Request, house: House, account: Account
) -> Iterator[tuple[Market, Position]]:
    """An account's positions that pass the query's filters, as reads see them."""
    status, tickers = request.query.get("settlement_status", UNSETTLED), names(request, "ticker")
    if status not in (UNSETTLED, SETTLED, ALL):
        raise bad_request(f"invalid settlement_status: {status}")
    event, where = request.query.get("event_ticker", ""), shard(request)
    filters = names(request, "count_filter")
    for ticker in account.positions:
        market, position = house.venue.markets[ticker], house.replica.position(account, ticker)
        if position is None or not position.volume_e2:
            continue
        if status != ALL and position.settled != (status == SETTLED):
            continue
        counts = {"position": position.count_e2, "total_traded": position.traded_e6}
        if (
            (not tickers or ticker in tickers)
            and event in ("", market.facts.event_ticker)
            and where in (None, market.facts.exchange_index)
            and all(counts.get(name, 0) for name in filters)
        ):
            yield market, position


async def get_balance(request: web.Request) -> web.Response:
    """Available money."""
    house, asker = asked(request)
    account, where = asker.account(subaccount(request)), shard(request)
    value_e6 = house.venue.portfolio_value_e6(account, where)
    locked = asker.lock is not None
    return answer(views.balance(account, value_e6, house.venue.now_ms(), where, locked=locked))


async def get_resting_value(request: web.Request) -> web.Response:
    """What resting orders hold: cash is the balance plus this."""
    _, asker = asked(request)
    account = asker.account(None)
    held = account.held_e6
    breakdown = views.by_shard({i: p.held_e6 for i, p in account.purses.items()})
    return answer(
        {"total_resting_order_value": held // 10_000, "resting_order_value_breakdown": breakdown}
    )


async def list_settlements(request: web.Request) -> web.Response:
    """Settled markets, newest first."""
    _, asker = asked(request)
    accounts = asker.accounts(subaccount(request))
    done = sorted((s for a in accounts for s in a.settlements), key=lambda s: s.settled_ms)
    tickers, wanted = names(request, "ticker"), span(request)
    event = request.query.get("event_ticker", "")
    found = (
        s
        for s in reversed(done)
        if (not tickers or s.ticker in tickers)
        and event in ("", s.event_ticker)
        and wanted(s.settled_ms)
    )
    rows, cursor = page(found, request.query, "GetSettlements")
    return answer({"settlements": [views.settlement(s) for s in rows], "cursor": cursor})


def routes(base: str) -> list[web.RouteDef]:
    """All routes that read an account."""
    return [
        web.get(f"{base}/portfolio/orders", list_orders),
        web.get(f"{base}/portfolio/orders/queue_positions", list_queue_positions),
        web.get(f"{base}/portfolio/orders/{{order_id}}", get_order),
        web.get(f"{base}/portfolio/orders/{{order_id}}/queue_position", get_queue_position),
        web.get(f"{base}/portfolio/fills", list_fills),
        web.get(f"{base}/portfolio/positions", list_positions),
        web.get(f"{base}/portfolio/balance", get_balance),
        web.get(f"{base}/portfolio/summary/total_resting_order_value", get_resting_value),
        web.get(f"{base}/portfolio/settlements", list_settlements),
    ]
