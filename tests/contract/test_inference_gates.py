"""Inference, where it must not decide: books and accounts that are not good, not known, not yet."""

from __future__ import annotations

import pytest
from support.actor_rig import BUYS, acting
from support.fake_collector import MARKET, MS
from support.model_builders import NOON_NS
from support.trading import trading_status

from ipc import book as b
from ipc.book_kernels import set_state
from ipc.messages import TradingState


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
        collector = await rig.start()
        set_state(collector.table.live, collector.rows[MARKET], state, flags)
        collector.flush()
        await rig.nothing_more()
        counters = rig.service.counters
        assert counters.get(f"gated_{gate}") == 1
        assert (counters["ticks"], counters["decisions"], counters["intents"]) == (1, 0, 0)
        assert len(rig.ticks()) == 1
        assert rig.decisions() == []


@pytest.mark.parametrize(
    ("state", "gate"),
    [
        (TradingState.PAUSED, "paused"),
        (TradingState.MAINTENANCE, "maintenance"),
        (TradingState.CLOSED, "closed"),
        (TradingState.UNKNOWN, "trading_unknown"),
    ],
)
async def test_nothing_is_decided_while_the_exchange_does_not_trade(tmp_path, state, gate):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        rig.publisher.send("trading", trading_status(state))
        collector.flush()
        await rig.nothing_more()
        assert rig.service.counters.get(f"gated_{gate}") == 1
        assert (len(rig.ticks()), rig.decisions()) == (1, [])
        rig.publisher.send("trading", trading_status())
        collector.tick(250)
        assert (await rig.action()).recv_ns == NOON_NS + 250 * MS


async def test_nothing_is_decided_in_a_market_that_is_paused_or_on_an_old_answer(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start("HALTED", "OPEN")
        markets = {"HALTED": TradingState.MARKET_PAUSED}
        rig.publisher.send("trading", trading_status(markets=markets))
        collector.flush()
        assert (await rig.action()).market_ticker == "OPEN"
        await rig.nothing_more()
        assert rig.service.counters.get("gated_market_paused") == 1
        rig.publisher.send("trading", trading_status(valid_until_mono_ns=1))
        collector.tick(250, "OPEN")
        await rig.nothing_more()
        assert rig.service.counters.get("gated_trading_unknown") == 1


async def test_nothing_is_decided_on_old_data_and_a_quiet_market_is_not_old(tmp_path):
    limit = {"RL_MAX_DATA_AGE_MS": "600000"}  # beyond what a busy machine takes to decide
    async with acting(tmp_path, **BUYS, **limit) as rig:
        collector = await rig.start()
        collector.flush()
        await rig.action()
        collector.tick(3_600_000)  # an hour without a frame
        assert (await rig.action()).recv_ns == NOON_NS + 3_600_000 * MS
        collector.table.live[:, b.CLOCK_OFFSET_MS] = 600_001  # as if it had come so late
        collector.tick(3_700_000)
        await rig.nothing_more()
        assert rig.service.counters.get("gated_old_data") == 1
        assert [d.recv_ns for d in rig.decisions()] == [NOON_NS, NOON_NS + 3_600_000 * MS]


async def test_nothing_is_decided_while_the_database_lags_too_far_behind(tmp_path):
    """The recorder's own report, over its own socket."""
    async with acting(tmp_path, RL_MAX_BEHIND_EVENTS="100", **BUYS) as rig:
        recorder, gate = rig.record(), rig.service._requests
        collector = await rig.start()
        await recorder.reports_until(lambda: not gate.is_persisted, behind=101, behind_ms=5)
        collector.flush()
        await rig.nothing_more()
        assert rig.service.counters["gated_unpersisted"] == 1
        assert rig.decisions() == []
        await recorder.reports_until(lambda: gate.is_persisted, behind=0, behind_ms=0)
        assert collector.snapshot(400)
        collector.flush()
        assert (await rig.action()).recv_ns == NOON_NS + 400 * MS


async def test_an_empty_book_does_not_tick(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start("FULL")
        collector.add("EMPTY")
        collector.announce_again("EMPTY")  # and FULL, for the first time
        assert (await rig.action()).market_ticker == "FULL"
        await rig.nothing_more()
        assert [tick.market_ticker for tick in rig.ticks()] == ["FULL"]
        assert rig.service.counters["stale"] == 0  # it was not even looked at


async def test_a_refused_event_neither_ticks_nor_is_decided(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        collector.flush()
        await rig.action()
        set_state(collector.table.live, collector.rows[MARKET], b.LIVE, b.UNRECORDED)
        assert not collector.delta(250, b.YES, 45, 1)
        collector.announce_again()
        await rig.nothing_more()
        assert collector.snapshot(400)  # heals; had 250 been a tick, this were none
        collector.flush()
        assert (await rig.action()).recv_ns == NOON_NS + 400 * MS
        assert [(t.recv_ns - NOON_NS) // MS for t in rig.ticks()] == [0, 400]
        assert rig.ticks()[-1].history == 0  # what a hole interrupted starts anew


async def test_a_collector_that_stands_still_decides_nothing(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        collector.stand_still()
        collector.flush()
        await rig.nothing_more()
        assert rig.service.counters.get("gated_writer_stopped") == 1
        collector.move()
        collector.tick(250)
        assert (await rig.action()).reason == "policy"


async def test_a_busy_row_is_read_at_its_next_trigger(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = await rig.start()
        tick_row = collector.table.tick_rows[collector.rows[MARKET]]
        tick_row[b.VERSION] += 1  # stopped in mid-write
        collector.flush()
        assert (await rig.counted("busy"))["ticks"] == 0
        tick_row[b.VERSION] += 1
        collector.announce_again()
        assert (await rig.action()).recv_ns == NOON_NS
        assert rig.service.counters["missed_ticks"] == 0


async def test_an_unknown_account_holds(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        collector = rig.collect()
        await rig.follow(collector.uid)
        collector.snapshot(0)
        collector.flush()
        held = {"execution never started": await rig.action()}
        execution = await rig.execute()
        collector.tick(250)
        held["it does not know this market"] = await rig.action()
        execution.knows()
        execution.table.forget_all()
        collector.tick(500)
        held["it has forgotten what it knew"] = await rig.action()
        execution.knows()
        collector.tick(750)
        known = await rig.action()
        execution.stand_still()
        collector.tick(1_000)
        held["its heart stopped"] = await rig.action()
        assert {why: (x.action, x.reason, x.intent_id) for why, x in held.items()} == dict.fromkeys(
            held, (0, "account unknown", None)
        )
        assert (known.reason, known.account_version) == ("policy", 7)
        assert rig.service.counters["intents"] == 1


async def test_a_disabled_actor_ticks_and_holds(tmp_path):
    async with acting(tmp_path, **BUYS, RL_ACTOR_ENABLED="false") as rig:
        collector = await rig.start()
        for at_ms in (0, 250, 500):
            collector.tick(at_ms)
            action = await rig.action()
            assert (action.reason, action.intent_id, action.logits) == ("disabled", None, ())
        assert [tick.history for tick in rig.ticks()] == [0, 1, 2]


async def test_decisions_wait_for_their_history(tmp_path):
    async with acting(tmp_path, **BUYS, RL_ACTOR_WARMUP_TICKS="3") as rig:
        collector = await rig.start()
        reasons = []
        for at_ms in range(0, 1_250, 250):
            collector.tick(at_ms)
            reasons.append((await rig.action()).reason)
        assert reasons == ["warming up"] * 3 + ["policy"] * 2
