"""Markets to learn from, out of the database and out of archives, by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.postgres import Database
from support.stored_sessions import book_events, record, same_sessions
from support.training_sessions import market

from ipc.messages import Environment
from models import train
from models.learning.splits import Split
from models.simulation.tape import RecordedSession, SessionError
from processes.adapters.postgres.archives import load_archive
from processes.adapters.postgres.stored_markets import load_stored
from processes.recorder.sessions.__main__ import main as sessions


@pytest.fixture
def environ(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a stack with this database, set."""
    variables = {"DATABASE_URL": database.dsn, "RL_DATA_DIR": str(tmp_path)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def stored(database: Database, tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """1 and 2 simulated on 5 and 6 August, 3 of demo on the 6th, 4 still active."""
    days = ("2026-08-05T08:00", "2026-08-06T08:00", "2026-08-06T09:00", "2026-08-07T08:00")
    for number, begins in enumerate(days, 1):
        events = market(begins, seed=number).events
        events["seq"] = events["event_no"]
        record(
            database,
            tmp_path,
            events,
            uid=f"uid-{number}",
            tickers=(f"KXMADE-{number}",),
            environment=Environment.DEMO if number == 3 else Environment.SIMULATED,
            ends=number != 4,
        )
    return environ


def tickers(found: list[RecordedSession]) -> list[str]:
    return sorted(s.ticker for s in found)


def test_sessions_are_chosen_by_number_uid_and_environment(stored: dict[str, str]) -> None:
    assert tickers(load_stored(stored, ["1", "uid-3"])) == ["KXMADE-1", "KXMADE-3"]
    assert tickers(load_stored(stored, ["1", "uid-1"])) == ["KXMADE-1"]
    assert tickers(load_stored(stored, ["all"])) == ["KXMADE-1", "KXMADE-2", "KXMADE-3"]
    assert tickers(load_stored(stored, ["all"], "simulated")) == ["KXMADE-1", "KXMADE-2"]
    assert tickers(load_stored(stored, ["latest"])) == ["KXMADE-4"]
    said = r"session 'x' is not stored; allowed: latest, all, id, uid \(newest ids: 4, 3"
    with pytest.raises(SessionError, match=said):
        load_stored(stored, ["x"])


def test_the_command_line_takes_sessions_and_archives(
    stored: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    asked: list[Split] = []

    def learn(split: Split, *_: object, **__: object) -> None:
        asked.append(split)
        raise ValueError("enough")

    monkeypatch.setattr(train, "train", learn)
    out = ["--out", str(tmp_path / "out")]
    of_one = ["--session", "all", "--environment", "simulated"]
    assert train.main([*out, *of_one]) == 2
    assert asked[0].as_names() == {"train": ("KXMADE-1",), "validation": ("KXMADE-2",), "test": ()}
    assert sessions(["archive", "1", "2"]) == 0
    archives = [str(tmp_path / "archive" / f"uid-{n}.parquet") for n in (2, 1)]
    assert train.main([*out, "--archive", *archives]) == 2
    for part in ("train", "validation"):
        one, other = getattr(asked[0], part), getattr(asked[1], part)
        assert same_sessions(list(one), list(other))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--session", "all"], "markets of demo and simulated are not mixed"),
        (["--session", "9"], "session '9' is not stored"),
        (["--session", "1", "--since", "2026-08-06"], "none of 1 markets"),
        (["--archive", "nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_what_is_not_there_is_named(
    stored: dict[str, str],
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train.main(["--out", str(tmp_path / "out"), *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_session_with_missing_events_teaches_nothing(
    database: Database, tmp_path: Path, environ: dict[str, str]
) -> None:
    events = book_events()
    keep = np.arange(len(events)) != 2
    record(database, tmp_path, events[keep], uid="holed")
    with pytest.raises(SessionError, match="1 event numbers are missing"):
        load_stored(environ, ["holed"])
    pytest.importorskip("pyarrow")
    assert sessions(["archive", "1"]) == 0
    with pytest.raises(SessionError, match="1 event numbers are missing"):
        load_archive(tmp_path / "archive" / "holed.parquet")
