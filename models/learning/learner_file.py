"""A learner's file (`model.zip`, `stage-NNN.zip`), read without running anything that is in it.

stable-baselines3's own `load` unpickles the settings in a zip, and a pickle is a program: whoever
made the file runs it. Here the settings come from JSON (`run.json`, `state.json`), the network is
built from them, and of the zip only the tensors are read: by torch's reader that knows tensors and
nothing else, up to a size, and only where their names, shapes and types are those of the network.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import stable_baselines3 as sb3
import torch

from ipc.errors import KalshiActorError
from models.learning.network import LearnerPolicy, NetworkPolicy, Normaliser, Tanh
from models.learning.settings import TrainingRun, TrainingSettings
from models.observation.builder import builder_of
from models.simulation.environment import action_space, observation_space

__all__ = [
    "ALGORITHMS",
    "LearnerFileError",
    "load_learner",
    "load_network",
    "load_policy",
    "network_of",
    "read_observations",
    "read_run",
]

ALGORITHMS: Final[dict[str, Any]] = {"ppo": sb3.PPO, "a2c": sb3.A2C}
MAX_BYTES: Final = 64 << 20  # of a zip's entry; ours have less than one
_WEIGHTS: Final = "policy.pth"
_OPTIMIZER: Final = "policy.optimizer.pth"
_UNREADABLE: Final = (
    *(OSError, ValueError, RuntimeError, EOFError, LookupError, TypeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, pickle.UnpicklingError),
)
_ALLOWED: Final = "allowed: a zip that models.train wrote, beside its own run.json or state.json"

Tensors = dict[str, torch.Tensor]


class LearnerFileError(KalshiActorError, ValueError):
    """A file of a training that cannot be used: which, and why."""


def read_run(path: Path) -> TrainingRun:
    """`run.json` of a training; `LearnerFileError` when it is none, `OSError` without a file."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=TrainingRun)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LearnerFileError(f"{path} is not the run.json of a training: {error}") from None
    if run.settings.algorithm not in ALGORITHMS:
        allowed = ", ".join(ALGORITHMS)
        raise LearnerFileError(f"{path}: its algorithm is not known; allowed: {allowed}")
    return run


def read_observations(path: Path, size: int) -> npt.NDArray[np.float32]:
    """float32[n, size] of `observations.npy`; objects, which are a pickle, are refused."""
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise LearnerFileError(f"{path} is not an array of observations: {reason}") from None
    if not isinstance(found, np.ndarray) or found.dtype != np.float32:
        raise LearnerFileError(f"{path} is not an array of float32")
    if found.ndim != 2 or found.shape[1] != size:
        raise LearnerFileError(f"{path} has shape {found.shape}; allowed: any number x {size}")
    return found


def network_of(
    settings: TrainingSettings,
    mean: npt.NDArray[np.float32] | None = None,
    deviation: npt.NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """The policy's keyword arguments; what normalises is replaced by what a file holds."""
    network: dict[str, Any] = {"net_arch": [64, 64], "activation_fn": Tanh}
    if settings.algorithm == "ppo":  # A2C brings its own optimizer
        network["optimizer_kwargs"] = {"eps": 1e-5, "fused": True}
    if settings.normalise:
        ones = np.ones(builder_of(settings.schema).size, np.float32)
        network["features_extractor_class"] = Normaliser
        network["features_extractor_kwargs"] = {
            "mean": ones if mean is None else mean,
            "deviation": ones if deviation is None else deviation,
        }
    return network


def load_network(path: Path, settings: TrainingSettings) -> LearnerPolicy:
    """The network of a learner's file, without its optimizer; `LearnerFileError`."""
    space = observation_space(builder_of(settings.schema).size)
    with torch.random.fork_rng(devices=[]):  # what a new network is filled with is thrown away
        network = LearnerPolicy(space, action_space(), lambda _: 0.0, **network_of(settings))
    _put_weights(network, path, settings)
    return network


def load_policy(path: Path, settings: TrainingSettings) -> NetworkPolicy:
    """What a learner's file decides; `LearnerFileError`."""
    return NetworkPolicy(load_network(path, settings), "trained", builder_of(settings.schema))


def load_learner(path: Path, settings: TrainingSettings, timesteps: int) -> Any:
    """The learner itself, to go on with: weights, optimizer and steps; `LearnerFileError`."""
    learner = ALGORITHMS[settings.algorithm](
        LearnerPolicy,
        None,
        seed=settings.seed,
        device="cpu",
        policy_kwargs=network_of(settings),
        _init_setup_model=False,
        **settings.hyper_parameters(),
    )
    learner.observation_space = observation_space(builder_of(settings.schema).size)
    learner.action_space = action_space()
    learner.n_envs = settings.n_envs
    learner._setup_model()
    _put_optimizer(learner.policy, path)
    _put_weights(learner.policy, path, settings)
    learner.num_timesteps = timesteps
    learner._n_updates = timesteps // settings.rollout * getattr(learner, "n_epochs", 1)
    return learner


def _put_weights(network: torch.nn.Module, path: Path, settings: TrainingSettings) -> None:
    what = f"{path}: {_WEIGHTS} does not fit {settings.algorithm} on {settings.schema}"
    found = _read(path, _WEIGHTS)
    network.load_state_dict(_fitting(found, dict(network.state_dict()), what))


def _put_optimizer(network: Any, path: Path) -> None:
    """What the optimizer keeps of every parameter; its rates are those of the settings."""
    what = f"{path}: {_OPTIMIZER} is not of this learner's optimizer"
    optimizer, parameters = network.optimizer, list(network.parameters())
    for parameter in parameters:  # a step without gradient makes what an optimizer keeps
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    expected = optimizer.state_dict()
    found = _read(path, _OPTIMIZER)
    kept = found.get("state") if isinstance(found, dict) else None
    if not isinstance(kept, dict) or kept.keys() != expected["state"].keys():
        raise LearnerFileError(f"{what}; {_ALLOWED}")
    state = {index: _fitting(kept[index], mine, what) for index, mine in expected["state"].items()}
    optimizer.load_state_dict({"state": state, "param_groups": expected["param_groups"]})


def _fitting(found: object, wanted: dict[str, Any], what: str) -> dict[str, Any]:
    """Tensors (or plain numbers) of the names, shapes and types that are wanted, all finite."""
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        raise LearnerFileError(f"{what}: other names; {_ALLOWED}")
    for name, mine in wanted.items():
        other = found[name]
        if type(other) is not type(mine):
            raise LearnerFileError(f"{what}: {name} is no {type(mine).__name__}; {_ALLOWED}")
        if isinstance(other, torch.Tensor) and not _like(other, mine):
            raise LearnerFileError(
                f"{what}: {name} is not {tuple(mine.shape)} of {mine.dtype}; {_ALLOWED}"
            )
        if not torch.isfinite(torch.as_tensor(other)).all():
            raise LearnerFileError(f"{what}: {name} has values that are no numbers; {_ALLOWED}")
    return dict(found)


def _like(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether a tensor may take the place of another."""
    kinds = [(t.layout, t.device, t.dtype, t.shape) for t in (found, wanted)]
    return kinds[0] == kinds[1]


def _read(path: Path, name: str) -> object:
    """What torch's reader of plain tensors makes of an entry of a zip."""
    if not path.is_file():
        raise LearnerFileError(f"{path} is not there, or is not a file")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as entry:
            data = entry.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise LearnerFileError(f"{path}: {name} has more than {MAX_BYTES} bytes")
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except LearnerFileError:
        raise
    except _UNREADABLE as error:  # whose text may be as long as the file
        raise LearnerFileError(
            f"{path}: {name} cannot be read as weights ({type(error).__name__}); nothing else of a "
            f"file is read, and nothing in it is run; {_ALLOWED}"
        ) from None
