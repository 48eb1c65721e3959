"""The collector against the local exchange: frames in, shared books, journal and triggers out."""

from __future__ import annotations

import signal

import pytest
import zmq.asyncio
from support.exchange import market_frames, running_exchange, write_recording
from support.patience import PATIENCE
from support.running_collector import (
    assert_row_equals_exchange,
    running_collector,
    start_collector,
)

from ipc import book as b
from ipc.messages import MarketListed, SessionEnded, SessionStarted, Trigger
from ipc.sockets import Subscriber

TICKER = "KXMADE-26AUG010000-00"
START_MS = 1_785_000_000_000


@pytest.fixture
def recording(tmp_path):
    folder = tmp_path / "recordings"
    write_recording(folder, TICKER, market_frames(TICKER, START_MS, 400), START_MS - 60_000)
    return str(folder)


@pytest.fixture
def synthetic(tmp_path):
    with running_exchange(tmp_path, RL_EXCHANGE_MARKETS="2") as exchange:
        yield exchange


async def all_live(collector) -> list[str]:
    """Until both markets' books are live -> their tickers."""
    return await collector.until(
        lambda: found if len(found := live_tickers(collector)) == 2 else None, "live books"
    )


def live_tickers(collector) -> list[str]:
    books = collector.books()
    rows = books.table.rows
    states = {t: books.get_row(t) for t in rows}
    books.table.close()
    return sorted(t for t, r in states.items() if r is not None and r[b.STATE] == b.LIVE)


async def test_a_replayed_market_is_in_the_journal_frame_for_frame_and_in_the_shared_book(
    tmp_path, recording
):
    data_dir = tmp_path / "data"
    with (
        running_exchange(data_dir, RL_EXCHANGE_REPLAY=recording) as exchange,
        running_collector(data_dir, exchange.port) as collector,
    ):
        compared = 0
        while compared < 20:  # while it changes
            row = await collector.until(lambda: collector.row(TICKER), "a row")
            if row[b.STATE] == b.LIVE:
                assert_row_equals_exchange(row, exchange, TICKER)
                compared += 1
        await collector.until(lambda: collector.deltas() == 400, "every delta in the journal")
        events = collector.events()
        assert list(events["event_no"]) == list(range(1, len(events) + 1))
        assert exchange.admin("sent")["tickers"][TICKER]["deltas"] == 400
        trades = events[events["kind"] == 5]
        assert len(trades) == 40
        deltas = events[events["kind"] == 4]
        assert list(deltas["recv_ns"] // 1_000_000) == [START_MS + 10 * n for n in range(1, 401)]
        assert list(deltas["exch_ms"]) == [START_MS + 10 * n - 3 for n in range(1, 401)]


async def test_triggers_name_the_row_and_its_newest_event(tmp_path, synthetic):
    context = zmq.asyncio.Context()
    subscriber = Subscriber(context, ["collector"], tmp_path, {}, ["trigger"])
    with running_collector(tmp_path, synthetic.port) as collector:
        seen: dict[str, Trigger] = {}
        for _ in range(30):
            topic, trigger = await subscriber.recv()
            assert topic == "trigger"
            assert isinstance(trigger, Trigger)
            last = seen.get(trigger.market_ticker)
            assert last is None or trigger.event_no > last.event_no
            assert 0 < trigger.tick_event_no <= trigger.event_no
            seen[trigger.market_ticker] = trigger
        listed = {
            m.market_ticker: m.row for m in collector.messages() if isinstance(m, MarketListed)
        }
        assert all(listed[t] == trigger.row for t, trigger in seen.items())
    subscriber.close()
    context.term()


async def test_a_lost_frame_is_a_gap_that_a_fresh_snapshot_heals(tmp_path, synthetic):
    with running_collector(tmp_path, synthetic.port) as collector:
        tickers = await all_live(collector)
        synthetic.order("fault", kind="drop_frame")
        await collector.until(lambda: "gap" in collector.marks(), "the gap is marked")
        await collector.until(lambda: live_tickers(collector) == tickers, "all live again")
        for ticker in tickers:
            row = collector.row(ticker)
            assert row is not None
            assert_row_equals_exchange(row, synthetic, ticker)
        assert len(collector.folders()) == 1


@pytest.mark.parametrize("code", [10, 25])
@pytest.mark.sample(1)
async def test_what_the_exchange_ends_is_followed_again_on_the_same_connection(
    tmp_path, synthetic, code
):
    with running_collector(tmp_path, synthetic.port) as collector:
        tickers = await all_live(collector)
        assert synthetic.order("fault", kind="end_subscription", code=code)["affected"] == 3
        await collector.until(lambda: "gap" in collector.marks(), "the end is marked")
        await collector.until(lambda: live_tickers(collector) == tickers, "all live again")
        before = collector.deltas()
        await collector.until(lambda: collector.deltas() > before, "deltas go on")
        for ticker in tickers:
            assert_row_equals_exchange(collector.row(ticker), synthetic, ticker)
        (connection,) = synthetic.admin("connections")
        channels = sorted(s["channel"] for s in connection["subscriptions"])
        assert channels == ["market_lifecycle_v2", "orderbook_delta", "trade"]
        assert collector.marks().count("connected") == 1


async def test_a_command_that_crosses_the_end_of_its_subscription_is_no_refusal(
    tmp_path, synthetic
):
    with running_collector(tmp_path, synthetic.port) as collector:
        tickers = await all_live(collector)
        late = {"kind": "delay_acks", "ms": 2_000}
        synthetic.order("fault", **late)
        synthetic.order("fault", kind="drop_frame")
        await collector.until(lambda: "gap" in collector.marks(), "the gap is marked")
        await collector.until(
            lambda: synthetic.order("fault", **late)["commands_waiting"],
            "the request for snapshots is on its way, and is late",
        )
        synthetic.order("fault", kind="end_subscription", code=25)
        await collector.until(lambda: live_tickers(collector) == tickers, "all live again")
        assert collector.stop() == 0
        assert "ended: 25" in collector.said
        assert "rejected" not in collector.said


async def test_commands_that_are_carried_out_in_another_order_lose_no_market(tmp_path):
    shuffled = '[{"kind": "shuffle_acks"}]'
    with (
        running_exchange(
            tmp_path, RL_EXCHANGE_MARKETS="2", RL_EXCHANGE_FAULTS=shuffled
        ) as exchange,
        running_collector(tmp_path, exchange.port) as collector,
    ):
        tickers = await all_live(collector)
        assert "gap" not in collector.marks()
        exchange.order("fault", kind="drop_frame")  # which subscription is the book's?
        await collector.until(lambda: "gap" in collector.marks(), "the gap is marked")
        await collector.until(lambda: live_tickers(collector) == tickers, "all live again")
        for ticker in tickers:
            assert_row_equals_exchange(collector.row(ticker), exchange, ticker)


@pytest.mark.parametrize("code", [26, 27])
@pytest.mark.sample(1)
async def test_commands_that_are_refused_are_given_again(tmp_path, code):
    refused = f'[{{"kind": "refuse_commands", "code": {code}, "calls": 3}}]'
    with (
        running_exchange(tmp_path, RL_EXCHANGE_MARKETS="2", RL_EXCHANGE_FAULTS=refused) as exchange,
        running_collector(tmp_path, exchange.port) as collector,
    ):
        for ticker in await all_live(collector):
            assert_row_equals_exchange(collector.row(ticker), exchange, ticker)

        def subscribed() -> list[str]:
            (connection,) = exchange.admin("connections")
            return sorted(s["channel"] for s in connection["subscriptions"])

        wanted = ["market_lifecycle_v2", "orderbook_delta", "trade"]
        await collector.until(lambda: subscribed() == wanted, "every channel is subscribed")
        assert collector.marks().count("connected") == 1


@pytest.mark.parametrize("burst", [True, False])
@pytest.mark.sample(1)
async def test_a_market_that_closes_is_no_gap_and_stops_none_of_the_others(
    tmp_path, synthetic, burst
):
    with running_collector(tmp_path, synthetic.port) as collector:
        closing, other = await all_live(collector)
        synthetic.order("close_market", ticker=closing, burst=burst, snapshots=2)
        await collector.until(lambda: "market_closed" in collector.marks(), "it is over")
        before = collector.deltas()
        await collector.until(lambda: collector.deltas() > before, "deltas go on")
        assert_row_equals_exchange(collector.row(other), synthetic, other)
        row = collector.row(closing)
        assert row is not None
        assert [b.levels_of(row, side) for side in (b.YES, b.NO)] == [[], []]
        assert "gap" not in collector.marks()


async def test_finer_prices_and_another_close_are_in_the_row(tmp_path, synthetic):
    with running_collector(tmp_path, synthetic.port) as collector:
        ticker, _ = await all_live(collector)
        fine = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        synthetic.order("grid", ticker=ticker, structure="deci_cent", price_ranges=fine)
        close_ms = synthetic.admin("clock")["market_ms"] + 600_000
        synthetic.order("close_time", ticker=ticker, close_ms=close_ms)
        order = {
            "ticker": ticker,
            "client_order_id": "between-the-cents",
            "side": "bid",
            "count": "1.00",
            "price": "0.0110",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        assert synthetic.call("POST", "/portfolio/events/orders", order).status_code == 201

        def shown() -> bool:
            row = collector.row(ticker)
            return row is not None and (110, 100) in b.levels_of(row, b.YES)

        await collector.until(shown, "a level between the cents")
        row = collector.row(ticker)
        assert_row_equals_exchange(row, synthetic, ticker)
        assert (row[b.STATE], row[b.CLOSE_MS]) == (b.LIVE, close_ms)
        assert (await all_live(collector))[0] == ticker


async def test_a_cut_connection_is_a_mark_in_the_same_session(tmp_path, synthetic):
    with running_collector(tmp_path, synthetic.port) as collector:
        tickers = await all_live(collector)
        before = collector.deltas()
        assert synthetic.order("disconnect")["cut"]
        await collector.until(lambda: collector.marks().count("connected") == 2, "a new connection")
        await collector.until(lambda: live_tickers(collector) == tickers, "all live again")
        await collector.until(lambda: collector.deltas() > before, "deltas go on")
        marks = [mark for mark in collector.marks() if mark != "clock"]
        assert marks[:3] == ["connected", "disconnected", "connected"]
        assert len(collector.folders()) == 1


async def test_a_stop_ends_the_journal_and_makes_the_books_stale(tmp_path, synthetic):
    with running_collector(tmp_path, synthetic.port) as collector:
        await collector.until(lambda: live_tickers(collector), "live books")
        books = collector.books()
        assert collector.stop() == 0
        assert isinstance(collector.messages()[0], SessionStarted)
        last = collector.messages()[-1]
        assert isinstance(last, SessionEnded)
        assert last.event_no == len(collector.events())
        states = {int(r[b.STATE]) for t in books.table.rows if (r := books.get_row(t)) is not None}
        assert states == {b.STALE}
        books.table.close()


async def test_after_a_kill_the_next_run_is_a_session_and_a_generation_of_its_own(
    tmp_path, synthetic
):
    with running_collector(tmp_path, synthetic.port) as collector:
        await collector.until(lambda: live_tickers(collector), "live books")
        old = collector.books()
        generation, accepted = old.table.generation, len(collector.events())
        collector.stop(signal.SIGKILL)
        assert old.table.writer_is_dead()
        assert len(collector.events()) >= accepted
        with running_collector(tmp_path, synthetic.port) as following:
            await following.until(lambda: len(following.folders()) == 2, "a new session")
            await following.until(lambda: live_tickers(following), "live books")
            assert following.books().table.generation == generation + 1
        old.table.close()


async def test_a_second_collector_on_the_same_data_folder_is_refused(tmp_path, synthetic):
    with running_collector(tmp_path, synthetic.port) as collector:
        await collector.until(lambda: live_tickers(collector), "live books")
        second = start_collector(tmp_path, synthetic.port)
        _, error = second.communicate(timeout=PATIENCE)
        assert second.returncode == 2
        assert error.strip().endswith("another collector writes its table of books")
        assert len(error.strip().splitlines()) == 1


async def test_while_the_exchange_is_away_the_collector_waits_and_then_goes_on(tmp_path):
    with running_exchange(tmp_path) as exchange:
        port = exchange.port
        with running_collector(tmp_path, port) as collector:
            await collector.until(lambda: live_tickers(collector), "live books")
            exchange.process.kill()
            exchange.process.communicate()
            await collector.until(lambda: not live_tickers(collector), "stale books")
            with running_exchange(tmp_path, RL_EXCHANGE_PORT=str(port)):
                await collector.until(lambda: live_tickers(collector), "live books again")
                assert "disconnected" in collector.marks()
