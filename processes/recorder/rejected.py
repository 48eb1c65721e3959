"""Bad rows: found by halving their batch, kept with their reason, and never in anyone's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import numpy as np
import numpy.typing as npt

from ipc.journal import JournalError

__all__ = ["ROW_FAULTS", "Rejected", "sift"]

# A row that can never go in, whatever is tried: not the server's fault, nor its table's.
ROW_FAULTS: Final = (
    JournalError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    TypeError,
    OverflowError,
)
_COLUMNS: Final = ("stream", "journal", "position", "reason", "record")

Write = Callable[[int, int], Awaitable[None]]


async def sift(connection: Any, number: int, write: Write) -> list[tuple[int, str]]:
    """`write(start, stop)` rows [0, number) in order -> (index, reason) of those that were refused.

    Inside the caller's transaction; a refused piece is rolled back and halved.
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


class Rejected:
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
            "rl_rejected_rows", records=self.rows, columns=_COLUMNS
        )
