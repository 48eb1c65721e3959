"""`--help` starts nothing; bad input is one line; outputs are tried before the work."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from support.leftovers import lives
from support.sources import PROCESSES, sources
from support.stack import ROOT

from models import evaluate, registry
from models.command_line import number, try_file, try_folder, whole

PROGRAMS = {
    *(f"processes.{name}" for name in PROCESSES),
    "processes.check",
    "processes.adapters.postgres.migrate",
    "processes.adapters.postgres.server",
    "processes.runtime.warm",
}
COMMANDS = {
    *("models.evaluate", "models.export_onnx", "models.parity", "models.registry", "models.train"),
    *("models.research.rules", "models.research.tries", "models.evaluation.market_choices"),
    *("processes.collector.markets_command", "processes.execution.funds"),
    "processes.execution.trading",
    *("processes.exchange.calibration", "processes.recorder.sessions", "processes.recorder.verify"),
    *(
        "benchmarks",
        "benchmarks.budget",
        "benchmarks.discovery",
        "benchmarks.exchange_flow",
        "benchmarks.sender",
        "benchmarks.sockets",
    ),
    *("benchmarks.house", "benchmarks.whole"),
}


PACKAGES = (
    *("models.parity", "processes.exchange.calibration", "processes.recorder.sessions"),
    "benchmarks",
)


def asked(module: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program with arguments, in a data folder that is not there."""
    foreign = ("RL_", "KALSHI_", "ORDERBOOK_", "DATABASE_URL")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**inherited, "RL_DATA_DIR": str(folder / "data"), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_nothing_started(folder: Path) -> None:
    assert [*folder.iterdir()] == []
    assert lives(folder) == {}


def test_every_program_is_known() -> None:
    runnable = {s.module.removesuffix(".__main__") for s in sources() if '"__main__":' in s.text}
    runnable |= {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for path in (ROOT / "benchmarks").glob("*.py")
        if '"__main__":' in path.read_text(encoding="utf-8")
    }
    ours = {module for module in runnable if module.startswith("processes.cli")}  # test_cli.py
    assert runnable - ours == PROGRAMS | COMMANDS


@pytest.mark.parametrize("module", sorted(PROGRAMS | COMMANDS))
@pytest.mark.sample(8)
def test_help_says_what_it_is_and_starts_nothing(module: str, tmp_path: Path) -> None:
    flag = "-h" if module == "processes.exchange" else "--help"
    done = asked(module, tmp_path, flag)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"usage: python -m {module} ")
    assert "Exit codes: 0 " in done.stdout
    if module in PROGRAMS:
        assert ".env.example: RL_DATA_DIR" in " ".join(done.stdout.split())
    assert_nothing_started(tmp_path)


@pytest.mark.parametrize("module", sorted(PROGRAMS))
@pytest.mark.sample(3)
def test_a_program_refuses_arguments_without_showing_them(module: str, tmp_path: Path) -> None:
    done = asked(module, tmp_path, "--hunter2swordfish")
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert re.fullmatch(r"\w+: .*argument.*; --help says what it reads\n", done.stderr)
    assert "hunter2" not in done.stderr
    assert_nothing_started(tmp_path)


def refusal(module: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that exits with 2."""
    inside = f"{module}.__main__" if module in PACKAGES else module
    main = importlib.import_module(inside).main
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1, said.err
    return said.err


@pytest.mark.parametrize("module", sorted(m for m in COMMANDS if not m.startswith("benchmarks.")))
def test_an_unknown_argument_is_one_line(
    module: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path / "data"))
    assert refusal(module, ["--nonsense"], capsys)
    assert_nothing_started(tmp_path)


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("models.evaluate", "--throttle-ms -5", "'-5'; allowed: whole numbers from 0 to 3600000"),
        ("models.evaluate", "--throttle-ms 1e9", "'1e9'; allowed: whole numbers from 0"),
        ("models.evaluate", "--seed -1", "'-1'; allowed: whole numbers from 0 to 2147483647"),
        ("models.parity", "1 --contract-size 0", "'0'; allowed: whole numbers from 1"),
        ("processes.recorder.verify", "--samples 0", "'0'; allowed: whole numbers from 1"),
        ("processes.recorder.verify", "--live -1", "'-1'; allowed: whole numbers from 0"),
        ("processes.exchange.calibration", "--seconds 0", "'0'; allowed: whole numbers from 1"),
        ("benchmarks", "--runs 0", "'0'; allowed: whole numbers from 1"),
        (
            "models.train",
            "--recordings r --out o --throttle-ms -5",
            "invalid value -5 for --throttle-ms;",
        ),
        ("models.train", "--recordings r --out o --seed -5", "invalid value -5 for --seed;"),
        (
            "models.train",
            "--recordings r --out o --entropy inf",
            "invalid value inf for --entropy;",
        ),
        ("models.train", "--recordings r --out o --gamma nan", "invalid value nan for --gamma;"),
        (
            "models.train",
            "--recordings r --out o --n-envs 9999999",
            "invalid value 9999999 for --n-envs;",
        ),
    ],
)
def test_a_number_out_of_bounds_is_one_line(
    module: str, arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(module, arguments.split(), capsys)
    assert arguments.split()[-2] in line
    assert said in line


@pytest.mark.parametrize("flag", ["--json", "--report"])
@pytest.mark.parametrize("place", ["missing folder", "below a file", "wrong kind", "too long"])
def test_an_evaluation_that_could_not_be_written_is_not_begun(
    flag: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recordings are not even there: the output is looked at first."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = {
        "missing folder": tmp_path / "nowhere" / "figures.json",
        "below a file": tmp_path / "file" / "out",
        "wrong kind": tmp_path / ("folder" if flag == "--json" else "file"),
        "too long": tmp_path / ("x" * 300),
    }[place]
    assert evaluate.main(["--recordings", str(tmp_path / "none"), flag, str(path)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    if (flag, place) == ("--report", "missing folder"):
        assert "none" in said  # a folder is made, and taken away again: nothing is left to say
    else:
        assert said.startswith(f"evaluate: {flag} {path} cannot be written: ")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_outputs_are_tried_and_left_as_they_were(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(tmp_path / "target")
    for path in (file, tmp_path / "new", link, Path("/dev/null")):
        try_file("--json", path)
    assert file.read_text() == "old"
    assert link.is_symlink()
    try_folder("--out", tmp_path)
    try_folder("--out", tmp_path / "a" / "b")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "link"}
    for path in (tmp_path, tmp_path / "file" / "x", tmp_path / "a\0b"):
        with pytest.raises(ValueError, match=r"--json .* cannot be written: .*choose another file"):
            try_file("--json", path)
    for path in (file, file / "x", tmp_path / "a\0b", Path("/proc/nowhere")):
        with pytest.raises(ValueError, match=r"--out .* cannot be written: .*another folder"):
            try_folder("--out", path)


def test_numbers_are_read_within_bounds() -> None:
    assert [whole(0, 9)(text) for text in ("0", "9", " 5 ")] == [0, 9, 5]
    assert number(0, 1)("0.5") == 0.5
    for text in ("-1", "10", "1.5", "", "x" * 1_000, "inf"):
        with pytest.raises(ArgumentTypeError, match=r"invalid value .*; allowed: whole numbers"):
            whole(0, 9)(text)
    with pytest.raises(ArgumentTypeError, match="'nan'; allowed: numbers from 0 to 1"):
        number(0, 1)("nan")


@pytest.mark.parametrize("command", [["list"], ["show"], ["show", "default"], ["rollback"]])
def test_the_registry_of_no_folder_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "nowhere"
    assert registry.main(["--data-dir", str(folder), *command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"registry: no models in {folder} (No such file or directory); ")
    assert len(said.err.splitlines()) == 1
    assert not folder.exists()
