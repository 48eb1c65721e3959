"""Trainings beside each other, with the real learner."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.training_sessions import market

from models.evaluation.comparison import compare
from models.evaluation.outcomes import Datasets
from models.learning.settings import TrainingRun, TrainingSettings
from models.learning.splits import Split
from models.policies.baselines import Hold
from models.research import tries
from models.trading.actions import Pricing

pytestmark = pytest.mark.train

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from models.learning import training  # noqa: E402

TINY = TrainingSettings(timesteps=2 * 512, n_envs=4, stages=2, seed=5, schema="OBSERVATION_V2")
ONE = msgspec.structs.replace(TINY, pricing=Pricing.MID, throttle_ms=500)


@pytest.fixture(scope="module")
def split() -> Split:
    """Two markets to learn from, two to choose by, three to judge by."""
    made = [market(f"2026-08-0{n}T08:00", seed=n) for n in range(1, 8)]
    return Split(tuple(made[:2]), tuple(made[2:4]), tuple(made[4:]))


@pytest.fixture(scope="module")
def folders(split: Split, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two trainings of the same split."""
    place = tmp_path_factory.mktemp("runs")
    found = []
    for name, settings in (("first", TINY), ("second", ONE)):
        training.train(split, settings, place / name)
        found.append(place / name)
    return found


def test_each_plays_both_parts_as_it_was_trained(split: Split, folders: list[Path]) -> None:
    sessions = (*split.test, *split.validation)
    for done, folder in zip(tries.play(folders, sessions), folders, strict=True):
        run = msgspec.json.decode((folder / "run.json").read_bytes(), type=TrainingRun)
        assert done.name == folder.name
        told = run.evaluation
        ours = {part: outcome.mean_dollars for part, outcome in done.trained.items()}
        assert ours["validation"] == told["validation_net_dollars_per_market"]
        assert ours["test"] == told["net_dollars_per_market"]
        assert len(done.trained["validation"].net_e6) == 2
        again = Datasets(split.test, run.settings.throttle_ms).run(
            Hold(), run.settings.rules(random_start=False)
        )
        assert done.idle["test"] == again


def test_the_report_names_what_differs_the_best_first(split: Split, folders: list[Path]) -> None:
    played = tries.play(folders, (*split.test, *split.validation))
    lines = tries.report(played)
    means = {t.name: t.trained["validation"].mean_dollars for t in played}
    assert [line.partition(":")[0] for line in lines[:2]] == sorted(means, key=lambda n: -means[n])
    second = next(line for line in lines if line.startswith("second"))
    judged = compare(played[1].trained["test"], played[1].idle["test"])
    assert "second: throttle_ms=500 pricing=mid: validation " in second
    nets = sorted(net / 1e6 for net in played[1].trained["test"].net_e6)
    shape = f"median {nets[1]:+.2f}, best {nets[2]:+.2f}"
    assert f", test {judged} ({shape}), holds " in second
    assert lines[2].startswith("validation: the best of 2 tries without any edge looks as good")
    assert lines[3].startswith("test: the best of 2 tries ")


def test_what_cannot_be_compared_is_said(split: Split, folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"market 2026-08-05T08:00 of .*first is not among"):
        tries.play(folders, split.validation)
    other = Split(split.train, split.validation, split.test[:1])
    training.train(other, TINY, tmp_path / "other")
    with pytest.raises(ValueError, match=r"first and .*other were not trained on the same split"):
        tries.play([folders[0], tmp_path / "other"], ())
    training.train(Split(split.train, split.validation), TINY, tmp_path / "none")
    with pytest.raises(ValueError, match="none left no markets to judge on"):
        tries.play([tmp_path / "none"], ())


def test_a_folder_without_markets_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tries.main([str(tmp_path), "--recordings", str(tmp_path / "nothing")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("tries: ")
    assert "nothing" in told
