"""A decision as messages: what was decided, and what execution is asked to do about it."""

from __future__ import annotations

from typing import NamedTuple

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.messages import ActorAction, Intent, Tick
from models.policies.interface import Policy
from models.trading.actions import OrderRequest
from processes.inference.decide import Decision, Question

__all__ = ["Hops", "IntentIds", "action_of", "intent_of", "tick_of"]


class IntentIds:
    """`<stream uid>-<number>`: names the journal that holds the decision, and fits an order id."""

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self._number = 0

    def following(self) -> str:
        """An id that was never given."""
        self._number += 1
        return f"{self._uid}-{self._number}"


class Hops(NamedTuple):
    """When a batch was woken and decided; `decided_ns` is market time."""

    decided_ns: int
    woken_mono_ns: int
    decided_mono_ns: int


def tick_of(ticker: str, row: b.Row, session_uid: str, history: int) -> Tick:
    """The record of one evaluation."""
    return Tick(
        session_uid=session_uid,
        market_ticker=ticker,
        event_no=int(row[b.EVENT_NO]),
        recv_ns=int(row[b.RECV_NS]),
        history=history,
    )


def action_of(
    question: Question,
    decision: Decision,
    policy: Policy,
    session_uid: str,
    hops: Hops,
    intent_id: str | None,
    *,
    shadow: bool = False,
) -> ActorAction:
    """The record of one decision: names the event of the book and the version of the account."""
    row, account = question.row, question.account
    return ActorAction(
        session_uid=session_uid,
        market_ticker=question.ticker,
        action=int(decision.action),
        action_name=decision.action.name,
        reason=decision.reason,
        model=policy.model,
        model_hash=policy.model_hash,
        observation_hash=decision.observation_hash,
        event_no=int(row[b.EVENT_NO]),
        account_version=0 if account is None else int(account[a.ACCOUNT_VERSION]),
        logits=decision.logits,
        value=decision.value,
        mask=decision.mask,
        intent_id=intent_id,
        decided_ns=hops.decided_ns,
        recv_ns=int(row[b.RECV_NS]),
        frame_mono_ns=int(row[b.FRAME_MONO_NS]),
        written_mono_ns=int(row[b.WRITTEN_MONO_NS]),
        woken_mono_ns=hops.woken_mono_ns,
        decided_mono_ns=hops.decided_mono_ns,
        observation=decision.observation,
        shadow=shadow,
    )


def intent_of(action: ActorAction, intent_id: str, order: OrderRequest, deadline_ms: int) -> Intent:
    """What execution is asked to do; worthless `deadline_ms` after the decision."""
    return Intent(
        intent_id=intent_id,
        market_ticker=action.market_ticker,
        action=action.action,
        action_name=action.action_name,
        leg=order.leg,
        is_buy=order.is_buy,
        book_side=order.book_side,
        price_e4=order.price_e4,
        yes_price_e4=order.yes_price_e4,
        count_e2=order.count_e2,
        deadline_mono_ns=action.decided_mono_ns + deadline_ms * NS_PER_MS,
        decided_ns=action.decided_ns,
        session_uid=action.session_uid,
        event_no=action.event_no,
        account_version=action.account_version,
        model=action.model,
        frame_mono_ns=action.frame_mono_ns,
        written_mono_ns=action.written_mono_ns,
        decided_mono_ns=action.decided_mono_ns,
    )
