"""Request signatures (PROTOCOL.md, 2): `timestamp_ms + METHOD + path`.

The path is from the host's root and without a query. RSA keys sign with PSS, SHA-256 and a salt as
long as the digest; Ed25519 keys sign the text itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

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

PublicKey = RSAPublicKey | Ed25519PublicKey


def real_ms() -> int:
    """Milliseconds since the Unix epoch, by this machine."""
    return real_ns() // NS_PER_MS


def _text(timestamp_ms: str, method: str, path: str) -> bytes:
    return f"{timestamp_ms}{method.upper()}{path.partition('?')[0]}".encode()


class Signer:
    """Makes the three headers of a signed request.

    Args:
        credentials: Key id and private key.
        now_ms: Unix milliseconds; the exchange accepts a few seconds of error.
    """

    def __init__(self, credentials: Credentials, now_ms: Callable[[], int] = real_ms) -> None:
        self._credentials = credentials
        self.now_ms = now_ms

    def headers(self, method: str, path: str, at_ms: int | None = None) -> dict[str, str]:
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
