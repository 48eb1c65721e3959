"""`KalshiTradingClient("demo")`: that environment's address and key, or what lacks, by name."""

from __future__ import annotations

import warnings
from pathlib import Path

import msgspec
import pytest

from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import (
    Account,
    Algorithm,
    CredentialsFile,
    credentials_path,
    new_credentials,
)
from processes.adapters.kalshi.auth.signing import KEY_HEADER
from processes.adapters.kalshi.rest.client import KalshiTradingClient

PEM = new_credentials("key", Algorithm.ED25519).private_key_pem()
KEYS = {
    "KALSHI_PAPER_TRADING_API_KEY_ID": "paper",
    "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": PEM,
    "KALSHI_TRADING_API_KEY_ID": "real",
    "KALSHI_TRADING_PRIVATE_KEY_CONTENT": PEM.replace("\n", "\\n"),
}
CONFIRMED = {"KALSHI_PRODUCTION_CONFIRMED": "true"}


def key_of(client: KalshiTradingClient) -> str:
    return client.signatures.headers("GET", "/")[KEY_HEADER]


def test_demo_has_its_own_address_and_key() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = KalshiTradingClient("demo", environ=KEYS)
    assert client.target.environment is Environment.DEMO
    assert client.target.rest_url == "https://external-api.demo.kalshi.co/trade-api/v2"
    assert key_of(client) == "paper"


def test_production_warns_that_money_is_at_risk() -> None:
    with pytest.warns(UserWarning, match=r"REAL MONEY at risk: https://external-api\.kalshi\.com/"):
        client = KalshiTradingClient("production", environ=KEYS | CONFIRMED)
    assert client.target.environment is Environment.PRODUCTION
    assert key_of(client) == "real"


@pytest.mark.parametrize("value", ["", "false", "no"])
def test_production_needs_its_safety_check(value: str) -> None:
    environ = KEYS | {"KALSHI_PRODUCTION_CONFIRMED": value}
    with pytest.raises(ValueError, match="safety check against accidental production trades"):
        KalshiTradingClient("production", environ=environ)


def test_the_local_exchange_has_written_its_key(tmp_path: Path) -> None:
    path = credentials_path(tmp_path)
    path.parent.mkdir()
    accounts = (Account("local", PEM, Algorithm.ED25519),)
    path.write_bytes(msgspec.json.encode(CredentialsFile(accounts)))
    for environment in (None, "simulated"):
        client = KalshiTradingClient(environment, environ={"RL_DATA_DIR": str(tmp_path)})
        assert client.target.rest_url == "http://127.0.0.1:8070/trade-api/v2"
        assert key_of(client) == "local"


def test_without_an_argument_the_variable_says() -> None:
    environ = KEYS | {"KALSHI_TRADING_ENVIRONMENT": "demo"}
    assert KalshiTradingClient(environ=environ).target.environment is Environment.DEMO


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert key_of(KalshiTradingClient("demo")) == "paper"


@pytest.mark.parametrize("environment", ["paper", "live", "PRODUCTION"])
def test_another_environment_is_refused_with_the_choices(environment: str) -> None:
    with pytest.raises(ValueError, match="allowed: simulated, demo, production") as refusal:
        KalshiTradingClient(environment, environ=KEYS)
    assert repr(environment) in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "KALSHI_PAPER_TRADING_API_KEY_ID is empty"),
        ({"KALSHI_PAPER_TRADING_API_KEY_ID": "i"}, "PRIVATE_KEY_CONTENT are both empty"),
        (KEYS | {"KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": "s3cr3t"}, "CONTENT is not an"),
        (KEYS | {"KALSHI_DATA_ENVIRONMENT": "production"}, "KALSHI_ALLOW_MIXED_ENVIRONMENTS=true"),
    ],
)
def test_what_lacks_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        KalshiTradingClient("demo", environ=environ)
    assert "s3cr3t" not in str(refusal.value)
