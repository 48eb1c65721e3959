"""Journalled records as rows: their table, the market of an event, and the rows that are rejected.

A bad row is found by halving its batch, stored with its reason, and stops no other row.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Awaitable, Callable
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
)

__all__ = [
    "ROW_FAULTS",
    "TABLES",
    "MarketRows",
    "RejectedRows",
    "columns_of",
    "row_of",
    "write_halving",
]

TABLES: Final[dict[type[msgspec.Struct], str]] = {
    Tick: "rl_ticks",
    ActorAction: "rl_actions",
    Intent: "rl_intents",
    ActorOrder: "rl_orders",
    ActorFill: "rl_fills",
    ActorPosition: "rl_positions",
    AccountVersion: "rl_account_versions",
}

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
    """A message as a row of its table."""
    return (stream_id, record_no, *msgspec.structs.astuple(message))


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
        await self._connection.copy_records_to_table(
            "rl_rejected_rows", records=self.rows, columns=_REJECTED_COLUMNS
        )
