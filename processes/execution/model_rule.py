"""Which models may send orders in an environment: the limit "environment of the model".

Execution does not take inference's word for it: an intent carries the hash of the model that
decided, and what that model allows is read here, from the manifest in the folder of models. A model
whose hash no manifest has is not known, and unknown does not trade outside of `simulated`.

    simulated    anything
    demo         an exported model that is known, a baseline, a class of the user's own
    production   an exported model whose manifest names production among the environments that its
                 markets were recorded in; anything else with RL_ALLOW_MODEL_HASH=<its hash>
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from ipc.messages import Environment, Intent
from models.policies.onnx import (
    MANIFEST_FILE,
    MODEL_FILE,
    ModelError,
    model_folder,
    read_manifest,
)

__all__ = ["ModelRule"]

HASH_DIGITS: Final = 16  # of a model's hash in messages
WITHOUT_MANIFEST: Final = frozenset({"baseline", "python"})


class _Known(NamedTuple):
    """What a folder says of its model, or why it says nothing."""

    sha256: str = ""
    environments: tuple[str, ...] = ()
    error: str = ""


class ModelRule:
    """Read anew when manifest or graph change.

    Args:
        data_dir: Folder of the stack, below which models lie.
        environment: Where orders go.
        allowed_hash: `RL_ALLOW_MODEL_HASH`: 16 hex digits of a model that its owner allows in
            production whatever its manifest says; empty for none.
    """

    def __init__(self, data_dir: Path, environment: Environment, allowed_hash: str = "") -> None:
        self._data_dir = data_dir
        self._environment = environment
        self._allowed_hash = allowed_hash
        self._known: dict[str, tuple[object, _Known]] = {}

    def refusal(self, intent: Intent) -> str:
        """Why the model of an intent may send no order here; empty when it may."""
        if self._environment is Environment.SIMULATED:
            return ""
        kind, _, name = intent.model.partition(":")
        model, digits = f"{intent.model} {intent.model_hash or '(no hash)'}", intent.model_hash
        is_production = self._environment is Environment.PRODUCTION
        if is_production and digits and digits == self._allowed_hash:
            return ""
        if kind == "onnx":
            why = self._of_manifest(name, digits)
        elif kind in WITHOUT_MANIFEST:
            why = "has no manifest" if is_production else ""
        else:
            why = "is no model that is known"
        if not why:
            return ""
        override = f"; RL_ALLOW_MODEL_HASH={digits} allows it" if is_production and digits else ""
        return f"{model} {why}, {self._environment} needs a model that allows it{override}"

    def _of_manifest(self, name: str, digits: str) -> str:
        known = self._look(name)
        if known.error:
            return known.error
        if len(digits) != HASH_DIGITS or not known.sha256.startswith(digits):
            return f"is not the model in its folder, which has {known.sha256[:HASH_DIGITS]}"
        is_production = self._environment is Environment.PRODUCTION
        if is_production and str(Environment.PRODUCTION) not in known.environments:
            return f"was trained on {', '.join(known.environments) or 'nothing that is known'}"
        return ""

    def _look(self, name: str) -> _Known:
        """What is in the folder now; read once for every change of its files."""
        try:
            folder = model_folder(name, self._data_dir)
            found = [(folder / file).stat() for file in (MANIFEST_FILE, MODEL_FILE)]
        except ModelError as error:
            return _Known(error=f"cannot be known: {error}")
        except OSError as error:
            return _Known(error=f"cannot be known: {error.filename}: {error.strerror}")
        stamp = [(f.st_ino, f.st_mtime_ns, f.st_size) for f in found]
        before = self._known.get(name)
        if before is None or before[0] != stamp:
            before = self._known[name] = (stamp, _read(folder))
        return before[1]


def _read(folder: Path) -> _Known:
    """A model is what its graph is: a manifest that describes another graph says nothing."""
    try:
        manifest = read_manifest(folder)
        sha256 = hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
    except ModelError as error:
        return _Known(error=f"cannot be known: {error}")
    except OSError as error:
        return _Known(error=f"cannot be known: {error.filename}: {error.strerror}")
    if sha256 != manifest.onnx_sha256:
        return _Known(error=f"cannot be known: the manifest is of {manifest.onnx_sha256[:16]}")
    return _Known(sha256, manifest.environments)
