"""Training in stages with the real learner: the same seed, cut off, stopped early, normalised."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.training_sessions import market

from models.evaluation.comparison import compare
from models.evaluation.outcomes import Datasets
from models.learning.splits import Curriculum, Split, SplitError
from models.policies.baselines import Hold
from models.policies.onnx import MODEL_FILE, OnnxPolicy, read_manifest
from models.simulation.rewards import Reward

pytestmark = pytest.mark.train

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from models.learning import checkpoints, export, learner, training  # noqa: E402
from models.learning.network import ActorCritic  # noqa: E402
from models.learning.settings import ChooseBy, TrainingSettings  # noqa: E402
from models.learning.training import trial  # noqa: E402

TINY = TrainingSettings(timesteps=4 * 512, n_envs=4, stages=4, seed=5)
Judge = Callable[[Any], float]


@pytest.fixture(scope="module")
def split() -> Split:
    """Four markets to learn from, one to choose by, two to judge by."""
    made = [market(f"2026-08-0{n}T08:00", seed=n) for n in range(1, 8)]
    return Split(tuple(made[:4]), tuple(made[4:5]), tuple(made[5:]))


def weights(model: Any) -> dict[str, Any]:
    return dict(model.policy.state_dict())


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def learned(
    split: Split,
    folder: Path,
    settings: TrainingSettings = TINY,
    judge: Judge = lambda _: 0.0,
    **more: Any,
) -> tuple[Any, checkpoints.State]:
    """A training whose validation goes as `judge` says."""
    asked = checkpoints.State(settings, split.as_names())
    return learner.learn(split.train, asked, judge, folder, **more)


def cut_off(after: int) -> Judge:
    """The process dies while this stage is judged."""
    seen = []

    def judge(policy: Any) -> float:
        seen.append(policy)
        if len(seen) == after:
            raise KeyboardInterrupt
        return 0.0

    return judge


def in_turn(*values: float) -> Judge:
    left = list(values)
    return lambda _: left.pop(0)


@pytest.mark.parametrize("algorithm", ["ppo", pytest.param("a2c", marks=pytest.mark.slow)])
def test_the_same_seed_makes_the_same_model(split: Split, tmp_path: Path, algorithm: str) -> None:
    settings = msgspec.structs.replace(TINY, algorithm=algorithm, stages=2)
    files, networks = [], []
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        training.train(split, msgspec.structs.replace(settings, seed=seed), tmp_path / name)
        model = learner.ALGORITHMS[algorithm].load(tmp_path / name / "model.zip")
        networks.append(weights(model))
    for name in ("one", "two"):
        export.export(tmp_path / name / "model.zip", tmp_path / name / "export", "m")
        files.append((tmp_path / name / "export" / MODEL_FILE).read_bytes())
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])
    assert files[0] == files[1]


def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(
    split: Split, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(TINY, curriculum=Curriculum.BUSY, normalise=True)
    whole, _ = learned(split, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        learned(split, tmp_path / "cut", settings, cut_off(3))
    said: list[str] = []
    resumed, state = learned(split, tmp_path / "cut", settings, resume=True, say=said.append)
    assert said[0] == "going on after stage 2, 1,024 steps"
    assert len(state.validations) == 4
    assert resumed.num_timesteps == whole.num_timesteps == 2_048
    assert same(weights(resumed), weights(whole))


def test_a_finished_training_is_resumed_as_it_is(split: Split, tmp_path: Path) -> None:
    first, state = learned(split, tmp_path)
    again, same_state = learned(split, tmp_path, resume=True, judge=in_turn())
    assert same(weights(first), weights(again))
    assert state == same_state


def test_it_stops_when_validation_gets_no_better_and_keeps_the_best(
    split: Split, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(TINY, patience=2)
    said: list[str] = []
    model, state = learned(split, tmp_path, settings, in_turn(1.0, 0.0, 1.0), say=said.append)
    assert state.validations == (1.0, 0.0, 1.0)
    assert model.num_timesteps == 512
    assert said[-2:] == ["stopped: no better validation for 2 stages", "kept: stage 1 of 4"]
    best = learner.ALGORITHMS["ppo"].load(tmp_path / "checkpoints" / "stage-001.zip")
    assert same(weights(model), weights(best))


@pytest.mark.parametrize("choose_by", list(ChooseBy))
@pytest.mark.slow
def test_stages_are_chosen_by_what_was_asked(
    split: Split, tmp_path: Path, choose_by: ChooseBy
) -> None:
    settings = msgspec.structs.replace(TINY, choose_by=choose_by, schema="OBSERVATION_V2")
    parts = Split(split.train[:2], split.train[2:] + split.validation, split.test)
    done = trial(parts, settings, tmp_path)
    validation, rules = Datasets(parts.validation, 250), settings.rules(random_start=False)
    for stage, value in enumerate(done.state.validations):
        path = tmp_path / "checkpoints" / f"stage-{stage + 1:03d}.zip"
        policy = learner.policy_of(learner.ALGORITHMS["ppo"].load(path), settings)
        made = validation.run(policy, rules)
        low = compare(made, validation.run(Hold(), rules)).low
        assert made.mean_dollars - low > 0.01
        assert value == (made.mean_dollars if choose_by is ChooseBy.MEAN else low)
    assert done.validated.mean_dollars == made.mean_dollars
    log = (tmp_path / "log" / "progress.csv").read_text()
    assert ("validation/low95_dollars_per_market" in log) == (choose_by is ChooseBy.LOW)


@pytest.mark.slow
def test_what_is_rewarded_is_what_is_learned(split: Split, tmp_path: Path) -> None:
    found = []
    for reward, aversion in (("liquidation", 1.0), ("mid", 1.0), ("risk", 1.0), ("risk", 9.0)):
        settings = msgspec.structs.replace(TINY, reward=Reward(reward), risk_aversion=aversion)
        model, _ = learned(split, tmp_path / f"{reward}-{aversion}", settings)
        found.append(weights(model))
    assert not any(same(one, other) for one, other in combinations(found, 2))


def test_a_policy_that_sees_history_is_exported(split: Split, tmp_path: Path) -> None:
    run = training.train(split, msgspec.structs.replace(TINY, schema="OBSERVATION_V3"), tmp_path)
    manifest = export.export(tmp_path / "model.zip", tmp_path / "out")
    assert manifest.observation_schema == run.settings.schema == "OBSERVATION_V3"
    policy = OnnxPolicy(tmp_path / "out")
    seen = np.load(tmp_path / "observations.npy")
    assert policy.decide(seen, np.ones((len(seen), 5), np.bool_)).logits.shape == (len(seen), 5)


def test_the_log_has_every_update_and_validation(split: Split, tmp_path: Path) -> None:
    learned(split, tmp_path, judge=in_turn(1.0, 2.0, 3.0, 4.0))
    rows = list(csv.DictReader((tmp_path / "log" / "progress.csv").read_text().splitlines()))
    validations = [row["validation/net_dollars_per_market"] for row in rows]
    assert [v for v in validations if v] == ["1.0", "2.0", "3.0", "4.0"]
    assert {row["time/total_timesteps"] for row in rows} >= {"512", "1024", "1536", "2048"}


def test_tensorboard_gets_it_too_where_it_is_installed(split: Split, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    learned(split, tmp_path)
    assert len(list((tmp_path / "log").glob("events.out.tfevents.*"))) == 1


def test_a_terminal_sees_a_bar(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    learned(split, tmp_path, judge=in_turn(1.0, 2.0, 3.0, 4.0))
    bars = [bar for bar in terminal.getvalue().split("\r") if bar.startswith("[")]
    assert bars[0].startswith("[########......................]  25% 512 of 2,048 steps, ")
    assert bars[-1].startswith("[##############################] 100% 2,048 of 2,048 steps, ")
    assert bars[-1].endswith(", validation +3.00\x1b[K")


def test_a_curriculum_begins_with_a_part_of_the_markets(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets: list[int] = []
    plain = learner.BatchedVecEnv

    def watched(dataset: Any, *rest: Any) -> Any:
        datasets.append(len(dataset.yes_value_e4))
        return plain(dataset, *rest)

    monkeypatch.setattr(learner, "BatchedVecEnv", watched)
    learned(split, tmp_path, msgspec.structs.replace(TINY, curriculum=Curriculum.CALM))
    assert datasets == [1, 3, 4, 4]


@pytest.mark.slow
def test_normalisation_is_part_of_the_export(split: Split, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(TINY, normalise=True)
    run = training.train(split, settings, tmp_path / "run")
    assert run.hyper_parameters["normalised"] is True
    export.export(tmp_path / "run" / "model.zip", tmp_path / "out")
    assert read_manifest(tmp_path / "out").max_difference < 1e-4
    model = learner.ALGORITHMS["ppo"].load(tmp_path / "run" / "model.zip")
    seen = np.load(tmp_path / "run" / "observations.npy")
    session = export.ort.InferenceSession(tmp_path / "out" / MODEL_FILE)
    logits, value = session.run(None, {"obs": seen})
    with torch.no_grad():
        wanted = model.policy.get_distribution(torch.from_numpy(seen)).distribution.logits
        values = model.policy.predict_values(torch.from_numpy(seen))
    centred = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    assert np.abs(centred - wanted.numpy()).max() < 1e-4
    assert np.abs(value - values.numpy()).max() < 1e-4


def test_a_normalised_network_sees_deviations_from_the_mean(split: Split, tmp_path: Path) -> None:
    model, _ = learned(split, tmp_path, msgspec.structs.replace(TINY, normalise=True))
    first = ActorCritic(model.policy).policy.features_extractor
    dataset = learner.dataset_of([learner.make_tape(s) for s in split.train])
    seen = learner.sample(dataset, TINY)
    moved = first(torch.from_numpy(seen)).numpy()
    varies = seen.std(axis=0) > 1e-2
    assert varies.sum() > 20
    assert np.abs(moved).max() <= 10
    assert np.abs(moved[:, varies].mean(axis=0)).max() < 0.1
    assert np.abs(moved[:, varies].std(axis=0) - 1).max() < 0.2


@pytest.mark.slow
def test_the_policy_is_judged_on_the_test_and_on_rolling_blocks(
    split: Split, tmp_path: Path
) -> None:
    run = training.train(split, TINY, tmp_path, rolling=3)
    assert run.split["test"] == ("2026-08-06T08:00", "2026-08-07T08:00")
    assert run.evaluation["markets"] == 2
    assert run.evaluation["rolling_markets"] == 2
    assert {
        "validation_net_dollars_per_market",
        "rolling_minus_hold_low95",
    } <= run.evaluation.keys()
    with pytest.raises(SplitError, match="no 4 blocks"):
        training.train(split, TINY, tmp_path / "never", rolling=4)
    assert (tmp_path / "rolling" / "block-3" / "checkpoints" / "state.json").exists()
    assert not (tmp_path / "never").exists()


@pytest.mark.slow
def test_a_validation_that_chooses_and_judges_is_pointed_out(split: Split, tmp_path: Path) -> None:
    said: list[str] = []
    settings = msgspec.structs.replace(TINY, timesteps=1, patience=1)
    training.train(split, settings, tmp_path / "with", say=said.append)
    assert not [line for line in said if "no test markets" in line]
    without = msgspec.structs.replace(split, test=())
    training.train(without, settings, tmp_path / "without", say=said.append)
    assert "no test markets: the validation that chooses judges too, and flatters" in said
