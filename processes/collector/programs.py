"""Incentive programs as a list for people and programs: `kalshi-actor markets --programs`.

The exchange says a program's pool for its whole period, which may be 15 minutes or a month. Two
pools are compared by what they pay an hour, so that is what the list is ordered by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from ipc.clock import MS_PER_S
from ipc.units import format_count, format_money
from models.trading.market_fees import utc_text
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.public import IncentiveProgram

__all__ = ["ListedProgram", "listed_programs", "pool_per_hour_e6", "program_table", "read_programs"]

STATUSES: Final = ("active", "upcoming")
HOUR_MS: Final = 3_600 * MS_PER_S
MOST_LINES: Final = 100
HEAD: Final = (
    *("ticker", "kind", "status", "start", "end", "$ an hour", "$ in all", "target", "discount"),
    "followed",
)


class ListedProgram(msgspec.Struct, frozen=True):
    """One program; dollars and contracts as text, None where the exchange says none.

    `pool` is for the whole period from `start` to `end` (UTC), `pool_per_hour` the same an hour,
    None for a period that does not last.
    """

    program_id: str
    market_ticker: str
    kind: str
    status: str
    start: str
    end: str
    pool: str
    pool_per_hour: str | None
    target_size: str | None
    discount: float | None
    most_per_account: str | None
    followed: bool


async def read_programs(client: KalshiTradingClient) -> list[IncentiveProgram]:
    """All programs that are active or upcoming; `KalshiError` when the exchange does not answer."""
    return [
        p for status in STATUSES for p in (await client.incentive_programs(status=status)).items
    ]


def pool_per_hour_e6(program: IncentiveProgram) -> int | None:
    """A pool in micro-dollars an hour, rounded down; None for a period that does not last."""
    lasts_ms = program.end_ms - program.start_ms
    return program.reward_e6 * HOUR_MS // lasts_ms if lasts_ms > 0 else None


def listed_programs(
    programs: Iterable[IncentiveProgram], now_ms: int, followed: Collection[str] = ()
) -> list[ListedProgram]:
    """The programs that are not over, the largest pool an hour first."""
    living = [p for p in programs if p.end_ms > now_ms]
    living.sort(key=lambda p: (-(pool_per_hour_e6(p) or 0), p.market_ticker, p.start_ms))
    return [_listed(p, now_ms, followed) for p in living]


def _listed(program: IncentiveProgram, now_ms: int, followed: Collection[str]) -> ListedProgram:
    an_hour, size = pool_per_hour_e6(program), program.target_size_e2
    most, discount = program.most_per_account_e6, program.discount_bps
    return ListedProgram(
        program_id=program.program_id,
        market_ticker=program.market_ticker,
        kind=program.kind,
        status="active" if program.start_ms <= now_ms else "upcoming",
        start=utc_text(program.start_ms),
        end=utc_text(program.end_ms),
        pool=format_money(program.reward_e6),
        pool_per_hour=None if an_hour is None else format_money(an_hour),
        target_size=None if size is None else format_count(size),
        discount=None if discount is None else discount / 10_000,
        most_per_account=None if most is None else format_money(most),
        followed=program.market_ticker in followed,
    )


def program_table(programs: Sequence[ListedProgram]) -> str:
    """The first programs as a table, and how many more there are."""
    rows = [HEAD, *(_cells(p) for p in programs[:MOST_LINES])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(programs) > MOST_LINES:
        lines.append(f"{len(programs) - MOST_LINES:,} more; --json lists all")
    return "\n".join(lines)


def _cells(program: ListedProgram) -> tuple[str, ...]:
    words = (program.market_ticker, program.kind, program.status, program.start, program.end)
    pools = (_cents(program.pool_per_hour), _cents(program.pool))
    discount = "-" if program.discount is None else f"{program.discount:g}"
    rule = (program.target_size or "-", discount, "yes" if program.followed else "no")
    return (*words, *pools, *rule)


def _cents(dollars: str | None) -> str:
    """Dollars to the cent, cut off."""
    return "-" if dollars is None else dollars[:-4]
