"""Book events in PostgreSQL: packed into 32 bytes of columns, in and out by binary COPY.

`rl_packed_events` says what shares a column with what; the view `rl_book_events` unpacks for SQL,
this module for arrays. numpy encodes at a third of the cost of a row at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS
from ipc.journal import EVENT, Kind
from processes.adapters.postgres.database import while_open

__all__ = [
    "MAX_EVENT_NO",
    "SHARED_EVENTS",
    "copy_events",
    "decode_events",
    "encode_events",
    "key_of",
    "partition_of",
    "table_of",
    "unfit",
]

EVENT_BITS: Final = 40
MARKET_BITS: Final = 28
PRICE_BITS: Final = 14
MAX_EVENT_NO: Final = 2**EVENT_BITS - 1
KINDS: Final = len(Kind)
MAX_LAG_MS: Final = 2**15 - 1
SHARED_EVENTS: Final = "rl_shared_events"  # of small sessions that have ended

Events = npt.NDArray[np.void]
Markets = npt.NDArray[np.int32]

_COLUMNS: Final = (  # name, bytes
    ("event_key", 8),
    ("recv_ns", 8),
    ("seq", 4),
    ("qty_e2", 4),
    ("market_kind", 4),
    ("price_side", 2),
    ("exch_lag_ms", 2),
    ("exch_ms", 8),
)
_READ: Final = (  # of the query `packed_events`
    ("event_key", 8),
    ("recv_ns", 8),
    ("exch_ms", 8),
    ("seq", 4),
    ("qty_e2", 4),
    ("market_kind", 4),
    ("price_side", 2),
)
_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL: Final = b"\xff\xff"


def _layout(columns: tuple[tuple[str, int], ...]) -> np.dtype[np.void]:
    """One row of a binary COPY: the number of fields, then each behind its length."""
    named = [part for n, size in columns for part in ((f"len_{n}", ">i4"), (n, f">i{size}"))]
    return np.dtype([("fields", ">i2"), *named])


_IN: Final = _layout(_COLUMNS)
_OUT: Final = _layout(_READ)
_PLACES: Final = {  # bytes of a row
    name: slice(place[1], place[1] + place[0].itemsize)
    for name, place in (_IN.fields or {}).items()
}


def key_of(session_id: int, event_no: int) -> int:
    """What `event_key` holds: a session's keys are neighbours, in the order of its events."""
    return session_id << EVENT_BITS | event_no


def unfit(events: Events, market_ids: Markets) -> list[tuple[int, str]]:
    """Find the events that have no place in the table.

    Args:
        events: Array of `EVENT`.
        market_ids: int32, the market of each; 0 for a row that was never listed.

    Returns:
        (index, reason) of each, ascending; only the first reason of an event.
    """
    price, number = events["price_e4"], events["event_no"]
    checks = (
        (market_ids == 0, "row", "was not listed"),
        (market_ids >= 1 << MARKET_BITS, "row", f"is of a market beyond {1 << MARKET_BITS}"),
        ((number < 1) | (number > MAX_EVENT_NO), "event_no", f"allowed: 1 to {MAX_EVENT_NO}"),
        (
            (price < 0) | (price >= 1 << PRICE_BITS),
            "price_e4",
            f"allowed: 0 to {2**PRICE_BITS - 1}",
        ),
        (events["leg"] > 1, "leg", "allowed: 0, 1"),
        ((events["kind"] < 1) | (events["kind"] > KINDS), "kind", f"allowed: 1 to {KINDS}"),
        (events["recv_ns"] < 0, "recv_ns", "allowed: 0 and more"),
    )
    found: dict[int, str] = {}
    for bad, name, why in checks:
        for i in np.flatnonzero(bad):
            found.setdefault(int(i), f"{name}={events[name][i]} {why}")
    return sorted(found.items())


def encode_events(events: Events, session_id: int, market_ids: Markets) -> bytes:
    """Encode journal records as the bytes of a binary COPY.

    Args:
        events: Array of `EVENT`, of which `unfit` finds none.
        session_id: Of all of them.
        market_ids: int32, the market of each.

    Raises:
        ValueError: The records are of another layout.
    """
    if events.dtype != EVENT:
        raise ValueError(f"events of another layout: {events.dtype}")
    out = np.empty(len(events), _IN)
    out["fields"] = len(_COLUMNS)
    for name, size in _COLUMNS:
        out[f"len_{name}"] = size
    out["event_key"] = events["event_no"] | session_id << EVENT_BITS
    out["recv_ns"] = events["recv_ns"]
    out["seq"] = events["seq"].view(np.int32)
    out["qty_e2"] = events["count_e2"]
    out["market_kind"] = events["kind"].astype(np.int32) << MARKET_BITS | market_ids
    out["price_side"] = events["leg"].astype(np.int16) << PRICE_BITS | events["price_e4"]
    lag = events["recv_ns"] // NS_PER_MS - events["exch_ms"]
    known, near = events["exch_ms"] != 0, np.abs(lag) <= MAX_LAG_MS
    out["exch_lag_ms"] = np.where(near, lag, 0)
    out["exch_ms"] = events["exch_ms"]
    absent = {"exch_lag_ms": ~(known & near), "exch_ms": ~known | near}
    return _HEAD + _without(out, absent) + _TAIL


def _without(out: npt.NDArray[np.void], absent: dict[str, npt.NDArray[np.bool_]]) -> bytes:
    """The rows' bytes, where a NULL is a length of -1 and no value."""
    raw = out.view(np.uint8).reshape(len(out), _IN.itemsize)
    keep = np.ones(raw.shape, np.bool_)
    for name, null in absent.items():
        out[f"len_{name}"][null] = -1
        keep[:, _PLACES[name]] = ~null[:, None]
    alike = len(keep) > 0 and all(null.all() or not null.any() for null in absent.values())
    return (raw[:, keep[0]] if alike else raw[keep]).tobytes()


def decode_events(data: bytes | bytearray) -> tuple[Events, Markets]:
    """Decode the bytes of a binary COPY of the query `packed_events`.

    Returns:
        (journal records in the order of the rows, int32 market of each).

    Raises:
        ValueError: The bytes are not whole rows.
    """
    rows = np.frombuffer(data, _OUT, offset=len(_HEAD), count=_rows_in(data))
    key = rows["event_key"].astype(np.int64)
    events = np.zeros(len(rows), EVENT)
    events["event_no"] = key & MAX_EVENT_NO
    for name in ("recv_ns", "exch_ms"):
        events[name] = rows[name]
    events["seq"] = rows["seq"].astype(np.int32).view(np.uint32)
    events["count_e2"] = rows["qty_e2"]
    market_kind, price_side = rows["market_kind"].astype(np.int32), rows["price_side"]
    events["kind"] = market_kind >> MARKET_BITS
    events["price_e4"] = price_side & (1 << PRICE_BITS) - 1
    events["leg"] = price_side >> PRICE_BITS
    return events, market_kind & (1 << MARKET_BITS) - 1


def _rows_in(data: bytes | bytearray) -> int:
    rows, rest = divmod(len(data) - len(_HEAD) - len(_TAIL), _OUT.itemsize)
    if rest:
        raise ValueError(f"{len(data)} bytes are not whole rows of {_OUT.itemsize}")
    return rows


def partition_of(session_id: int) -> str:
    """The table that holds one session's events."""
    return f"rl_packed_events_s{session_id}"


def table_of(session_id: int, *, shared: bool) -> str:
    """The table to read a session's events from; a query that names it locks no other."""
    return SHARED_EVENTS if shared else partition_of(session_id)


async def copy_events(connection: Any, session_id: int, data: bytes) -> None:
    """COPY encoded events into their session's partition, inside the caller's transaction."""
    copy = connection.copy_to_table(
        partition_of(session_id),
        source=_once(data),  # bytes themselves would be taken for a path
        columns=[name for name, _ in _COLUMNS],
        format="binary",
    )
    await while_open(connection, copy)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
