"""API keys of the local exchange: scopes, locks, making and deleting, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.local_exchange import LocalExchange
from support.local_orders import ORDERS, answer, order, two_markets
from support.patience import PATIENCE
from support.subaccounts import BELOW, BETWEEN_SHARDS, KEYS, SHARDS, a_key, money, moved, opened
from websockets.exceptions import InvalidStatus

from processes.adapters.kalshi.auth.credentials import Algorithm, Credentials, new_credentials


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


class TestKeys:
    @pytest.mark.parametrize("kind", ["rsa", "ed25519"])
    async def test_a_generated_key_signs_until_it_is_deleted(self, make, kind):
        async with make() as exchange:
            key = await a_key(exchange, key_type=kind)
            assert key.algorithm == kind
            assert (await exchange.call("GET", "/portfolio/orders", account=key)).is_success
            rows = (await exchange.call("GET", KEYS, account=key)).json()["api_keys"]
            assert rows[-1] == {
                "api_key_id": key.api_key_id,
                "name": "a key",
                "scopes": ["read", "write"],
            }
            strange = await exchange.call("DELETE", f"{KEYS}/{key.api_key_id}", account=1)
            assert answer(strange) == (404, "not_found")
            gone = await exchange.call("DELETE", f"{KEYS}/{key.api_key_id}")
            assert gone.status_code == 204
            refused = await exchange.call("GET", "/portfolio/orders", account=key)
            assert refused.status_code == 401
            assert refused.json()["error"]["details"] == "NOT_FOUND"

    async def test_a_key_of_the_users_own_making(self, make):
        async with make() as exchange:
            own = new_credentials("", Algorithm.ED25519)
            pem = own.private_key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
            made = await exchange.call("POST", KEYS, {"name": "own", "public_key": pem.decode()})
            assert made.status_code == 201
            key = Credentials(made.json()["api_key_id"], own.private_key)
            assert (await exchange.call("GET", "/portfolio/balance", account=key)).is_success

    @pytest.mark.parametrize(
        ("scopes", "allowed"),
        [
            ("read", "balance orders stream"),
            ("read::portfolio_balance", "balance"),
            ("write::trade", "create cancel"),
            ("write::transfer", "transfer"),
            ("read write::trade", "balance orders create cancel stream"),
            ("read write", "balance orders create cancel transfer key stream"),
        ],
    )
    async def test_a_key_does_what_its_scopes_allow(self, make, scopes, allowed):
        async with make() as exchange:
            number = await opened(exchange)
            key = await a_key(exchange, scopes=scopes.split())
            calls = {
                "balance": ("GET", "/portfolio/balance", None),
                "orders": ("GET", "/portfolio/orders", None),
                "create": ("POST", ORDERS, order("0.3000", "1.00")),
                "cancel": ("DELETE", ORDERS, None),
                "transfer": ("POST", f"{BELOW}/transfer", moved(0, number, 100)),
                "key": ("POST", f"{KEYS}/generate", {"name": "more"}),
            }
            done = []
            for name, (method, path, body) in calls.items():
                reply = await exchange.call(method, path, body, account=key)
                assert reply.is_success or answer(reply) == (403, "forbidden"), (name, reply.text)
                done += [name] if reply.is_success else []
            done += ["stream"] if await _streams(exchange, key) else []
            assert done == allowed.split()

    async def test_a_locked_key_is_for_one_account_only(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            key = await a_key(exchange, subaccount=number)
            call = partial(exchange.call, account=key)
            assert (await call("POST", ORDERS, order("0.5200", "1.00"))).status_code == 201
            rows = (await call("GET", "/portfolio/orders")).json()["orders"]
            assert [row["subaccount_number"] for row in rows] == [number]
            balance = (await call("GET", "/portfolio/balance")).json()
            assert "balance_breakdown" not in balance
            assert list(await money(exchange, key)) == [number]
            first = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            path = f"/portfolio/orders/{first.json()['order_id']}"
            assert answer(await call("GET", path)) == (404, "not_found")
            assert answer(await call("GET", f"{path}/queue_position")) == (404, "not_found")
            refused = [
                await call("GET", "/portfolio/orders", subaccount=0),
                await call("POST", ORDERS, order("0.3000", "1.00", subaccount=0)),
                await call("DELETE", ORDERS, subaccount=0),
                await call("POST", BELOW, {}),
                await call("POST", f"{BELOW}/transfer", moved(number, 0, 100)),
                await call("POST", SHARDS, BETWEEN_SHARDS | {"destination_exchange_shard": 2}),
                await call("POST", "/portfolio/target_balance_allocation", {"allocations": []}),
                await call("POST", f"{KEYS}/generate", {"name": "more"}),
                await call("DELETE", f"{KEYS}/{key.api_key_id}"),
            ]
            assert [answer(reply) for reply in refused] == [(403, "forbidden")] * len(refused)
            moved_up = await exchange.call(
                "POST", SHARDS, BETWEEN_SHARDS | {"destination_exchange_shard": 2}
            )
            theirs = f"{SHARDS}s/{moved_up.json()['transfer_id']}"
            assert (await exchange.call("GET", theirs)).is_success
            assert answer(await call("GET", theirs)) == (404, "not_found")
            assert (await call("GET", f"{SHARDS}s")).json()["transfers"] == []
            ends = {"source_subaccount": number, "destination_subaccount": number}
            own = BETWEEN_SHARDS | ends | {"destination_exchange_shard": 2}
            assert (await call("POST", SHARDS, own)).status_code == 200

    @pytest.mark.parametrize(
        "change",
        [
            {"name": ""},
            {"scopes": []},
            {"scopes": ["write"]},
            {"scopes": ["trade"]},
            {"scopes": "read"},
            {"key_type": "dsa"},
            {"subaccount": 64},
            {"subaccount": -1},
            {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
        ],
        ids=str,
    )
    async def test_a_key_that_cannot_be_made(self, make, change):
        async with make() as exchange:
            path = KEYS if "public_key" in change else f"{KEYS}/generate"
            reply = await exchange.call("POST", path, {"name": "a key"} | change)
            assert reply.status_code == 400
            rows = (await exchange.call("GET", KEYS)).json()["api_keys"]
            assert len(rows) == 1

    async def test_a_key_for_a_subaccount_that_is_not_there(self, make):
        async with make() as exchange:
            asked = {"name": "a key", "subaccount": 1}
            reply = await exchange.call("POST", f"{KEYS}/generate", asked)
            assert answer(reply) == (404, "subaccount_not_found")


async def _streams(exchange: LocalExchange, key: Credentials) -> bool:
    """Whether a WebSocket opens with this key; else the scope is what is wrong."""
    try:
        async with asyncio.timeout(PATIENCE), exchange.stream(key):
            return True
    except InvalidStatus as refusal:
        return refusal.response.status_code != 403
