"""Which model is live and which shadows it: one small file that inference follows.

`<data_dir>/models/active.json` is written by `models.policies.registry` alone, aside and then
renamed, so half of it is never read. Without the file the shipped model is live.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from models.policies.onnx import (
    DEFAULT_ID,
    DEFAULT_MODEL,
    ModelError,
    OnnxPolicy,
    model_folder,
    read_manifest,
)

__all__ = [
    "Active",
    "Change",
    "Entry",
    "RegistryCommand",
    "Stamp",
    "active_path",
    "load_entry",
    "read_active",
    "shipped",
    "stamp_of",
]

VERSION: Final = 1
ANSWER_S: Final = 20.0  # for a model's first answers; the shipped one takes a millisecond

Stamp = tuple[int, int, int]  # (inode, mtime_ns, size): every command makes another one


class RegistryCommand(StrEnum):
    """What a command of the registry did."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    SHADOW = "shadow"
    SHADOW_OFF = "shadow off"


class Entry(msgspec.Struct, frozen=True):
    """One model, by name and by the bytes that were checked when it was chosen.

    Attributes:
        model_id: Its name.
        onnx_sha256: Hash of its graph at that time; a graph of another hash is refused later.
    """

    model_id: str
    onnx_sha256: str


class Change(msgspec.Struct, frozen=True):
    """One command of the registry.

    Attributes:
        at_ns: When, nanoseconds since the Unix epoch.
        command: What it did.
        model: The model it did that to; None for `shadow off`.
        override: The reason given where the comparison did not allow it.
    """

    at_ns: int
    command: RegistryCommand = msgspec.field(name="deed")  # its name in every `active.json`
    model: Entry | None
    override: str | None = None


class Active(msgspec.Struct, frozen=True):
    """What inference runs.

    Attributes:
        live: Decides and sends.
        shadow: Decides beside it and never sends.
        before: What a rollback brings back, the newest last.
        history: Every command so far.
        version: Of this file's format.
    """

    live: Entry
    shadow: Entry | None = None
    before: tuple[Entry, ...] = ()
    history: tuple[Change, ...] = ()
    version: int = VERSION


def active_path(data_dir: Path) -> Path:
    """Where the state is kept."""
    return data_dir / "models" / "active.json"


def stamp_of(data_dir: Path) -> Stamp | None:
    """Tell one state's file from the next without reading it.

    Args:
        data_dir: Folder of the stack.

    Returns:
        (inode, modification time in nanoseconds, size), another one after every command of the
        registry; None while there is no file, or it cannot be looked at.
    """
    try:
        found = active_path(data_dir).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def shipped() -> Entry:
    """The model that this code ships."""
    return Entry(DEFAULT_ID, read_manifest(DEFAULT_MODEL).onnx_sha256)


def _present(entry: Entry) -> Entry:
    """The entry as it is now: the shipped model's bytes change with the code."""
    return shipped() if entry.model_id == DEFAULT_ID else entry


def read_active(data_dir: Path) -> Active:
    """Read the state; the shipped model is live when there is none.

    The shipped model's hash is that of the file at hand, whatever the state says: it changes with
    the code.

    Args:
        data_dir: Folder of the stack.

    Raises:
        ModelError: The file cannot be read, or is of another version.
    """
    path = active_path(data_dir)
    try:
        active = msgspec.json.decode(path.read_bytes(), type=Active)
    except FileNotFoundError:
        return Active(shipped())
    except (ValueError, RecursionError, OSError) as error:
        raise ModelError(f"registry: {path} cannot be read: {error}") from None
    if active.version != VERSION:
        raise ModelError(f"registry: {path} is version {active.version}, this code has {VERSION}")
    return msgspec.structs.replace(
        active,
        live=_present(active.live),
        shadow=_present(active.shadow) if active.shadow else None,
        before=tuple(_present(entry) for entry in active.before),
    )


def load_entry(entry: Entry, data_dir: Path) -> OnnxPolicy:
    """Load exactly the model that was chosen, and have it answer once.

    Args:
        entry: Name and hash.
        data_dir: Folder of the stack.

    Returns:
        The policy, which has decided for one market and for two: what a first run allocates is
        there before the first tick.

    Raises:
        ModelError: Its folder holds another model by now, or it cannot answer.
    """
    policy = OnnxPolicy(model_folder(entry.model_id, data_dir))
    found, name = policy.manifest.onnx_sha256, policy.manifest.model_id
    if name != entry.model_id:  # decisions name the manifest's
        raise ModelError(f"model {entry.model_id!r}: its manifest says {name!r}")
    if found != entry.onnx_sha256:
        raise ModelError(
            f"model {entry.model_id!r}: sha256 is {found}, chosen was {entry.onnx_sha256}"
        )
    _ask(policy)
    return policy


def _ask(policy: OnnxPolicy) -> None:
    """Have it decide for one market and for several: ONNX Runtime treats them differently."""
    for markets in (1, 2):
        nothing = np.zeros((markets, policy.builder.size), np.float32)
        try:
            answers = policy.answer_within(nothing, ANSWER_S)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001  ONNX Runtime's errors share no other base
            raise ModelError(f"{policy.model} cannot decide {markets} at once: {error}") from None
        if not np.isfinite(answers.logits).all():
            raise ModelError(f"{policy.model} answers {answers.logits[0]}")
