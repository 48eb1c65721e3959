"""Exported models: their manifest on disk, and the policy that runs them.

`load_strategy` reads `RL_ACTOR_STRATEGY`: `onnx:<model>` is an exported policy with its manifest,
`baseline:<name>` a rule of `models.policies.baselines`, `python:<module>.<class>` a user's own
(`models.policies.python_policy`). A model runs only when its manifest names
the schema that this code builds and the hash of the very file beside it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import onnxruntime as ort

from ipc.errors import KalshiActorError
from ipc.private_files import create_file, random_word
from models.observation.builder import Builder, builder_of
from models.policies.baselines import BASELINES
from models.policies.interface import Decisions, Observations, Policy
from models.policies.python_policy import FORM, load_python
from models.trading.actions import ACTION_SCHEMA_HASH, N_ACTIONS, Mask, Pricing, masked_argmax

__all__ = [
    "DEFAULT_ID",
    "DEFAULT_MODEL",
    "MANIFEST_FILE",
    "MANIFEST_VERSION",
    "MODEL_FILE",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Decisions",
    "Manifest",
    "ModelError",
    "ModelRun",
    "OnnxPolicy",
    "Override",
    "Policy",
    "load_strategy",
    "model_folder",
    "read_manifest",
    "revision",
    "write_all_aside",
    "write_aside",
]

DEFAULT_ID: Final = "default"
DEFAULT_MODEL: Final = Path(__file__).parents[1] / "default"
MODEL_FILE: Final = "policy.onnx"
MANIFEST_FILE: Final = "manifest.json"
MANIFEST_VERSION: Final = 1

# Keys of `Manifest.split`.
TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"


class ModelError(KalshiActorError, ValueError):
    """A model that must not run: which, and why."""


class Override(msgspec.Struct, frozen=True):
    """Why a model became live although it does not beat every baseline.

    Attributes:
        reason: As given on the command line.
        not_beaten: The baselines, each with its lower bound, and what was assumed about fees.
        at_ns: When, nanoseconds since the Unix epoch.
    """

    reason: str
    not_beaten: tuple[str, ...]
    at_ns: int


class Manifest(msgspec.Struct, frozen=True):
    """What an exported model says about itself; written by the exporter, never by hand.

    The registry alone adds `override`.

    Attributes:
        version: `MANIFEST_VERSION`.
        model_id: Its name; its folder has the same name.
        observation_schema: Name of the schema that it reads.
        observation_hash: Hash of that schema.
        action_hash: `ACTION_SCHEMA_HASH` at export.
        onnx_sha256: Hash of the graph beside it.
        pricing: Where its orders' limits are placed.
        contract_size_e2: Size of an order before caps.
        market_cash_e6: Cash of a market's sub-account.
        throttle_ms: Least time between two ticks.
        algorithm: `ppo` or `a2c`.
        timesteps: Steps it learned for.
        seed: Of the training.
        hyper_parameters: Of the learner and the network.
        environments: Where its markets were recorded.
        split: Tickers of `TRAIN`, `VALIDATION` and `TEST`.
        max_difference: Between graph and trained network, on the checked observations.
        checked_observations: How many were compared.
        libraries: Versions that made it.
        revision: Of this code.
        evaluation: Figures on the judged markets; see `models.learning.training.figures`.
        override: Why it became live although something speaks against it.
        fees_assumed: Markets of the split whose fees were assumed; None in a manifest of before.
    """

    version: int
    model_id: str
    observation_schema: str
    observation_hash: str
    action_hash: str
    onnx_sha256: str
    pricing: Pricing
    contract_size_e2: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    market_cash_e6: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    throttle_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
    algorithm: str
    timesteps: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    hyper_parameters: dict[str, str | int | float | bool | None]
    environments: tuple[str, ...]
    split: dict[str, tuple[str, ...]]
    max_difference: float
    checked_observations: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    libraries: dict[str, str]
    revision: str
    evaluation: dict[str, float]
    override: Override | None = None
    fees_assumed: int | None = None


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a model's folder; what it claims is not checked here.

    Args:
        folder: Holds `manifest.json`.

    Raises:
        ModelError: It is missing, cannot be read, or is no manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ModelError(f"model {folder.name!r}: no {MANIFEST_FILE} in {folder}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise ModelError(f"model {folder.name!r}: {path} cannot be read: {error}") from None


def write_aside(path: Path, content: msgspec.Struct) -> None:
    """Write JSON aside, then rename: a reader has either the old file whole or the new one.

    Args:
        path: The file; its folder must exist. A new one is private to this user.
        content: What it will hold.

    Raises:
        OSError: It cannot be written; the old file stays.
    """
    write_all_aside({path: content})


def write_all_aside(contents: Mapping[Path, msgspec.Struct]) -> None:
    """`write_aside` for several files: none is replaced before all are written.

    The renames follow each other, so a crash between two of them leaves some files new and the
    others old.
    """
    asides = {path: path.with_name(f".{path.name}.{random_word(4)}") for path in contents}
    try:
        for path, content in contents.items():
            text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
            with os.fdopen(create_file(asides[path], os.O_WRONLY), "wb") as file:
                os.fchmod(file.fileno(), _mode_of(path))
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for path, aside in asides.items():
            aside.rename(path)
    finally:
        for aside in asides.values():
            aside.unlink(missing_ok=True)


def _mode_of(path: Path) -> int:
    """What is replaced stays as readable as it was (the shipped model); what is new is private."""
    return path.stat().st_mode & 0o644 if path.exists() else 0o600


def _refuse_difference(folder: Path, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise ModelError(f"model {folder.name!r}: {what} is {found}, this code has {expected}")


def _builder(folder: Path, manifest: Manifest) -> Builder:
    """The builder of the observations that the model was trained on."""
    try:
        return builder_of(manifest.observation_schema)
    except ValueError as error:
        raise ModelError(f"model {folder.name!r}: {error}") from None


def _check(folder: Path, manifest: Manifest, builder: Builder) -> bytes:
    """The model's bytes, after every claim of its manifest has been checked."""
    schema = builder.schema
    _refuse_difference(folder, "manifest version", str(manifest.version), str(MANIFEST_VERSION))
    _refuse_difference(folder, "observation schema hash", manifest.observation_hash, schema.hash)
    _refuse_difference(folder, "action schema hash", manifest.action_hash, ACTION_SCHEMA_HASH)
    path = folder / MODEL_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {folder.name!r}: {path} cannot be read: {error}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != manifest.onnx_sha256:
        raise ModelError(
            f"model {folder.name!r}: sha256 of {MODEL_FILE} is {sha256}, "
            f"its manifest says {manifest.onnx_sha256}"
        )
    return data


class OnnxPolicy:
    """An exported model in ONNX Runtime, on one thread.

    A single observation goes through buffers that were bound in advance; several at once do not.
    The graph maps `obs` (float32[n, size]) to `logits` (float32[n, 5]) and `value` (float32[n, 1]).

    Args:
        folder: Holds `manifest.json` and `policy.onnx`.

    Attributes:
        manifest: What the model says about itself.
        builder: Makes its observations.
        model: `onnx:<id>`.
        model_hash: First 16 digits of the graph's sha256.

    Raises:
        ModelError: Manifest, graph or schema do not fit each other or this code.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = read_manifest(folder)
        self.builder = _builder(folder, self.manifest)
        data = _check(folder, self.manifest, self.builder)
        self.model = f"onnx:{self.manifest.model_id}"
        self.model_hash = self.manifest.onnx_sha256[:16]
        self._session = _session(folder, data, self.builder.size)
        self._observation = np.zeros((1, self.builder.size), np.float32)
        self._logits = np.zeros((1, N_ACTIONS), np.float32)
        self._value = np.zeros(1, np.float32)  # what the graph gives as [1, 1]
        self._binding = self._bind()

    def _bind(self) -> ort.IOBinding:
        binding = self._session.io_binding()
        for name, array, bind in (
            ("obs", self._observation, binding.bind_input),
            ("logits", self._logits, binding.bind_output),
            ("value", self._value[:, None], binding.bind_output),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Run the graph and choose; see `Policy.decide`."""
        if len(observations) == 1:
            self._observation[:] = observations
            self._session.run_with_iobinding(self._binding)
            logits, values = self._logits.copy(), self._value.copy()
        else:
            logits, value = self._session.run(["logits", "value"], {"obs": observations})
            values = value[:, 0]
        return Decisions(masked_argmax(logits, masks), logits, values)

    def answer_within(self, observations: Observations, seconds: float) -> Decisions:
        """As `decide` without a mask; `ModelError` when the graph has not ended by then.

        A graph may hold a loop without an end, which nothing in its file shows.
        """
        options = ort.RunOptions()
        late = threading.Timer(seconds, setattr, (options, "terminate", True))
        late.daemon = True
        late.start()
        try:
            if len(observations) == 1:
                self._observation[:] = observations
                self._session.run_with_iobinding(self._binding, options)
                logits, values = self._logits.copy(), self._value.copy()
            else:
                inputs = {"obs": observations}
                logits, value = self._session.run(["logits", "value"], inputs, options)
                values = value[:, 0]
        except Exception as error:
            if options.terminate:
                raise ModelError(f"{self.model} has not answered after {seconds:g} s") from None
            raise error
        finally:
            late.cancel()
        everything = np.ones(logits.shape, np.bool_)
        return Decisions(masked_argmax(logits, everything), logits, values)


def _session(folder: Path, data: bytes, size: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  ONNX Runtime's errors share no other base
        raise ModelError(f"model {folder.name!r}: ONNX Runtime refuses it: {error}") from None
    inputs = [(i.name, i.shape[1:]) for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    taken, given = [("obs", [size])], ["logits", "value"]
    if inputs != taken or outputs != given:
        raise ModelError(
            f"model {folder.name!r}: maps {inputs} to {outputs}, allowed: {taken} to {given}"
        )
    return session


def model_folder(model_id: str, data_dir: Path) -> Path:
    """The folder of a model: the shipped one in this package, others in `<data_dir>/models/<id>`.

    Args:
        model_id: Letters, digits, `.`, `_` and `-`, not beginning with a dot; it cannot leave the
            folder.
        data_dir: Folder of the stack.

    Returns:
        The folder; it need not exist.

    Raises:
        ModelError: The id is not a plain name.
    """
    if model_id == DEFAULT_ID:
        return DEFAULT_MODEL
    if not model_id or not all(c.isalnum() or c in "._-" for c in model_id) or model_id[0] == ".":
        raise ModelError(f"model id {model_id!r} is not a name of letters, digits, '.', '_', '-'")
    return data_dir / "models" / model_id


def _existing(folder: Path, data_dir: Path) -> Path:
    if not (folder / MANIFEST_FILE).exists():
        others = sorted(m.parent.name for m in (data_dir / "models").glob(f"*/{MANIFEST_FILE}"))
        allowed = ", ".join(["default", *others])
        raise ModelError(
            f"model {folder.name!r}: no {MANIFEST_FILE} in {folder}, allowed: {allowed}"
        )
    return folder


def load_strategy(name: str, *, seed: int = 0, data_dir: Path) -> Policy:
    """Load the policy that a strategy's name means.

    Args:
        name: `onnx:<model>`, `baseline:<name>` or `python:<module>.<class>`.
        seed: Of a baseline that draws, or of a user's class that takes one.
        data_dir: Folder of the stack, below which models and strategies lie.

    Returns:
        The policy; an `OnnxPolicy` has checked its manifest and its graph by then.

    Raises:
        ModelError: The model is not there or must not run.
        StrategyError: As of `load_python`.
        ValueError: Unknown kind or baseline; names what is allowed.
    """
    kind, _, rest = name.partition(":")
    if kind == "onnx" and rest:
        return OnnxPolicy(_existing(model_folder(rest, data_dir), data_dir))
    if kind == "baseline" and rest in BASELINES:
        return BASELINES[rest](seed)
    if kind == "python" and rest:
        return load_python(rest, seed=seed, data_dir=data_dir)
    allowed = ", ".join(["onnx:<model>", *(f"baseline:{b}" for b in BASELINES), FORM])
    raise ValueError(f"unknown strategy {name!r}; allowed: {allowed}")


class ModelRun(msgspec.Struct, frozen=True):
    """The record that a model was trained on sessions, or judged on them.

    Attributes:
        kind: `train` or `evaluate`.
        model_id: Its name.
        model_hash: Of the learner's file, or of the policy that was judged.
        code_version: `revision()`.
        config: Settings, as plain data.
        metrics: Figures, as plain data.
        started_ns: Nanoseconds since the Unix epoch.
        ended_ns: The same.
    """

    kind: str
    model_id: str
    model_hash: str
    code_version: str
    config: Mapping[str, object]
    metrics: Mapping[str, object]
    started_ns: int
    ended_ns: int


def revision() -> str:
    """This code's git revision: 12 digits, with `-dirty` when the tree differs from it.

    `unknown` outside a checkout, or without git.
    """
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip()
