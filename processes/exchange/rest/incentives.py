"""`GET /incentive_programs`: public, by status and type, pages whose cursor is `next_cursor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.programs import KINDS, STATUSES, ExchangeProgram, programs_of
from processes.exchange.core.rejections import Rejection
from processes.exchange.rest.pages import Pages, page
from processes.exchange.shared.state import STATE, answer
from processes.exchange.stream.frames import iso_ms

__all__ = ["routes"]

OPERATION: Final = "GetIncentivePrograms"
PROGRAM_PAGES: Final = Pages(most=10_000, usual=100)


async def incentive_programs(request: web.Request) -> web.Response:
    """Programs that pass the filters; `Rejection` (400) for a filter's unknown value."""
    state, query = request.app[STATE], request.query
    now_ms = state.venue.now_ms()
    status, kind = _wanted(query, "status", STATUSES), _wanted(query, "type", KINDS)
    described = query.get("incentive_description", "")
    found = (
        program
        for program in programs_of(state.venue, state.catalogue, now_ms)
        if status in ("all", program.status(now_ms))
        and kind in ("all", program.kind)
        and described in ("", program.description)
    )
    rows, cursor = page(found, query, OPERATION, lambda p: p.place, PROGRAM_PAGES)
    listed = [_body(program, now_ms) for program in rows]
    return answer({"incentive_programs": listed, "next_cursor": cursor})


def _wanted(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name, "") or "all"
    if value not in ("all", *allowed):
        raise Rejection.bare(
            400, f"Parameter validation failed for {OPERATION}: unknown {name} {value!r}"
        )
    return value


def _body(program: ExchangeProgram, now_ms: int) -> dict[str, Any]:
    size = program.target_size_e2
    return {
        "id": program.program_id,
        "market_id": program.market_id,
        "market_ticker": program.ticker,
        "incentive_type": program.kind,
        "incentive_description": program.description,
        "start_date": iso_ms(program.start_ms),
        "end_date": iso_ms(program.end_ms),
        "period_reward": program.reward,
        "paid_out": program.status(now_ms) == "paid_out",
        "discount_factor_bps": program.discount_bps,
        "target_size_fp": None if size is None else format_count(size),
        "max_reward_per_account": None,
    }


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [web.get(f"{base}/incentive_programs", incentive_programs)]
