"""What `make` does for the shipped model, without doing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from models.policies.baselines import BASELINES

ROOT = Path(__file__).resolve().parents[1]


def made(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_recordings_nothing_is_trained_and_the_folder_is_named(tmp_path: Path) -> None:
    done = made("train-default", f"RECORDINGS={tmp_path}/nowhere")
    assert done.returncode == 2
    assert f"no folder {tmp_path}/nowhere; RECORDINGS=<folder>" in done.stderr
    assert done.stdout == ""


def test_the_default_model_is_trained_exported_and_judged(tmp_path: Path) -> None:
    script = made("--dry-run", "train-default", f"RECORDINGS={tmp_path}").stdout
    places = [script.index(f"-m models.{step}") for step in ("train", "export_onnx", "evaluate")]
    assert places == sorted(places)
    assert "--out models/default" in script
    aside = made("--dry-run", "train-default", f"RECORDINGS={tmp_path}", "MODEL=mine").stdout
    assert "--out var/models/mine" in aside
    assert "--report var/training/mine/report" in aside
    assert "models/default" not in aside


def test_it_is_judged_against_every_baseline(tmp_path: Path) -> None:
    script = made("--dry-run", "train-default", f"RECORDINGS={tmp_path}").stdout
    code = script.split("python -c '")[-1].split("'")[0]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [f"--policy=baseline:{name}" for name in BASELINES]
