"""The command: from recordings, archives and names of policies to figures and a report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.made_recording import write_recording

from models import evaluate
from models.policies.baselines import BASELINES
from models.policies.onnx import DEFAULT_MODEL, MANIFEST_FILE, MODEL_FILE
from processes.adapters.kalshi.recordings.sessions import load_sessions
from processes.adapters.parquet.archive import ArchiveWriter
from processes.adapters.postgres.archives import ArchiveHeader
from processes.adapters.postgres.sessions import StoredMarket, StoredSession

HOLD, RANDOM = "baseline:hold", "baseline:random"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short markets."""
    folder = tmp_path_factory.mktemp("recordings")
    for n in range(2):
        start_ms = 1_785_930_000_000 + n * 60_000
        write_recording(folder, seconds=20, seed=n, ticker=f"KXMADE-{n}", start_ms=start_ms)
    return folder


@pytest.fixture
def archive(recordings: Path, tmp_path: Path) -> Path:
    """The same markets as the archive of one session."""
    sessions = load_sessions(recordings)
    tickers = [s.ticker for s in sessions]
    path = tmp_path / "session.parquet"
    session = StoredSession(
        *(7, "uid", sessions[0].environment.value, "closed", None, 1, 2, tickers),
        *(None, None, None, None, None, True),
    )
    markets = [
        StoredMarket(
            n + 1,
            s.ticker,
            [(r.start_e4, r.end_e4, r.step_e4) for r in s.grid.ranges],
            s.open_ms,
            s.close_ms,
        )
        for n, s in enumerate(sessions)
    ]
    header = msgspec.json.encode(ArchiveHeader(session, markets, []))
    with ArchiveWriter(path, header) as writer:
        last = 0
        for n, s in enumerate(sessions):
            events = s.events.copy()
            events["event_no"] = np.arange(last + 1, last + 1 + len(events))
            last += len(events)
            writer.write(events, np.full(len(events), n + 1, np.int32))
    return path


def judged(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The figures of a run that went well."""
    path = tmp_path / "figures.json"
    assert evaluate.main([*arguments, "--json", str(path), "--data-dir", str(tmp_path)]) == 0
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_the_terminal_the_figures_and_the_report_say_the_same(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2")
    out = tmp_path / "report"
    policies = ["--policy", RANDOM, "--policy", HOLD, "--pricing", "aggressive"]
    places = ["--recordings", str(recordings), "--report", str(out)]
    told = judged(tmp_path, *places, *policies)
    says = capsys.readouterr().out.splitlines()[0]
    assert (
        says
        == told["verdict"]
        == "baseline:random does not beat baseline:hold after fees (2 markets)"
    )
    assert (out / "report.md").read_text().splitlines()[0] == f"# {says}"
    assert f"<h1>{says}</h1>" in (out / "report.html").read_text()
    assert told["setting"]["markets"] == "2, of them 2 without a known result"
    for outcome in told["outcomes"]:
        assert outcome["tickers"] == ["KXMADE-0", "KXMADE-1"]
        parts = [sum(a.values()) for a in outcome["attribution"]]
        assert parts == outcome["net_e6"]


def test_by_default_the_shipped_model_meets_every_baseline(
    recordings: Path, tmp_path: Path
) -> None:
    told = judged(tmp_path, "--recordings", str(recordings))
    names = [o["policy"] for o in told["outcomes"]]
    assert names == ["onnx:default", *(f"baseline:{name}" for name in BASELINES)]
    assert told["may_be_promoted"] is False


def test_recordings_that_are_given_again_are_added(recordings: Path, tmp_path: Path) -> None:
    one, two = sorted(recordings.iterdir())
    places = ["--recordings", str(one), "--recordings", str(two)]
    policy = ["--policy", "baseline:hold"]
    assert judged(tmp_path, *places, *policy) == judged(
        tmp_path, "--recordings", str(recordings), *policy
    )


def test_a_policy_may_be_a_folder(recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    shutil.copytree(DEFAULT_MODEL, folder)
    where = ["--recordings", str(recordings)]
    told = judged(tmp_path, *where, "--policy", str(folder), "--policy", "onnx:default")
    mine, default = told["outcomes"]
    assert mine == default
    assert told["pairs"][0]["mean_low_high_dollars"] == [0, 0, 0]


def test_an_archive_is_judged_as_the_recording_is(
    recordings: Path, archive: Path, tmp_path: Path
) -> None:
    policies = ["--policy", RANDOM, "--policy", HOLD, "--pricing", "aggressive"]
    from_archive = judged(tmp_path, "--archive", str(archive), *policies)
    assert from_archive == judged(tmp_path, "--recordings", str(recordings), *policies)
    assert any(from_archive["outcomes"][0]["filled_e2"])


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (
            "nonsense",
            "unknown policy 'nonsense'; allowed: onnx:<id>, a model's folder",
        ),
        ("no/such/folder", "unknown policy 'no/such/folder'"),
        ("baseline:nonsense", "unknown strategy 'baseline:nonsense'"),
        ("onnx:nonsense", "model 'nonsense': no manifest.json"),
    ],
)
def test_a_policy_that_is_not_there_is_named(
    recordings: Path, policy: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--recordings", str(recordings), "--policy", policy]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"evaluate: {says}")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("spoiled", "says"), [(MANIFEST_FILE, "no manifest"), (MODEL_FILE, "sha")])
def test_a_folder_that_is_no_model_is_refused(
    recordings: Path, tmp_path: Path, spoiled: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(DEFAULT_MODEL, folder)
    if spoiled == MANIFEST_FILE:
        (folder / spoiled).unlink()
    else:
        (folder / spoiled).write_bytes(b"another")
    assert evaluate.main(["--recordings", str(recordings), "--policy", str(folder)]) == 2
    assert says in capsys.readouterr().err


def test_what_was_learned_from_is_left_out_or_reported(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(DEFAULT_MODEL, folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["split"]["train"] = ["KXMADE-0"]
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    arguments = ["--recordings", str(recordings), "--policy", str(folder)]
    told = judged(tmp_path, *arguments)
    assert told["outcomes"][0]["tickers"] == ["KXMADE-1"]
    assert told["setting"]["markets that a model learned from"] == "0"
    told = judged(tmp_path, *arguments, "--all")
    assert told["outcomes"][0]["tickers"] == ["KXMADE-0", "KXMADE-1"]
    assert told["setting"]["markets that a model learned from"] == "1"
    manifest["split"] = {"train": [], "validation": ["KXMADE-1"], "test": ["KXMADE-0"]}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert judged(tmp_path, *arguments)["outcomes"][0]["tickers"] == ["KXMADE-0"]
    manifest["split"] |= {"train": ["KXMADE-0"], "test": ["KXMADE-9"]}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert evaluate.main(arguments) == 2
    assert "the models learned from all 2 markets" in capsys.readouterr().err


@pytest.mark.parametrize("sources", [[], ["--recordings", "x", "--archive", "y"]])
def test_it_is_given_one_source(sources: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(sources)
    assert stopped.value.code == 2


def test_a_file_that_is_no_archive_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("no")
    assert evaluate.main(["--archive", str(path)]) == 2
    assert f"evaluate: {path}: cannot be read as an archive" in capsys.readouterr().err


def test_on_data_that_was_too_old_nothing_is_ordered(recordings: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    late.mkdir()
    for path in recordings.iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines[1:]:
            line["recv_ms"] += 700
        (late / path.name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    places = ["--recordings", str(late), "--policy", "baseline:market_maker", "--all"]

    def played(*more: str) -> tuple[str, float]:
        told = judged(tmp_path, *places, *more)
        (outcome,) = told["outcomes"]
        return told["setting"]["oldest data that is ordered on"], outcome["action_shares"]["HOLD"]

    assert played("--max-data-age-ms", "500") == ("500 ms", 1.0)
    age, held = played()
    assert (age, played("--max-data-age-ms", "off")) == ("1000 ms", ("any", held))
    assert held < 1.0
