"""Book events in PostgreSQL's binary COPY format; numpy encodes at a third of the cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc.journal import EVENT

__all__ = ["COLUMNS", "copy_events", "encode_events", "make_partition", "partition_of"]

COLUMNS: Final = (  # name, bytes
    ("session_id", 8),
    ("event_no", 8),
    ("recv_ns", 8),
    ("exch_ms", 8),
    ("seq", 8),
    ("market_id", 4),
    ("price_e4", 4),
    ("qty_e2", 4),
    ("kind", 2),
    ("side", 2),
)
_SOURCE: Final = {"price_e4": "price", "qty_e2": "qty"}  # the journal's names where they differ
_GIVEN: Final = ("session_id", "market_id")  # not in the journal's record
_OUT: Final = np.dtype(
    [("fields", ">i2")]
    + [part for name, size in COLUMNS for part in ((f"len_{name}", ">i4"), (name, f">i{size}"))]
)
_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL: Final = b"\xff\xff"


def encode_events(
    events: npt.NDArray[np.void], session_id: int, market_ids: npt.NDArray[np.int32]
) -> bytes:
    """Journal records -> the bytes of a COPY; `market_ids` has one entry a record."""
    if events.dtype != EVENT:
        raise ValueError(f"events of another layout: {events.dtype}")
    out = np.empty(len(events), _OUT)
    out["fields"] = len(COLUMNS)
    for name, size in COLUMNS:
        out[f"len_{name}"] = size
        if name not in _GIVEN:
            out[name] = events[_SOURCE.get(name, name)]
    out["session_id"] = session_id
    out["market_id"] = market_ids
    return _HEAD + out.tobytes() + _TAIL


def partition_of(session_id: int) -> str:
    """The table that holds one session's events."""
    return f"rl_book_events_s{session_id}"


def make_partition(session_id: int) -> str:
    """DDL for a session's partition. Attached: creating it in place would wait for readers."""
    name = partition_of(session_id)
    return (
        f"create table {name} (like rl_book_events including all); "
        f"alter table rl_book_events attach partition {name} for values in ({session_id})"
    )


async def copy_events(connection: Any, session_id: int, data: bytes) -> None:
    """COPY encoded events into their session's partition, inside the caller's transaction."""
    await connection.copy_to_table(
        partition_of(session_id),
        source=_once(data),  # bytes themselves would be taken for a path
        columns=[name for name, _ in COLUMNS],
        format="binary",
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
