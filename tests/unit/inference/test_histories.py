from __future__ import annotations

import numpy as np
import pytest
from support.model_builders import SECOND, book

from ipc import book as b
from ipc.account_table import new_account
from models.observation.builder import BUILDERS, DEFAULT, LiveObservationAdapter
from processes.inference.histories import Histories

ACCOUNT = new_account(100_000_000)


def ticks(count: int) -> list[b.Row]:
    """Rows of one life of a market, a second apart."""
    rows = []
    for n in range(count):
        row = book({45: 100 + n, 44: 7}, {52 - n % 2: 50})
        row[b.RECV_NS] += n * SECOND
        rows.append(row)
    return rows


def test_every_schema_sees_what_it_would_have_seen_alone():
    together = Histories(BUILDERS.values())
    alone = {name: LiveObservationAdapter(builder) for name, builder in BUILDERS.items()}
    for n, row in enumerate(ticks(12)):
        assert together.tick("A", row) == n
        for name, adapter in alone.items():
            adapter.tick("A", row)
            seen = together.of(BUILDERS[name]).observe("A", row, ACCOUNT)
            assert np.array_equal(seen, adapter.observe("A", row, ACCOUNT)), (name, n)


@pytest.mark.parametrize("anew", [lambda h: h.start_anew(), lambda h: h.forget("A")])
def test_what_is_forgotten_is_forgotten_in_every_schema(anew):
    histories = Histories(BUILDERS.values())
    for row in ticks(3):
        histories.tick("A", row)
    anew(histories)
    for builder in BUILDERS.values():
        with pytest.raises(KeyError):
            histories.of(builder).observe("A", row, ACCOUNT)
    assert histories.tick("A", row) == 0


def test_a_schema_that_nobody_asked_for_has_no_history():
    others = [builder for builder in BUILDERS.values() if builder != DEFAULT]
    with pytest.raises(KeyError):
        Histories([DEFAULT]).of(others[0])
