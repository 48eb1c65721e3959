"""Replays: the same frames at every speed, numbered anew, whatever our accounts do."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.exchange import (
    Exchange,
    Stream,
    market_frames,
    running_exchange,
    write_recording,
)
from support.recorded_exchange import Sent, exchange_fills
from support.recordings import needs_recordings, recordings_folder

from models.trading.actions import Action

FIRST, SECOND = "KXSHOW15M-26AUG101815-15", "KXSHOW15M-26AUG101830-30"
START_MS = 1_786_399_275_000
HOURS_LATER_MS = START_MS + 5 * 3_600_000


@pytest.fixture
def recording(tmp_path):
    """Two markets, hours apart."""
    folder = tmp_path / "recording"
    write_recording(folder, FIRST, market_frames(FIRST, START_MS, 300), START_MS - 60_000)
    frames = market_frames(SECOND, HOURS_LATER_MS, 200)
    write_recording(folder, SECOND, frames, HOURS_LATER_MS - 60_000, result="no")
    return folder


def replay(data_dir: Path, folder: Path, speed: str, **more: str):
    """An exchange that replays."""
    return running_exchange(
        data_dir, RL_EXCHANGE_REPLAY=str(folder), RL_EXCHANGE_SPEED=speed, **more
    )


async def follow(stream: Stream, settled: int) -> list[dict[str, Any]]:
    """Subscribe to every market as it is created, until `settled` of them have settled."""
    await stream.subscribe("market_lifecycle_v2")
    await stream.until("subscribed")
    await stream.subscribe("orderbook_delta", "trade", tickers=[FIRST])
    while settled:
        frame = await stream.next()
        kind = frame["msg"].get("event_type") if frame["type"] == "market_lifecycle_v2" else ""
        if kind == "created":
            tickers = [frame["msg"]["market_ticker"]]
            await stream.subscribe("orderbook_delta", "trade", tickers=tickers)
        settled -= kind == "settled"
    return stream.frames


def data_frames(frames: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Books and trades: all that matters but acknowledgements and `seq`, which counts them."""
    kinds = ("orderbook_snapshot", "orderbook_delta", "trade")
    return [(f["type"], f["sending_ts_ms"], f["msg"]) for f in frames if f["type"] in kinds]


def recorded_frames(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """(receive time, event) of a file, read without any code of ours."""
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [(int(row["recv_ms"]), row["event"]) for row in rows if "event" in row]


class Book:
    """A book rebuilt from frames, independently of the exchange."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], float] = {}

    def take(self, frame: dict[str, Any]) -> None:
        """Apply a frame."""
        msg = frame["msg"]
        if frame["type"] == "orderbook_snapshot":
            self.levels = {
                (side, price): round(float(count) * 100)
                for side in ("yes", "no")
                for price, count in msg.get(f"{side}_dollars_fp", [])
            }
        else:
            key = msg["side"], msg["price_dollars"]
            self.levels[key] = self.levels.get(key, 0) + round(float(msg["delta_fp"]) * 100)

    def as_admin(self) -> dict[str, list[list[str]]]:
        """In the form of the admin port."""
        return {
            side: [
                [price, f"{count // 100}.{count % 100:02d}"]
                for (of, price), count in sorted(self.levels.items())
                if of == side and count > 0
            ]
            for side in ("yes", "no")
        }


def assert_past_books_equal(exchange: Exchange, frames: list[dict[str, Any]], picks: int) -> None:
    """At random `seq`s the exchange's book is the one rebuilt from its frames."""
    books = [f for f in frames if f["type"].startswith("orderbook")]
    wanted = set(random.Random(7).sample([f["seq"] for f in books], min(picks, len(books))))
    rebuilt: dict[str, Book] = {}
    for frame in books:
        ticker = frame["msg"]["market_ticker"]
        book = rebuilt.setdefault(ticker, Book())
        book.take(frame)
        if frame["seq"] in wanted:
            at = exchange.admin("book", ticker=ticker, seq=frame["seq"], sid=frame["sid"])
            assert {"yes": at["yes"], "no": at["no"]} == book.as_admin()


@pytest.mark.slow
async def test_every_speed_gives_the_same_frames(tmp_path, recording):
    """Recorded times, values and order; hours of silence do not take hours."""
    seen = []
    for speed in ("0", "1000", "20"):
        with replay(tmp_path / speed, recording, speed) as exchange:
            async with exchange.stream() as stream:
                seen.append(data_frames(await follow(stream, 2)))
    recorded = [
        (event["type"], recv_ms)
        for ticker in (FIRST, SECOND)
        for recv_ms, event in recorded_frames(recording / f"{ticker}.ndjson.gz")
    ]
    assert [frame[:2] for frame in seen[0]] == recorded
    assert seen[0] == seen[1] == seen[2]


async def test_seq_counts_every_frame_of_a_subscription(tmp_path, recording):
    with replay(tmp_path / "data", recording, "0") as exchange:
        async with exchange.stream() as stream:
            frames = await follow(stream, 2)
            for sid in {f["sid"] for f in frames if "sid" in f}:
                seqs = [f["seq"] for f in frames if f.get("sid") == sid]
                assert seqs == list(range(1, len(seqs) + 1))
            assert_past_books_equal(exchange, frames, 60)
            sent = exchange.admin("sent")
            deltas = [f for f in frames if f["type"] == "orderbook_delta"]
            assert sent["deltas"] == len(deltas) == 500
            assert sent["tickers"][SECOND]["trades"] == 20


async def test_our_orders_change_nothing_that_others_see(tmp_path, recording):
    """Recorded trades fill them all the same, and the settlement pays."""
    seen = []
    for orders in (False, True):
        with replay(tmp_path / f"{orders}", recording, "0") as exchange:
            if orders:
                _trade(exchange)
            async with exchange.stream() as stream:
                seen.append(data_frames(await follow(stream, 1)))
            if orders:
                assert_settled(exchange)
    assert seen[0] == seen[1]


def _trade(exchange: Exchange) -> None:
    """One order that takes, one that waits at the front of an empty price."""
    for price, count, more in (
        ("0.5000", "10.00", {"time_in_force": "immediate_or_cancel"}),
        ("0.4100", "3.00", {}),
    ):
        body = {
            "ticker": FIRST,
            "client_order_id": f"order-{price}",
            "side": "bid",
            "price": price,
            "count": count,
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        reply = exchange.call("POST", "/portfolio/events/orders", body | more)
        assert reply.status_code == 201


def assert_settled(exchange: Exchange) -> None:
    """13 contracts bought, all of them paid a dollar: nothing rests, money adds up."""
    fills = exchange.get("/portfolio/fills")["fills"]
    assert sorted((f["is_taker"], f["count_fp"]) for f in fills) == [
        (False, "1.00"),
        (False, "1.00"),
        (False, "1.00"),
        (True, "10.00"),
    ]
    settlement = exchange.get("/portfolio/settlements")["settlements"][0]
    assert (settlement["market_result"], settlement["yes_count_fp"]) == ("yes", "13.00")
    assert settlement["revenue"] == 1300
    spent = 10 * 0.5 + 3 * 0.41 + sum(float(f["fee_cost"]) for f in fills)
    balance = exchange.get("/portfolio/balance")["balance_dollars"]
    assert balance == f"{10_000 - spent + 13:.4f}"
    assert exchange.get("/portfolio/positions")["market_positions"] == []


async def test_a_market_closed_by_order_says_no_more_and_settles_as_recorded(tmp_path, recording):
    with replay(tmp_path / "data", recording, "1") as exchange:
        async with exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2", tickers=[FIRST])
            await stream.subscribe("orderbook_delta", "trade", tickers=[FIRST])
            await stream.until("orderbook_delta")
            exchange.order("close_market", ticker=FIRST, burst=True)
            await stream.until("market_lifecycle_v2", event_type="close_date_updated")
            closed = len(stream.frames)
            settled = await stream.until("market_lifecycle_v2", event_type="settled")
    after = data_frames(stream.frames[closed:])
    assert {kind for kind, *_ in after} == {"orderbook_delta", "orderbook_snapshot"}
    book = Book()
    for frame in stream.frames:
        if frame["type"].startswith("orderbook"):
            book.take(frame)
    assert book.as_admin() == {"yes": [], "no": []}
    assert settled["msg"]["market_ticker"] == FIRST


async def test_a_loop_goes_on_in_time(tmp_path, recording):
    with replay(tmp_path / "data", recording, "0", RL_EXCHANGE_LOOP="true") as exchange:
        async with exchange.stream() as stream:
            frames = await follow(stream, 4)
    times = [f["sending_ts_ms"] for f in frames if "sending_ts_ms" in f]
    assert times == sorted(times)
    trades = [f["msg"]["trade_id"] for f in frames if f["type"] == "trade"]
    assert len(set(trades)) == len(trades) == 100


async def test_a_client_that_comes_late_gets_the_book_as_it_is(tmp_path, recording):
    with replay(tmp_path / "data", recording, "0") as exchange:
        async with exchange.stream() as first:
            await follow(first, 1)
            async with exchange.stream(account=1) as late:
                await late.subscribe("orderbook_delta", tickers=[FIRST])
                snapshot = await late.until("orderbook_snapshot")
    books = [f for f in first.frames if f["type"].startswith("orderbook")]
    rebuilt = Book()
    for frame in books:
        rebuilt.take(frame)
    given = {side: snapshot["msg"].get(f"{side}_dollars_fp", []) for side in ("yes", "no")}
    assert given == rebuilt.as_admin()
    assert snapshot["seq"] == 1
    assert snapshot["sending_ts_ms"] >= books[-1]["sending_ts_ms"]


@needs_recordings
async def test_a_real_market_is_replayed_as_it_was_recorded(tmp_path):
    """54,000 frames at speed 0: every one, in order, with its time; past books at 200 `seq`s."""
    folder, _ = recordings_folder()
    assert folder is not None
    file = folder / "gold15m-2026-08" / "KXGOLD15M-26AUG101815-15.ndjson.gz"
    ticker = "KXGOLD15M-26AUG101815-15"
    with replay(tmp_path / "data", file, "0") as exchange:
        async with exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2")
            await stream.subscribe("orderbook_delta", "trade", tickers=[ticker])
            await stream.until("market_lifecycle_v2", event_type="settled")
            frames = stream.frames
            assert_past_books_equal(exchange, frames, 200)
    sent = [_core(f["sending_ts_ms"], f) for f in frames if f["type"] in KINDS]
    recorded = [_core(ms, event) for ms, event in recorded_frames(file) if event["type"] in KINDS]
    assert len(sent) == len(recorded)
    assert sent == recorded


KINDS = ("orderbook_snapshot", "orderbook_delta", "trade")


def _core(ms: int, frame: dict[str, Any]) -> tuple[Any, ...]:
    """What must not change on the way: time and every recorded field of the message."""
    msg = frame["msg"]
    names = ("yes_dollars_fp", "no_dollars_fp", "price_dollars", "delta_fp", "side", "ts_ms")
    names += ("trade_id", "yes_price_dollars", "count_fp", "taker_side", "market_id")
    return ms, frame["type"], tuple(str(msg.get(n)) for n in names)


@pytest.mark.parametrize(("is_block", "fills"), [(False, 1), (True, 0)])
def test_a_block_trade_of_a_recording_fills_no_order(tmp_path, is_block, fills):
    frames = market_frames(FIRST, START_MS, 20)
    trade = frames[-1]["event"]["msg"]
    assert trade["taker_side"] == "no"
    trade |= {"yes_price_dollars": "0.3900", "no_price_dollars": "0.6100", "count_fp": "50.00"}
    trade["is_block_trade"] = is_block
    for frame in frames[1:-1]:
        if frame["event"]["type"] == "trade":
            frame["event"]["msg"]["is_block_trade"] = True  # only the last one is in question
    folder = tmp_path / "recording"
    write_recording(folder, FIRST, frames, START_MS - 60_000)
    sent = [Sent(START_MS * 1_000_000, Action.BUY_YES_LIMIT, 4_000, 100)]
    found, _ = exchange_fills(folder, sent, tmp_path, heals=False)
    assert len(found) == fills
