"""The REST client: `KalshiTradingClient("demo")`. Amounts are integers on our side."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import httpx
import numpy as np

from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import REAL_MONEY, KalshiTarget, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.groups import GroupPart
from processes.adapters.kalshi.rest.history import HistoryPart
from processes.adapters.kalshi.rest.http import KalshiHttp
from processes.adapters.kalshi.rest.orders import OrderPart
from processes.adapters.kalshi.rest.portfolio import PortfolioPart
from processes.adapters.kalshi.rest.public import PublicPart
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.rest.shards import ShardPart
from processes.adapters.kalshi.rest.signature_pool import SignaturePool
from processes.adapters.kalshi.rest.subaccounts import SubaccountPart
from processes.runtime.config import Settings, load_settings

__all__ = ["KalshiTradingClient"]

ENVIRONMENT: Final = "KALSHI_TRADING_ENVIRONMENT"
Access = tuple[KalshiTarget, Signer]


class KalshiTradingClient(
    PublicPart, PortfolioPart, OrderPart, GroupPart, ShardPart, SubaccountPart, HistoryPart
):
    """Everything that is asked over REST; errors are those of `processes.adapters.kalshi.errors`.

    Reads are repeated a few times with growing pauses; writes are sent once.
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
    ) -> None:
        """For demo, production or simulated; None: as `KALSHI_TRADING_ENVIRONMENT` says.

        Addresses and keys are the environment's variables. `ValueError` (a `ConfigError`) names
        the one that cannot be used. `access` replaces all of it.

        With a `subaccount` every call is about that one, 0 for the primary account; without, the
        exchange chooses: the key's own, else the primary account for what is written, all for
        lists of orders, fills and settlements. None: as `KALSHI_SUBACCOUNT` says.
        """
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
    ) -> KalshiTradingClient:
        """For a process that has settled where it connects and with which key."""
        return cls(
            access=(target, signer),
            budget=budget,
            subaccount=subaccount,
            seed=seed,
            sleep=sleep,
            transport=transport,
        )

    @property
    def signatures(self) -> SignaturePool:
        """Those made in advance; `keep_signatures` makes them."""
        return self._http.signatures

    def sign_with(self, signer: Signer) -> None:
        """Use another key from the next request on; requests under way are not disturbed."""
        self._http.sign_with(signer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def __aenter__(self) -> KalshiTradingClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _settings(environment: str | None, environ: Mapping[str, str]) -> Settings:
    return load_settings(environ if environment is None else {**environ, ENVIRONMENT: environment})


def _access(settings: Settings) -> Access:
    """The environment's address and key; production warns that money is at risk."""
    target, signer = target_of(settings), Signer(load_credentials(settings))
    if target.environment is Environment.PRODUCTION:
        warnings.warn(f"{REAL_MONEY}: {target.rest_url}", stacklevel=3)
    return target, signer
