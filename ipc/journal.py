"""The write-ahead log between a producer and the recorder.

Accepted means counted: an accepted record will be in PostgreSQL exactly once, whatever process dies
at any moment after. It survives the death of processes, not loss of power. A refusal (full, disk
error) is an answer, not an exception.

Below the data folder: `journal/<producer>/<run_uid>/{events-<first event>.seg,
marks-<first byte>.log}`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

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
    "stream_folder",
]


def new_stream_uid(started_ns: int, entropy: bytes) -> str:
    """The name of one run of a producer: sorts by start, and no two are the same."""
    started = datetime.fromtimestamp(started_ns // 1_000_000_000, UTC)
    return f"{started:%Y%m%dT%H%M%S}-{entropy[:4].hex()}"


def stream_folder(data_dir: Path, producer: str, run_uid: str) -> Path:
    """Where a producer's run writes."""
    return data_dir / "journal" / producer / run_uid


def list_streams(data_dir: Path) -> list[tuple[str, str, Path]]:
    """(producer, run_uid, folder) of every journal, oldest first by name."""
    top = data_dir / "journal"
    found = [p for p in top.glob("*/*") if p.is_dir()] if top.is_dir() else []
    return [(p.parent.name, p.name, p) for p in sorted(found)]
