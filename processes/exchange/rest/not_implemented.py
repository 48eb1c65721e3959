"""Operations of the specification that this exchange does not have: an honest 501.

The list is what `openapi.yaml` has and the other parts of `rest/` have not; a test holds them
against each other, and `docs/exchange.md` shows it.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from processes.exchange.core.rejections import Rejection
from processes.exchange.shared.state import BASE, authorize

__all__ = ["NOT_IMPLEMENTED", "routes"]

NOT_IMPLEMENTED: Final = (  # (method, path below the base)
    ("POST", "/communications/block-trade-proposals"),
    ("POST", "/communications/block-trade-proposals/{block_trade_proposal_id}/accept"),
    ("POST", "/communications/quotes"),
    ("DELETE", "/communications/quotes/{quote_id}"),
    ("GET", "/communications/quotes/{quote_id}"),
    ("PUT", "/communications/quotes/{quote_id}/accept"),
    ("PUT", "/communications/quotes/{quote_id}/confirm"),
    ("POST", "/communications/rfq_batches"),
    ("DELETE", "/communications/rfq_batches/{rfq_batch_id}"),
    ("GET", "/communications/rfq_batches/{rfq_batch_id}"),
    ("PUT", "/communications/rfq_batches/{rfq_batch_id}/accept"),
    ("GET", "/communications/rfq_batches/{rfq_batch_id}/best_quotes"),
    ("GET", "/communications/rfq_batches/{rfq_batch_id}/quotes"),
    ("POST", "/communications/rfq_batches/{rfq_batch_id}/quotes"),
    ("DELETE", "/communications/rfq_batches/{rfq_batch_id}/quotes/{batch_quote_id}"),
    ("PUT", "/communications/rfq_batches/{rfq_batch_id}/quotes/{batch_quote_id}/confirm"),
    ("POST", "/communications/rfqs"),
    ("DELETE", "/communications/rfqs/{rfq_id}"),
    ("GET", "/communications/rfqs/{rfq_id}"),
    ("DELETE", "/communications/rfqs/{rfq_id}/quotes/{quote_id}"),
    ("GET", "/communications/rfqs/{rfq_id}/quotes/{quote_id}"),
    ("PUT", "/communications/rfqs/{rfq_id}/quotes/{quote_id}/accept"),
    ("PUT", "/communications/rfqs/{rfq_id}/quotes/{quote_id}/confirm"),
    ("GET", "/fcm/fills"),
    ("GET", "/fcm/orders"),
    ("GET", "/fcm/positions"),
    ("POST", "/fcm/positions/transfers"),
    ("GET", "/fcm/subtraders"),
    ("POST", "/fcm/subtraders"),
    ("GET", "/fcm/subtraders/blocked_categories"),
    ("PUT", "/fcm/subtraders/blocked_categories"),
    ("DELETE", "/fcm/subtraders/event_contract_daily_cap"),
    ("GET", "/fcm/subtraders/event_contract_daily_cap"),
    ("PUT", "/fcm/subtraders/event_contract_daily_cap"),
    ("GET", "/live_data/batch"),
    ("GET", "/live_data/events/{event_ticker}"),
    ("GET", "/live_data/milestone/{milestone_id}"),
    ("GET", "/live_data/milestone/{milestone_id}/game_stats"),
    ("GET", "/live_data/weather/{city}"),
    ("GET", "/live_data/weather/{city}/calibrations"),
    ("GET", "/live_data/{type}/milestone/{milestone_id}"),
    ("GET", "/milestones/{milestone_id}"),
    ("GET", "/multivariate_event_collections/{collection_ticker}"),
    ("POST", "/multivariate_event_collections/{collection_ticker}"),
    ("GET", "/series/{series_ticker}/events/{ticker}/forecast_percentile_history"),
    ("GET", "/structured_targets/{structured_target_id}"),
)


async def refuse(request: web.Request) -> web.Response:
    """501, after the signature."""
    authorize(request)
    resource = request.match_info.route.resource
    path = resource.canonical.removeprefix(BASE) if resource is not None else request.path
    text = f"the local exchange does not implement {request.method} {path}"
    raise Rejection.nested(501, "not_implemented", text)


def routes(base: str) -> list[web.RouteDef]:
    """One route each."""
    return [web.route(method, f"{base}{path}", refuse) for method, path in NOT_IMPLEMENTED]
