"""The exchange is a product of its own: its folders point one way, and only `check` imports it."""

from __future__ import annotations

from support.sources import cycles, sources

EXCHANGE = "processes.exchange"
MAY_IMPORT_IT = {"processes.check"}
BELOW = {  # folder -> the folders of the exchange that it may import
    "core": set(),
    "stream": {"core"},
    "shared": {"core", "stream"},
    "rest": {"core", "stream", "shared"},
    "admin": {"core", "stream", "shared", "rest"},
    "synthetic": {"core", "shared"},
    "replay": {"core", "stream", "shared"},
    "calibration": {"core", "synthetic"},
    "": {"core", "stream", "shared", "rest", "admin", "synthetic", "replay"},
}


def folder(module: str) -> str:
    """The folder of a module of the exchange, "" for its top."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in BELOW else ""


def test_its_folders_import_downwards_only() -> None:
    edges: dict[str, set[str]] = {name: set() for name in BELOW}
    for source in [s for s in sources() if s.module.startswith(EXCHANGE)]:
        own = folder(source.module)
        for imported in source.imports:
            modules = {imported.module, *(f"{imported.module}.{n}" for n in imported.names)}
            for module in [m for m in modules if m.startswith(EXCHANGE + ".")]:
                other = folder(module)
                allowed = other in BELOW[own] or other == own
                assert allowed, f"{source}:{imported.line} imports {module}"
                edges[own] |= {other} - {own}
    assert cycles(edges) == []


def test_nothing_but_the_check_imports_it() -> None:
    importers = {
        source.module
        for source in sources()
        for imported in source.imports
        if (imported.module + ".").startswith(EXCHANGE + ".")
        and not source.module.startswith(EXCHANGE)
    }
    assert importers == MAY_IMPORT_IT
