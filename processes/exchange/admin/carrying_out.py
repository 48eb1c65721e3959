"""Carries orders out: what is ordered, on the house and its connections."""

from __future__ import annotations

from typing import Any

from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.admin import on_markets, orders
from processes.exchange.core.rejections import bad_request
from processes.exchange.house import House
from processes.exchange.stream.session import Session
from processes.exchange.stream.sockets import Connections
from processes.exchange.stream.subscriptions import Subscription

__all__ = ["carry_out", "state"]


def state(house: House) -> dict[str, Any]:
    """What is wrong right now."""
    return house.faults.state() | house.delivery.state()


def carry_out(house: House, connections: Connections, order: orders.Order) -> dict[str, Any]:
    """Do what is ordered -> what it did; `Rejection` when it cannot be done."""
    match order:
        case orders.Disconnect(connection=number):
            _sessions(house, number)
            return {"cut": connections.disconnect(number)}
        case orders.DropFrame():
            return _drop(house, order)
        case orders.EndSubscription():
            return _end(house, order)
        case orders.DuplicateFills(fills=fills):
            house.delivery.duplicate(fills)
        case orders.DelayFills(ms=ms, fills=fills):
            house.delivery.delay(ms, fills)
        case orders.FillsFirst(on=on):
            house.delivery.fills_first(on=on)
        case orders.Clear():
            house.faults.clear()
            house.delivery.clear()
            house.maintenance.clear(house.venue.now_ms())
        case _:
            return _of_calls(house, order)
    return {}


def _of_calls(house: House, order: orders.Order) -> dict[str, Any]:
    """Orders about calls and commands."""
    answers, commands = house.faults.answers, house.faults.commands
    match order:
        case orders.ErrorNext(status=status, code=code, calls=calls, method=method):
            answers.refuse_next(status, code, calls, method)
        case orders.RateLimitNext(calls=calls, method=method):
            answers.refuse_next(429, "", calls, method)
        case orders.SlowAnswers(ms=ms, calls=calls, method=method):
            answers.slow(ms, calls, method)
        case orders.LoseAnswer(calls=calls, method=method):
            answers.lose_next(calls, method)
        case orders.DelayAcks(ms=ms):
            commands.delay_s = ms / 1000
        case orders.HaltAcks(on=on):
            commands.halted = on
        case orders.ShuffleAcks(on=on):
            commands.shuffled = on
        case orders.RefuseCommands(code=code, calls=calls):
            commands.refuse_next(code, calls)
        case _:
            return _of_the_exchange(house, order)
    return {}


def _of_the_exchange(house: House, order: orders.Order) -> dict[str, Any]:
    """Orders about what an exchange decides by itself."""
    match order:
        case orders.Pause():
            return on_markets.pause(house, order)
        case orders.Maintenance():
            return on_markets.maintenance(house, order)
        case orders.Fees():
            return on_markets.fees(house, order)
        case orders.Grid():
            return on_markets.grid(house, order)
        case orders.CloseTime():
            return on_markets.close_time(house, order)
        case orders.CloseMarket():
            return on_markets.close_market(house, order)
        case orders.Closing():
            return on_markets.closing(house, order)
        case orders.Lag():
            return on_markets.lag(house, order)
    raise TypeError(f"nobody carries out {order}")


# Chosen connections and subscriptions


def _sessions(house: House, number: int | None) -> list[Session]:
    """The connection of that number, or all."""
    sessions = house.hub.sessions
    if number is None:
        return list(sessions.values())
    if number not in sessions:
        allowed = ", ".join(map(str, sessions)) or "none now"
        raise bad_request(f"connection={number} is not open; allowed: {allowed}")
    return [sessions[number]]


def _chosen(
    house: House, connection: int | None, sid: int | None, channel: Channel | None
) -> list[tuple[Session, Subscription]]:
    """Subscriptions by connection, sid and channel, each only where it is named."""
    open_now = [(s, sub) for s in _sessions(house, connection) for sub in s.by_sid.values()]
    chosen = [
        (session, subscription)
        for session, subscription in open_now
        if sid in (None, subscription.sid) and channel in (None, subscription.channel)
    ]
    if not chosen and not (sid is None and channel is None):
        named = f"sid={sid}" if sid is not None else f"channel={str(channel)!r}"
        there = ", ".join(f"{sub.sid} ({sub.channel})" for _, sub in open_now) or "none now"
        raise bad_request(f"{named} is not subscribed; allowed: {there}")
    return chosen


def _drop(house: House, order: orders.DropFrame) -> dict[str, Any]:
    """Their `seq` is taken, nothing is sent."""
    chosen = _chosen(house, order.connection, order.sid, None)
    struck = [s for _, s in chosen if order.sid is not None or s.channel is Channel.BOOK]
    for subscription in struck:
        subscription.drop_next += order.frames
    return {"struck": len(struck)}


def _end(house: House, order: orders.EndSubscription) -> dict[str, Any]:
    """Each is told its error, and hears no more."""
    chosen = _chosen(house, order.connection, order.sid, order.channel)
    for session, subscription in chosen:
        house.hub.end(session, subscription, order.code)
    return {"struck": len(chosen)}
