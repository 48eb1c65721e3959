"""Public REST about the exchange itself: status, hours, what calls cost, where history begins."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from processes.exchange.house import HOUSE, answer
from processes.exchange.rest.limits import DEFAULT_COST, listed_costs
from processes.exchange.stream.frames import iso_ms

__all__ = ["routes"]

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALL_DAY: Final = [{"open_time": "00:00", "close_time": "00:00"}]
SHARDS: Final = ("default", "combos", "crypto and commodities", "tennis, baseball, basketball")


async def status(request: web.Request) -> web.Response:
    """Whether the exchange and its shards are open."""
    house = request.app[HOUSE]
    house.keep()
    halts = house.desk.halts
    now: dict[str, Any] = {
        "exchange_active": not halts.exchange,
        "trading_active": not halts.stops_trading,
        "intra_exchange_transfers_active": not halts.exchange,
    }
    shards = [
        {"exchange_index": index, "description": description} | now
        for index, description in enumerate(SHARDS)
    ]
    resumes_ms = house.maintenance.resumes_ms(house.venue.now_ms())
    if resumes_ms is not None:
        now["exchange_estimated_resume_time"] = iso_ms(resumes_ms)
    return answer(now | {"exchange_index_statuses": shards})


async def schedule(request: web.Request) -> web.Response:
    """Open all week but for maintenance, which is announced here."""
    house = request.app[HOUSE]
    now_ms = house.venue.now_ms()
    week: dict[str, Any] = dict.fromkeys(DAYS, ALL_DAY)
    times = {"start_time": iso_ms(0), "end_time": iso_ms(now_ms + 365 * 86_400_000)}
    windows = [
        {"start_datetime": iso_ms(w.start_ms), "end_datetime": iso_ms(w.end_ms)}
        for w in house.maintenance.windows(now_ms)
    ]
    return answer({"schedule": {"standard_hours": [times | week], "maintenance_windows": windows}})


async def user_data_timestamp(request: web.Request) -> web.Response:
    """As of when reads of an account are."""
    house = request.app[HOUSE]
    return answer({"as_of_time": iso_ms(house.venue.now_ms() - house.replica.orders_lag_ms)})


async def endpoint_costs(_: web.Request) -> web.Response:
    """Which calls do not cost the default."""
    return answer({"default_cost": DEFAULT_COST, "endpoint_costs": listed_costs()})


async def historical_cutoff(request: web.Request) -> web.Response:
    """What is older is read under `/historical`."""
    cutoff = iso_ms(request.app[HOUSE].cutoff_ms())
    names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts")
    return answer(dict.fromkeys((*names, "market_positions_last_updated_ts"), cutoff))


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    return [
        web.get(f"{base}/exchange/status", status),
        web.get(f"{base}/exchange/schedule", schedule),
        web.get(f"{base}/exchange/user_data_timestamp", user_data_timestamp),
        web.get(f"{base}/account/endpoint_costs", endpoint_costs),
        web.get(f"{base}/historical/cutoff", historical_cutoff),
    ]
