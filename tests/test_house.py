"""The script that measures the shape of a source tree, on trees made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.house import main, measure

FILES = {
    "ipc/__init__.py": '"""The language."""\n',
    "ipc/book.py": '"""One book.\n\nIn two legs.\n"""\n\n\nclass Book:\n    """A book."""\n',
    "models/fees.py": "# A comment.\nfrom ipc import book\n\n\nclass Book:\n    pass  # another\n",
    "tests/test_book.py": "def test_a_book() -> None:\n    assert True\n",
}


def tree(folder: Path, more: dict[str, str]) -> Path:
    """The files, and some more."""
    for name, text in {**FILES, **more}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def cycles(folder: Path) -> list[tuple[str, ...]]:
    return measure(folder, ("ipc", "models")).cycles


def test_lines_are_counted_as_what_they_are(tmp_path: Path) -> None:
    house = measure(tree(tmp_path, {}), ("ipc", "models"))
    assert sorted(house.files) == [1, 6, 8]
    assert (house.docstring_lines, house.comment_lines, house.test_lines) == (6, 2, 2)
    assert house.duplicates == {"Book": ["ipc.book", "models.fees"]}
    assert house.functions == []


def test_an_import_back_is_a_cycle_once(tmp_path: Path) -> None:
    assert cycles(tree(tmp_path, {})) == []
    back = {"ipc/units.py": "def late() -> None:\n    from models.fees import Book\n    Book()\n"}
    assert cycles(tree(tmp_path, back)) == [("ipc", "models", "ipc")]


def test_a_folder_and_the_one_around_it_may_import_one_way_only(tmp_path: Path) -> None:
    below = {
        "models/trading/actions.py": "import ipc.book\n",
        "models/warm.py": "from models.trading import actions\n",
    }
    assert cycles(tree(tmp_path, below)) == []
    up = {"models/trading/costs.py": "from models.fees import Book\n"}
    assert cycles(tree(tmp_path, up)) == [("models", "models.trading", "models")]


def test_a_command_is_above_its_folder(tmp_path: Path) -> None:
    """It may import what imports a neighbour of its own; a module that is imported may not."""
    guard = 'if __name__ == "__main__":\n    print()\n'
    stored = {
        "models/parity/rebuilding.py": "Report = list\n",
        "processes/stored.py": "import models.parity.rebuilding\n",
    }
    for name, text in (("__main__", ""), ("run", guard)):
        command = {f"models/parity/{name}.py": "import processes.stored\n" + text}
        folder = tree(tmp_path / name, stored | command)
        assert measure(folder, ("models", "processes")).cycles == []
    module = {"models/parity/run.py": "import processes.stored\n"}
    folder = tree(tmp_path / "module", stored | module)
    found = measure(folder, ("models", "processes")).cycles
    assert found == [("models.parity", "processes", "models.parity")]


def test_the_row_has_a_cell_for_every_heading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree(tmp_path, {"models/f.py": "def f() -> int:\n    return 1\n"})
    assert main([str(folder), "--package", "ipc", "--package", "models", "--header"]) == 0
    header, rule, row = capsys.readouterr().out.splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert f"| {folder.name} | 4 |" in row
    assert main([str(folder), "--package", "nothing"]) == 2
    assert "no Python files" in capsys.readouterr().err
