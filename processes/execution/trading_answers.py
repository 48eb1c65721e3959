"""Answers to commands as people and programs read them: dollars, contracts, UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from ipc.clock import NS_PER_S
from ipc.trading import HeldPosition, OpenOrderLine, TradingReport
from ipc.units import format_count, format_price
from processes.execution.direct_stop import DirectStop

__all__ = ["direct_json", "direct_lines", "report_json", "report_lines"]


class OrderJson(msgspec.Struct, frozen=True):
    """An order that may still fill."""

    client_order_id: str
    market_ticker: str
    leg: str
    is_buy: bool
    price_dollars: str
    remaining_contracts: str
    status: str


class PositionJson(msgspec.Struct, frozen=True):
    """A position; contracts are signed, YES positive."""

    market_ticker: str
    position_contracts: str
    note: str
    foreign_contracts: str


class ReportJson(msgspec.Struct, frozen=True):
    """What `--json` prints of execution's answer."""

    mode: str
    since_utc: str
    since_market_time: str
    who: str
    why: str
    done: bool
    progress: str
    resting: list[OrderJson]
    positions: list[PositionJson]
    accounts_known: bool
    latches: tuple[str, ...]
    persist_error: str
    foreign: list[OrderJson]


class DirectJson(msgspec.Struct, frozen=True):
    """What `--json` prints of a stop past execution; `resting` is null when it is not known."""

    mode: str
    past_execution: bool
    done: bool
    resting: list[OrderJson] | None
    error: str
    persist_error: str


def report_json(report: TradingReport) -> str:
    """An answer as one line of JSON."""
    facts = ReportJson(
        mode=report.mode,
        since_utc=_utc(report.since_utc_ns),
        since_market_time=_utc(report.since_ns),
        who=report.who,
        why=report.why,
        done=report.is_done,
        progress=report.progress,
        resting=[_order_json(order) for order in report.resting],
        positions=[_position_json(position) for position in report.positions],
        accounts_known=report.accounts_known,
        latches=report.latches,
        persist_error=report.persist_error,
        foreign=[_order_json(order) for order in report.foreign],
    )
    return msgspec.json.encode(facts).decode()


def direct_json(done: DirectStop, unwritten: str) -> str:
    """A stop past execution as one line of JSON."""
    resting = None if done.resting is None else [_order_json(order) for order in done.resting]
    facts = DirectJson("stopped", True, done.is_clear, resting, done.error, unwritten)
    return msgspec.json.encode(facts).decode()


def report_lines(report: TradingReport) -> list[str]:
    """An answer in lines."""
    since = f" since {_utc(report.since_utc_ns)}" if report.since_utc_ns else ""
    lines = [f"trading is {report.mode}{since}, by {report.who}: {report.why}"]
    if report.progress:
        lines.append(f"  {report.progress}")
    lines += [f"orders open: {len(report.resting)}", *map(_order_line, report.resting)]
    if report.foreign:
        lines += [f"orders of others: {len(report.foreign)}", *map(_order_line, report.foreign)]
    known = "" if report.accounts_known else " (not every account is known)"
    lines += [f"positions: {len(report.positions)}{known}", *map(_position_line, report.positions)]
    lines += [f"latch: {latch}" for latch in report.latches]
    if report.persist_error:
        lines.append(f"not written, so a restart forgets it: {report.persist_error}")
    return lines


def direct_lines(done: DirectStop, unwritten: str) -> list[str]:
    """A stop past execution in lines."""
    if done.is_clear:
        lines = ["no order of this stack rests at the exchange"]
    elif done.resting is None:
        lines = [f"not verified: the exchange did not say what rests: {done.error}"]
    else:
        lines = [f"not verified; orders open when last read: {len(done.resting)}"]
        lines += [*map(_order_line, done.resting), *([f"  {done.error}"] if done.error else [])]
    if unwritten:
        lines.append(f"not written, so execution would trade when it starts: {unwritten}")
    else:
        lines.append("execution will not trade when it starts, until resume")
    return lines


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ns else ""


def _order_json(order: OpenOrderLine) -> OrderJson:
    return OrderJson(
        client_order_id=order.client_order_id,
        market_ticker=order.market_ticker,
        leg=order.leg,
        is_buy=order.is_buy,
        price_dollars=format_price(order.price_e4),
        remaining_contracts=format_count(order.remaining_e2),
        status=order.status,
    )


def _position_json(position: HeldPosition) -> PositionJson:
    count = format_count(position.position_e2)
    foreign = format_count(position.foreign_e2)
    return PositionJson(position.market_ticker, count, position.note, foreign)


def _order_line(order: OpenOrderLine) -> str:
    what = f"{'buy' if order.is_buy else 'sell'} {format_count(order.remaining_e2)}"
    price = f"{order.leg.upper()} at {format_price(order.price_e4)}"
    return f"  {order.market_ticker} {what} {price} {order.status} {order.client_order_id}"


def _position_line(position: HeldPosition) -> str:
    leg = "YES" if position.position_e2 > 0 else "NO"
    foreign = format_count(abs(position.foreign_e2))
    notes = [position.note, f"{foreign} not of this stack" if position.foreign_e2 else ""]
    text = "; ".join(filter(None, notes))
    note = f" ({text})" if text else ""
    return f"  {position.market_ticker} {format_count(abs(position.position_e2))} {leg}{note}"
