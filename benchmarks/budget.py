"""One rate budget of two processes: does the exchange ever answer 429, and what is left unused?

Two processes of one data folder ask the local exchange's Basic tier for as much as they may, as
execution and collector do: one creates and cancels orders and reads its account, one reads lists of
markets. Counted are answers of 429 and the tokens that were taken of those that there were. Beside
it what a take costs on the way of an order, of a budget in memory and of the shared one.

`python -m benchmarks.budget --seconds 600` measures for longer than `python -m benchmarks` does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.exchange_flow import exchange_process, first_signer, open_tickers
from benchmarks.figures import Figure, paced, tight
from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import BookSide, Environment
from ipc.shared_file import remove_tables
from models.command_line import Parser, whole
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.errors import KalshiError, NotFound, RateLimited
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import shared_budget
from processes.adapters.kalshi.rest.orders import CreateOrder
from processes.adapters.kalshi.rest.rate_budget import Call, Rank, RateBudget
from processes.adapters.kalshi.schemas.rest_public import AccountLimits, BucketLimits
from processes.runtime.config import LogSettings
from processes.runtime.log import open_log

__all__ = ["run"]

SECONDS: Final = 20
READERS: Final = 4  # requests of a kind under way at once
TRADERS: Final = 4
OWN_PAUSE: Final = 0.01  # seconds after a create that our own budget held back
RATES: Final = {"read": 200, "write": 100}  # of the Basic tier, tokens a second
BUCKETS: Final = {"read": 600, "write": 100}


class _Worker:
    """One process: a client, and what it counted."""

    def __init__(self, folder: Path, port: int, rank: Rank, tickers: Sequence[str]) -> None:
        host = f"127.0.0.1:{port}/trade-api"
        self._tickers = tickers
        self.target = KalshiTarget(Environment.SIMULATED, f"http://{host}/v2", f"ws://{host}/ws/v2")
        log = open_log(rank, None, LogSettings(), sys.stderr)
        self.budget = shared_budget(folder, Environment.SIMULATED, log, rank=rank, max_wait=0.0)
        self.client = KalshiTradingClient.at(self.target, first_signer(folder), self.budget)
        self.counts: Counter[str] = Counter()
        self.until_ns = 0
        self._orders = 0

    async def work(self, rank: Rank, seconds: int) -> dict[str, int]:
        """Ask for as much as there is for so long."""
        self.budget.apply(await self.client.account_limits())
        self.budget.use_costs(await self.client.endpoint_costs())
        self.until_ns = mono_ns() + seconds * NS_PER_S
        reading: list[Coroutine[Any, Any, None]] = [self._read(rank) for _ in range(READERS)]
        if rank is Rank.TRADING:
            reading += [self._trade() for _ in range(TRADERS)]
        await asyncio.gather(*reading)
        await self.client.close()
        return dict(self.counts) | self.budget.counters()

    async def _read(self, rank: Rank) -> None:
        while mono_ns() < self.until_ns:
            try:
                if rank is Rank.TRADING:
                    await self.client.orders()
                else:
                    await self.client.markets(tickers=self._tickers[:5])
                self.counts["reads"] += 1
            except KalshiError:
                self.counts["read_errors"] += 1

    async def _trade(self) -> None:
        while mono_ns() < self.until_ns:
            self._orders += 1
            ticker = self._tickers[self._orders % len(self._tickers)]
            try:
                made = await self.client.create_order(_order(ticker, f"b-{self._orders}"))
                self.counts["creates"] += 1
                await self.client.cancel_order(made.order_id, ticker)
                self.counts["cancels"] += 1
            except RateLimited:
                await asyncio.sleep(OWN_PAUSE)
            except NotFound:
                self.counts["gone"] += 1
            except KalshiError:
                self.counts["refused"] += 1


def _order(ticker: str, name: str) -> CreateOrder:
    """A bid of a cent."""
    return CreateOrder(
        market_ticker=ticker,
        client_order_id=name,
        book_side=BookSide.BID,
        yes_price_e4=100,
        count_e2=100,
    )


def _worker(answer: Connection, folder: Path, port: int, rank: Rank, seconds: int) -> None:
    tickers = open_tickers(port)

    async def work() -> dict[str, int]:
        return await _Worker(folder, port, rank, tickers).work(rank, seconds)

    answer.send(asyncio.run(work()))


def _full_speed(folder: Path, port: int, seconds: int) -> dict[Rank, dict[str, int]]:
    """What both processes counted."""
    spawn = multiprocessing.get_context("spawn")
    answers: dict[Rank, Connection] = {}
    processes = []
    for rank in Rank:
        ours, theirs = spawn.Pipe(duplex=False)
        answers[rank] = ours
        arguments = (theirs, folder, port, rank, seconds)
        processes.append(spawn.Process(target=_worker, args=arguments))
        processes[-1].start()
    found = {rank: answer.recv() for rank, answer in answers.items()}
    for process in processes:
        process.join()
    return found


def _figures(found: dict[Rank, dict[str, int]], seconds: int) -> list[Figure]:
    trading, data = found[Rank.TRADING], found[Rank.DATA]
    limited = sum(counts["budget_limited"] for counts in found.values())
    figures = [Figure(f"answers of 429 in {seconds} s", limited, "answers")]
    for bucket, rate in RATES.items():
        taken = max(counts[f"budget_{bucket}_taken"] for counts in found.values())
        share = 100 * taken / (rate * seconds + BUCKETS[bucket])
        figures.append(Figure(f"{bucket} tokens taken of the tier's", share, "%"))
    figures += [
        Figure("creates, trading", trading.get("creates", 0) / seconds, "1/s"),
        Figure("reads, trading", trading.get("reads", 0) / seconds, "1/s"),
        Figure("reads, data", data.get("reads", 0) / seconds, "1/s"),
    ]
    print({rank.value: counts for rank, counts in found.items()}, file=sys.stderr)
    return figures


def _costs(folder: Path) -> list[Figure]:
    """What a take costs when tokens are there."""
    log = open_log("budget", None, LogSettings(), sys.stderr)
    shared = shared_budget(folder, Environment.DEMO, log, rank=Rank.TRADING)
    figures: list[Figure] = []
    for name, budget in (("own", RateBudget()), ("shared", shared)):
        budget.apply(_wide())
        take = _taker(budget)
        figures += [tight(f"take, {name}", take), *paced(f"take, {name}", take)]
    shared.close()
    return figures


def _wide() -> AccountLimits:
    wide = BucketLimits(refill_rate=10_000_000, bucket_capacity=10_000_000)
    return AccountLimits(usage_tier="wide", read=wide, write=wide)


def _taker(budget: RateBudget) -> Any:
    path = "/portfolio/events/orders"
    return lambda: budget.try_take(Call.CREATE, method="POST", path=path)


def run(seconds: int = SECONDS) -> list[Figure]:
    """Answers of 429, the share of the tier's tokens that was used, and what a take costs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = _costs(folder)
        with exchange_process(folder, RL_EXCHANGE_TIER="basic", RL_EXCHANGE_MARKETS="30") as found:
            figures += _figures(_full_speed(folder, found[1], seconds), seconds)
        remove_tables(folder)
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    """Measure for as long as asked, and print."""
    parser = Parser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--seconds", type=whole(1, 86_400), default=SECONDS)
    for figure in run(parser.parse_args(argv).seconds):
        print(f"{figure.name:44} {figure.value:12.2f} {figure.unit}")


if __name__ == "__main__":
    main()
