"""Which models may trade where, by what execution reads of them itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.made_models import make_model
from support.orders import intent

from ipc.messages import Environment
from models.policies.onnx import DEFAULT_MODEL, MANIFEST_FILE, MODEL_FILE, read_manifest
from processes.execution.model_rule import ModelRule

SIMULATED, DEMO, PRODUCTION = Environment.SIMULATED, Environment.DEMO, Environment.PRODUCTION
HASH = "0123456789abcdef"


def refusal(
    data_dir: Path, environment: Environment, model: str, digits: str, allowed: str = ""
) -> str:
    rule = ModelRule(data_dir, environment, allowed)
    return rule.refusal(intent(model=model, model_hash=digits))


def made(data_dir: Path, *environments: str) -> str:
    """A model `mine` that was trained on these -> its hash."""
    return make_model(data_dir, "mine", environments=environments).onnx_sha256[:16]


@pytest.mark.parametrize(
    ("trained", "environment", "may"),
    [
        (("production",), PRODUCTION, True),
        (("demo", "production"), PRODUCTION, True),
        (("demo",), PRODUCTION, False),
        (("simulated",), PRODUCTION, False),
        ((), PRODUCTION, False),
        (("production",), DEMO, True),
        (("simulated",), DEMO, True),
        (("simulated",), SIMULATED, True),
    ],
)
def test_production_needs_a_model_of_production(
    tmp_path: Path, trained: tuple[str, ...], environment: Environment, may: bool
) -> None:
    digits = made(tmp_path, *trained)
    assert (refusal(tmp_path, environment, "onnx:mine", digits) == "") is may


def test_the_line_says_what_is_missing_and_what_would_allow_it(tmp_path: Path) -> None:
    digits = made(tmp_path, "demo")
    assert refusal(tmp_path, PRODUCTION, "onnx:mine", digits) == (
        f"onnx:mine {digits} was trained on demo, production needs a model that allows it; "
        f"RL_ALLOW_MODEL_HASH={digits} allows it"
    )


@pytest.mark.parametrize("model", ["baseline:random", "python:mine.Policy", "onnx:mine"])
def test_the_override_must_spell_the_very_hash(tmp_path: Path, model: str) -> None:
    digits = made(tmp_path, "demo") if model == "onnx:mine" else HASH
    assert refusal(tmp_path, PRODUCTION, model, digits) != ""
    assert refusal(tmp_path, PRODUCTION, model, digits, digits) == ""
    assert refusal(tmp_path, PRODUCTION, model, digits, digits[:-1] + "~") != ""
    assert refusal(tmp_path, PRODUCTION, model, "", "") != ""


@pytest.mark.parametrize("model", ["baseline:random", "python:mine.Policy"])
def test_what_has_no_manifest_may_trade_on_demo(tmp_path: Path, model: str) -> None:
    assert refusal(tmp_path, DEMO, model, HASH) == ""
    assert refusal(tmp_path, PRODUCTION, model, HASH).startswith(f"{model} {HASH} has no manifest")


@pytest.mark.parametrize("environment", [DEMO, PRODUCTION])
@pytest.mark.parametrize(
    ("model", "digits"),
    [
        ("onnx:mine", HASH),  # another graph than the one in the folder
        ("onnx:mine", ""),
        ("onnx:none", HASH),
        ("onnx:../mine", HASH),
        ("test", HASH),
    ],
)
def test_what_is_not_known_trades_in_simulated_alone(
    tmp_path: Path, environment: Environment, model: str, digits: str
) -> None:
    made(tmp_path, "production")
    assert refusal(tmp_path, environment, model, digits) != ""
    assert refusal(tmp_path, SIMULATED, model, digits) == ""


def test_a_short_hash_is_not_enough(tmp_path: Path) -> None:
    digits = made(tmp_path, "production")
    assert refusal(tmp_path, PRODUCTION, "onnx:mine", digits[:15]) != ""


def test_a_graph_that_is_not_the_manifest_s_is_not_known(tmp_path: Path) -> None:
    digits = made(tmp_path, "production")
    rule = ModelRule(tmp_path, PRODUCTION)
    wanted = intent(model="onnx:mine", model_hash=digits)
    assert rule.refusal(wanted) == ""
    (tmp_path / "models" / "mine" / MODEL_FILE).write_bytes(b"another")
    assert "cannot be known: the manifest is of" in rule.refusal(wanted)


def test_a_changed_manifest_counts_at_once(tmp_path: Path) -> None:
    digits = made(tmp_path, "production")
    rule = ModelRule(tmp_path, PRODUCTION)
    wanted = intent(model="onnx:mine", model_hash=digits)
    assert rule.refusal(wanted) == ""
    folder = tmp_path / "models" / "mine"
    changed = msgspec.structs.replace(read_manifest(folder), environments=("demo",))
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(changed))
    assert rule.refusal(wanted) != ""


def test_the_shipped_model_may_trade_in_production(tmp_path: Path) -> None:
    digits = read_manifest(DEFAULT_MODEL).onnx_sha256[:16]
    assert refusal(tmp_path, PRODUCTION, "onnx:default", digits) == ""
