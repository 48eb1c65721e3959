"""A cached kernel is out of date when anything that it is made of has changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ipc import kernel_cache

INNER = """
from numba import njit
STEP = {step}

@njit(cache=True)
def inner(x):
    return x + STEP
"""
OUTER = """
import ipc
from numba import njit
from models.inner import inner

@njit(cache=True)
def outer(x):
    return inner(x)

if __name__ == "__main__":
    from models import outer as module
    print(module.outer(1), sum(module.outer.stats.cache_hits.values()))
"""


def house(tmp_path: Path) -> Path:
    root = tmp_path / "house"
    (root / "ipc").mkdir(parents=True)
    for name in ("__init__.py", "kernel_cache.py"):
        shutil.copy(kernel_cache.ROOT / "ipc" / name, root / "ipc" / name)
    (root / "models").mkdir()
    (root / "models/__init__.py").touch()
    (root / "models/outer.py").write_text(OUTER)
    return root


def run(root: Path, step: int) -> tuple[int, int]:
    """(outer(1), number of kernels that came from the cache)."""
    (root / "models/inner.py").write_text(INNER.format(step=step))
    done = subprocess.run(
        [sys.executable, "-m", "models.outer"],
        cwd=root,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    value, hits = done.stdout.split()
    return int(value), int(hits)


def test_a_change_in_an_imported_kernel_recompiles_the_importer(tmp_path: Path) -> None:
    root = house(tmp_path)
    assert run(root, step=1) == (2, 0)
    assert run(root, step=1) == (2, 1)
    assert run(root, step=5) == (6, 0)


def test_the_sources_of_a_fused_kernel_are_all_files_that_it_is_made_of() -> None:
    names = {p.name for p in kernel_cache.sources_of(kernel_cache.ROOT / "ipc/book_kernels.py")}
    assert {"book_kernels.py", "book.py", "kernels.py", "units.py"} <= names
    assert "event_journal.py" in names  # word numbers of the journal are compiled in
    assert "sockets.py" not in names


TYPED = """
import ipc
from typing import NamedTuple
from ipc.kernels import compiled

class {name}(NamedTuple):
    x: int

@compiled
def outer(given):
    return given.x + 1

if __name__ == "__main__":
    from models import outer as module
    given = module.{name}(1)
    print(module.outer(given), sum(module.outer.stats.cache_hits.values()))
"""


def test_a_type_that_a_cached_kernel_took_may_be_renamed(tmp_path: Path) -> None:
    """Numba would read the old index, and stop at a class that is not there any more."""
    root = house(tmp_path)
    shutil.copy(kernel_cache.ROOT / "ipc" / "kernels.py", root / "ipc" / "kernels.py")
    for name, hits in (("World", 0), ("World", 1), ("Dataset", 0), ("Dataset", 1)):
        (root / "models/outer.py").write_text(TYPED.format(name=name))
        assert run(root, step=1) == (2, hits)
