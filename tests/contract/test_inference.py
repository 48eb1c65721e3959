"""Inference between real tables, journals and sockets: triggers in, ticks, decisions, intents."""

from __future__ import annotations

from support.actor_rig import BUYS, STREAM, acting
from support.fake_collector import MARKET, MS
from support.model_builders import NOON_NS

from ipc import book as b
from ipc.clock import mono_ns
from ipc.journal import FramedReader, stream_folder
from ipc.messages import ActorAction, Doorbell, Intent, SessionEnded, SessionStarted, Tick
from models.trading.actions import Action
from processes.inference.decide import BATCH

# What leaves


async def test_every_tick_is_decided_published_and_recorded(tmp_path):
    async with acting(tmp_path) as rig:
        collector = await rig.start()
        actions = []
        for at_ms in range(250, 5_250, 250):
            collector.tick(at_ms)
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


async def test_every_action_but_hold_becomes_an_intent(tmp_path):
    async with acting(tmp_path, RL_ACTOR_INTENT_DEADLINE_MS="300") as rig:
        collector = await rig.start()
        found: list[tuple[ActorAction, Intent]] = []
        for at_ms in range(250, 5_250, 250):
            collector.tick(at_ms)
            action = await rig.action()
            if action.intent_id is None:
                assert action.action == Action.HOLD
                continue
            found.append((action, await rig.intent()))
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
        collector = await rig.start()
        before = mono_ns()
        collector.tick(250)
        action = await rig.action()
        hops = [
            before,
            action.frame_mono_ns,
            action.written_mono_ns,
            action.woken_mono_ns,
            action.decided_mono_ns,
            mono_ns(),
        ]
        assert hops == sorted(hops)
        assert action.recv_ns == NOON_NS + 250 * MS
        assert action.decided_ns == NOON_NS  # the manual clock of market time


async def test_the_recorder_is_rung(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        ring = Doorbell(stream=f"inference/{STREAM}")
        assert await rig.rung() == ring  # the journal has its first record
        collector.flush()
        await rig.action()
        assert await rig.rung() == ring


async def test_a_clean_stop_closes_the_journal(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        collector.flush()
        action = await rig.action()
    assert rig.journal()[-1] == SessionEnded(ended_ns=NOON_NS, event_no=action.event_no)


async def test_the_shipped_model_decides_with_logits_that_vary(tmp_path):
    async with acting(tmp_path, RL_ACTOR_STRATEGY="onnx:default") as rig:
        collector = await rig.start(MARKET, "KXTEST-OTHER")
        actions = []
        for step in range(1, 9):
            collector.delta(250 * step, b.YES, 45, 37 * step)
            collector.delta(250 * step, b.NO, 52, 11 * step, "KXTEST-OTHER")
            collector.flush()
            actions += await rig.actions(2)
        assert {action.model for action in actions} == {"onnx:default"}
        assert len({action.logits for action in actions}) > 8
        assert all(action.value is not None for action in actions)


# Ticks


async def test_ticks_are_a_throttle_of_market_time_apart(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        for at_ms in (0, 100, 249, 250, 251, 499, 500, 1_700, 1_949, 1_950):
            collector.tick(at_ms)
            if at_ms in (0, 250, 500, 1_700, 1_950):
                assert (await rig.action()).recv_ns == NOON_NS + at_ms * MS
        await rig.nothing_more()
        assert rig.service.counters["missed_ticks"] == 0


async def test_a_burst_is_one_decision_on_the_newest_tick(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        for at_ms in range(250, 10_250, 250):  # 40 triggers, and nothing runs in between
            collector.tick(at_ms)
        action = await rig.action()
        assert action.recv_ns == NOON_NS + 10_000 * MS
        await rig.nothing_more()
        counters = rig.service.counters
        assert (counters["decisions"], counters["missed_ticks"]) == (1, 39)


async def test_all_markets_due_are_decided_together(tmp_path):
    tickers = [f"KXTEST-{i}" for i in range(BATCH + 6)]
    async with acting(tmp_path, **BUYS) as rig:
        first = await rig.start(*tickers)
        first.close()
        collector = rig.collect(*tickers, uid="c-2")
        for ticker in tickers:
            collector.snapshot(0, ticker)
        collector.flush()  # all wait for the session's name, however their triggers arrive
        await rig.follow("c-2")
        actions = await rig.actions(len(tickers))
        assert [action.market_ticker for action in actions] == tickers
        assert len({action.woken_mono_ns for action in actions}) == 1
        assert len({action.decided_mono_ns for action in actions}) == 2
        assert len(rig.ticks()) == len(tickers)


async def test_only_chosen_markets_are_decided_but_all_tick(tmp_path):
    config = {"RL_ACTOR_TARGET_MARKET_MODE": "config", "RL_ACTOR_MARKET_TICKERS": "B"}
    async with acting(tmp_path, **BUYS, **config) as rig:
        collector = await rig.start("A", "B", "C")
        collector.flush()
        assert (await rig.action()).market_ticker == "B"
        await rig.nothing_more()
        assert [tick.market_ticker for tick in rig.ticks()] == ["A", "B", "C"]


async def test_what_was_evaluated_is_not_evaluated_again(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        collector.flush()
        await rig.action()
        collector.announce_again()
        await rig.nothing_more()
        collector.tick(250)
        assert (await rig.action()).recv_ns == NOON_NS + 250 * MS
        assert rig.service.counters["ticks"] == 2


async def test_a_lost_trigger_is_counted(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        collector.flush()
        await rig.action()
        rig.publisher.sent += 3  # as if three messages had not come through
        collector.tick(250)
        await rig.action()
        assert rig.service.counters["trigger_gaps"] == 3


# What is refused


async def test_what_the_journal_refuses_is_not_acted_on_and_not_history(tmp_path):
    async with acting(tmp_path, journal_bytes=6_000, **BUYS) as rig:
        collector = await rig.start()
        for at_ms in range(250, 10_250, 250):
            collector.tick(at_ms)
            await rig.until(lambda c, n=at_ms // 250: c["ticks"] + c["journal_refused"] == n)
            if rig.service.counters["journal_refused"]:
                break
        assert rig.service.counters["journal_refused"] == 1
        recorded = rig.decisions()
        assert await rig.actions(len(recorded)) == recorded
        await rig.nothing_more()
        assert rig.service.counters["intents"] == len(recorded) > 0
        assert rig.log.has("actions_refused", by="journal")

        reader = FramedReader(stream_folder(tmp_path, "inference", STREAM))
        end = reader.read(0)[1]
        reader.remove_before(end)  # the recorder made room
        collector.tick(at_ms + 250)
        action = await rig.action()
        assert action.reason == "policy"
        tick, decision = reader.read(end)[0]
        assert decision == action
        assert isinstance(tick, Tick)
        assert tick.history == 0


async def test_intents_that_nobody_takes_are_counted_and_said_once(tmp_path):
    async with acting(tmp_path, pulls=False, **BUYS) as rig:
        collector = await rig.start()
        for at_ms in range(250, 1_500, 250):
            collector.tick(at_ms)
            assert (await rig.action()).reason == "policy"
        assert rig.service.counters["refused"] == 5
        assert rig.log.lines.count(("actions_refused", {"by": "execution"})) == 1
