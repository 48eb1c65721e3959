"""Where compiled kernels are cached, and when a cached one is out of date.

Numba compares the file of a function alone: after a change in `ipc.book` it would go on running the
old book inside a cached kernel of `ipc.book_kernels`. Here a kernel is as old as the newest of all
files that it imports from `ipc` and `models`. `ipc/__init__.py` names these classes to Numba.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from numba.core import caching

__all__ = ["InTree", "UserProvided", "UserWide", "source_stamp", "sources_of"]

ROOT: Final = Path(__file__).resolve().parents[1]
HOUSE: Final = ("ipc", "models")


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    """The files of the house that one file imports, whichever way."""
    return tuple(f for name in _names(ast.parse(path.read_bytes())) if (f := _file_of(name)))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] not in HOUSE:
        return None
    below = ROOT.joinpath(*parts)
    choices = (below.with_suffix(".py"), below / "__init__.py")
    return next((c for c in choices if c.is_file()), None)


def sources_of(path: Path) -> list[Path]:
    """The file and everything of `ipc` and `models` that it imports, directly or not, sorted."""
    found, todo = {path}, [path]
    while todo:
        new = [p for p in _imports(todo.pop()) if p not in found]
        found.update(new)
        todo.extend(new)
    return sorted(found)


@functools.cache
def source_stamp(path: Path) -> bytes:
    """A digest that changes whenever any file changes that a kernel of this file is made of.

    Args:
        path: Source file of the kernel, absolute.

    Returns:
        32 bytes of SHA-256 over names and contents. Kept for the process: files that change while
        it runs are not looked at again.
    """
    digest = hashlib.sha256()
    for source in sources_of(path):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.digest()


class _Stamped:
    """A locator's stamp over all sources instead of one."""

    _py_file: str

    def get_source_stamp(self) -> Any:
        """What Numba compares with the stamp of the cached code."""
        return source_stamp(Path(self._py_file).resolve())


class UserProvided(_Stamped, caching.UserProvidedCacheLocator):
    """Below `NUMBA_CACHE_DIR`, when that is set."""


class InTree(_Stamped, caching.InTreeCacheLocator):
    """Beside the source, where that can be written."""


class UserWide(_Stamped, caching.UserWideCacheLocator):
    """In the user's cache folder."""
