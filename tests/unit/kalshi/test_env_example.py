"""The examples of `.env` name every variable that the code reads, with the default that it has."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ipc.endpoints import ENDPOINTS
from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import target_of
from processes.runtime.config import RENAMED, ConfigError, load_settings

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = re.compile(r"\"((?:RL|KALSHI|ORDERBOOK|DATABASE)_[A-Z0-9_]+)\"")


EXAMPLES = (".env.example", ".env.demo.example", ".env.production.example")
LINE = re.compile(r"(#?)([A-Z_]+)=(.*)")
OF_REAL_EXCHANGES = {"RL_ACTOR_TARGET_MARKET_MODE": "hot"}  # defaults that differ there


def lines(name: str) -> list[tuple[bool, str, str]]:
    """(whether it is set, variable, value) of every line that shows a variable."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = [line for line in map(LINE.fullmatch, text.splitlines()) if line]
    return [(not line[1], line[2], line[3]) for line in found]


def example(name: str = ".env.example") -> dict[str, str]:
    """Variable -> shown value."""
    return {variable: value for _, variable, value in lines(name)}


def given(name: str) -> dict[str, str]:
    """What is set when the file is used as it is."""
    return {variable: value for is_set, variable, value in lines(name) if is_set}


def read_by_the_code() -> set[str]:
    """Names in the sources of the processes and of the wiring."""
    files = [*(ROOT / "processes").rglob("*.py"), *(ROOT / "ipc").rglob("*.py")]
    found: set[str] = set()
    for file in files:
        found.update(VARIABLE.findall(file.read_text(encoding="utf-8")))
    endpoints = {f"RL_ENDPOINT_{name.upper()}" for name, e in ENDPOINTS.items() if not e.is_local}
    return (found | endpoints) - set(RENAMED.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_variable_is_shown_once(name: str) -> None:
    shown = [variable for _, variable, _ in lines(name)]
    assert sorted(shown) == sorted(read_by_the_code())


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_commented_out_is_the_default(name: str) -> None:
    shown = {variable: value for is_set, variable, value in lines(name) if not is_set}
    others = {} if name == ".env.example" else OF_REAL_EXCHANGES
    assert shown.items() <= (example() | others).items()


def test_without_an_example_nothing_is_set() -> None:
    assert given(".env.example") == {}


@pytest.mark.parametrize(
    ("name", "environment", "prefix"),
    [
        (".env.demo.example", Environment.DEMO, "KALSHI_PAPER_TRADING_"),
        (".env.production.example", Environment.PRODUCTION, "KALSHI_TRADING_"),
    ],
)
def test_a_live_example_asks_for_its_key_and_sends_nothing(
    name: str, environment: Environment, prefix: str
) -> None:
    settings = load_settings(given(name))
    assert settings.environment is environment
    assert not settings.actor.enabled
    with pytest.raises(ConfigError, match=f"{prefix}API_KEY_ID is empty"):
        load_credentials(settings)


def test_the_production_example_confirms_nothing() -> None:
    with pytest.raises(ConfigError, match="KALSHI_PRODUCTION_CONFIRMED='false'"):
        target_of(load_settings(given(".env.production.example")))


def test_the_defaults_shown_are_the_defaults() -> None:
    shown, unset = load_settings(example()), load_settings({})
    assert msgspec.structs.replace(shown, environ={}) == msgspec.structs.replace(unset, environ={})


def test_a_setting_s_old_name_is_read_and_its_new_one_wins() -> None:
    assert load_settings({"RL_BOOK_LEVELS": "99"}).books.slots == 99
    with pytest.raises(ConfigError, match=r"RL_BOOK_LEVELS=0 is out of range"):
        load_settings({"RL_BOOK_LEVELS": "0"})
    both = {"RL_BOOK_LEVELS": "99", "RL_BOOK_SLOTS": "100"}
    assert load_settings(both).books.slots == 100
