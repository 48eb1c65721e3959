"""Which model is live: what a command allows, what it writes, and that it can be taken back."""

from __future__ import annotations

import hashlib
import json
import threading
from itertools import count
from pathlib import Path

import msgspec
import pytest
from support.made_models import BUYS_YES, beating, make_model

from models import registry
from models.policies.baselines import BASELINES
from models.policies.live_model import (
    Active,
    Change,
    Entry,
    RegistryCommand,
    active_path,
    load_entry,
    read_active,
    stamp_of,
)
from models.policies.onnx import (
    DEFAULT_MODEL,
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    ModelError,
    read_manifest,
    write_aside,
)
from models.policies.registry import Registry

NOW_NS = 1_785_945_600_000_000_000


@pytest.fixture
def models(tmp_path: Path) -> Registry:
    """A folder with two models that beat every baseline."""
    make_model(tmp_path, "first")
    make_model(tmp_path, "second", BUYS_YES)
    moments = count(NOW_NS)
    return Registry(tmp_path, lambda: next(moments))


def names(active: Active) -> tuple[str, str | None, list[str]]:
    shadow = active.shadow.model_id if active.shadow else None
    return active.live.model_id, shadow, [entry.model_id for entry in active.before]


# Live


def test_where_nobody_promoted_anything_the_shipped_model_is_live(tmp_path: Path) -> None:
    active = read_active(tmp_path)
    assert names(active) == ("default", None, [])
    assert load_entry(active.live, tmp_path).model == "onnx:default"
    assert stamp_of(tmp_path) is None


def test_a_model_that_beats_every_baseline_becomes_live(models: Registry, tmp_path: Path) -> None:
    models.promote("first")
    models.promote("second")
    active = read_active(tmp_path)
    assert names(active) == ("second", None, ["default", "first"])
    assert [(c.command, c.model.model_id, c.override) for c in active.history if c.model] == [
        (RegistryCommand.PROMOTE, "first", None),
        (RegistryCommand.PROMOTE, "second", None),
    ]
    assert load_entry(active.live, tmp_path).model == "onnx:second"


@pytest.mark.parametrize("low", [0.0, -0.01, None])
@pytest.mark.parametrize("baseline", sorted(BASELINES))
def test_one_baseline_that_is_not_beaten_refuses_by_name(
    models: Registry, tmp_path: Path, baseline: str, low: float | None
) -> None:
    figures = beating()
    if low is None:
        del figures[f"minus_{baseline}_low95"]
    else:
        figures[f"minus_{baseline}_low95"] = low
    make_model(tmp_path, "weak", evaluation=figures)
    with pytest.raises(ModelError, match="'weak' is not promoted") as refused:
        models.promote("weak")
    others = BASELINES.keys() - {baseline}
    assert f" {baseline} (" in str(refused.value)
    assert not [name for name in others if f" {name} (" in str(refused.value)]
    assert not active_path(tmp_path).exists()


def test_few_markets_are_no_proof(models: Registry, tmp_path: Path) -> None:
    make_model(tmp_path, "enough", evaluation=beating() | {"markets": 10.0})
    make_model(tmp_path, "lucky", evaluation=beating() | {"markets": 9.0})
    assert models.promote("enough").live.model_id == "enough"
    with pytest.raises(ModelError, match=r"any \(9 markets, 10 are needed\)"):
        models.promote("lucky")


def test_assumed_fees_need_an_override(models: Registry, tmp_path: Path) -> None:
    manifest = make_model(tmp_path, "guessed")
    path = tmp_path / "models" / "guessed" / MANIFEST_FILE
    write_aside(path, msgspec.structs.replace(manifest, fees_assumed=0))
    assert models.promote("guessed").live.model_id == "guessed"
    models.promote("first")
    write_aside(path, msgspec.structs.replace(manifest, fees_assumed=2))
    with pytest.raises(ModelError, match="'guessed' is not promoted; fees assumed for 2 of"):
        models.promote("guessed")
    active = models.promote("guessed", "the series' page says so")
    assert active.live.model_id == "guessed"
    override = read_manifest(path.parent).override
    assert override is not None
    assert "fees assumed for 2 of" in override.not_beaten[-1]


def test_a_manifest_of_before_says_nothing_of_fees_and_is_read(tmp_path: Path) -> None:
    make_model(tmp_path, "old")
    path = tmp_path / "models" / "old" / MANIFEST_FILE
    facts = json.loads(path.read_text())
    facts.pop("fees_assumed", None)
    path.write_text(json.dumps(facts))
    assert read_manifest(path.parent).fees_assumed is None
    assert Registry(tmp_path).promote("old").live.model_id == "old"


def test_an_override_is_written_into_the_manifest_and_shown(
    models: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = make_model(tmp_path, "weak", evaluation=beating() | {"minus_hold_low95": -1.0})
    active = models.promote("weak", "a day at one contract")
    manifest = read_manifest(tmp_path / "models" / "weak")
    assert manifest.override is not None
    assert manifest.override.reason == "a day at one contract"
    assert manifest.override.not_beaten == ("hold (-1.0000)",)
    assert msgspec.structs.replace(manifest, override=None) == before
    assert active.history[-1].override == "a day at one contract"
    for command in (["list"], ["show", "weak"], ["show"]):
        assert registry.main(["--data-dir", str(tmp_path), *command]) == 0
        assert "a day at one contract" in capsys.readouterr().out, command


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_an_override_gives_its_reason(models: Registry, tmp_path: Path, reason: str | None) -> None:
    make_model(tmp_path, "weak", evaluation={})
    with pytest.raises(ModelError, match="--override REASON"):
        models.promote("weak", reason)
    assert read_manifest(tmp_path / "models" / "weak").override is None


def test_an_override_that_is_not_needed_is_not_recorded(models: Registry, tmp_path: Path) -> None:
    assert models.promote("first", "to be sure").history[-1].override is None
    assert read_manifest(tmp_path / "models" / "first").override is None


def test_the_shipped_model_may_come_back_without_a_comparison(models: Registry) -> None:
    models.promote("first")
    assert names(models.promote("default")) == ("default", None, ["default", "first"])


def test_a_manifest_of_before_overrides_is_read() -> None:
    facts = msgspec.json.decode((DEFAULT_MODEL / MANIFEST_FILE).read_bytes())
    del facts["override"]
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Manifest).override is None


def test_the_live_model_may_be_promoted_again_so_that_it_is_looked_for(
    models: Registry, tmp_path: Path
) -> None:
    make_model(tmp_path, "weak", evaluation={})
    models.promote("weak", "a day at one contract")
    before, stamp = models.active(), stamp_of(tmp_path)
    again = models.promote("weak")
    assert names(again) == names(before) == ("weak", None, ["default"])
    assert stamp_of(tmp_path) != stamp
    assert names(models.rollback()) == ("default", None, [])


# Back


def test_a_rollback_brings_the_predecessor_back_and_then_its_own(models: Registry) -> None:
    models.promote("first")
    models.promote("second")
    assert names(models.rollback()) == ("first", None, ["default"])
    assert names(models.rollback()) == ("default", None, [])
    with pytest.raises(ModelError, match="'default' has no predecessor"):
        models.rollback()
    assert [c.command for c in models.active().history] == [
        *[RegistryCommand.PROMOTE] * 2,
        *[RegistryCommand.ROLLBACK] * 2,
    ]


def test_a_predecessor_that_is_not_what_it_was_does_not_come_back(
    models: Registry, tmp_path: Path
) -> None:
    models.promote("first")
    models.promote("second")
    make_model(tmp_path, "first", BUYS_YES, schema="OBSERVATION_V2")
    with pytest.raises(ModelError, match=r"'first': sha256 is .*, chosen was "):
        models.rollback()
    assert names(models.active()) == ("second", None, ["default", "first"])


# Shadow


def test_a_shadow_needs_no_comparison_and_ends_when_it_is_promoted(
    models: Registry, tmp_path: Path
) -> None:
    make_model(tmp_path, "weak", evaluation={})
    assert names(models.shadow("weak")) == ("default", "weak", [])
    assert names(models.promote("first")) == ("first", "weak", ["default"])
    assert names(models.promote("weak", "it did well")) == ("weak", None, ["default", "first"])
    assert names(models.shadow("second"))[1] == "second"
    assert names(models.shadow(None))[1] is None
    with pytest.raises(ModelError, match="is live"):
        models.shadow("weak")


# Files


@pytest.mark.parametrize("deed", ["promote", "shadow"])
def test_a_model_that_does_not_run_is_refused(models: Registry, tmp_path: Path, deed: str) -> None:
    with (tmp_path / "models" / "first" / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    make_model(tmp_path, "second", model_id="other")
    garbage = b"no graph"
    make_model(tmp_path, "third", onnx_sha256=hashlib.sha256(garbage).hexdigest())
    (tmp_path / "models" / "third" / MODEL_FILE).write_bytes(garbage)
    act = getattr(models, deed)
    for model_id, says in (
        ("first", "sha256 of policy.onnx"),
        ("second", "its manifest says 'other'"),
        ("third", "ONNX Runtime refuses it"),
        ("absent", "no manifest.json"),
        ("../first", "is not a name"),
    ):
        with pytest.raises(ModelError, match=says):
            act(model_id)
    assert not active_path(tmp_path).exists()


def test_the_state_is_replaced_whole(models: Registry, tmp_path: Path) -> None:
    models.promote("first")
    path = active_path(tmp_path)
    held, before = path.open("rb"), path.read_bytes()
    stamp = stamp_of(tmp_path)
    models.promote("second")
    with held:
        assert held.read() == before, "who has it open reads the old one to its end"
    assert stamp_of(tmp_path) != stamp
    assert [p.name for p in path.parent.iterdir() if p.is_file()] == [path.name]


def test_a_write_that_fails_leaves_the_state(
    models: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.promote("first")
    before = active_path(tmp_path).read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("models.policies.onnx.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        models.promote("second")
    assert active_path(tmp_path).read_bytes() == before


def test_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    for n in range(8):
        make_model(tmp_path, f"m{n}")
    workers = [
        threading.Thread(target=Registry(tmp_path).promote, args=(f"m{n}",)) for n in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    active = read_active(tmp_path)
    chosen = {active.live.model_id, *(entry.model_id for entry in active.before)}
    assert chosen == {"default", *(f"m{n}" for n in range(8))}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "cannot be read"),
        (b'{"live": 1}', "cannot be read"),
        (b"", "cannot be read"),
        (b'{"live": {"model_id": "\xff", "onnx_sha256": ""}}', "cannot be read: .*utf-8"),
    ],
)
def test_a_state_that_means_nothing_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    active_path(tmp_path).parent.mkdir()
    active_path(tmp_path).write_bytes(text)
    with pytest.raises(ModelError, match=says):
        read_active(tmp_path)


def test_a_state_of_another_version_is_refused(models: Registry, tmp_path: Path) -> None:
    active = msgspec.structs.replace(models.promote("first"), version=2)
    write_aside(active_path(tmp_path), active)
    with pytest.raises(ModelError, match="version 2, this code has 1"):
        read_active(tmp_path)


# RegistryCommand line


def test_the_commands_say_how_it_stands(
    models: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del models
    make_model(tmp_path, "third", evaluation={})

    def said(*arguments: str) -> str:
        assert registry.main(["--data-dir", str(tmp_path), *arguments]) == 0
        return capsys.readouterr().out

    assert said("promote", "first") == "live first, shadow none, predecessor default\n"
    assert said("shadow", "second") == "live first, shadow second, predecessor default\n"
    listed = said("list").splitlines()
    assert [line.split(";")[0] for line in listed] == [
        "default: predecessor",
        "first: live",
        "second: shadow",
        "third: OBSERVATION_V1",
    ]
    assert "does not beat hold (+0.0000)" in listed[0]
    assert "market_maker (not compared)" in listed[3]
    assert "beats every baseline" in listed[1]
    assert "minus_hold_low95 +0.5000" in said("show", "first")
    assert said("shadow", "--off") == "live first, shadow none, predecessor default\n"
    assert said("rollback") == "live default, shadow none, predecessor none\n"
    assert "promote first" in said("show")


def test_the_data_folder_is_the_variable_s_or_the_argument_s_wherever_that_stands(
    models: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models.promote("first")
    folder = ["--data-dir", str(tmp_path)]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path / "elsewhere"))
    for arguments in (["show"], ["show", *folder], [*folder, "show"]):
        assert registry.main(arguments) == 0
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    assert registry.main(["show"]) == 0
    lives = [
        line.split(",")[0] for line in capsys.readouterr().out.splitlines() if "shadow" in line
    ]
    assert lives == ["live default", *["live first"] * 3]


def test_a_refused_command_is_one_line_and_code_2(
    models: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del models
    assert registry.main(["--data-dir", str(tmp_path), "rollback"]) == 2
    assert capsys.readouterr().err == "registry: model 'default' has no predecessor\n"


@pytest.mark.parametrize("manifest", [b"{", b'{"model_id": "\xff"}', b"[" * 10_000, b"null"])
def test_a_broken_model_is_listed_as_such(
    models: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: bytes
) -> None:
    del models
    (tmp_path / "models" / "first" / MANIFEST_FILE).write_bytes(manifest)
    assert registry.main(["--data-dir", str(tmp_path), "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in listed] == ["default", "first", "second"]
    assert listed[1].startswith("first: model 'first': ")


def test_the_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its file calls a command a deed, and so does the next version's."""
    path = active_path(tmp_path)
    path.parent.mkdir(parents=True)
    entry = {"model_id": "first", "onnx_sha256": "aa"}
    change = {"at_ns": 5, "deed": "promote", "model": entry, "override": "why"}
    path.write_text(json.dumps({"live": entry, "history": [change], "version": 1}))
    active = read_active(tmp_path)
    assert active.live == Entry("first", "aa")
    assert active.history == (Change(5, RegistryCommand.PROMOTE, active.live, "why"),)
    assert b'"deed":"promote"' in msgspec.json.encode(active)
