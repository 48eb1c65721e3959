"""The shape of the source tree in one row: sizes, words about the code, tests, duplicates, cycles.

    python -m benchmarks.house [FOLDER] [--name NAME] [--package PACKAGE] [--verbose]

Prints one row of a Markdown table, under its header with `--header`. Nothing is imported or run:
every figure is read from the syntax trees.

Counted as source: every `.py` file of the packages given (default: `ipc`, `models`, `processes`),
empty ones left out. A line of docstring is a line that a
docstring spans; a comment is a line with nothing but a comment. Duplicate class names are names
that two or more public or private top-level classes share. A cycle between folders is a path of
imports (those inside functions and under `TYPE_CHECKING` included) that leaves a folder and comes
back to it.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from models.command_line import Parser

__all__ = ["House", "main", "measure", "row"]

PACKAGES: Final = ("ipc", "models", "processes")
HEADER: Final = (
    "| | files | file med / p95 / max | function med / p95 / max | docstrings % | comments % "
    "| tests : source | duplicate class names | import cycles between folders |\n"
    "|---|---|---|---|---|---|---|---|---|"
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Function = ast.FunctionDef | ast.AsyncFunctionDef


class File(NamedTuple):
    """One source file, parsed."""

    module: str
    folder: str  # as a package name; of a command, its own name
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Lines of text."""
        return len(self.text.splitlines())


class House(NamedTuple):
    """What was measured; sizes and shares are of lines."""

    files: list[int]
    functions: list[int]
    docstring_lines: int
    comment_lines: int
    test_lines: int
    duplicates: dict[str, list[str]]  # class name -> the modules that define it
    cycles: list[tuple[str, ...]]  # folders, the first again at the end

    @property
    def lines(self) -> int:
        """Lines of source."""
        return sum(self.files)


def _files(root: Path, package: str) -> list[File]:
    found = []
    for path in sorted((root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        if tree.body:
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            folder = module if _is_command(parts[-1], tree) else ".".join(parts[:-1])
            found.append(File(module, folder, text, tree))
    return found


def _is_command(name: str, tree: ast.Module) -> bool:
    tests = [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)]
    return name == "__main__" or "__name__ == '__main__'" in tests


def _comment_lines(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def _docstring_lines(tree: ast.Module) -> int:
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            total += (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def _function_sizes(tree: ast.Module) -> list[int]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, Function)]
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def _duplicates(files: Sequence[File]) -> dict[str, list[str]]:
    where: dict[str, list[str]] = {}
    for file in files:
        for node in file.tree.body:
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(file.module)
    return {name: modules for name, modules in where.items() if len(modules) > 1}


def _imported(file: File, known: set[str]) -> set[str]:
    """The modules of ours that a file names in an import; `from package import module` too."""
    names: set[str] = set()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            names |= submodules or {node.module}
    return names & known


def _cycles(files: Sequence[File]) -> list[tuple[str, ...]]:
    """The shortest cycle through each folder that lies on one, each cycle once."""
    known = {file.module: file.folder for file in files}
    edges: dict[str, set[str]] = {}
    for file in files:
        reached = {known[module] for module in _imported(file, set(known))}
        edges.setdefault(file.folder, set()).update(reached - {file.folder})
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for folder in sorted(edges):
        path = _way_back(folder, edges)
        if path:
            found.setdefault(frozenset(path), path)
    return list(found.values())


def _way_back(start: str, edges: dict[str, set[str]]) -> tuple[str, ...]:
    """The shortest path of imports from a folder back to itself, empty without one."""
    waiting: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while waiting:
        path = waiting.pop(0)
        for following in sorted(edges.get(path[-1], ())):
            if following == start:
                return (*path, start)
            if following not in seen:
                seen.add(following)
                waiting.append((*path, following))
    return ()


def measure(root: Path, packages: Iterable[str] = PACKAGES, tests: str = "tests") -> House:
    """Measure a source tree.

    Args:
        root: Folder that holds the packages.
        packages: Source packages, relative to `root`, measured together.
        tests: Folder of the tests, relative to `root`; absent counts as no tests.

    Returns:
        The figures of the table, with the names behind the two counts that should be small.
    """
    files = [file for package in packages for file in _files(root, package)]
    test_files = _files(root, tests) if (root / tests).is_dir() else []
    return House(
        files=[file.lines for file in files],
        functions=[size for file in files for size in _function_sizes(file.tree)],
        docstring_lines=sum(_docstring_lines(file.tree) for file in files),
        comment_lines=sum(_comment_lines(file.text) for file in files),
        test_lines=sum(file.lines for file in test_files),
        duplicates=_duplicates(files),
        cycles=_cycles(files),
    )


def _spread(sizes: Sequence[int]) -> str:
    median, high = np.percentile(sizes, [50, 95])
    return f"{median:.0f} / {high:.0f} / {max(sizes)}"


def row(house: House, name: str) -> str:
    """The figures as one row of a Markdown table, in the order of `HEADER`."""
    cells = (
        name,
        str(len(house.files)),
        _spread(house.files),
        _spread(house.functions),
        f"{100 * house.docstring_lines / house.lines:.1f}",
        f"{100 * house.comment_lines / house.lines:.1f}",
        f"{house.test_lines / house.lines:.2f}",
        str(len(house.duplicates)),
        str(len(house.cycles)),
    )
    return f"| {' | '.join(cells)} |"


def _details(house: House) -> list[str]:
    """What stands behind the duplicates and the cycles, one line each."""
    counts = Counter({name: len(modules) for name, modules in house.duplicates.items()})
    lines = [f"{name}: {', '.join(house.duplicates[name])}" for name, _ in counts.most_common()]
    return lines + [" -> ".join(cycle) for cycle in house.cycles]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the row; 2 when the folder holds no source."""
    parser = Parser(
        prog="python -m benchmarks.house", description="Measure the shape of a source tree."
    )
    root = Path(__file__).parents[1]
    parser.add_argument("folder", nargs="?", type=Path, default=root, help="default: this project")
    parser.add_argument("--name", help="first cell of the row; default: the folder's name")
    parser.add_argument(
        "--package", action="append", help=f"repeat; default: {', '.join(PACKAGES)}"
    )
    parser.add_argument("--tests", default="tests", help="folder of the tests")
    parser.add_argument("--header", action="store_true", help="print the table's header first")
    parser.add_argument("--verbose", action="store_true", help="list duplicates and cycles")
    options = parser.parse_args(argv)
    house = measure(options.folder, options.package or PACKAGES, options.tests)
    if not house.files:
        print(f"house: no Python files in {options.folder}", file=sys.stderr)
        return 2
    if options.header:
        print(HEADER)
    print(row(house, options.name or options.folder.resolve().name))
    if options.verbose:
        print("\n".join(_details(house)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
