"""Decisions rebuilt from a recording: the same where nothing was touched, named where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from support.model_sessions import SessionBuilder, random_session

from ipc import account_table as a
from ipc.account_table import OpenOrder, new_account, put_orders, row_of_words, words_of
from ipc.messages import ActorAction
from models.observation.builder import OBSERVATION_V1, LiveObservationAdapter, observation_hash
from models.parity.rebuilding import ActorRun, LiveMarket, Report, rebuild
from models.policies.baselines import JoinBest, MarketMaker
from models.policies.interface import Policy
from models.simulation.tape import RecordedSession, SessionError, make_tape
from models.trading.actions import Action, LimitOrderActionSpace

SPACE = LimitOrderActionSpace("passive", 1_000)
POLICY: Policy = JoinBest()
SEES_QUEUES: Policy = MarketMaker()  # on OBSERVATION_V2
WARMUP = 10


def accounts() -> dict[int, a.AccountRow]:
    """Flat, long with an order, short: by version."""
    rows = {version: new_account(100_000_000) for version in (1, 2, 3)}
    for version, position_e2 in ((2, 700), (3, -300)):
        rows[version][a.POSITION_E2] = position_e2
        rows[version][a.COST_BASIS_E6] = abs(position_e2) * 5_000
    put_orders(rows[2], [OpenOrder(False, 0, 6_000, 700, 1, 4_200)])
    for version, row in rows.items():
        row[a.ACCOUNT_VERSION] = version
    return rows


def decided(session: RecordedSession, policy: Policy = POLICY) -> LiveMarket:
    """What the actor would have recorded of a session, by its own adapter."""
    tape, known = make_tape(session, builder=policy.builder), accounts()
    adapter = LiveObservationAdapter(policy.builder)
    decisions, histories = [], []
    for t, row in enumerate(tape.rows):
        histories.append(adapter.tick("M", row))
        version = 1 + t % 3
        observation = adapter.observe("M", row, known[version])
        mask = SPACE.mask(row, known[version])
        asked = histories[-1] >= WARMUP
        answer = policy.decide(observation[None], mask[None])
        best = int(answer.actions[0]) if asked else 0
        order = SPACE.order_for(best, row, known[version])
        action = order.action if order is not None else Action.HOLD
        decisions.append(
            action_of(
                event_no=int(session.events["event_no"][tape.tick_event[t]]),
                account_version=version,
                observation=observation.tobytes(),
                observation_hash=observation_hash(observation),
                logits=tuple(answer.logits[0].tolist()) if asked else (),
                mask=tuple(mask.tolist()),
                action=int(action),
                action_name=action.name,
                model=policy.model,
                model_hash=policy.model_hash,
            )
        )
    tick_nos = np.array([d.event_no for d in decisions], np.int64)
    life = ActorRun(tick_nos, np.array(histories, np.int64), decisions)
    return LiveMarket(session, [life], known)


def action_of(**facts: Any) -> ActorAction:
    """A record of a decision."""
    times = ("decided_ns", "recv_ns", "frame_mono_ns", "written_mono_ns", "woken_mono_ns")
    known: dict[str, Any] = {
        **dict.fromkeys((*times, "decided_mono_ns"), 0),
        "session_uid": "s",
        "market_ticker": "M",
        "reason": "policy",
        "intent_id": None,
        "model": POLICY.model,
        "model_hash": POLICY.model_hash,
        "value": None,
    }
    return ActorAction(**(known | facts))


def report_of(market: LiveMarket, policies: bool = True) -> Report:
    report = Report()
    known = {policy.model_hash: policy for policy in (POLICY, SEES_QUEUES)}
    rebuild(market, SPACE, known if policies else {}, report)
    return report


def changed(market: LiveMarket, at: int, **facts: Any) -> LiveMarket:
    """One decision recorded otherwise."""
    life = market.runs[0]
    decisions = list(life.decisions)
    decisions[at] = replace(decisions[at], **facts)
    return market._replace(runs=[life._replace(decisions=decisions)])


@pytest.fixture(scope="module")
def market() -> LiveMarket:
    return decided(random_session(5))


def test_everything_is_the_same(market: LiveMarket) -> None:
    report = report_of(market)
    assert (report.different, report.without_account) == (0, 0)
    assert report.decisions == report.ticks > 200
    assert report.recomputed > 190
    assert report.max_logit_difference == 0.0
    actions = {d.action for d in market.runs[0].decisions}
    assert actions == {0, 1, 2, 3, 4} - {0} | {0}, "every action was checked"


def test_without_the_model_the_recorded_logits_decide(market: LiveMarket) -> None:
    report = report_of(market, policies=False)
    assert (report.different, report.recomputed) == (0, 0)


@pytest.mark.parametrize("number", [0, 6, 30, 43, 49])
def test_a_feature_that_differs_is_named(market: LiveMarket, number: int) -> None:
    at = 40
    seen = np.frombuffer(market.runs[0].decisions[at].observation, np.float32).copy()
    seen[number] = np.nextafter(seen[number], np.float32(2))
    facts = {"observation": seen.tobytes(), "observation_hash": observation_hash(seen)}
    report = report_of(changed(market, at, **facts))
    (difference,) = report.first
    assert difference.what == "observation"
    assert [name for name, _, _ in difference.features] == [OBSERVATION_V1.names[number]]
    assert OBSERVATION_V1.names[number] in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("ahead_e2", "named"),
    [(4_201, ["queue_ahead"]), (a.UNKNOWN_AHEAD, ["queue_ahead", "queue_known"])],
)
def test_a_place_in_the_queue_that_is_not_the_recorded_one_is_named(
    ahead_e2: int, named: list[str]
) -> None:
    market = decided(random_session(5), SEES_QUEUES)
    assert report_of(market).different == 0
    account = market.accounts[2].copy()
    account[a.ORDERS + a.ORDER_AHEAD_E2] = ahead_e2
    report = report_of(market._replace(accounts={**market.accounts, 2: account}))
    read = sum(d.account_version == 2 for d in market.runs[0].decisions)
    assert report.different == read > 50
    for difference in report.first:
        assert [name for name, _, _ in difference.features] == named


def test_an_observation_of_a_schema_that_is_no_more_is_said() -> None:
    market = decided(random_session(5), SEES_QUEUES)
    report = report_of(
        changed(market, 40, observation=market.runs[0].decisions[40].observation[8:])
    )
    (difference,) = report.first
    said = difference.lines()
    assert said == [
        f"R5 event {difference.event_no}: observation: recorded 148 bytes, rebuilt by none of the "
        "schemas: OBSERVATION_V1 208, OBSERVATION_V2 156, OBSERVATION_V3 192 bytes"
    ]


def test_the_model_says_its_schema_where_no_observation_is_recorded() -> None:
    market = decided(random_session(5), SEES_QUEUES)
    run = market.runs[0]
    bare = [replace(decision, observation=b"") for decision in run.decisions]
    market = market._replace(runs=[run._replace(decisions=bare)])
    assert report_of(market).different == 0
    assert report_of(market, policies=False).different > 0, "taken to be of the default schema"


def test_an_observation_of_another_schema_than_its_model_s_is_said(market: LiveMarket) -> None:
    (difference,) = report_of(changed(market, 40, observation=bytes(4 * 39))).first
    assert (difference.recorded, difference.rebuilt) == (
        "156 bytes",
        f"208 bytes of OBSERVATION_V1, the schema of {POLICY.model}",
    )


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"account_version": 9}, "account"),
        ({"event_no": 2}, "tick"),
        ({"mask": (True,) * 4 + (False,)}, "mask"),
        ({"action": 99, "action_name": "NINE"}, "action"),
        ({"logits": ()}, "action"),
    ],
    ids=str,
)
def test_whatever_else_differs_is_reported(market: LiveMarket, facts: Any, what: str) -> None:
    chosen = [d.action != 0 and d.mask[4] for d in market.runs[0].decisions]
    report = report_of(changed(market, chosen.index(True, WARMUP), **facts))
    assert what in {difference.what for difference in report.first}


def test_a_tick_without_its_event(market: LiveMarket) -> None:
    cut = replace(market.session, events=market.session.events[:-200])
    report = report_of(market._replace(session=cut))
    assert report.first[0].rebuilt == "no such event"


def test_another_number_of_ticks_before(market: LiveMarket) -> None:
    life = market.runs[0]
    histories = life.histories.copy()
    histories[17] += 1
    report = report_of(market._replace(runs=[life._replace(histories=histories)]))
    assert [d.what for d in report.first] == ["ticks before"]


def test_decisions_without_an_account_are_counted(market: LiveMarket) -> None:
    report = report_of(changed(market, 3, observation_hash="", observation=b""))
    assert (report.different, report.without_account) == (0, 1)


def test_a_snapshot_between_begins_a_new_history() -> None:
    builder = SessionBuilder().snapshot({40: 10}, {50: 10})
    for n in range(8):
        builder.at(300 * (n + 1)).delta(0, 40, 1)
    builder.at(3_000).snapshot({41: 10}, {50: 10})
    builder.at(3_400).delta(0, 41, 1)
    market = decided(builder.build())
    assert market.runs[0].histories.tolist() == [*range(9), 0, 1]
    assert report_of(market).different == 0


def test_every_run_of_the_actor_begins_without_history(market: LiveMarket) -> None:
    life = market.runs[0]
    later = decided(market.session).runs[0]
    cut = 120
    histories = np.concatenate([np.arange(len(later.tick_nos) - cut)])
    second = ActorRun(later.tick_nos[cut:], histories.astype(np.int64), [])
    report = report_of(market._replace(runs=[life, second]))
    assert report.different == 0


def test_an_event_that_does_not_fit_is_an_error(market: LiveMarket) -> None:
    events = market.session.events.copy()
    deltas = np.flatnonzero(events["kind"] == 4)
    events["count_e2"][deltas[50]] = -10_000_000
    with pytest.raises(SessionError, match="does not fit the book: NEGATIVE"):
        report_of(market._replace(session=replace(market.session, events=events)))


def test_a_row_and_its_words() -> None:
    for row in accounts().values():
        words = words_of(row)
        assert len(words) == a.ORDERS - 1 + a.ORDER_WORDS * int(row[a.N_ORDERS])
        assert (row_of_words(words) == row).all()


def test_words_of_an_earlier_layout_say_no_place_in_a_queue() -> None:
    row = new_account(1)
    put_orders(row, [OpenOrder(False, 0, 6_000, 700, 1, 0)] * 2)
    read = row_of_words(words_of(row), a.LAYOUT_WITHOUT_QUEUE)
    assert (read != row).nonzero()[0].tolist() == [
        a.ORDERS + a.ORDER_AHEAD_E2,
        a.ORDERS + a.ORDER_WORDS + a.ORDER_AHEAD_E2,
    ]
    assert read[a.ORDERS + a.ORDER_AHEAD_E2] == a.UNKNOWN_AHEAD
    with pytest.raises(ValueError, match="account row of layout 3, this program reads 1 and 2"):
        row_of_words(words_of(row), 3)
