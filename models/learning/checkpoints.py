"""The progress of a training after each stage: the learner's files, and how validation went.

A stage is complete once `state.json` names it; a training that was cut off continues after the
last complete one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import msgspec

from ipc.errors import KalshiActorError
from models.learning.settings import TrainingSettings
from models.policies.onnx import write_aside

__all__ = ["CheckpointError", "Checkpoints", "State"]

STATE: Final = "state.json"


class CheckpointError(KalshiActorError, ValueError):
    """A run that cannot be resumed: where, and why."""


class State(msgspec.Struct, frozen=True):
    """Settings and markets of a training, and how validation went after each stage, in dollars."""

    settings: TrainingSettings
    split: dict[str, tuple[str, ...]]
    validations: tuple[float, ...] = ()

    @property
    def best(self) -> int:
        """The first of the stages with the best validation."""
        return self.validations.index(max(self.validations))

    @property
    def stopped(self) -> bool:
        """Whether validation has not improved for as many stages as patience allows."""
        stale = len(self.validations) - 1 - self.best if self.validations else 0
        return 0 < self.settings.patience <= stale

    @property
    def kept(self) -> int:
        """The stage whose policy is the result: the best when validation chooses, else the last."""
        return self.best if self.settings.patience else len(self.validations) - 1

    def after(self, validation: float) -> Self:
        """The state one stage later."""
        return msgspec.structs.replace(self, validations=(*self.validations, validation))


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: Holds `state.json` and one zip file per stage.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def begun(self) -> bool:
        """Whether a stage is complete."""
        return (self._folder / STATE).exists()

    def path(self, stage: int) -> Path:
        """File of the learner after a stage, counted from 0."""
        return self._folder / f"stage-{stage + 1:03d}.zip"

    def begin(self, state: State) -> State:
        """Begin a run; nothing of an earlier one is left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / STATE).unlink(missing_ok=True)
        for path in self._folder.glob("stage-*.zip"):
            path.unlink()
        return state

    def resume(self, state: State) -> State:
        """Read the progress of a training with the same settings and markets.

        Raises:
            CheckpointError: There is none, it cannot be read, or it was begun otherwise.
        """
        path = self._folder / STATE
        try:
            found = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            raise CheckpointError(f"nothing to resume: no {STATE} in {self._folder}") from None
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None
        before, now = (msgspec.to_builtins(s.settings) for s in (found, state))
        for name, value in now.items():
            if before[name] != value:
                raise CheckpointError(
                    f"{self._folder} was begun with {name} {before[name]}, not {value}"
                )
        if found.split != state.split:
            raise CheckpointError(f"{self._folder} was begun with other markets, or another split")
        return found

    def save(self, state: State) -> None:
        """Name the stage whose file has been written."""
        write_aside(self._folder / STATE, state)
