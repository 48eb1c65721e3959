"""The rounds of reads that reconciliation compares with."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ipc.clock import mono_ns
from ipc.messages import ActorFill
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.portfolio import Settlement
from processes.adapters.kalshi.schemas.enums import Result
from processes.execution.reconcile import ExchangeView

__all__ = ["chunks", "read_view"]

CHUNK: Final = 100  # tickers in one request
_VALUES: Final = {Result.YES: ONE_DOLLAR_E4, Result.NO: 0}


def chunks(tickers: Collection[str]) -> Iterator[list[str]]:
    """As many tickers as one request takes."""
    names = sorted(tickers)
    for first in range(0, len(names), CHUNK):
        yield names[first : first + CHUNK]


async def read_view(client: KalshiTradingClient, tickers: Collection[str] = ()) -> ExchangeView:
    """Positions and resting orders; whole fills and settlements of `tickers` only.

    Positions last: they lag the most.
    """
    asked_mono_ns = mono_ns()
    resting, left_out = await client.orders(status="resting")
    fills: dict[str, list[ActorFill]] = {ticker: [] for ticker in tickers}
    for names in chunks(tickers):
        found = await client.fills(ticker=",".join(names))
        left_out += found.left_out
        for fill in reversed(found.items):
            fills.setdefault(fill.market_ticker, []).append(fill)
    settled: list[Settlement] = []
    if tickers:
        settled, unread = await client.settlements()
        left_out += unread
    positions, unread = await client.positions()
    values = {s.market_ticker: _yes_value_e4(s) for s in settled}
    return ExchangeView(
        asked_mono_ns=asked_mono_ns,
        positions={p.market_ticker: p.position_e2 for p in positions},
        resting=resting,
        fills=fills,
        settlements={t: v for t, v in values.items() if v is not None},
        left_out=left_out + unread,
    )


def _yes_value_e4(settlement: Settlement) -> int | None:
    return _VALUES.get(settlement.result, settlement.value_e4)
