"""Private REST of a user's settings: limits, API keys, subaccounts, transfers between shards."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from ipc.units import format_count, format_price
from processes.adapters.kalshi.auth.credentials import Algorithm, Credentials
from processes.adapters.kalshi.auth.signing import PublicKey
from processes.exchange.core.access import FULL_ACCESS, ApiKey, Caller, Scope
from processes.exchange.core.ledger import Transfer
from processes.exchange.core.rejections import Rejection, bad_request, not_found
from processes.exchange.rest import bodies
from processes.exchange.rest.pages import TRANSFER_PAGES, page
from processes.exchange.rest.requests import (
    Fields,
    allocations_of,
    invalid,
    json_object,
    subaccount_transfer_of,
    transfer_of,
)
from processes.exchange.shared.accounts import new_key, new_key_id
from processes.exchange.shared.state import answer, authorize

__all__ = ["_key_routes", "_limit_routes", "_subaccount_routes", "_transfer_routes"]

DAY_S = 86_400


async def get_limits(request: web.Request) -> web.Response:
    """The account's buckets."""
    state, caller = authorize(request)
    return answer(state.meters[caller.member.user_id].limits())


async def upgrade(request: web.Request) -> web.Response:
    """From basic to advanced, for the asking."""
    state, caller = authorize(request)
    if not state.meters[caller.member.user_id].upgrade():
        raise Rejection.nested(403, "forbidden")
    return web.Response(status=201)


async def volume_progress(request: web.Request) -> web.Response:
    """What the account has traded on the way to a higher tier."""
    state, caller = authorize(request)
    since_ms = state.venue.now_ms() - 30 * DAY_S * 1000
    fills = state.order_entry.fills[caller.member.user_id]
    row: dict[str, Any] = {
        "computed_ts": state.venue.now_ms() // 1000,
        "trailing_30d_volume_fp": format_count(
            sum(f.count_e2 for f in fills if f.ts_ms > since_ms)
        ),
        "goals": [],
    }
    return answer({"volume_progress": [row]})


async def deposits(request: web.Request) -> web.Response:
    """None: an account's money was there from the start."""
    authorize(request)
    return answer({"deposits": [], "cursor": ""})


async def withdrawals(request: web.Request) -> web.Response:
    """None."""
    authorize(request)
    return answer({"withdrawals": [], "cursor": ""})


def _limit_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    return [
        web.get(f"{base}/account/limits", get_limits),
        web.post(f"{base}/account/api_usage_level/upgrade", upgrade),
        web.get(f"{base}/account/api_usage_level/volume_progress", volume_progress),
        web.get(f"{base}/portfolio/deposits", deposits),
        web.get(f"{base}/portfolio/withdrawals", withdrawals),
    ]


KEY_KINDS: Final = {
    "name": "string",
    "public_key": "string",
    "key_type": "string",
    "subaccount": "int",
}


async def list_keys(request: web.Request) -> web.Response:
    """All of the user's."""
    state, caller = authorize(request)
    attested_until = state.venue.now_ms() // 1000 + 365 * DAY_S
    rows = [_key_row(key) for key in state.keys.of(caller.member)]
    return answer({"api_keys": rows, "api_key_region_expiration_ts": attested_until})


def _key_row(key: ApiKey) -> dict[str, Any]:
    row = {"api_key_id": key.api_key_id, "name": key.name, "scopes": key.scopes}
    return row | ({} if key.subaccount is None else {"subaccount": key.subaccount})


async def create_key(request: web.Request) -> web.Response:
    """With a public key of the user's own."""
    state, caller = authorize(request)
    body = json_object(await request.read())
    fields = Fields(body, "CreateApiKeyRequest", KEY_KINDS)
    public = _public_key(fields.text("public_key", required=True))
    key = _new_key(caller, fields, body, new_key_id(), public)
    state.keys.add(key)
    return answer({"api_key_id": key.api_key_id}, 201)


async def generate_key(request: web.Request) -> web.Response:
    """With a key pair that is made here; the private key is returned this once."""
    state, caller = authorize(request)
    caller.check_unlocked()
    body = json_object(await request.read())
    fields = Fields(body, "GenerateApiKeyRequest", KEY_KINDS)
    algorithm = Algorithm.RSA if not fields.text("key_type") else fields.word("key_type", Algorithm)
    made = await asyncio.to_thread(new_key, algorithm)
    state.keys.add(_new_key(caller, fields, body, made.api_key_id, made.private_key.public_key()))
    reply = {
        "api_key_id": made.api_key_id,
        "key_type": algorithm,
        "private_key": _private_pem(made),
    }
    return answer(reply, 201)


async def delete_key(request: web.Request) -> web.Response:
    """It signs nothing any more."""
    state, caller = authorize(request)
    caller.check_unlocked()
    state.keys.remove(caller.member, request.match_info["api_key"])
    return web.Response(status=204)


def _new_key(
    caller: Caller, fields: Fields, body: dict[str, Any], api_key_id: str, public: PublicKey
) -> ApiKey:
    """A new key of the caller's user, for accounts that it has."""
    caller.check_unlocked()
    number = fields.subaccount()
    if number is not None:
        caller.account(number)
    return ApiKey(
        api_key_id=api_key_id,
        user_id=caller.member.user_id,
        public=public,
        name=fields.text("name", required=True),
        scopes=_scopes(body.get("scopes")),
        subaccount=number,
    )


def _scopes(asked_for: Any) -> tuple[Scope, ...]:
    """All of `read` and `write`, unless the request says otherwise."""
    if asked_for is None:
        return FULL_ACCESS
    if not isinstance(asked_for, list) or not all(isinstance(s, str) for s in asked_for):
        raise bad_request("scopes: a list of strings is required")
    unknown = sorted(set(asked_for) - set(Scope))
    if unknown or not asked_for:
        raise invalid(f"invalid scopes: {', '.join(unknown) or 'at least one is needed'}")
    scopes = tuple(Scope(s) for s in dict.fromkeys(asked_for))
    if Scope.WRITE in scopes and Scope.READ not in scopes:
        raise invalid("invalid scopes: write needs read")
    return scopes


def _public_key(pem: str) -> PublicKey:
    try:
        public = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise invalid("invalid public_key: not a public key in PEM form") from None
    if not isinstance(public, RSAPublicKey | Ed25519PublicKey):
        raise invalid("invalid public_key: neither RSA nor Ed25519")
    return public


def _private_pem(made: Credentials) -> str:
    """PKCS#1 of an RSA key, PKCS#8 of an Ed25519 key."""
    is_rsa = made.algorithm is Algorithm.RSA
    form = PrivateFormat.TraditionalOpenSSL if is_rsa else PrivateFormat.PKCS8
    return made.private_key.private_bytes(Encoding.PEM, form, NoEncryption()).decode("ascii")


def _key_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    keys = f"{base}/api_keys"
    return [
        web.get(keys, list_keys),
        web.post(keys, create_key),
        web.post(f"{keys}/generate", generate_key),
        web.delete(f"{keys}/{{api_key}}", delete_key),
    ]


CENT_E6 = 10_000
TOO_LOW = "basic"  # the only tier without subaccounts
SUBACCOUNT_KINDS = {"exchange_index": "int"}
NETTING_KINDS = {"subaccount_number": "int", "enabled": "bool"}


async def create_subaccount(request: web.Request) -> web.Response:
    """Open the next one; its money is what is moved there, on whatever shard."""
    state, caller = authorize(request)
    caller.check_unlocked()
    if state.meters[caller.member.user_id].tier == TOO_LOW:
        raise Rejection.nested(403, "forbidden", "subaccounts need the Advanced API tier")
    data = await request.read()
    Fields(json_object(data) if data else {}, "CreateSubaccountRequest", SUBACCOUNT_KINDS)
    return answer({"subaccount_number": caller.member.open().number}, 201)


async def subaccount_balances(request: web.Request) -> web.Response:
    """What each account can spend, on each shard."""
    state, caller = authorize(request)
    updated_ts = state.venue.now_ms() // 1000
    rows = [
        row | {"subaccount_number": account.number, "updated_ts": updated_ts}
        for account in caller.accounts(None)
        for row in bodies.by_shard({i: p.available_e6 for i, p in account.collaterals.items()})
    ]
    return answer({"subaccount_balances": rows})


async def transfer_between_subaccounts(request: web.Request) -> web.Response:
    """Move money from one account to another on the same shard."""
    state, caller = authorize(request)
    caller.check_unlocked()
    state.order_entry.halts.check_cancel()
    wanted = subaccount_transfer_of(json_object(await request.read()), state.venue.now_ms())
    state.transfers.move(caller.member, wanted)
    return answer({})


def _subaccount_transfer_row(done: Transfer) -> dict[str, Any]:
    return {
        "transfer_id": done.transfer_id,
        "from_subaccount": done.from_account,
        "to_subaccount": done.to_account,
        "amount_cents": done.amount_e6 // CENT_E6,
        "created_ts": done.created_ms // 1000,
        "exchange_index": done.source,
    }


async def list_subaccount_transfers(request: web.Request) -> web.Response:
    """Newest first; a locked key sees those of its account."""
    state, caller = authorize(request)
    seen = {account.number for account in caller.accounts(None)}
    done = state.transfers.of(caller.member, between_accounts=True)
    found = [t for t in done if seen & {t.from_account, t.to_account}]
    rows, cursor = page(found, request.query, "GetSubaccountTransfers", lambda t: (-t.number,))
    return answer({"transfers": [_subaccount_transfer_row(t) for t in rows], "cursor": cursor})


async def get_netting(request: web.Request) -> web.Response:
    """Who asks for collateral back across the markets of an event."""
    _, caller = authorize(request)
    rows = [
        {
            "subaccount_number": account.number,
            "enabled": account.number in caller.member.netting,
            "exchange_index": index,
        }
        for account in caller.accounts(None)
        for index in account.collaterals
    ]
    return answer({"netting_configs": rows})


async def set_netting(request: web.Request) -> web.Response:
    """Ask for it, or no more."""
    state, caller = authorize(request)
    fields = Fields(
        json_object(await request.read()), "UpdateSubaccountNettingRequest", NETTING_KINDS
    )
    named, enabled = fields.subaccount("subaccount_number"), fields.flag("enabled")
    if named is None or not fields.has("enabled"):
        raise invalid("subaccount_number and enabled are required")
    number = caller.account(named).number
    if enabled:
        caller.member.netting.add(number)
    else:
        caller.member.netting.discard(number)
    state.order_entry.returns.update_all(caller.account(named))
    return answer({})


def _subaccount_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    below = f"{base}/portfolio/subaccounts"
    return [
        web.post(below, create_subaccount),
        web.post(f"{below}/transfer", transfer_between_subaccounts),
        web.get(f"{below}/transfers", list_subaccount_transfers),
        web.get(f"{below}/balances", subaccount_balances),
        web.get(f"{below}/netting", get_netting),
        web.put(f"{below}/netting", set_netting),
    ]


INSTANCE = "event_contract"
RESERVATIONS = ("sum", "max", "none")  # the first is the default
RESERVATION_KINDS = {"resting_margin_reservation": "string"}


async def move_between_shards(request: web.Request) -> web.Response:
    """From one shard to another."""
    state, caller = authorize(request)
    state.order_entry.halts.check_cancel()
    wanted = transfer_of(json_object(await request.read()), state.venue.now_ms())
    for number in (wanted.from_account, wanted.to_account):
        caller.account(number)
    return answer({"transfer_id": state.transfers.move(caller.member, wanted).transfer_id})


def _transfer_row(transfer: Transfer) -> dict[str, Any]:
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
    state, caller = authorize(request)
    seen = {account.number for account in caller.accounts(None)}
    found = [t for t in state.transfers.of(caller.member) if seen & {t.from_account, t.to_account}]
    operation = "GetIntraExchangeInstanceTransfers"
    rows, cursor = page(found, request.query, operation, lambda t: (-t.number,), TRANSFER_PAGES)
    return answer({"transfers": [_transfer_row(t) for t in rows], "cursor": cursor})


async def get_transfer(request: web.Request) -> web.Response:
    """One of them."""
    state, caller = authorize(request)
    transfer = state.transfers.get(caller.member, request.match_info["transfer_id"])
    if not {a.number for a in caller.accounts(None)} & {transfer.from_account, transfer.to_account}:
        raise not_found()
    return answer({"transfer": _transfer_row(transfer)})


async def get_targets(request: web.Request) -> web.Response:
    """How free money is to be spread."""
    state, caller = authorize(request)
    targets = state.transfers.targets(caller.member)
    rows = [{"exchange_index": i, "percent": p} for i, p in targets.items()]
    reservation = state.transfers.reservations.get(caller.member.user_id, RESERVATIONS[0])
    return answer({"allocations": rows, "resting_margin_reservation": reservation})


async def set_targets(request: web.Request) -> web.Response:
    """Spread it otherwise from now on."""
    state, caller = authorize(request)
    caller.check_unlocked()
    body = json_object(await request.read())
    reservation = Fields(body, "SetTargetBalanceAllocationRequest", RESERVATION_KINDS).text(
        "resting_margin_reservation"
    )
    if reservation and reservation not in RESERVATIONS:
        raise invalid(f"invalid resting_margin_reservation: {reservation}")
    state.transfers.aim(caller.member, allocations_of(body))
    state.transfers.reservations[caller.member.user_id] = reservation or RESERVATIONS[0]
    return answer({})


def _transfer_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    transfers = f"{base}/portfolio/intra_exchange_instance_transfer"
    targets = f"{base}/portfolio/target_balance_allocation"
    return [
        web.post(transfers, move_between_shards),
        web.get(f"{transfers}s", list_transfers),
        web.get(f"{transfers}s/{{transfer_id}}", get_transfer),
        web.get(targets, get_targets),
        web.post(targets, set_targets),
    ]


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [
        *_limit_routes(base),
        *_key_routes(base),
        *_subaccount_routes(base),
        *_transfer_routes(base),
    ]
