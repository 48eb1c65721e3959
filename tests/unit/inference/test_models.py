from __future__ import annotations

import msgspec
import pytest
from support.actor_rig import settings_of
from support.made_models import BUYS_YES, make_model

from models.policies.baselines import Hold
from models.policies.onnx import DEFAULT_MODEL, OnnxPolicy
from models.policies.registry import Registry
from processes.inference.models import choice_of, differences, strategy_of
from processes.runtime.config import ConfigError, load_settings

needs_model = pytest.mark.skipif(
    not (DEFAULT_MODEL / "policy.onnx").exists(), reason="no model is shipped yet"
)


def test_a_known_strategy_is_loaded(tmp_path):
    settings = settings_of(tmp_path, RL_ACTOR_STRATEGY="baseline:hold")
    assert strategy_of(settings).model == "baseline:hold"


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("baseline:luck", "baseline:random"),
        ("magic", "onnx:<model>"),
        ("magic", ", registry$"),
        ("onnx:", "onnx:<model>"),
        ("onnx:../../etc", "is not a name"),
        ("onnx:absent", "no manifest.json"),
    ],
)
def test_what_cannot_run_is_named_with_what_can(tmp_path, strategy, says):
    with pytest.raises(ConfigError, match=says) as caught:
        strategy_of(settings_of(tmp_path, RL_ACTOR_STRATEGY=strategy))
    assert f"RL_ACTOR_STRATEGY={strategy!r}" in str(caught.value)


def test_the_registry_s_live_model_is_loaded(tmp_path):
    settings = settings_of(tmp_path, RL_ACTOR_STRATEGY="registry")
    assert strategy_of(settings).model == "onnx:default"
    make_model(tmp_path, "mine")
    Registry(tmp_path).promote("mine")
    assert strategy_of(settings).model == "onnx:mine"


def test_a_promoted_model_that_is_not_what_it_was_does_not_start(tmp_path):
    make_model(tmp_path, "mine")
    Registry(tmp_path).promote("mine")
    make_model(tmp_path, "mine", BUYS_YES)
    with pytest.raises(ConfigError, match=r"'registry': model 'mine': sha256 is .*, chosen was "):
        strategy_of(settings_of(tmp_path, RL_ACTOR_STRATEGY="registry"))


def test_configured_markets_are_required_by_their_mode(tmp_path):
    with pytest.raises(ConfigError, match="RL_ACTOR_MARKET_TICKERS is empty, and so is RL_MARKET"):
        choice_of(settings_of(tmp_path, RL_ACTOR_TARGET_MARKET_MODE="config").actor)
    both = {"RL_ACTOR_TARGET_MARKET_MODE": "config", "RL_ACTOR_MARKET_TICKERS": "A,B"}
    choice = choice_of(settings_of(tmp_path, **both).actor)
    assert (choice.trades("B"), choice.trades("C")) == (True, False)


def test_the_actor_s_list_of_markets_is_the_collector_s_where_it_has_none_of_its_own(tmp_path):
    config = {"RL_ACTOR_TARGET_MARKET_MODE": "config", "RL_MARKET_TICKERS": "A,B"}
    choice = choice_of(settings_of(tmp_path, **config).actor)
    assert [choice.trades(ticker) for ticker in "ABC"] == [True, True, False]
    narrower = choice_of(settings_of(tmp_path, **config, RL_ACTOR_MARKET_TICKERS="B").actor)
    assert [narrower.trades(ticker) for ticker in "ABC"] == [False, True, False]


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ({"RL_ACTOR_MODEL_ID": "nomodel"}, "RL_ACTOR_MODEL_ID='nomodel': "),
        ({"RL_ACTOR_STRATEGY": "onnx:nomodel"}, "RL_ACTOR_STRATEGY='onnx:nomodel': "),
        (
            {"RL_ACTOR_STRATEGY": "onnx:nomodel", "RL_ACTOR_MODEL_ID": "default"},
            "RL_ACTOR_STRATEGY='onnx:nomodel': ",
        ),
        ({"RL_ACTOR_MODEL_ID": "../x"}, "RL_ACTOR_MODEL_ID='../x': "),
    ],
)
def test_the_variable_that_was_set_is_blamed(tmp_path, given, blamed):
    with pytest.raises(ConfigError) as refused:
        strategy_of(load_settings({"RL_DATA_DIR": str(tmp_path), **given}))
    assert str(refused.value).startswith(blamed)


def test_a_baseline_was_trained_with_nothing(tmp_path):
    assert differences(Hold(), settings_of(tmp_path).actor) == {}


@needs_model
def test_settings_that_differ_from_training_are_said(tmp_path):
    policy = OnnxPolicy(DEFAULT_MODEL)
    manifest = policy.manifest
    actor = msgspec.structs.replace(
        settings_of(tmp_path).actor,
        pricing=str(manifest.pricing),
        contract_size_e2=manifest.contract_size_e2,
        market_cash_e6=manifest.market_cash_e6,
        throttle_ms=manifest.throttle_ms,
    )
    assert differences(policy, actor) == {}
    smaller = msgspec.structs.replace(actor, contract_size_e2=100, throttle_ms=9_999)
    assert differences(policy, smaller) == {
        "RL_ACTOR_CONTRACT_SIZE": f"1, trained with {manifest.contract_size_e2 // 100}",
        "RL_ACTOR_TICK_THROTTLE_MS": f"9999, trained with {manifest.throttle_ms}",
    }
