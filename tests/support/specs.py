"""Kalshi's published specifications as strict contracts.

A specification lets any object pass that has what is required. Here an object may hold only what
its schema names, dollars and counts are decimal strings, and an error has one of the shapes that
the exchange is known to send. `faults` are texts, one each; no fault, no text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import jsonschema
import pytest
import yaml

__all__ = [
    "FOLDER",
    "Specifications",
    "as_documented",
    "documented",
    "needs_specs",
    "specifications",
]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(
    os.environ.get("KALSHI_SPECS_DIR", "") or REPOSITORY.parent / "shared" / "kalshi"
)
BASE: Final = "/trade-api/v2"
FILES: Final = ("openapi.yaml", "asyncapi.yaml")
MISSING: Final = [name for name in FILES if not (FOLDER / name).is_file()]
needs_specs = pytest.mark.skipif(
    bool(MISSING), reason=f"no {' and '.join(MISSING)}; KALSHI_SPECS_DIR may name their folder"
)

DEAD_V1: Final = re.compile(r"/portfolio/orders(/.*)?")  # answered with 410, in no specification
DECIMALS: Final = {  # what a reply writes, and what a request may
    "FixedPointDollars": (r"^-?\d+\.\d{4}(\d{2})?$", r"^\d+\.\d{2,4}$"),
    "FixedPointCount": (r"^-?\d+\.\d{2}$", r"^\d+(\.\d{1,2})?$"),
}
WORDS: Final = {"type": "string"}
UUID_OR_NOTHING: Final = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


FLAT: Final = _object({"code": WORDS, "message": WORDS}, details=WORDS)
ERRORS: Final = (_object({"error": FLAT}), FLAT, _object({"msg": WORDS}))  # nested, flat, bare
TOO_MANY: Final = (_object({"error": {"const": "too many requests"}}),)

FORMATS: Final = jsonschema.FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value).tzinfo)


def _open(node: dict[str, Any]) -> dict[str, Any]:
    """A schema as JSON Schema has it; what is inside it is strict, itself may be composed."""
    node = dict(node)
    nullable = node.pop("nullable", False)
    if "properties" in node:
        node["properties"] = {k: _strict(v) for k, v in node["properties"].items()}
    elif node.get("type") == "object" and "additionalProperties" not in node:
        node["additionalProperties"] = not ("allOf" in node or "$ref" in node) or {}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            node[name] = _strict(node[name])
    if "allOf" in node:
        node["allOf"] = [_open(part) for part in node["allOf"]]
    for name in ("oneOf", "anyOf"):
        if name in node:
            node["anyOf"] = [_open(part) for part in node.pop(name)]
    return {"anyOf": [{"type": "null"}, node]} if nullable else node


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    """A schema where it is used: nothing but what it names."""
    return _open(node) | {"unevaluatedProperties": False}


class _Document:
    """One specification; `for_requests` chooses how decimals may be written."""

    def __init__(self, document: dict[str, Any], *, for_requests: bool) -> None:
        self.document = document
        self._validators: dict[int, jsonschema.Draft202012Validator] = {}
        schemas = document["components"]["schemas"]
        if "Market" in schemas and not for_requests:  # older clients need it, newer ignore it
            known = schemas["Market"]["properties"]
            known["liquidity_dollars"] = {"$ref": "#/components/schemas/FixedPointDollars"}
        if "orderbookSnapshotPayload" in schemas:  # of an unknown market, as it was seen
            msg = schemas["orderbookSnapshotPayload"]["properties"]["msg"]
            msg["properties"]["market_id"] = {"type": "string", "pattern": UUID_OR_NOTHING}
        self._definitions = {name: _open(schema) for name, schema in schemas.items()}
        for name, patterns in DECIMALS.items():
            if name in self._definitions:
                self._definitions[name]["pattern"] = patterns[for_requests]

    def resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        """A node, its reference followed."""
        while "$ref" in node:
            found: Any = self.document
            for key in node["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            node = found
        return node

    def faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What a value has against a schema, which is one of this document's own objects."""
        if id(schema) not in self._validators:
            whole = _strict(schema) | {"components": {"schemas": self._definitions}}
            made = jsonschema.Draft202012Validator(whole, format_checker=FORMATS)
            self._validators[id(schema)] = made
        return [_told(error) for error in self._validators[id(schema)].iter_errors(value)]


def _told(error: jsonschema.ValidationError) -> str:
    """The innermost cause: of alternatives, what the nearest one lacks."""
    best = jsonschema.exceptions.best_match([error])
    return f"{best.json_path}: {best.message}"


class Specifications:
    """REST and WebSocket, both directions."""

    def __init__(self, folder: Path) -> None:
        rest, stream = (_read(folder / name) for name in FILES)
        self._replies = _Document(rest, for_requests=False)
        self._requests = _Document(rest, for_requests=True)
        self._stream = _Document(stream, for_requests=False)
        self._paths = sorted(rest["paths"], key=lambda path: path.count("{"))
        messages = stream["components"]["messages"]
        self._messages = {n: self._stream.resolved(m)["payload"] for n, m in messages.items()}

    # REST

    def operation(self, method: str, path: str) -> str:
        """`GET /markets/{ticker}` of a path from the host's root; "" when it is documented nowhere.

        Of two that fit, the one with fewer parameters is meant.
        """
        below = urlsplit(path).path.removeprefix(BASE)
        for known in self._paths:
            pattern = re.sub(r"\{\w+\}", "[^/]+", known)
            has_method = method.lower() in self._replies.document["paths"][known]
            if has_method and re.fullmatch(pattern, below):
                return f"{method.upper()} {known}"
        return ""

    def _operation(self, name: str) -> dict[str, Any]:
        method, path = name.split(" ", 1)
        found: dict[str, Any] = self._replies.document["paths"][path][method.lower()]
        return found

    def reply_faults(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What a reply has against its operation's; `body` is None when there is none."""
        name = self.operation(method, path)
        if not name:
            gone = DEAD_V1.fullmatch(urlsplit(path).path.removeprefix(BASE))
            known = status in (404, 405) or (gone and status in (401, 410))
            return self._error_faults(status, body) if known else [f"{method} {path}: unknown"]
        responses = self._operation(name)["responses"]
        if status >= 400:
            in_own_words = self._has_own_error(responses.get(str(status)), body)
            return [] if in_own_words else self._error_faults(status, body)
        if str(status) not in responses:
            return [f"{name}: {status} is not documented"]
        content = self._replies.resolved(responses[str(status)]).get("content")
        if not content:
            return (
                []
                if body is None or (status == 200 and body == {})
                else [f"{name}: a body where none is documented"]
            )
        return [f"{name} {f}" for f in self._replies.faults(_json(content), body)]

    def _has_own_error(self, response: dict[str, Any] | None, body: Any) -> bool:
        """An operation may answer errors in its own words: `GET /exchange/status` does."""
        content = self._replies.resolved(response).get("content") if response else None
        if not content or _json(content).get("$ref", "").endswith("/ErrorResponse"):
            return False
        return not self._replies.faults(_json(content), body)

    @staticmethod
    def _error_faults(status: int, body: Any) -> list[str]:
        shapes = TOO_MANY if status == 429 else ERRORS
        if any(jsonschema.Draft202012Validator(shape).is_valid(body) for shape in shapes):
            return []
        return [f"{status} {body}: not a shape that errors have"]

    def request_faults(self, method: str, target: str, body: Any) -> list[str]:
        """What a request has against its operation: parameters and body."""
        name = self.operation(method, target)
        if not name:
            return [f"{method} {target}: no such operation"]
        operation = self._operation(name)
        shared = self._requests.document["paths"][name.split(" ", 1)[1]].get("parameters", [])
        known = [self._requests.resolved(p) for p in (*shared, *operation.get("parameters", []))]
        given = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        faults = self._query_faults({p["name"]: p for p in known if p["in"] == "query"}, given)
        wanted = operation.get("requestBody")
        if wanted is None:
            faults += [] if body is None else ["a body where none is documented"]
        elif body is not None or wanted.get("required"):
            schema = _json(self._requests.resolved(wanted)["content"])
            faults += self._requests.faults(schema, body)
        return [f"{name} {fault}" for fault in faults]

    def _query_faults(
        self, known: Mapping[str, dict[str, Any]], given: Iterable[tuple[str, str]]
    ) -> list[str]:
        values: dict[str, list[str]] = {}
        for name, value in given:
            values.setdefault(name, []).append(value)
        faults = [
            f"{n}: missing" for n, p in known.items() if p.get("required") and n not in values
        ]
        for name, texts in values.items():
            if name not in known:
                faults.append(f"{name}: not a parameter")
                continue
            schema = self._requests.resolved(known[name]["schema"])
            listed = schema.get("type") == "array"
            value = [*texts] if listed else _parsed(schema, texts[-1])
            faults += [f"{name}: given {len(texts)} times"] if len(texts) > 1 and not listed else []
            faults += [f"{name} {f}" for f in self._requests.faults(schema, value)]
        return faults

    # WebSocket

    def message(self, frame: Mapping[str, Any], kind: str = "type") -> tuple[str, list[str]]:
        """(The message that a frame is, or nearly is; what it has against it).

        `kind` is the field that tells: `type` of the exchange's frames, `cmd` of commands.
        """
        nearest = ("", [f"{frame.get(kind)!r}: no message of this {kind}"])
        for name, payload in self._messages.items():
            schema = self._stream.resolved(payload)
            told = self._stream.resolved(schema.get("properties", {}).get(kind, {}))
            if frame.get(kind) not in (told.get("const"), *told.get("enum", ())):
                continue
            faults = [f"{name} {f}" for f in self._stream.faults(payload, frame)]
            if not nearest[0] or len(faults) < len(nearest[1]):
                nearest = (name, faults)
        return nearest


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
        return found


def _json(content: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a JSON body."""
    found: dict[str, Any] = content["application/json"]["schema"]
    return found


def _parsed(schema: Mapping[str, Any], text: str) -> Any:
    """A query parameter's text as its schema's type."""
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


@cache
def specifications() -> Specifications | None:
    """Kalshi's, read once; None where they are not."""
    return None if MISSING else Specifications(FOLDER)


def documented(reply: httpx.Response) -> httpx.Response:
    """A reply of the local exchange, which must be one that the specification has."""
    known = specifications()
    if known is not None:
        body = json.loads(reply.content) if reply.content else None
        asked = reply.request
        faults = known.reply_faults(asked.method, str(asked.url), reply.status_code, body)
        assert not faults, (asked.method, str(asked.url), faults)
    return reply


def as_documented(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame of the local exchange, which must be one that the specification has."""
    known = specifications()
    if known is not None:
        faults = known.message(frame)[1]
        assert not faults, (frame, faults)
    return frame
