"""Inference between real tables, journals and sockets: triggers in, ticks, decisions, intents."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from support.actor_rig import MARKET, STREAM, Rig, acting
from support.collector_process import CollectorProcess
from support.model_builders import NOON_NS

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountRow
from ipc.book_kernels import set_state
from ipc.clock import mono_ns
from ipc.journal import FramedReader, Kind, events_of, stream_folder
from ipc.messages import ActorAction, Doorbell, Intent, SessionEnded, SessionStarted, Tick
from ipc.sockets import Publisher
from models.actions import Action
from models.observation import LiveObservationAdapter, observation_hash
from models.policy import DEFAULT_MODEL
from processes.inference.decide import BATCH

YES = {45: 100, 44: 200}
NO = {52: 50, 50: 10}
MS = 1_000_000
BUYS = {"RL_ACTOR_STRATEGY": "baseline:join_best"}  # flat, it buys at every tick


async def started(rig: Rig, *tickers: str, uid: str = "c-1") -> None:
    """Execution knows the markets, the collector holds their books, the session is known."""
    rig.execute(*(tickers or (MARKET,)))
    collector = rig.collect(*tickers, uid=uid)
    await rig.bound(uid)
    for ticker in tickers or (MARKET,):
        collector.snapshot(0, YES, NO, ticker)


def decisions(rig: Rig) -> list[ActorAction]:
    return [m for m in rig.journal() if isinstance(m, ActorAction)]


def ticks(rig: Rig) -> list[Tick]:
    return [m for m in rig.journal() if isinstance(m, Tick)]


# What leaves


async def test_every_tick_is_decided_published_and_recorded(tmp_path):
    async with acting(tmp_path) as rig:
        await started(rig)
        actions = []
        for at_ms in range(250, 5_250, 250):
            rig.collector.tick(at_ms)
            actions.append(await rig.action())
        head, *records = rig.journal()
        assert isinstance(head, SessionStarted)
        assert head.session_uid == STREAM
        assert records[1::2] == actions
        assert [(t.session_uid, t.market_ticker, t.event_no) for t in records[::2]] == [
            ("c-1", MARKET, action.event_no) for action in actions
        ]
        assert [t.history for t in records[::2]] == list(range(20))
        assert {action.reason for action in actions} >= {"policy", "policy hold"}
        assert len({action.logits for action in actions}) == 20
        assert {action.account_version for action in actions} == {7}
        assert rig.service.counters["decisions"] == 20


async def test_every_action_but_hold_becomes_an_intent_after_it_is_recorded(tmp_path):
    async with acting(tmp_path, RL_ACTOR_INTENT_DEADLINE_MS="300") as rig:
        await started(rig)
        found: list[tuple[ActorAction, Intent]] = []
        for at_ms in range(250, 5_250, 250):
            rig.collector.tick(at_ms)
            action = await rig.action()
            if action.intent_id is None:
                assert action.action == Action.HOLD
                continue
            intent = await rig.execution.intent()
            assert action in rig.journal()
            found.append((action, intent))
        assert len({intent.intent_id for _, intent in found}) == len(found) > 5
        for action, intent in found:
            shared = set(intent.__struct_fields__) & set(action.__struct_fields__)
            assert {f: getattr(intent, f) for f in shared} == {
                f: getattr(action, f) for f in shared
            }
            assert intent.deadline_mono_ns == action.decided_mono_ns + 300 * MS
            assert intent.count_e2 == 1_000
        assert rig.service.counters["intents"] == len(found)


async def test_hop_times_rise_from_frame_to_decision(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        before = mono_ns()
        rig.collector.tick(250)
        action = await rig.action()
        hops = (action.frame_mono_ns, action.written_mono_ns, action.woken_mono_ns)
        assert [before, *hops, action.decided_mono_ns, mono_ns()] == sorted(
            [before, *hops, action.decided_mono_ns, mono_ns()]
        )
        assert action.recv_ns == NOON_NS + 250 * MS
        assert action.decided_ns == NOON_NS  # the manual clock of market time


async def test_the_recorder_is_rung(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        rig.collector.flush()
        await rig.action()
        assert await rig.rung() == Doorbell(stream=f"inference/{STREAM}")


async def test_a_clean_stop_closes_the_journal(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        rig.collector.flush()
        action = await rig.action()
    assert rig.journal()[-1] == SessionEnded(ended_ns=NOON_NS, event_no=action.event_no)


@pytest.mark.skipif(not (DEFAULT_MODEL / "policy.onnx").exists(), reason="no model is shipped")
async def test_the_shipped_model_decides_with_logits_that_vary(tmp_path):
    async with acting(tmp_path, RL_ACTOR_STRATEGY="onnx:default") as rig:
        await started(rig, MARKET, "KXTEST-OTHER")
        actions = []
        for step in range(1, 9):
            rig.collector.delta(250 * step, b.YES, 45, 37 * step)
            rig.collector.delta(250 * step, b.NO, 52, 11 * step, "KXTEST-OTHER")
            rig.collector.flush()
            actions += await rig.actions(2)
        assert {action.model for action in actions} == {"onnx:default"}
        assert len({action.logits for action in actions}) > 8
        assert all(action.value is not None for action in actions)


# Ticks


async def test_ticks_are_a_throttle_of_market_time_apart(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        for at_ms in (0, 100, 249, 250, 251, 499, 500, 1_700, 1_949, 1_950):
            rig.collector.tick(at_ms)
            await asyncio.sleep(0.01)
        actions = await rig.actions(5)
        assert [(x.recv_ns - NOON_NS) // MS for x in actions] == [0, 250, 500, 1_700, 1_950]
        rig.nothing_more()


async def test_a_burst_is_one_decision_on_the_newest_tick(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        for at_ms in range(250, 10_250, 250):  # 40 triggers, and nothing runs in between
            rig.collector.tick(at_ms)
        action = await rig.action()
        assert action.recv_ns == NOON_NS + 10_000 * MS
        assert (await rig.counted("missed_ticks", 39))["decisions"] == 1
        rig.nothing_more()


async def test_all_markets_due_are_decided_together(tmp_path):
    tickers = [f"KXTEST-{i}" for i in range(BATCH + 6)]
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig, *tickers)
        rig.collector.flush()
        actions = await rig.actions(len(tickers))
        assert [action.market_ticker for action in actions] == tickers
        assert len({action.woken_mono_ns for action in actions}) == 1
        assert len({action.decided_mono_ns for action in actions}) == 2
        assert len(ticks(rig)) == len(tickers)


async def test_only_chosen_markets_are_decided_but_all_tick(tmp_path):
    config = {"RL_ACTOR_TARGET_MARKET_MODE": "config", "RL_ACTOR_MARKET_TICKERS": "B"}
    async with acting(tmp_path, **BUYS, **config) as rig:
        await started(rig, "A", "B", "C")
        rig.collector.flush()
        assert (await rig.action()).market_ticker == "B"
        rig.nothing_more()
        assert [tick.market_ticker for tick in ticks(rig)] == ["A", "B", "C"]


async def test_what_was_evaluated_is_not_evaluated_again(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        rig.collector.flush()
        await rig.action()
        rig.collector.announce_again()
        rig.collector.tick(250)
        assert (await rig.action()).recv_ns == NOON_NS + 250 * MS
        assert rig.service.counters["ticks"] == 2


async def test_a_lost_trigger_is_counted(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        rig.collector.flush()
        await rig.action()
        rig.publisher.sent += 3  # as if three messages had not come through
        rig.collector.tick(250)
        await rig.counted("trigger_gaps", 3)


# Gates


@pytest.mark.parametrize(
    ("state", "flags", "gate"),
    [
        (b.STALE, 0, "stale"),
        (b.LIVE, b.UNRECORDED, "unrecorded"),
        (b.LIVE, b.CLOSED, "closed"),
        (b.EMPTY, 0, "empty"),
    ],
)
async def test_nothing_is_decided_on_a_book_that_is_no_longer_good(tmp_path, state, flags, gate):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        set_state(rig.collector.table.live, rig.collector.rows[MARKET], state, flags)
        rig.collector.flush()
        counters = await rig.counted(f"gated_{gate}")
        assert (counters["ticks"], counters["decisions"], counters["intents"]) == (1, 0, 0)
        assert len(ticks(rig)) == 1
        assert decisions(rig) == []
        rig.nothing_more()


async def test_an_empty_book_does_not_tick(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig, "FULL")
        rig.collector.add("EMPTY")
        rig.collector.announce_again("EMPTY")
        rig.collector.flush()
        assert (await rig.action()).market_ticker == "FULL"
        assert [tick.market_ticker for tick in ticks(rig)] == ["FULL"]


async def test_a_refused_event_neither_ticks_nor_is_decided(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        rig.collector.flush()
        await rig.action()
        row = rig.collector.rows[MARKET]
        set_state(rig.collector.table.live, row, b.LIVE, b.UNRECORDED)
        assert not rig.collector.delta(250, b.YES, 45, 1)
        rig.collector.announce_again()
        assert rig.collector.snapshot(500, YES, NO)  # heals
        rig.collector.flush()
        assert (await rig.action()).recv_ns == NOON_NS + 500 * MS
        assert [(t.recv_ns - NOON_NS) // MS for t in ticks(rig)] == [0, 500]
        assert ticks(rig)[-1].history == 0  # what a hole interrupted starts anew


async def test_a_collector_that_stands_still_decides_nothing(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        collector, rig.collector = rig.collector, None  # its heart stops
        collector.table.heartbeat(mono_ns() - 3_000 * MS)
        collector.triggers.flush()
        counters = await rig.counted("gated_writer_stopped")
        assert counters["decisions"] == 0
        collector.tick(250)  # it moves again
        assert (await rig.action()).reason == "policy"
        collector.close()


async def test_a_busy_row_is_read_at_its_next_trigger(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        frozen = rig.collector.table.frozen[rig.collector.rows[MARKET]]
        frozen[b.VERSION] += 1  # stopped in mid-write
        rig.collector.flush()
        assert (await rig.counted("busy"))["ticks"] == 0
        frozen[b.VERSION] += 1
        rig.collector.announce_again()
        assert (await rig.action()).recv_ns == NOON_NS
        assert rig.service.counters["missed_ticks"] == 0


async def test_an_unknown_account_holds(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = rig.collect()
        await rig.bound()
        collector.snapshot(0, YES, NO)
        collector.flush()
        held = [await rig.action()]  # execution never started
        execution = rig.execute()
        await rig.counted("decisions", 1)
        for change in (lambda: None, lambda: (execution.knows(), execution.table.forget_all())):
            change()  # it does not know this market; it has forgotten it
            collector.tick(250 * (len(held)))
            held.append(await rig.action())
        execution.knows()
        collector.tick(750)
        known = await rig.action()
        rig.execution = None  # its heart stops
        execution.table.heartbeat(mono_ns() - 3_000 * MS)
        collector.tick(1_000)
        held.append(await rig.action())
        assert {(x.action, x.reason, x.intent_id) for x in held} == {(0, "account unknown", None)}
        assert (known.reason, known.account_version) == ("policy", 7)
        assert rig.service.counters["intents"] == 1
        execution.close()


async def test_a_disabled_actor_ticks_and_holds(tmp_path):
    async with acting(tmp_path, **BUYS, RL_ACTOR_ENABLED="false") as rig:
        await started(rig)
        for at_ms in (0, 250, 500):
            rig.collector.tick(at_ms)
            action = await rig.action()
            assert (action.reason, action.intent_id, action.logits) == ("disabled", None, ())
        assert [tick.history for tick in ticks(rig)] == [0, 1, 2]


async def test_decisions_wait_for_their_history(tmp_path):
    async with acting(tmp_path, **BUYS, RL_ACTOR_WARMUP_TICKS="3") as rig:
        await started(rig)
        reasons = []
        for at_ms in range(0, 1_250, 250):
            rig.collector.tick(at_ms)
            reasons.append((await rig.action()).reason)
        assert reasons == ["warming up"] * 3 + ["policy"] * 2


# What is refused


async def test_what_the_journal_refuses_is_not_acted_on_and_not_history(tmp_path):
    async with acting(tmp_path, journal_bytes=6_000, **BUYS) as rig:
        await started(rig)
        at_ms = 0
        while not rig.service.counters["journal_refused"]:
            at_ms += 250
            rig.collector.tick(at_ms)
            await rig.until(lambda c, n=at_ms // 250: c["ticks"] + c["journal_refused"] == n)
        recorded = decisions(rig)
        assert await rig.actions(len(recorded)) == recorded
        rig.nothing_more()
        assert rig.service.counters["intents"] == len(recorded)
        assert ("refusing", {"who": "journal"}) in rig.log.lines

        reader = FramedReader(stream_folder(tmp_path, "inference", STREAM))
        reader.remove_before(reader.read(0)[1])  # the recorder made room
        rig.collector.tick(at_ms + 250)
        action = await rig.action()
        assert action.reason == "policy"
        position = tmp_path.glob("journal/inference/*/marks-*.log")
        first = min(int(p.stem.rpartition("-")[2]) for p in position)
        (tick,) = [
            m
            for m in reader.read(first)[0]
            if isinstance(m, Tick) and m.event_no == action.event_no
        ]
        assert tick.history == 0


async def test_intents_that_nobody_takes_are_counted_and_said_once(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        rig.execute(MARKET, pulls=False)
        rig.collect().snapshot(0, YES, NO)
        await rig.bound()
        for at_ms in range(250, 1_500, 250):
            rig.collector.tick(at_ms)
            assert (await rig.action()).reason == "policy"
        assert rig.service.counters["refused"] == 5
        assert rig.log.lines.count(("refusing", {"who": "execution"})) == 1


# Other lives


async def test_a_restarted_collector_is_another_session_without_history(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await started(rig)
        for at_ms in (250, 500):
            rig.collector.tick(at_ms)
            await rig.action()
        rig.collector.close()
        collector = rig.collect(uid="c-2")
        collector.snapshot(1_000, YES, NO)
        collector.flush()  # before its session is known
        await rig.bound("c-2")
        collector.tick(1_250)
        action = await rig.action()
        while action.recv_ns < NOON_NS + 1_250 * MS:
            action = await rig.action()
        assert {t.session_uid for t in ticks(rig)[2:]} == {action.session_uid} == {"c-2"}
        assert [t.history for t in ticks(rig)][:3] == [0, 1, 0]


async def test_a_killed_collectors_last_tick_is_not_decided_and_the_next_life_is(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        rig.execute(MARKET)
        first = CollectorProcess(tmp_path, "c-1")
        at_ms = 0
        while not rig.service.counters["decisions"]:
            first.tick(at_ms)
            at_ms += 250
            await asyncio.sleep(0.02)
        trigger = first.freeze(at_ms)
        first.kill()
        publisher = Publisher(rig.context, "collector", tmp_path, {}, 9)
        decided = rig.service.counters["decisions"]
        while not rig.service.counters.get("gated_writer_dead"):
            publisher.send("trigger", trigger)
            await asyncio.sleep(0.02)
        assert rig.service.counters["decisions"] == decided
        publisher.close()
        second = CollectorProcess(tmp_path, "c-2")
        while rig.service.counters["decisions"] == decided:
            second.tick(at_ms)
            at_ms += 250
            await asyncio.sleep(0.02)
        assert decisions(rig)[-1].session_uid == "c-2"
        assert next(t.history for t in ticks(rig) if t.session_uid == "c-2") == 0
        second.kill()


# Rebuilt from what was recorded


def rebuilt_rows(events: np.ndarray, grid_row: b.Row, wanted: set[int]) -> dict[int, b.Row]:
    """The row as of each wanted event, from the journal of the collector alone."""
    row, rows, begin = grid_row, {}, 0
    for i, event in enumerate(events):
        kind = event["kind"]
        if kind == Kind.SNAPSHOT_BEGIN:
            begin = i + 1
        elif kind == Kind.SNAPSHOT_END:
            levels = events[begin:i]
            columns = (levels["side"], levels["price"], levels["qty"])
            kinds = (np.uint8, np.int64, np.int64)
            arrays = [np.ascontiguousarray(c, k) for c, k in zip(columns, kinds, strict=True)]
            assert b.apply_snapshot(row, *arrays) == b.OK
            row[b.STATE], row[b.LIVE_EVENT_NO] = b.LIVE, event["event_no"]
        elif kind == Kind.DELTA:
            change = (int(event["side"]), int(event["price"]), int(event["qty"]))
            assert b.apply_delta(row, *change) == b.OK
        row[b.RECV_NS] = event["recv_ns"]
        if event["event_no"] in wanted:
            rows[int(event["event_no"])] = row.copy()
    return rows


async def test_every_observation_can_be_rebuilt_from_the_recording(tmp_path):
    random = np.random.default_rng(5)
    accounts: dict[int, AccountRow] = {}
    async with acting(tmp_path) as rig:
        await started(rig)
        for step in range(60):
            position, cash = int(random.integers(-50, 50)), int(random.integers(20, 100))
            accounts[step] = rig.execution.knows(MARKET, cash, position, version=step)
            at_ms = 130 * step
            if step % 25 == 24:
                levels = {int(c): int(n) for c, n in random.integers(1, 40, (6, 2))}
                rig.collector.snapshot(at_ms, levels, {40: 25, 52: 4})
            for _ in range(3):
                side, cents = int(random.integers(0, 2)), int(random.integers(30, 45))
                rig.collector.delta(at_ms, side, cents, int(random.integers(1, 90)))
            rig.collector.flush()
            await rig.counted("ticks", len(range(0, at_ms + 1, 260)))
        recorded = decisions(rig)
        history = {tick.event_no: tick.history for tick in ticks(rig)}
        events = np.concatenate(list(events_of(stream_folder(tmp_path, "collector", "c-1"))))
        market = b.new_row(1280, b.grid_of(rig.collector.table.live[rig.collector.rows[MARKET]]))

    rows = rebuilt_rows(events, market, {action.event_no for action in recorded})
    adapter = LiveObservationAdapter()
    for action in recorded:
        row, account = rows[action.event_no], accounts[action.account_version]
        assert account[a.ACCOUNT_VERSION] == action.account_version
        assert adapter.tick(MARKET, row) == history[action.event_no]
        observed = adapter.observe(MARKET, row, account)
        assert observation_hash(observed) == action.observation_hash
    assert len(recorded) == 30
    assert 0 in list(history.values())[1:]  # a snapshot began a history anew
