"""Export of a trained policy: ONNX graph and manifest, checked on recorded observations.

The graph maps observations to logits and value; masks and the choice of the action stay outside.
The manifest is written here, from what was trained, never by hand.
"""

from __future__ import annotations

import hashlib
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from models.learning.settings import OBSERVATIONS, RUN, TrainingRun
from models.observation.builder import builder_of
from models.policies.interface import Observations
from models.policies.onnx import (
    MANIFEST_FILE,
    MANIFEST_VERSION,
    MODEL_FILE,
    Manifest,
    ModelError,
    revision,
    write_aside,
)
from models.trading.actions import ACTION_SCHEMA_HASH, N_ACTIONS

__all__ = ["MAX_DIFFERENCE", "check_export", "export"]


MAX_DIFFERENCE: Final = 1e-4
LEAST_OBSERVATIONS: Final = 1_024


def _graph(network: Any, path: Path, size: int) -> None:
    """Write the ONNX file, with the older exporter where the present one fails."""
    import torch

    example = torch.zeros(2, size)
    names = {"input_names": ["obs"], "output_names": ["logits", "value"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=True,
                external_data=False,
                verbose=False,
                dynamic_shapes={"obs": {0: torch.export.Dim("batch")}},
                **names,
            )
        except (RuntimeError, ImportError, torch.onnx.errors.OnnxExporterError):
            axes = {name: {0: "batch"} for name in ("obs", "logits", "value")}
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=False,
                opset_version=17,
                dynamic_axes=axes,
                **names,
            )


def _forget_origin(path: Path) -> None:
    """Remove what says where the exporter ran (source paths), and all else but the graph."""
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    onnx.save(model, path)


def check_export(path: Path, network: Any, observations: Observations) -> float:
    """Compare a graph with the network that it was made of.

    Args:
        path: The graph.
        network: Maps observations to (logits, value).
        observations: float32[n, size], 1,024 or more.

    Returns:
        The largest difference of logits and value.

    Raises:
        ModelError: Too few observations, a difference of 1e-4 or more, or another best action.
    """
    import torch

    if len(observations) < LEAST_OBSERVATIONS:
        raise ModelError(
            f"an export is checked on {LEAST_OBSERVATIONS} observations or more, "
            f"the run kept {len(observations)}"
        )

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits, value = session.run(["logits", "value"], {"obs": observations})
    with torch.no_grad():
        expected = [t.numpy() for t in network(torch.from_numpy(observations))]
    if logits.shape != (len(observations), N_ACTIONS):
        raise ModelError(f"the export gives logits of shape {logits.shape}")
    difference = max(
        float(np.abs(logits - expected[0]).max()), float(np.abs(value - expected[1]).max())
    )
    if not difference < MAX_DIFFERENCE:
        raise ModelError(f"the export differs by {difference:.2e}, allowed below {MAX_DIFFERENCE}")
    if (logits.argmax(axis=1) != expected[0].argmax(axis=1)).any():
        raise ModelError("the export prefers other actions than the trained policy")
    return difference


def _manifest(
    run: TrainingRun, model_id: str, path: Path, difference: float, checked: int, code: str
) -> Manifest:
    settings = run.settings
    libraries = run.libraries | {n: version(n) for n in ("onnx", "onnxruntime")}
    return Manifest(
        version=MANIFEST_VERSION,
        model_id=model_id,
        observation_schema=settings.schema,
        observation_hash=builder_of(settings.schema).schema.hash,
        action_hash=ACTION_SCHEMA_HASH,
        onnx_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        pricing=settings.pricing,
        contract_size_e2=settings.contract_size_e2,
        market_cash_e6=settings.market_cash_e6,
        throttle_ms=settings.throttle_ms,
        algorithm=settings.algorithm,
        timesteps=settings.timesteps,
        seed=settings.seed,
        hyper_parameters=run.hyper_parameters,
        environments=run.environments,
        split=run.split,
        max_difference=difference,
        checked_observations=checked,
        libraries=libraries,
        revision=code,
        evaluation=run.evaluation,
        fees_assumed=run.fees_assumed,
    )


def export(model_path: Path, out: Path, model_id: str | None = None) -> Manifest:
    """Export a trained policy.

    Args:
        model_path: `model.zip` in the folder of a run.
        out: Folder of the model: `policy.onnx` and `manifest.json`.
        model_id: Its name; default: the name of the folder.

    Returns:
        The manifest.

    Raises:
        ModelError: The graph differs from the network; no manifest is left.
        LearnerFileError: A file of the run cannot be used; nothing in it is run.
        OSError: Files of the run are missing.
    """
    from models.learning.learner_file import load_network, read_observations, read_run
    from models.learning.network import ActorCritic

    code = revision()  # before the shipped model, which is in the tree, is written over
    run = read_run(model_path.parent / RUN)
    size = builder_of(run.settings.schema).size
    observations = read_observations(model_path.parent / OBSERVATIONS, size)
    network = ActorCritic(load_network(model_path, run.settings)).eval()
    out.mkdir(parents=True, exist_ok=True)
    path = out / MODEL_FILE
    (out / MANIFEST_FILE).unlink(missing_ok=True)  # an export that fails leaves no model behind
    _graph(network, path, size)
    _forget_origin(path)
    difference = check_export(path, network, observations)
    name = model_id or out.resolve().name
    manifest = _manifest(run, name, path, difference, len(observations), code)
    write_aside(out / MANIFEST_FILE, manifest)
    return manifest
