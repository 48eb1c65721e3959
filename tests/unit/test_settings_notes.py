"""Settings that do nothing, contradict each other or are misspelt are said, one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from processes import settings_notes
from processes.runtime.config import ConfigError, load_settings
from processes.settings_notes import known_settings, notes_of, refuse_misspelt

DEMO = {"KALSHI_TRADING_ENVIRONMENT": "demo"}
PRODUCTION = {"KALSHI_TRADING_ENVIRONMENT": "production"}
SECRET = "c2VjcmV0"


def said(**environ: str) -> list[str]:
    return [note.text for note in notes_of(load_settings(environ))]


def test_nothing_is_said_of_settings_that_are_used() -> None:
    assert said() == []
    assert (
        said(RL_MARKET_MODE="config", RL_MARKET_TICKERS="A", RL_EXCHANGE_PORT="1", PATH="x") == []
    )
    assert said(**DEMO, KALSHI_PAPER_TRADING_API_KEY_ID="k", KALSHI_PAPER_TRADING_WS_URL="w") == []
    assert said(RL_ACTOR_TARGET_MARKET_MODE="config", RL_MARKET_TICKERS="A") == []
    assert said(RL_ACTOR_MODEL_ID="mine") == []
    assert said(KALSHI_WS_URL=" ", RL_MARKET_TICKERS="") == []  # empty counts as unset


def test_a_copy_without_the_example_starts_and_says_what_it_cannot_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_notes, "resource", lambda name: tmp_path / name)
    (line,) = said(RL_TYPO="1")
    assert ".env.example cannot be read" in line


def test_every_name_of_the_example_is_known() -> None:
    assert {"RL_DATA_DIR", "KALSHI_WS_URL", "ORDERBOOK_MARKET_LIMIT"} <= known_settings()
    assert said(**dict.fromkeys(known_settings(), "")) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RL_ACTOR_ENABELD", "RL_ACTOR_ENABLED"),
        ("RL_ACTOR_CONTRACTSIZE", "RL_ACTOR_CONTRACT_SIZE"),
        ("rl_data_dir", "RL_DATA_DIR"),
        ("KALSHI_TRADING_ENVIROMENT", "KALSHI_TRADING_ENVIRONMENT"),
        ("ORDERBOOK_MARKETS_LIMIT", "ORDERBOOK_MARKET_LIMIT"),
    ],
)
def test_a_misspelt_name_is_said_with_the_one_that_was_meant(name: str, meant: str) -> None:
    line = f"{name} is not a setting and does nothing; did you mean {meant}?"
    assert said(**{name: SECRET}) == [line]
    settings = load_settings({name: SECRET})
    refuse_misspelt(settings, notes_of(settings))
    real = load_settings({**PRODUCTION, name: SECRET})
    with pytest.raises(ConfigError, match=name):
        refuse_misspelt(real, notes_of(real))


def test_a_renamed_setting_is_said_once_and_is_no_misspelling() -> None:
    line = "RL_BOOK_LEVELS is now called RL_BOOK_SLOTS"
    assert said(RL_BOOK_LEVELS="99") == [f"{line}; it is read, but set RL_BOOK_SLOTS instead"]
    assert said(RL_BOOK_LEVELS="99", RL_BOOK_SLOTS="99") == [
        f"{line} and does nothing, because RL_BOOK_SLOTS is set; remove RL_BOOK_LEVELS"
    ]
    assert said(RL_BOOK_LEVELS=" ") == []
    real = load_settings({**PRODUCTION, "RL_BOOK_LEVELS": "99"})
    refuse_misspelt(real, notes_of(real))


def test_a_name_that_is_near_none_is_said_and_never_refused() -> None:
    settings = load_settings({**PRODUCTION, "KALSHI_MY_OWN_SCRIPT": "1", "RL_": "1"})
    notes = notes_of(settings)
    assert [note.text for note in notes] == [
        f"{name} is not a setting and does nothing; `kalshi-actor settings` lists them all"
        for name in ("KALSHI_MY_OWN_SCRIPT", "RL_")
    ]
    refuse_misspelt(settings, notes)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {
                "KALSHI_PAPER_TRADING_API_KEY_ID": "k",
                "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": "x",
            },
            "KALSHI_PAPER_TRADING_API_KEY_ID, KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT do nothing: "
            "KALSHI_TRADING_ENVIRONMENT is simulated; KALSHI_TRADING_ENVIRONMENT=demo would use it",
        ),
        (
            {"KALSHI_WS_URL": "wss://x"},
            "KALSHI_WS_URL does nothing: KALSHI_TRADING_ENVIRONMENT is simulated; "
            "KALSHI_TRADING_ENVIRONMENT=production would use it",
        ),
        (
            {**DEMO, "KALSHI_API_URL": "https://x"},
            "KALSHI_API_URL does nothing: KALSHI_TRADING_ENVIRONMENT is demo; "
            "KALSHI_TRADING_ENVIRONMENT=production would use it",
        ),
        (
            {**DEMO, "RL_EXCHANGE_REPLAY": "/x"},
            "RL_EXCHANGE_REPLAY does nothing: demo has no local exchange",
        ),
        (
            {"RL_MARKET_TICKERS": "A"},
            "RL_MARKET_TICKERS does nothing: RL_MARKET_MODE is discovery, allowed: config",
        ),
        (
            {
                "RL_MARKET_TICKERS": "A",
                "RL_ACTOR_TARGET_MARKET_MODE": "config",
                "RL_ACTOR_MARKET_TICKERS": "A",
            },
            "RL_MARKET_TICKERS does nothing: RL_MARKET_MODE is discovery, allowed: config",
        ),
        (
            {"RL_MARKET_MODE": "config", "RL_MARKET_TICKERS": "A", "RL_MARKET_SERIES": "S"},
            "RL_MARKET_SERIES does nothing: RL_MARKET_MODE=config follows RL_MARKET_TICKERS",
        ),
        (
            {"RL_ACTOR_MARKET_TICKERS": "A"},
            "RL_ACTOR_MARKET_TICKERS does nothing: RL_ACTOR_TARGET_MARKET_MODE is all, "
            "allowed: config",
        ),
        (
            {"RL_ACTOR_MODEL_ID": "mine", "RL_ACTOR_STRATEGY": "baseline:hold"},
            "RL_ACTOR_MODEL_ID does nothing: RL_ACTOR_STRATEGY says which policy decides",
        ),
        (
            {"RL_EXCHANGE_LOOP": "true"},
            "RL_EXCHANGE_LOOP does nothing: RL_EXCHANGE_REPLAY names no recording",
        ),
        (
            {
                "RL_MARKET_MODE": "config",
                "RL_MARKET_TICKERS": "A,B",
                "RL_ACTOR_TARGET_MARKET_MODE": "config",
                "RL_ACTOR_MARKET_TICKERS": "B,C",
            },
            "RL_ACTOR_MARKET_TICKERS: C is not one of RL_MARKET_TICKERS",
        ),
    ],
)
def test_what_does_nothing_is_said_with_the_reason(environ: dict[str, str], line: str) -> None:
    assert said(**environ) == [line]


def test_no_value_is_shown() -> None:
    names = [n for n in known_settings() if n.endswith(("KEY_ID", "_CONTENT", "_PATH", "_URL"))]
    everything = dict.fromkeys([*names, "KALSHI_WS_URLL"], SECRET)
    everything.pop("DATABASE_URL", None)
    notes = said(**everything)
    assert len(notes) == 3
    assert SECRET not in "".join(notes)


def test_a_port_that_leaves_none_for_the_next_is_blamed_itself() -> None:
    with pytest.raises(ConfigError, match="RL_EXCHANGE_PORT=65535 leaves no port after it"):
        load_settings({"RL_EXCHANGE_PORT": "65535"})
    load_settings({"RL_EXCHANGE_PORT": "65535", "RL_EXCHANGE_ADMIN_PORT": "65534"})
