"""REST reads of accounts (orders, fills, positions, balance, settlements) and of history."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.ledger import LedgerPosition, TradingAccount
from processes.exchange.core.markets import ListedMarket, MarketPhase
from processes.exchange.core.orders import AccountOrder, OrderState
from processes.exchange.core.rejections import Rejection, bad_request, not_found
from processes.exchange.rest import bodies
from processes.exchange.rest.pages import MARKET_PAGES, page
from processes.exchange.rest.requests import names, shard, span, subaccount
from processes.exchange.shared.state import STATE, ExchangeState, answer, authorize

__all__ = ["_history_routes", "routes"]

UNSETTLED, SETTLED, ALL = "unsettled", "settled", "all"


async def list_orders(request: web.Request) -> web.Response:
    """Orders, newest first; those that ended long ago are history."""
    state, caller = authorize(request)
    accounts = caller.accounts(subaccount(request))
    status, tickers = request.query.get("status", ""), names(request, "ticker")
    events, wanted_ms, where = names(request, "event_ticker"), span(request), shard(request)
    cutoff_ms = state.cutoff_ms()

    def wanted(o: AccountOrder) -> bool:
        return (
            (not status or o.status == status)
            and (not tickers or o.ticker in tickers)
            and (not events or state.venue.markets[o.ticker].facts.event_ticker in events)
            and where in (None, o.exchange_index)
            and wanted_ms(o.created_ms)
            and (o.status is OrderState.RESTING or o.updated_ms >= cutoff_ms)
        )

    mine = (o for o in reversed(state.order_entry.orders.values()) if o.account in accounts)
    seen = (state.replica.order(o) for o in mine)
    found = (o for o in seen if o is not None and wanted(o))
    rows, cursor = page(found, request.query, "GetOrders", lambda o: (-o.number,))
    return answer({"orders": [bodies.order(o) for o in rows], "cursor": cursor})


async def get_order(request: web.Request) -> web.Response:
    """One order."""
    state, caller = authorize(request)
    order = state.order_entry.orders.get(request.match_info["order_id"])
    seen = state.replica.order(order) if order is not None else None
    if seen is None or not caller.sees(seen.account):
        raise not_found()
    return answer({"order": bodies.order(seen)})


def _queue_row(state: ExchangeState, order: AccountOrder) -> dict[str, str]:
    matcher = state.order_entry.clearings[order.ticker].matcher
    return {"queue_position_fp": format_count(matcher.queue_position(order))}


async def get_queue_position(request: web.Request) -> web.Response:
    """What trades before one order."""
    state, caller = authorize(request)
    order_id = request.match_info["order_id"]
    known = state.order_entry.orders.get(order_id)
    if known is None or not caller.sees(known.account):
        raise not_found()
    order = state.order_entry.resting(known.account, order_id)
    return answer(_queue_row(state, order))


async def list_queue_positions(request: web.Request) -> web.Response:
    """What trades before each resting order; markets or an event must be named."""
    state, caller = authorize(request)
    account = caller.account(subaccount(request))
    tickers, event = names(request, "market_tickers"), request.query.get("event_ticker", "")
    if not tickers and not event:
        raise bad_request("market_tickers or event_ticker is required")
    rows = [
        {"order_id": o.order_id, "market_ticker": o.ticker} | _queue_row(state, o)
        for o in state.order_entry.live_orders()
        if o.account is account
        and (not tickers or o.ticker in tickers)
        and (not event or state.venue.markets[o.ticker].facts.event_ticker == event)
    ]
    return answer({"queue_positions": rows})


async def list_fills(request: web.Request) -> web.Response:
    """Fills, newest first."""
    state, caller = authorize(request)
    numbers = {a.number for a in caller.accounts(subaccount(request))}
    order_id, tickers = request.query.get("order_id", ""), names(request, "ticker")
    wanted, where, cutoff_ms = span(request), shard(request), state.cutoff_ms()
    found = (
        f
        for f in reversed(state.order_entry.fills[caller.member.user_id])
        if f.subaccount in numbers
        and (not order_id or f.order_id == order_id)
        and (not tickers or f.ticker in tickers)
        and where in (None, f.exchange_index)
        and f.ts_ms >= cutoff_ms
        and wanted(f.ts_ms)
    )
    rows, cursor = page(found, request.query, "GetFills", lambda f: (-f.number,))
    return answer({"fills": [bodies.fill(f) for f in rows], "cursor": cursor})


async def list_positions(request: web.Request) -> web.Response:
    """Positions by market and by event; settled ones only when asked for."""
    state, caller = authorize(request)
    found = _positions(request, state, caller.account(subaccount(request)))
    rows, cursor = page(found, request.query, "GetPositions", lambda row: (row[0].ticker,))
    events: dict[str, list[LedgerPosition]] = {}
    for market, position in rows:
        events.setdefault(market.facts.event_ticker, []).append(position)
    return answer(
        {
            "market_positions": [
                bodies.market_position(m.ticker, p, m.facts.exchange_index) for m, p in rows
            ],
            "event_positions": [bodies.event_position(e, ps) for e, ps in events.items()],
            "cursor": cursor,
        }
    )


def _positions(
    request: web.Request, state: ExchangeState, account: TradingAccount
) -> Iterator[tuple[ListedMarket, LedgerPosition]]:
    """An account's positions that pass the query's filters, as reads see them."""
    status, tickers = request.query.get("settlement_status", UNSETTLED), names(request, "ticker")
    if status not in (UNSETTLED, SETTLED, ALL):
        raise bad_request(f"invalid settlement_status: {status}")
    event, where = request.query.get("event_ticker", ""), shard(request)
    filters = names(request, "count_filter")
    for ticker in sorted(account.positions):
        market, position = state.venue.markets[ticker], state.replica.position(account, ticker)
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
    state, caller = authorize(request)
    account, where = caller.account(subaccount(request)), shard(request)
    value_e6 = state.venue.portfolio_value_e6(account, where)
    locked = caller.lock is not None
    return answer(bodies.balance(account, value_e6, state.venue.now_ms(), where, locked=locked))


async def get_resting_value(request: web.Request) -> web.Response:
    """What resting orders hold: cash is the balance plus this."""
    _, caller = authorize(request)
    account = caller.account(None)
    held = account.held_e6
    breakdown = bodies.by_shard({i: p.held_e6 for i, p in account.collaterals.items()})
    return answer(
        {"total_resting_order_value": held // 10_000, "resting_order_value_breakdown": breakdown}
    )


async def list_settlements(request: web.Request) -> web.Response:
    """Settled markets, newest first."""
    _, caller = authorize(request)
    accounts = caller.accounts(subaccount(request))
    done = sorted(
        (s for a in accounts for s in a.settlements),
        key=lambda s: (-s.settled_ms, s.ticker, s.subaccount),
    )
    tickers, wanted = names(request, "ticker"), span(request)
    event = request.query.get("event_ticker", "")
    found = (
        s
        for s in done
        if (not tickers or s.ticker in tickers)
        and event in ("", s.event_ticker)
        and wanted(s.settled_ms)
    )
    rows, cursor = page(
        found, request.query, "GetSettlements", lambda s: (-s.settled_ms, s.ticker, s.subaccount)
    )
    return answer({"settlements": [bodies.settlement(s) for s in rows], "cursor": cursor})


def _portfolio_routes(base: str) -> list[web.RouteDef]:
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


async def historical_orders(request: web.Request) -> web.Response:
    """An account's orders that were canceled or executed long ago, newest first."""
    state, caller = authorize(request)
    accounts = caller.accounts(subaccount(request))
    tickers, cutoff_ms = names(request, "ticker"), state.cutoff_ms()
    wanted = span(request)
    found = [
        o
        for o in reversed(state.order_entry.orders.values())
        if o.account in accounts
        and o.status is not OrderState.RESTING
        and o.updated_ms < cutoff_ms
        and (not tickers or o.ticker in tickers)
        and wanted(o.created_ms)
    ]
    rows, cursor = page(found, request.query, "GetHistoricalOrders", lambda o: (-o.number,))
    return answer({"orders": [bodies.order(o) for o in rows], "cursor": cursor})


async def historical_fills(request: web.Request) -> web.Response:
    """An account's fills of long ago, newest first."""
    state, caller = authorize(request)
    numbers = {a.number for a in caller.accounts(subaccount(request))}
    tickers, cutoff_ms = names(request, "ticker"), state.cutoff_ms()
    wanted = span(request)
    found = [
        f
        for f in reversed(state.order_entry.fills[caller.member.user_id])
        if f.subaccount in numbers
        and f.ts_ms < cutoff_ms
        and (not tickers or f.ticker in tickers)
        and wanted(f.ts_ms)
    ]
    rows, cursor = page(found, request.query, "GetFillsHistorical", lambda f: (-f.number,))
    return answer({"fills": [bodies.fill(f) for f in rows], "cursor": cursor})


async def historical_positions(request: web.Request) -> web.Response:
    """None: settled positions stay with the live ones here."""
    _, caller = authorize(request)
    caller.account(subaccount(request))
    return answer({"market_positions": [], "event_positions": [], "cursor": ""})


async def historical_trades(request: web.Request) -> web.Response:
    """Public trades of long ago, newest first."""
    state, ticker = request.app[STATE], request.query.get("ticker", "")
    cutoff_ms = state.cutoff_ms()
    wanted = span(request)
    found = [
        t
        for t in state.venue.trades.newest_first(ticker)
        if t.ts_ms < cutoff_ms and wanted(t.ts_ms)
    ]
    rows, cursor = page(
        found, request.query, "GetTradesHistorical", lambda t: (-t.number,), MARKET_PAGES
    )
    return answer({"trades": [bodies.trade(t) for t in rows], "cursor": cursor})


async def historical_markets(request: web.Request) -> web.Response:
    """Markets that settled long ago."""
    state, tickers = request.app[STATE], names(request, "tickers")
    cutoff_ms = state.cutoff_ms()
    found = [
        m
        for m in state.venue.markets.values()
        if m.status is MarketPhase.FINALIZED
        and (m.settled_ms or 0) < cutoff_ms
        and (not tickers or m.ticker in tickers)
        and request.query.get("event_ticker", "") in ("", m.facts.event_ticker)
        and request.query.get("series_ticker", "") in ("", m.facts.series_ticker)
    ]
    rows, cursor = page(
        found, request.query, "GetHistoricalMarkets", lambda m: (m.number,), MARKET_PAGES
    )
    return answer({"markets": [bodies.market(m) for m in rows], "cursor": cursor})


async def historical_market(request: web.Request) -> web.Response:
    """One of them."""
    state = request.app[STATE]
    found = state.market(request.match_info["ticker"])
    if found.settled_ms is None or found.settled_ms >= state.cutoff_ms():
        raise Rejection.nested(404, "not_found")
    return answer({"market": bodies.market(found)})


def _history_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    history = f"{base}/historical"
    return [
        web.get(f"{history}/orders", historical_orders),
        web.get(f"{history}/fills", historical_fills),
        web.get(f"{history}/positions", historical_positions),
        web.get(f"{history}/trades", historical_trades),
        web.get(f"{history}/markets", historical_markets),
        web.get(f"{history}/markets/{{ticker}}", historical_market),
    ]


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [
        *_portfolio_routes(base),
        *_history_routes(base),
    ]
