"""What holds the house together: floors, sizes, names and seams, read from the sources."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable

import pytest
from support.sources import (
    FLOORS,
    PROCESSES,
    ROOT,
    Import,
    Source,
    cycles,
    sources,
)

from benchmarks.house import measure
from ipc.endpoints import ENDPOINTS
from ipc.errors import KalshiActorError
from processes.cli.commands import COMMANDS

MAX_FILE_LINES = 720
MAX_CODE_LINES = 600  # without docstrings
MAX_FUNCTION_LINES = 60
MAX_MAIN_LINES = 50

# Command-line modules of `models` that need stored sessions or recordings, inside `main()` only.
MAY_REACH_ADAPTERS = (
    "models.train",
    "models.evaluate",
    "models.parity.__main__",
    "models.evaluation.market_choices",
    "models.research.rules",
    "models.research.tries",
)
BELOW = {  # what each part of the house may import of it
    "ipc": ("ipc",),
    "models": ("ipc", "models"),
    "processes.runtime": ("ipc", "models", "processes.runtime"),
    "processes.adapters": ("ipc", "models", "processes.runtime", "processes.adapters"),
    "processes.cli": ("ipc", "models", "processes.runtime", "processes.cli"),
    "processes.doctor": ("ipc", "models", "processes"),  # and the same of what they would do
    "processes.check": ("ipc", "models", "processes"),  # asks all of them whether they could start
}
NETWORK = {
    *("aiohttp", "asyncio", "asyncpg", "http", "httpx", "requests", "selectors", "socket"),
    *("ssl", "urllib", "websockets", "zmq"),
}

# What makes two runs differ, and the only places that may use it.
TIME = re.compile(r"time\.\w+|datetime\.(datetime|date)\.(now|utcnow|today)")
CHANCE = re.compile(
    r"os\.(urandom|getrandom)|uuid\.uuid[14]|(random|secrets)\.\w+|numpy\.random\.(?!Generator)\w+"
)
NOTHING = re.compile("")
SEEDED = ("numpy.random.default_rng", "numpy.random.PCG64", "numpy.random.SeedSequence")
MAY_USE = {
    "ipc.clock": TIME,  # everyone else asks it
    # A name or a password that nobody can guess decides nothing.
    "ipc.private_files": re.compile(r"secrets\.token_hex"),
    "processes.runtime.run": re.compile(r"os\.urandom"),  # the name of a run
    # A key's id is made with the key, whose randomness is the operating system's in any case.
    "processes.exchange.shared.accounts": re.compile(r"uuid\.uuid4"),
}

UNPICKLERS = {"cloudpickle", "dill", "joblib", "marshal", "pandas", "shelve"}
UNPICKLING = {"pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load"}
READERS = {  # and what makes each read data only
    "torch.load": ("weights_only", "True"),
    "numpy.load": ("allow_pickle", "False"),
}

PUBLIC = {  # the names of the user's plan, where the design puts them
    "ipc.book_table": ("SharedOrderbookState.get_snapshot",),
    "models.trading.actions": ("LimitOrderActionSpace",),
    "models.simulation.environment": ("MarketAgnosticKalshiEnv",),
    "models.simulation.fills": ("SimulatedOrderManager",),
    "models.observation.builder": ("LiveObservationAdapter",),
    "models.simulation.tape": ("build_observation_from_session_data",),
    "processes.adapters.kalshi.feed.book_feed": (
        "WriteQueue.enqueue_snapshot",
        "WriteQueue.enqueue_delta",
    ),
    "processes.adapters.kalshi.rest.client": ("KalshiTradingClient",),
    "processes.adapters.postgres.new_session": ("create_session",),
    "processes.adapters.postgres.sessions": ("SessionDataLoader",),
    "processes.broadcaster.wire": ("WebSocketManager",),
    "processes.collector.orderbook_client": ("OrderbookClient",),
    "processes.execution.manager": (
        "KalshiOrderManager.get_positions",
        "KalshiOrderManager.get_position_info",
        "KalshiOrderManager.get_order_features",
        "KalshiOrderManager.sync_positions_with_kalshi",
    ),
    "processes.inference.service": ("ActorService",),
}

each_process = pytest.mark.parametrize("process", PROCESSES)
OURS = {source.module: source for source in sources()}


def each_source(check: Callable[[Source], None]) -> Callable[[], None]:
    """One test of a rule for all sources: a test a source takes longer than what it checks."""

    def checked() -> None:
        for source in OURS.values():
            check(source)

    checked.__name__, checked.__doc__ = check.__name__, check.__doc__
    return checked


def within(module: str, *packages: str) -> bool:
    return any(module == p or module.startswith(p + ".") for p in packages)


def reached(imported: Import) -> set[str]:
    """The modules of ours that an import loads; `from package import module` loads both."""
    whole = {imported.module, *(f"{imported.module}.{name}" for name in imported.names)}
    return whole & OURS.keys()


def part_of(module: str) -> str:
    """The floor of a module; in `processes`, its folder."""
    return ".".join(module.split(".")[: 2 if within(module, "processes") else 1])


def excused(source: Source, imported: Import) -> bool:
    """A command that is handed what the adapters read."""
    return source.module in MAY_REACH_ADAPTERS and imported.inside == "main"


@each_source
def test_imports_point_down(source: Source) -> None:
    part = part_of(source.module)
    allowed = BELOW.get(part, (*BELOW["processes.adapters"], part))
    for imported in source.imports:
        also = ("processes.adapters",) if excused(source, imported) else ()
        fine = not within(imported.module, *FLOORS) or within(imported.module, *allowed, *also)
        assert fine, f"{source}:{imported.line} imports {imported.module}"


def test_no_module_of_models_loads_a_network_library() -> None:
    for start in [s for s in sources() if within(s.module, "models")]:
        waiting, seen = [start.module], {start.module}
        while waiting:
            source = OURS[waiting.pop()]
            for imported in source.imports:
                if excused(source, imported):
                    continue
                library = imported.module.partition(".")[0]
                assert library not in NETWORK, f"{start} loads {library} by {source}"
                waiting += sorted(reached(imported) - seen)
                seen |= reached(imported)


def test_no_folder_imports_itself_around_a_corner() -> None:
    """A folder and the one around it are two: imports between them go one way, too."""
    assert measure(ROOT, tests="none").cycles == []


def test_no_module_imports_itself_around_a_corner() -> None:
    edges = {
        source.module: {m for i in source.imports for m in reached(i)} - {source.module}
        for source in sources()
    }
    assert cycles(edges) == []


@each_process
def test_a_process_has_the_rooms_that_all_have(process: str) -> None:
    folder = ROOT / "processes" / process
    assert (folder / "service.py").is_file()
    lines = (folder / "__main__.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_MAIN_LINES, "wiring only"
    assert (ROOT / "tests" / "contract" / f"test_{process}.py").is_file()


def test_every_folder_of_processes_is_known() -> None:
    folders = {f.parent.name for f in (ROOT / "processes").glob("*/__init__.py")}
    assert folders == {*PROCESSES, "adapters", "cli", "doctor", "runtime"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_names_a_module_that_is_there(name: str) -> None:
    """By its name only: nothing is imported before its command is used."""
    module = COMMANDS[name].module
    assert module in OURS or f"{module}.__main__" in OURS
    assert '__name__ == "__main__"' in OURS.get(f"{module}.__main__", OURS[module]).text


@each_source
def test_every_error_of_the_project_has_one_base(source: Source) -> None:
    module = importlib.import_module(source.module) if "Error(" in source.text else None
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            found = getattr(module, node.name)
            if issubclass(found, Exception) and not node.name.startswith("_"):
                assert issubclass(found, KalshiActorError), f"{source.place(node)} {node.name}"


@each_source
def test_time_and_chance_come_from_outside(source: Source) -> None:
    allowed = MAY_USE.get(source.module, NOTHING)
    wiring = source.module.endswith(".__main__")  # where what is injected is made
    for name, node, call in source.uses():
        if allowed.fullmatch(name):
            continue
        assert not TIME.fullmatch(name), f"{source.place(node)} uses {name}; ask ipc.clock"
        seeded = name in SEEDED and call is not None and call.args
        fine = wiring or seeded or not CHANCE.fullmatch(name)
        assert fine, f"{source.place(node)} uses {name}; have it injected"


@each_source
def test_files_and_functions_stay_small(source: Source) -> None:
    """Files with and without docstrings: to explain a seam must not split what is one idea."""
    assert source.code_lines <= MAX_CODE_LINES, f"{source}"
    assert len(source.text.splitlines()) <= MAX_FILE_LINES, f"{source}"
    for function in source.functions:
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{source.place(function)} {function.name}: {length}"


@each_source
def test_a_module_says_what_it_is_and_what_it_offers(source: Source) -> None:
    assert ast.get_docstring(source.tree), f"{source} begins without a docstring"
    if source.path.name in ("__init__.py", "__main__.py") and source.exported is None:
        return
    assert source.exported is not None, f"{source}: __all__ is missing"
    assert set(source.exported) <= source.bound, f"{source}: __all__ names what is not there"
    assert len(source.exported) == len(set(source.exported)), f"{source}"


@each_source
def test_what_others_import_is_offered(source: Source) -> None:
    for imported in source.imports:
        theirs = OURS.get(imported.module)
        if theirs is None or theirs.exported is None:
            continue
        modules = {name for name in imported.names if f"{imported.module}.{name}" in OURS}
        hidden = set(imported.names) - modules - set(theirs.exported)
        assert not hidden, f"{source}:{imported.line} imports {hidden}, not in __all__ of {theirs}"


@each_source
def test_nothing_is_unpickled(source: Source) -> None:
    for imported in source.imports:
        library = imported.module.partition(".")[0]
        assert library not in UNPICKLERS, f"{source}:{imported.line} imports {library}"
        if library == "pickle":  # for the class of torch's refusal
            assert source.module == "models.learning.learner_file"
    for name, node, call in source.uses():
        assert name not in UNPICKLING, f"{source.place(node)} uses {name}"
        if name in READERS and call is not None:
            given = {k.arg: ast.unparse(k.value) for k in call.keywords}
            argument, value = READERS[name]
            assert given.get(argument) == value, f"{source.place(node)} {name} without {argument}"
    assert not re.search(r"(ALGORITHMS\[.*\]|PPO|A2C)\.load\(", source.text), f"{source}: unpickles"


@each_source
def test_no_error_is_swallowed(source: Source) -> None:
    for handler in [n for n in ast.walk(source.tree) if isinstance(n, ast.ExceptHandler)]:
        assert handler.type is not None, f"{source.place(handler)} bare except"
        caught = {ast.unparse(n) for n in ast.walk(handler.type)}
        silent = all(isinstance(s, ast.Pass | ast.Continue) for s in handler.body)
        broad = {"Exception", "BaseException"} & caught
        assert not (broad and silent), f"{source.place(handler)} swallows {broad}"
    for name, node, call in source.uses():
        if name == "contextlib.suppress" and call is not None:
            broad = {"Exception", "BaseException"} & {ast.unparse(a) for a in call.args}
            assert not broad, f"{source.place(node)} swallows {broad}"


def test_every_endpoint_is_documented() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w+) \| (PUB/SUB|PUSH/PULL|REQ/ROUTER) \|", document, re.M))
    assert rows == {name: str(endpoint.pattern) for name, endpoint in ENDPOINTS.items()}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names]
)
def test_the_names_of_the_plan_are_where_the_design_puts_them(module: str, name: str) -> None:
    first, *attributes = name.split(".")
    found = getattr(importlib.import_module(module), first)
    for attribute in attributes:
        found = getattr(found, attribute)
    assert callable(found)
    assert first in (OURS[module].exported or ())
