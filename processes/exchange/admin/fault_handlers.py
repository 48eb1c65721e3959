"""Applies fault commands: over the admin port, or from RL_EXCHANGE_FAULTS, each in its time.

`POST /admin/fault` takes a command with its `kind`, `POST /admin/<kind>` one without it.
RL_EXCHANGE_FAULTS is a JSON list of commands, each with an optional `after_s` in real seconds.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from ipc.units import ONE_DOLLAR_E4, PriceGrid
from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.admin import fault_commands
from processes.exchange.admin.fault_commands import (
    FaultCommand,
    FaultCommandError,
    fault_command_of,
)
from processes.exchange.core.fees import ScheduledFeeChange
from processes.exchange.core.markets import Closing, ListedMarket, MarketPhase
from processes.exchange.core.nonsense import odd_frame
from processes.exchange.core.operations import close_trading
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.rest.requests import json_object
from processes.exchange.shared.connections import CONNECTIONS, Connections
from processes.exchange.shared.state import STATE, ExchangeState, answer
from processes.exchange.stream.session import StreamSession, Subscription
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log

__all__ = [
    "FaultSchedule",
    "TimedFault",
    "apply_fault",
    "close_market",
    "close_time",
    "closing",
    "fault_schedule_of",
    "fault_state",
    "fees",
    "grid",
    "lag",
    "maintenance",
    "order_limits",
    "pause",
    "routes",
    "set_result",
]


def fault_state(state: ExchangeState) -> dict[str, Any]:
    """The faults that are active now."""
    return state.faults.state() | state.delivery.state()


def apply_fault(
    state: ExchangeState, connections: Connections, command: fault_commands.FaultCommand
) -> dict[str, Any]:
    """Apply one command -> what it did; `Rejection` when it cannot be applied."""
    match command:
        case fault_commands.Disconnect(connection=number):
            _sessions(state, number)
            return {"cut": connections.disconnect(number)}
        case fault_commands.OddFrames(what=what, frames=frames, connection=number):
            _sessions(state, number)
            return {"sent": connections.send_raw([odd_frame(what)] * frames, number)}
        case fault_commands.DropFrame():
            return _drop_frames(state, command)
        case fault_commands.EndSubscription():
            return _end_subscriptions(state, command)
        case fault_commands.DuplicateFills(fills=fills):
            state.delivery.duplicate(fills)
        case fault_commands.DelayFills(ms=ms, fills=fills):
            state.delivery.delay(ms, fills)
        case fault_commands.ReorderFills(ms=ms, fills=fills):
            state.delivery.reorder(ms, fills)
        case fault_commands.FillsFirst(on=on):
            state.delivery.fills_first(on=on)
        case fault_commands.ClearFaults():
            state.faults.clear()
            state.auth.ahead_ms = 0
            state.delivery.clear()
            state.maintenance.clear(state.venue.now_ms())
        case _:
            return _of_calls(state, command)
    return {}


def _of_calls(state: ExchangeState, command: fault_commands.FaultCommand) -> dict[str, Any]:
    """Commands about REST calls and WebSocket commands."""
    answers, commands = state.faults.answers, state.faults.commands
    match command:
        case fault_commands.ErrorNext(status=status, code=code, calls=calls, method=method):
            answers.refuse_next(status, code, calls, method)
        case fault_commands.RateLimitNext(calls=calls, method=method):
            answers.refuse_next(429, "", calls, method)
        case fault_commands.SlowAnswers(ms=ms, calls=calls, method=method):
            answers.slow(ms, calls, method)
        case fault_commands.LoseAnswer(calls=calls, method=method):
            answers.lose_next(calls, method)
        case fault_commands.RepeatCalls(calls=calls, method=method):
            answers.repeat_next(calls, method)
        case fault_commands.DuplicateAnswers(calls=calls, method=method):
            answers.duplicate_next(calls, method)
        case fault_commands.OddAnswers(what=what, calls=calls, method=method):
            answers.replace_next(what, calls, method)
        case fault_commands.DelayAcks(ms=ms):
            commands.delay_s = ms / 1000
        case fault_commands.HaltAcks(on=on):
            commands.halted = on
        case fault_commands.ShuffleAcks(on=on):
            commands.shuffled = on
        case fault_commands.RefuseCommands(code=code, calls=calls):
            commands.refuse_next(code, calls)
        case fault_commands.RefuseSockets(status=status):
            commands.refuses_sockets = status
        case fault_commands.SendUnknowns(on=on):
            answers.has_unknowns = on
        case fault_commands.SkewClock(ahead_ms=ahead_ms):
            state.auth.ahead_ms = ahead_ms
        case _:
            return _of_the_exchange(state, command)
    return {}


def _of_the_exchange(state: ExchangeState, command: fault_commands.FaultCommand) -> dict[str, Any]:
    """Commands about what an exchange decides by itself."""
    match command:
        case fault_commands.SetPause():
            return pause(state, command)
        case fault_commands.AnnounceMaintenance():
            return maintenance(state, command)
        case fault_commands.ChangeFees():
            return fees(state, command)
        case fault_commands.ChangeGrid():
            return grid(state, command)
        case fault_commands.MoveCloseTime():
            return close_time(state, command)
        case fault_commands.CloseMarket():
            return close_market(state, command)
        case fault_commands.SetClosing():
            return closing(state, command)
        case fault_commands.SetResult():
            return set_result(state, command)
        case fault_commands.LimitOrders():
            return order_limits(state, command)
        case fault_commands.SetExclusive(event_ticker=event_ticker, on=on):
            state.order_entry.returns.set_exclusive(event_ticker, on=on)
            return {"event_ticker": event_ticker, "on": on}
        case fault_commands.SetCutoff(after_ms=after_ms):
            state.history_ms = after_ms
            return {"after_ms": after_ms}
        case fault_commands.SetReadLag():
            return lag(state, command)
    raise TypeError(f"no handler for {command}")


# Chosen connections and subscriptions


def _sessions(state: ExchangeState, number: int | None) -> list[StreamSession]:
    """The connection of that number, or all."""
    sessions = state.hub.sessions
    if number is None:
        return list(sessions.values())
    if number not in sessions:
        allowed = ", ".join(map(str, sessions)) or "none now"
        raise bad_request(f"connection={number} is not open; allowed: {allowed}")
    return [sessions[number]]


def _chosen(
    state: ExchangeState, connection: int | None, sid: int | None, channel: Channel | None
) -> list[tuple[StreamSession, Subscription]]:
    """Subscriptions by connection, sid and channel, each only where it is named."""
    open_now = [(s, sub) for s in _sessions(state, connection) for sub in s.by_sid.values()]
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


def _drop_frames(state: ExchangeState, command: fault_commands.DropFrame) -> dict[str, Any]:
    """The next frames take their `seq` and are not sent."""
    chosen = _chosen(state, command.connection, command.sid, None)
    chosen_subscriptions = [
        s for _, s in chosen if command.sid is not None or s.channel is Channel.BOOK
    ]
    for subscription in chosen_subscriptions:
        subscription.drop_next += command.frames
    return {"affected": len(chosen_subscriptions)}


def _end_subscriptions(
    state: ExchangeState, command: fault_commands.EndSubscription
) -> dict[str, Any]:
    """Each receives its terminal error and nothing after it."""
    chosen = _chosen(state, command.connection, command.sid, command.channel)
    for session, subscription in chosen:
        state.hub.end(session, subscription, command.code)
    return {"affected": len(chosen)}


SECOND_MS = 1_000


def _running_markets(state: ExchangeState, name: str) -> list[ListedMarket]:
    """The markets that trade or are paused and have this ticker or this series; "" means all."""
    markets = [m for m in state.venue.markets.values() if m.is_running]
    found = [m for m in markets if name in ("", m.ticker, m.facts.series_ticker)]
    if not found:
        names = sorted({m.facts.series_ticker for m in markets}) or ["none now"]
        text = f"ticker={name!r} is no running market; allowed: one of {', '.join(names)}"
        raise Rejection.flat(404, "not_found", text)
    return found


def pause(state: ExchangeState, command: fault_commands.SetPause) -> dict[str, Any]:
    """Begin or end a pause."""
    if command.what == "trading":
        state.pauses.trading(on=command.on)
    elif command.what == "exchange":
        state.pauses.exchange(on=command.on)
    else:
        for market in _running_markets(state, command.ticker):
            state.pauses.market(market, on=command.on)
    halts = state.order_entry.halts
    return {"trading": halts.trading, "exchange": halts.exchange}


def maintenance(
    state: ExchangeState, command: fault_commands.AnnounceMaintenance
) -> dict[str, Any]:
    """Announce a window; one that begins now begins now."""
    now_ms = state.venue.now_ms()
    start_ms = now_ms + command.in_s * SECOND_MS
    state.maintenance.announce(start_ms, start_ms + command.for_s * SECOND_MS)
    state.maintenance.apply(now_ms)
    return {"windows": [[w.start_ms, w.end_ms] for w in state.maintenance.windows(now_ms)]}


def fees(state: ExchangeState, command: fault_commands.ChangeFees) -> dict[str, Any]:
    """Schedule other fees."""
    asked = ScheduledFeeChange(
        change_id="",
        series_ticker=command.series_ticker,
        event_ticker=command.event_ticker,
        fee_type=command.fee_type or None,
        multiplier_e4=command.fee_multiplier_e4,
        scheduled_ms=command.scheduled_ms or state.venue.now_ms(),
    )
    try:
        change = state.fees.schedule(asked)
    except ValueError as error:
        raise bad_request(str(error)) from None
    state.apply_due()
    return {"id": change.change_id}


def grid(state: ExchangeState, command: fault_commands.ChangeGrid) -> dict[str, Any]:
    """Change the prices of markets."""
    try:
        prices = PriceGrid.from_wire(command.price_ranges)
    except (ValueError, KeyError, TypeError) as error:
        text = f"price_ranges={command.price_ranges!r}: {error!r}; allowed: start, end, step each"
        raise bad_request(text) from None
    markets = _running_markets(state, command.ticker)
    for market in markets:
        state.venue.change_grid(market, prices, command.structure, state.venue.now_ms())
    return {"tickers": [m.ticker for m in markets], "structure": command.structure}


def close_time(state: ExchangeState, command: fault_commands.MoveCloseTime) -> dict[str, Any]:
    """Say that a market closes at another time."""
    (market, *_) = _running_markets(state, command.ticker)
    state.venue.move_close(market, command.close_ms, state.venue.now_ms())
    return {"ticker": market.ticker, "close_ms": command.close_ms}


def close_market(state: ExchangeState, command: fault_commands.CloseMarket) -> dict[str, Any]:
    """Close markets now: they are said to close now, and do."""
    how, now_ms = state.venue.closing, state.venue.now_ms()
    if command.burst is not None:
        how = msgspec.structs.replace(how, burst=command.burst)
    if command.snapshots is not None:
        how = msgspec.structs.replace(how, snapshots=command.snapshots)
    markets = _running_markets(state, command.ticker)
    for market in markets:
        market.is_cut_short = True
        if market.facts.close_ms > now_ms:
            state.venue.move_close(market, now_ms, now_ms)
        close_trading(state.order_entry, market, how, now_ms)
    return {"tickers": [m.ticker for m in markets]}


def closing(state: ExchangeState, command: fault_commands.SetClosing) -> dict[str, Any]:
    """Set how markets close from now on."""
    state.venue.closing = Closing(burst=command.burst, snapshots=command.snapshots)
    return {"burst": command.burst, "snapshots": command.snapshots}


RESULTS: Final = {0: "no", ONE_DOLLAR_E4: "yes"}


def set_result(state: ExchangeState, command: fault_commands.SetResult) -> dict[str, Any]:
    """Settle a closed market, or correct a settled one."""
    market, now_ms = state.market(command.ticker), state.venue.now_ms()
    word = command.word or RESULTS.get(command.value_e4, "scalar")
    if market.status is MarketPhase.FINALIZED:
        state.order_entry.correct(market, word, command.value_e4, now_ms)
    elif market.status is MarketPhase.CLOSED:
        state.venue.determine_market(market, word, command.value_e4, now_ms)
        state.order_entry.settle(market, now_ms)
        state.venue.settle_market(market, now_ms)
    else:
        text = f"ticker={command.ticker} is {market.status}; allowed: closed, finalized"
        raise bad_request(text)
    return {"ticker": market.ticker, "result": word}


def order_limits(state: ExchangeState, command: fault_commands.LimitOrders) -> dict[str, Any]:
    """Limit the orders of running markets."""
    markets = _running_markets(state, command.ticker)
    for market in markets:
        market.minimum_e2 = command.minimum_e2
        market.position_limit_e2 = command.position_e2 or None
    return {"tickers": [m.ticker for m in markets]}


def lag(state: ExchangeState, command: fault_commands.SetReadLag) -> dict[str, Any]:
    """Set how far reads lie behind."""
    replica = state.replica
    if command.orders_ms is not None:
        replica.orders_lag_ms = command.orders_ms
    if command.positions_ms is not None:
        replica.positions_lag_ms = command.positions_ms
    return {"orders_ms": replica.orders_lag_ms, "positions_ms": replica.positions_lag_ms}


OWN_PATHS: Final = ("pause", "fees", "grid", "close_time", "close_market", "lag", "disconnect")


async def _apply_request(request: web.Request, named: dict[str, Any]) -> dict[str, Any]:
    data = await request.read()
    body = (json_object(data) if data else {}) | named
    try:
        command = fault_command_of(body)
    except FaultCommandError as error:
        raise bad_request(str(error)) from None
    return apply_fault(request.app[STATE], request.app[CONNECTIONS], command)


async def fault(request: web.Request) -> web.Response:
    """Apply a command of any kind -> the active faults, and what it did."""
    did = await _apply_request(request, {})
    return answer(fault_state(request.app[STATE]) | did)


async def fault_by_path(request: web.Request) -> web.Response:
    """Apply a command of the kind that the path names -> what it did."""
    return answer(await _apply_request(request, {"kind": request.path.rpartition("/")[2]}))


def routes() -> list[web.RouteDef]:
    """All of them."""
    paths = [web.post(f"/admin/{kind}", fault_by_path) for kind in OWN_PATHS]
    return [web.post("/admin/fault", fault), *paths]


VARIABLE: Final = "RL_EXCHANGE_FAULTS"
LONGEST_S: Final = 30 * 86_400
AfterS = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)]


class TimedFault(msgspec.Struct, frozen=True):
    """A command, and how many real seconds after the start it applies."""

    after_s: float
    command: FaultCommand


def fault_schedule_of(settings: Settings) -> list[TimedFault]:
    """The commands of RL_EXCHANGE_FAULTS by time; `ConfigError` for one that is not valid."""
    raw = settings.exchange.faults
    if not raw:
        return []
    try:
        listed = msgspec.json.decode(raw, type=list[dict[str, Any]])
        return sorted(map(_timed, listed), key=lambda timed: timed.after_s)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = f"not a JSON list of objects ({error})"
    except FaultCommandError as error:
        why = str(error)
    raise ConfigError(f"{VARIABLE}={raw} cannot be used: {why}")


def _timed(body: dict[str, Any]) -> TimedFault:
    raw = body.get("after_s", 0)
    try:
        after_s = msgspec.convert(raw, AfterS)
    except msgspec.ValidationError:
        text = f"after_s={raw!r} cannot be used; allowed: seconds, 0 to {LONGEST_S}"
        raise FaultCommandError(text) from None
    return TimedFault(after_s, fault_command_of({k: v for k, v in body.items() if k != "after_s"}))


def _command_text(command: FaultCommand) -> str:
    return msgspec.json.encode(command).decode()


def _reason(refusal: Rejection) -> str:
    return str(refusal.error.get("details") or refusal.code)


class FaultSchedule:
    """Applies the commands, each in its time."""

    def __init__(
        self, state: ExchangeState, connections: Connections, commands: list[TimedFault], log: Log
    ) -> None:
        self._state = state
        self._connections = connections
        self._at_once = [t.command for t in commands if not t.after_s]
        self._later = [t for t in commands if t.after_s]
        self._log = log
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self) -> None:
        """Apply those without a delay; `ConfigError` when one cannot be applied."""
        for command in self._at_once:
            try:
                apply_fault(self._state, self._connections, command)
            except Rejection as refusal:
                raise ConfigError(
                    f"{VARIABLE}={_command_text(command)}: {_reason(refusal)}"
                ) from None

    def listening(self) -> None:
        """The exchange listens: start the delays."""
        for command in self._at_once:
            self._log("fault_set", fault=_command_text(command))
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(t.after_s, self._carry_out, t.command) for t in self._later]

    def _carry_out(self, command: FaultCommand) -> None:
        try:
            apply_fault(self._state, self._connections, command)
        except Rejection as refusal:
            self._log.warning("fault_refused", fault=_command_text(command), error=_reason(refusal))
            return
        self._log("fault_set", fault=_command_text(command))

    def close(self) -> None:
        """Cancel what is not due yet."""
        for timer in self._timers:
            timer.cancel()
