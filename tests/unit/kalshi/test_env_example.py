"""`.env.example` names every variable that the code reads, with the default that it has."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ipc.endpoints import ENDPOINTS
from processes.runtime.config import load_settings

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = re.compile(r"\"((?:RL|KALSHI|ORDERBOOK|DATABASE)_[A-Z0-9_]+)\"")
PREFIXES = {"KALSHI_", "KALSHI_DATA_"}  # completed by a suffix in the code
KEY_PARTS = ("API_KEY_ID", "PRIVATE_KEY_PATH", "PRIVATE_KEY")


def example() -> dict[str, str]:
    """Variable -> shown default."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    shown = [line[1:].partition("=") for line in lines if re.match(r"#[A-Z_]+=", line)]
    return {name: value for name, _, value in shown}


def read_by_the_code() -> set[str]:
    """Names in the sources of the processes and of the wiring."""
    files = [*(ROOT / "processes").rglob("*.py"), *(ROOT / "ipc").rglob("*.py")]
    found: set[str] = set()
    for file in files:
        found.update(VARIABLE.findall(file.read_text(encoding="utf-8")))
    keys = {prefix + part for prefix in PREFIXES for part in KEY_PARTS}
    endpoints = {f"RL_ENDPOINT_{name.upper()}" for name in ENDPOINTS}
    return (found - PREFIXES) | keys | endpoints


def test_every_variable_is_shown() -> None:
    assert set(example()) == read_by_the_code()


def test_the_defaults_shown_are_the_defaults() -> None:
    shown, unset = load_settings(example()), load_settings({})
    assert msgspec.structs.replace(shown, environ={}) == msgspec.structs.replace(unset, environ={})
