"""Public REST about the exchange: status, hours, costs of calls, and lists that stay empty."""

from __future__ import annotations

import uuid
from typing import Any, Final

from aiohttp import web

from processes.exchange.core.access import DEFAULT_COST, listed_costs
from processes.exchange.shared.state import STATE, answer, authorize
from processes.exchange.stream.frames import iso_ms

__all__ = ["_empty_routes", "routes"]

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALL_DAY: Final = [{"open_time": "00:00", "close_time": "00:00"}]
SHARDS: Final = ("default", "combos", "crypto and commodities", "tennis, baseball, basketball")


async def status(request: web.Request) -> web.Response:
    """Whether the exchange and its shards are open."""
    state = request.app[STATE]
    state.apply_due()
    halts = state.order_entry.halts
    now: dict[str, Any] = {
        "exchange_active": not halts.exchange,
        "trading_active": not halts.stops_trading,
        "intra_exchange_transfers_active": not halts.exchange,
    }
    shards = [
        {"exchange_index": index, "description": description} | now
        for index, description in enumerate(SHARDS)
    ]
    resumes_ms = state.maintenance.resumes_ms(state.venue.now_ms())
    if resumes_ms is not None:
        now["exchange_estimated_resume_time"] = iso_ms(resumes_ms)
    return answer(now | {"exchange_index_statuses": shards})


async def schedule(request: web.Request) -> web.Response:
    """Open all week but for maintenance, which is announced here."""
    state = request.app[STATE]
    now_ms = state.venue.now_ms()
    week: dict[str, Any] = dict.fromkeys(DAYS, ALL_DAY)
    times = {"start_time": iso_ms(0), "end_time": iso_ms(now_ms + 365 * 86_400_000)}
    windows = [
        {"start_datetime": iso_ms(w.start_ms), "end_datetime": iso_ms(w.end_ms)}
        for w in state.maintenance.windows(now_ms)
    ]
    return answer({"schedule": {"standard_hours": [times | week], "maintenance_windows": windows}})


async def user_data_timestamp(request: web.Request) -> web.Response:
    """As of when reads of an account are."""
    state = request.app[STATE]
    return answer({"as_of_time": iso_ms(state.venue.now_ms() - state.replica.orders_lag_ms)})


async def endpoint_costs(_: web.Request) -> web.Response:
    """Which calls do not cost the default."""
    return answer({"default_cost": DEFAULT_COST, "endpoint_costs": listed_costs()})


async def historical_cutoff(request: web.Request) -> web.Response:
    """What is older is read under `/historical`."""
    cutoff = iso_ms(request.app[STATE].cutoff_ms())
    names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts")
    return answer(dict.fromkeys((*names, "market_positions_last_updated_ts"), cutoff))


def _status_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    return [
        web.get(f"{base}/exchange/status", status),
        web.get(f"{base}/exchange/schedule", schedule),
        web.get(f"{base}/exchange/user_data_timestamp", user_data_timestamp),
        web.get(f"{base}/account/endpoint_costs", endpoint_costs),
        web.get(f"{base}/historical/cutoff", historical_cutoff),
    ]


EMPTY_PUBLIC: Final[dict[str, dict[str, Any]]] = {
    "/milestones": {"milestones": [], "cursor": ""},
    "/structured_targets": {"structured_targets": [], "cursor": ""},
    "/multivariate_event_collections": {"multivariate_contracts": [], "cursor": ""},
    "/search/tags_by_categories": {"tags_by_categories": {}},
    "/search/filters_by_sport": {"filters_by_sports": {}, "sport_ordering": []},
}
EMPTY_PRIVATE: Final[dict[str, dict[str, Any]]] = {
    "/communications/rfqs": {"rfqs": [], "cursor": ""},
    "/communications/quotes": {"quotes": [], "cursor": ""},
    "/communications/rfq_batches": {"rfq_batches": [], "cursor": ""},
    "/communications/block-trade-proposals": {"block_trade_proposals": [], "cursor": ""},
}


async def _empty_public(request: web.Request) -> web.Response:
    """Nothing, for anybody."""
    return answer(EMPTY_PUBLIC[_below(request)])


async def _empty_private(request: web.Request) -> web.Response:
    """Nothing, for those who may ask."""
    authorize(request)
    return answer(EMPTY_PRIVATE[_below(request)])


def _below(request: web.Request) -> str:
    return next(p for p in (*EMPTY_PUBLIC, *EMPTY_PRIVATE) if request.path.endswith(p))


async def communications_id(request: web.Request) -> web.Response:
    """The public id of a user among those who ask for quotes."""
    _, caller = authorize(request)
    public = uuid.uuid5(uuid.NAMESPACE_OID, f"communications:{caller.member.user_id}")
    return answer({"communications_id": str(public)})


def _empty_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    return [
        *(web.get(f"{base}{path}", _empty_public) for path in EMPTY_PUBLIC),
        web.get(f"{base}/communications/id", communications_id),
        *(web.get(f"{base}{path}", _empty_private) for path in EMPTY_PRIVATE),
    ]


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [
        *_status_routes(base),
        *_empty_routes(base),
    ]
