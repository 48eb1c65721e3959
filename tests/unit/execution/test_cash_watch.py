"""Cash against the exchange: what is missing is found to the micro-dollar; more is no fault."""

from __future__ import annotations

from typing import Any

from processes.execution.cash_watch import LATE_NS, TOTAL_CASH, CashRead, CashWatch
from processes.execution.differences import Difference, Quantity

START_E6 = 100_000_000
A, B = "KXA-1", "KXB-1"
SHARDS = {A: 0, B: 2}


def read(first_e6: int, second_e6: int = 0, cash: Any = None, **facts: Any) -> CashRead:
    standard: dict[str, Any] = {
        "balances": {0: first_e6, 2: second_e6},
        "holds": {},
        "cash": {A: START_E6, B: START_E6} | (cash or {}),
        "shards": SHARDS,
    }
    return CashRead(**standard | facts)


def watch(first_e6: int = 500, second_e6: int = 70) -> CashWatch:
    found = CashWatch(START_E6)
    assert found.look(read(first_e6, second_e6)) == []
    return found


def test_what_is_booked_is_expected_to_the_micro_dollar() -> None:
    bought = {A: START_E6 - 41}
    assert watch().look(read(459, 70, bought)) == []
    assert watch().look(read(458, 70, bought)) == [
        Difference(Quantity.CASH, "shard 0", 459, 458),
        Difference(Quantity.CASH, TOTAL_CASH, 529, 528),
    ]


def test_an_order_may_hold_up_to_its_full_cost() -> None:
    for balance_e6, differs in ((500, False), (440, False), (439, True)):
        found = watch().look(read(balance_e6, 70, holds={0: 60}))
        assert bool(found) is differs


def test_bounds_get_narrower() -> None:
    cash = CashWatch(START_E6)
    for balance_e6, holds in ((440, {0: 60}), (500, {})):
        assert cash.look(read(balance_e6, 70, holds=holds)) == []
    assert [d.scope for d in cash.look(read(499, 70))] == ["shard 0", TOTAL_CASH]


def test_what_moves_between_shards_leaves_the_total() -> None:
    found = watch().look(read(450, 120))
    assert {(d.scope, d.exchange - d.known) for d in found} == {("shard 0", -50), ("shard 2", 50)}


def test_a_difference_stays_until_it_is_accepted() -> None:
    cash = watch()
    for _ in range(2):
        assert [d.scope for d in cash.look(read(400, 70))] == ["shard 0", TOTAL_CASH]
    for scope in ("shard 0", TOTAL_CASH):
        cash.accept(scope, 0)
    assert cash.look(read(400, 70)) == []


def paid_early(cash: CashWatch, booked_at_ns: int) -> list[Difference]:
    """The exchange has paid 10, and lists the payout later."""
    cash.look(read(510, 70))
    for scope in ("shard 0", TOTAL_CASH):
        cash.accept(scope, 0)
    return cash.look(read(510, 70, {A: START_E6 + 10}, mono_ns=booked_at_ns))


def test_a_payout_that_is_listed_after_its_cash_came_is_no_difference() -> None:
    cash = watch()
    assert paid_early(cash, LATE_NS) == []
    assert cash.look(read(509, 70, {A: START_E6 + 10})) != []  # it counts once
    assert paid_early(watch(), LATE_NS + 1) != []


def test_of_a_new_market_any_part_may_have_been_before() -> None:
    new = {"KXC-1": START_E6 - 30}
    shards = {**SHARDS, "KXC-1": 0}
    for balance_e6, differs in ((500, False), (470, False), (469, True), (501, True)):
        assert bool(watch().look(read(balance_e6, 70, new, shards=shards))) is differs


def test_fills_without_an_account_may_have_moved_as_much_as_they_are_worth() -> None:
    for balance_e6, differs in ((470, False), (530, False), (469, True), (531, True)):
        found = watch().look(read(balance_e6, 70, elsewhere_e6=30))
        assert bool(found) is differs
    cash = watch()
    assert cash.look(read(470, 70, elsewhere_e6=30)) == []
    assert cash.look(read(469, 70, elsewhere_e6=30)) != []  # once


def test_a_market_whose_shard_is_not_known_may_be_on_any() -> None:
    cash = watch()
    assert cash.look(read(500, 70, {"KXC-1": START_E6})) == []
    assert cash.look(read(470, 70, {"KXC-1": START_E6 - 30})) == []
    assert [d.scope for d in cash.look(read(470, 60, {"KXC-1": START_E6 - 30}))] == [
        "shard 2",
        TOTAL_CASH,
    ]
