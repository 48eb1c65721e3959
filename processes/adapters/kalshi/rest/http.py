"""Signed HTTP requests, pages, and errors in the exchange's shapes.

Reads may be repeated; writes are sent once. A write that was sent and whose reply is missing or a
5xx is an `UnknownOutcome`: sending it again could double the order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import numpy as np

from ipc.clock import NS_PER_MS, real_ns
from ipc.messages import Environment
from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import SignaturePool, Signer
from processes.adapters.kalshi.errors import (
    ExchangeUnavailable,
    KalshiError,
    RateLimited,
    ReadOnlyError,
    UnknownOutcome,
    WireError,
    api_error,
)
from processes.adapters.kalshi.rest.rate_budget import Call, RateBudget
from processes.adapters.kalshi.schemas.decoding import LeftOut, Listing, decode, decode_items
from processes.adapters.kalshi.schemas.fields import check_fields
from processes.runtime.tasks import Backoff

__all__ = ["PAGE", "TRIES", "KalshiHttp", "Params", "RestResource", "segment"]


class _Page(Protocol):
    """A page of a list."""

    @property
    def rows(self) -> list[msgspec.Raw]:
        """Its items, not decoded."""

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; empty or None after the last."""


Reply = TypeVar("Reply")
Result = TypeVar("Result")
Item = TypeVar("Item")
Params = dict[str, str | int | list[str] | None]  # a list is repeated, None is left out

PAGE: Final = 1_000  # rows asked for at once, the exchange's limit
MAX_PAGES: Final = 1_000
MAX_BODY: Final = 64 << 20  # bytes of a reply, decompressed; a page of 1,000 markets has 2 MB
TRIES: Final = 4  # of a read
READ_AGAIN: Final = Backoff(first_s=0.2, longest_s=1.6)
CLOSE_TIMEOUT: Final = 0.5  # seconds for connections to close
TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
LIMITS: Final = httpx.Limits(
    max_connections=16, max_keepalive_connections=16, keepalive_expiry=30.0
)
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_JSON: Final = {"Content-Type": "application/json"}
LOOK_EVERY: Final = 64  # replies of a kind, of which the first is looked at for new fields
_decoders: Final[dict[type, Any]] = {}
_replies_seen: Final[Counter[type]] = Counter()


class _Reply(NamedTuple):
    """An HTTP reply."""

    status: int
    content: bytes


class KalshiHttp:
    """One keep-alive HTTP client of one environment; all resources of a client share it.

    HTTP/1.1, at most 16 connections, 10 seconds for a reply, 64 MiB of a decompressed body. Proxies
    of the environment's variables are used, except for the local exchange.

    Args:
        target: Where to connect.
        signer: Signs every request.
        budget: The account's rate limits; every request waits for room in it.
        rng: Spreads the pauses between repeated reads.
        sleep: Waits that many seconds.
        subaccount: The subaccount that calls are about; None lets the exchange choose.
        transport: Replaces the network.
        clock_offset: Learns of the exchange's clock from the replies to reads.
        read_only: Whether every request that would change something is refused here.

    Attributes:
        signatures: Those made in advance.
        retries: Reads that were repeated so far.
    """

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
        clock_offset: ClockOffset | None = None,
        read_only: bool = False,
    ) -> None:
        parts = urlsplit(target.rest_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path.rstrip("/")
        self.subaccount = subaccount
        self.signatures = SignaturePool(signer)
        self.clock_offset = clock_offset or ClockOffset()
        self._read_only = read_only
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
        """Keep signatures of a request ready.

        Args:
            method: Such as `POST`.
            path: Below the base.
            number: How many to keep.
            for_ms: For so many milliseconds; None: until `unwant_signatures`.
        """
        self.signatures.want(method, self._base + path, number, for_ms)

    def unwant_signatures(self, method: str, path: str) -> None:
        """Keep no signatures of that request any longer."""
        self.signatures.unwant(method, self._base + path)

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._client.aclose()

    async def read(
        self,
        kind: type[Reply],
        path: str,
        params: Params | None = None,
        call: Call = Call.READ,
        *,
        accept_5xx: bool = False,
        tries: int = TRIES,
    ) -> Reply:
        """GET, repeated with growing pauses when the exchange fails or answers 429.

        Args:
            kind: The type of the reply's body.
            path: Below the base, such as `/markets`.
            params: The query; a list is repeated, None is left out.
            call: What the request costs.
            accept_5xx: A 5xx whose body is a `kind` is a reply like any other.
            tries: How often to send it at most.

        Raises:
            ExchangeUnavailable: No connection, or a 5xx, at every try.
            ApiError: The exchange refused it; `RateLimited` after the last try.
            WireError: The body is no `kind`.
        """
        for attempt in range(tries):
            await self._budget.acquire(call, method="GET", path=path)
            try:
                return await self._get(kind, path, params, accept_5xx=accept_5xx)
            except (ExchangeUnavailable, RateLimited) as error:
                if isinstance(error, RateLimited):
                    self._budget.on_limited(call)
                if attempt == tries - 1:
                    raise
            self.retries += 1
            await self._sleep(READ_AGAIN.jittered(attempt, self._rng))
        raise ValueError(f"tries={tries}; allowed: 1 or more")

    async def _get(
        self, kind: type[Reply], path: str, params: Params | None, *, accept_5xx: bool
    ) -> Reply:
        try:
            reply = await self._request("GET", path, params, None)
        except httpx.RequestError as error:
            raise ExchangeUnavailable(f"GET {path}: {_error_text(error)}") from None
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            if accept_5xx:
                with contextlib.suppress(WireError):
                    return _decoded(kind, path, reply)
            raise ExchangeUnavailable(f"GET {path}: {_reply_text(reply)}")
        _raise_for_status(path, reply)
        return _decoded(kind, path, reply)

    async def write(
        self,
        kind: type[Reply],
        made: Callable[[Reply], Result],
        call: Call,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | None = None,
        items: int = 1,
    ) -> Result:
        """Send a request that changes something, once.

        Args:
            kind: The type of the reply's body.
            made: Makes the result of it.
            call: What the request costs, for each of its `items`.
            method: Such as `POST`.
            path: Below the base.
            params: The query.
            body: JSON, or None for none.
            items: Orders in a batch.

        Raises:
            ExchangeUnavailable: It was not sent.
            ApiError: The exchange refused it.
            UnknownOutcome: It was sent, and the reply is missing, unreadable or a 5xx.
            ReadOnlyError: This client only reads.
        """
        if self._read_only:
            raise ReadOnlyError(f"{method} {path}: not sent, this client only reads")
        await self._budget.acquire(call, items, method=method, path=path)
        request = f"{method} {path}"
        try:
            reply = await self._request(method, path, params, body)
        except _NOT_SENT as error:
            raise ExchangeUnavailable(f"{request}: {_error_text(error)}") from None
        except httpx.RequestError as error:
            raise UnknownOutcome(f"{request}: {_error_text(error)}") from None
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnknownOutcome(f"{request}: {_reply_text(reply)}")
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._budget.on_limited(call)
        _raise_for_status(path, reply)
        try:
            return made(_decoded(kind, path, reply))
        except WireError as error:
            raise UnknownOutcome(f"{request}: {error}") from None

    async def _request(
        self, method: str, path: str, params: Params | None, body: bytes | None
    ) -> _Reply:
        query = {k: v for k, v in (params or {}).items() if v is not None}
        headers = self.signatures.headers(method, self._base + path)
        if body is not None or method in ("POST", "PUT"):  # refused without, even with no body
            headers |= _JSON
        url = self._origin + self._base + path
        request = self._client.build_request(
            method, url, params=query, headers=headers, content=body
        )
        sent_ms = real_ns() // NS_PER_MS
        response = await self._client.send(request, stream=True)
        if method == "GET":  # there are enough of them, and orders are spared it
            date = response.headers.get("Date")
            self.clock_offset.on_reply(date, sent_ms, real_ns() // NS_PER_MS)
        try:
            return _Reply(response.status_code, await _body(response))
        finally:
            await response.aclose()


class RestResource:
    """One resource of the client; all of them share one connection pool, budget and key.

    Args:
        http: The shared connection.
    """

    def __init__(self, http: KalshiHttp) -> None:
        self._http = http

    @property
    def _subaccount(self) -> int | None:
        """The subaccount that the client acts for, None when it names none."""
        return self._http.subaccount

    async def _pages(self, kind: type[_Page], path: str, params: Params) -> AsyncIterator[_Page]:
        """Every page, until the cursor is empty, missing or repeats."""
        query: dict[str, Any] = {"limit": PAGE, **params}
        for _ in range(MAX_PAGES):
            page = await self._http.read(kind, path, query)
            yield page
            if not page.cursor or page.cursor == query.get("cursor"):
                return
            query["cursor"] = page.cursor

    async def _listing(
        self,
        kind: type[_Page],
        path: str,
        params: Params,
        make: Callable[[msgspec.Raw], Item],
        limit: int | None = None,
    ) -> Listing[Item]:
        """The items of all pages, or the first `limit`; one that cannot be made is left out."""
        items: list[Item] = []
        left_out = LeftOut()
        async for page in self._pages(kind, path, params):
            found = decode_items(page.rows, make)
            items += found.items
            left_out += found.left_out
            if limit is not None and len(items) >= limit:
                return Listing(items[:limit], left_out)
        return Listing(items, left_out)


def segment(text: str) -> str:
    """A piece of a path, escaped: whatever an id holds, it leads nowhere else."""
    return quote(text, safe="")


async def _body(response: httpx.Response) -> bytes:
    """The body, decompressed piece by piece and never more than `MAX_BODY` bytes of it."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY:
            raise httpx.DecodingError(f"a reply of more than {MAX_BODY} bytes")
    return bytes(body)


def _raise_for_status(path: str, reply: _Reply) -> None:
    if reply.status >= HTTPStatus.BAD_REQUEST:
        raise api_error(reply.status, reply.content)
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise KalshiError(f"{path}: redirected, {reply.status}")


def _decoded(kind: type[Reply], path: str, reply: _Reply) -> Reply:
    decoded = decode(_decoder_of(kind), reply.content or b"null", path)
    if isinstance(decoded, msgspec.Struct):
        seen = _replies_seen[type(decoded)]
        _replies_seen[type(decoded)] = seen + 1
        if not seen % LOOK_EVERY:
            check_fields(type(decoded), reply.content)
    return decoded


def _decoder_of(kind: type[Reply]) -> msgspec.json.Decoder[Reply]:
    """One decoder for each type of body: there are a few dozen."""
    decoder: msgspec.json.Decoder[Reply] | None = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def _error_text(error: httpx.RequestError) -> str:
    return f"{type(error).__name__} {error}".strip()


def _reply_text(reply: _Reply) -> str:
    return str(api_error(reply.status, reply.content))
