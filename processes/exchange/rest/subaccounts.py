"""Private REST of a user's subaccounts: open them, move money between them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from processes.exchange.core.rejections import Rejection
from processes.exchange.core.transfers import Transfer
from processes.exchange.house import answer, asked
from processes.exchange.rest import views
from processes.exchange.rest.fields import Fields, invalid, json_object
from processes.exchange.rest.money_requests import subaccount_transfer_of
from processes.exchange.rest.pages import page

__all__ = ["routes"]

CENT_E6 = 10_000
TOO_LOW = "basic"  # the only tier without subaccounts
CREATE_KINDS = {"exchange_index": "int"}
NETTING_KINDS = {"subaccount_number": "int", "enabled": "bool"}


async def create(request: web.Request) -> web.Response:
    """Open the next one; its money is what is moved there, on whatever shard."""
    house, asker = asked(request)
    asker.check_unlocked()
    if house.meters[asker.member.user_id].tier == TOO_LOW:
        raise Rejection.nested(403, "forbidden", "subaccounts need the Advanced API tier")
    data = await request.read()
    Fields(json_object(data) if data else {}, "CreateSubaccountRequest", CREATE_KINDS)
    return answer({"subaccount_number": asker.member.open().number}, 201)


async def balances(request: web.Request) -> web.Response:
    """What each account can spend, on each shard."""
    house, asker = asked(request)
    updated_ts = house.venue.now_ms() // 1000
    rows = [
        row | {"subaccount_number": account.number, "updated_ts": updated_ts}
        for account in asker.accounts(None)
        for row in views.by_shard({i: p.available_e6 for i, p in account.purses.items()})
    ]
    return answer({"subaccount_balances": rows})


async def transfer(request: web.Request) -> web.Response:
    """Move money from one account to another on the same shard."""
    house, asker = asked(request)
    asker.check_unlocked()
    house.desk.halts.check_cancel()
    wanted = subaccount_transfer_of(json_object(await request.read()), house.venue.now_ms())
    house.transfers.move(asker.member, wanted)
    return answer({})


def _row(done: Transfer) -> dict[str, Any]:
    return {
        "transfer_id": done.transfer_id,
        "from_subaccount": done.from_account,
        "to_subaccount": done.to_account,
        "amount_cents": done.amount_e6 // CENT_E6,
        "created_ts": done.created_ms // 1000,
        "exchange_index": done.source,
    }


async def transfers(request: web.Request) -> web.Response:
    """Newest first; a locked key sees those of its account."""
    house, asker = asked(request)
    seen = {account.number for account in asker.accounts(None)}
    done = house.transfers.of(asker.member, between_accounts=True)
    found = [t for t in done if seen & {t.from_account, t.to_account}]
    rows, cursor = page(found, request.query, "GetSubaccountTransfers")
    return answer({"transfers": [_row(t) for t in rows], "cursor": cursor})


async def get_netting(request: web.Request) -> web.Response:
    """Who asks for collateral back across the markets of an event."""
    _, asker = asked(request)
    rows = [
        {
            "subaccount_number": account.number,
            "enabled": account.number in asker.member.netting,
            "exchange_index": index,
        }
        for account in asker.accounts(None)
        for index in account.purses
    ]
    return answer({"netting_configs": rows})


async def set_netting(request: web.Request) -> web.Response:
    """Ask for it, or no more."""
    _, asker = asked(request)
    fields = Fields(
        json_object(await request.read()), "UpdateSubaccountNettingRequest", NETTING_KINDS
    )
    named, enabled = fields.subaccount("subaccount_number"), fields.flag("enabled")
    if named is None or not fields.has("enabled"):
        raise invalid("subaccount_number and enabled are required")
    number = asker.account(named).number
    if enabled:
        asker.member.netting.add(number)
    else:
        asker.member.netting.discard(number)
    return web.Response()


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    below = f"{base}/portfolio/subaccounts"
    return [
        web.post(below, create),
        web.post(f"{below}/transfer", transfer),
        web.get(f"{below}/transfers", transfers),
        web.get(f"{below}/balances", balances),
        web.get(f"{below}/netting", get_netting),
        web.put(f"{below}/netting", set_netting),
    ]
