"""Orders out of JSON objects; what does not fit is named, with its value and what is allowed."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect

from ipc.errors import KalshiActorError
from processes.exchange.admin.orders import KINDS, Order

__all__ = ["OrderError", "order_of"]


class OrderError(KalshiActorError, ValueError):
    """An order that cannot be understood: which field, its value, what is allowed."""


@cache
def _hints(kind: type[Order]) -> dict[str, Any]:
    """The fields of a kind of order, with their types."""
    return {
        name: get_type_hints(kind, include_extras=True)[name] for name in kind.__struct_fields__
    }


def _allowed(kind: inspect.Type) -> str:
    """In words, what a field takes."""
    match kind:
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"a whole number, {low} to {high}"
        case inspect.IntType():
            return "a whole number"
        case inspect.BoolType():
            return "true, false"
        case inspect.LiteralType(values=values):
            return ", ".join(str(value) or '""' for value in values)
        case inspect.EnumType(cls=words):
            return ", ".join(words)
        case inspect.StrType(min_length=length):
            return "text that is not empty" if length else "text"
        case inspect.UnionType(types=types):
            return ", ".join(_allowed(t) for t in types if not isinstance(t, inspect.NoneType))
        case _:
            return "a list of objects"


def order_of(body: dict[str, Any]) -> Order:
    """The order that an object is; `OrderError` for the first thing in it that is not right."""
    name = body.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise OrderError(f"kind={name!r} is unknown; allowed: {', '.join(KINDS)}")
    hints = _hints(kind)
    for field, value in body.items():
        if field not in hints and field != "kind":
            allowed = ", ".join(hints) or "none"
            raise OrderError(f"{field}={value!r} is no field of {name}; allowed: {allowed}")
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        if field.name not in body:
            if field.required:
                text = f"{field.name} of {name} is missing"
                raise OrderError(f"{text}; allowed: {_allowed(field.type)}")
            continue
        try:
            msgspec.convert(body[field.name], hints[field.name])
        except msgspec.ValidationError:
            text = f"{field.name}={body[field.name]!r} of {name} cannot be used"
            raise OrderError(f"{text}; allowed: {_allowed(field.type)}") from None
    return msgspec.convert(body, kind)
