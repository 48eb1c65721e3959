"""`deploy/`: units that systemd accepts, an image and a compose file that fit each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from processes.runtime.run import EXIT_CONFIG, STOP_SECONDS

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS = (DEPLOY / "kalshi-actor.service", DEPLOY / "user" / "kalshi-actor.service")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SETTINGS = {*re.findall(r"^#?([A-Z]\w+)=", EXAMPLE, re.M), "NUMBA_CACHE_DIR"}
SYSTEMD = shutil.which("systemd-analyze")
BUILT = "dist/kalshi_actor-0.0.0-py3-none-any.whl"  # what `make wheel` leaves

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.parent.name)


def service_of(unit: Path) -> Any:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit, encoding="utf-8")
    assert parser.sections() == ["Unit", "Service", "Install"]
    return parser["Service"]


def verified(unit: Path, text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit; the program need not be installed here."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", text, flags=re.M))
    user = ["--user"] if unit.parent.name == "user" else []
    assert SYSTEMD is not None
    return subprocess.run(
        [SYSTEMD, "verify", "--man=no", "--recursive-errors=no", *user, str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"},
    )


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Containerfile, in order."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def given(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def environment() -> dict[str, str]:
    pairs = [pair.partition("=") for line in given("ENV") for pair in line.split()]
    return {name: value for name, _, value in pairs}


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.skipif(SYSTEMD is None, reason="no systemd-analyze here")
@each_unit
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    done = verified(unit, text, tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    wrong = verified(unit, text.replace("KillMode=", "KillMod="), tmp_path)
    assert "KillMod" in wrong.stderr, "it would have said so"


@each_unit
def test_a_unit_starts_the_stack_and_lets_it_stop(unit: Path) -> None:
    service = service_of(unit)
    assert service["ExecStart"].endswith("/bin/kalshi-actor run")
    assert service["KillMode"] == "mixed", "supervisord stops its programs in their order"
    assert int(service["TimeoutStopSec"]) > 3 * STOP_SECONDS, "two groups, and PostgreSQL"
    assert service["RestartPreventExitStatus"] == str(EXIT_CONFIG)
    assert service["UMask"] == "0077"
    names = {pair.partition("=")[0] for pair in service["Environment"].split()}
    assert names <= SETTINGS
    assert service["EnvironmentFile"].endswith("/kalshi-actor.env")


def test_the_image_is_made_of_what_the_context_holds() -> None:
    ignored, *let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored == "*"
    for copied in given("COPY"):
        *sources, _ = copied.split()
        for source in sources:
            name = BUILT if fnmatch(BUILT, source) else source
            assert name == BUILT or (ROOT / name).is_file()
            assert any(fnmatch(name, one.removeprefix("!")) for one in let_through), name


def test_the_image_runs_the_stack_without_privileges() -> None:
    assert given("USER") == ["kalshi-actor"]
    assert given("ENTRYPOINT") + given("CMD") == ['["kalshi-actor"]', '["run"]']
    assert given("STOPSIGNAL") == ["SIGTERM"]
    assert environment().keys() <= SETTINGS


def test_compose_and_image_fit_each_other() -> None:
    made = compose()
    (service,) = made["services"].values()
    build = service["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]) == DEPLOY / "Containerfile"
    (volume,) = service["volumes"]
    name, _, place = volume.partition(":")
    assert name in made["volumes"]
    assert [place] == given("VOLUME") == [environment()["RL_DATA_DIR"]]
    (port,) = service["ports"]
    assert port == f"127.0.0.1:{given('EXPOSE')[0]}:{given('EXPOSE')[0]}", "for this machine alone"
    assert f"#RL_BROADCASTER_PORT={given('EXPOSE')[0]}" in EXAMPLE
    assert seconds(service["stop_grace_period"]) > 3 * STOP_SECONDS
