"""Request signatures (PROTOCOL.md, 2): `timestamp_ms + METHOD + path`.

The path is from the host's root and without a query. RSA keys sign with PSS, SHA-256 and a salt as
long as the digest; Ed25519 keys sign the text itself.

An RSA signature takes longer than sending an order, and the signed text holds only time, method and
path: so `SignaturePool` makes signatures before they are needed. A signature is used once, is dated
a little ahead, and is dropped before the exchange would refuse it as old (measured: 5 seconds
either way are accepted). Where none is ready, one is made on the spot.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from ipc.clock import NS_PER_MS, real_ns
from processes.adapters.kalshi.auth.credentials import Credentials

__all__ = [
    "KEY_HEADER",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "PublicKey",
    "SignaturePool",
    "Signer",
    "real_ms",
    "verify",
]

KEY_HEADER: Final = "KALSHI-ACCESS-KEY"
TIMESTAMP_HEADER: Final = "KALSHI-ACCESS-TIMESTAMP"
SIGNATURE_HEADER: Final = "KALSHI-ACCESS-SIGNATURE"

_HASH: Final = SHA256()
_MGF: Final = padding.MGF1(_HASH)
_PSS: Final = padding.PSS(_MGF, padding.PSS.DIGEST_LENGTH)
_PSS_LENIENT: Final = padding.PSS(_MGF, padding.PSS.AUTO)

LEAD_MS: Final = 2_000  # how far ahead a signature is dated
MOST_AHEAD_MS: Final = 4_000  # one dated further ahead is dropped: the clock was set back
OLDEST_MS: Final = 3_000  # one dated longer ago is dropped
MAX_REQUESTS: Final = 64  # that signatures are kept for; the oldest temporary one is dropped first
YIELD: Final = 0.002  # seconds between two signatures, for other tasks
IDLE: Final = 0.05  # seconds between two checks while all are ready

PublicKey = RSAPublicKey | Ed25519PublicKey
Request = tuple[str, str]  # method, path from the host's root
Headers = dict[str, str]


def real_ms() -> int:
    """Milliseconds since the Unix epoch, by this machine."""
    return real_ns() // NS_PER_MS


def _text(timestamp_ms: str, method: str, path: str) -> bytes:
    return f"{timestamp_ms}{method.upper()}{path.partition('?')[0]}".encode()


class Signer:
    """Makes the three headers of a signed request.

    Args:
        credentials: Key id and private key.
        now_ms: Unix milliseconds of real time, also while market time is a replay's; the exchange
            accepts a few seconds of error.
    """

    def __init__(self, credentials: Credentials, now_ms: Callable[[], int] = real_ms) -> None:
        self._credentials = credentials
        self.now_ms = now_ms

    def headers(self, method: str, path: str, at_ms: int | None = None) -> Headers:
        """Key id, timestamp and signature of a request.

        Args:
            method: Such as `GET`.
            path: From the host's root, such as `/trade-api/v2/portfolio/orders`; a query is not
                signed.
            at_ms: The timestamp in Unix milliseconds; None: now.
        """
        timestamp_ms = str(self.now_ms() if at_ms is None else at_ms)
        return {
            KEY_HEADER: self._credentials.api_key_id,
            TIMESTAMP_HEADER: timestamp_ms,
            SIGNATURE_HEADER: self._sign(_text(timestamp_ms, method, path)),
        }

    def _sign(self, text: bytes) -> str:
        key = self._credentials.private_key
        raw = key.sign(text, _PSS, _HASH) if isinstance(key, RSAPrivateKey) else key.sign(text)
        return base64.b64encode(raw).decode("ascii")


def verify(
    key: PublicKey,
    signature: str,
    timestamp_ms: str,
    method: str,
    path: str,
    *,
    lenient: bool = False,
) -> bool:
    """Whether a signature is this key's, for the local exchange.

    Args:
        key: The public key.
        signature: Base64.
        timestamp_ms: The timestamp header.
        method: Of the request.
        path: From the host's root; a query is ignored.
        lenient: Accept any length of the PSS salt, not only the digest's.
    """
    text = _text(timestamp_ms, method, path)
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, text, _PSS_LENIENT if lenient else _PSS, _HASH)
        else:
            key.verify(raw, text)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


class _Stock(msgspec.Struct):
    """The signatures of one request: how many to keep, until when, and those that are ready."""

    number: int
    until_ms: int | None
    ready: deque[tuple[int, Headers]]


class SignaturePool:
    """Signs like a `Signer`, without delay where a signature was made in advance.

    `want` says of which requests, `keep` makes them between other work, `headers` hands one out.

    Args:
        signer: Makes the signatures.

    Attributes:
        hits: Requests that found a signature ready.
        misses: Requests in stock that found none.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._stocks: dict[Request, _Stock] = {}
        self._last_ms = 0
        self.hits = 0
        self.misses = 0

    def sign_with(self, signer: Signer) -> None:
        """Use another key from now on; signatures of the old one are dropped."""
        self._signer = signer
        for stock in self._stocks.values():
            stock.ready.clear()

    def want(self, method: str, path: str, number: int = 1, for_ms: int | None = None) -> None:
        """Keep signatures of a request ready; safe to repeat.

        Args:
            method: Of the request.
            path: From the host's root.
            number: How many to keep.
            for_ms: For so many milliseconds; None: until `unwant`.
        """
        known = self._stocks.pop((method, path), None)
        until_ms = None if for_ms is None else self._signer.now_ms() + for_ms
        ready = known.ready if known else deque[tuple[int, Headers]]()
        self._stocks[method, path] = _Stock(number, until_ms, ready)
        if len(self._stocks) > MAX_REQUESTS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        passing = (request for request, stock in self._stocks.items() if stock.until_ms is not None)
        if (oldest := next(passing, None)) is not None:
            del self._stocks[oldest]

    def unwant(self, method: str, path: str) -> None:
        """Keep no signatures of that request any longer."""
        self._stocks.pop((method, path), None)

    def headers(self, method: str, path: str) -> Headers:
        """The headers of a signed request, as `Signer.headers` makes them.

        Args:
            method: Such as `POST`.
            path: From the host's root.
        """
        stock = self._stocks.get((method, path))
        if stock is not None:
            self._drop_stale(stock, self._signer.now_ms())
            if stock.ready:
                self.hits += 1
                return stock.ready.popleft()[1]
            self.misses += 1
        return self._signer.headers(method, path)

    def _drop_stale(self, stock: _Stock, now_ms: int) -> None:
        """Drop what the exchange may refuse: too old, or too far ahead."""
        while stock.ready and not -MOST_AHEAD_MS <= now_ms - stock.ready[0][0] <= OLDEST_MS:
            stock.ready.popleft()

    def refill(self) -> bool:
        """Make one signature that is missing; False when all are ready."""
        now_ms = self._signer.now_ms()
        over = [
            r for r, w in self._stocks.items() if w.until_ms is not None and w.until_ms < now_ms
        ]
        for request in over:
            del self._stocks[request]
        for (method, path), stock in self._stocks.items():
            self._drop_stale(stock, now_ms)
            if len(stock.ready) < stock.number:
                return self._make(method, path, stock, now_ms)
        return False

    def _make(self, method: str, path: str, stock: _Stock, now_ms: int) -> bool:
        """Sign with a time that no other has; False while the clock is behind those used."""
        stamp_ms = max(now_ms + LEAD_MS, self._last_ms + 1)
        if stamp_ms - now_ms > MOST_AHEAD_MS:
            return False
        self._last_ms = stamp_ms
        stock.ready.append((stamp_ms, self._signer.headers(method, path, stamp_ms)))
        return True

    async def keep(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> NoReturn:
        """Refill between other work until cancelled."""
        while True:
            await sleep(YIELD if self.refill() else IDLE)
