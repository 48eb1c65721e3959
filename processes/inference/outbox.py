"""The order in which a batch leaves: journal, then intents, then everybody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from ipc.messages import ActorAction, Intent, ShadowActions, Tick
from ipc.sockets import Bell, Publisher, Pusher
from models.trading.actions import Action
from processes.runtime.journal import RunJournal
from processes.runtime.log import Log

__all__ = ["Outbox", "Parcel"]

TOPIC: Final = "action"
SHADOW_TOPIC: Final = "shadow"


class Parcel(msgspec.Struct, frozen=True):
    """One market's tick, with what was decided on it."""

    tick: Tick
    action: ActorAction | None = None
    intent: Intent | None = None


class Outbox:
    """What the journal refuses is neither acted on nor shown."""

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
        self._taking = {"journal": True, "execution": True}

    def send(self, parcels: Sequence[Parcel]) -> bool:
        """False when the journal refused, all or nothing."""
        if not parcels:
            return True
        records = [m for p in parcels for m in (p.tick, p.action) if m is not None]
        accepted = self._journal.append(*records)
        self._note("journal", accepted)
        if not accepted:
            self._counts["journal_refused"] += len(parcels)
            return False
        self._counts["ticks"] += len(parcels)
        for parcel in parcels:
            if parcel.intent is not None:
                self._push(parcel.intent)
        for parcel in parcels:
            if parcel.action is not None:
                self._publish(parcel.action)
        self._bell.ring()
        return True

    def note(self, actions: Sequence[ActorAction]) -> None:
        """What a shadow decided on one batch: recorded, then shown by one message, never sent."""
        if not actions:
            return
        accepted = self._journal.append(*actions)
        self._note("journal", accepted)
        self._counts["shadow_decisions" if accepted else "shadow_refused"] += len(actions)
        if accepted:
            self._publisher.send(SHADOW_TOPIC, ShadowActions(actions=tuple(actions)))
            self._bell.ring()

    def _publish(self, action: ActorAction) -> None:
        self._counts["decisions"] += 1
        self._counts["holds"] += action.action == Action.HOLD
        self._publisher.send(TOPIC, action)

    def _push(self, intent: Intent) -> None:
        taken = self._intents.send(intent)
        self._counts["intents" if taken else "refused"] += 1
        self._note("execution", taken)

    def _note(self, who: str, taking: bool) -> None:
        """One line per change, not per message."""
        if taking != self._taking[who]:
            self._taking[who] = taking
            if taking:
                self._log("actions_accepted", by=who)
            else:
                self._log.warning("actions_refused", by=who)
