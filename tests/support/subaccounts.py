"""Subaccounts and keys of the local exchange's first user, as a client makes them."""

from __future__ import annotations

import uuid
from typing import Any

from support.local_exchange import LocalExchange
from support.local_orders import answer

from processes.adapters.kalshi.auth.credentials import Credentials

__all__ = ["BELOW", "BETWEEN_SHARDS", "KEYS", "SHARDS", "a_key", "money", "moved", "opened"]

BELOW = "/portfolio/subaccounts"
KEYS = "/api_keys"
SHARDS = "/portfolio/intra_exchange_instance_transfer"
BETWEEN_SHARDS = {"source": "event_contract", "destination": "event_contract", "amount": 10_000}


async def opened(exchange: LocalExchange, cents: int = 10_000) -> int:
    """A new subaccount of the first user, with money on shard 0."""
    reply = await exchange.call("POST", BELOW, {})
    assert reply.status_code == 201
    number: int = reply.json()["subaccount_number"]
    if cents:
        assert answer(await exchange.call("POST", f"{BELOW}/transfer", moved(0, number, cents)))[
            0
        ] == (200)
    return number


def moved(source: int, destination: int, cents: int, **more: Any) -> dict[str, Any]:
    return {
        "client_transfer_id": str(uuid.uuid4()),
        "from_subaccount": source,
        "to_subaccount": destination,
        "amount_cents": cents,
    } | more


async def money(exchange: LocalExchange, account: int | Credentials = 0) -> dict[int, str]:
    """What each account can spend on shard 0."""
    rows = (await exchange.call("GET", f"{BELOW}/balances", account=account)).json()
    return {
        row["subaccount_number"]: row["balance"]
        for row in rows["subaccount_balances"]
        if row["exchange_index"] == 0
    }


async def a_key(exchange: LocalExchange, **facts: Any) -> Credentials:
    """A new key of the first user."""
    body = {"name": "a key", "key_type": "ed25519"} | facts
    reply = await exchange.call("POST", f"{KEYS}/generate", body)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    return Credentials.from_pem(made["api_key_id"], made["private_key"].encode())
