"""What the local exchange replays: recordings, archives, folders and globs of them, sessions."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.exchange import running_exchange
from support.patience import eventually
from support.postgres import Database
from support.stored_sessions import book_events, record

from ipc.journal import Kind
from models.simulation.tape import RecordedSession
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.postgres.archives import load_archive
from processes.exchange.replay.sources import check_replay, replay_sources
from processes.exchange.replay.stored import sources_of
from processes.recorder.sessions.__main__ import main
from processes.runtime.config import ConfigError, load_settings

TICKERS = ("KXTEST-1", "KXTEST-2")


@pytest.fixture
def archive(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session of two markets in the database, and its archive."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    events = np.concatenate([book_events(row=0), book_events(row=1)])
    events["event_no"] = np.arange(1, len(events) + 1)
    record(database, tmp_path, events, tickers=TICKERS)
    assert main(["archive", "1"]) == 0
    return Path(database.value("select archive_path from rl_orderbook_sessions"))


def changes_in(session: RecordedSession) -> list[tuple[object, ...]]:
    """What its events do, in words of frames."""
    found: list[tuple[object, ...]] = []
    levels: list[tuple[int, int, int]] = []
    for event in session.events:
        what = tuple(int(event[name]) for name in ("leg", "price_e4", "count_e2"))
        match int(event["kind"]):
            case Kind.SNAPSHOT_BEGIN:
                levels = []
            case Kind.SNAPSHOT_LEVEL:
                levels.append(what)
            case Kind.SNAPSHOT_END:
                found.append(("snapshot", *sorted(levels)))
            case Kind.DELTA:
                found.append(("delta", what))
            case Kind.TRADE:
                found.append(("trade", False, what))
            case Kind.BLOCK_TRADE:
                found.append(("trade", True, what))
    return found


def changes_of(session: RecordedSession) -> list[tuple[object, ...]]:
    """The same, of the frames that they become."""
    (source,) = sources_of(Path("1"), [session])
    found: list[tuple[object, ...]] = []
    for recorded in source.frames():
        match recorded.frame:
            case Snapshot(msg=msg):
                rows = zip(*(column.tolist() for column in levels_of_snapshot(msg)), strict=True)
                found.append(("snapshot", *sorted(rows)))
            case Delta(msg=msg):
                found.append(("delta", change_of_delta(msg)))
            case Trade(msg=msg):
                found.append(("trade", msg.is_block_trade, trade_of(msg)))
    return found


def test_frames_do_what_their_events_did(archive: Path) -> None:
    for session in load_archive(archive):
        events = session.events.copy()
        trade = events[-1:].copy()
        trade["kind"], trade["event_no"], trade["price_e4"] = Kind.TRADE, len(events) + 1, 5_200
        block = trade.copy()
        block["kind"], block["event_no"] = Kind.BLOCK_TRADE, len(events) + 2
        traded = msgspec.structs.replace(session, events=np.concatenate([events, trade, block]))
        wanted = changes_in(traded)
        assert len(wanted) == 6
        assert changes_of(traded) == wanted


WAYS = {
    "session": "1",
    "uid": "s1",
    "latest": "latest",
    "archive": "{archive}",
    "folder": "{archive.parent}",
    "glob": "{archive.parent}/*.parquet",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_name_it_gives_the_same_markets(archive: Path, way: str) -> None:
    settings = load_settings(
        {
            "RL_EXCHANGE_REPLAY": WAYS[way].format(archive=archive),
            "RL_DATA_DIR": str(archive.parent.parent),
            "DATABASE_URL": _url(),
        }
    )
    check_replay(settings)
    sources = asyncio.run(replay_sources(settings, asyncio.Event()))
    assert [source.markets[0].ticker for source in sources] == list(TICKERS)


def _url() -> str:
    return os.environ["DATABASE_URL"]


def test_an_archive_is_replayed(archive: Path, tmp_path: Path) -> None:
    replay = {"RL_EXCHANGE_REPLAY": str(archive), "RL_EXCHANGE_SPEED": "10"}
    with running_exchange(tmp_path / "exchange-data", **replay) as exchange:
        eventually(
            lambda: {m["ticker"] for m in exchange.get("/markets")["markets"]} == set(TICKERS),
            "its markets are listed",
        )


@pytest.mark.parametrize(
    ("named", "says"),
    [("99", "session '99' is not stored"), ("*.parquet", "nothing of that pattern")],
)
def test_what_is_not_there_is_named(archive: Path, named: str, says: str) -> None:
    settings = load_settings({"RL_EXCHANGE_REPLAY": named, "DATABASE_URL": _url()})
    with pytest.raises(ConfigError, match=says):
        asyncio.run(replay_sources(settings, asyncio.Event()))
