"""What a training has come to: the stage that is kept, when it stops, what may go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.learning.checkpoints import CheckpointError, Checkpoints, State
from models.learning.settings import TrainingSettings

SPLIT = {"train": ("A",), "validation": ("B",), "test": ()}


def after(*values: float, patience: int) -> State:
    state = State(TrainingSettings(patience=patience), SPLIT)
    for value in values:
        state = state.after(value)
    return state


def test_validation_chooses_where_there_is_patience() -> None:
    assert after(1.0, 3.0, 3.0, 2.0, patience=2).kept == 1
    assert after(1.0, 3.0, 3.0, 2.0, patience=0).kept == 3


@pytest.mark.parametrize(
    ("values", "patience", "stops"),
    [
        ((), 1, False),
        ((1.0,), 1, False),
        ((1.0, 1.0), 1, True),
        ((1.0, 0.0, 2.0, 1.0), 2, False),
        ((1.0, 0.0, 2.0, 1.0, 2.0), 2, True),
        ((1.0, 0.0, 0.0, 0.0), 0, False),
    ],
)
def test_patience_ends(values: tuple[float, ...], patience: int, stops: bool) -> None:
    assert after(*values, patience=patience).stopped is stops


def test_only_the_same_training_goes_on(tmp_path: Path) -> None:
    checkpoints, state = Checkpoints(tmp_path / "c"), after(1.0, patience=2)
    with pytest.raises(CheckpointError, match=r"nothing to resume: no state\.json"):
        checkpoints.resume(state)
    checkpoints.begin(state)
    assert not checkpoints.begun
    checkpoints.save(state)
    assert checkpoints.begun
    assert checkpoints.resume(after(patience=2)) == state
    with pytest.raises(CheckpointError, match="begun with patience 2, not 3"):
        checkpoints.resume(after(patience=3))
    with pytest.raises(CheckpointError, match="other markets, or another split"):
        checkpoints.resume(State(TrainingSettings(patience=2), {**SPLIT, "train": ("C",)}))
    (tmp_path / "c" / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"state\.json cannot be read"):
        checkpoints.resume(state)


def test_a_new_training_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    checkpoints, state = Checkpoints(tmp_path), after(1.0, patience=0)
    checkpoints.path(0).write_text("old")
    checkpoints.save(state)
    checkpoints.begin(state)
    assert list(tmp_path.iterdir()) == []
