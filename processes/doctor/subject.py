"""What is examined: the settings, a client for each purpose, and what earlier checks found out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import Credentials, load_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget, Purpose, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import (
    ApiError,
    AuthError,
    ExchangeUnavailable,
    KalshiError,
    RateLimited,
    SocketClosed,
    WireError,
)
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import command_budget
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.doctor.findings import Finding, Verdict
from processes.runtime.config import Settings
from processes.runtime.log import no_log

__all__ = ["Check", "Subject", "advice_of", "key_variable"]

_FORBIDDEN: Final = 403
_ID_NAMES: Final = {
    Environment.DEMO: "KALSHI_PAPER_TRADING_API_KEY_ID",
    Environment.PRODUCTION: "KALSHI_TRADING_API_KEY_ID",
}


class Subject:
    """One stack: where it connects, or would, and what is known of it so far.

    Requests count against the stack's own rate budget where it runs beside this. Opens no
    connection by itself. `ConfigError` for addresses or keys that cannot be used.

    Attributes:
        settings: All settings.
        trading: Where orders would go, with its `key` and `account` client.
        data: Where books would come from, with its `market_data` client.
        key_refused: A signed call was refused: others would be, too.
        markets: What would be followed; None until it is known.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.trading: KalshiTarget = target_of(settings, Purpose.TRADING)
        self.data: KalshiTarget = target_of(settings, Purpose.DATA)
        self.key: Credentials = load_credentials(settings, Purpose.TRADING)
        self.data_signer = Signer(load_credentials(settings, Purpose.DATA))
        subaccount = settings.execution.subaccount
        self.account = KalshiTradingClient.at(
            self.trading, Signer(self.key), self._budget(self.trading), subaccount=subaccount
        )
        self.market_data = (
            self.account
            if self.trading == self.data
            else KalshiTradingClient.at(self.data, self.data_signer, self._budget(self.data))
        )
        self.key_refused = False
        self.markets: list[MarketInfo] | None = None

    def _budget(self, target: KalshiTarget) -> RateBudget:
        return command_budget(self.settings.data_dir, target.environment, no_log())

    async def close(self) -> None:
        """Close all connections."""
        for client in dict.fromkeys((self.account, self.market_data)):
            await client.close()
            client.budget.close()


Ask = Callable[[Subject], Awaitable[list[Finding]]]


class Check(NamedTuple):
    """One check: its name, how long it may take, whether its calls are signed, what it does."""

    name: str
    limit_s: float
    needs_key: bool
    ask: Ask

    def skipped(self, reason: str) -> Finding:
        """It was not asked."""
        return Finding(self.name, Verdict.SKIPPED, reason)


def key_variable(environment: Environment) -> str:
    """The variable that holds the id of an environment's key."""
    return _ID_NAMES.get(environment, "the credentials of the local exchange")


def advice_of(error: KalshiError, environment: Environment) -> str:
    """What somebody can do about an error of the exchange or of the way to it."""
    match error:
        case AuthError():
            return _about_the_key(error, environment)
        case RateLimited():
            return (
                "all tokens of this account's tier are used up: stop the other programs that use "
                "it, wait a few seconds, or ask Kalshi for a higher tier (Advanced is free)"
            )
        case ExchangeUnavailable() | SocketClosed():
            return _about_the_way(environment)
        case WireError():
            return "the exchange changed a format: update kalshi-actor, or ask for an update"
        case ApiError():
            return "the exchange refuses this call: see what it says, and docs/going-live.md"
    return "try again; if it stays, see docs/operations.md"


def _about_the_key(error: AuthError, environment: Environment) -> str:
    name = key_variable(environment)
    if error.http_status == _FORBIDDEN:
        return "the key lacks a scope: make a key with read and write::trade (docs/going-live.md)"
    if "timestamp" in error.code:
        return "set this machine's clock: sudo timedatectl set-ntp true"
    if "NOT_FOUND" in error.details:
        return (
            f"{environment} knows no key of this id: check {name}; demo and production have keys "
            "of their own, and a revoked key is gone"
        )
    return f"the private key does not belong to the key id: set both again, {name} and its file"


def _about_the_way(environment: Environment) -> str:
    if environment is Environment.SIMULATED:
        return "start the local exchange: kalshi-actor exchange (or kalshi-actor run)"
    return "check network, proxy (HTTPS_PROXY) and firewall; then https://status.kalshi.com"
