"""The fields that a message may have: those of its schema, and those documented and not read.

A schema names what this program reads. `check_fields` finds what the exchange sends beyond that and
beyond its own specifications of the date in `documented`: it is new, and is counted in `drift`.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from processes.adapters.kalshi.schemas.decoding import UNREADABLE
from processes.adapters.kalshi.schemas.documented import ROWS, UNREAD
from processes.adapters.kalshi.schemas.drift import SEEN

__all__ = ["StructType", "check_fields", "struct_in", "unknown_fields"]

StructType = type[msgspec.Struct]
DEEPEST: Final = 4  # objects within objects that are looked at
Object = dict[str, msgspec.Raw]

_object: Final = msgspec.json.Decoder(Object)
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Shape:
    """Names of the fields of one struct, and the structs that are the values of some."""

    def __init__(self, kind: StructType) -> None:
        hints = get_type_hints(kind, include_extras=True)
        fields = msgspec.structs.fields(kind)
        tag_field = kind.__struct_config__.tag_field
        self.name = kind.__name__
        self.names = frozenset(
            {*(f.encode_name for f in fields), *UNREAD.get(self.name, "").split()}
            | ({tag_field} if tag_field else set())
        )
        self.children: dict[str, StructType] = {}
        for field in fields:
            child = ROWS.get((self.name, field.encode_name)) or struct_in(hints[field.name])
            if child is not None:
                self.children[field.encode_name] = child


_shapes: Final[dict[StructType, _Shape]] = {}


def struct_in(kind: Any) -> StructType | None:
    """The struct that a field's type is, or is a list of; None where it is neither."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) is typing.Annotated:
        return struct_in(get_args(kind)[0])
    return next((found for arg in get_args(kind) if (found := struct_in(arg)) is not None), None)


def unknown_fields(kind: StructType, data: bytes | msgspec.Raw) -> list[str]:
    """`Struct.field` of every field of a message that is new; of a list its first item is read.

    Args:
        kind: What the message was decoded as.
        data: JSON. What cannot be read has no unknown fields.
    """
    return list(_walk(kind, data, DEEPEST))


def _walk(kind: StructType, data: bytes | msgspec.Raw, depth: int) -> Iterator[str]:
    shape = _shapes.get(kind)
    if shape is None:
        shape = _shapes[kind] = _Shape(kind)
    try:
        found = _object.decode(data)
    except UNREADABLE:
        return
    for name, value in found.items():
        if name not in shape.names:
            yield f"{shape.name}.{name}"
        elif depth and (child := shape.children.get(name)) is not None:
            yield from _walk(child, _first(value), depth - 1)


def _first(value: msgspec.Raw) -> msgspec.Raw:
    """The first item of a list, or the value itself."""
    if bytes(memoryview(value)[:1]) != b"[":
        return value
    try:
        items = _list.decode(value)
    except UNREADABLE:
        return value
    return items[0] if items else value


def check_fields(kind: StructType, data: bytes | msgspec.Raw) -> None:
    """Count the new fields of a message in `SEEN`."""
    for name in _walk(kind, data, DEEPEST):
        SEEN.note("field", name)
