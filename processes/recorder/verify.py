"""Does the recording hold what the exchange sent? `python -m processes.recorder.verify`.

Counts the deltas of a session against those that the local exchange sent, rebuilds the book from
the database at random `seq`s, and reads rows live from shared memory; both must be the exchange's
own book, level for level. Exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from ipc import book as b
from ipc.book_table import BookTable, SharedOrderbookState
from ipc.private_files import UnsafePathError, read_file
from ipc.shared_file import shared_path
from ipc.units import format_count, format_price
from models.command_line import SEEDS, Parser, whole
from models.simulation.tape import SessionError
from processes.adapters.kalshi.auth.credentials import admin_token_path
from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.sessions import (
    BookWalk,
    SessionDataLoader,
    StoredMarket,
    StoredSession,
)
from processes.recorder.sessions.books import check_session
from processes.recorder.sessions.checking import lines_of
from processes.recorder.sessions.desk import choose_one
from processes.runtime.config import ConfigError, Settings, load_settings

__all__ = ["ExchangeAdmin", "SessionVerifier", "main"]

CATCH_UP_S: Final = 15.0  # for the recorder to catch up with an exchange that fell silent
LIVE_PAUSE_S: Final = 0.05

Levels = dict[str, list[list[str]]]
PrintLine = Callable[[str], None]


class ExchangeAdmin:
    """The local exchange's admin port."""

    def __init__(self, url: str, named: dict[str, int], token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(base_url=url, timeout=30, headers=headers)
        self._named = named  # connection and sid, when the newest is not the one meant

    async def sent(self) -> dict[str, int]:
        """Deltas sent, by market."""
        tickers = (await self._get("/admin/sent"))["tickers"]
        return {ticker: counts["deltas"] for ticker, counts in tickers.items()}

    async def book(self, ticker: str, seq: int) -> Levels:
        """Its own book of a market as of a `seq`."""
        found = await self._get("/admin/book", ticker=ticker, seq=seq, **self._named)
        return {leg: found[leg] for leg in ("yes", "no")}

    async def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        answer = await self._client.get(path, params=query)
        if answer.status_code != httpx.codes.OK:
            raise SessionError(f"exchange answers {answer.status_code} to {path}")
        found: dict[str, Any] = answer.json()
        return found

    async def close(self) -> None:
        await self._client.aclose()


class LiveRow(msgspec.Struct, frozen=True):
    """A book as it was read from shared memory."""

    ticker: str
    event_no: int
    levels: Levels


def _texts(levels: list[tuple[int, int]]) -> list[list[str]]:
    """As the exchange writes them."""
    return [[format_price(price_e4), format_count(count_e2)] for price_e4, count_e2 in levels]


def _levels(row: b.Row) -> Levels:
    legs = (("yes", b.YES), ("no", b.NO))
    return {name: _texts(b.levels_of(row, leg)) for name, leg in legs}


class SessionVerifier:
    """One session against one exchange.

    Every check prints through `report` what it compared, and returns whether all of it agrees.
    """

    def __init__(
        self,
        loader: SessionDataLoader,
        exchange: ExchangeAdmin,
        session: StoredSession,
        report: PrintLine,
    ) -> None:
        self._loader = loader
        self._exchange = exchange
        self._session = session
        self._report = report
        self._id = session.session_id

    async def counts(self, timeout_s: float = CATCH_UP_S) -> bool:
        """Deltas in the database = deltas sent; waits for the recorder, not for the exchange.

        While the exchange goes on sending: at least what it had sent before the look, at most what
        it had sent after it.
        """
        before = await self._exchange.sent()
        stored = await self._stored(before, timeout_s)
        after = await self._exchange.sent()
        for ticker in sorted(stored.keys() | after.keys()):
            sent, more = before.get(ticker, 0), after.get(ticker, 0)
            still = f" to {more} (still sending)" if more > sent else ""
            self._report(f"{ticker}: deltas sent {sent}{still}, recorded {stored.get(ticker, 0)}")
        marked, missing = await self._loader.holes(self._id)
        self._report(f"holes marked {marked}, event numbers missing {missing}")
        fits = all(
            before.get(t, 0) <= stored.get(t, 0) <= after.get(t, 0)
            for t in stored.keys() | after.keys()
        )
        return fits and missing == 0

    async def _stored(self, wanted: dict[str, int], timeout_s: float) -> dict[str, int]:
        """What is recorded once that is recorded, or the time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            stored = await self._loader.deltas(self._id)
            if all(stored.get(t, 0) >= n for t, n in wanted.items()) or loop.time() > deadline:
                return stored
            await asyncio.sleep(0.2)

    async def books(self, samples: int, rng: np.random.Generator) -> bool:
        """Rebuilt books at random `seq`s of each market's life."""
        seqs = await self._loader.book_seqs(self._id)
        restarts = np.flatnonzero(np.diff(seqs[:, 1]) < 0)
        seqs = seqs[restarts[-1] + 1 :] if len(restarts) else seqs  # of the last subscription
        same = True
        for market in await self._loader.markets(self._id):
            of_market = seqs[seqs[:, 2] == market.market_id]
            if len(of_market):
                same &= await self._books_of(market, of_market, samples, rng)
        return same

    async def _books_of(
        self, market: StoredMarket, seqs: Any, samples: int, rng: np.random.Generator
    ) -> bool:
        events = await self._loader.events(self._id, market.market_id)
        walk = BookWalk(events, market.grid)
        chosen = np.sort(rng.integers(int(seqs[0, 1]), int(seqs[-1, 1]) + 1, samples))
        differ, levels = [], 0
        for seq in chosen:
            event_no = int(seqs[np.searchsorted(seqs[:, 1], seq, "right") - 1, 0])
            rebuilt = _levels(walk.at(event_no))
            levels += len(rebuilt["yes"]) + len(rebuilt["no"])
            if rebuilt != await self._exchange.book(market.ticker, int(seq)):
                differ.append(int(seq))
        self._report(
            f"{market.ticker}: books rebuilt at {samples} random seqs of {seqs[0, 1]} to "
            f"{seqs[-1, 1]} ({levels} levels): {len(differ)} differ {differ[:5] or ''}"
        )
        return not differ

    async def own_rows(self) -> bool:
        """Whether every book can be rebuilt from its rows without a contradiction."""
        checked = await check_session(self._loader, self._id)
        for line in lines_of(checked):
            self._report(line)
        return checked.errors == 0

    async def rows(self, live: Sequence[LiveRow]) -> bool:
        """Rows read live from shared memory, each as of the event that it names."""
        markets = {market.ticker: market for market in await self._loader.markets(self._id)}
        seqs = await self._loader.book_seqs(self._id)
        differ = 0
        for row in live:
            of_market = seqs[seqs[:, 2] == markets[row.ticker].market_id]
            at = int(np.searchsorted(of_market[:, 0], row.event_no, "right")) - 1
            differ += row.levels != await self._exchange.book(row.ticker, int(of_market[at, 1]))
        self._report(f"rows read live from shared memory: {len(live)} compared, {differ} differ")
        return not differ and bool(live)


async def read_live(table: BookTable, number: int, timeout_s: float) -> list[LiveRow]:
    """Different rows as they stand in memory, one after the other, as far as there are any."""
    state, found = SharedOrderbookState(table), dict[tuple[str, int], LiveRow]()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while len(found) < number and loop.time() < deadline:
        for ticker in table.rows:
            book = state.get_snapshot(ticker)
            if book is None or book["state"] != "live" or not book["is_recorded"]:
                continue
            levels = {"yes": _texts(book["yes_bids"][::-1]), "no": _texts(book["no_bids"][::-1])}
            found[ticker, book["event_no"]] = LiveRow(ticker, book["event_no"], levels)
        await asyncio.sleep(LIVE_PAUSE_S)
    return list(found.values())[:number]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m processes.recorder.verify", description=__doc__)
    parser.add_argument("--session", default="latest", help="id or uid of a session, or `latest`")
    parser.add_argument("--exchange", help="URL of its admin port (default: by the environment)")
    parser.add_argument(
        "--samples", type=whole(1, 1_000_000), default=200, help="random seqs per market"
    )
    parser.add_argument(
        "--live", type=whole(0, 100_000), default=0, help="rows of shared memory to read first"
    )
    parser.add_argument("--seed", type=whole(*SEEDS), default=1)
    parser.add_argument(
        "--connection", type=whole(0, 2**62), help="of the exchange; default: the newest"
    )
    parser.add_argument("--sid", type=whole(0, 2**62), help="subscription; default: the newest")
    return parser.parse_args(argv)


def _token(settings: Settings) -> str:
    """The token of the exchange's admin port."""
    path = admin_token_path(settings.data_dir)
    try:
        return read_file(path).decode("ascii", "replace").strip()
    except (OSError, UnsafePathError) as error:
        raise ConfigError(
            f"no token for the exchange's admin port: {error}; RL_DATA_DIR names its data folder"
        ) from None


async def _verify(options: argparse.Namespace) -> bool:
    settings = load_settings(os.environ)
    url = options.exchange or f"http://127.0.0.1:{settings.exchange.admin_port}"
    named = {k: v for k in ("connection", "sid") if (v := getattr(options, k)) is not None}
    exchange = ExchangeAdmin(url, named, _token(settings))
    connection = await connect_within(dsn_of(settings), 5)
    try:
        loader = SessionDataLoader(connection)
        session = await choose_one(loader, options.session)
        print(f"session {session.session_id} {session.session_uid} {session.environment}")
        verifier = SessionVerifier(loader, exchange, session, print)
        live = []
        if options.live:
            table = BookTable.attach(shared_path(settings.data_dir, "books"))
            live = await read_live(table, options.live, options.live * 1.0)
        same = await verifier.counts()
        same &= await verifier.own_rows()
        same &= await verifier.books(options.samples, np.random.default_rng(options.seed))
        if options.live:
            same &= await verifier.rows(live)
        return same
    finally:
        await exchange.close()
        await connection.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Print counts and verdict; 0 all equal, 1 a difference, 2 nothing to compare."""
    try:
        same = asyncio.run(_verify(_arguments(argv)))
    except (ConfigError, SessionError, httpx.HTTPError, FileNotFoundError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print("all equal" if same else "DIFFERENT")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
