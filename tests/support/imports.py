"""Recordings imported by the command, and compared with what they hold, read frame by frame."""

from __future__ import annotations

from pathlib import Path

from support.postgres import Database
from support.stored_sessions import loaded, same_sessions

from ipc.journal import Kind
from models.simulation.tape import RecordedSession
from processes.adapters.kalshi.recordings import read_frames, recording_files
from processes.adapters.kalshi.recordings.sessions import load_sessions
from processes.adapters.kalshi.schemas.frames import Delta, Frame, Snapshot, Trade
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.postgres.archives import load_archive
from processes.adapters.postgres.sessions import SessionDataLoader, StoredSession
from processes.recorder.sessions.__main__ import main
from processes.recorder.sessions.books import SessionReport, check_session

__all__ = [
    "FIELDS",
    "assert_archive_equal",
    "assert_holds_recording",
    "every_record",
    "imported",
    "newest",
]

FIELDS = ["recv_ns", "exch_ms", "count_e2", "seq", "kind", "leg", "price_e4"]
Record = tuple[int, ...]  # in the order of FIELDS


def every_record(path: Path) -> dict[str, list[Record]]:
    """Each market's records with no rule applied: one for every frame, believed or not."""
    found: dict[str, list[Record]] = {}
    for file in recording_files(path):
        for recorded in read_frames(file):
            frame = recorded.frame
            if isinstance(frame, Delta | Trade | Snapshot):
                mine = found.setdefault(frame.msg.market_ticker, [])
                mine += _records(frame, recorded.recv_ms * 10**6)
    return found


def _records(frame: Frame, recv_ns: int) -> list[Record]:
    if isinstance(frame, Snapshot):
        levels = [part.tolist() for part in levels_of_snapshot(frame.msg)]
        rows = [(c, Kind.SNAPSHOT_LEVEL, s, p) for s, p, c in zip(*levels, strict=True)]
        ends = [(len(rows), kind, 0, 0) for kind in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END)]
        return [(recv_ns, 0, n, frame.seq, *rest) for n, *rest in (ends[0], *rows, ends[1])]
    assert isinstance(frame, Delta | Trade)
    kind = Kind.DELTA if isinstance(frame, Delta) else Kind.TRADE
    change = change_of_delta(frame.msg) if isinstance(frame, Delta) else trade_of(frame.msg)
    side, price_e4, qty_e2 = change
    ms = exchange_ms(frame.msg.ts_ms, frame.msg.ts)
    return [(recv_ns, ms, qty_e2, frame.seq, kind, side, price_e4)]


def newest(database: Database) -> StoredSession:
    async def read(loader: SessionDataLoader) -> StoredSession:
        return (await loader.sessions())[0]

    return loaded(database, read)


def imported(database: Database, path: Path, *options: str) -> tuple[StoredSession, SessionReport]:
    """The session that a recording became, and what `verify` finds in it."""
    assert main(["import", str(path), *options]) == 0
    session = newest(database)
    report = loaded(database, lambda loader: check_session(loader, session.session_id))
    return session, report


def assert_holds_recording(database: Database, session: StoredSession, path: Path) -> None:
    """Every market's events are those of the recording, in their order, whole; both ways in."""
    records = every_record(path)
    found = {s.ticker: s for s in loaded(database, lambda loader: loader.load(session))}
    parts: dict[str, list[RecordedSession]] = {}
    for part in load_sessions(path):
        parts.setdefault(part.ticker, []).append(part)
    assert found.keys() == parts.keys() == records.keys()
    for ticker, recorded in parts.items():
        events = [event for part in recorded for event in part.events[FIELDS].tolist()]
        assert events == records[ticker], ticker
        assert found[ticker].events[FIELDS].tolist() == events, ticker
        lives = [(m.open_ms, m.close_ms, m.yes_value_e4) for m in (found[ticker], recorded[0])]
        assert lives[0] == lives[1], ticker


def assert_archive_equal(database: Database, session: StoredSession) -> None:
    """Archive -> loader = database -> loader = archive without a database."""
    before = loaded(database, lambda loader: loader.load(session))
    number = str(session.session_id)
    assert main(["archive", number, "--drop"]) == 0
    after = newest(database)
    assert not after.stored
    assert after.archive_path is not None
    assert same_sessions(loaded(database, lambda loader: loader.load(after)), before)
    assert same_sessions(load_archive(Path(after.archive_path)), before)
