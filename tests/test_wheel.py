"""A wheel that is installed somewhere else is the whole system: `kalshi-actor run` trades."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest
from support.stack import Stack

from ipc import __version__

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    *("ipc", "models", "processes", "migrations", "frontend/dist", "supervisord.conf"),
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"),
    *(".env.example", ".env.demo.example", ".env.production.example", "constraints.txt"),
)
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('..'))"


def build(what: str, folder: Path) -> Path:
    """What setuptools makes of the sources in a folder, beside that folder."""
    command = [sys.executable, "-c", BUILD, what]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder.parent / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is: sources, their archive, and the wheel of what the archive holds."""
    folder = tmp_path_factory.mktemp("build")
    ignored = shutil.ignore_patterns("__pycache__", "packaged")
    for name in SOURCES:
        source, target = ROOT / name, folder / "sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    archive = build("build_sdist", folder / "sources")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return build("build_wheel", folder / archive.name.removesuffix(".tar.gz"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new venv with the wheel in it; libraries are those of the tests' own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*pip, "--no-index", "--quiet", str(wheel)], check=True, timeout=100)
    # A line of a .pth file is searched after the venv's own; what an editable install left is not.
    (site / "libraries.pth").write_text(f"{Path(numba.__file__).parents[1]}\n")
    for compiled in [*ROOT.glob("ipc/**/*.nb[ic]"), *ROOT.glob("models/**/*.nb[ic]")]:
        target = site / compiled.relative_to(ROOT)  # a minute of compiling, and not what is tested
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(compiled, target)
    return folder


class Installed(Stack):
    """The stack of an installed wheel: no checkout, another folder."""

    def __init__(self, python_folder: Path, folder: Path, **environ: str) -> None:
        super().__init__(folder, **environ)
        self._program = python_folder / "bin" / "kalshi-actor"
        self.environ.pop("PYTHONPATH", None)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "run"],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@pytest.fixture
def stack(installed: Path, tmp_path: Path) -> Iterator[Installed]:
    running = Installed(installed, tmp_path / "elsewhere", RL_ACTOR_WARMUP_TICKS="1")
    yield running
    running.close()


def run(installed: Path, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command, from a folder without anything."""
    return subprocess.run(
        [str(installed / "bin" / "kalshi-actor"), *argv],
        cwd=installed.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(installed.parent), **environ},
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_a_wheel_holds_what_is_no_python_and_nothing_else_of_the_checkout(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packaged = {name.removeprefix("processes/packaged/") for name in names if "/packaged/" in name}
    committed = [*(ROOT / "migrations").glob("*.sql"), *(ROOT / "frontend/dist").rglob("*.*")]
    examples = {".env.example", ".env.demo.example", ".env.production.example"}
    assert packaged == {
        *(str(path.relative_to(ROOT)) for path in committed),
        *("supervisord.conf", *examples),
    }
    assert {f"{package}/py.typed" for package in ("ipc", "models", "processes")} <= names
    assert {"models/default/policy.onnx", "models/default/manifest.json"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"ipc", "models", "processes", f"kalshi_actor-{__version__}.dist-info"}


def test_every_file_beside_the_modules_is_in_the_wheel(wheel: Path) -> None:
    """A .sql, a template, a .toml that somebody adds and package-data does not name."""
    names = set(zipfile.ZipFile(wheel).namelist())
    left = {
        str(path.relative_to(ROOT))
        for package in ("ipc", "models", "processes")
        for path in (ROOT / package).rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert left <= names


def test_an_installed_command_knows_its_version_and_its_folder(installed: Path) -> None:
    assert run(installed, "--version").stdout == f"kalshi-actor {__version__}\n"
    assert run(installed, "settings").stdout == (ROOT / ".env.example").read_text()
    data = installed.parent / ".local" / "share" / "kalshi-actor"
    refused = run(installed, "models", "list")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"registry: no models in {data} ")
    moved = run(installed, "models", "list", XDG_DATA_HOME="/nowhere")
    assert moved.stderr.startswith("registry: no models in /nowhere/kalshi-actor ")


def test_an_installed_stack_trades_and_stops(stack: Installed, installed: Path) -> None:
    stack.start()
    action = stack.next_action()
    assert action["model"] == "onnx:default"
    with urllib.request.urlopen(f"http://{stack.dashboard}/", timeout=60) as page:
        assert page.read() == (ROOT / "frontend/dist/index.html").read_bytes()
    code, _ = stack.stop(signal.SIGINT)
    assert code == 0, stack.said[-2_000:]
    assert str(ROOT) not in stack.said, "nothing of the checkout was used"
    assert {path.name for path in stack.folder.iterdir()} == {"stack.log", "data"}
