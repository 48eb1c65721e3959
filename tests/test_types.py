"""What the types alone keep apart, asked of mypy itself: legs and sides are both 0 and 1."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ipc.units import ASK, BID, NO, YES

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """\
[mypy]
python_version = 3.11
[mypy-numba.*,llvmlite.*]
ignore_missing_imports = true
follow_imports = skip
"""
CODE = """\
from ipc import book as b
from ipc.units import ASK, BID, NO, YES
from models.trading.portfolio import Portfolio, apply_fill, cash_flow_e6

row, account = b.new_row(), Portfolio(0).row
b.best_bid(row, YES)
b.best_bid(row, BID)  # wrong
b.apply_delta(row, NO, 4_500, 100)
b.apply_delta(row, ASK, 4_500, 100)  # wrong
b.levels_of(row, b.YES)
b.levels_of(row, 1)  # wrong
apply_fill(account, BID, 4_500, 100, 0)
apply_fill(account, YES, 4_500, 100, 0)  # wrong
cash_flow_e6(0, NO, 4_500, 100)  # wrong
"""


def test_a_leg_and_a_side_are_different_types_though_the_numbers_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = pytest.importorskip("mypy.api")
    wrong = [i for i, line in enumerate(CODE.splitlines(), 1) if line.endswith("# wrong")]
    (tmp_path / "mypy.ini").write_text(CONFIG)
    arguments = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path)]
    monkeypatch.chdir(ROOT)  # where `ipc` and `models` are
    said, errors, _ = api.run([*arguments, "--no-error-summary", "-c", CODE])
    assert not errors
    found = re.findall(r"^<string>:(\d+): error: Argument \d to .* \[arg-type\]$", said, re.M)
    assert [int(line) for line in found] == wrong, said
    assert (YES, NO) == (BID, ASK) == (0, 1)
