"""Decisions of a live session rebuilt from its recording, float by float.

Every tick that the actor recorded is made again from the session's events, and every decision's
account from the recorded account versions. Observation, mask and action must then be those of the
record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.account_table import AccountRow
from ipc.messages import ActorAction
from models.observation.builder import BUILDERS, DEFAULT, Builder, observation_hash, observe_account
from models.policies.interface import Policy
from models.simulation.data_age import clock_offsets_ms
from models.simulation.replay import columns_of, walk_to, zone_offsets
from models.simulation.tape import RecordedSession, SessionError
from models.trading.actions import (
    LEAVING,
    Action,
    LimitOrderActionSpace,
    exit_action,
    masked_argmax,
)

__all__ = ["ActorRun", "DecisionDifference", "LiveMarket", "Report", "rebuild"]

Words = npt.NDArray[np.int64]
KEPT: Final = 20  # differences that are shown; the others are counted
_SIZES: Final = Counter(builder.size for builder in BUILDERS.values())
# Bytes of a recorded observation -> its schema, for models that are not at hand. Where two schemas
# have as many floats, the length does not say which it was.
_BY_BYTES: Final = {4 * one.size: one for one in BUILDERS.values() if _SIZES[one.size] == 1}


class ActorRun(NamedTuple):
    """What one run of the actor recorded of one market, in order.

    Attributes:
        tick_nos: int64[ticks], event numbers.
        histories: int64[ticks], ticks before each.
        decisions: What it decided.
    """

    tick_nos: Words  # event numbers
    histories: Words  # ticks before each
    decisions: Sequence[ActorAction]


class LiveMarket(NamedTuple):
    """One market of a live session.

    Attributes:
        session: Its events.
        runs: What each run of the actor recorded.
        accounts: The versions of the account that decisions read.
    """

    session: RecordedSession
    runs: Sequence[ActorRun]
    accounts: Mapping[int, AccountRow]


class DecisionDifference(msgspec.Struct, frozen=True):
    """Where a decision and its rebuilding differ.

    Attributes:
        ticker: The market.
        event_no: The tick.
        what: What differs: tick, ticks before, account, observation, mask or action.
        recorded: As recorded.
        rebuilt: As rebuilt.
        features: (name, recorded, rebuilt) of every feature that differs.
    """

    ticker: str
    event_no: int
    what: str
    recorded: str
    rebuilt: str
    features: tuple[tuple[str, float, float], ...] = ()

    def lines(self) -> list[str]:
        """The difference and, below it, feature by feature."""
        head = f"{self.ticker} event {self.event_no}: {self.what}: "
        named = [f"  {name}: recorded {r!r}, rebuilt {m!r}" for name, r, m in self.features]
        return [f"{head}recorded {self.recorded}, rebuilt {self.rebuilt}", *named]


class Report:
    """Counts of a comparison, and its first differences.

    Attributes:
        ticks: Ticks that the actor recorded.
        decisions: Decisions that were compared, those without an account included.
        without_account: Decisions that were made without one: nothing to rebuild, always HOLD.
        recomputed: Actions that were decided again by their model.
        different: Differences in all.
        max_logit_difference: Largest difference between a recorded and a recomputed logit.
        first: The first `KEPT` differences.
    """

    def __init__(self) -> None:
        self.ticks = self.decisions = self.without_account = self.recomputed = 0
        self.different = 0
        self.max_logit_difference = 0.0
        self.first: list[DecisionDifference] = []

    def differs(self, difference: DecisionDifference) -> None:
        """Add a difference; the first `KEPT` are kept whole."""
        self.different += 1
        if len(self.first) < KEPT:
            self.first.append(difference)

    def lines(self) -> list[str]:
        """The differences that were kept, then the counts."""
        lines = [line for difference in self.first for line in difference.lines()]
        counts = (
            f"{self.ticks} ticks, {self.decisions} decisions, of which {self.without_account} "
            f"without an account; actions of {self.recomputed} recomputed by their model, "
            f"largest difference of a logit {self.max_logit_difference:.3g}"
        )
        return [*lines, counts, f"{self.different} differences"]


class _Rebuilt(NamedTuple):
    """Ticks made again."""

    rows: Words
    features: npt.NDArray[np.float32]
    histories: Words
    found: int


def rebuild(
    market: LiveMarket,
    space: LimitOrderActionSpace,
    policies: Mapping[str, Policy],
    report: Report,
    max_data_age_ms: int | None = None,
) -> None:
    """Check every decision of one market.

    Args:
        market: What was recorded.
        space: Pricing and size of the actor.
        policies: By model hash; their logits are recomputed, those of others are taken as recorded.
        report: Gets the counts and the differences.
        max_data_age_ms: `RL_MAX_DATA_AGE_MS`: a decision on older data is a difference; None: any.

    Raises:
        SessionError: An event does not fit the book.
    """
    for run in market.runs:
        by_builder = _by_builder(run, policies)
        made = {b.code: _rows(market.session, run.tick_nos, b) for b, _ in by_builder}
        first = made[by_builder[0][0].code]
        report.ticks += len(run.tick_nos)
        if first.found < len(run.tick_nos):
            event_no = int(run.tick_nos[first.found])
            report.differs(_plain(market, event_no, "tick", "an event", "no such event"))
        _check_histories(market, run, first, report)
        places = {int(no): i for i, no in enumerate(run.tick_nos[: first.found])}
        for builder, decisions in by_builder:
            for decision in decisions:
                check = _Check(market, space, policies, report, decision, builder)
                check.run(made[builder.code], places)
                check.age(made[builder.code], places, max_data_age_ms)


def _by_builder(
    run: ActorRun, policies: Mapping[str, Policy]
) -> list[tuple[Builder, list[ActorAction]]]:
    """Decisions by what made their observations; at least one entry.

    A promotion may bring a model of another schema, and a shadow may have one of its own. The model
    says its schema where it is at hand. For other models the length of a recorded observation does;
    one without an observation is taken to have seen what the first one with a known schema did.
    """
    known = [_builder_of(decision, policies) for decision in run.decisions]
    usual = next((builder for builder in known if builder is not None), DEFAULT)
    found: dict[int, tuple[Builder, list[ActorAction]]] = {}
    for decision, builder in zip(run.decisions, known, strict=True):
        chosen = builder or usual
        found.setdefault(chosen.code, (chosen, []))[1].append(decision)
    return list(found.values()) or [(usual, [])]


def _builder_of(decision: ActorAction, policies: Mapping[str, Policy]) -> Builder | None:
    """What made a decision's observation; None when the record does not say."""
    policy = policies.get(decision.model_hash)
    return _BY_BYTES.get(len(decision.observation)) if policy is None else policy.builder


def _rows(session: RecordedSession, tick_nos: Words, builder: Builder) -> _Rebuilt:
    events = columns_of(session.events)
    row = b.new_row(session.grid.size, session.grid)
    row[b.CLOSE_MS] = session.close_ms
    n = len(tick_nos)
    rows = np.zeros((n, b.HEADER + 2 * session.grid.size), np.int64)
    features, histories = np.zeros((n, builder.tick_size), np.float32), np.zeros(n, np.int64)
    if not n or not len(events.kind):
        return _Rebuilt(rows, features, histories, 0)
    offsets, first_hour = zone_offsets(int(events.recv_ns.min()), int(events.recv_ns.max()))
    found, status = walk_to(
        builder.code, row, events, tick_nos, offsets, first_hour, rows, features, histories
    )
    if status != b.OK:
        event_no, reason = int(events.event_no[found]), b.UpdateStatus(status).name
        raise SessionError(f"{session.ticker}: event {event_no} does not fit the book: {reason}")
    offsets_ms = clock_offsets_ms(events, session.clock_offsets)
    at = np.searchsorted(events.event_no, tick_nos[:found])
    rows[:found, b.CLOCK_OFFSET_MS] = offsets_ms[at]
    return _Rebuilt(rows, features, histories, found)


def _plain(
    market: LiveMarket, event_no: int, what: str, recorded: object, rebuilt: object
) -> DecisionDifference:
    return DecisionDifference(market.session.ticker, event_no, what, str(recorded), str(rebuilt))


def _check_histories(market: LiveMarket, run: ActorRun, made: _Rebuilt, report: Report) -> None:
    """A run begins with no history; later the number of ticks before must be the recorded one."""
    for i in np.flatnonzero(run.histories[: made.found] != made.histories[: made.found]):
        counts = int(run.histories[i]), int(made.histories[i])
        report.differs(_plain(market, int(run.tick_nos[i]), "ticks before", *counts))


class _Check:
    """One decision."""

    def __init__(
        self,
        market: LiveMarket,
        space: LimitOrderActionSpace,
        policies: Mapping[str, Policy],
        report: Report,
        decision: ActorAction,
        builder: Builder,
    ) -> None:
        self._market = market
        self._space = space
        self._policies = policies
        self._report = report
        self._decision = decision
        self._builder = builder

    def run(self, made: _Rebuilt, places: Mapping[int, int]) -> None:
        """Compare observation, mask and action."""
        decision, report = self._decision, self._report
        report.decisions += 1
        if not decision.observation_hash:
            report.without_account += 1
            return
        at = places.get(decision.event_no)
        account = self._market.accounts.get(decision.account_version)
        size = len(decision.observation)
        if size and size != 4 * self._builder.size:
            self._differs("observation", f"{size} bytes", self._expected(size))
        elif at is None:
            self._differs("tick", "decided on", "not among the ticks")
        elif account is None:
            self._differs("account", f"version {decision.account_version}", "no such version")
        else:
            self._compare(made.features[at], made.rows[at], account)

    def age(self, made: _Rebuilt, places: Mapping[int, int], max_ms: int | None) -> None:
        """A decision stands on data that passed the gate on old data."""
        at = places.get(self._decision.event_no)
        if at is not None and max_ms is not None:
            age_ms = b.data_age_ms(made.rows[at])
            if age_ms > max_ms:
                self._differs("data age", "decided on", f"{age_ms} ms old, at most {max_ms} ms")

    def _expected(self, size: int) -> str:
        """Why an observation of so many bytes is not one of the builder's."""
        if size in _BY_BYTES:
            name = self._builder.schema.name
            return f"{4 * self._builder.size} bytes of {name}, the schema of {self._decision.model}"
        known = ", ".join(f"{name} {4 * builder.size}" for name, builder in BUILDERS.items())
        return f"by none of the schemas: {known} bytes"

    def _compare(self, features: npt.NDArray[np.float32], row: b.Row, account: AccountRow) -> None:
        decision, observation = self._decision, np.zeros(self._builder.size, np.float32)
        observe_account(self._builder.code, features, row, account, observation)
        hashed, mask = observation_hash(observation), self._space.mask(row, account)
        if hashed != decision.observation_hash:
            self._report.differs(self._named(observation, hashed))
        if tuple(mask.tolist()) != decision.mask:
            self._differs("mask", decision.mask, tuple(mask.tolist()))
        action = self._action(observation, mask, row, account)
        if action != decision.action:
            self._differs("action", decision.action_name, action.name)

    def _named(self, observation: npt.NDArray[np.float32], hashed: str) -> DecisionDifference:
        """An observation's difference, by the names of its features where they are recorded."""
        decision = self._decision
        seen = np.frombuffer(decision.observation, np.dtype("<f4"))
        apart: tuple[tuple[str, float, float], ...] = ()
        if len(seen) == self._builder.size:
            numbers = np.flatnonzero(seen.view(np.int32) != observation.view(np.int32))
            names = self._builder.schema.names
            apart = tuple((names[i], float(seen[i]), float(observation[i])) for i in numbers)
        return DecisionDifference(
            self._market.session.ticker,
            decision.event_no,
            "observation",
            decision.observation_hash,
            hashed,
            apart,
        )

    def _action(
        self,
        observation: npt.NDArray[np.float32],
        mask: npt.NDArray[np.bool_],
        row: b.Row,
        account: AccountRow,
    ) -> Action:
        """By the model itself where it is available, else by the recorded logits."""
        decision = self._decision
        if decision.reason == LEAVING:  # the policy was not asked, and its pricing not used
            return exit_action(account)
        if not decision.logits:
            return Action.HOLD
        logits = np.array([decision.logits], np.float32)
        policy = self._policies.get(decision.model_hash)
        if policy is not None:
            self._report.recomputed += 1
            made = policy.decide(observation[None], mask[None]).logits
            apart = float(np.abs(made - logits).max())
            self._report.max_logit_difference = max(self._report.max_logit_difference, apart)
            logits = made
        best = int(masked_argmax(logits, mask[None])[0])
        order = self._space.order_for(best, row, account) if mask[best] else None
        return Action.HOLD if order is None else order.action

    def _differs(self, what: str, recorded: object, rebuilt: object) -> None:
        self._report.differs(_plain(self._market, self._decision.event_no, what, recorded, rebuilt))
