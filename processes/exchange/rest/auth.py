"""Who is asking: the signature of a request, refused word for word as the real exchange does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from processes.adapters.kalshi.auth.signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    verify,
)
from processes.exchange.core.rejections import Rejection
from processes.exchange.keys import ApiKey, KeyRing

__all__ = ["NEWEST_MS", "OLDEST_MS", "Authenticator"]

OLDEST_MS: Final = 15_000  # how far a timestamp may lie behind
NEWEST_MS: Final = 60_000  # and ahead; as measured on the real exchange, asymmetric


def _unauthorized(details: str) -> Rejection:
    error = {
        "code": "authentication_error",
        "message": "authentication_error",
        "details": details,
    }
    return Rejection(401, {"error": error})


class Authenticator:
    """Checks the three headers by real time, whatever market time is."""

    def __init__(
        self,
        keys: KeyRing,
        real_ms: Callable[[], int],
        oldest_ms: int = OLDEST_MS,
        newest_ms: int = NEWEST_MS,
    ) -> None:
        self._keys = keys
        self._real_ms = real_ms
        self._oldest_ms = oldest_ms
        self._newest_ms = newest_ms

    def key(self, headers: Mapping[str, str], method: str, path: str) -> ApiKey:
        """The key that signed; `path` without the query. `Rejection` otherwise."""
        signature = headers.get(SIGNATURE_HEADER, "")
        timestamp = headers.get(TIMESTAMP_HEADER, "")
        if not signature:
            raise Rejection.nested(401, "signature_is_missing_from_headers")
        if not self._in_time(timestamp):
            raise Rejection.nested(401, "header_timestamp_expired")
        known = self._keys.get(headers.get(KEY_HEADER, ""))
        if known is None:
            raise _unauthorized("NOT_FOUND")
        if not verify(known.public, signature, timestamp, method, path):
            raise _unauthorized("INCORRECT_API_KEY_SIGNATURE")
        return known

    def _in_time(self, timestamp: str) -> bool:
        if not timestamp.isdecimal():
            return False
        ahead_ms = int(timestamp) - self._real_ms()
        return -self._oldest_ms <= ahead_ms <= self._newest_ms
