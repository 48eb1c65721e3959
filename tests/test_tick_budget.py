"""How many files one tick executes, from the exchange's frame to the dashboard's message.

`pytest -s tests/test_tick_budget.py` prints them in order: a reading list for a newcomer.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest
from support.made_models import BUYS_YES, HOLDS
from support.tick_path import STAGES, ExecutedFile, files_of_a_tick

HOLD_BUDGET: Final = 45  # files
ORDER_BUDGET: Final = 45
ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "architecture.md"
HEADING: Final = "## The files of a tick\n"
REWRITE: Final = "WRITE_TICK_FILES"  # =1 rewrites the section
COMMAND: Final = f"{REWRITE}=1 python -m pytest tests/test_tick_budget.py"

Files = list[ExecutedFile]


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return files_of_a_tick(tmp_path_factory.mktemp("h"), HOLDS, with_order=False)


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return files_of_a_tick(tmp_path_factory.mktemp("o"), BUYS_YES, with_order=True)


def listed(files: Files) -> str:
    return "\n".join(f"{n:3} {file.process:12} {file.path}" for n, file in enumerate(files, 1))


def section(hold: Files, order: Files) -> str:
    """The section of docs/architecture.md; the broadcaster's tasks run side by side: by name."""
    last = [file for file in order if file.process == "broadcaster"]
    order = [file for file in order if file not in last] + sorted(last)
    in_hold = {file.path for file in hold}
    lines = [
        f"A tick that ends in an order executes {len(order)} Python files, one that ends in HOLD",
        f"{len(hold)}: these, in the order in which they first run. It is also the order to read",
        "them in. What a compiled kernel does (`ipc/book_kernels.py`) shows only by who calls it.",
        "",
    ]
    process = ""
    for number, file in enumerate(order, 1):
        if file.process != process:
            process = file.process
            lines += ["", f"**{process}**", ""]
        only = "" if file.path in in_hold else " (only for an order)"
        lines.append(f"{number}. `{file.path}`{only}")
    lines += ["", f"`tests/test_tick_budget.py` counts them; `{COMMAND}`", "rewrites this section."]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def test_a_hold_stays_within_the_budget(hold: Files) -> None:
    print(f"\nHOLD: {len(hold)} files\n{listed(hold)}")
    assert {file.process for file in hold} == {"collector", "inference", "broadcaster"}
    assert len(hold) <= HOLD_BUDGET, listed(hold)


def test_an_order_stays_within_the_budget(order: Files) -> None:
    print(f"\norder: {len(order)} files\n{listed(order)}")
    assert {file.process for file in order} == set(STAGES.values())
    assert len(order) <= ORDER_BUDGET, listed(order)


def test_the_document_lists_the_files_in_order(hold: Files, order: Files) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    start = document.index(HEADING) + len(HEADING)
    end = document.index("\n## ", start) + 1
    wanted = section(hold, order)
    if os.environ.get(REWRITE) == "1":
        changed = f"{document[:start]}\n{wanted}\n{document[end:]}"
        DOCUMENT.write_text(changed, encoding="utf-8")
        return
    assert document[start:end].strip() == wanted.strip(), f"rewrite the section: {COMMAND}"
