from __future__ import annotations

import numpy as np
import pytest
from support.logged import Logged
from support.model_builders import SECOND, book

from ipc import book as b
from ipc.account_table import new_account
from models.observation.builder import BUILDERS, DEFAULT, LiveObservationAdapter, observation_hash
from models.policies.baselines import RandomChoice
from models.policies.interface import Decisions
from models.trading.actions import N_ACTIONS, Action, LimitOrderActionSpace, masked_argmax
from processes.inference.decide import BATCH, Decider, DecisionRequest, Reason, TickHistories
from processes.runtime.config import ConfigError


class Wants:
    """A policy with given logits, that notes what it was asked."""

    model = "test:wants"
    model_hash = "0"
    builder = DEFAULT

    def __init__(self, *logits: float, value: float | None = None) -> None:
        self.logits = logits
        self.value = value
        self.asked: list[np.ndarray] = []

    def decide(self, observations, masks):
        self.asked.append(observations.copy())
        logits = np.tile(np.array(self.logits, np.float32), (len(observations), 1))
        values = None if self.value is None else np.full(len(logits), self.value, np.float32)
        return Decisions(masked_argmax(logits, masks), logits, values)


class Breaks:
    """A policy that fails."""

    model = "test:breaks"
    model_hash = "0"
    builder = DEFAULT

    def decide(self, *_):
        raise RuntimeError("no answer")


BUY_YES = (0.0, 5.0, 1.0, 2.0, 3.0)


def decider(policy, **settings) -> Decider:
    standard = {
        "enabled": True,
        "warmup_ticks": 0,
        "pricing": "aggressive",
        "contract_size_e2": 1_000,
        "log": Logged(),
    }
    return Decider(policy, TickHistories([policy.builder]), **(standard | settings))


def request(
    made: Decider, ticker: str = "A", history: int = 0, account: bool = True
) -> DecisionRequest:
    row = book({45: 100}, {52: 50})
    made.adapter.tick(ticker, row)
    return DecisionRequest(ticker, row, new_account(100_000_000) if account else None, history)


def test_the_policy_decides_and_the_order_is_the_action_spaces():
    made = decider(Wants(*BUY_YES, value=0.25))
    asked = request(made)
    (decision,) = made.decide([asked])
    expected = LimitOrderActionSpace().order_for(1, asked.tick_row, asked.account)
    assert (decision.action, decision.reason) == (Action.BUY_YES_LIMIT, Reason.POLICY)
    assert decision.order == expected
    assert decision.logits == BUY_YES
    assert decision.value == 0.25
    assert decision.mask == (True, True, False, True, False)


def test_the_hash_is_of_the_observation_that_the_policy_saw():
    policy = Wants(*BUY_YES)
    made = decider(policy)
    asked = request(made)
    (decision,) = made.decide([asked])
    alone = LiveObservationAdapter()
    alone.tick("A", asked.tick_row)
    expected = alone.observe("A", asked.tick_row, asked.account)
    assert np.array_equal(policy.asked[-1][0], expected)
    assert decision.observation_hash == observation_hash(expected)


def test_hold_by_choice_and_hold_by_mask_differ_in_their_reason():
    made = decider(Wants(9.0, 0.0, 0.0, 0.0, 0.0))
    assert made.decide([request(made)])[0].reason is Reason.POLICY_HOLD
    made = decider(Wants(0.0, -1.0, 9.0, -1.0, -1.0))  # nothing is held that could be sold
    (decision,) = made.decide([request(made)])
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.MASKED)
    assert decision.order is None


def test_warming_up_holds_without_asking_but_shows_what_it_saw():
    policy = Wants(*BUY_YES)
    made = decider(policy, warmup_ticks=10)
    cold, warm = request(made, "A", history=9), request(made, "B", history=10)
    first, second = made.decide([cold, warm])
    assert (first.reason, first.order, first.logits) == (Reason.WARMING_UP, None, ())
    assert len(first.observation_hash) == 16
    assert first.mask[Action.BUY_YES_LIMIT]
    assert second.reason is Reason.POLICY
    assert [len(batch) for batch in policy.asked] == [1]


def test_an_unknown_account_holds_without_asking():
    policy = Wants(*BUY_YES)
    made = decider(policy)
    (decision,) = made.decide([request(made, account=False)])
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.ACCOUNT_UNKNOWN)
    assert (decision.mask, decision.observation_hash) == ((True, *[False] * 4), "")
    assert policy.asked == []


@pytest.mark.parametrize("account", [True, False])
def test_a_disabled_actor_does_not_ask_the_policy(account):
    policy = Wants(*BUY_YES)
    made = decider(policy, enabled=False)
    (decision,) = made.decide([request(made, history=99, account=account)])
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.DISABLED)
    assert policy.asked == []


@pytest.mark.parametrize(
    "policy",
    [
        Wants(0.0, float("nan"), 0.0, 0.0, 0.0),
        Wants(0.0, float("inf"), 0.0, 0.0, 0.0),
        Wants(*BUY_YES, value=float("nan")),
        Breaks(),
    ],
    ids=["nan", "inf", "value", "raises"],
)
def test_a_policy_that_gives_no_numbers_holds(policy):
    log = Logged()
    made = decider(policy, log=log)
    decisions = made.decide([request(made, "A"), request(made, "B")])
    assert {(d.action, d.reason, d.order) for d in decisions} == {
        (Action.HOLD, Reason.POLICY_FAULT, None)
    }
    assert made.faults == 2
    assert log.actions() == ["policy_fault"]
    assert all(len(d.observation_hash) == 16 for d in decisions)


def test_one_batch_for_all_and_each_gets_its_own_answer():
    policy = Wants(*BUY_YES)
    made = decider(policy, warmup_ticks=1)
    asked = []
    for i in range(BATCH):
        row = book({30 + i % 30: 100}, {30: 50})
        made.adapter.tick(f"M{i}", row)
        account = None if i % 7 == 3 else new_account(100_000_000)
        asked.append(DecisionRequest(f"M{i}", row, account, 0 if i % 5 == 2 else 1))
    together = made.decide(asked)
    assert len(policy.asked) == 1
    apart = [made.decide([one])[0] for one in asked]
    assert together == apart
    assert len({d.observation_hash for d in together}) > 25


def test_a_policy_gets_the_observations_of_its_own_schema():
    for name, builder in BUILDERS.items():
        policy = Wants(*BUY_YES)
        policy.builder = builder
        made = decider(policy)
        made.warm()
        policy.asked.clear()
        asked = request(made)
        (decision,) = made.decide([asked])
        adapter = LiveObservationAdapter(builder)
        adapter.tick("A", asked.tick_row)
        expected = adapter.observe("A", asked.tick_row, asked.account)
        assert policy.asked[0].tobytes() == expected.tobytes() == decision.observation, name
        assert len(decision.observation) == 4 * builder.schema.size


def test_a_seeded_strategy_repeats_itself():
    def run():
        made = decider(RandomChoice(7))
        return [made.decide([request(made)])[0].logits for _ in range(5)]

    assert run() == run()


def test_a_strategy_that_cannot_answer_does_not_start():
    with pytest.raises(ConfigError, match="RL_ACTOR_STRATEGY: test:breaks: no answer"):
        decider(Breaks()).warm()


def test_warming_everything_leaves_no_trace():
    policy = Wants(*BUY_YES)
    made = decider(policy)
    made.warm()
    assert [batch.shape for batch in policy.asked] == [(1, 52), (2, 52)]
    with pytest.raises(KeyError):
        made.adapter.observe("", book({45: 1}, {52: 1}), new_account(1))
    assert made.decide([request(made)])[0].mask == (True, True, False, True, False)
    assert len(policy.logits) == N_ACTIONS


ACCOUNT = new_account(100_000_000)


def ticks(count: int) -> list[b.Row]:
    """Rows of one life of a market, a second apart."""
    rows = []
    for n in range(count):
        row = book({45: 100 + n, 44: 7}, {52 - n % 2: 50})
        row[b.RECV_NS] += n * SECOND
        rows.append(row)
    return rows


def test_every_schema_sees_what_it_would_have_seen_alone():
    together = TickHistories(BUILDERS.values())
    alone = {name: LiveObservationAdapter(builder) for name, builder in BUILDERS.items()}
    for n, row in enumerate(ticks(12)):
        assert together.tick("A", row) == n
        for name, adapter in alone.items():
            adapter.tick("A", row)
            seen = together.of(BUILDERS[name]).observe("A", row, ACCOUNT)
            assert np.array_equal(seen, adapter.observe("A", row, ACCOUNT)), (name, n)


@pytest.mark.parametrize("forget", [lambda h: h.reset(), lambda h: h.forget("A")])
def test_what_is_forgotten_is_forgotten_in_every_schema(forget):
    histories = TickHistories(BUILDERS.values())
    for row in ticks(3):
        histories.tick("A", row)
    forget(histories)
    for builder in BUILDERS.values():
        with pytest.raises(KeyError):
            histories.of(builder).observe("A", row, ACCOUNT)
    assert histories.tick("A", row) == 0


def test_a_schema_that_was_not_named_has_no_history():
    others = [builder for builder in BUILDERS.values() if builder != DEFAULT]
    with pytest.raises(KeyError):
        TickHistories([DEFAULT]).of(others[0])
