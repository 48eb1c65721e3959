"""The states of an order: every fact in every state leads where the table says."""

from __future__ import annotations

from functools import reduce
from typing import get_args

import pytest
from support.orders import order

from ipc.messages import OrderStatus
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendSent,
    AmendUnknown,
    CancelFailed,
    CancelSent,
    CreateAccepted,
    CreateSent,
    FillReport,
    OrderFact,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
    PendingAmend,
    QueuePlace,
    ReportedTerms,
)
from processes.execution.order_phases import LEADS, OrderPhase, phase_of
from processes.execution.orders import TrackedOrder, advance

AMEND = PendingAmend(number=1, intent_id="i2", yes_price_e4=4_100, total_e2=1_000, expire_ms=9)
LARGER = PendingAmend(number=1, intent_id="i2", yes_price_e4=4_000, total_e2=2_000, expire_ms=9)
RESTS = CreateAccepted("e1", 0, 1_000, 9)
PART = CreateAccepted("e1", 400, 600, 9)

REACHED: dict[OrderPhase, tuple[tuple[OrderFact, ...], ...]] = {
    OrderPhase.INTENT: ((),),
    OrderPhase.SENT: ((CreateSent(1),),),
    OrderPhase.UNKNOWN: ((CreateSent(1), OutcomeUnknown("timeout")),),
    OrderPhase.RESTING: ((CreateSent(1), RESTS),),
    OrderPhase.PARTIALLY_FILLED: ((CreateSent(1), PART),),
    OrderPhase.AMENDING: (
        (RESTS, AmendSent(AMEND)),
        (PART, AmendSent(AMEND)),
        (RESTS, AmendSent(AMEND), AmendUnknown(AMEND)),
        (RESTS, AmendSent(LARGER), FillReport("t2", 1_000)),
    ),
    OrderPhase.CANCEL_PENDING: (
        (RESTS, CancelSent()),
        (PART, CancelSent()),
        (RESTS, AmendSent(AMEND), CancelSent()),
        (RESTS, AmendSent(LARGER), FillReport("t2", 1_000), CancelSent()),
    ),
    OrderPhase.DONE: (
        (RESTS, OrderReport("e1", OrderStatus.CANCELED, 0)),
        (RESTS, OrderReport("e1", OrderStatus.EXECUTED, 1_000)),
        (RESTS, AmendSent(AMEND), OrderReport("e1", OrderStatus.CANCELED, 0)),
    ),
}
FACTS: tuple[OrderFact, ...] = (
    CreateSent(2),
    RESTS,
    PART,
    CreateAccepted("e1", 0, 0, 9),
    CreateAccepted("e1", 1_000, 0, 9),
    OrderRefused("invalid_price"),
    OutcomeUnknown("timeout"),
    AmendSent(AMEND),
    AmendUnknown(AMEND),
    AmendAccepted(AMEND, 5),
    AmendAccepted(AMEND, 5, 0),
    AmendAccepted(AMEND, 5, 600),
    AmendRefused(AMEND, "invalid_price"),
    AmendRefused(AMEND, "unknown_outcome", is_inferred=True),
    CancelSent(),
    CancelFailed(),
    OrderReport("e1", OrderStatus.RESTING, 0),
    OrderReport("e1", OrderStatus.RESTING, 400, terms=ReportedTerms(4_100, 1_000, 5)),
    OrderReport("e1", OrderStatus.CANCELED, 400),
    OrderReport("e1", OrderStatus.EXECUTED, 1_000),
    FillReport("t1", 400),
    FillReport("t2", 1_000),
    QueuePlace(5_000),
)


def reached(facts: tuple[OrderFact, ...]) -> TrackedOrder:
    return reduce(advance, facts, order(initial_e2=1_000))


@pytest.mark.parametrize("phase", list(OrderPhase))
def test_every_fact_leads_where_the_table_says(phase: OrderPhase) -> None:
    seen: dict[type[OrderFact], set[OrderPhase]] = {}
    for path in REACHED[phase]:
        before = reached(path)
        assert phase_of(before) is phase
        for fact in FACTS:
            after = phase_of(advance(before, fact))
            if after is not phase:
                assert after in LEADS[phase].get(type(fact), set()), f"{fact} leads to {after}"
                seen.setdefault(type(fact), set()).add(after)
    assert seen == {kind: to - {phase} for kind, to in LEADS[phase].items()}


def test_the_examples_have_every_kind_of_fact() -> None:
    assert {type(fact) for fact in FACTS} == set(get_args(OrderFact))


def test_nothing_leads_out_of_the_end() -> None:
    assert LEADS[OrderPhase.DONE] == {}
