"""Refusals with the real exchange's status and body (PROTOCOL 3.1, 3.2), and trading halts."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Halts", "Rejection", "bad_request", "not_found", "too_many_requests"]

NO_DETAILS: Final = ""


class Rejection(Exception):
    """A request refused. Three shapes are on the wire: nested, flat, and bare `msg`."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body

    @classmethod
    def nested(cls, status: int, code: str, details: str = NO_DETAILS) -> Rejection:
        """`{"error": {code, message, details?}}`; the message is the code with spaces."""
        error = {"code": code, "message": code.replace("_", " ")}
        if details:
            error["details"] = details
        return cls(status, {"error": error})

    @classmethod
    def flat(cls, status: int, code: str, details: str) -> Rejection:
        """`{code, message, details}`: what the JSON decoder says."""
        return cls(status, {"code": code, "message": code.replace("_", " "), "details": details})

    @classmethod
    def bare(cls, status: int, message: str) -> Rejection:
        """`{"msg": ...}`: what the validation of query parameters says."""
        return cls(status, {"msg": message})

    @property
    def error(self) -> dict[str, Any]:
        """The error object itself, as it stands in a batch's item."""
        inner = self.body.get("error", self.body)
        return inner if isinstance(inner, dict) else {"code": str(inner), "message": str(inner)}

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.error.get("code", ""))


def not_found() -> Rejection:
    """An order that is unknown, canceled or executed."""
    return Rejection.nested(404, "not_found")


def bad_request(details: str) -> Rejection:
    """A body that does not decode."""
    return Rejection.flat(400, "bad_request", details)


def too_many_requests() -> Rejection:
    """The one body whose `error` is a string; nothing says when to come back."""
    return Rejection(429, {"error": "too many requests"})


class Halts:
    """What is paused: the exchange, trading, or trading for maintenance. Nothing at the start."""

    def __init__(self) -> None:
        self.exchange = False
        self.trading = False
        self.maintenance = False  # trading, until the window is over

    @property
    def stops_trading(self) -> bool:
        """Whether orders are neither placed nor changed."""
        return self.exchange or self.trading or self.maintenance

    def check_entry(self) -> None:
        """`Rejection` when orders cannot be placed or changed."""
        self.check_cancel()
        if self.stops_trading:
            raise Rejection.nested(400, "trading_paused")

    def check_cancel(self) -> None:
        """`Rejection` when not even a cancel is taken: only an exchange pause refuses it."""
        if self.exchange:
            raise Rejection.nested(400, "exchange_paused")
