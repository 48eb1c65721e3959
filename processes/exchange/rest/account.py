"""Private REST about the account itself: limits, tier, keys, payments."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.ledger import Account
from processes.exchange.core.rejections import Rejection
from processes.exchange.house import HOUSE, House, answer
from processes.exchange.rest import views

__all__ = ["routes"]

DAY_S = 86_400


def _asker(request: web.Request) -> tuple[House, Account]:
    house = request.app[HOUSE]
    return house, house.account(request)


async def get_limits(request: web.Request) -> web.Response:
    """The account's buckets."""
    house, account = _asker(request)
    return answer(house.meters[account.user_id].limits())


async def upgrade(request: web.Request) -> web.Response:
    """From basic to advanced, for the asking."""
    house, account = _asker(request)
    if not house.meters[account.user_id].upgrade():
        raise Rejection.nested(403, "forbidden")
    return web.Response(status=201)


async def volume_progress(request: web.Request) -> web.Response:
    """What the account has traded on the way to a higher tier."""
    house, account = _asker(request)
    since_ms = house.venue.now_ms() - 30 * DAY_S * 1000
    fills = house.desk.fills[account.user_id]
    row: dict[str, Any] = {
        "computed_ts": house.venue.now_ms() // 1000,
        "trailing_30d_volume_fp": format_count(
            sum(f.count_e2 for f in fills if f.ts_ms > since_ms)
        ),
        "goals": [],
    }
    return answer({"volume_progress": [row]})


async def api_keys(request: web.Request) -> web.Response:
    """The account's only key."""
    house, account = _asker(request)
    key = {"api_key_id": account.api_key_id, "name": "local", "scopes": ["read", "write"]}
    attested_until = house.venue.now_ms() // 1000 + 365 * DAY_S
    return answer({"api_keys": [key], "api_key_region_expiration_ts": attested_until})


async def deposits(request: web.Request) -> web.Response:
    """None: an account's money was there from the start."""
    _asker(request)
    return answer({"deposits": [], "cursor": ""})


async def withdrawals(request: web.Request) -> web.Response:
    """None."""
    _asker(request)
    return answer({"withdrawals": [], "cursor": ""})


async def subaccount_balances(request: web.Request) -> web.Response:
    """Of the primary account, the only one here, on each shard."""
    house, account = _asker(request)
    updated_ts = house.venue.now_ms() // 1000
    rows = views.by_shard({i: p.available_e6 for i, p in account.purses.items()})
    known = {"subaccount_number": 0, "updated_ts": updated_ts}
    return answer({"subaccount_balances": [row | known for row in rows]})


async def subaccount_netting(request: web.Request) -> web.Response:
    """No collateral is returned across markets."""
    _, account = _asker(request)
    rows = [{"subaccount_number": 0, "enabled": False, "exchange_index": i} for i in account.purses]
    return answer({"netting_configs": rows})


async def subaccount_transfers(request: web.Request) -> web.Response:
    """None: there is nowhere to transfer to."""
    _asker(request)
    return answer({"transfers": [], "cursor": ""})


async def no_subaccounts(request: web.Request) -> web.Response:
    """An account here has no others below it."""
    _asker(request)
    raise Rejection.nested(403, "forbidden")


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    below = f"{base}/portfolio/subaccounts"
    return [
        web.get(f"{below}/balances", subaccount_balances),
        web.get(f"{below}/netting", subaccount_netting),
        web.get(f"{below}/transfers", subaccount_transfers),
        web.post(below, no_subaccounts),
        web.post(f"{below}/transfer", no_subaccounts),
        web.put(f"{below}/netting", no_subaccounts),
        web.get(f"{base}/account/limits", get_limits),
        web.post(f"{base}/account/api_usage_level/upgrade", upgrade),
        web.get(f"{base}/account/api_usage_level/volume_progress", volume_progress),
        web.get(f"{base}/api_keys", api_keys),
        web.get(f"{base}/portfolio/deposits", deposits),
        web.get(f"{base}/portfolio/withdrawals", withdrawals),
    ]
