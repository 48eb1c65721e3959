"""Every event survives the wire, and what is not an event does not."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import synthetic_stack as made

from ipc import messages as m

TYPES = typing.get_args(m.Message)


def _fields(kind: type) -> st.SearchStrategy[typing.Any]:
    """Structs field by field, with integers that msgpack can carry."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{n: _value(hints[n]) for n in kind.__struct_fields__})  # type: ignore[attr-defined]


def _value(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Values of a field's type; integers are those that msgpack can carry."""
    if hint is int:
        return st.integers(-(2**63), 2**63 - 1)
    if hint is float:
        return st.floats(allow_nan=False)
    if hint == tuple[m.ActorAction, ...]:
        actions = (made.action(), made.action(observation=b"\0\xff", shadow=True))
        return st.sampled_from(((), actions[:1], actions))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _fields(hint)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([_value(part) for part in parts])
    if origin is dict:
        return st.dictionaries(*map(_value, parts))
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(_value(parts[0])).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_value, parts))
    return st.from_type(hint)


@pytest.mark.parametrize("kind", TYPES, ids=lambda t: t.__name__)
@settings(max_examples=25)  # of each of 25 kinds
@given(data=st.data())
def test_every_event_survives_the_wire(kind: type, data: st.DataObject) -> None:
    message = data.draw(_fields(kind))
    assert m.decode(m.encode(message)) == message
    assert m.decode(memoryview(m.encode(message))) == message


def test_every_event_is_listed_and_tagged_with_its_name() -> None:
    structs = [
        v
        for v in vars(m).values()
        if isinstance(v, type) and issubclass(v, msgspec.Struct) and v.__struct_config__.tag
    ]
    assert {s for s in structs if not s.__name__.startswith("_")} == set(TYPES)
    for kind in TYPES:
        assert kind.__struct_config__.tag == kind.__name__
        assert kind.__struct_config__.frozen


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Nonsense"}, "Invalid value 'Nonsense'"),
        ({"stream": "a/b"}, "missing required field `type`"),
        ({"type": "Doorbell"}, "missing required field `stream`"),
        ({"type": "Doorbell", "stream": 7}, r"Expected `str`, got `int` - at `\$.stream`"),
    ],
)
def test_what_is_no_event_is_refused_by_field(data: object, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        m.decode(msgspec.msgpack.encode(data))


def test_a_truncated_event_is_refused() -> None:
    whole = m.encode(m.Doorbell(stream="collector/1"))
    with pytest.raises(msgspec.DecodeError):
        m.decode(whole[:-1])


def test_events_are_facts() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        m.Doorbell(stream="x").stream = "y"  # type: ignore[misc]
