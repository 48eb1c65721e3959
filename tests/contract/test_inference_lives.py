"""Inference across the lives of others, and its decisions rebuilt from what was recorded."""

from __future__ import annotations

import numpy as np
from support.actor_rig import BUYS, acting
from support.collector_process import collecting
from support.fake_collector import MARKET, MS
from support.model_builders import NOON_NS

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountRow
from ipc.journal import Kind, events_of, stream_folder
from ipc.shared_file import shared_path
from models.observation.builder import LiveObservationAdapter, observation_hash

# Other lives


async def test_a_restarted_collector_is_another_session_without_history(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        first = await rig.start()
        for at_ms in (250, 500):
            first.tick(at_ms)
            await rig.action()
        first.close()
        second = rig.collect(uid="c-2")
        second.snapshot(1_000)
        second.flush()
        await rig.nothing_more()  # before its session is known
        await rig.follow("c-2")
        second.tick(1_250)
        actions = await rig.actions(2)
        assert [(x.recv_ns - NOON_NS) // MS for x in actions] == [1_000, 1_250]
        assert {x.session_uid for x in actions} == {"c-2"}
        assert [(t.session_uid, t.history) for t in rig.ticks()] == [
            *(("c-1", 0), ("c-1", 1)),
            *(("c-2", 0), ("c-2", 1)),
        ]


async def test_a_table_that_counts_its_generations_from_the_start_is_another(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        first = await rig.start()
        generation = first.table.generation
        for at_ms in (250, 500):
            first.tick(at_ms)
            await rig.action()
        first.close()
        shared_path(tmp_path, "books").unlink()  # as where shared memory is emptied
        second = rig.collect(uid="c-2")
        assert second.table.generation == generation
        await rig.follow("c-2")
        second.snapshot(1_000)  # the same market, row and event number as the first life's
        second.flush()
        action = await rig.action()
        assert (action.session_uid, action.recv_ns) == ("c-2", NOON_NS + 1_000 * MS)
        assert [tick.history for tick in rig.ticks()] == [0, 1, 0]


async def test_a_killed_collectors_last_tick_is_not_decided_and_the_next_run_is(tmp_path):
    async with acting(tmp_path, **BUYS) as rig:
        await rig.execute(MARKET)
        async with collecting(tmp_path, "c-1") as first:
            await rig.follow("c-1")
            rig.publisher.send("trigger", await first.tick(0))
            assert (await rig.action()).session_uid == "c-1"
            last = await first.tick(250)
            await first.kill()
            rig.publisher.send("trigger", last)
            await rig.nothing_more()
            assert rig.service.counters.get("gated_writer_dead") == 1
        async with collecting(tmp_path, "c-2") as second:
            await rig.follow("c-2")
            rig.publisher.send("trigger", await second.tick(500))
            action = await rig.action()
        assert (action.session_uid, action.recv_ns) == ("c-2", NOON_NS + 500 * MS)
        assert [(t.session_uid, t.history) for t in rig.ticks()] == [
            *(("c-1", 0), ("c-1", 1)),
            ("c-2", 0),
        ]


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
            columns = (levels["leg"], levels["price_e4"], levels["count_e2"])
            kinds = (np.uint8, np.int64, np.int64)
            arrays = [np.ascontiguousarray(c, k) for c, k in zip(columns, kinds, strict=True)]
            assert b.apply_snapshot(row, *arrays) == b.OK
            row[b.STATE], row[b.LIVE_EVENT_NO] = b.LIVE, event["event_no"]
        elif kind == Kind.DELTA:
            change = (int(event["leg"]), int(event["price_e4"]), int(event["count_e2"]))
            assert b.apply_delta(row, *change) == b.OK
        row[b.RECV_NS] = event["recv_ns"]
        if event["event_no"] in wanted:
            rows[int(event["event_no"])] = row.copy()
    return rows


async def test_every_observation_can_be_rebuilt_from_the_recording(tmp_path):
    random = np.random.default_rng(5)
    accounts: dict[int, AccountRow] = {}
    async with acting(tmp_path) as rig:
        execution, collector = await rig.execute(), rig.collect()
        await rig.follow(collector.uid)
        collector.snapshot(0)
        for step in range(60):
            position, cash = int(random.integers(-50, 50)), int(random.integers(20, 100))
            accounts[step] = execution.knows(MARKET, cash, position, version=step)
            at_ms = 130 * step
            if step % 25 == 24:
                levels = {int(c): int(n) for c, n in random.integers(1, 40, (6, 2))}
                collector.snapshot(at_ms, yes=levels, no={40: 25, 52: 4})
            for _ in range(3):
                side, cents = int(random.integers(0, 2)), int(random.integers(30, 45))
                collector.delta(at_ms, side, cents, int(random.integers(1, 90)))
            collector.flush()
            await rig.counted("ticks", len(range(0, at_ms + 1, 260)))
        recorded = rig.decisions()
        history = {tick.event_no: tick.history for tick in rig.ticks()}
        events = np.concatenate(list(events_of(stream_folder(tmp_path, "collector", "c-1"))))
        market = b.new_row(1280, b.grid_of(collector.table.live[collector.rows[MARKET]]))

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
