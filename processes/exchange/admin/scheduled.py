"""Orders from the settings: RL_EXCHANGE_FAULTS is a JSON list of them, each with its `after_s`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec

from processes.exchange.admin.carrying_out import carry_out
from processes.exchange.admin.order_fields import OrderError, order_of
from processes.exchange.admin.orders import Order
from processes.exchange.core.rejections import Rejection
from processes.exchange.house import House
from processes.exchange.stream.sockets import Connections
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log

__all__ = ["Scheduled", "Timed", "scheduled_of"]

VARIABLE: Final = "RL_EXCHANGE_FAULTS"
LONGEST_S: Final = 30 * 86_400
AfterS = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)]


class Timed(msgspec.Struct, frozen=True):
    """An order, and how long after the start it is carried out, in real seconds."""

    after_s: float
    order: Order


def scheduled_of(settings: Settings) -> list[Timed]:
    """What is ordered, by time; `ConfigError` for what cannot be ordered."""
    raw = settings.exchange.faults
    if not raw:
        return []
    try:
        listed = msgspec.json.decode(raw, type=list[dict[str, Any]])
        return sorted(map(_timed, listed), key=lambda timed: timed.after_s)
    except msgspec.DecodeError as error:
        why = f"not a JSON list of objects ({error})"
    except OrderError as error:
        why = str(error)
    raise ConfigError(f"{VARIABLE}={raw} cannot be used: {why}")


def _timed(body: dict[str, Any]) -> Timed:
    raw = body.get("after_s", 0)
    try:
        after_s = msgspec.convert(raw, AfterS)
    except msgspec.ValidationError:
        text = f"after_s={raw!r} cannot be used; allowed: seconds, 0 to {LONGEST_S}"
        raise OrderError(text) from None
    return Timed(after_s, order_of({k: v for k, v in body.items() if k != "after_s"}))


def _text(order: Order) -> str:
    return msgspec.json.encode(order).decode()


def _why(refusal: Rejection) -> str:
    return str(refusal.error.get("details") or refusal.code)


class Scheduled:
    """Carries the orders out, each in its time."""

    def __init__(
        self, house: House, connections: Connections, ordered: list[Timed], log: Log
    ) -> None:
        self._house = house
        self._connections = connections
        self._at_once = [t.order for t in ordered if not t.after_s]
        self._later = [t for t in ordered if t.after_s]
        self._log = log
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self) -> None:
        """Those that hold from the start; `ConfigError` when one cannot be carried out."""
        for order in self._at_once:
            try:
                carry_out(self._house, self._connections, order)
            except Rejection as refusal:
                raise ConfigError(f"{VARIABLE}={_text(order)}: {_why(refusal)}") from None

    def listening(self) -> None:
        """From now on time counts."""
        for order in self._at_once:
            self._log("fault_set", fault=_text(order))
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(t.after_s, self._carry_out, t.order) for t in self._later]

    def _carry_out(self, order: Order) -> None:
        try:
            carry_out(self._house, self._connections, order)
        except Rejection as refusal:
            self._log.warning("fault_refused", fault=_text(order), error=_why(refusal))
            return
        self._log("fault_set", fault=_text(order))

    def close(self) -> None:
        """What is not due yet never comes."""
        for timer in self._timers:
            timer.cancel()
