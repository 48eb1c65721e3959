"""Settings that are set and do nothing, contradict each other, were renamed, or are misspelt.

Each is one line of the report at the start (`processes.check`). None of them is an error, except
for a name that is nearly a setting's in production, where a limit that was not read costs money.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ipc.messages import Environment
from ipc.places import resource
from processes.adapters.kalshi.auth.environments import data_environment_of, needs_local_exchange
from processes.runtime.config import RENAMED, ConfigError, Settings

__all__ = ["Hint", "known_settings", "notes_of", "refuse_misspelt"]

_SHOWN: Final = re.compile(r"#?([A-Z][A-Z_]+)=.*")  # a line of .env.example
_PREFIXES: Final = ("RL_", "KALSHI_", "ORDERBOOK_")
_NEAR: Final = 0.8  # of difflib's 0 to 1: one or two letters of a long name
_KEYS: Final = ("API_KEY_ID", "PRIVATE_KEY_PATH", "PRIVATE_KEY_CONTENT")
_OF_ENVIRONMENT: Final = {
    Environment.DEMO: (
        *(f"KALSHI_PAPER_TRADING_{name}" for name in (*_KEYS, "API_URL", "WS_URL")),
    ),
    Environment.PRODUCTION: (
        *(f"KALSHI_TRADING_{name}" for name in _KEYS),
        *("KALSHI_API_URL", "KALSHI_WS_URL", "RL_ALLOW_MODEL_HASH", "RL_DOCTOR_MAX_AGE_H"),
    ),
}


class Hint(NamedTuple):
    """One thing to say about the variables.

    Attributes:
        text: A line for people.
        nearest: The setting that was probably meant by a misspelt name; None for anything else.
    """

    text: str
    nearest: str | None = None


def known_settings() -> frozenset[str]:
    """Every variable that is read: `.env.example` names them all, and a test holds it to that."""
    lines = resource(".env.example").read_text(encoding="utf-8").splitlines()
    return frozenset(found[1] for line in lines if (found := _SHOWN.fullmatch(line)))


def notes_of(settings: Settings) -> list[Hint]:
    """What to say about the variables that are set; names and tickers only, never another value.

    Raises:
        ConfigError: A mix of environments that is not allowed.
    """
    return [
        *_unknown(settings),
        *_renamed(settings),
        *_of_other_environments(settings),
        *_of_other_modes(settings),
        *_never_followed(settings),
    ]


def refuse_misspelt(settings: Settings, notes: Sequence[Hint]) -> None:
    """Refuse a misspelt setting where orders are real: a limit that is not read costs money.

    Args:
        settings: Say where orders go.
        notes: Of `notes_of`.

    Raises:
        ConfigError: The environment is production and a name is nearly a setting's.
    """
    for note in notes:
        if note.nearest and settings.environment is Environment.PRODUCTION:
            raise ConfigError(f"{note.text}; production does not start without what was meant")


def _set(settings: Settings, *names: str) -> list[str]:
    """Those of the variables that are set; an empty value counts as unset."""
    return [name for name in names if settings.environ.get(name, "").strip()]


def _unknown(settings: Settings) -> Iterator[Hint]:
    """Names that are no setting, with the nearest that is one."""
    try:
        known = known_settings()
    except (OSError, UnicodeDecodeError):
        yield Hint(".env.example cannot be read here: misspelt names of settings are not noticed")
        return
    for name in sorted(settings.environ):
        if name in known or name in RENAMED.values() or not name.upper().startswith(_PREFIXES):
            continue
        near = difflib.get_close_matches(name.upper(), known, 1, _NEAR)
        if near:
            yield Hint(
                f"{name} is not a setting and does nothing; did you mean {near[0]}?", near[0]
            )
        else:
            yield Hint(
                f"{name} is not a setting and does nothing; `kalshi-actor settings` lists them all"
            )


_OF_HOT: Final = (
    *("RL_ACTOR_HOT_MARKETS", "RL_ACTOR_HOT_DWELL_S", "RL_ACTOR_HOT_CLOSE_S"),
    *("RL_ACTOR_HOT_MAX_SPREAD", "RL_ACTOR_ON_SWITCH"),
)


def _renamed(settings: Settings) -> Iterator[Hint]:
    """Settings under the name that they had before: read, unless the new name is set too."""
    for name, old in RENAMED.items():
        if _set(settings, old):
            means = f"{old} is now called {name}"
            if _set(settings, name):
                yield Hint(f"{means} and does nothing, because {name} is set; remove {old}")
            else:
                yield Hint(f"{means}; it is read, but set {name} instead")


def _of_other_environments(settings: Settings) -> Iterator[Hint]:
    """Keys and addresses of an exchange that is not talked to."""
    used = {settings.environment, data_environment_of(settings)}
    for environment, names in _OF_ENVIRONMENT.items():
        if environment in used or not (found := _set(settings, *names)):
            continue
        verb = "does" if len(found) == 1 else "do"
        yield Hint(
            f"{', '.join(found)} {verb} nothing: KALSHI_TRADING_ENVIRONMENT is "
            f"{settings.environment}; KALSHI_TRADING_ENVIRONMENT={environment} would use it"
        )
    if not needs_local_exchange(settings):
        for name in _set(settings, "RL_EXCHANGE_REPLAY", "RL_EXCHANGE_FAULTS"):
            yield Hint(f"{name} does nothing: {settings.environment} has no local exchange")


def _of_other_modes(settings: Settings) -> Iterator[Hint]:
    """Settings of a mode that is not the one chosen."""
    books, actor = settings.books, settings.actor
    follows_list, trades_list = books.mode == "config", actor.target_market_mode == "config"
    own = _set(settings, "RL_ACTOR_MARKET_TICKERS")
    if not follows_list and not (trades_list and not own):
        for name in _set(settings, "RL_MARKET_TICKERS"):
            yield Hint(f"{name} does nothing: RL_MARKET_MODE is {books.mode}, allowed: config")
    if follows_list:
        looked_for = (
            *("RL_MARKET_SERIES", "RL_MARKET_PATTERNS", "RL_MARKET_ORDER", "RL_MARKET_MIN_VOLUME"),
            *("RL_MARKET_MIN_MINUTES_LEFT", "RL_MARKET_MAX_HOURS_LEFT", "ORDERBOOK_MARKET_LIMIT"),
            "RL_DISCOVERY_FULL_S",
        )
        for name in _set(settings, *looked_for):
            yield Hint(f"{name} does nothing: RL_MARKET_MODE=config follows RL_MARKET_TICKERS")
    if own and not trades_list:
        mode = actor.target_market_mode
        yield Hint(f"{own[0]} does nothing: RL_ACTOR_TARGET_MARKET_MODE is {mode}, allowed: config")
    if actor.target_market_mode != "hot":
        for name in _set(settings, *_OF_HOT):
            yield Hint(f"{name} does nothing: RL_ACTOR_TARGET_MARKET_MODE is not hot")
    model = _set(settings, "RL_ACTOR_MODEL_ID")
    if model and actor.strategy != f"onnx:{settings.environ['RL_ACTOR_MODEL_ID'].strip()}":
        yield Hint(f"{model[0]} does nothing: RL_ACTOR_STRATEGY says which policy decides")
    if settings.exchange.replay is None and _set(settings, "RL_EXCHANGE_LOOP"):
        yield Hint("RL_EXCHANGE_LOOP does nothing: RL_EXCHANGE_REPLAY names no recording")


def _never_followed(settings: Settings) -> Iterator[Hint]:
    """Markets that the actor may trade and the collector does not follow."""
    if settings.books.mode != "config" or settings.actor.target_market_mode != "config":
        return
    for ticker in settings.actor.target_markets:
        if ticker not in settings.books.tickers:
            yield Hint(f"RL_ACTOR_MARKET_TICKERS: {ticker} is not one of RL_MARKET_TICKERS")
