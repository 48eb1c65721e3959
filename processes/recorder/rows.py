"""Journalled records as rows: their table, the market of an event, and the rows that are rejected.

A bad row is found by halving its batch, stored with its reason, and stops no other row.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from ipc.journal import JournalError
from ipc.messages import (
    AccountVersion,
    ActorAction,
    ActorFill,
    ActorOrder,
    ActorPosition,
    Intent,
    Message,
    Tick,
    TradingEvent,
)
from processes.adapters.postgres.database import while_open

__all__ = [
    "ROW_FAULTS",
    "TABLES",
    "MarketRows",
    "RejectedRows",
    "columns_of",
    "reduced_order",
    "row_of",
    "write_halving",
    "write_rows",
]

TABLES: Final[dict[type[msgspec.Struct], str]] = {
    Tick: "rl_ticks",
    ActorAction: "rl_actions",
    Intent: "rl_intents",
    ActorOrder: "rl_orders",
    ActorFill: "rl_fills",
    ActorPosition: "rl_positions",
    AccountVersion: "rl_account_versions",
    TradingEvent: "rl_trading_events",
}

# What the exchange names, and so may be reported again by another run: stored once. The columns of
# the unique key, beside the environment.
_NAMED: Final[dict[type[msgspec.Struct], tuple[str, ...]]] = {
    ActorFill: ("trade_id", "order_id"),
    ActorOrder: ("client_order_id", "status", "ts_ns", "fill_count_e2", "remaining_count_e2"),
}
_BIGGEST: Final = {"yes_price_e4": 2**31 - 1}  # of integers that have 32 bits in their table

# Raised for a row that no retry will store: neither the server nor the table is at fault.
ROW_FAULTS: Final = (
    JournalError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    TypeError,
    OverflowError,
)
_REJECTED_COLUMNS: Final = ("stream", "journal", "position", "reason", "record")

Write = Callable[[int, int], Awaitable[None]]


def columns_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The columns of a message's table: its place in the stream, then its fields."""
    return ("stream_id", "record_no", *kind.__struct_fields__)


def row_of(message: Message, stream_id: int, record_no: int) -> tuple[object, ...]:
    """A message as a row of its table; a dict becomes JSON."""
    return (stream_id, record_no, *map(_value, msgspec.structs.astuple(message)))


def _value(field: object) -> object:
    return msgspec.json.encode(field).decode() if isinstance(field, dict) else field


async def write_rows(
    connection: Any,
    stream_id: int,
    kind: type[msgspec.Struct],
    entries: Sequence[tuple[int, Message]],
) -> int:
    """Store numbered messages of one kind -> how many of them were there already.

    Only what the exchange names can be there already; it stays as it was first stored.
    """
    rows = [row_of(message, stream_id, number) for number, message in entries]
    columns = columns_of(kind)
    if kind not in _NAMED:
        copy = connection.copy_records_to_table(TABLES[kind], records=rows, columns=columns)
        await while_open(connection, copy)
        return 0
    await connection.executemany(_insert_once(kind), rows)
    count = f"select count(*) from {TABLES[kind]} where stream_id = $1 and record_no = any($2)"
    numbers = [number for number, _ in entries]
    return len(rows) - int(await connection.fetchval(count, stream_id, numbers))


def _insert_once(kind: type[msgspec.Struct]) -> str:
    columns = columns_of(kind)
    values = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return (
        f"insert into {TABLES[kind]} (environment, {', '.join(columns)}) "
        f"values ((select environment from rl_streams where stream_id = $1), {values}) "
        f"on conflict (environment, {', '.join(_NAMED[kind])}) do nothing"
    )


def reduced_order(order: ActorOrder) -> ActorOrder:
    """An order's state as the table takes it: no text that it refuses, no number beyond its column.

    `reason` says that the record itself was set aside.
    """
    facts = msgspec.structs.asdict(order)
    for name, value in facts.items():
        if isinstance(value, str):
            facts[name] = type(value)(value.replace("\0", "\ufffd"))
        elif isinstance(value, int) and not isinstance(value, bool):
            most = _BIGGEST.get(name, 2**63 - 1)
            facts[name] = max(-most, min(most, value))
    facts["reason"] = f"set aside: {facts['reason']}"
    return ActorOrder(**facts)


class MarketRows:
    """(row, event number) -> market id, from the listings of one session."""

    def __init__(self) -> None:
        self._listed: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def add(self, row: int, from_event_no: int, market_id: int) -> None:
        """From this event on, the row holds this market; the last listing of an event wins."""
        listed = self._listed[row]
        listed[:] = [entry for entry in listed if entry[0] != from_event_no]
        insort(listed, (from_event_no, market_id))

    def of(self, events: npt.NDArray[np.void]) -> npt.NDArray[np.int32]:
        """The market of every event, 0 for one whose row was not listed by then."""
        markets = np.zeros(len(events), np.int32)
        for row in np.unique(events["row"]):
            of_row = np.flatnonzero(events["row"] == row)
            numbers = events["event_no"][of_row]
            listed = self._listed.get(int(row), [])
            starts = np.array([start for start, _ in listed], np.int64)
            place = np.searchsorted(starts, numbers, "right") - 1
            ids = np.array([market for _, market in listed] + [0], np.int32)
            markets[of_row] = ids[place]  # place -1: before the first listing, the 0 at the end
        return markets


async def write_halving(connection: Any, number: int, write: Write) -> list[tuple[int, str]]:
    """Call `write(start, stop)` for the rows [0, number), in order, and halve what it refuses.

    Runs inside the caller's transaction; a refused piece is rolled back, then halved.

    Returns (index, reason) of every row that was refused on its own. Errors other than
    `ROW_FAULTS` are the caller's.
    """
    refused = []
    waiting = [(0, number)] if number else []
    while waiting:
        start, stop = waiting.pop()
        try:
            async with connection.transaction():
                await write(start, stop)
        except ROW_FAULTS as error:
            middle = (start + stop) // 2
            if stop - start == 1:
                refused.append((start, f"{type(error).__name__}: {error}"))
            else:
                waiting += [(middle, stop), (start, middle)]
    return refused


class RejectedRows:
    """The bad rows of one batch of a journal."""

    def __init__(self, connection: Any, stream: str, journal: str) -> None:
        self._connection = connection
        self._stream = stream
        self._journal = journal
        self.rows: list[tuple[str, str, int, str, bytes]] = []

    def add(self, position: int, reason: str, record: bytes) -> None:
        """Set a row aside: its event or record number, why, and the journal's own bytes."""
        self.rows.append((self._stream, self._journal, position, reason, record))

    def indices_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Where the rows that were set aside stand among `positions`."""
        return np.flatnonzero(np.isin(positions, [row[2] for row in self.rows]))

    async def store(self) -> None:
        """Into the table, inside the caller's transaction."""
        copy = self._connection.copy_records_to_table(
            "rl_rejected_rows", records=self.rows, columns=_REJECTED_COLUMNS
        )
        await while_open(self._connection, copy)
