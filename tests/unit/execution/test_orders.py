"""An order's life: any interleaving of the same facts ends alike, and knowledge only grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders import order

from ipc.account_table import UNKNOWN_AHEAD
from ipc.messages import Leg, OrderStatus
from processes.adapters.kalshi.stop.own_orders import FAMILY, parse_client_order_id
from processes.adapters.kalshi.stop.stack_mark import known_prefix, mark_path, own_prefix
from processes.execution.orders import (
    TERMINAL,
    CreateAccepted,
    CreateSent,
    FillReport,
    OrderFact,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
    QueuePlace,
    advance,
    client_order_id,
    message_of,
    valid_intent_id,
)
from processes.runtime.config import ConfigError

RESTING = OrderStatus.RESTING
CANCELED = OrderStatus.CANCELED
EXECUTED = OrderStatus.EXECUTED


@pytest.mark.parametrize("is_buy", [True, False])
@pytest.mark.parametrize("leg", list(Leg))
def test_the_name_says_the_action(is_buy: bool, leg: Leg) -> None:
    name = client_order_id("a1-b_2", is_buy=is_buy, leg=leg, prefix=FAMILY)
    assert parse_client_order_id(name, FAMILY) == ("a1-b_2", is_buy, leg)


def test_the_four_actions_have_four_names() -> None:
    names = {
        client_order_id("i", is_buy=is_buy, leg=leg, prefix=FAMILY)
        for is_buy in (True, False)
        for leg in Leg
    }
    assert names == {"ka-i-BY", "ka-i-SY", "ka-i-BN", "ka-i-SN"}


@pytest.mark.parametrize("text", ["", "my-1", "ka-", "ka--BY", "ka-x-BX", "KA-x-BY", "ka-x-BY\n"])
def test_other_names_are_not_ours(text: str) -> None:
    assert parse_client_order_id(text, FAMILY) is None


@pytest.mark.parametrize(("intent_id", "valid"), [("x" * 49, True), ("x" * 50, False), ("", False)])
def test_a_name_fits_the_exchange(intent_id: str, valid: bool) -> None:
    assert valid_intent_id(intent_id) is valid


def test_a_stack_keeps_its_mark_and_another_has_another(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    here.mkdir(), there.mkdir()
    assert known_prefix(here) is None
    prefix = own_prefix(here)
    assert (own_prefix(here), known_prefix(here)) == (prefix, prefix)
    assert len(client_order_id("x" * 49, is_buy=True, leg=Leg.YES, prefix=prefix)) == 64
    assert own_prefix(there) != prefix
    name = client_order_id("20260803T120000-1a2b3c4d-17", is_buy=True, leg=Leg.NO, prefix=prefix)
    assert parse_client_order_id(name, prefix) == ("20260803T120000-1a2b3c4d-17", True, Leg.NO)
    assert parse_client_order_id(name, own_prefix(there)) is None


def test_a_mark_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    own_prefix(tmp_path)
    mark_path(tmp_path).write_text("ours\n")
    with pytest.raises(ConfigError, match=r"mark holds 'ours.*allowed: 8 hexadecimal digits"):
        own_prefix(tmp_path)


def test_a_name_of_version_0_1_is_nobody_s(tmp_path: Path) -> None:
    assert parse_client_order_id("ka-20260803T120000-1a2b3c4d-17-BY", own_prefix(tmp_path)) is None


def test_a_stale_read_does_not_reopen() -> None:
    canceled = advance(order(), OrderReport("e1", CANCELED, 300))
    assert advance(canceled, OrderReport("e1", RESTING, 100)) is canceled


def test_nothing_left_and_nothing_filled_is_canceled() -> None:
    assert advance(order(), CreateAccepted("e1", 0, 0, 9)).status is CANCELED


def test_a_partial_fill_keeps_resting() -> None:
    after = advance(order(initial_e2=1000), CreateAccepted("e1", 400, 600, 9))
    assert (after.status, after.remaining_e2, after.missing_e2) == (RESTING, 600, 400)
    after = advance(after, FillReport("t1", 400))
    assert (after.status, after.remaining_e2, after.missing_e2) == (RESTING, 600, 0)


def test_fills_that_add_up_execute_the_order() -> None:
    after = advance(order(initial_e2=1000), CreateAccepted("e1", 0, 1000, 9))
    after = advance(advance(after, FillReport("t1", 400)), FillReport("t2", 600))
    assert (after.status, after.remaining_e2) == (EXECUTED, 0)


def test_the_same_trade_counts_once() -> None:
    once = advance(order(initial_e2=1000), FillReport("t1", 400))
    assert advance(once, FillReport("t1", 400)) is once


def test_an_unknown_outcome_waits_for_the_exchange() -> None:
    unknown = advance(order(), OutcomeUnknown("timeout"))
    assert (unknown.status, unknown.open) == (OrderStatus.UNKNOWN, True)
    assert advance(unknown, OrderRefused("never_arrived")).status is OrderStatus.REJECTED
    assert advance(unknown, OrderReport("e1", RESTING, 0)).status is RESTING


def test_an_order_that_the_exchange_shows_was_not_rejected() -> None:
    refused = advance(order(), OrderRefused("never_arrived"))
    assert advance(refused, OrderReport("e1", RESTING, 0)).status is RESTING


def test_the_message_carries_the_order() -> None:
    told = order(leg=Leg.NO, is_buy=True, yes_price_e4=4_000, initial_e2=1000)
    told = advance(advance(told, CreateSent(7)), CreateAccepted("e1", 400, 600, 9))
    message = message_of(told, 5)
    assert (message.order_id, message.leg, message.is_buy) == ("e1", Leg.NO, True)
    assert (message.fill_count_e2, message.remaining_count_e2) == (400, 600)
    assert (message.sent_mono_ns, message.acknowledged_mono_ns, message.ts_ns) == (7, 9, 5)


def test_the_place_in_the_queue_only_gets_better() -> None:
    told = advance(order(), CreateAccepted("e1", 0, 1_000, 9))
    assert told.ahead_e2 == UNKNOWN_AHEAD
    told = advance(told, QueuePlace(5_000))
    assert told.ahead_e2 == 5_000
    assert advance(told, QueuePlace(5_000)) is told
    assert advance(told, QueuePlace(7_000)) is told, "an answer of before"
    assert advance(told, QueuePlace(0)).ahead_e2 == 0
    renewed = advance(told, OrderReport("e1", RESTING, 0, expire_ms=60_000))
    assert renewed.ahead_e2 == 5_000


@pytest.mark.parametrize("fact", [OrderReport("e1", RESTING, 100), FillReport("t1", 100)], ids=str)
def test_whoever_fills_is_at_the_front(fact: OrderFact) -> None:
    told = advance(order(), CreateAccepted("e1", 0, 1_000, 9))
    assert advance(told, fact).ahead_e2 == 0
    assert advance(advance(told, QueuePlace(5_000)), fact).ahead_e2 == 0


LIFE = (
    QueuePlace(5_000),
    QueuePlace(3_000),
    CreateAccepted("e1", 200, 800, 9),
    FillReport("t1", 200),
    OrderReport("e1", RESTING, 0),
    OrderReport("e1", RESTING, 200),
    FillReport("t2", 300),
    OrderReport("e1", RESTING, 500, expire_ms=60_000),
    OutcomeUnknown("timeout"),
)
ENDINGS: tuple[tuple[tuple[OrderFact, ...], OrderStatus, int], ...] = (
    ((OrderReport("e1", CANCELED, 500),), CANCELED, 500),
    ((FillReport("t3", 500), OrderReport("e1", EXECUTED, 1000)), EXECUTED, 1000),
    ((FillReport("t3", 500),), EXECUTED, 1000),
)


@given(st.sampled_from(ENDINGS), st.data())
def test_every_interleaving_ends_alike(
    ending: tuple[tuple[OrderFact, ...], OrderStatus, int], data: st.DataObject
) -> None:
    facts, status, fill_e2 = ending
    once = list(LIFE + facts)
    again = data.draw(st.lists(st.sampled_from(once), max_size=6))
    told = order(initial_e2=1000)
    fills = [0]
    ended = False
    for fact in data.draw(st.permutations(once + again)):
        told = advance(told, fact)
        fills.append(told.fill_e2)
        assert not (ended and told.open), "a terminal order was reopened"
        ended = told.status in TERMINAL
    assert fills == sorted(fills)
    assert (told.status, told.fill_e2, told.missing_e2) == (status, fill_e2, 0)
    assert (told.order_id, told.expire_ms, told.remaining_e2) == ("e1", 60_000, 0)
    assert told.queued_e2 == 3_000
