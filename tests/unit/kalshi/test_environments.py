"""Which exchange a URL belongs to, and which URLs a process may use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.patience import turns

from ipc.clock import MarketClockWriter, RealClock
from ipc.messages import Environment
from processes.adapters.kalshi.auth import environments
from processes.adapters.kalshi.auth.environments import (
    Purpose,
    clock_of,
    clock_path,
    data_environment_of,
    detect_environment,
    needs_local_exchange,
    target_of,
)
from processes.runtime.config import ConfigError, Settings, load_settings
from processes.runtime.tasks import Stopped

CONFIRMED = {"KALSHI_PRODUCTION_CONFIRMED": "true"}
PAPER = "KALSHI_PAPER_TRADING_"
DEMO = {"KALSHI_TRADING_ENVIRONMENT": "demo"}
PRODUCTION = {"KALSHI_TRADING_ENVIRONMENT": "production"} | CONFIRMED
MIXED = {"KALSHI_DATA_ENVIRONMENT": "production", "KALSHI_ALLOW_MIXED_ENVIRONMENTS": "true"}


def settings_of(**environ: str) -> Settings:
    return load_settings(environ)


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("https://external-api.kalshi.com/trade-api/v2", "production"),
        ("wss://external-api-ws.kalshi.com/trade-api/ws/v2", "production"),
        ("https://api.elections.kalshi.com/trade-api/v2", "production"),
        ("https://trading-api.kalshi.com/trade-api/v2", "production"),
        ("https://external-api.demo.kalshi.co/trade-api/v2", "demo"),
        ("wss://demo-api.kalshi.co/trade-api/ws/v2", "demo"),
        ("http://127.0.0.1:8070/trade-api/v2", "simulated"),
        ("https://demo-api.kalshi.com/trade-api/v2", "demo"),
        ("WSS://x.kalshi.co", "demo"),
        ("http://[::1]:8070/trade-api/v2", "simulated"),
        ("https://external-api.kalshi.com/demo-api.kalshi.co", "production"),
        ("https://user:demo.kalshi.co@external-api.kalshi.com/", "production"),
        ("https://EXTERNAL-API.KALSHI.COM./trade-api/v2", "production"),
    ],
)
def test_the_host_determines_the_environment(url: str, environment: str) -> None:
    assert detect_environment(url) == environment


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/trade-api/v2",
        "http://[::1",
        "https://demo.example.org/kalshi.com",
        "https://external-api.kalshi.com.example.org/trade-api/v2",
        "https://notkalshi.com/",
    ],
)
def test_the_environment_of_a_foreign_host_is_not_known(url: str) -> None:
    assert detect_environment(url) is None


def test_simulated_uses_the_exchange_port() -> None:
    target = target_of(settings_of(RL_EXCHANGE_PORT="21070"))
    assert target.environment is Environment.SIMULATED
    assert target.rest_url == "http://127.0.0.1:21070/trade-api/v2"
    assert target.ws_url == "ws://127.0.0.1:21070/trade-api/ws/v2"


@pytest.mark.parametrize("environ", [DEMO, PRODUCTION])
def test_the_default_hosts_belong_to_their_environment(environ: dict[str, str]) -> None:
    target = target_of(settings_of(**environ))
    assert detect_environment(target.rest_url) is target.environment
    assert detect_environment(target.ws_url) is target.environment
    assert target.rest_url.startswith("https://")
    assert target.ws_url.startswith("wss://")


def test_production_orders_need_a_confirmation() -> None:
    unconfirmed = settings_of(KALSHI_TRADING_ENVIRONMENT="production")
    with pytest.raises(ConfigError, match="safety check against accidental production"):
        target_of(unconfirmed)
    assert target_of(unconfirmed, Purpose.DATA).environment is Environment.PRODUCTION


@pytest.mark.parametrize("word", ["1", "yes", "on", "y", "confirmed", "TRUE!", "false", ""])
def test_no_word_but_true_puts_money_at_risk(word: str) -> None:
    environ = {"KALSHI_TRADING_ENVIRONMENT": "production", "KALSHI_PRODUCTION_CONFIRMED": word}
    with pytest.raises(ConfigError, match="KALSHI_PRODUCTION_CONFIRMED=true"):
        target_of(load_settings(environ))
    for spelt in ("true", "True", " TRUE "):
        settings = load_settings(environ | {"KALSHI_PRODUCTION_CONFIRMED": spelt})
        assert target_of(settings).environment is Environment.PRODUCTION


def test_a_mix_of_environments_must_be_said() -> None:
    with pytest.raises(ConfigError, match="KALSHI_ALLOW_MIXED_ENVIRONMENTS=true"):
        target_of(settings_of(**DEMO, KALSHI_DATA_ENVIRONMENT="production"))
    mixed = settings_of(**DEMO, **MIXED)
    assert target_of(mixed).environment is Environment.DEMO
    assert target_of(mixed, Purpose.DATA).environment is Environment.PRODUCTION


def test_data_comes_from_where_orders_go_unless_said() -> None:
    assert data_environment_of(settings_of(**DEMO)) is Environment.DEMO
    with pytest.raises(ConfigError, match="KALSHI_DATA_ENVIRONMENT='live'"):
        data_environment_of(settings_of(KALSHI_DATA_ENVIRONMENT="live"))


def test_an_override_moves_both_purposes_of_its_own_environment_only() -> None:
    other = {"KALSHI_PAPER_TRADING_API_URL": "https://demo-api.kalshi.co/trade-api/v2/"}
    settings = settings_of(**DEMO, **other)
    for purpose in Purpose:
        assert target_of(settings, purpose).rest_url == "https://demo-api.kalshi.co/trade-api/v2"
    mixed = settings_of(**DEMO, **MIXED, **other)
    assert target_of(mixed).rest_url == "https://demo-api.kalshi.co/trade-api/v2"
    assert target_of(mixed, Purpose.DATA).rest_url == "https://external-api.kalshi.com/trade-api/v2"
    legacy = {"KALSHI_WS_URL": "wss://api.elections.kalshi.com/trade-api/ws/v2"}
    data = target_of(settings_of(**DEMO, **MIXED, **legacy), Purpose.DATA)
    assert data.ws_url == "wss://api.elections.kalshi.com/trade-api/ws/v2"


def test_the_local_exchange_is_where_it_is_whatever_the_others_are() -> None:
    settings = settings_of(KALSHI_API_URL="https://api.elections.kalshi.com/trade-api/v2")
    assert target_of(settings).rest_url == "http://127.0.0.1:8070/trade-api/v2"


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        (DEMO, PAPER + "API_URL", "https://external-api.kalshi.com/trade-api/v2"),
        (DEMO, PAPER + "WS_URL", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
        (DEMO, PAPER + "API_URL", "http://demo-api.kalshi.co/trade-api/v2"),
        (DEMO, PAPER + "WS_URL", "https://demo-api.kalshi.co/trade-api/ws/v2"),
        (DEMO, PAPER + "API_URL", "127.0.0.1:8070"),
        (DEMO, PAPER + "API_URL", "https:///trade-api/v2"),
        (PRODUCTION, "KALSHI_API_URL", "https://trading-api.kalshi.com/trade-api/v2"),
        (PRODUCTION, "KALSHI_API_URL", "https://demo-api.kalshi.co/trade-api/v2"),
        (PRODUCTION, "KALSHI_API_URL", "https://127.0.0.1:8070/trade-api/v2"),
        (PRODUCTION, "KALSHI_WS_URL", "wss://demo-api.kalshi.co/trade-api/ws/v2"),
    ],
)
def test_a_host_of_another_environment_is_refused(
    environ: dict[str, str], name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=name) as refusal:
        target_of(settings_of(**environ, **{name: value}))
    assert value in str(refusal.value)
    assert "allowed" in str(refusal.value)


def test_the_local_exchange_is_needed_for_orders_or_for_data() -> None:
    mixed = {"KALSHI_ALLOW_MIXED_ENVIRONMENTS": "true"}
    assert needs_local_exchange(settings_of())
    assert needs_local_exchange(settings_of(**mixed, KALSHI_DATA_ENVIRONMENT="demo"))
    assert needs_local_exchange(settings_of(**mixed, **DEMO, KALSHI_DATA_ENVIRONMENT="simulated"))
    assert not needs_local_exchange(settings_of(**DEMO))


def test_a_retired_host_is_called_retired() -> None:
    url = "https://trading-api.kalshi.com/trade-api/v2"
    with pytest.raises(ConfigError, match="retired"):
        target_of(settings_of(**PRODUCTION, KALSHI_API_URL=url))


@pytest.mark.parametrize("name", ["KALSHI_ALLOW_MIXED_ENVIRONMENTS", "KALSHI_PRODUCTION_CONFIRMED"])
def test_a_flag_that_is_no_truth_value_is_refused(name: str) -> None:
    environ = {"KALSHI_TRADING_ENVIRONMENT": "production", "KALSHI_DATA_ENVIRONMENT": "demo"}
    allowed = {"KALSHI_ALLOW_MIXED_ENVIRONMENTS": "true"} | {name: "perhaps"}
    with pytest.raises(ConfigError, match=f"{name}='perhaps'"):
        target_of(settings_of(**environ, **allowed))


async def test_the_clock_is_real_outside_of_the_simulation() -> None:
    assert isinstance(await clock_of(settings_of(**DEMO), asyncio.Event()), RealClock)


async def test_the_simulated_clock_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "POLL", 0)
    waiting = asyncio.create_task(clock_of(settings_of(RL_DATA_DIR=str(tmp_path)), asyncio.Event()))
    await turns()
    assert not waiting.done()
    writer = MarketClockWriter(clock_path(tmp_path))
    await turns()
    assert not waiting.done()  # the file is there, but nothing is announced
    writer.announce(1_785_930_336_512_000_000, 0)
    clock = await waiting
    assert clock.replaying
    assert clock.now_ns() == 1_785_930_336_512_000_000
    writer.close()


async def test_waiting_for_the_clock_ends_with_the_process(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(Stopped):
        await clock_of(settings_of(RL_DATA_DIR=str(tmp_path)), stop)
