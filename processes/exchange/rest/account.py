"""Private REST about the user: limits, tier, payments."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.rejections import Rejection
from processes.exchange.house import answer, asked

__all__ = ["routes"]

DAY_S = 86_400


async def get_limits(request: web.Request) -> web.Response:
    """The account's buckets."""
    house, asker = asked(request)
    return answer(house.meters[asker.member.user_id].limits())


async def upgrade(request: web.Request) -> web.Response:
    """From basic to advanced, for the asking."""
    house, asker = asked(request)
    if not house.meters[asker.member.user_id].upgrade():
        raise Rejection.nested(403, "forbidden")
    return web.Response(status=201)


async def volume_progress(request: web.Request) -> web.Response:
    """What the account has traded on the way to a higher tier."""
    house, asker = asked(request)
    since_ms = house.venue.now_ms() - 30 * DAY_S * 1000
    fills = house.desk.fills[asker.member.user_id]
    row: dict[str, Any] = {
        "computed_ts": house.venue.now_ms() // 1000,
        "trailing_30d_volume_fp": format_count(
            sum(f.count_e2 for f in fills if f.ts_ms > since_ms)
        ),
        "goals": [],
    }
    return answer({"volume_progress": [row]})


async def deposits(request: web.Request) -> web.Response:
    """None: an account's money was there from the start."""
    asked(request)
    return answer({"deposits": [], "cursor": ""})


async def withdrawals(request: web.Request) -> web.Response:
    """None."""
    asked(request)
    return answer({"withdrawals": [], "cursor": ""})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    return [
        web.get(f"{base}/account/limits", get_limits),
        web.post(f"{base}/account/api_usage_level/upgrade", upgrade),
        web.get(f"{base}/account/api_usage_level/volume_progress", volume_progress),
        web.get(f"{base}/portfolio/deposits", deposits),
        web.get(f"{base}/portfolio/withdrawals", withdrawals),
    ]
