"""Which sessions there are, and what one holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_S
from ipc.journal import Kind
from models.simulation.tape import SessionError
from models.trading.market_fees import fee_words_of
from processes.adapters.postgres.queries import load_queries
from processes.adapters.postgres.sessions import (
    StoredMark,
    StoredMarket,
    StoredSession,
    by_market,
    events_query,
)
from processes.recorder.sessions.desk import Desk, choose_one

__all__ = ["list_sessions", "listed", "show_session", "size_of"]

_SQL: Final = load_queries("sessions.sql")
UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Listed(msgspec.Struct, frozen=True):
    """A line of the list; `started` and `ended` in UTC."""

    session_id: int
    session_uid: str | None
    environment: str
    status: str
    markets: int
    started: str | None
    ended: str | None
    span_s: float | None
    events: int
    deltas: int
    trades: int
    gaps: int
    database_bytes: int
    archive_bytes: int
    archive_path: str | None


class SessionMarketRow(msgspec.Struct, frozen=True):
    """A market of a session, with what there is of it, and what a YES contract of it paid."""

    market_ticker: str
    result: str | None
    yes_value_e4: int | None
    fees: str  # "assumed" where they were not read
    events: int
    deltas: int
    trades: int
    snapshots: int
    first: str | None
    last: str | None


class Shown(msgspec.Struct, frozen=True):
    """A session, whole."""

    session: Listed
    websocket_url: str | None
    rejected: int
    markets: list[SessionMarketRow]
    marks: list[StoredMark]


def time_of(ns: int | None) -> str | None:
    """UTC, to the second."""
    if ns is None:
        return None
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size_of(number: int) -> str:
    """Bytes for people."""
    value, unit = float(number), 0
    while value >= 1_000 and unit < len(UNITS) - 1:
        value, unit = value / 1_000, unit + 1
    return f"{value:.3g} {UNITS[unit]}" if unit else f"{number} B"


async def listed(desk: Desk, sessions: Sequence[StoredSession]) -> list[Listed]:
    """Counts of an ended session as they were derived at its end; of another, counted now."""
    query, ids = desk.connection.fetch, [session.session_id for session in sessions]
    gaps = {row["session_id"]: row["gaps"] for row in await query(_SQL["gaps"], ids)}
    sizes = {row["session_id"]: row["bytes"] for row in await query(_SQL["sizes"], ids)}
    return [
        _listed(s, await _figures(desk, s), gaps.get(s.session_id, 0), sizes.get(s.session_id, 0))
        for s in sessions
    ]


async def _figures(desk: Desk, session: StoredSession) -> tuple[int, int, int]:
    """Events, deltas and trades."""
    events, deltas, trades = session.events, session.deltas, session.trades
    if events is not None and deltas is not None and trades is not None:
        return events, deltas, trades
    if not session.stored:
        return 0, 0, 0
    row = await desk.connection.fetchrow(events_query("figures", session), session.session_id)
    return row["events"], row["deltas"], row["trades"]


def _listed(
    session: StoredSession, figures: tuple[int, int, int], gaps: int, database_bytes: int
) -> Listed:
    events, deltas, trades = figures
    begun, ended = session.started_ns, session.ended_ns
    span_s = (ended - begun) / NS_PER_S if begun is not None and ended is not None else None
    return Listed(
        session_id=session.session_id,
        session_uid=session.session_uid,
        environment=session.environment,
        status=session.status,
        markets=len(session.market_tickers),
        started=time_of(begun),
        ended=time_of(ended),
        span_s=span_s,
        events=events,
        deltas=deltas,
        trades=trades,
        gaps=gaps,
        database_bytes=database_bytes,
        archive_bytes=_archive_bytes(session),
        archive_path=session.archive_path,
    )


def _archive_bytes(session: StoredSession) -> int:
    path = Path(session.archive_path) if session.archive_path else None
    return path.stat().st_size if path and path.is_file() else 0


def _table_of(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns as wide as they must be; numbers to the right, words to the left."""
    lines = [[str(cell) for cell in row] for row in rows]
    columns = [[line[i] for line in lines] for i in range(len(head))]
    numeric = [all(cell[:1].isdigit() or cell == "-" for cell in column) for column in columns]
    widths = [max(map(len, [name, *column])) for name, column in zip(head, columns, strict=True)]

    def padded(line: Sequence[str]) -> str:
        cells = zip(line, widths, numeric, strict=True)
        return "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in cells).rstrip()

    return "\n".join(padded(line) for line in [list(head), *lines])


def _cells(line: Listed) -> list[str]:
    return [
        *(str(line.session_id), line.environment, line.status, str(line.markets)),
        line.started or "-",
        "-" if line.span_s is None else f"{line.span_s:,.0f} s",
        *(f"{number:,}" for number in (line.deltas, line.trades, line.gaps)),
        size_of(line.database_bytes),
        size_of(line.archive_bytes) if line.archive_path else "-",
    ]


HEAD: Final = (
    *("id", "environment", "status", "markets", "started", "span"),
    *("deltas", "trades", "gaps", "size", "archive"),
)


async def list_sessions(desk: Desk, options: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    stored = await desk.loader.sessions(options.environment, options.status)
    lines = await listed(desk, stored)
    if options.json:
        print(msgspec.json.encode(lines).decode())
    else:
        print(_table_of(HEAD, [_cells(line) for line in lines]))
    return 0


async def show_session(desk: Desk, options: argparse.Namespace) -> int:
    """Print one session: its figures, every market, every mark."""
    session = await choose_one(desk.loader, options.session)
    shown = Shown(
        session=(await listed(desk, [session]))[0],
        websocket_url=session.websocket_url,
        rejected=await desk.connection.fetchval(_SQL["rejected"], session.session_id),
        markets=await _markets(desk, session),
        marks=await desk.loader.marks(session.session_id),
    )
    print(msgspec.json.encode(shown).decode() if options.json else _text(shown))
    return 0


async def _markets(desk: Desk, session: StoredSession) -> list[SessionMarketRow]:
    known = await desk.loader.markets(session.session_id)
    kinds = {m.market_id: np.zeros(len(Kind) + 1, np.int64) for m in known}
    ends: dict[int, tuple[int, int]] = {}
    async for events, markets in desk.loader.blocks(session.session_id):
        for market_id, mine in by_market(events, markets).items():
            if market_id not in kinds:
                raise SessionError(
                    f"session {session.session_id}: its events name market {market_id}, which it "
                    f"does not list; allowed: {', '.join(map(str, kinds)) or 'none'}"
                )
            kinds[market_id] += np.bincount(mine["kind"], minlength=len(Kind) + 1)
            first, last = mine["recv_ns"][[0, -1]].tolist()
            ends[market_id] = ends.get(market_id, (first, last))[0], last
    return [_market(m, kinds[m.market_id], ends.get(m.market_id)) for m in known]


def _market(
    market: StoredMarket, kinds: npt.NDArray[np.int64], ends: tuple[int, int] | None
) -> SessionMarketRow:
    first, last = ends or (None, None)
    return SessionMarketRow(
        market_ticker=market.ticker,
        result=market.result,
        yes_value_e4=market.yes_value_e4,
        fees=fee_words_of(market.fees) or "assumed",
        events=int(kinds.sum()),
        deltas=int(kinds[Kind.DELTA]),
        trades=int(kinds[Kind.TRADE] + kinds[Kind.BLOCK_TRADE]),
        snapshots=int(kinds[Kind.SNAPSHOT_END]),
        first=time_of(first),
        last=time_of(last),
    )


def _text(shown: Shown) -> str:
    fields = msgspec.structs.asdict(shown.session)
    fields |= {"websocket_url": shown.websocket_url, "rejected": shown.rejected}
    head = [f"{name}: {'-' if value is None else value}" for name, value in fields.items()]
    names = SessionMarketRow.__struct_fields__
    rows = [["-" if v is None else v for v in msgspec.structs.astuple(m)] for m in shown.markets]
    marks = [
        f"{time_of(m.ts_ns)} after event {m.event_no}: {m.kind} {m.market_ticker or ''} {m.detail}"
        for m in shown.marks
    ]
    return "\n".join([*head, "", _table_of(names, rows), "", *(" ".join(m.split()) for m in marks)])
