"""Named SQL from the `.sql` files of this folder.

A query begins with `-- name: <name>`, then a comment that says what it does, then its text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["load_queries"]

_FOLDER: Final = Path(__file__).parent
_HEAD: Final = re.compile(r"^-- name: (\w+)$", re.M)


def load_queries(file_name: str) -> dict[str, str]:
    """name -> text of one file; `ValueError` for a query without a description or named twice."""
    _, *parts = _HEAD.split((_FOLDER / file_name).read_text())
    queries: dict[str, str] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if name in queries or not text.lstrip().startswith("--"):
            raise ValueError(f"{file_name}: query {name!r} is named twice or not described")
        queries[name] = text.strip()
    return queries
