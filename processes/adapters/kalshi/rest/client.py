"""The REST client of every environment: `KalshiTradingClient("demo")`."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import httpx
import numpy as np

from ipc.messages import Environment
from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import REAL_MONEY, KalshiTarget, target_of
from processes.adapters.kalshi.auth.signing import SignaturePool, Signer
from processes.adapters.kalshi.rest.http import KalshiHttp
from processes.adapters.kalshi.rest.order_groups import OrderGroupResource
from processes.adapters.kalshi.rest.orders import OrderResource
from processes.adapters.kalshi.rest.portfolio import PortfolioResource
from processes.adapters.kalshi.rest.public import PublicResource
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.runtime.config import Settings, load_settings

__all__ = ["KalshiTradingClient"]

ENVIRONMENT: Final = "KALSHI_TRADING_ENVIRONMENT"
Access = tuple[KalshiTarget, Signer]


class KalshiTradingClient(PublicResource, PortfolioResource, OrderResource, OrderGroupResource):
    """All REST calls of one account; each raises the errors of `processes.adapters.kalshi.errors`.

        async with KalshiTradingClient("demo") as client:
            markets = await client.markets(status="open", limit=10)

    Reads are repeated a few times with growing pauses; writes are sent once. Amounts are integers:
    prices in 1e-4 dollars (`_e4`), counts in hundredths of a contract (`_e2`), money in
    micro-dollars (`_e6`). Facts and limits of the exchange are in PROTOCOL.md, 3 and 6.

    A user's account has subaccounts, 0 for the primary one. A client with a `subaccount` acts
    for that one alone. Without, the exchange chooses: the key's own, else the primary account for
    writes and all of them for lists of orders, fills and settlements.

    Args:
        environment: `simulated`, `demo` or `production`; None: `KALSHI_TRADING_ENVIRONMENT`.
        environ: Variables that give addresses and keys; None: the process's own.
        access: Where to connect and with which key, in place of all variables.
        budget: The account's rate limits, to be shared by clients of one account.
        subaccount: 0 to 63; None: `KALSHI_SUBACCOUNT`, if set.
        seed: Of the random pauses between repeated reads.
        sleep: Waits that many seconds.
        transport: Replaces the network.
        clock_offset: Learns of the exchange's clock; to be shared by clients of one process.
        read_only: Whether it refuses every call that would change something.

    Attributes:
        target: Where it connects.
        budget: Its rate limits.

    Raises:
        ConfigError: Names the variable that cannot be used.
    """

    def __init__(
        self,
        environment: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        access: Access | None = None,
        budget: RateBudget | None = None,
        subaccount: int | None = None,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        clock_offset: ClockOffset | None = None,
        read_only: bool = False,
    ) -> None:
        if access is None:
            settings = _settings(environment, os.environ if environ is None else environ)
            access = _access(settings)
            subaccount = settings.execution.subaccount if subaccount is None else subaccount
        self.target, signer = access
        self.budget = budget or RateBudget(sleep=sleep)
        super().__init__(
            KalshiHttp(
                self.target,
                signer,
                self.budget,
                rng=np.random.default_rng(seed),
                sleep=sleep,
                subaccount=subaccount,
                transport=transport,
                clock_offset=clock_offset,
                read_only=read_only,
            )
        )

    @classmethod
    def at(
        cls,
        target: KalshiTarget,
        signer: Signer,
        budget: RateBudget | None = None,
        *,
        subaccount: int | None = None,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        clock_offset: ClockOffset | None = None,
        read_only: bool = False,
    ) -> KalshiTradingClient:
        """A client of an address with a key, without any variable.

        Args:
            target: Where to connect.
            signer: Signs with the key.
            budget: The account's rate limits; None makes one.
            subaccount: 0 to 63; None lets the exchange choose.
            seed: Of the random pauses between repeated reads.
            sleep: Waits that many seconds.
            transport: Replaces the network.
            clock_offset: Learns of the exchange's clock.
            read_only: Whether it refuses every call that would change something.
        """
        return cls(
            access=(target, signer),
            budget=budget,
            subaccount=subaccount,
            seed=seed,
            sleep=sleep,
            transport=transport,
            clock_offset=clock_offset,
            read_only=read_only,
        )

    @property
    def clock_offset(self) -> ClockOffset:
        """What this machine's clock lacks of the exchange's."""
        return self._http.clock_offset

    @property
    def signatures(self) -> SignaturePool:
        """Signatures made in advance, by `keep_signatures`."""
        return self._http.signatures

    def sign_with(self, signer: Signer) -> None:
        """Use another key from the next request on; requests in flight keep the old one."""
        self._http.sign_with(signer)

    async def close(self) -> None:
        """Close the connections; gives up after half a second on those that do not close."""
        await self._http.close()

    async def __aenter__(self) -> KalshiTradingClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _settings(environment: str | None, environ: Mapping[str, str]) -> Settings:
    return load_settings(environ if environment is None else {**environ, ENVIRONMENT: environment})


def _access(settings: Settings) -> Access:
    """The environment's address and key, with a warning when real money is at risk."""
    target, signer = target_of(settings), Signer(load_credentials(settings))
    if target.environment is Environment.PRODUCTION:
        warnings.warn(f"{REAL_MONEY}: {target.rest_url}", stacklevel=3)
    return target, signer
