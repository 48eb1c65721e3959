"""Fees and programs of a session's markets: recorded, loaded, archived, checked, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.journals import START_NS
from support.postgres import Database
from support.stored_sessions import book_events, loaded, record, same_sessions

from ipc.messages import MarketTerms, ProgramListed
from models.simulation.tape import RecordedSession
from models.trading.fees import FeeSource
from processes.adapters.parquet.archive import read_header
from processes.adapters.postgres.archives import ArchiveHeader, load_archive
from processes.adapters.postgres.sessions import SessionDataLoader, StoredMarket
from processes.recorder.sessions.__main__ import main

FIRST = ((0, "quadratic", 10_000),)
LAST = ((0, "quadratic_with_maker_fees", 10_000), (START_NS // 1_000_000 + 5, "flat", 5_000))
PROGRAM = ProgramListed(
    program_id="p1",
    market_ticker="KXTEST-1",
    kind="liquidity",
    description="d",
    start_ms=1,
    end_ms=900_001,
    reward_e6=20_000_000,
    paid_out=False,
    target_size_e2=30_000,
    discount_bps=5_000,
    most_per_account_e6=None,
    listed_ns=START_NS,
)


@pytest.fixture
def stored(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A session whose first market has fees and a program, both said twice; its second has none."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    events = book_events()
    said: tuple[Any, ...] = (
        MarketTerms(market_ticker="KXTEST-1", fees=FIRST),
        msgspec.structs.replace(PROGRAM, reward_e6=1),
        MarketTerms(market_ticker="KXTEST-1", fees=LAST),
        PROGRAM,
    )
    record(database, tmp_path, events, tickers=("KXTEST-1", "KXTEST-2"), marks=said)
    return database


def whole(loader: SessionDataLoader) -> Awaitable[list[RecordedSession]]:
    async def read() -> list[RecordedSession]:
        return await loader.load(await loader.session(1))

    return read()


def markets(loader: SessionDataLoader) -> Awaitable[list[StoredMarket]]:
    return loader.markets(1)


def test_the_last_word_is_kept_and_loaded(stored: Database) -> None:
    first, second = loaded(stored, markets)
    assert tuple(map(tuple, first.fees)) == LAST
    (program,) = first.programs
    wanted = msgspec.structs.asdict(PROGRAM)
    del wanted["market_ticker"]
    assert msgspec.structs.asdict(program) == wanted
    assert (second.fees, second.programs) == ([], [])
    (session,) = loaded(stored, whole)  # the second market has no events
    assert session.fees.source is FeeSource.EXCHANGE
    assert session.fees.at_ms(0).maker_rate_e6 == 17_500
    assert session.fees.at_ms(LAST[1][0]).is_flat


def test_an_archive_carries_both(stored: Database) -> None:
    before = loaded(stored, whole)
    assert main(["archive", "1", "--drop"]) == 0
    path = Path(stored.value("select archive_path from rl_orderbook_sessions"))
    assert same_sessions(load_archive(path), before)
    header = msgspec.json.decode(read_header(path), type=ArchiveHeader)
    assert [p.program_id for p in header.markets[0].programs] == ["p1"]


def test_the_header_of_an_older_archive_has_neither(stored: Database) -> None:
    assert main(["archive", "1"]) == 0
    path = Path(stored.value("select archive_path from rl_orderbook_sessions"))
    header = msgspec.json.decode(read_header(path))
    for market in header["markets"]:
        del market["fees"], market["programs"]
    old = msgspec.json.decode(msgspec.json.encode(header), type=ArchiveHeader)
    assert [(m.fees, m.programs) for m in old.markets] == [([], []), ([], [])]


def test_verify_says_how_many_markets_fees_are_assumed(
    stored: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "1"]) == 0
    assert "  fees assumed for 2 of 2 markets" in capsys.readouterr().out.splitlines()  # one flat
    assert main(["verify", "1", "--json"]) == 0
    (report,) = msgspec.json.decode(capsys.readouterr().out)
    assert report["assumed_fees"] == 2
    stored.fetch("delete from rl_session_fees where fee_type = 'flat'")
    assert main(["verify", "1"]) == 0
    assert "  fees assumed for 1 of 2 markets" in capsys.readouterr().out.splitlines()


def test_show_names_fees(stored: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "1"]) == 0
    out = capsys.readouterr().out
    assert "quadratic_with_maker_fees x1, from 20" in out
    assert "assumed" in out


def test_terms_that_cannot_be_charged_by_are_named(
    stored: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.fetch("update rl_session_fees set fee_type = 'by_the_hour'")
    with pytest.raises(Exception, match="KXTEST-1: unknown fee_type 'by_the_hour'"):
        loaded(stored, whole)
    assert main(["verify", "1"]) == 0
    assert "fees assumed for 2 of 2 markets" in capsys.readouterr().out


def test_a_deleted_session_leaves_nothing(stored: Database) -> None:
    counts: Callable[[], list[int]] = lambda: [  # noqa: E731
        stored.value(f"select count(*) from rl_session_{name}") for name in ("fees", "programs")
    ]
    assert counts() == [2, 1]
    assert main(["delete", "1", "--yes"]) == 0
    assert counts() == [0, 0]
