"""Recorded exchanges of the real exchange, and how far an answer of ours has their shape.

`<name>.meta.json` says what was asked and with which status it was answered, `<name>.json` (or
`.jsonl`, a WebSocket's frames) what came back. Nothing here knows the names.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Expected", "Recording", "differences", "error_code", "load", "shape_of"]

# Fields that appeared after the recordings, with PROTOCOL's date; and those that have gone since.
LATER = {
    "clock": "2026-10-26",
    "exchange_estimated_resume_time": "spec 3.34.0",
    "exchange_index": "2026-08-24",
    "exchange_index_statuses": "2026-08-24",
    "intra_exchange_transfers_active": "2026-08-24",
    "sending_ts_ms": "2026-10-01",
    "settlement_bounds_type": "2026-10-01",
}
GONE = {
    "fractional_trading_enabled": "2026-07-09",
    "liquidity_dollars": "2026-10-01",
    "response_price_units": "2026-07-09",
    "resting_orders_count": "2026-07-09",
    "service": "2026-08-06",
}
V1_MUTATION = re.compile(r"/portfolio/orders(/.*)?$")
KINDS = (  # of text, the first that fits
    ("empty", re.compile(r"")),
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")),
    ("uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
    ("decimal", re.compile(r"-?\d+\.(\d+)")),
)


class Expected(NamedTuple):
    """How the exchange of today answers: status, error code, body, and whether that is a change."""

    status: int
    code: str
    body: Any
    is_later_change: bool


class Recording(NamedTuple):
    """One recorded exchange; `body` is None when nothing came back."""

    name: str
    meta: dict[str, Any]
    body: Any

    @property
    def path(self) -> str:
        """What was asked for, from the host's root, with its query."""
        return str(self.meta["path"])

    @property
    def plain(self) -> str:
        """The path below the API's base, without a query."""
        return self.path.partition("?")[0].removeprefix("/trade-api/v2")

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.meta.get("method", "GET")).upper()

    @property
    def request(self) -> dict[str, Any]:
        """The request's body."""
        return self.meta.get("request_body") or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.meta["status"])

    @property
    def ahead_ms(self) -> int:
        """How far the request's timestamp lay off, by the recording's name."""
        found = re.search(r"skew_(minus|plus)(\d+)(s|min)", self.name)
        if found is None:
            return 0
        size = int(found[2]) * (60_000 if found[3] == "min" else 1_000)
        return size if found[1] == "plus" else -size

    @property
    def expected(self) -> Expected:
        """The recorded answer, or the one that has replaced it."""
        if self.method != "GET" and V1_MUTATION.fullmatch(self.plain):
            body = {"error": {"code": "", "message": "", "details": ""}}
            return Expected(410, "deprecated_v1_order_endpoint", body, True)
        return Expected(self.status, error_code(self.body), self.body, False)


def load(folder: Path) -> tuple[list[Recording], list[Recording]]:
    """(REST exchanges, WebSocket sessions) of a folder, by name."""
    calls, sessions = [], []
    for file in sorted(folder.glob("*.meta.json")):
        meta, name = json.loads(file.read_text()), file.name.removesuffix(".meta.json")
        frames, body = file.with_name(f"{name}.jsonl"), file.with_name(f"{name}.json")
        if frames.is_file():
            lines = [json.loads(line) for line in frames.read_text().splitlines() if line.strip()]
            sessions.append(Recording(name, meta, lines))
        elif "path" in meta and "status" in meta:
            text = body.read_text().strip() if body.is_file() else ""
            calls.append(Recording(name, meta, json.loads(text) if text else None))
    return calls, sessions


def error_code(body: Any) -> str:
    """The code of an error's body, whichever of its shapes it has; a bare one is its text."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error", body)
    if isinstance(error, str):
        return error
    return str(error.get("code") or body.get("msg") or "")


def shape_of(value: Any) -> str:
    """The kind of a leaf: what a client's parser would see."""
    if isinstance(value, str):
        for kind, pattern in KINDS:
            found = pattern.fullmatch(value)
            if found is not None:
                return f"{kind}{len(found[1])}" if kind == "decimal" else kind
        return "text"
    return {bool: "bool", int: "number", float: "number"}.get(type(value), "null")


def differences(recorded: Any, ours: Any, at: str = "") -> list[str]:
    """Where `ours` has another shape than `recorded`; nothing when it has the same."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        return _of_objects([recorded], ours, at)
    if isinstance(recorded, list) and isinstance(ours, list):
        return _of_lists(recorded, ours, at)
    theirs, our = _kind(recorded), _kind(ours)
    words = {"text", "empty"}
    same = theirs == our or {theirs, our} <= words or at.endswith("_id")
    return [] if same else [f"{at}: {theirs}, ours {our}"]


def _kind(value: Any) -> str:
    return type(value).__name__ if isinstance(value, dict | list) else shape_of(value)


def _of_lists(recorded: list[Any], ours: list[Any], at: str) -> list[str]:
    if not recorded:
        return []
    if not ours:
        return [f"{at}: has items, ours none"]
    if isinstance(recorded[0], dict):
        return [d for item in ours for d in _of_objects(recorded, item, f"{at}[]")]
    if isinstance(recorded[0], list):
        return [d for item in ours for d in _of_rows(recorded[0], item, f"{at}[]")]
    return differences(recorded[0], ours[0], f"{at}[]")


def _of_rows(recorded: list[Any], ours: Any, at: str) -> list[str]:
    """A level is `[price, count]`: as long as theirs, item by item."""
    if not isinstance(ours, list) or len(ours) != len(recorded):
        return [f"{at}: {recorded}, ours {ours}"]
    return [d for r, o in zip(recorded, ours, strict=True) for d in differences(r, o, at)]


def _of_objects(recorded: list[dict[str, Any]], ours: Any, at: str) -> list[str]:
    """Keys that all of theirs have are needed, keys that none of theirs has are too many."""
    if not isinstance(ours, dict):
        return [f"{at}: an object, ours {_kind(ours)}"]
    always = set.intersection(*(set(r) for r in recorded)) - GONE.keys()
    ever = set.union(*(set(r) for r in recorded))
    found = [f"{at}.{key}: missing" for key in sorted(always - ours.keys())]
    found += [f"{at}.{key}: not theirs" for key in sorted(ours.keys() - ever - LATER.keys())]
    for key in sorted(ever & ours.keys()):
        theirs = [r[key] for r in recorded if key in r]
        each = [differences(value, ours[key], f"{at}.{key}") for value in theirs]
        found += min(each, key=len)
    return found
