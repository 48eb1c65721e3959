"""Models by name, which of them is live, and how that changes while the stack runs.

A model becomes live when it beats every baseline on validation, by the lower bound of the paired
difference in its manifest, with fees that were known; or by an override whose reason is written
there. Inference follows with `RL_ACTOR_STRATEGY=registry`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ipc.clock import NS_PER_S, real_ns
from models.policies.baselines import BASELINES
from models.policies.live_model import (
    Active,
    Change,
    Entry,
    RegistryCommand,
    active_path,
    load_entry,
    read_active,
    shipped,
)
from models.policies.onnx import (
    DEFAULT_ID,
    MANIFEST_FILE,
    Manifest,
    ModelError,
    Override,
    model_folder,
    read_manifest,
    write_all_aside,
)

__all__ = [
    "LEAST_MARKETS",
    "Registry",
    "fees_doubt",
    "history_lines",
    "line",
    "model_lines",
    "role_of",
    "shortfalls",
    "state",
]

LEAST_MARKETS: Final = 10  # a bootstrap over fewer has an interval that is too narrow


def shortfalls(manifest: Manifest) -> tuple[str, ...]:
    """What speaks against a model, by the figures in its manifest.

    The same question as `models.evaluation.comparison.beats_all`. It reads
    `evaluation["minus_<baseline>_low95"]`, the lower end of the 95 % interval of the paired
    difference, and `evaluation["markets"]`; a figure that is missing speaks against the model.

    Returns:
        The baselines that it does not beat, each with the lower bound of the difference; empty when
        it may be promoted.
    """
    markets = int(manifest.evaluation.get("markets", 0))
    found = (
        [] if markets >= LEAST_MARKETS else [f"any ({markets} markets, {LEAST_MARKETS} are needed)"]
    )
    for name in BASELINES:
        low = manifest.evaluation.get(f"minus_{name}_low95")
        if low is None:
            found.append(f"{name} (not compared)")
        elif low <= 0:
            found.append(f"{name} ({low:+.4f})")
    return tuple(found)


def fees_doubt(manifest: Manifest) -> str:
    """What is assumed about the fees behind a manifest's figures; "" when nothing is.

    A manifest of before does not say; its figures were made with the usual fees.
    """
    if not manifest.fees_assumed:
        return ""
    markets = sum(map(len, manifest.split.values()))
    return f"fees assumed for {manifest.fees_assumed} of {markets} markets"


class Registry:
    """The models of one data folder; one command at a time changes which is live.

    Commands hold a lock on the folder of the models, load the model and let it answer before
    anything is written, and write the state and a model's override together.

    Args:
        data_dir: Folder of the stack.
        now_ns: Clock, nanoseconds since the Unix epoch.
    """

    def __init__(self, data_dir: Path, now_ns: Callable[[], int] = real_ns) -> None:
        self._data_dir = data_dir
        self._now_ns = now_ns

    def check_folder(self) -> None:
        """`ModelError` when the data folder is not there: a mistyped one must not look empty."""
        if not self._data_dir.is_dir():
            raise self._no_models("No such file or directory")

    def _no_models(self, reason: str | None) -> ModelError:
        return ModelError(
            f"no models in {self._data_dir} ({reason}); "
            "--data-dir or RL_DATA_DIR names the folder of the stack"
        )

    def active(self) -> Active:
        """Which model is live now; errors as of `read_active`."""
        return read_active(self._data_dir)

    def ids(self) -> list[str]:
        """List the models that have a manifest: the shipped one first, then by name."""
        found = (self._data_dir / "models").glob(f"*/{MANIFEST_FILE}")
        return [DEFAULT_ID, *sorted({m.parent.name for m in found} - {DEFAULT_ID})]

    def manifest(self, model_id: str) -> Manifest:
        """What a model says about itself.

        Raises:
            ModelError: The id is not a plain name, or its manifest is missing or cannot be read.
        """
        return read_manifest(model_folder(model_id, self._data_dir))

    def promote(self, model_id: str, override: str | None = None) -> Active:
        """Make a model live.

        The shipped model needs no comparison: it is live wherever none was promoted. The live model
        may be promoted again, which makes inference try again what it refused.

        Args:
            model_id: The model.
            override: Reason to promote it although it does not beat every baseline, or was judged
                with fees that are assumed.

        Returns:
            The state afterwards.

        Raises:
            ModelError: It cannot run, or does not beat every baseline or was judged with assumed
                fees and no reason was given; nothing has changed.
        """
        with self._alone() as active:
            entry = self._runnable(model_id)
            if entry == active.live:
                return self._change(active, RegistryCommand.PROMOTE, entry)
            why = self._overriding(model_id, override)
            before = (*active.before, active.live)
            return self._change(
                active, RegistryCommand.PROMOTE, entry, why, live=entry, before=before
            )

    def _overriding(self, model_id: str, reason: str | None) -> Override | None:
        """What allows a model that something speaks against; None where nothing does."""
        if model_id == DEFAULT_ID:
            return None
        manifest = self.manifest(model_id)
        lacking, doubt = shortfalls(manifest), fees_doubt(manifest)
        if not (lacking or doubt):
            return None
        if reason is None or not reason.strip():
            against = [doubt] if doubt else []
            if lacking:
                against.insert(
                    0,
                    "the lower bound of its difference on validation is not above zero against "
                    + ", ".join(lacking),
                )
            raise ModelError(
                f"model {model_id!r} is not promoted; {'; '.join(against)}; "
                "--override REASON promotes it anyway"
            )
        not_beaten = (*lacking, doubt) if doubt else lacking
        return Override(reason=reason, not_beaten=not_beaten, at_ns=self._now_ns())

    def rollback(self) -> Active:
        """Make the predecessor live again.

        Returns:
            The state afterwards; its predecessor is the one before, so rollbacks can follow each
            other.

        Raises:
            ModelError: There is none, or it cannot run; nothing has changed.
        """
        with self._alone() as active:
            if not active.before:
                raise ModelError(f"model {active.live.model_id!r} has no predecessor")
            *older, entry = active.before
            load_entry(entry, self._data_dir)
            return self._change(
                active, RegistryCommand.ROLLBACK, entry, live=entry, before=tuple(older)
            )

    def shadow(self, model_id: str | None) -> Active:
        """Let a model decide beside the live one without ever sending; None ends that.

        Args:
            model_id: The model; it replaces another shadow.

        Returns:
            The state afterwards.

        Raises:
            ModelError: It cannot run, or is the live one; nothing has changed.
        """
        with self._alone() as active:
            if model_id is None:
                return self._change(active, RegistryCommand.SHADOW_OFF, None, shadow=None)
            entry = self._runnable(model_id)
            if entry == active.live:
                raise ModelError(f"model {model_id!r} is live; another one may shadow it")
            return self._change(active, RegistryCommand.SHADOW, entry, shadow=entry)

    def _runnable(self, model_id: str) -> Entry:
        """The model as it is in its folder, after it has answered once."""
        manifest = self.manifest(model_id)
        entry = shipped() if model_id == DEFAULT_ID else Entry(model_id, manifest.onnx_sha256)
        load_entry(entry, self._data_dir)
        return entry

    @contextmanager
    def _alone(self) -> Iterator[Active]:
        """The state, while no other command may change it.

        No folder is made here: in a mistyped one a command must fail, not seem to succeed.
        """
        folder = active_path(self._data_dir).parent
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._no_models(error.strerror) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.active()
        finally:
            os.close(lock)

    def _change(
        self,
        active: Active,
        command: RegistryCommand,
        entry: Entry | None,
        override: Override | None = None,
        **fields: object,
    ) -> Active:
        """Write the next state, together with the override in the model's manifest."""
        reason = None if override is None else override.reason
        history = (*active.history, Change(self._now_ns(), command, entry, reason))
        changed = msgspec.structs.replace(active, history=history, **fields)
        if changed.shadow == changed.live:
            changed = msgspec.structs.replace(changed, shadow=None)
        files: dict[Path, msgspec.Struct] = {active_path(self._data_dir): changed}
        if entry is not None and override is not None:
            manifest = msgspec.structs.replace(self.manifest(entry.model_id), override=override)
            files[model_folder(entry.model_id, self._data_dir) / MANIFEST_FILE] = manifest
        write_all_aside(files)
        return changed


# For people


def role_of(entry: Entry, active: Active) -> str:
    """How a model is used: live, shadow, predecessor, or "" for not at all."""
    if entry == active.live:
        return "live"
    if entry == active.shadow:
        return "shadow"
    return "predecessor" if entry in active.before[-1:] else ""


def _verdict(manifest: Manifest) -> str:
    lacking = shortfalls(manifest)
    return f"does not beat {', '.join(lacking)}" if lacking else "beats every baseline"


def _overridden(override: Override) -> str:
    return f"override {_time(override.at_ns)}: {override.reason}"


def line(model_id: str, registry: Registry, active: Active) -> str:
    """One model in one line: its role, schema, hash, and how it compares with the baselines."""
    try:
        manifest = registry.manifest(model_id)
    except ModelError as error:
        return f"{model_id}: {error}"
    role = role_of(Entry(model_id, manifest.onnx_sha256), active)
    facts = [role] if role else []
    facts += [manifest.observation_schema, f"sha256 {manifest.onnx_sha256[:16]}"]
    facts.append(_verdict(manifest))
    if doubt := fees_doubt(manifest):
        facts.append(doubt)
    if manifest.override:
        facts.append(_overridden(manifest.override))
    return f"{model_id}: {'; '.join(facts)}"


def model_lines(model_id: str, registry: Registry, active: Active) -> list[str]:
    """One model for people: the line of `list`, then every figure of its evaluation.

    Raises:
        ModelError: Its manifest cannot be read.
    """
    manifest = registry.manifest(model_id)
    made = f"{manifest.algorithm}, {manifest.timesteps} steps, seed {manifest.seed}"
    lines = [line(model_id, registry, active), f"  {made}, revision {manifest.revision}"]
    return lines + [f"  {name} {figure:+.4f}" for name, figure in manifest.evaluation.items()]


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat()


def history_lines(active: Active) -> list[str]:
    """Every command so far, one line each."""
    lines = []
    for change in active.history:
        model = f" {change.model.model_id} {change.model.onnx_sha256[:16]}" if change.model else ""
        why = f" override: {change.override}" if change.override else ""
        lines.append(f"{_time(change.at_ns)} {change.command}{model}{why}")
    return lines


def state(active: Active) -> str:
    """Live, shadow and predecessor in one line."""
    shadow = active.shadow.model_id if active.shadow else "none"
    before = active.before[-1].model_id if active.before else "none"
    return f"live {active.live.model_id}, shadow {shadow}, predecessor {before}"
