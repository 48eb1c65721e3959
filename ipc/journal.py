"""The write-ahead log between a producer and the recorder.

Accepted means counted: an accepted record will be in PostgreSQL exactly once, whatever process dies
at any moment after. It survives the death of processes, not loss of power. A refusal (full, disk
error) is an answer, not an exception.

Below the data folder: `journal/<producer>/<run_uid>/{events-<first event>.seg, records-<first
byte>.log}`. The book's events are in `ipc.event_journal`, all other records in
`ipc.record_journal`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ipc.clock import NS_PER_S
from ipc.event_journal import (
    EVENT,
    EventReader,
    EventSegments,
    JournalError,
    Kind,
    Segment,
    events_of,
)
from ipc.record_journal import FramedReader, FramedWriter

__all__ = [
    "EVENT",
    "EventReader",
    "EventSegments",
    "FramedReader",
    "FramedWriter",
    "JournalError",
    "Kind",
    "Segment",
    "events_of",
    "list_streams",
    "new_stream_uid",
    "run_number",
    "stream_folder",
]


def new_stream_uid(started_ns: int, entropy: bytes) -> str:
    """Name one run of a producer.

    Args:
        started_ns: When it started, nanoseconds since the Unix epoch.
        entropy: 4 random bytes or more.

    Returns:
        A name such as `20260803T120000-1a2b3c4d`: names sort by start, and no two runs share one.
    """
    started = datetime.fromtimestamp(started_ns // NS_PER_S, UTC)
    return f"{started:%Y%m%dT%H%M%S}-{entropy[:4].hex()}"


def run_number(run_uid: str) -> int:
    """The number that the messages of a run carry: the drawn part of its name."""
    return int(run_uid.rpartition("-")[2], 16)


def stream_folder(data_dir: Path, producer: str, run_uid: str) -> Path:
    """The folder into which one run of a producer writes its journal."""
    return data_dir / "journal" / producer / run_uid


def list_streams(data_dir: Path) -> list[tuple[str, str, Path]]:
    """List every journal below a data folder as (producer, run_uid, folder).

    Sorted by name, so the oldest run of each producer comes first.
    """
    top = data_dir / "journal"
    found = [p for p in top.glob("*/*") if p.is_dir()] if top.is_dir() else []
    return [(p.parent.name, p.name, p) for p in sorted(found)]
