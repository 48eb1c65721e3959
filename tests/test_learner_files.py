"""Files of a training that a stranger made: nothing in them is run, whatever reads them."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_recording import write_recording

pytestmark = pytest.mark.train

torch = pytest.importorskip("torch")
sb3 = pytest.importorskip("stable_baselines3")

from models import export_onnx, train  # noqa: E402
from models.learning import learner_file  # noqa: E402
from models.learning.learner_file import LearnerFileError, load_learner, read_run  # noqa: E402
from models.research import tries  # noqa: E402

WEIGHTS, OPTIMIZER, VARIABLES = "policy.pth", "policy.optimizer.pth", "pytorch_variables.pth"
LEARN = ["--timesteps", "2048", "--n-envs", "4", "--stages", "2", "--seed", "3"]
SPLIT = ["--train-share", "0.34", "--validation-share", "0.33"]


class Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six markets, one after the other: two for each part of the split."""
    folder = tmp_path_factory.mktemp("recordings")
    for n in range(6):
        start_ms = 1_785_930_000_000 + n * 60_000
        write_recording(folder, seconds=60, seed=n, ticker=f"KXMADE-{n}", start_ms=start_ms)
    return folder


@pytest.fixture(scope="module")
def trained(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of our own."""
    out = tmp_path_factory.mktemp("run")
    assert train.main(["--recordings", str(recordings), "--out", str(out), *LEARN, *SPLIT]) == 0
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that would be there had anything been run."""
    return tmp_path / "was-here"


Spoil = Callable[[Path, Path], None]


def with_entry(path: Path, name: str, data: bytes) -> None:
    """The same zip with another content of one entry."""
    with zipfile.ZipFile(path) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()} | {name: data}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)


def torch_file(mark: Path, folder: Path) -> bytes:
    """As torch writes it, with a pickle that does more than tensors."""
    path = folder / "saved.pth"
    torch.save({"action_net.weight": Touch(mark)}, path)
    return path.read_bytes()


def evil_settings(path: Path, mark: Path) -> None:
    """stable-baselines3's `data`: JSON with a pickle in it."""
    with zipfile.ZipFile(path) as archive:
        data = json.loads(archive.read("data"))
    serialized = base64.b64encode(pickle.dumps(Touch(mark))).decode()
    data["lr_schedule"] = {":type:": "<class 'function'>", ":serialized:": serialized}
    with_entry(path, "data", json.dumps(data).encode())


def evil_entry(name: str) -> Spoil:
    return lambda path, mark: with_entry(path, name, torch_file(mark, mark.parent))


def evil_old_entry(path: Path, mark: Path) -> None:
    """As torch wrote it long ago: pickles one after the other."""
    magic, protocol = 0x1950A86A20F9469CFC6C, 1001
    parts = (magic, protocol, {}, Touch(mark), [])
    with_entry(path, WEIGHTS, b"".join(pickle.dumps(part, 2) for part in parts))


def evil_file(path: Path, mark: Path) -> None:
    """No zip at all."""
    path.write_bytes(pickle.dumps(Touch(mark)))


ALL = {
    "settings": evil_settings,
    "weights": evil_entry(WEIGHTS),
    "old weights": evil_old_entry,
    "optimizer": evil_entry(OPTIMIZER),
    "variables": evil_entry(VARIABLES),
    "a pickle": evil_file,
}
NEVER_READ = ("settings", "variables")  # what else such a zip holds


def one_line(capsys: pytest.CaptureFixture[str], command: str, file: str) -> str:
    """What was said: one line of a command about a file."""
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    assert said.startswith(f"{command}: ")
    assert file in said
    return said


def test_a_spoilt_file_would_run_what_it_holds(run: Path, mark: Path) -> None:
    """Read the usual way: that the other tests see nothing run is not for want of a pickle."""
    evil_settings(run / "model.zip", mark)
    sb3.PPO.load(run / "model.zip")
    assert mark.exists()
    mark.unlink()
    path = run / "observations.npy"
    np.save(path, np.array([Touch(mark)], object), allow_pickle=True)
    np.load(path, allow_pickle=True)
    assert mark.exists()
    mark.unlink()
    path.write_bytes(torch_file(mark, run))
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("form", ALL)
@pytest.mark.sample(2)
def test_an_export_runs_nothing(
    form: str, run: Path, mark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ALL[form](run / "model.zip", mark)
    code = export_onnx.main([str(run / "model.zip"), "--out", str(run / "out")])
    assert not mark.exists()
    if form in (*NEVER_READ, "optimizer"):
        assert code == 0
        assert (run / "out" / "manifest.json").exists()
    else:
        assert code == 2
        said = one_line(capsys, "export", f"{run / 'model.zip'}: {WEIGHTS} cannot be read")
        assert "allowed: a zip that models.train wrote" in said


@pytest.mark.parametrize("form", ALL)
@pytest.mark.sample(2)
def test_tries_run_nothing(
    form: str, run: Path, mark: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ALL[form](run / "model.zip", mark)
    code = tries.main([str(run), "--recordings", str(recordings)])
    assert not mark.exists()
    if form in (*NEVER_READ, "optimizer"):
        assert code == 0
    else:
        assert code == 2
        one_line(capsys, "tries", f"{run / 'model.zip'}: {WEIGHTS} cannot be read")


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("whole", [False, True], ids=["cut off", "finished"])
@pytest.mark.sample(3)
def test_a_resumed_training_runs_nothing(
    form: str,
    whole: bool,
    run: Path,
    mark: Path,
    recordings: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = run / "checkpoints" / ("stage-002.zip" if whole else "stage-001.zip")
    state = run / "checkpoints" / "state.json"
    if not whole:
        told = json.loads(state.read_text())
        state.write_text(json.dumps(told | {"validations": told["validations"][:1]}))
    ALL[form](stage, mark)
    again = ["--recordings", str(recordings), "--out", str(run), *LEARN, *SPLIT, "--resume"]
    code = train.main(again)
    assert not mark.exists()
    if form in NEVER_READ:
        assert code == 0
    else:
        assert code == 2
        name = OPTIMIZER if form in ("optimizer", "a pickle") else WEIGHTS
        one_line(capsys, "train", f"{stage}: {name} cannot be read")


@pytest.mark.parametrize("form", ["objects", "pickle", "npz", "empty", "shape", "type", "run"])
def test_what_lies_beside_a_model_runs_nothing(
    form: str, run: Path, mark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / ("run.json" if form == "run" else "observations.npy")
    match form:
        case "objects":
            np.save(path, np.array([Touch(mark)], object), allow_pickle=True)
        case "npz":
            with path.open("wb") as file:
                np.savez(file, observations=np.zeros(4, np.float32))
        case "empty":
            path.write_bytes(b"")
        case "shape":
            np.save(path, np.zeros((2_000, 3), np.float32))
        case "type":
            np.save(path, np.zeros(np.load(path).shape, np.float64))
        case _:
            path.write_bytes(pickle.dumps(Touch(mark)))
    assert export_onnx.main([str(run / "model.zip"), "--out", str(run / "out")]) == 2
    assert not mark.exists()
    one_line(capsys, "export", str(path))
    assert not (run / "out" / "manifest.json").exists()


def saved(folder: Path, tensors: object) -> bytes:
    path = folder / "saved.pth"
    torch.save(tensors, path)
    return path.read_bytes()


def test_weights_that_do_not_fit_are_named(run: Path) -> None:
    path, settings = run / "model.zip", read_run(run / "run.json").settings
    with zipfile.ZipFile(path) as archive, archive.open(WEIGHTS) as entry:
        good = torch.load(entry, weights_only=True)
    name = "action_net.weight"
    spoilt = {
        "other names": {k: v for k, v in good.items() if k != name},
        f"{name} is no Tensor": good | {name: [1.0]},
        rf"{name} is not \(5, 64\) of torch.float32": good | {name: good[name][:4]},
        rf"{name} is not .* of torch\.float32": good | {name: good[name].double()},
        f"{name} has values that are no numbers": good | {name: good[name] * float("nan")},
    }
    for what, tensors in spoilt.items():
        with_entry(path, WEIGHTS, saved(run, tensors))
        with pytest.raises(LearnerFileError, match=f"{WEIGHTS} does not fit ppo on .*{what}"):
            learner_file.load_network(path, settings)
    with_entry(path, WEIGHTS, saved(run, good))
    assert learner_file.load_network(path, settings) is not None


def test_an_optimizer_that_does_not_fit_is_named(run: Path) -> None:
    path, settings = run / "model.zip", read_run(run / "run.json").settings
    with zipfile.ZipFile(path) as archive, archive.open(OPTIMIZER) as entry:
        good = torch.load(entry, weights_only=True)
    state = good["state"]
    first = state[0]
    for spoilt in (
        [],
        {"state": {}},
        good | {"state": {k: v for k, v in state.items() if k}},
        good | {"state": state | {0: {"step": first["step"]}}},
        good | {"state": state | {0: first | {"exp_avg": first["exp_avg"][:1]}}},
        good | {"state": state | {0: first | {"step": "1"}}},
    ):
        with_entry(path, OPTIMIZER, saved(run, spoilt))
        with pytest.raises(LearnerFileError, match=f"{OPTIMIZER} is not of this learner's"):
            load_learner(path, settings, settings.timesteps)
    rates = [group | {"lr": 1e9} for group in good["param_groups"]]
    with_entry(path, OPTIMIZER, saved(run, good | {"param_groups": rates}))
    learner = load_learner(path, settings, settings.timesteps)
    assert learner.policy.optimizer.param_groups[0]["lr"] == 3e-4
    assert learner.num_timesteps == settings.timesteps


def test_no_more_is_read_than_weights_may_have(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip of a few kilobytes may hold gigabytes of zeros."""
    monkeypatch.setattr(learner_file, "MAX_BYTES", 1 << 20)
    path, settings = run / "model.zip", read_run(run / "run.json").settings
    learner_file.load_network(path, settings)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WEIGHTS, bytes(2 << 20))
    with pytest.raises(LearnerFileError, match="has more than 1048576 bytes"):
        learner_file.load_network(path, settings)
