"""The committed build is the build of the committed source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
NPM = shutil.which("npm")
INPUTS = (
    "src",
    "public",
    "index.html",
    ".npmrc",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NPM), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow  # `.ci/run` builds it, too
@pytest.mark.skipif(NPM is None, reason="no npm here: the build cannot be repeated")
def test_a_rebuild_equals_the_committed_dist(tmp_path: Path) -> None:
    for name in INPUTS:
        source = FRONTEND / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    if (FRONTEND / "node_modules").is_dir():
        (tmp_path / "node_modules").symlink_to(FRONTEND / "node_modules")
    elif (installed := npm(tmp_path, "ci")).returncode:
        pytest.skip(f"npm ci cannot fetch the build's tools here: {installed.stderr[-300:]}")
    built = npm(tmp_path, "run", "build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert files_of(tmp_path / "dist") == files_of(FRONTEND / "dist")


def test_the_lock_file_names_no_registry() -> None:
    lock = (FRONTEND / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 10


def test_the_page_loads_only_its_own_files() -> None:
    page = (FRONTEND / "dist" / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "<script>" not in page
