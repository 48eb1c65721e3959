"""Private REST that moves an account's money between shards."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_price
from processes.exchange.core.ledger import Account
from processes.exchange.core.transfers import Transfer
from processes.exchange.house import HOUSE, House, answer
from processes.exchange.rest.fields import json_object
from processes.exchange.rest.money_requests import allocations_of, transfer_of
from processes.exchange.rest.pages import TRANSFER_PAGES, page

__all__ = ["routes"]

INSTANCE = "event_contract"


def _asker(request: web.Request) -> tuple[House, Account]:
    house = request.app[HOUSE]
    return house, house.account(request)


async def move(request: web.Request) -> web.Response:
    """From one shard to another."""
    house, account = _asker(request)
    house.desk.halts.check_cancel()
    asked = transfer_of(json_object(await request.read()), house.venue.now_ms())
    return answer({"transfer_id": house.transfers.move(account, asked).transfer_id})


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
    house, account = _asker(request)
    found = house.transfers.of(account)
    operation = "GetIntraExchangeInstanceTransfers"
    rows, cursor = page(found, request.query, operation, TRANSFER_PAGES)
    return answer({"transfers": [_row(t) for t in rows], "cursor": cursor})


async def get_transfer(request: web.Request) -> web.Response:
    """One of them."""
    house, account = _asker(request)
    transfer = house.transfers.get(account, request.match_info["transfer_id"])
    return answer({"transfer": _row(transfer)})


async def get_targets(request: web.Request) -> web.Response:
    """How free money is to be spread."""
    house, account = _asker(request)
    targets = house.transfers.targets(account)
    rows = [{"exchange_index": i, "percent": p} for i, p in targets.items()]
    return answer({"allocations": rows, "resting_margin_reservation": "sum"})


async def set_targets(request: web.Request) -> web.Response:
    """Spread it otherwise from now on."""
    house, account = _asker(request)
    house.transfers.aim(account, allocations_of(json_object(await request.read())))
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
