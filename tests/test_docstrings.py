"""Docstrings name what is there: arguments, attributes and members, as the code has them now."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sources import ROOT

FOLDERS = ("ipc", "models", "processes", "benchmarks")
SOURCES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
ENTRY = re.compile(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


def documented(tree: ast.AST, above: str = "") -> Iterator[tuple[str, Documented]]:
    """Every function and class below a node, with its dotted name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Documented):
            name = f"{above}{node.name}"
            yield name, node
            yield from documented(node, f"{name}.")


def names_in(section: str, docstring: str) -> list[str]:
    """The names that a section such as `Args:` explains."""
    lines = docstring.splitlines()
    names = []
    for line in lines[lines.index(section) + 1 :] if section in lines else ():
        if line and not line.startswith("    "):
            break
        if entry := ENTRY.match(line):
            names += [name.strip("* ") for name in entry[1].split(",")]
    return names


def arguments(node: Documented) -> set[str]:
    """Of a function, or of a class: those of its `__init__`, or its fields where it has none."""
    if isinstance(node, ast.ClassDef):
        methods = {n.name: n for n in node.body if isinstance(n, Function)}
        return arguments(methods["__init__"]) if "__init__" in methods else fields(node)
    given = node.args
    return {a.arg for a in ast.walk(given) if isinstance(a, ast.arg)}


def fields(node: ast.ClassDef) -> set[str]:
    """What a class body names, and what methods keep in `self`."""
    names = set(re.findall(r"self\.(\w+)", ast.unparse(node)))
    for entry in node.body:
        if isinstance(entry, ast.AnnAssign):
            names.add(ast.unparse(entry.target))
        elif isinstance(entry, ast.Assign):
            names.update(ast.unparse(target) for target in entry.targets)
        elif isinstance(entry, Function):
            names.add(entry.name)
    return names


def strangers(source: str) -> list[str]:
    """Names that docstrings explain and the code does not have."""
    found = []
    for name, node in documented(ast.parse(source)):
        docstring = ast.get_docstring(node) or ""
        found += [f"{name}: {a}" for a in names_in("Args:", docstring) if a not in arguments(node)]
        if isinstance(node, ast.ClassDef):
            explained = names_in("Attributes:", docstring)
            found += [f"{name}: {a}" for a in explained if a not in fields(node)]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_explain_what_is_there(path: Path) -> None:
    assert strangers(path.read_text()) == []


def test_what_was_renamed_is_noticed() -> None:
    source = '''
class Table:
    """Rows.

    Attributes:
        rows: How many.
        lost: Renamed long ago.
    """

    rows: int

    def read(self, row: int, *more: int) -> int:
        """Read a row.

        Args:
            row: Its number.
            more: Others.
            out: Where to.

        Returns:
            the row: as it is.
        """
'''
    assert strangers(source) == ["Table: lost", "Table.read: out"]
