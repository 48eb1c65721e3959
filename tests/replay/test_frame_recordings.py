"""Every recording of frames through the local exchange: its books, its numbers, its gaps."""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from support.exchange import Exchange, running_exchange
from support.frame_recordings import (
    BOOK_KINDS,
    FOLDERS,
    RebuiltBook,
    Recorded,
    book_events,
    frame_files,
    raw_events,
    smallest_files,
)
from support.recordings import needs_recordings
from support.running_collector import (
    RunningCollector,
    assert_row_equals_exchange,
    running_collector,
)

from ipc import book as b
from ipc.messages import MarkKind, SessionMark
from ipc.units import format_count, format_price
from processes.adapters.kalshi.schemas.frames import Channel, decode_frame
from processes.adapters.kalshi.stream.subscriptions import Gap, Subscriptions

pytestmark = needs_recordings

PICKS = 40  # past books that are compared
INJECTING_S = 4  # about so long a replay with faults lasts
SILENCE_MS = 2_000  # longer ones are cut by the replay
GAP = re.compile(r"expected seq (\d+), got (\d+)")
WHOLE_SEQS = FOLDERS[1:]  # of gold15m only one market of a subscription of many was kept
Json = dict[str, Any]


class Row(NamedTuple):
    """One line of the table."""

    file: str
    frames: int
    deltas: int
    negative: int
    crossed: int
    equal: bool


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


def _each(*, slow: bool) -> list[Any]:
    """A file of each folder, or (slow) all the others."""
    few = smallest_files()
    if not slow:
        return [pytest.param(f, id=_name(f)) for f in few]
    rest = [f for f in frame_files() if f not in few]
    return [pytest.param(f, id=_name(f), marks=pytest.mark.slow) for f in rest]


each_file = pytest.mark.parametrize("path", _each(slow=False) + _each(slow=True))


@pytest.fixture(scope="module")
def table() -> Iterator[list[Row]]:
    """What was replayed, printed when all of it has been."""
    rows: list[Row] = []
    yield rows
    print("\n\nfile | frames | deltas | negative | crossed > 1 s | books equal")
    for file, frames, deltas, negative, crossed, equal in rows:
        print(f"{file} | {frames} | {deltas} | {negative} | {crossed} | {'yes' if equal else 'NO'}")


class Reader:
    """A client that follows the books of some markets: what came, and which gaps it saw."""

    def __init__(self, tickers: list[str], ask_every: int) -> None:
        self.books: list[Json] = []
        self.gaps: list[Gap] = []
        self.oks = 0
        self._tickers = tickers
        self._ask_every = ask_every
        self._subscriptions = Subscriptions(on_yes_scale=False)

    async def read(self, exchange: Exchange, number: int) -> None:
        """Until there are so many; subscribes anew again and again, which `ok` frames answer."""
        async with exchange.stream() as stream:
            for _ in range(2):  # one answer is `subscribed`, the other is `ok`
                await stream.socket.send(self._command())
            while len(self.books) < number:
                raw = await stream.socket.recv()
                if self._take(raw.encode() if isinstance(raw, str) else raw):
                    await stream.socket.send(self._command())

    def _command(self) -> bytes:
        return self._subscriptions.subscribe(Channel.BOOK, self._tickers)

    def _take(self, raw: bytes) -> bool:
        """One frame -> whether it is time to subscribe again."""
        frame = msgspec.json.decode(raw)
        events = self._subscriptions.on_frame(decode_frame(raw))
        self.gaps += [e for e in events if isinstance(e, Gap)]
        self.oks += frame["type"] == "ok" and "seq" in frame
        if frame["type"] not in BOOK_KINDS:
            return False
        self.books.append(frame)
        return len(self.books) % self._ask_every == 1


def _past_books_equal(exchange: Exchange, sent: list[Json], recorded: list[Recorded]) -> bool:
    """At random frames, the last one included, the exchange's book is the recording's."""
    picks = random.Random(7).sample(range(len(recorded)), min(PICKS, len(recorded)))
    wanted = {*picks, len(recorded) - 1}
    books: defaultdict[str, RebuiltBook] = defaultdict(RebuiltBook)
    equal = True
    for n, (kind, ticker, msg) in enumerate(recorded):
        books[ticker].take(kind, msg)
        if n in wanted:
            at = exchange.admin("book", ticker=ticker, seq=sent[n]["seq"], sid=sent[n]["sid"])
            equal &= _sides(at) == books[ticker].as_admin()
    now = {ticker: _sides(exchange.admin("book", ticker=ticker)) for ticker in books}
    return equal and now == {ticker: book.as_admin() for ticker, book in books.items()}


def _sides(body: Json) -> Json:
    return {"yes": body["yes"], "no": body["no"]}


def _books_sent(sent: list[Json]) -> dict[str, RebuiltBook]:
    """Books as a client makes them of what was sent."""
    books: defaultdict[str, RebuiltBook] = defaultdict(RebuiltBook)
    for frame in sent:
        msg = frame["msg"]
        books[msg["market_ticker"]].take(frame["type"], msg, frame["sending_ts_ms"])
    return books


@each_file
@pytest.mark.sample(3)
async def test_a_recording_replays_to_its_own_books(
    tmp_path: Path, path: Path, table: list[Row]
) -> None:
    """No size below nothing, no lasting crossed book, no false gap; every book as it was."""
    recorded = book_events(path)
    tickers = list(dict.fromkeys(r.ticker for r in recorded))
    reader = Reader(tickers, max(len(recorded) // 20, 1))
    replay = {"RL_EXCHANGE_REPLAY": str(path), "RL_EXCHANGE_SPEED": "0"}
    with running_exchange(tmp_path, **replay) as exchange:
        await reader.read(exchange, len(recorded))
        kinds = [(f["type"], f["msg"]["market_ticker"]) for f in reader.books]
        assert kinds == [(r.kind, r.ticker) for r in recorded]
        equal = _past_books_equal(exchange, reader.books, recorded)
    books = _books_sent(reader.books)
    row = Row(
        file=_name(path),
        frames=len(recorded),
        deltas=sum(r.kind == "orderbook_delta" for r in recorded),
        negative=sum(b.negative for b in books.values()),
        crossed=sum(b.lasting_crossed for b in books.values()),
        equal=equal,
    )
    table.append(row)
    assert (row.negative, row.crossed, row.equal) == (0, 0, True)
    assert reader.gaps == []
    assert reader.oks > 0


@pytest.mark.parametrize(
    "path", [pytest.param(f, id=_name(f)) for f in frame_files() if f.parent.name in WHOLE_SEQS]
)
def test_a_whole_recorded_subscription_has_no_gap(path: Path) -> None:
    """Its `ok` frames count, as the exchange itself numbered them."""
    subscriptions, gaps = Subscriptions(), 0
    first = min(event["seq"] for _, event in raw_events(path) if "seq" in event)
    for _, event in raw_events(path):
        if event["type"] in (*BOOK_KINDS, "ok"):
            event = event | {"seq": event["seq"] - first + 1, "msg": _bare(event)}
            found = subscriptions.on_frame(decode_frame(msgspec.json.encode(event)))
            gaps += sum(isinstance(e, Gap) for e in found)
    assert gaps == 0


def _bare(event: Json) -> Json:
    """A message without its amounts, which say nothing about `seq`."""
    msg: Json = event["msg"]
    if event["type"] == "orderbook_delta":
        amounts = {"price_dollars": "0.5000", "delta_fp": "1.00", "side": "yes"}
        return {"market_ticker": msg["market_ticker"]} | amounts
    if event["type"] == "orderbook_snapshot":
        return {"market_ticker": msg["market_ticker"]}
    return msg


def _speed(path: Path) -> str:
    """At which the replay takes a few seconds."""
    times = (ms or event["msg"].get("ts_ms", 0) for ms, event in raw_events(path))
    known = sorted(ms for ms in times if ms)
    span_ms = sum(min(later - ms, SILENCE_MS) for ms, later in pairwise(known))
    return f"{max(span_ms / 1000 / INJECTING_S, 0.5):.2f}"


def _missing(collector: RunningCollector) -> int:
    """How many frames the collector knows it has missed."""
    marks = [m for m in collector.messages() if isinstance(m, SessionMark)]
    gaps = [GAP.fullmatch(m.detail) for m in marks if m.kind is MarkKind.GAP]
    assert all(gaps), marks
    return sum(int(gap[2]) - int(gap[1]) for gap in gaps if gap)


def _rows(collector: RunningCollector) -> dict[str, b.Row]:
    """Every market's row that has had a book."""
    books = collector.books()
    found = {t: books.get_row(t) for t in books.table.rows}
    books.table.close()
    return {t: r for t, r in found.items() if r is not None and r[b.STATE] != b.EMPTY}


def _live(collector: RunningCollector) -> dict[str, b.Row] | None:
    """The rows, once all of them are LIVE."""
    rows = _rows(collector)
    return rows if rows and all(r[b.STATE] == b.LIVE for r in rows.values()) else None


async def _inject(
    exchange: Exchange, collector: RunningCollector, number: int, rng: random.Random
) -> int:
    """Lose frames at random moments while deltas are to come -> how many were lost."""
    lost = 0

    def all_missed() -> bool:
        return _missing(collector) == lost

    await collector.until(lambda: _live(collector), "live books")
    while exchange.admin("sent")["deltas"] + lost < 0.7 * number:
        await asyncio.sleep(rng.uniform(0, 0.2))
        frames = rng.randint(1, 3)
        exchange.order("fault", kind="drop_frame", frames=frames)
        lost += frames
        await collector.until(all_missed, f"{lost} frames are missed")
        rows = await collector.until(lambda: _live(collector), "every book is live again")
        for ticker, row in rows.items():
            assert_row_equals_exchange(row, exchange, ticker)
    return lost


def _right(exchange: Exchange, collector: RunningCollector, final: dict[str, Json]) -> bool:
    """Whether every row is the last book of its market; one that is long over has no row."""
    rows = {ticker: _as_admin(row) for ticker, row in _rows(collector).items()}
    gone = final.keys() - rows.keys()
    over = {t for t in gone if exchange.get(f"/markets/{t}")["market"]["status"] == "finalized"}
    return gone == over and all(final[ticker] == book for ticker, book in rows.items())


def _as_admin(row: b.Row) -> dict[str, list[list[str]]]:
    return {
        name: [[format_price(p), format_count(c)] for p, c in b.levels_of(row, side)]
        for side, name in ((b.YES, "yes"), (b.NO, "no"))
    }


@each_file
@pytest.mark.sample(2)
async def test_every_injected_gap_is_found_and_healed(tmp_path: Path, path: Path) -> None:
    """Whatever is lost, and nothing else, is missed; then the books are right to the end."""
    recorded = book_events(path)
    books: defaultdict[str, RebuiltBook] = defaultdict(RebuiltBook)
    for kind, ticker, msg in recorded:
        books[ticker].take(kind, msg)
    deltas = sum(r.kind == "orderbook_delta" for r in recorded)
    replay = {"RL_EXCHANGE_REPLAY": str(path), "RL_EXCHANGE_SPEED": _speed(path)}
    with (
        running_exchange(tmp_path, **replay) as exchange,
        running_collector(tmp_path, exchange.port) as collector,
    ):
        lost = await _inject(exchange, collector, deltas, random.Random(path.name))
        final = {ticker: book.as_admin() for ticker, book in books.items()}
        last_books = "the recording's last books"
        await collector.until(lambda: _right(exchange, collector, final), last_books)
        assert _missing(collector) == lost > 0
    print(f"{_name(path)}: {lost} frames lost, all of them missed and healed")
