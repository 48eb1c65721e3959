"""Run benchmarks and print their medians: `python -m benchmarks [name ...] [--json FILE]`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks import (
    budget,
    collector,
    discovery,
    exchange_flow,
    journal,
    kernels,
    named_fields,
    pipeline,
    recorder,
    signing,
    sockets,
    stack,
    storage,
    training,
    tricks,
    whole,
)
from benchmarks.figures import Figure
from ipc.clock import mono_ns, real_ns
from models import command_line

RUNS: Final = 3
BENCHMARKS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "kernels": kernels.run,
    "journal": journal.run,
    "recorder": recorder.run,
    "collector": collector.run,
    "discovery": discovery.run,
    "pipeline": pipeline.run,
    "exchange": exchange_flow.run,
    "signing": signing.run,
    "budget": budget.run,
    "sockets": sockets.run,
    "stack": stack.run,
    "storage": storage.run,
    "training": training.run,
    "tricks": tricks.run,
    "fields": named_fields.run,
    "whole": whole.run,
}


class Row(msgspec.Struct, frozen=True):
    """A figure over all runs."""

    benchmark: str
    name: str
    unit: str
    values: list[float]


class Report(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    date: str
    machine: str
    command: str
    rows: list[Row]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {_processor()}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def _measure(name: str, runs: int) -> list[Row]:
    values: dict[tuple[str, str], list[float]] = {}
    for number in range(1, runs + 1):
        begun = mono_ns()
        for figure in BENCHMARKS[name]():
            values.setdefault((figure.name, figure.unit), []).append(figure.value)
        print(f"{name}: run {number} of {runs}, {(mono_ns() - begun) / 1e9:.0f} s", file=sys.stderr)
    return [Row(name, figure, unit, found) for (figure, unit), found in values.items()]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(rows: Sequence[Row]) -> str:
    lines = [f"{'benchmark':10} {'figure':44} {'median':>10} {'lowest':>10} {'highest':>10} unit"]
    for row in rows:
        numbers = (float(np.median(row.values)), min(row.values), max(row.values))
        shown = " ".join(f"{_shown(number):>10}" for number in numbers)
        lines.append(f"{row.benchmark:10} {row.name:44} {shown} {row.unit}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = command_line.Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=command_line.whole(1, 1_000), default=RUNS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: unknown; allowed: {', '.join(BENCHMARKS)}")
    if options.json:
        try:
            command_line.try_file("--json", options.json)
        except ValueError as error:
            parser.error(str(error))
    machine = _machine()
    print(machine, file=sys.stderr)
    rows = [row for name in options.names or BENCHMARKS for row in _measure(name, options.runs)]
    print(_table(rows))
    if options.json:
        date = datetime.fromtimestamp(real_ns() / 1e9, UTC).isoformat(timespec="seconds")
        command = " ".join(["python -m benchmarks", *(argv or sys.argv[1:])])
        options.json.write_bytes(msgspec.json.encode(Report(date, machine, command, rows)))


if __name__ == "__main__":
    main()
