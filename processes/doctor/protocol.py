"""Our schemas against the exchange's own specifications: `kalshi-actor check --protocol FOLDER`.

The folder holds `openapi.yaml` (REST) and `asyncapi.yaml` (WebSocket), as the exchange's official
package does. What we read of a reply must be there and of our type; what we send must be taken. A
field, word, message or operation that neither a schema nor `schemas.documented` has is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

import yaml
from msgspec import inspect

from ipc.errors import KalshiActorError
from processes.adapters.kalshi.schemas import documented, rest_orders, rest_portfolio, rest_public
from processes.adapters.kalshi.schemas.documented import ROWS, UNREAD
from processes.adapters.kalshi.schemas.enums import OpenWord
from processes.adapters.kalshi.schemas.fields import StructType, struct_in
from processes.adapters.kalshi.schemas.frames import FRAME_TYPES

__all__ = [
    "FILES",
    "USED",
    "Difference",
    "SpecificationError",
    "compare",
]

FILES: Final = ("openapi.yaml", "asyncapi.yaml")
MAX_BYTES: Final = 64 << 20  # of a file; today's have half a megabyte
MOST_REFERENCES: Final = 32  # that lead from one to the next
OK: Final = ("200", "201")

REPLIES: Final[Mapping[str, StructType]] = {  # what we read of a good answer
    "GET /api_keys": rest_portfolio.ApiKeysReply,
    "GET /account/endpoint_costs": rest_public.CostsReply,
    "GET /account/limits": rest_public.AccountLimits,
    "GET /events/fee_changes": rest_public.EventFeeChangesPage,
    "GET /events/{event_ticker}": rest_public.EventReply,
    "GET /exchange/schedule": rest_public.ScheduleReply,
    "GET /exchange/status": rest_public.ExchangeStatus,
    "GET /historical/cutoff": rest_public.CutoffReply,
    "GET /historical/fills": rest_portfolio.FillsPage,
    "GET /historical/markets/{ticker}": rest_public.MarketReply,
    "GET /historical/orders": rest_portfolio.OrdersPage,
    "GET /incentive_programs": rest_public.IncentivesPage,
    "GET /markets": rest_public.MarketsPage,
    "GET /markets/{ticker}": rest_public.MarketReply,
    "GET /portfolio/balance": rest_portfolio.BalanceReply,
    "GET /portfolio/fills": rest_portfolio.FillsPage,
    "GET /portfolio/order_groups": rest_orders.GroupsReply,
    "GET /portfolio/order_groups/{order_group_id}": rest_orders.GroupReply,
    "GET /portfolio/orders": rest_portfolio.OrdersPage,
    "GET /portfolio/orders/queue_positions": rest_portfolio.QueuePositionsReply,
    "GET /portfolio/orders/{order_id}": rest_portfolio.OrderReply,
    "GET /portfolio/positions": rest_portfolio.PositionsPage,
    "GET /portfolio/settlements": rest_portfolio.SettlementsPage,
    "GET /portfolio/subaccounts/balances": rest_portfolio.SubaccountBalancesReply,
    "GET /series/fee_changes": rest_public.FeeChangesReply,
    "GET /series/{series_ticker}": rest_public.SeriesReply,
    "POST /portfolio/events/orders": rest_orders.CreateReply,
    "POST /portfolio/events/orders/batched": rest_orders.BatchCreateReply,
    "POST /portfolio/events/orders/{order_id}/amend": rest_orders.AmendReply,
    "POST /portfolio/events/orders/{order_id}/decrease": rest_orders.DecreaseReply,
    "DELETE /portfolio/events/orders/{order_id}": rest_orders.CancelReply,
    "DELETE /portfolio/events/orders/batched": rest_orders.BatchCancelReply,
    "POST /portfolio/intra_exchange_instance_transfer": rest_portfolio.TransferMadeReply,
    "POST /portfolio/order_groups/create": rest_orders.GroupCreatedReply,
}
SENT: Final[Mapping[str, StructType]] = {  # what we send
    "POST /portfolio/events/orders": rest_orders.CreateBody,
    "POST /portfolio/events/orders/batched": rest_orders.BatchCreateBody,
    "POST /portfolio/events/orders/{order_id}/amend": rest_orders.AmendBody,
    "POST /portfolio/events/orders/{order_id}/decrease": rest_orders.DecreaseBody,
    "DELETE /portfolio/events/orders/batched": rest_orders.BatchCancelBody,
    "POST /portfolio/intra_exchange_instance_transfer": rest_portfolio.TransferBody,
    "POST /portfolio/order_groups/create": rest_orders.GroupBody,
}
_NO_REPLY: Final = (  # used, and no more is read of the answer than that it is good
    "DELETE /portfolio/events/orders",
    "DELETE /portfolio/order_groups/{order_group_id}",
    "PUT /portfolio/order_groups/{order_group_id}/limit",
    "PUT /portfolio/order_groups/{order_group_id}/reset",
    "PUT /portfolio/order_groups/{order_group_id}/trigger",
)
USED: Final = frozenset({*REPLIES, *_NO_REPLY})
_ENVELOPE: Final = frozenset({"id", "sid", "seq", "sending_ts_ms"})  # read of any frame that has it


class SpecificationError(KalshiActorError, ValueError):
    """A file that is missing, or is no specification: names it."""


class Difference(NamedTuple):
    """One thing that the specification has otherwise.

    `kind` is `new` (we do not read it), `gone` (we read or send it), `type` (of another type),
    `optional` (we need it in a reply, and it may be absent or null), or `required` (we do not send
    it).
    """

    kind: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind:<9} {self.what}" + (f" ({self.detail})" if self.detail else "")


class Specification:
    """One document, its references followed."""

    def __init__(self, path: Path) -> None:
        self.document = _read(path)
        info = self.document.get("info")
        version = info.get("version", "?") if isinstance(info, dict) else "?"
        self.title = f"{path.name} {str(version)[:40]}"

    def resolved(self, node: Any) -> dict[str, Any]:
        """A schema with what its `$ref` and `allOf` add; {} for anything else."""
        for _ in range(MOST_REFERENCES):
            if not isinstance(node, dict):
                return {}
            if "$ref" not in node:
                return self._merged(node)
            node = {**self._at(str(node["$ref"])), **{k: v for k, v in node.items() if k != "$ref"}}
        return {}

    def _at(self, reference: str) -> dict[str, Any]:
        found: Any = self.document
        for key in reference.removeprefix("#/").split("/"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def _merged(self, node: dict[str, Any]) -> dict[str, Any]:
        parts = [self.resolved(part) for part in node.get("allOf") or ()]
        if not parts:
            return node
        merged: dict[str, Any] = {}
        for part in (*parts, {k: v for k, v in node.items() if k != "allOf"}):
            both = {k: {**merged.get(k, {}), **part[k]} for k in ("properties",) if k in part}
            required = [*merged.get("required", ()), *part.get("required", ())]
            merged = {**merged, **part, **both, "required": required}
        return merged

    def variants(self, node: Any) -> list[dict[str, Any]]:
        """The schema, or each of those that it is one of."""
        schema = self.resolved(node)
        parts = schema.get("oneOf") or schema.get("anyOf")
        if not parts:
            return [schema]
        return [found for part in parts for found in self.variants(part)]


def compare(folder: Path) -> tuple[list[str], list[Difference]]:
    """What the specifications in a folder have otherwise than our schemas.

    Returns: (name and version of each document, differences in the order of the documents).

    Raises:
        SpecificationError: A file is missing or cannot be read.
    """
    rest, stream = (Specification(folder / name) for name in FILES)
    found: dict[tuple[str, str], Difference] = {}
    for difference in (*_rest_differences(rest), *_stream_differences(stream)):
        found.setdefault((difference.kind, difference.what), difference)
    return [rest.title, stream.title], list(found.values())


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()[: MAX_BYTES + 1]
        if len(data) > MAX_BYTES:
            raise SpecificationError(f"{path} has more than {MAX_BYTES} bytes")
        document = _loader()(data).get_single_data()
    except OSError as error:
        raise SpecificationError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SpecificationError(f"{path} is not YAML: {reason}") from None
    if not isinstance(document, dict) or not {"openapi", "asyncapi"} & document.keys():
        raise SpecificationError(f"{path} is no specification: it lacks `openapi` or `asyncapi`")
    return document


def _loader() -> Any:
    """The safe loader: plain data only, whatever tags a file has; in C where that is there."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# REST


def _rest_differences(spec: Specification) -> Iterator[Difference]:
    paths = spec.document.get("paths")
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in (paths if isinstance(paths, dict) else {}).items()
        for method, operation in (methods if isinstance(methods, dict) else {}).items()
        if method in ("get", "post", "put", "delete", "patch") and isinstance(operation, dict)
    }
    known = set(documented.OPERATIONS.strip().splitlines())
    yield from (Difference("new", name, "operation") for name in operations if name not in known)
    gone = sorted(USED - operations.keys())
    yield from (Difference("gone", name, "operation that we use") for name in gone)
    for name, kind in REPLIES.items():
        if name not in operations:
            continue
        responses = spec.resolved(operations[name].get("responses"))
        reply = next((spec.resolved(responses[code]) for code in OK if code in responses), {})
        yield from _fields(spec, kind, [_json(reply)], name)
    for name, kind in SENT.items():
        if name in operations:
            body = spec.resolved(operations[name].get("requestBody"))
            yield from _fields(spec, kind, [_json(body)], f"{name} body", sent=True)


def _json(node: Mapping[str, Any]) -> Any:
    content = node.get("content")
    media = content.get("application/json") if isinstance(content, dict) else None
    return media.get("schema") if isinstance(media, dict) else None


# WebSocket


def _stream_differences(spec: Specification) -> Iterator[Difference]:
    by_type: dict[str, list[dict[str, Any]]] = {}
    components = spec.document.get("components")
    messages = components.get("messages") if isinstance(components, dict) else None
    for name, message in (messages if isinstance(messages, dict) else {}).items():
        if name not in documented.MESSAGES.split():
            yield Difference("new", f"message {name}")
        payload = spec.resolved(spec.resolved(message).get("payload"))
        kind = spec.resolved(payload.get("properties", {}).get("type"))
        for word in [kind["const"]] if "const" in kind else kind.get("enum", ()):
            by_type.setdefault(str(word), []).append(payload)
    for word, struct in FRAME_TYPES.items():
        if word not in by_type:
            yield Difference("gone", f"message type {word}")
        else:
            yield from _fields(spec, struct, by_type[word], word)


# One object


def _fields(
    spec: Specification, kind: StructType, nodes: list[Any], where: str, *, sent: bool = False
) -> Iterator[Difference]:
    """A struct against the schemas that an object may have; `where` it is read or sent."""
    schemas = [v for node in nodes for v in spec.variants(node) if "properties" in v]
    name = kind.__name__
    if not schemas:
        yield Difference("type", name, f"is no object in {where}")
        return
    given: dict[str, list[Any]] = {}
    for schema in schemas:
        for key, node in schema["properties"].items():
            given.setdefault(key, []).append(node)
    required = set.intersection(*(set(schema.get("required", ())) for schema in schemas))
    hints = get_type_hints(kind, include_extras=True)
    fields = {f.encode_name: f for f in inspect.type_info(kind).fields}  # type: ignore[attr-defined]
    known = {*fields, *UNREAD.get(name, "").split(), kind.__struct_config__.tag_field}
    for key in given.keys() - known:
        yield Difference("new", f"{name}.{key}", f"{_described(spec, given[key])}, in {where}")
    for key in required - fields.keys() if sent else ():
        yield Difference("required", f"{name}.{key}", f"in {where}")
    for key, field in fields.items():
        if key not in given:
            yield from _gone(kind, key, where)
            continue
        facts = _Field(f"{name}.{key}", where, is_always=key in required, is_sent=sent)
        yield from _one(spec, field, given[key], facts)
        child = ROWS.get((name, key)) or struct_in(hints[field.name])
        if child is not None:
            inner = [v.get("items", v) for node in given[key] for v in spec.variants(node)]
            yield from _fields(spec, child, inner, where, sent=sent)


def _gone(kind: StructType, key: str, where: str) -> Iterator[Difference]:
    """A field of ours that no schema has; older data may still have it."""
    name = f"{kind.__name__}.{key}"
    is_envelope = key in _ENVELOPE and kind in FRAME_TYPES.values()
    if not is_envelope and name not in documented.OLDER:
        yield Difference("gone", name, f"not in {where}")


class _Field(NamedTuple):
    """One field that both have: its name, where, and whether every object has it or we send it."""

    name: str
    where: str
    is_always: bool
    is_sent: bool


def _one(spec: Specification, field: Any, nodes: list[Any], facts: _Field) -> Iterator[Difference]:
    """Types, presence and words of one field."""
    known, given = _types_of(field.type), set[str]()
    for node in nodes:
        given |= _spec_types(spec, node)
    if known and given and not given - {"null"} <= known:
        wanted = ", ".join(sorted(known - {"null"}))
        there = ", ".join(sorted(given - {"null"}))
        yield Difference("type", facts.name, f"{there}, in {facts.where}; we read {wanted}")
    may_be_absent = field.required and not facts.is_always
    may_be_null = "null" in given and bool(known) and "null" not in known
    if not facts.is_sent and (may_be_absent or may_be_null) and facts.name not in documented.OLDER:
        how = "null" if may_be_null else "absent"
        yield Difference("optional", facts.name, f"may be {how} in {facts.where}")
    yield from _word_differences(spec, field, nodes, facts)


def _word_differences(
    spec: Specification, field: Any, nodes: list[Any], facts: _Field
) -> Iterator[Difference]:
    known = _words_of(field.type)
    given = {str(w) for node in nodes for v in spec.variants(node) for w in v.get("enum") or ()}
    if not known or not given:
        return
    if facts.is_sent:
        gone = known - given - {"unknown"}
        yield from (
            Difference("gone", f"{facts.name}={word}", facts.where) for word in sorted(gone)
        )
    else:
        new = given - known
        yield from (Difference("new", f"{facts.name}={word}", facts.where) for word in sorted(new))


_TYPES: Final = {  # of JSON, by msgspec's of ours
    inspect.StrType: {"string"},
    inspect.IntType: {"integer"},
    inspect.BoolType: {"boolean"},
    inspect.FloatType: {"number", "integer"},
    inspect.DecimalType: {"number", "integer", "string"},
    inspect.EnumType: {"string"},
    inspect.ListType: {"array"},
    inspect.TupleType: {"array"},
    inspect.VarTupleType: {"array"},
    inspect.StructType: {"object"},
    inspect.DictType: {"object"},
}


def _types_of(kind: inspect.Type) -> set[str]:
    """The types of JSON that a field of ours reads; empty: any."""
    if isinstance(kind, inspect.UnionType):
        return {t for part in kind.types for t in _types_of(part)}
    if isinstance(kind, inspect.Metadata):
        return _types_of(kind.type)
    return {"null"} if isinstance(kind, inspect.NoneType) else set(_TYPES.get(type(kind), ()))


def _spec_types(spec: Specification, node: Any) -> set[str]:
    schema = spec.resolved(node)
    found: set[str] = {"null"} if schema.get("nullable") else set()
    for variant in spec.variants(schema):
        kinds = variant.get("type", "object" if "properties" in variant else None)
        found |= {"null"} if variant.get("nullable") else set()
        found |= set(kinds if isinstance(kinds, list) else [kinds] if kinds else [])
    return found


def _words_of(kind: inspect.Type) -> set[str]:
    if isinstance(kind, inspect.UnionType):
        return {w for part in kind.types for w in _words_of(part)}
    if isinstance(kind, inspect.EnumType) and issubclass(kind.cls, OpenWord):
        return {str(word) for word in kind.cls}
    return set()


def _described(spec: Specification, nodes: list[Any]) -> str:
    return ", ".join(sorted({t for node in nodes for t in _spec_types(spec, node)})) or "any"
