"""An order whose price and size change: the worst case, any order of arrival, its place."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders import order

from ipc.account_table import UNKNOWN_AHEAD
from ipc.messages import BookSide, Leg, OrderStatus
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendSent,
    AmendUnknown,
    CreateAccepted,
    FillReport,
    OrderFact,
    OrderReport,
    PendingAmend,
    QueuePlace,
    ReportedTerms,
)
from processes.execution.orders import TrackedOrder, advance

RESTING, CANCELED, EXECUTED = OrderStatus.RESTING, OrderStatus.CANCELED, OrderStatus.EXECUTED


def amend(number: int = 1, **fields: Any) -> PendingAmend:
    standard: dict[str, Any] = {"yes_price_e4": 4_100, "total_e2": 1_000, "expire_ms": 90_000}
    return PendingAmend(number=number, intent_id=f"a{number}", **{**standard, **fields})


def resting(*facts: OrderFact, **fields: Any) -> TrackedOrder:
    start = advance(order(**fields), CreateAccepted("e1", 0, 1_000, 9))
    return reduce(advance, facts, start)


def terms_of(told: TrackedOrder) -> tuple[int, int]:
    return told.yes_price_e4, told.initial_e2


def reported(fill_e2: int, price_e4: int, total_e2: int, updated_ms: int) -> OrderReport:
    return OrderReport("e1", RESTING, fill_e2, terms=ReportedTerms(price_e4, total_e2, updated_ms))


# Until it is answered, the worse of both counts


@pytest.mark.parametrize(
    ("leg", "old_e4", "new_e4", "worst_e4", "hold_e6"),
    [
        (Leg.YES, 4_000, 4_100, 4_100, 8_200_000),
        (Leg.YES, 4_000, 3_900, 4_000, 8_000_000),
        (Leg.NO, 4_000, 4_100, 4_000, 12_000_000),
        (Leg.NO, 4_000, 3_900, 3_900, 12_200_000),
    ],
)
def test_the_dearer_price_and_the_larger_size_count(
    leg: Leg, old_e4: int, new_e4: int, worst_e4: int, hold_e6: int
) -> None:
    wanted = amend(yes_price_e4=new_e4, total_e2=2_000)
    told = resting(AmendSent(wanted), leg=leg, yes_price_e4=old_e4)
    assert (told.worst_yes_price_e4, told.most_e2, told.hold_e6) == (worst_e4, 2_000, hold_e6)
    assert (terms_of(told), told.remaining_e2) == ((old_e4, 1_000), 1_000)
    told = advance(told, AmendUnknown(wanted))
    assert (told.worst_yes_price_e4, told.most_e2, told.is_unclear) == (worst_e4, 2_000, True)
    assert told.book_side is (BookSide.BID if leg is Leg.YES else BookSide.ASK)


def test_a_smaller_size_does_not_count_before_it_is_answered() -> None:
    wanted = amend(total_e2=300)
    told = resting(AmendSent(wanted))
    assert told.most_e2 == 1_000
    assert advance(told, AmendAccepted(wanted, 5, 300)).most_e2 == 300


def test_what_fills_meanwhile_is_part_of_the_total() -> None:
    wanted = amend(total_e2=1_500)
    told = resting(AmendSent(wanted), FillReport("t1", 600), AmendAccepted(wanted, 5, 900))
    assert (told.fill_e2, told.remaining_e2, told.missing_e2) == (600, 900, 0)


def test_all_of_the_old_size_filled_is_no_end_while_a_larger_one_may_hold() -> None:
    wanted = amend(total_e2=2_000)
    told = resting(AmendSent(wanted), FillReport("t1", 1_200))
    assert (told.open, told.most_e2) == (True, 800)
    assert advance(told, AmendAccepted(wanted, 5)).remaining_e2 == 800
    filled = resting(AmendSent(wanted), FillReport("t1", 1_000))
    assert filled.open
    assert advance(filled, AmendRefused(wanted, "no")).status is EXECUTED


def test_a_lost_answer_that_was_inferred_leaves_the_end_to_the_exchange() -> None:
    wanted = amend(total_e2=2_000)
    told = resting(AmendSent(wanted), AmendRefused(wanted, "unknown_outcome", is_inferred=True))
    told = advance(told, FillReport("t1", 1_000))
    assert (told.open, told.remaining_e2) == (True, 0), "2000 may rest there all the same"
    assert advance(told, OrderReport("e1", EXECUTED, 1_000)).status is EXECUTED


# Answers


def test_an_accepted_change_says_which_intent_made_it() -> None:
    wanted = amend()
    told = resting(AmendSent(wanted), AmendAccepted(wanted, 5))
    assert (terms_of(told), told.expire_ms) == ((4_100, 1_000), 90_000)
    assert (told.reason, told.amended_by, told.amend) == ("amended: a1", "a1", None)
    renewed = amend(yes_price_e4=4_000, is_renewal=True)
    assert resting(AmendAccepted(renewed, 5)).reason == "renewed: a1"


def test_a_refused_change_leaves_the_old_terms() -> None:
    wanted = amend()
    told = resting(AmendSent(wanted), AmendRefused(wanted, "invalid_price"))
    assert (terms_of(told), told.amend) == ((4_000, 1_000), None)
    assert (told.amend_refusal, told.amended_by) == ("invalid_price", "")


def test_a_change_that_fills_at_once_ends_the_order() -> None:
    wanted = amend(total_e2=700)
    told = resting(AmendSent(wanted), AmendAccepted(wanted, 5, 0))
    assert (told.status, told.fill_e2, told.missing_e2) == (EXECUTED, 700, 700)


def test_an_order_that_was_canceled_meanwhile_still_learns_what_its_change_came_to() -> None:
    wanted = amend()
    told = resting(AmendSent(wanted), OrderReport("e1", CANCELED, 0), AmendAccepted(wanted, 5))
    assert (told.status, told.amended_by, told.most_e2) == (CANCELED, "a1", 0)


def test_old_answers_and_repeated_ones_change_nothing() -> None:
    first, second = amend(1), amend(2, yes_price_e4=4_200)
    told = resting(AmendAccepted(first, 5), AmendSent(second), AmendAccepted(second, 6))
    for fact in (AmendSent(first), AmendAccepted(first, 5), AmendRefused(second, "late")):
        assert advance(told, fact) is told
    assert terms_of(told) == (4_200, 1_000)


# Reports


def test_a_report_with_older_terms_changes_nothing() -> None:
    wanted = amend()
    told = resting(AmendSent(wanted), AmendAccepted(wanted, 5))
    for updated_ms in (1, 4, 5):
        assert terms_of(advance(told, reported(0, 4_000, 1_000, updated_ms))) == (4_100, 1_000)


def test_a_newer_report_counts_though_nobody_here_asked_for_it() -> None:
    told = resting(reported(0, 4_500, 700, 5))
    assert (terms_of(told), told.remaining_e2) == ((4_500, 700), 700)


def test_a_report_without_a_time_proves_neither_price_nor_size() -> None:
    told = resting()
    assert advance(told, OrderReport("e1", RESTING, 0)) is told


# The place in the queue


@pytest.mark.parametrize(
    ("price_e4", "total_e2", "keeps"),
    [(4_000, 1_000, True), (4_000, 999, True), (4_000, 1_001, False), (4_100, 500, False)],
)
def test_another_price_or_a_larger_size_loses_the_place(
    price_e4: int, total_e2: int, keeps: bool
) -> None:
    wanted = amend(yes_price_e4=price_e4, total_e2=total_e2)
    told = resting(QueuePlace(5_000), AmendSent(wanted), AmendAccepted(wanted, 5, mono_ns=50))
    assert told.ahead_e2 == (5_000 if keeps else UNKNOWN_AHEAD)
    if not keeps:
        assert advance(told, QueuePlace(7_000, 40)) is told, "asked for before"
        assert advance(told, QueuePlace(7_000, 60)).ahead_e2 == 7_000


def test_a_fill_of_before_says_nothing_of_the_new_place_and_one_of_after_does() -> None:
    wanted = amend(total_e2=2_000)
    told = resting(FillReport("t1", 100, 3))
    assert told.ahead_e2 == 0
    told = advance(advance(told, AmendSent(wanted)), AmendAccepted(wanted, 5))
    assert told.ahead_e2 == UNKNOWN_AHEAD
    assert advance(told, FillReport("t2", 100, 4)).ahead_e2 == UNKNOWN_AHEAD
    assert advance(told, FillReport("t3", 100, 6)).ahead_e2 == 0


# Any order of arrival


FIRST, SECOND = amend(1), amend(2, yes_price_e4=4_200, total_e2=1_400)
LIFE: tuple[OrderFact, ...] = (
    CreateAccepted("e1", 0, 1_000, 9),
    reported(0, 4_000, 1_000, 1),
    AmendSent(FIRST),
    AmendAccepted(FIRST, 5),
    reported(0, 4_100, 1_000, 5),
    FillReport("t1", 300, 6),
    reported(300, 4_100, 1_000, 6),
    AmendSent(SECOND),
    AmendUnknown(SECOND),
    AmendAccepted(SECOND, 8, 1_100),
    reported(300, 4_200, 1_400, 8),
    FillReport("t2", 200, 9),
    reported(500, 4_200, 1_400, 9),
)
ENDS: tuple[tuple[OrderFact, ...], ...] = (
    (),
    (OrderReport("e1", CANCELED, 500),),
    (FillReport("t3", 900, 10), OrderReport("e1", EXECUTED, 1_400)),
)


@given(st.sampled_from(ENDS), st.data())
def test_every_interleaving_ends_alike(end: tuple[OrderFact, ...], data: st.DataObject) -> None:
    facts = list(LIFE + end)
    again = data.draw(st.lists(st.sampled_from(facts), max_size=6))
    told = reduce(advance, data.draw(st.permutations(facts + again)), order(initial_e2=1_000))
    wanted = reduce(advance, facts, order(initial_e2=1_000))
    seen = [(o.status, terms_of(o), o.fill_e2, o.remaining_e2, o.amend) for o in (told, wanted)]
    assert seen[0] == seen[1]
    assert (told.amended_by, told.amends, told.expire_ms) == ("a2", 2, 90_000)
