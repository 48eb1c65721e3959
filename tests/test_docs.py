"""The documents say what is there: fields of the stream, links, pictures."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ipc.messages import Environment
from processes.broadcaster import wire
from processes.exchange.admin.fault_commands import FAULT_KINDS
from processes.execution.limits_file import LIMITS, LimitName, parse_limits
from processes.inference.decide import Reason

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXCHANGE = (ROOT / "docs" / "exchange.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
STRUCTS = [
    value
    for name, value in vars(wire).items()
    if name.endswith(("Data", "Hops", "Trade")) and not name.startswith("_")
]


def test_every_kind_of_message_is_described() -> None:
    for kind in wire.MessageType:
        assert f"`{kind}`" in PROTOCOL


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_every_field_is_described(struct: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(struct):
        assert f"`{field.name}`" in PROTOCOL, field.name


def test_every_reason_of_a_decision_is_described() -> None:
    for reason in Reason:
        assert f"`{reason}`" in PROTOCOL


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_order_to_the_exchange_is_described_with_its_fields(kind: str) -> None:
    rows = [line for line in EXCHANGE.splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if f"`{kind}`" in row.split(" | ")[0]]
    for field in FAULT_KINDS[kind].__struct_fields__:
        assert f"`{field}`" in row.split(" | ")[1], field


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def limit_rows() -> dict[str, list[str]]:
    """Limit -> the cells of its row of docs/limits.md."""
    text = (ROOT / "docs" / "limits.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


@pytest.mark.parametrize("name", LimitName)
def test_every_limit_is_described_as_it_is(name: LimitName) -> None:
    kind, row = LIMITS[name], limit_rows()[name]
    assert row[1] in (kind.unit.word, "milliseconds", "trades", "orders", "cancels")
    said = {True: "yes", False: "no"}
    assert row[4:6] == [said[kind.latches], said[kind.binds_reductions]]


def test_the_example_of_limits_can_be_used_and_has_all_of_them() -> None:
    tables = parse_limits((ROOT / "limits.example.toml").read_bytes())
    for environment in (Environment.DEMO, Environment.PRODUCTION):
        assert set(tables[environment].values) == set(LimitName)
    assert Environment.SIMULATED in tables


def guards() -> list[tuple[str, str, str]]:
    """(guard, places, tests) of every row of docs/guards.md."""
    text = (ROOT / "docs" / "guards.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    cells = [(r[0][2:], r[2], r[3]) for r in rows if len(r) == 4]
    return [c for c in cells if not c[0].startswith(("guard", "---"))]


@pytest.mark.parametrize(("guard", "places", "tests"), guards())
def test_every_guard_names_its_place_and_a_test_that_is_there(
    guard: str, places: str, tests: str
) -> None:
    for place in re.findall(r"`([^`]+\.py)`", places):
        assert (ROOT / place).is_file(), f"{guard}: {place}"
    named = re.findall(r"`([^`]+)::([^`]+)`", tests)
    assert named, guard
    for file, function in named:
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(), f"{guard}: {function}"
