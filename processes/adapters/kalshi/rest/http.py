"""Signed HTTP requests with the exchange's error shapes; reads may be repeated, writes never.

A write that was sent and whose answer did not come, or is a 5xx, is an `UnknownOutcome`: a second
try could double the order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np

from ipc.messages import Environment
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import (
    ExchangeUnavailable,
    KalshiError,
    RateLimited,
    UnknownOutcome,
    WireError,
    api_error,
)
from processes.adapters.kalshi.rest.rate_budget import Call, RateBudget
from processes.adapters.kalshi.rest.signature_pool import SignaturePool

__all__ = ["KalshiHttp", "Params"]

Reply = TypeVar("Reply")
Made = TypeVar("Made")
Params = dict[str, str | int | list[str] | None]  # a list is repeated, None is left out

TRIES: Final = 4  # of a read
FIRST_BACKOFF: Final = 0.1  # seconds, doubled at each try, plus up to as much again
TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
LIMITS: Final = httpx.Limits(
    max_connections=16, max_keepalive_connections=16, keepalive_expiry=30.0
)
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_JSON: Final = {"Content-Type": "application/json"}


class KalshiHttp:
    """One keep-alive client of one environment."""

    def __init__(
        self,
        target: KalshiTarget,
        signer: Signer,
        budget: RateBudget,
        *,
        rng: np.random.Generator,
        sleep: Callable[[float], Awaitable[None]],
        subaccount: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(target.rest_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path.rstrip("/")
        self.subaccount = subaccount
        self.signatures = SignaturePool(signer)
        self._budget = budget
        self._rng = rng
        self._sleep = sleep
        local = target.environment is Environment.SIMULATED
        self._client = httpx.AsyncClient(
            http2=False, timeout=TIMEOUT, limits=LIMITS, trust_env=not local, transport=transport
        )
        self.retries = 0

    def sign_with(self, signer: Signer) -> None:
        """Use another key from the next request on."""
        self.signatures.sign_with(signer)

    def want_signatures(
        self, method: str, path: str, number: int = 1, for_ms: int | None = None
    ) -> None:
        """Have signatures of a request ready; `path` is below the base."""
        self.signatures.want(method, self._base + path, number, for_ms)

    def unwant_signatures(self, method: str, path: str) -> None:
        """That request will not come any more."""
        self.signatures.unwant(method, self._base + path)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(
        self,
        kind: type[Reply],
        path: str,
        params: Params | None = None,
        call: Call = Call.READ,
        *,
        told_by_5xx: bool = False,
        tries: int = TRIES,
    ) -> Reply:
        """GET, repeated a few times when the exchange cannot answer or is asked too often.

        With `told_by_5xx` a 5xx whose body is a `kind` is an answer like any other.
        """
        for attempt in range(tries):
            await self._budget.acquire(call)
            try:
                return await self._get(kind, path, params, told_by_5xx=told_by_5xx)
            except (ExchangeUnavailable, RateLimited):
                if attempt == tries - 1:
                    raise
            self.retries += 1
            await self._sleep(FIRST_BACKOFF * 2**attempt * (1 + float(self._rng.random())))
        raise AssertionError("unreachable")

    async def _get(
        self, kind: type[Reply], path: str, params: Params | None, *, told_by_5xx: bool
    ) -> Reply:
        try:
            response = await self._request("GET", path, params, None)
        except httpx.RequestError as error:
            raise ExchangeUnavailable(f"GET {path}: {_named(error)}") from None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            if told_by_5xx:
                with contextlib.suppress(WireError):
                    return _decoded(kind, path, response)
            raise ExchangeUnavailable(f"GET {path}: {_told(response)}")
        _raise_for(response)
        return _decoded(kind, path, response)

    async def write(
        self,
        kind: type[Reply],
        made: Callable[[Reply], Made],
        call: Call,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | None = None,
        items: int = 1,
    ) -> Made:
        """Send once. `UnknownOutcome` when it may have been done and we cannot tell."""
        await self._budget.acquire(call, items)
        what = f"{method} {path}"
        try:
            response = await self._request(method, path, params, body)
        except _NOT_SENT as error:
            raise ExchangeUnavailable(f"{what}: {_named(error)}") from None
        except httpx.RequestError as error:
            raise UnknownOutcome(f"{what}: {_named(error)}") from None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnknownOutcome(f"{what}: {_told(response)}")
        _raise_for(response)
        try:
            return made(_decoded(kind, path, response))
        except WireError as error:
            raise UnknownOutcome(f"{what}: {error}") from None

    async def _request(
        self, method: str, path: str, params: Params | None, body: bytes | None
    ) -> httpx.Response:
        query = {k: v for k, v in (params or {}).items() if v is not None}
        headers = self.signatures.headers(method, self._base + path)
        if body is not None or method in ("POST", "PUT"):  # refused without, even with no body
            headers |= _JSON
        url = self._origin + self._base + path
        return await self._client.request(method, url, params=query, headers=headers, content=body)


def _raise_for(response: httpx.Response) -> None:
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        raise api_error(response.status_code, response.content)
    if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        raise KalshiError(f"{response.request.url.path}: redirected, {response.status_code}")


def _decoded(kind: type[Reply], path: str, response: httpx.Response) -> Reply:
    try:
        return msgspec.json.decode(response.content or b"null", type=kind)
    except msgspec.MsgspecError as error:
        raise WireError(f"{path}: {error}") from None


def _named(error: httpx.RequestError) -> str:
    return f"{type(error).__name__} {error}".strip()


def _told(response: httpx.Response) -> str:
    return str(api_error(response.status_code, response.content))
