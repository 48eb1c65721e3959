"""A model runs only when its manifest fits this code and the file beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.made_models import make_model

from models.observation.builder import OBSERVATION_V1, OBSERVATION_V2
from models.policies.onnx import (
    DEFAULT_MODEL,
    MANIFEST_FILE,
    MODEL_FILE,
    ModelError,
    OnnxPolicy,
    load_strategy,
    model_folder,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model that a test may spoil."""
    return Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "models" / "mine"))


def rewrite(folder: Path, **fields: object) -> None:
    file = folder / MANIFEST_FILE
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | fields))


def observations(n: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(-1, 1, (n, OBSERVATION_V1.size)).astype(np.float32)


def test_one_observation_and_many_give_the_same(model: Path) -> None:
    policy = OnnxPolicy(model)
    many = observations(16)
    masks = np.ones((16, 5), np.bool_)
    together = policy.decide(many, masks)
    alone = [policy.decide(many[i : i + 1], masks[:1]) for i in range(16)]
    assert np.allclose(together.logits, np.concatenate([d.logits for d in alone]), atol=1e-5)
    values = [d.values for d in alone if d.values is not None]
    assert together.values is not None
    assert np.allclose(together.values, np.concatenate(values), atol=1e-5)
    assert together.actions.tolist() == [int(d.actions[0]) for d in alone]
    assert len({tuple(row) for row in together.logits.tolist()}) == 16
    assert len(set(together.values.tolist())) == 16


def test_a_forbidden_action_is_never_chosen(model: Path) -> None:
    policy = OnnxPolicy(model)
    for allowed in range(5):
        masks = np.zeros((8, 5), np.bool_)
        masks[:, allowed] = True
        assert set(policy.decide(observations(8), masks).actions.tolist()) == {allowed}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"observation_hash": "0" * 32}, rf"{'0' * 32}.*{OBSERVATION_V1.hash}"),
        (
            {"observation_schema": "OBSERVATION_V9"},
            "OBSERVATION_V9.*OBSERVATION_V1, OBSERVATION_V2",
        ),
        ({"action_hash": "f" * 32}, "f" * 32),
        ({"version": 99}, "99"),
        ({"onnx_sha256": "0" * 64}, MODEL_FILE),
        ({"pricing": "cheap"}, "cheap"),
        ({"seed": "one"}, "seed"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(
    model: Path, fields: dict[str, object], says: str
) -> None:
    rewrite(model, **fields)
    with pytest.raises(ModelError, match=says) as refused:
        OnnxPolicy(model)
    assert "\n" not in str(refused.value)


def test_a_graph_of_another_width_than_its_schema_s_is_refused(tmp_path: Path) -> None:
    facts = {"observation_schema": OBSERVATION_V2.name, "observation_hash": OBSERVATION_V2.hash}
    make_model(tmp_path, "narrow", schema=OBSERVATION_V1.name, **facts)
    with pytest.raises(ModelError, match=r"\[52\].* allowed: .*\[39\]"):
        load_strategy("onnx:narrow", data_dir=tmp_path)


def test_another_file_than_the_manifest_s_is_refused(model: Path) -> None:
    with (model / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=MODEL_FILE):
        OnnxPolicy(model)


@pytest.mark.parametrize("missing", [MANIFEST_FILE, MODEL_FILE])
def test_a_missing_file_is_named(model: Path, missing: str) -> None:
    (model / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        OnnxPolicy(model)


def test_models_live_in_the_data_folder_the_shipped_one_here(model: Path, tmp_path: Path) -> None:
    assert model_folder("default", tmp_path) == DEFAULT_MODEL
    copied = load_strategy("onnx:mine", data_dir=tmp_path)
    assert copied.model == "onnx:default", "a model is who its manifest says"
    with pytest.raises(ModelError, match="is not a name"):
        model_folder("../default", tmp_path)


def test_the_library_that_runs_models_reports_to_nobody(tmp_path: Path) -> None:
    """It would keep an id of the machine in the home folder, for what it reports to its maker."""
    code = "from models.policies.onnx import DEFAULT_MODEL, OnnxPolicy; OnnxPolicy(DEFAULT_MODEL)"
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    environ = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**environ, "HOME": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [*tmp_path.iterdir()] == []
