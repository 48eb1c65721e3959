"""The sources of the house as syntax trees: what each module imports, defines and uses."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "FLOORS",
    "PROCESSES",
    "ROOT",
    "Import",
    "Source",
    "cycles",
    "docstring_lines",
    "sources",
]

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("ipc", "models", "processes")
PROCESSES = (
    *("exchange", "collector", "recorder", "inference", "execution", "watchdog", "broadcaster"),
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


class Import(NamedTuple):
    """One imported module; `inside` is the function that imports it, empty at the top."""

    module: str
    names: tuple[str, ...]
    inside: str
    line: int


class Source:
    """One module of ours."""

    def __init__(self, path: Path) -> None:
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.path = path
        self.module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.imports = tuple(_imports(self.tree, ""))

    def __repr__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def place(self, node: ast.AST) -> str:
        """`file:line`, for a complaint."""
        return f"{self}:{getattr(node, 'lineno', 0)}"

    @property
    def functions(self) -> list[Function]:
        """Every function, methods and nested ones included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def code_lines(self) -> int:
        """Lines without those of docstrings."""
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, Documented)]
        return len(self.text.splitlines()) - sum(map(docstring_lines, nodes))

    @property
    def exported(self) -> list[str] | None:
        """`__all__`, None without one."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and _target(node) == "__all__":
                return list(ast.literal_eval(node.value))
        return None

    @property
    def bound(self) -> set[str]:
        """Names that the module binds at its top, imported ones included."""
        return {name for node in self.tree.body for name in _bound(node)}

    def uses(self) -> list[tuple[str, ast.expr, ast.Call | None]]:
        """Every name that an import gave: (what it stands for, node, the call of it, if any)."""
        given = _given(self.tree)
        called = {id(n.func): n for n in ast.walk(self.tree) if isinstance(n, ast.Call)}
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                head, dot, rest = ast.unparse(node).partition(".")
                if head in given:
                    found.append((given[head] + dot + rest, node, called.get(id(node))))
        return found


def docstring_lines(node: Documented) -> int:
    """Lines that a module's, class's or function's own docstring spans."""
    if ast.get_docstring(node, clean=False) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _imports(node: ast.AST, inside: str) -> list[Import]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(alias.name, (), inside, child.lineno) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide which floor is meant"
            names = tuple(alias.name for alias in child.names)
            found.append(Import(child.module or "", names, inside, child.lineno))
        else:
            name = child.name if isinstance(child, Function) else ""
            found += _imports(child, inside or name)
    return found


def _target(node: ast.Assign) -> str:
    return ast.unparse(node.targets[0])


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (*Function.__args__, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return []


def _given(tree: ast.Module) -> dict[str, str]:
    """Imported name -> what it stands for: `np` -> `numpy`, `uuid4` -> `uuid.uuid4`."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            plain = {a.name.partition(".")[0]: a.name.partition(".")[0] for a in node.names}
            found.update(plain | {a.asname: a.name for a in node.names if a.asname})
        elif isinstance(node, ast.ImportFrom):
            found.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    return found


@cache
def sources() -> tuple[Source, ...]:
    """Every module of the three floors."""
    files = [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py"))]
    return tuple(Source(file) for file in files)


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Paths that return to where they began; each node is left only once."""
    found: list[list[str]] = []
    left: set[str] = set()

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in left:
            for following in sorted(edges.get(node, ())):
                walk(following, [*path, node])
            left.add(node)

    for node in sorted(edges):
        walk(node, [])
    return found
