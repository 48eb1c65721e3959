"""REST of what this exchange has none of: lists that are always empty."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from processes.exchange.house import answer, asked

__all__ = ["routes"]

PUBLIC: Final[dict[str, dict[str, Any]]] = {
    "/milestones": {"milestones": [], "cursor": ""},
    "/structured_targets": {"structured_targets": [], "cursor": ""},
    "/incentive_programs": {"incentive_programs": [], "next_cursor": ""},
    "/multivariate_event_collections": {"multivariate_contracts": [], "cursor": ""},
    "/events/multivariate": {"events": [], "cursor": ""},
    "/search/tags_by_categories": {"tags_by_categories": {}},
    "/search/filters_by_sport": {"filters_by_sports": {}, "sport_ordering": []},
}
PRIVATE: Final[dict[str, dict[str, Any]]] = {
    "/communications/rfqs": {"rfqs": [], "cursor": ""},
    "/communications/quotes": {"quotes": [], "cursor": ""},
    "/communications/rfq_batches": {"rfq_batches": [], "cursor": ""},
    "/communications/block-trade-proposals": {"block_trade_proposals": [], "cursor": ""},
}


async def public(request: web.Request) -> web.Response:
    """Nothing, for anybody."""
    return answer(PUBLIC[_below(request)])


async def private(request: web.Request) -> web.Response:
    """Nothing, for those who may ask."""
    asked(request)
    return answer(PRIVATE[_below(request)])


def _below(request: web.Request) -> str:
    return next(p for p in (*PUBLIC, *PRIVATE) if request.path.endswith(p))


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    return [
        *(web.get(f"{base}{path}", public) for path in PUBLIC),
        *(web.get(f"{base}{path}", private) for path in PRIVATE),
    ]
