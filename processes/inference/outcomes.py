"""What becomes of a batch: its records, its intents, and the order in which both leave.

Journal first, then intents to execution, then all others: what is not recorded is neither acted
on nor shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.journal import RunJournal
from ipc.messages import ActorAction, Intent, LeaveMarket, ShadowActions, Tick
from ipc.sockets import Bell, Publisher, Pusher
from models.policies.interface import Policy
from models.trading.actions import Action, OrderRequest
from processes.inference.decide import Decision, DecisionRequest
from processes.inference.due import EvaluatedTick
from processes.runtime.log import Log

__all__ = [
    "ActorOutbox",
    "DecisionTimes",
    "IntentIds",
    "TickOutcome",
    "action_record",
    "intent_for",
    "outcome_of",
    "tick_record",
]

TOPIC: Final = "action"
SHADOW_TOPIC: Final = "shadow"


class IntentIds:
    """`<run uid>-<number>`: names the journal that holds the decision, and fits an order id."""

    def __init__(self, run_uid: str) -> None:
        self._run_uid = run_uid
        self._number = 0

    def following(self) -> str:
        """An id that was never given."""
        self._number += 1
        return f"{self._run_uid}-{self._number}"


class DecisionTimes(NamedTuple):
    """When a batch was woken and decided.

    Attributes:
        decided_ns: Market time of the decision.
        woken_mono_ns: When work on the batch began.
        decided_mono_ns: When it was decided.
    """

    decided_ns: int
    woken_mono_ns: int
    decided_mono_ns: int


class TickOutcome(msgspec.Struct, frozen=True):
    """One market's tick, with what was decided on it.

    Attributes:
        tick: Its record.
        action: The decision, None where nothing was decided.
        intent: What is sent to execution, None for HOLD and where nothing was decided.
    """

    tick: Tick
    action: ActorAction | None = None
    intent: Intent | None = None


def tick_record(tick: EvaluatedTick, session_uid: str) -> Tick:
    """The record of one evaluation."""
    return Tick(
        session_uid=session_uid,
        market_ticker=tick.ticker,
        event_no=int(tick.tick_row[b.EVENT_NO]),
        recv_ns=int(tick.tick_row[b.RECV_NS]),
        history=tick.history,
    )


def action_record(
    request: DecisionRequest,
    decision: Decision,
    policy: Policy,
    session_uid: str,
    times: DecisionTimes,
    intent_id: str | None,
    *,
    shadow: bool = False,
) -> ActorAction:
    """The record of one decision: names the event of the book and the version of the account."""
    tick_row, account = request.tick_row, request.account
    return ActorAction(
        session_uid=session_uid,
        market_ticker=request.ticker,
        action=int(decision.action),
        action_name=decision.action.name,
        reason=decision.reason,
        model=policy.model,
        model_hash=policy.model_hash,
        observation_hash=decision.observation_hash,
        event_no=int(tick_row[b.EVENT_NO]),
        account_version=0 if account is None else int(account[a.ACCOUNT_VERSION]),
        logits=decision.logits,
        value=decision.value,
        mask=decision.mask,
        intent_id=intent_id,
        decided_ns=times.decided_ns,
        recv_ns=int(tick_row[b.RECV_NS]),
        frame_mono_ns=int(tick_row[b.FRAME_MONO_NS]),
        written_mono_ns=int(tick_row[b.WRITTEN_MONO_NS]),
        woken_mono_ns=times.woken_mono_ns,
        decided_mono_ns=times.decided_mono_ns,
        observation=decision.observation,
        shadow=shadow,
    )


def intent_for(
    action: ActorAction, intent_id: str, order: OrderRequest, deadline_ms: int
) -> Intent:
    """Make the intent of a decision that is an order.

    Args:
        action: The decision's record.
        intent_id: From `IntentIds`.
        order: Priced and sized.
        deadline_ms: After the decision; then execution refuses it.
    """
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
        model_hash=action.model_hash,
        frame_mono_ns=action.frame_mono_ns,
        written_mono_ns=action.written_mono_ns,
        decided_mono_ns=action.decided_mono_ns,
    )


def outcome_of(
    tick: EvaluatedTick,
    answer: tuple[DecisionRequest, Decision] | None,
    policy: Policy,
    session_uid: str,
    times: DecisionTimes,
    ids: IntentIds,
    deadline_ms: int,
) -> TickOutcome:
    """Make the record of a tick, with its decision, if one was made, and the intent of an order.

    Args:
        tick: The evaluated tick.
        answer: What was asked and decided, None where nothing was.
        policy: That decided.
        session_uid: The collector's session.
        times: Of the batch.
        ids: Gives the intent's id.
        deadline_ms: Of an intent, after the decision.
    """
    record = tick_record(tick, session_uid)
    if answer is None:
        return TickOutcome(record)
    request, decision = answer
    if decision.order is None:
        return TickOutcome(
            record, action_record(request, decision, policy, session_uid, times, None)
        )
    intent_id = ids.following()
    action = action_record(request, decision, policy, session_uid, times, intent_id)
    return TickOutcome(record, action, intent_for(action, intent_id, decision.order, deadline_ms))


class ActorOutbox:
    """Sends what a batch came to. What the journal refuses is neither acted on nor shown.

    Args:
        journal: Of this run.
        intents: To execution.
        publisher: To subscribers.
        bell: Rings the recorder.
        counts: What was sent and refused is counted there.
        log: Gets one line at each change between accepted and refused.
    """

    def __init__(
        self,
        journal: RunJournal,
        intents: Pusher,
        publisher: Publisher,
        bell: Bell,
        counts: Counter[str],
        log: Log,
    ) -> None:
        self._journal = journal
        self._intents = intents
        self._publisher = publisher
        self._bell = bell
        self._counts = counts
        self._log = log
        self._accepting = {"journal": True, "execution": True}

    def send(self, outcomes: Sequence[TickOutcome]) -> bool:
        """Record all, then send the intents, then publish the decisions; never waits.

        An intent that execution does not take is dropped and counted: it would be late.

        Returns:
            False when the journal refused, and then nothing was sent.
        """
        if not outcomes:
            return True
        records = [m for o in outcomes for m in (o.tick, o.action) if m is not None]
        accepted = self._journal.append(*records)
        self._note("journal", accepted)
        if not accepted:
            self._counts["journal_refused"] += len(outcomes)
            return False
        self._counts["ticks"] += len(outcomes)
        for outcome in outcomes:
            if outcome.intent is not None:
                self._push(outcome.intent)
        for outcome in outcomes:
            if outcome.action is not None:
                self._publish(outcome.action)
        self._bell.ring()
        return True

    def send_shadow(self, actions: Sequence[ActorAction]) -> None:
        """What a shadow decided on one batch: recorded, then published in one message."""
        if not actions:
            return
        accepted = self._journal.append(*actions)
        self._note("journal", accepted)
        self._counts["shadow_decisions" if accepted else "shadow_refused"] += len(actions)
        if accepted:
            self._publisher.send(SHADOW_TOPIC, ShadowActions(actions=tuple(actions)))
            self._bell.ring()

    def leave(self, message: LeaveMarket) -> None:
        """Ask execution to cancel what rests in a market; when refused, it is asked again later."""
        self._counts["leaves" if self._intents.send(message) else "leaves_refused"] += 1

    def _publish(self, action: ActorAction) -> None:
        self._counts["decisions"] += 1
        self._counts["holds"] += action.action == Action.HOLD
        self._publisher.send(TOPIC, action)

    def _push(self, intent: Intent) -> None:
        accepted = self._intents.send(intent)
        self._counts["intents" if accepted else "refused"] += 1
        self._note("execution", accepted)

    def _note(self, by: str, accepted: bool) -> None:
        """One line per change, not per message."""
        if accepted != self._accepting[by]:
            self._accepting[by] = accepted
            if accepted:
                self._log("actions_accepted", by=by)
            else:
                self._log.warning("actions_refused", by=by)
