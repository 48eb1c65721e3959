from __future__ import annotations

import re

import msgspec
from support.model_builders import NOON_NS, book

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import new_account
from ipc.messages import BookSide, Leg
from models.policies.baselines import Hold
from models.trading.actions import Action, LimitOrderActionSpace
from processes.inference.decide import Decision, DecisionRequest, Reason
from processes.inference.due import EvaluatedTick
from processes.inference.outcomes import (
    DecisionTimes,
    IntentIds,
    action_record,
    intent_for,
    tick_record,
)

UID = "20260805T160000-00000a11"


def request() -> DecisionRequest:
    row = book({45: 100}, {52: 50})
    row[b.EVENT_NO], row[b.FRAME_MONO_NS], row[b.WRITTEN_MONO_NS] = 9, 100, 200
    account = new_account(100_000_000)
    account[a.ACCOUNT_VERSION] = 7
    return DecisionRequest("A", row, account, 12)


def test_ids_are_unique_and_fit_an_order_id():
    ids = IntentIds(UID)
    found = [ids.following() for _ in range(1_000)]
    assert len(set(found)) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,48}", one) for one in found)
    assert IntentIds("20260805T160001-00000a11").following() not in found


def test_a_decision_as_messages():
    asked = request()
    order = LimitOrderActionSpace().order_for(Action.BUY_NO_LIMIT, asked.tick_row, asked.account)
    assert order is not None
    mask, logits = (True, True, False, True, False), (0.0, 0.1, 0.2, 0.9, 0.3)
    decision = Decision(
        Action.BUY_NO_LIMIT, Reason.POLICY, order, "0f" * 8, mask, logits, 0.5, b"seen"
    )
    hops = DecisionTimes(decided_ns=NOON_NS + 5, woken_mono_ns=300, decided_mono_ns=400)

    action = action_record(asked, decision, Hold(), "c-1", hops, "i-1")
    intent = intent_for(action, "i-1", order, deadline_ms=1_000)

    assert (action.action, action.action_name, action.reason) == (3, "BUY_NO_LIMIT", "policy")
    assert (action.session_uid, action.event_no, action.account_version) == ("c-1", 9, 7)
    assert (action.model, action.model_hash) == (Hold.model, Hold.model_hash)
    assert (action.mask, action.logits, action.value) == (mask, logits, 0.5)
    assert (action.observation_hash, action.observation) == ("0f" * 8, b"seen")
    assert (action.recv_ns, action.decided_ns) == (NOON_NS, NOON_NS + 5)
    hop_times = (action.frame_mono_ns, action.written_mono_ns, action.woken_mono_ns)
    assert (*hop_times, action.decided_mono_ns) == (100, 200, 300, 400)
    assert (intent.leg, intent.is_buy, intent.book_side) == (Leg.NO, True, BookSide.ASK)
    assert (intent.price_e4, intent.yes_price_e4, intent.count_e2) == (5_500, 4_500, 1_000)
    assert intent.deadline_mono_ns == 400 + 1_000_000_000
    shared = set(intent.__struct_fields__) & set(action.__struct_fields__)
    assert {f: getattr(intent, f) for f in shared} == {f: getattr(action, f) for f in shared}


def test_an_unknown_account_has_no_version():
    asked = request()._replace(account=None)
    hold = Decision(Action.HOLD, Reason.ACCOUNT_UNKNOWN)
    action = action_record(asked, hold, Hold(), "c-1", DecisionTimes(1, 2, 3), None)
    assert (action.account_version, action.intent_id) == (0, None)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(action), type=type(action)) == action


def test_a_tick_names_the_row_that_was_read():
    asked = request()
    tick = tick_record(EvaluatedTick("A", asked.tick_row, 12, 0), "c-1")
    assert (tick.event_no, tick.recv_ns, tick.history) == (9, NOON_NS, 12)
