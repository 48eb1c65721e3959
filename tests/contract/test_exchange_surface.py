"""Shards, order groups, queues, tiers and lagging reads of the exchange, over real sockets."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from support.local_exchange import LocalExchange
from support.local_orders import CRYPTO, ORDERS, TICKER, answer, order, two_markets

GROUPS, TRANSFER = "/portfolio/order_groups", "/portfolio/intra_exchange_instance_transfer"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


async def fund(exchange: LocalExchange, dollars: int) -> httpx.Response:
    """Move money to the shard of the crypto market."""
    body = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": dollars * 10_000,
        "destination_exchange_shard": 2,
    }
    return await exchange.call("POST", TRANSFER, body)


class TestShards:
    async def test_collateral_is_the_shard_s_own(self, make):
        async with make() as exchange:
            wanted = order("0.3000", "10.00", CRYPTO)
            assert answer(await exchange.call("POST", ORDERS, wanted)) == (
                400,
                "insufficient_balance",
            )
            moved = (await fund(exchange, 5)).json()["transfer_id"]
            assert (await exchange.call("POST", ORDERS, wanted)).status_code == 201
            balance = (await exchange.call("GET", "/portfolio/balance")).json()
            assert balance["balance_breakdown"] == [
                {"exchange_index": 0, "balance": "9995.0000"},
                {"exchange_index": 2, "balance": "2.0000"},
            ]
            assert balance["balance_dollars"] == "9997.0000"
            one = (await exchange.call("GET", "/portfolio/balance", exchange_index=2)).json()
            assert (one["balance"], len(one["balance_breakdown"])) == (200, 1)
            listed = (await exchange.call("GET", f"{TRANSFER}s")).json()["transfers"]
            assert [(t["transfer_id"], t["amount"]) for t in listed] == [(moved, "5.0000")]

    async def test_a_transfer_is_made_once_and_only_of_what_is_free(self, make):
        async with make() as exchange:
            body = {
                "client_transfer_id": str(uuid.uuid4()),
                "source": "event_contract",
                "destination": "event_contract",
                "amount": 10_000,
                "destination_exchange_shard": 1,
            }
            assert (await exchange.call("POST", TRANSFER, body)).status_code == 200
            assert (await exchange.call("POST", TRANSFER, body)).status_code == 409
            assert answer(await fund(exchange, 10_000)) == (400, "insufficient_balance")

    async def test_an_order_is_found_on_its_shard_only(self, make):
        async with make() as exchange:
            await fund(exchange, 100)
            made = (await exchange.call("POST", ORDERS, order("0.3000", "10.00", CRYPTO))).json()
            path = f"{ORDERS}/{made['order_id']}"
            assert answer(await exchange.call("DELETE", path)) == (404, "not_found")
            assert answer(await exchange.call("DELETE", path, exchange_index=1)) == (
                404,
                "not_found",
            )
            assert answer(await exchange.call("DELETE", path, exchange_index=-1))[0] == 400
            shrink = {"reduce_by": "1.00"}
            assert answer(await exchange.call("POST", f"{path}/decrease", shrink))[0] == 404
            shrink["market_ticker"] = CRYPTO
            shrunk = (await exchange.call("POST", f"{path}/decrease", shrink)).json()
            assert shrunk["remaining_count"] == "9.00"
            reply = await exchange.call("DELETE", path, market_ticker=CRYPTO)
            assert reply.json()["reduced_by"] == "9.00"

    async def test_a_create_that_names_another_shard_finds_no_market(self, make):
        async with make() as exchange:
            wrong = order("0.3000", "1.00", exchange_index=2)
            assert answer(await exchange.call("POST", ORDERS, wrong)) == (404, "market_not_found")
            auto = order("0.3000", "1.00", exchange_index=-1)
            assert (await exchange.call("POST", ORDERS, auto)).status_code == 201

    async def test_all_shards_are_canceled_at_once(self, make):
        async with make() as exchange:
            await fund(exchange, 100)
            for ticker in (TICKER, CRYPTO):
                await exchange.call("POST", ORDERS, order("0.3000", "1.00", ticker))
            assert (await exchange.call("DELETE", ORDERS)).status_code == 204
            resting = await exchange.call("GET", "/portfolio/orders", status="resting")
            assert resting.json()["orders"] == []

    async def test_free_money_follows_the_target(self, make):
        async with make() as exchange:
            target = "/portfolio/target_balance_allocation"
            half = [{"exchange_index": i, "percent": 50} for i in (0, 2)]
            assert answer(await exchange.call("POST", target, {"allocations": half[:1]}))[0] == 400
            assert (await exchange.call("POST", target, {"allocations": half})).status_code == 200
            exchange.state.rebalance()
            balance = (await exchange.call("GET", "/portfolio/balance")).json()
            assert [b["balance"] for b in balance["balance_breakdown"]] == ["5000.0000"] * 2
            assert (await exchange.call("GET", target)).json()["allocations"] == half


class TestGroups:
    async def test_a_group_from_create_to_delete(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("order_group_updates")
            await stream.until("subscribed")
            made = await exchange.call("POST", f"{GROUPS}/create", {"contracts_limit": 5})
            assert (made.status_code, made.json()["subaccount"]) == (201, 0)
            group = made.json()["order_group_id"]
            resting = order("0.3000", "1.00", order_group_id=group)
            taker = order("0.5200", "5.00", order_group_id=group)
            first = (await exchange.call("POST", ORDERS, resting)).json()["order_id"]
            one = (await exchange.call("GET", f"{GROUPS}/{group}")).json()
            assert (one["orders"], one["contracts_limit_fp"]) == ([first], "5.00")
            assert (await exchange.call("POST", ORDERS, taker)).json()["fill_count"] == "5.00"
            row = (await exchange.call("GET", f"/portfolio/orders/{first}")).json()["order"]
            assert (row["status"], row["order_group_id"]) == ("canceled", group)
            refused = await exchange.call(
                "POST", ORDERS, order("0.3000", "1.00", order_group_id=group)
            )
            assert answer(refused) == (400, "exceeded_order_group_risk_limit")
            for change, body in (
                ("reset", {}),
                ("limit", {"contracts_limit_fp": "7.50"}),
                ("trigger", {}),
            ):
                reply = await exchange.call("PUT", f"{GROUPS}/{group}/{change}", body)
                assert (reply.status_code, reply.json()) == (200, {})
            assert (await exchange.call("DELETE", f"{GROUPS}/{group}")).status_code == 200
            assert answer(await exchange.call("GET", f"{GROUPS}/{group}")) == (404, "not_found")
            await stream.until("order_group_updates", event_type="deleted")
        told = [f for f in stream.frames if f["type"] == "order_group_updates"]
        assert [f["msg"]["event_type"] for f in told] == [
            *("created", "triggered", "reset", "limit_updated", "triggered", "deleted"),
        ]
        assert [f["seq"] for f in told] == [1, 2, 3, 4, 5, 6]
        assert [f["msg"].get("contracts_limit_fp") for f in told[:4:3]] == ["5.00", "7.50"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"contracts_limit": 0},
            {"contracts_limit": 1_000_001},
            {"contracts_limit": 5, "contracts_limit_fp": "6.00"},
            {"contracts_limit": "5"},
        ],
    )
    async def test_limits_that_make_no_sense(self, make, body):
        async with make() as exchange:
            reply = await exchange.call("POST", f"{GROUPS}/create", body)
            assert reply.status_code == 400


class TestQueues:
    async def test_what_stands_before_an_order(self, make):
        async with make() as exchange:
            made = [
                (await exchange.call("POST", ORDERS, order("0.4700", "2.00"))).json()["order_id"]
                for _ in range(2)
            ]
            paths = [f"/portfolio/orders/{i}/queue_position" for i in made]
            ahead = [(await exchange.call("GET", p)).json()["queue_position_fp"] for p in paths]
            assert ahead == ["3000.00", "3002.00"]
            listed = await exchange.call(
                "GET", "/portfolio/orders/queue_positions", market_tickers=TICKER
            )
            rows = listed.json()["queue_positions"]
            assert {r["order_id"]: r["queue_position_fp"] for r in rows} == dict(
                zip(made, ahead, strict=True)
            )
            bare = await exchange.call("GET", "/portfolio/orders/queue_positions")
            assert bare.status_code == 400


class TestTiers:
    async def test_a_basic_account_is_refused_the_eleventh_order(self, make):
        async with make(tier="basic") as exchange:
            cold = [order("0.1000", "0.01", exchange_index=0) for _ in range(30)]
            replies = await asyncio.gather(*(exchange.call("POST", ORDERS, body) for body in cold))
            refused = [r for r in replies if r.status_code == 429]
            assert refused
            assert refused[0].json() == {"error": "too many requests"}
            assert "retry-after" not in refused[0].headers
            assert sum(r.status_code == 201 for r in replies) >= 10
            limits = (await exchange.call("GET", "/account/limits")).json()
            assert limits == {
                "usage_tier": "basic",
                "read": {"refill_rate": 200, "bucket_capacity": 600},
                "write": {"refill_rate": 100, "bucket_capacity": 100},
                "grants": [],
            }

    async def test_a_batch_that_does_not_fit_is_refused_whole(self, make):
        async with make(tier="basic") as exchange:
            batch = {"orders": [order("0.1000", "0.01") for _ in range(11)]}
            reply = await exchange.call("POST", f"{ORDERS}/batched", batch)
            assert answer(reply) == (429, "too many requests")
            orders = (await exchange.call("GET", "/portfolio/orders")).json()["orders"]
            assert orders == []

    async def test_costs_are_public(self, make):
        async with make() as exchange:
            reply = await exchange.send("GET", "/trade-api/v2/account/endpoint_costs", None, {})
            costs = {(c["method"], c["path"]): c["cost"] for c in reply.json()["endpoint_costs"]}
            assert costs["DELETE", f"/trade-api/v2{ORDERS}/{{order_id}}"] == 2
            assert reply.json()["default_cost"] == 10


class TestClocks:
    @pytest.mark.parametrize(
        ("ahead_ms", "status"), [(-2_500, 401), (-500, 200), (3_500, 200), (5_500, 401)]
    )
    async def test_the_window_is_as_set(self, make, ahead_ms, status):
        async with make(oldest_ms=1_500, newest_ms=4_500) as exchange:
            path = "/trade-api/v2/portfolio/balance"
            headers = exchange.headers("GET", path, ahead_ms=ahead_ms)
            assert (await exchange.send("GET", path, None, headers)).status_code == status


class TestStaleReads:
    async def test_a_canceled_order_still_rests_for_a_while(self, make):
        async with make() as exchange:
            made = (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).json()
            path = f"/portfolio/orders/{made['order_id']}"
            await exchange.order("lag", orders_ms=60_000)
            before = (await exchange.call("GET", path)).json()["order"]["status"]
            late = (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).json()
            assert before == "resting"
            unseen = await exchange.call("GET", f"/portfolio/orders/{late['order_id']}")
            assert answer(unseen) == (404, "not_found")
            listed = (await exchange.call("GET", "/portfolio/orders")).json()["orders"]
            assert [o["order_id"] for o in listed] == [made["order_id"]]
            await exchange.order("lag", orders_ms=0)
            listed = (await exchange.call("GET", "/portfolio/orders")).json()["orders"]
            assert len(listed) == 2
