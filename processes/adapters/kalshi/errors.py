"""The errors of everything that talks to the exchange.

KalshiError
  WireError            a message that lacks what it must have
  SocketClosed         the WebSocket is gone
  ApiError             an HTTP error reply
    AuthError            401, 403
    NotFound             404
    RateLimited          429, or refused by our own budget before it was sent
    OrderRejected        any other 4xx
  ExchangeUnavailable  5xx on a read, or no connection: nothing was done
  UnknownOutcome       a write was sent and its outcome is unknown: look it up before acting again
  ReadOnlyError        a write was asked of a client that only reads: nothing was sent
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from ipc.errors import KalshiActorError

__all__ = [
    "ORDER_ALREADY_EXISTS",
    "ApiError",
    "AuthError",
    "ExchangeUnavailable",
    "KalshiError",
    "NotFound",
    "OrderRejected",
    "RateLimited",
    "ReadOnlyError",
    "SocketClosed",
    "UnknownOutcome",
    "WireError",
    "api_error",
]

MAX_BODY: Final = 64 << 10  # bytes of an error reply that are read
MAX_SHOWN: Final = 200  # characters of each part that are kept
ORDER_ALREADY_EXISTS: Final = "order_already_exists"  # ids never free up


class KalshiError(KalshiActorError):
    """The exchange, or the connection to it, failed."""


class WireError(KalshiError):
    """A message that is not what the protocol says: names the field.

    Costs what it is about (an item, a frame, a call) and never the process.
    """


class SocketClosed(KalshiError):
    """The WebSocket is closed; the text says why."""


class ExchangeUnavailable(KalshiError):
    """No connection, or the exchange cannot answer; a write that meets this was not done."""


class UnknownOutcome(KalshiError):
    """A write was sent, and no reply says whether it was done.

    Look the order up by its `client_order_id` before acting again: sending it once more could
    double it.
    """


class ReadOnlyError(KalshiError):
    """A client that only reads was asked to change something; nothing was sent."""


class ApiError(KalshiError):
    """An HTTP error reply.

    Attributes:
        http_status: 400 to 599.
        code: As the exchange spells it, empty when it gave none; may embed data, compare prefixes.
        message: What the exchange says, empty when it is the code again.
        details: More of it, empty when there is none.
    """

    def __init__(self, http_status: int, code: str, message: str, details: str = "") -> None:
        words = [str(http_status), code, message if message != code else "", details]
        super().__init__(" ".join(w for w in words if w))
        self.http_status = http_status
        self.code = code
        self.message = message
        self.details = details


class AuthError(ApiError):
    """The key, its signature, its clock or its scope is refused."""


class NotFound(ApiError):
    """No such order, market or account."""


class RateLimited(ApiError):
    """Too many requests; nothing was done."""


class OrderRejected(ApiError):
    """The exchange refuses the request; `code` says why, `ORDER_ALREADY_EXISTS` among them."""


_KINDS: Final[dict[int, type[ApiError]]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.FORBIDDEN: AuthError,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
}


def api_error(http_status: int, body: bytes) -> ApiError:
    """Make the error for a reply of any of the exchange's shapes (PROTOCOL.md, 3.1).

    Args:
        http_status: 400 to 599.
        body: As received, of any length; it need not be JSON.

    Returns:
        `AuthError`, `NotFound` or `RateLimited` by the status, `OrderRejected` for all others.
    """
    code, message, details = _parts(body)
    return _KINDS.get(http_status, OrderRejected)(http_status, code, message, details)


def _parts(body: bytes) -> tuple[str, str, str]:
    """(code, message, details) of `{"error": {..}}`, `{"code": ..}`, `{"msg": ..}` or text."""
    text = body[:MAX_SHOWN].decode("utf-8", "replace")
    try:
        reply = msgspec.json.decode(body[:MAX_BODY])
    except (ValueError, RecursionError):  # also bad UTF-8, and nesting without end
        return "", _shown(text), ""
    inner: Any = reply.get("error", reply) if isinstance(reply, dict) else text
    if not isinstance(inner, dict):
        return "", _shown(inner), ""
    message = inner.get("message") or inner.get("msg") or ""
    return _shown(inner.get("code")), _shown(message), _shown(inner.get("details"))


def _shown(value: object) -> str:
    """A part of an error reply as text on one line: empty for nothing, bounded for anything."""
    if isinstance(value, list | dict):
        return f"({type(value).__name__})"
    return " ".join(str(value or "").split())[:MAX_SHOWN]
