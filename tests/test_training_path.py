"""Train, export, judge: the command lines from a recording to a model that runs live."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from support.made_models import linear_graph
from support.made_recording import write_recording

from models import evaluate, export_onnx, train
from models.learning import export
from models.observation.schema import OBSERVATION_V1
from models.policies.onnx import (
    DEFAULT_MODEL,
    MANIFEST_FILE,
    MODEL_FILE,
    ModelError,
    OnnxPolicy,
    load_strategy,
)

pytestmark = pytest.mark.train

pytest.importorskip("stable_baselines3")
torch = pytest.importorskip("torch")
STEPS = 40_000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three markets, one after the other."""
    folder = tmp_path_factory.mktemp("recordings")
    for n in range(3):
        write_recording(
            folder,
            seconds=60,
            seed=n,
            ticker=f"KXMADE-{n}",
            start_ms=1_785_930_000_000 + n * 60_000,
        )
    return folder


@pytest.fixture(scope="module")
def run(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run."""
    out = tmp_path_factory.mktemp("run")
    arguments = ["--recordings", str(recordings), "--timesteps", str(STEPS), "--out", str(out)]
    assert train.main([*arguments, "--seed", "3"]) == 0
    return out


@pytest.fixture
def model(run: Path, tmp_path: Path) -> Path:
    """The run's policy, exported into a data folder."""
    out = tmp_path / "models" / "made"
    assert export_onnx.main([str(run / "model.zip"), "--out", str(out)]) == 0
    return out


def test_an_exported_run_decides_and_says_what_it_was_made_of(
    run: Path, model: Path, tmp_path: Path
) -> None:
    policy = load_strategy("onnx:made", data_dir=tmp_path)
    assert isinstance(policy, OnnxPolicy)
    manifest = policy.manifest
    assert manifest.split["train"] == ("KXMADE-0", "KXMADE-1")
    assert manifest.split["validation"] == ("KXMADE-2",)
    assert manifest.environments == ("production",)
    assert manifest.timesteps >= STEPS
    assert manifest.max_difference < export.MAX_DIFFERENCE
    assert manifest.evaluation["markets"] == 1
    seen = np.load(run / "observations.npy")
    decided = policy.decide(seen, np.ones((len(seen), 5), np.bool_))
    assert len(np.unique(decided.logits, axis=0)) > len(seen) // 2


def test_an_exported_graph_names_tanh(model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    kinds = [node.op_type for node in onnx.load(model / MODEL_FILE).graph.node]
    assert kinds.count("Tanh") == 4
    assert "Sigmoid" not in kinds


def test_an_export_says_nothing_of_the_machine_it_was_made_on(model: Path) -> None:
    data = (model / MODEL_FILE).read_bytes()
    assert b".py" not in data
    assert b"site-packages" not in data
    shipped = (DEFAULT_MODEL / MODEL_FILE).read_bytes()
    assert b".py" not in shipped


def test_a_model_is_judged_on_what_it_did_not_learn_from(
    recordings: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    judged = ["--policy", "onnx:made", "--policy", "baseline:random"]
    places = ["--recordings", str(recordings), "--data-dir", str(tmp_path), "--json", str(figures)]
    code = evaluate.main([*places, *judged])
    assert code == 0
    told = json.loads(figures.read_text())
    assert [len(o["net_e6"]) for o in told["outcomes"]] == [1, 1]
    assert "onnx:made" in capsys.readouterr().out


def test_an_export_that_differs_leaves_no_model(
    run: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "MAX_DIFFERENCE", 0.0)
    assert export_onnx.main([str(run / "model.zip"), "--out", str(model)]) == 2
    assert "differs by" in capsys.readouterr().err
    assert not (model / MANIFEST_FILE).exists()
    assert (model / MODEL_FILE).exists()


def test_an_export_that_prefers_another_action_is_refused(tmp_path: Path) -> None:
    """However small the difference: two logits that are all but the same."""
    graph, size = tmp_path / "graph.onnx", OBSERVATION_V1.size
    graph.write_bytes(linear_graph(size, (5e-5, 0, 0, 0, 0)))
    observations = np.zeros((export.LEAST_OBSERVATIONS, size), np.float32)
    for logits, refused in (((5e-5, 2e-5, 0, 0, 0), False), ((0, 5e-5, 0, 0, 0), True)):
        rows = torch.tensor(logits).repeat(len(observations), 1)
        trained = (rows, torch.zeros(len(observations), 1))
        with pytest.raises(ModelError, match="prefers other") if refused else nullcontext():
            export.check_export(graph, lambda _, told=trained: told, observations)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recordings", "nowhere"], "nowhere"),
        (["--train-share", "1.5"], "train-share"),
        (["--timesteps", "0"], "timesteps"),
        (["--resume"], "nothing to resume"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--rolling", "2"], "1 markets after those of train make no 2 blocks"),
    ],
)
def test_arguments_that_mean_nothing_are_named(
    recordings: Path,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    standard = ["--recordings", str(recordings), "--out", str(tmp_path / "out")]
    assert train.main([*standard, *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
