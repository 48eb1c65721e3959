"""Private REST of a user's API keys: list, make, delete. Made ones last as long as this run."""

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

from processes.adapters.kalshi.auth.credentials import Algorithm, Credentials
from processes.adapters.kalshi.auth.signing import PublicKey
from processes.exchange.accounts import new_key, new_key_id
from processes.exchange.core.rejections import bad_request
from processes.exchange.house import answer, asked
from processes.exchange.keys import FULL_ACCESS, ApiKey, Asker, Scope
from processes.exchange.rest.fields import Fields, invalid, json_object

__all__ = ["routes"]

DAY_S: Final = 86_400
KINDS: Final = {
    "name": "string",
    "public_key": "string",
    "key_type": "string",
    "subaccount": "int",
}


async def list_keys(request: web.Request) -> web.Response:
    """All of the user's."""
    house, asker = asked(request)
    attested_until = house.venue.now_ms() // 1000 + 365 * DAY_S
    rows = [_row(key) for key in house.keys.of(asker.member)]
    return answer({"api_keys": rows, "api_key_region_expiration_ts": attested_until})


def _row(key: ApiKey) -> dict[str, Any]:
    row = {"api_key_id": key.api_key_id, "name": key.name, "scopes": key.scopes}
    return row | ({} if key.subaccount is None else {"subaccount": key.subaccount})


async def create(request: web.Request) -> web.Response:
    """With a public key of the user's own."""
    house, asker = asked(request)
    body = json_object(await request.read())
    fields = Fields(body, "CreateApiKeyRequest", KINDS)
    public = _public(fields.text("public_key", required=True))
    key = _key(asker, fields, body, new_key_id(), public)
    house.keys.add(key)
    return answer({"api_key_id": key.api_key_id}, 201)


async def generate(request: web.Request) -> web.Response:
    """With a key pair that is made here; the private key is told this once."""
    house, asker = asked(request)
    asker.check_unlocked()
    body = json_object(await request.read())
    fields = Fields(body, "GenerateApiKeyRequest", KINDS)
    algorithm = Algorithm.RSA if not fields.text("key_type") else fields.word("key_type", Algorithm)
    made = await asyncio.to_thread(new_key, algorithm)
    house.keys.add(_key(asker, fields, body, made.api_key_id, made.private_key.public_key()))
    reply = {"api_key_id": made.api_key_id, "key_type": algorithm, "private_key": _pem(made)}
    return answer(reply, 201)


async def delete(request: web.Request) -> web.Response:
    """It signs nothing any more."""
    house, asker = asked(request)
    asker.check_unlocked()
    house.keys.remove(asker.member, request.match_info["api_key"])
    return web.Response(status=204)


def _key(
    asker: Asker, fields: Fields, body: dict[str, Any], api_key_id: str, public: PublicKey
) -> ApiKey:
    """A new key of the asker's user, for accounts that it has."""
    asker.check_unlocked()
    number = fields.subaccount()
    if number is not None:
        asker.account(number)
    return ApiKey(
        api_key_id=api_key_id,
        user_id=asker.member.user_id,
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


def _public(pem: str) -> PublicKey:
    try:
        public = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise invalid("invalid public_key: not a public key in PEM form") from None
    if not isinstance(public, RSAPublicKey | Ed25519PublicKey):
        raise invalid("invalid public_key: neither RSA nor Ed25519")
    return public


def _pem(made: Credentials) -> str:
    """PKCS#1 of an RSA key, PKCS#8 of an Ed25519 key."""
    is_rsa = made.algorithm is Algorithm.RSA
    form = PrivateFormat.TraditionalOpenSSL if is_rsa else PrivateFormat.PKCS8
    return made.private_key.private_bytes(Encoding.PEM, form, NoEncryption()).decode("ascii")


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    keys = f"{base}/api_keys"
    return [
        web.get(keys, list_keys),
        web.post(keys, create),
        web.post(f"{keys}/generate", generate),
        web.delete(f"{keys}/{{api_key}}", delete),
    ]
