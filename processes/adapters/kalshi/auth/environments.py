"""Which exchange a URL belongs to, and which URLs this process may use.

The environment is read from the host of a URL, never from a substring of the whole. Orders go to
`KALSHI_TRADING_ENVIRONMENT`, data comes from `KALSHI_DATA_ENVIRONMENT` (default: the same). Each of
demo and production has its own variables for addresses and keys: both may be set at once.
"""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ipc.clock import Clock, MarketClock, RealClock
from ipc.messages import Environment
from ipc.private_files import UnsafePathError
from processes.runtime.config import FALSE, TRUE, ConfigError, Settings
from processes.runtime.tasks import Stopped

__all__ = [
    "REAL_MONEY",
    "KalshiTarget",
    "Purpose",
    "clock_of",
    "clock_path",
    "data_environment_of",
    "detect_environment",
    "needs_local_exchange",
    "target_of",
]

REST_PATH: Final = "/trade-api/v2"
WS_PATH: Final = "/trade-api/ws/v2"
REAL_MONEY: Final = "PRODUCTION: orders of this program put REAL MONEY at risk"
RETIRED: Final = frozenset({"trading-api.kalshi.com", "demo-api.kalshi.com"})
_PLAIN_URL: Final = re.compile(
    r"(?:[a-z]+://)?[A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]*)?"
)
HOSTS: Final = (  # the first that a host is, or lies below; SQL has the same table
    ("demo-api.kalshi.com", Environment.DEMO),
    ("kalshi.co", Environment.DEMO),
    ("kalshi.com", Environment.PRODUCTION),
    ("localhost", Environment.SIMULATED),
    ("127.0.0.1", Environment.SIMULATED),
    ("::1", Environment.SIMULATED),
)
CONFIRMED: Final = "true"  # in any case; where real money is at risk no other word will do
POLL: Final = 0.02  # seconds between checks for the local exchange's clock


class Purpose(StrEnum):
    """What a connection is for; the two may lead to different environments.

    Attributes:
        TRADING: Orders and the account: `KALSHI_TRADING_ENVIRONMENT`.
        DATA: Books, trades and markets: `KALSHI_DATA_ENVIRONMENT`.
    """

    TRADING = "trading"
    DATA = "data"


class KalshiTarget(msgspec.Struct, frozen=True):
    """Where to connect; both URLs belong to `environment`.

    Attributes:
        environment: The exchange.
        rest_url: Base of REST calls, such as `https://host/trade-api/v2`.
        ws_url: The WebSocket's address.
    """

    environment: Environment
    rest_url: str
    ws_url: str


ADDRESSES: Final = {  # of REST and of the WebSocket; the local exchange has its ports
    Environment.DEMO: ("KALSHI_PAPER_TRADING_API_URL", "KALSHI_PAPER_TRADING_WS_URL"),
    Environment.PRODUCTION: ("KALSHI_API_URL", "KALSHI_WS_URL"),
}
_DEFAULTS: Final = {
    Environment.DEMO: KalshiTarget(
        Environment.DEMO,
        "https://external-api.demo.kalshi.co" + REST_PATH,
        "wss://external-api-ws.demo.kalshi.co" + WS_PATH,
    ),
    Environment.PRODUCTION: KalshiTarget(
        Environment.PRODUCTION,
        "https://external-api.kalshi.com" + REST_PATH,
        "wss://external-api-ws.kalshi.com" + WS_PATH,
    ),
}


def detect_environment(url: str) -> Environment | None:
    """The environment that a URL's host belongs to (PROTOCOL.md, 1).

    Hosts of earlier times count too, because old sessions name them. The database gives the same
    answer for stored sessions: `rl_environment_of_url` in SQL, tested against this function.

    Args:
        url: With its scheme; anything else is no URL.

    Returns:
        The environment; None when the host is not the exchange's, or there is none.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".") if parts.scheme else ""
    except ValueError:  # not a URL
        return None
    for domain, environment in HOSTS:
        if host == domain or host.endswith("." + domain):
            return environment
    return None


def data_environment_of(settings: Settings) -> Environment:
    """Where data comes from: `KALSHI_DATA_ENVIRONMENT`, by default where orders go.

    Raises:
        ConfigError: It is unknown, or differs from where orders go without
            `KALSHI_ALLOW_MIXED_ENVIRONMENTS=true`.
    """
    trading = settings.environment
    raw = settings.environ.get("KALSHI_DATA_ENVIRONMENT", "").strip() or str(trading)
    if raw not in tuple(Environment):
        allowed = ", ".join(Environment)
        raise ConfigError(f"KALSHI_DATA_ENVIRONMENT={raw!r} is unknown; allowed: {allowed}")
    data = Environment(raw)
    if data is not trading and not _flag(settings, "KALSHI_ALLOW_MIXED_ENVIRONMENTS"):
        raise ConfigError(
            f"KALSHI_DATA_ENVIRONMENT={data} differs from KALSHI_TRADING_ENVIRONMENT={trading}; "
            "a mix needs KALSHI_ALLOW_MIXED_ENVIRONMENTS=true"
        )
    return data


def needs_local_exchange(settings: Settings) -> bool:
    """Whether orders go to this stack's own exchange, or data comes from it."""
    return Environment.SIMULATED in (settings.environment, data_environment_of(settings))


def target_of(settings: Settings, purpose: Purpose = Purpose.TRADING) -> KalshiTarget:
    """Where to connect.

    For orders, production needs `KALSHI_PRODUCTION_CONFIRMED=true`, and no other word will do.

    Args:
        settings: With the variables, and the port of the local exchange.
        purpose: Orders or data.

    Raises:
        ConfigError: Names the variable that is wrong: an environment, a confirmation that is
            missing, or an address that is not a plain URL of the environment's own hosts.
    """
    data = data_environment_of(settings)
    if purpose is Purpose.DATA:
        return _at(settings, data)
    _require_confirmation(settings)
    return _at(settings, settings.environment)


def _require_confirmation(settings: Settings) -> None:
    name = "KALSHI_PRODUCTION_CONFIRMED"
    value = settings.environ.get(name, "")
    confirmed = value.strip().lower() == CONFIRMED
    if settings.environment is Environment.PRODUCTION and not confirmed:
        raise ConfigError(
            f"{name}={value!r}: a safety check against accidental production trades; "
            "KALSHI_TRADING_ENVIRONMENT=production sends real orders and puts real money at risk; "
            f"allowed: {name}=true"
        )


def _at(settings: Settings, environment: Environment) -> KalshiTarget:
    """The environment's addresses, its own overrides included."""
    if environment is Environment.SIMULATED:
        host = f"127.0.0.1:{settings.exchange.port}"
        return KalshiTarget(environment, f"http://{host}{REST_PATH}", f"ws://{host}{WS_PATH}")
    usual, (rest, ws) = _DEFAULTS[environment], ADDRESSES[environment]
    return KalshiTarget(
        environment,
        _url(settings, rest, usual.rest_url, "https", environment),
        _url(settings, ws, usual.ws_url, "wss", environment),
    )


def _url(settings: Settings, name: str, default: str, scheme: str, environment: Environment) -> str:
    """The override of one URL, checked against the environment it must belong to."""
    raw = settings.environ.get(name, "").strip().rstrip("/")
    if not raw:
        return default
    if not _PLAIN_URL.fullmatch(raw):  # it may hold a secret: nothing of it is shown
        raise ConfigError(
            f"{name} (not shown) is not a plain URL; allowed: {scheme}://host, as in {default}, "
            "without user, password or query"
        )
    parts = urlsplit(raw)
    if parts.hostname in RETIRED:
        raise ConfigError(f"{name}={raw!r} is retired; allowed: {default}")
    if parts.scheme != scheme or not parts.hostname:
        raise ConfigError(
            f"{name}={raw!r} is not usable; allowed: {scheme}://host, as in {default}"
        )
    found = detect_environment(raw)
    if found is not environment:
        owner = f"a host of {found}" if found else "not a host of the exchange"
        raise ConfigError(f"{name}={raw!r} is {owner}; allowed for {environment}: {default}")
    return raw


def _flag(settings: Settings, name: str) -> bool:
    raw = settings.environ.get(name, "").strip().lower() or "false"
    if raw not in TRUE | FALSE:
        raise ConfigError(f"{name}={raw!r} is not a truth value; allowed: true, false")
    return raw in TRUE


def clock_path(data_dir: Path) -> Path:
    """Where the local exchange announces market time."""
    return data_dir / "exchange" / "clock"


async def clock_of(settings: Settings, stop: asyncio.Event) -> Clock:
    """Market time: real time, or the local exchange's once that is announced.

    Args:
        settings: Say where data comes from.
        stop: Ends the waiting.

    Raises:
        Stopped: `stop` was set first.
        UnsafePathError: The clock's file is another user's, or open to others.
    """
    if data_environment_of(settings) is not Environment.SIMULATED:
        return RealClock()
    path = clock_path(settings.data_dir)
    while not stop.is_set():
        try:
            return MarketClock(path)
        except UnsafePathError:
            raise
        except (OSError, ValueError, RuntimeError):  # not there, still empty, not yet announced
            await asyncio.sleep(POLL)
    raise Stopped("stopped before the local exchange announced its clock")
