"""Private REST that moves a user's money between shards."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_price
from processes.exchange.core.rejections import not_found
from processes.exchange.core.transfers import Transfer
from processes.exchange.house import answer, asked
from processes.exchange.rest.fields import json_object
from processes.exchange.rest.money_requests import allocations_of, transfer_of
from processes.exchange.rest.pages import TRANSFER_PAGES, page

__all__ = ["routes"]

INSTANCE = "event_contract"


async def move(request: web.Request) -> web.Response:
    """From one shard to another."""
    house, asker = asked(request)
    house.desk.halts.check_cancel()
    wanted = transfer_of(json_object(await request.read()), house.venue.now_ms())
    for number in (wanted.from_account, wanted.to_account):
        asker.account(number)
    return answer({"transfer_id": house.transfers.move(asker.member, wanted).transfer_id})


def _row(transfer: Transfer) -> dict[str, Any]:
    row: dict[str, Any] = {
        "transfer_id": transfer.transfer_id,
        "source": INSTANCE,
        "destination": INSTANCE,
        "source_exchange_shard": transfer.source,
        "destination_exchange_shard": transfer.destination,
        "amount": format_price(transfer.amount_e6 // 100),
        "status": "complete",
        "created_ts": transfer.created_ms // 1000,
    }
    if transfer.client_transfer_id:
        row["client_transfer_id"] = transfer.client_transfer_id
    return row


async def list_transfers(request: web.Request) -> web.Response:
    """Newest first."""
    house, asker = asked(request)
    seen = {account.number for account in asker.accounts(None)}
    found = [t for t in house.transfers.of(asker.member) if seen & {t.from_account, t.to_account}]
    operation = "GetIntraExchangeInstanceTransfers"
    rows, cursor = page(found, request.query, operation, TRANSFER_PAGES)
    return answer({"transfers": [_row(t) for t in rows], "cursor": cursor})


async def get_transfer(request: web.Request) -> web.Response:
    """One of them."""
    house, asker = asked(request)
    transfer = house.transfers.get(asker.member, request.match_info["transfer_id"])
    if not {a.number for a in asker.accounts(None)} & {transfer.from_account, transfer.to_account}:
        raise not_found()
    return answer({"transfer": _row(transfer)})


async def get_targets(request: web.Request) -> web.Response:
    """How free money is to be spread."""
    house, asker = asked(request)
    targets = house.transfers.targets(asker.member)
    rows = [{"exchange_index": i, "percent": p} for i, p in targets.items()]
    return answer({"allocations": rows, "resting_margin_reservation": "sum"})


async def set_targets(request: web.Request) -> web.Response:
    """Spread it otherwise from now on."""
    house, asker = asked(request)
    asker.check_unlocked()
    house.transfers.aim(asker.member, allocations_of(json_object(await request.read())))
    return answer({})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    transfers = f"{base}/portfolio/intra_exchange_instance_transfer"
    targets = f"{base}/portfolio/target_balance_allocation"
    return [
        web.post(transfers, move),
        web.get(f"{transfers}s", list_transfers),
        web.get(f"{transfers}s/{{transfer_id}}", get_transfer),
        web.get(targets, get_targets),
        web.post(targets, set_targets),
    ]
