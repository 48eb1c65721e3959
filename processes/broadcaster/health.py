"""Which parts of the stack are heard of: liveness, not how busy the markets are."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from ipc.clock import NS_PER_MS, NS_PER_S
from processes.broadcaster.site import Page
from processes.broadcaster.wire import PartData

__all__ = ["PROCESSES", "SILENT_NS", "TABLES", "Health", "health_page", "metrics_page"]

PROCESSES: Final = ("collector", "inference", "execution", "recorder")
TABLES: Final = ("books", "accounts")
SILENT_NS: Final = 5 * NS_PER_S  # processes say something once a second


class Health:
    """When each part was last heard of, by this machine's monotonic clock."""

    def __init__(self) -> None:
        self._heard: dict[str, int] = {}
        self.counters: dict[str, dict[str, int]] = {}

    def heard(self, process: str, counters: dict[str, int], mono_ns: int) -> None:
        """A process sent its counters."""
        self._heard[process] = mono_ns
        self.counters[process] = counters

    def beat(self, table: str, age_ns: int | None, mono_ns: int) -> None:
        """A table was looked at; `age_ns` of its writer's heartbeat, None without a table."""
        if age_ns is None:
            self._heard.pop(table, None)
        else:
            self._heard[table] = mono_ns - age_ns

    def parts(self, mono_ns: int) -> dict[str, PartData]:
        """Every part that the stack should have."""
        return {name: self._part(name, mono_ns) for name in (*PROCESSES, *TABLES)}

    def _part(self, name: str, mono_ns: int) -> PartData:
        heard = self._heard.get(name)
        if heard is None:
            return PartData(fresh=False, age_ms=None)
        age = mono_ns - heard
        return PartData(fresh=age <= SILENT_NS, age_ms=age // NS_PER_MS)


def health_page(health: Health, environment: str, mono_ns: int) -> Page:
    """`/rl/health`: 200 when every part is fresh, 503 otherwise; the body says which is not."""
    parts = health.parts(mono_ns)
    silent = [name for name, part in parts.items() if not part.fresh]
    body = {
        "status": "degraded" if silent else "ok",
        "environment": environment,
        "silent": silent,
        "parts": parts,
    }
    status = HTTPStatus.SERVICE_UNAVAILABLE if silent else HTTPStatus.OK
    return Page(msgspec.json.encode(body) + b"\n", "application/json", status, "no-store")


def metrics_page(health: Health, mono_ns: int) -> Page:
    """`/metrics`: every process's counters as Prometheus text."""
    lines = ["# TYPE rl_up gauge"]
    for name, part in health.parts(mono_ns).items():
        lines.append(f'rl_up{{part="{name}"}} {int(part.fresh)}')
    lines.append("# TYPE rl_counter untyped")
    for process, counters in sorted(health.counters.items()):
        for counter, value in sorted(counters.items()):
            labels = f'process="{_label(process)}",counter="{_label(counter)}"'
            lines.append(f"rl_counter{{{labels}}} {value}")
    body = "\n".join(lines) + "\n"
    return Page(body.encode(), "text/plain; version=0.0.4; charset=utf-8", cache="no-store")


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
