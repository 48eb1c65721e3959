"""Looks over the admin port: what was sent, any past book, connections, orders, the time."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ipc.units import format_count, format_price, is_whole
from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.core.books import NO, YES, BookLog, Level, PublishedBook
from processes.exchange.core.rejections import Rejection
from processes.exchange.rest import bodies
from processes.exchange.shared.state import STATE, ExchangeState, answer
from processes.exchange.stream.session import StreamSession, Subscription

__all__ = ["routes"]

MOST_FRAMES: Final = 50_000  # of one answer
MOST_ROWS: Final = 10_000  # of the log of orders, likewise


def _refuse(text: str, status: int = 400) -> Rejection:
    return Rejection.flat(status, "bad_request" if status == 400 else "not_found", text)


def _number(request: web.Request, name: str) -> int | None:
    raw = request.query.get(name, "")
    if raw and not is_whole(raw):
        raise _refuse(f"{name}={raw!r} is not a whole number")
    return int(raw) if raw else None


def _levels(book: PublishedBook, leg: int) -> list[list[str]]:
    return [[format_price(p), format_count(c)] for p, c in book.ascending(leg)]


async def book(request: web.Request) -> web.Response:
    """A market's book now, or as of a `seq` sent on a subscription of a connection."""
    state, ticker = request.app[STATE], request.query.get("ticker", "")
    seq = _number(request, "seq")
    found = state.market(ticker).book if seq is None else _book_at(state, request, ticker, seq)
    sides = {"yes": _levels(found, YES), "no": _levels(found, NO)}
    return answer({"ticker": ticker, "seq": seq} | sides)


def _book_at(state: ExchangeState, request: web.Request, ticker: str, seq: int) -> PublishedBook:
    subscription = _subscription(state, request, ticker)
    if not 1 <= seq <= subscription.seq:
        raise _refuse(f"seq={seq} was not sent; allowed: 1 to {subscription.seq}")
    for number, events in subscription.states_before(seq):
        market = state.venue.by_number.get(number)
        if market is not None and market.ticker == ticker:
            past = market.log.state(events)
            if past is None:
                raise _refuse(f"the past books of {ticker} are not kept any more", 404)
            return past
    raise _refuse(f"no frame of {ticker} up to seq {seq}", 404)


def _subscription(state: ExchangeState, request: web.Request, ticker: str) -> Subscription:
    """The one that is named; without a name, the newest book subscription of the market."""
    connection, sid = _number(request, "connection"), _number(request, "sid")
    known = state.hub.known
    sessions = [known[connection]] if connection in known else []
    if connection is None:
        sessions = list(reversed(known.values()))
    for session in sessions:
        for subscription in reversed(session.history.values()):
            fits = subscription.sid == sid if sid is not None else subscription.covers(ticker)
            if subscription.channel is Channel.BOOK and fits:
                return subscription
    raise _refuse(f"no book subscription for connection={connection} sid={sid} {ticker}", 404)


def _subscription_row(subscription: Subscription) -> dict[str, Any]:
    return {
        "sid": subscription.sid,
        "channel": str(subscription.channel),
        "tickers": subscription.listed(),
        "last_seq": subscription.seq,
        "frames": subscription.frames,
        "use_yes_price": subscription.on_yes_scale,
    }


def _session_row(session: StreamSession) -> dict[str, Any]:
    return {
        "id": session.number,
        "api_key_id": session.caller.key.api_key_id,
        "subscriptions": [_subscription_row(s) for s in session.by_sid.values()],
    }


async def connections(request: web.Request) -> web.Response:
    """Who is connected, to what."""
    return answer([_session_row(s) for s in request.app[STATE].hub.sessions.values()])


async def sent(request: web.Request) -> web.Response:
    """Frames sent over all connections, and what the core published, by market."""
    counters = request.app[STATE].hub.sent
    tickers = sorted({*counters.deltas, *counters.snapshots, *counters.trades})
    return answer(
        {
            "deltas": counters.deltas.total(),
            "snapshots": counters.snapshots.total(),
            "trades": counters.trades.total(),
            "tickers": {
                t: {
                    "deltas": counters.deltas[t],
                    "snapshots": counters.snapshots[t],
                    "trades": counters.trades[t],
                }
                for t in tickers
            },
        }
    )


async def frames(request: web.Request) -> web.Response:
    """What each `seq` of a connection's book subscription said: `[seq, ticker, kind, levels]`.

    Levels are `[leg, leg's own price_e4, count_e2]`: a delta's signed change, all of a snapshot.
    Markets whose past books are not kept any more are left out.
    """
    state = request.app[STATE]
    subscription = _subscription(state, request, "")
    first, last = _number(request, "first") or 1, _number(request, "last") or subscription.seq
    if last - first >= MOST_FRAMES:
        raise _refuse(f"first={first} last={last}: at most {MOST_FRAMES} frames")
    found = []
    for seq, number, events, is_delta in subscription.frames_between(first, last):
        market = state.venue.by_number.get(number)
        if market is not None and market.log.kept:
            levels = _said(market.log, events, is_delta=is_delta)
            found.append([seq, market.ticker, "delta" if is_delta else "snapshot", levels])
    return answer({"last_seq": subscription.seq, "frames": found})


def _said(log: BookLog, events: int, *, is_delta: bool) -> list[Level | None]:
    """What a frame said of its book."""
    if is_delta:
        return [log.change(events)]
    past = log.state(events)
    return list(past.levels()) if past else []


async def books_sent(request: web.Request) -> web.Response:
    """Every book subscription that there ever was, those of gone connections too."""
    known = request.app[STATE].hub.known.values()
    pairs = [(n, s) for n in known for s in n.history.values() if s.channel is Channel.BOOK]
    return answer([{"connection": n.number, "sid": s.sid, "last_seq": s.seq} for n, s in pairs])


async def orders(request: web.Request) -> web.Response:
    """Every account's orders (of a `status`, if one is named) and money."""
    state, status = request.app[STATE], request.query.get("status", "")
    return answer(
        {
            "orders": [
                bodies.order(o)
                for o in state.order_entry.orders.values()
                if status in ("", o.status)
            ],
            "accounts": [
                {
                    "user_id": a.user_id,
                    "subaccount": a.number,
                    "cash_e6": a.cash_e6,
                    "held_e6": a.held_e6,
                    "shards": {
                        str(shard): {"cash_e6": c.cash_e6, "held_e6": c.held_e6}
                        for shard, c in sorted(a.collaterals.items())
                    },
                    "fills": sum(
                        f.subaccount == a.number for f in state.order_entry.fills[a.user_id]
                    ),
                    "positions_e2": {t: p.count_e2 for t, p in a.positions.items()},
                }
                for a in state.venue.accounts
            ],
        }
    )


async def order_log(request: web.Request) -> web.Response:
    """Every change of an order and every fill since row `after`, oldest first; a page of them."""
    after = _number(request, "after") or 0
    return answer({"rows": request.app[STATE].order_log.after(after, MOST_ROWS)})


async def settlements(request: web.Request) -> web.Response:
    """What every account was paid for markets that ended."""
    accounts = request.app[STATE].venue.accounts
    return answer(
        [
            {
                "user_id": a.user_id,
                "subaccount": a.number,
                "ticker": s.ticker,
                "shard": s.exchange_index,
                "position_e2": s.position_e2,
                "yes_value_e4": s.yes_value_e4,
                "revenue_e6": s.revenue_e6,
                "settled_ms": s.settled_ms,
            }
            for a in accounts
            for s in a.settlements
        ]
    )


async def clock(request: web.Request) -> web.Response:
    """Market time."""
    state = request.app[STATE]
    return answer({"market_ms": state.venue.now_ms(), "speed": state.time.speed})


def routes() -> list[web.RouteDef]:
    """All of them."""
    return [
        web.get("/admin/book", book),
        web.get("/admin/connections", connections),
        web.get("/admin/sent", sent),
        web.get("/admin/frames", frames),
        web.get("/admin/books_sent", books_sent),
        web.get("/admin/orders", orders),
        web.get("/admin/order_log", order_log),
        web.get("/admin/settlements", settlements),
        web.get("/admin/clock", clock),
    ]
