"""What benchmarks make of what they measured; nothing here is timed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as command
from benchmarks.figures import Figure, latencies, paced, tight


def test_latencies_are_percentiles_in_microseconds() -> None:
    found = latencies("hop", (1_000 * n for n in range(101)))
    assert found == [Figure("hop, p50", 50.0, "us"), Figure("hop, p99", 99.0, "us")]


@pytest.mark.parametrize("samples", [1, 7])
def test_a_paced_call_is_called_once_a_sample(samples: int) -> None:
    calls: list[int] = []
    found = paced("it", lambda: calls.append(1), samples)
    assert len(calls) == samples
    assert [(figure.name, figure.unit) for figure in found] == [
        ("it, paced, p50", "us"),
        ("it, paced, p99", "us"),
    ]


def test_a_tight_loop_makes_the_calls_it_was_asked_for() -> None:
    calls: list[int] = []
    figure = tight("it", lambda: calls.append(1), calls=200)
    assert len(calls) == 200
    assert figure.name == "it, tight"
    assert figure.value > 0


def test_the_median_of_the_runs_is_printed_and_the_runs_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = iter((3.0, 200.0, 1.0))
    monkeypatch.setitem(
        command.BENCHMARKS, "kernels", lambda: [Figure("it", next(values), "rows/s")]
    )
    command.main(["kernels", "--json", str(tmp_path / "report.json")])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["kernels", "it", "3", "1", "200", "rows/s"]
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=command.Report)
    assert report.rows == [command.Row("kernels", "it", "rows/s", [3.0, 200.0, 1.0])]
    assert report.command.startswith("python -m benchmarks kernels --json")
    assert report.machine
    assert report.date.endswith("+00:00")


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(["kernles"])
    assert left.value.code == 2
    assert "kernles: unknown; allowed: kernels, journal," in capsys.readouterr().err
