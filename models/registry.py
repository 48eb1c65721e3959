"""Models by name, which of them is live, and how that changes while the stack runs.

    python -m models.registry list|show [ID]|promote ID|rollback|shadow ID [--data-dir DIR]

A model becomes live when it beats every baseline on validation, by the lower bound of the paired
difference in its manifest, or by an override whose reason is written there. Inference follows with
`RL_ACTOR_STRATEGY=registry`.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ipc.clock import real_ns
from ipc.places import default_data_dir
from models.command_line import Parser
from models.evaluation.comparison import LEAST_MARKETS
from models.policies.baselines import BASELINES
from models.policies.listing import (
    ListedModel,
    UnreadableModel,
    active_models,
    as_json,
    listed,
)
from models.policies.live_model import (
    Active,
    Change,
    Deed,
    Entry,
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

__all__ = ["Registry", "main", "shortfalls"]


def shortfalls(manifest: Manifest) -> tuple[str, ...]:
    """What speaks against a model: baselines that it does not beat, each with its lower bound.

    As `models.evaluation.comparison.beats_all`, by the figures in the manifest.
    """
    markets = int(manifest.evaluation.get("markets", 0))
    found = (
        [] if markets >= LEAST_MARKETS else [f"any ({markets} markets, it takes {LEAST_MARKETS})"]
    )
    for name in BASELINES:
        low = manifest.evaluation.get(f"minus_{name}_low95")
        if low is None:
            found.append(f"{name} (not compared)")
        elif low <= 0:
            found.append(f"{name} ({low:+.4f})")
    return tuple(found)


def _no_models(data_dir: Path, reason: str | None) -> ModelError:
    return ModelError(
        f"no models in {data_dir} ({reason}); "
        "--data-dir or RL_DATA_DIR names the folder of the stack"
    )


class Registry:
    """The models of one data folder; one command at a time changes which is live."""

    def __init__(self, data_dir: Path, now_ns: Callable[[], int] = real_ns) -> None:
        self._data_dir = data_dir
        self._now_ns = now_ns

    def active(self) -> Active:
        """Which is live now."""
        return read_active(self._data_dir)

    def ids(self) -> list[str]:
        """Every model at hand, the shipped one first."""
        found = (self._data_dir / "models").glob(f"*/{MANIFEST_FILE}")
        return [DEFAULT_ID, *sorted({m.parent.name for m in found} - {DEFAULT_ID})]

    def manifest(self, model_id: str) -> Manifest:
        """What a model says of itself."""
        return read_manifest(model_folder(model_id, self._data_dir))

    def promote(self, model_id: str, override: str | None = None) -> Active:
        """Make a model live; `ModelError` names every baseline that it does not beat.

        The shipped model needs no comparison: it is live wherever nobody promoted anything. The
        live model may be promoted again, which makes inference look again for what it refused.
        """
        with self._alone() as active:
            entry = self._runnable(model_id)
            if entry == active.live:
                return self._change(active, Deed.PROMOTE, entry)
            why = self._overriding(model_id, override)
            before = (*active.before, active.live)
            return self._change(active, Deed.PROMOTE, entry, why, live=entry, before=before)

    def _overriding(self, model_id: str, reason: str | None) -> Override | None:
        """What allows a model that does not beat every baseline; None for one that does."""
        lacking = () if model_id == DEFAULT_ID else shortfalls(self.manifest(model_id))
        if not lacking:
            return None
        if reason is None or not reason.strip():
            raise ModelError(
                f"model {model_id!r} is not promoted; the lower bound of its difference on "
                f"validation is not above zero against {', '.join(lacking)}; "
                "--override REASON promotes it nevertheless"
            )
        return Override(reason=reason, not_beaten=lacking, at_ns=self._now_ns())

    def rollback(self) -> Active:
        """Make the predecessor live again."""
        with self._alone() as active:
            if not active.before:
                raise ModelError(f"model {active.live.model_id!r} has no predecessor")
            *older, entry = active.before
            load_entry(entry, self._data_dir)
            return self._change(active, Deed.ROLLBACK, entry, live=entry, before=tuple(older))

    def shadow(self, model_id: str | None) -> Active:
        """Let a model decide beside the live one without ever sending; None ends that."""
        with self._alone() as active:
            if model_id is None:
                return self._change(active, Deed.SHADOW_OFF, None, shadow=None)
            entry = self._runnable(model_id)
            if entry == active.live:
                raise ModelError(f"model {model_id!r} is live; another one may shadow it")
            return self._change(active, Deed.SHADOW, entry, shadow=entry)

    def _runnable(self, model_id: str) -> Entry:
        """The model as it lies there, once it has answered."""
        manifest = self.manifest(model_id)
        entry = shipped() if model_id == DEFAULT_ID else Entry(model_id, manifest.onnx_sha256)
        load_entry(entry, self._data_dir)
        return entry

    @contextmanager
    def _alone(self) -> Iterator[Active]:
        """The state, while no other command may change it.

        None is made in a folder without models: who mistypes it must not believe that one is back.
        """
        folder = active_path(self._data_dir).parent
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _no_models(self._data_dir, error.strerror) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.active()
        finally:
            os.close(lock)

    def _change(
        self,
        active: Active,
        deed: Deed,
        entry: Entry | None,
        override: Override | None = None,
        **fields: object,
    ) -> Active:
        """The next state, written together with what a manifest gets to know of it."""
        reason = None if override is None else override.reason
        history = (*active.history, Change(self._now_ns(), deed, entry, reason))
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


def _role(entry: Entry, active: Active) -> str:
    """live, shadow, predecessor or nothing."""
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


def _line(model_id: str, registry: Registry, active: Active) -> str:
    try:
        manifest = registry.manifest(model_id)
    except ModelError as error:
        return f"{model_id}: {error}"
    role = _role(Entry(model_id, manifest.onnx_sha256), active)
    facts = [role] if role else []
    facts += [manifest.observation_schema, f"sha256 {manifest.onnx_sha256[:16]}"]
    facts.append(_verdict(manifest))
    if manifest.override:
        facts.append(_overridden(manifest.override))
    return f"{model_id}: {'; '.join(facts)}"


def _model_lines(model_id: str, registry: Registry, active: Active) -> list[str]:
    """The line of `list`, then every figure of the evaluation."""
    manifest = registry.manifest(model_id)
    made = f"{manifest.algorithm}, {manifest.timesteps} steps, seed {manifest.seed}"
    lines = [_line(model_id, registry, active), f"  {made}, revision {manifest.revision}"]
    return lines + [f"  {name} {figure:+.4f}" for name, figure in manifest.evaluation.items()]


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat()


def _history_lines(active: Active) -> list[str]:
    lines = []
    for change in active.history:
        model = f" {change.model.model_id} {change.model.onnx_sha256[:16]}" if change.model else ""
        why = f" override: {change.override}" if change.override else ""
        lines.append(f"{_time(change.at_ns)} {change.deed}{model}{why}")
    return lines


def _state(active: Active) -> str:
    shadow = active.shadow.model_id if active.shadow else "none"
    before = active.before[-1].model_id if active.before else "none"
    return f"live {active.live.model_id}, shadow {shadow}, predecessor {before}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m models.registry", description="Which model is live.")
    data_dir = Path(os.environ.get("RL_DATA_DIR") or default_data_dir())
    parser.add_argument("--data-dir", type=Path, default=data_dir)
    behind = Parser(add_help=False)  # the same, after the command
    behind.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, what: str) -> Parser:
        return commands.add_parser(name, help=what, parents=[behind])

    listing = command("list", "every model, and how it stands against the baselines")
    show = command("show", "one model, or which is live and how that came")
    show.add_argument("model", nargs="?")
    for with_json in (listing, show):
        with_json.add_argument("--json", action="store_true", help="for programs")
    promote = command("promote", "make a model live")
    promote.add_argument("model")
    promote.add_argument("--override", metavar="REASON", help="though it beats not all baselines")
    command("rollback", "make the predecessor live again")
    shadow = command("shadow", "let a model decide without ever sending")
    which = shadow.add_mutually_exclusive_group(required=True)
    which.add_argument("model", nargs="?")
    which.add_argument("--off", action="store_true", help="no model shadows")
    return parser.parse_args(argv)


def _facts(options: argparse.Namespace, registry: Registry) -> object:
    """What `list` or `show` says, for programs."""
    active = registry.active()
    if options.command == "list":
        return [_listed(model_id, registry, active) for model_id in registry.ids()]
    if options.model:
        registry.manifest(options.model)  # `ModelError` for one that is not there
        return _listed(options.model, registry, active)
    return active_models(active)


def _listed(model_id: str, registry: Registry, active: Active) -> ListedModel | UnreadableModel:
    try:
        manifest = registry.manifest(model_id)
    except ModelError as error:
        return UnreadableModel(model_id, str(error))
    role = _role(Entry(model_id, manifest.onnx_sha256), active)
    return listed(manifest, role, shortfalls(manifest))


def _done(options: argparse.Namespace, registry: Registry) -> list[str]:
    match options.command:
        case "list" | "show" if options.json:
            return [as_json(_facts(options, registry))]
        case "list":
            active = registry.active()
            return [_line(model_id, registry, active) for model_id in registry.ids()]
        case "show" if options.model:
            return _model_lines(options.model, registry, registry.active())
        case "show":
            active = registry.active()
            return [_state(active), *_history_lines(active)]
        case "promote":
            return [_state(registry.promote(options.model, options.override))]
        case "rollback":
            return [_state(registry.rollback())]
        case _:
            return [_state(registry.shadow(None if options.off else options.model))]


def main(argv: Sequence[str] | None = None) -> int:
    """Do one command and say how it stands then; 2 when it is refused, and nothing has changed."""
    options = _arguments(argv)
    try:
        if not options.data_dir.is_dir():
            raise _no_models(options.data_dir, "No such file or directory")
        lines = _done(options, Registry(options.data_dir))
    except (ValueError, OSError) as error:
        print(f"registry: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
