"""What can go wrong with the exchange.

KalshiError
  WireError            a message that lacks what it must have
  SocketClosed         the WebSocket is gone
  ApiError             an HTTP answer that is an error
    AuthError            401, 403
    NotFound             404
    RateLimited          429, or refused by our own budget before it was sent
    OrderRejected        any other 4xx
  ExchangeUnavailable  5xx on a read, or no connection: nothing was done
  UnknownOutcome       a write was sent and its result is not known: ask before acting again
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
    "SocketClosed",
    "UnknownOutcome",
    "WireError",
    "api_error",
]

ORDER_ALREADY_EXISTS: Final = "order_already_exists"  # ids never free up


class KalshiError(KalshiActorError):
    """The exchange, or the way to it."""


class WireError(KalshiError):
    """A message that is not what the protocol says: names the field."""


class SocketClosed(KalshiError):
    """The WebSocket is closed; the text says why."""


class ExchangeUnavailable(KalshiError):
    """No connection, or the exchange cannot answer; a write that meets this was not done."""


class UnknownOutcome(KalshiError):
    """A write was sent and no answer settles whether it was done."""


class ApiError(KalshiError):
    """An error answer: `code` as the exchange spells it, empty when it gave none."""

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
    """An error answer of any of the exchange's shapes, the nested one first."""
    code, message, details = _said(body)
    return _KINDS.get(http_status, OrderRejected)(http_status, code, message, details)


def _said(body: bytes) -> tuple[str, str, str]:
    """(code, message, details) of `{"error": {..}}`, `{"code": ..}`, `{"msg": ..}` or text."""
    try:
        reply = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "", body[:200].decode("utf-8", "replace"), ""
    if not isinstance(reply, dict):
        return "", str(reply)[:200], ""
    inner: Any = reply.get("error", reply)
    if not isinstance(inner, dict):
        return "", str(inner), ""
    message = inner.get("message") or inner.get("msg") or ""
    return str(inner.get("code") or ""), str(message), str(inner.get("details") or "")
