"""Retired words stay out of the names: one vocabulary, `docs/glossary.md`.

To retire a word, add it to `RETIRED` with what replaces it, run this test, rename what it finds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from support.sources import Source, sources

# Words of an identifier, joined by `_`; matched anywhere in it: `told` is found in `told_ns`.
RETIRED = {
    "anew": "again, from the start",
    "book_levels": "book_slots",
    "deed": "command, decision",
    "frozen": "tick_row, tick_rows",
    "hear": "on_..., receive",
    "life": "run (of a process), incarnation (of a row), epoch (a counter)",
    "lives": "runs, incarnations",
    "nobody": "no process, no reader",
    "ours": "candidate, trained, expected",
    "qty": "count_e2",
    "tell": "report, notify",
    "theirs": "found, of the peer",
    "told": "reported",
    "whoever": "the caller, the reader",
    "world": "dataset, books",
}


def area_of(source: Source) -> str:
    """`ipc`, `models`, or the folder of `processes`."""
    parts = source.module.split(".")
    return ".".join(parts[: 2 if parts[0] == "processes" else 1])


def identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(name, line) of what a module defines and uses; keywords of calls are others' names."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.alias(name=name, asname=asname):
                yield asname or name.rpartition(".")[2], node.lineno


def words_of(identifier: str) -> str:
    """`TickHistory`, `tick_history` and `TICK_HISTORY` -> `_tick_history_`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return f"_{spaced.lower().strip('_')}_"


def retired_in(identifier: str) -> set[str]:
    """The retired words in a name."""
    words = words_of(identifier)
    return {word for word in RETIRED if f"_{word}_" in words}


def found() -> dict[str, dict[str, list[str]]]:
    """Area -> retired word -> where it is used."""
    places: dict[str, dict[str, list[str]]] = {}
    for source in sources():
        for name, line in identifiers(source.tree):
            for word in retired_in(name):
                uses = places.setdefault(area_of(source), {}).setdefault(word, [])
                uses.append(f"{source}:{line} {name}")
    return places


FOUND = found()
AREAS = sorted({area_of(source) for source in sources()})


@pytest.mark.parametrize("area", AREAS)
def test_no_name_has_a_retired_word(area: str) -> None:
    used = FOUND.get(area, {})
    for word in sorted(used):
        uses = "; ".join(used[word][:5])
        pytest.fail(f"{word!r} is retired, use {RETIRED[word]}: {uses}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("told_ns", {"told"}),
        ("_tell", {"tell"}),
        ("ActorLife", {"life"}),
        ("MAX_QTY", {"qty"}),
        ("rl_book_levels", {"book_levels"}),
        ("lifetime", set()),
        ("telling", set()),
        ("tick_rows", set()),
    ],
)
def test_words_are_found_in_names_of_every_form(name: str, words: set[str]) -> None:
    assert retired_in(name) == words


def test_names_are_found_wherever_they_are_defined_or_used() -> None:
    code = "import a.b_life, c as told\nclass Deed:\n def tell(self, ours): self.qty = nobody(x=1)"
    names = {name for name, _ in identifiers(ast.parse(code))}
    assert {"b_life", "told", "Deed", "tell", "ours", "qty", "nobody"} <= names
