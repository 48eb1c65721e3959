"""Subaccounts of the local exchange, over real sockets."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.local_exchange import LocalExchange
from support.local_orders import CRYPTO, ORDERS, TICKER, answer, order, two_markets
from support.subaccounts import BELOW, BETWEEN_SHARDS, SHARDS, a_key, money, moved, opened

from processes.exchange.core.books import NO

PRIVATE = ("fill", "user_order", "market_position")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


class TestSubaccounts:
    async def test_money_moves_once_and_only_what_is_free(self, make):
        async with make() as exchange:
            number = await opened(exchange, 0)
            asked = moved(0, number, 25_050)
            assert (await exchange.call("POST", f"{BELOW}/transfer", asked)).status_code == 200
            again = await exchange.call("POST", f"{BELOW}/transfer", asked)
            assert answer(again) == (409, "transfer_already_applied")
            elsewhere = await exchange.call(
                "POST", f"{BELOW}/transfer", asked | {"exchange_index": 2}
            )
            assert answer(elsewhere) == (409, "transfer_already_applied")
            too_much = await exchange.call("POST", f"{BELOW}/transfer", moved(number, 0, 25_051))
            assert answer(too_much) == (400, "insufficient_balance")
            assert await money(exchange) == {0: "9749.5000", number: "250.5000"}
            done = (await exchange.call("GET", f"{BELOW}/transfers")).json()["transfers"]
            facts = [(t["from_subaccount"], t["to_subaccount"], t["amount_cents"]) for t in done]
            assert facts == [(0, number, 25_050)]
            between_shards = (await exchange.call("GET", f"{SHARDS}s")).json()["transfers"]
            assert between_shards == []

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"to_subaccount": 64}, (400, "invalid_parameters")),
            ({"to_subaccount": 2}, (404, "subaccount_not_found")),
            ({"to_subaccount": 0}, (400, "invalid_parameters")),
            ({"to_subaccount": None}, (400, "invalid_parameters")),
            ({"amount_cents": 0}, (400, "invalid_parameters")),
            ({"amount_cents": -1}, (400, "invalid_parameters")),
            ({"client_transfer_id": "mine"}, (400, "invalid_parameters")),
            ({"client_transfer_id": None}, (400, "missing_parameters")),
            ({"exchange_index": 101}, (400, "invalid_parameters")),
            ({"exchange_index": 2}, (400, "insufficient_balance")),
        ],
        ids=str,
    )
    async def test_a_transfer_with_one_thing_wrong(self, make, change, expected):
        async with make() as exchange:
            number = await opened(exchange)
            asked = moved(0, number, 100) | change
            assert answer(await exchange.call("POST", f"{BELOW}/transfer", asked)) == expected
            assert await money(exchange) == {0: "9900.0000", number: "100.0000"}

    async def test_orders_fills_and_positions_are_the_subaccounts_own(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            rests = order("0.3000", "10.00", subaccount=number)
            made = (await exchange.call("POST", ORDERS, rests)).json()
            await exchange.call("POST", ORDERS, order("0.5200", "4.00", subaccount=number))
            await exchange.call("POST", ORDERS, order("0.3000", "1.00"))

            async def numbers(path: str, name: str, **query: Any) -> list[int]:
                rows = (await exchange.call("GET", path, **query)).json()[name]
                return [row["subaccount_number"] for row in rows]

            orders, fills = "/portfolio/orders", "/portfolio/fills"
            assert await numbers(orders, "orders") == [0, number, number]
            assert await numbers(orders, "orders", subaccount=number) == [number, number]
            assert await numbers(orders, "orders", subaccount=0) == [0]
            assert await numbers(fills, "fills") == [number]
            assert await numbers(fills, "fills", subaccount=0) == []
            held = [
                (await exchange.call("GET", "/portfolio/positions", **q)).json()["market_positions"]
                for q in ({}, {"subaccount": number})
            ]
            assert held[0] == []
            assert [p["position_fp"] for p in held[1]] == ["4.00"]
            queues = "/portfolio/orders/queue_positions"
            mine = await exchange.call("GET", queues, market_tickers=TICKER, subaccount=number)
            assert [q["order_id"] for q in mine.json()["queue_positions"]] == [made["order_id"]]
            balance = (await exchange.call("GET", "/portfolio/balance", subaccount=number)).json()
            assert balance["balance_dollars"] == (await money(exchange))[number]
            assert balance["portfolio_value"] == 4 * 47

    async def test_an_order_is_changed_by_those_who_name_its_subaccount(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            for take_off in ("cancel", "cancel all", "batch"):
                asked = order("0.3000", "10.00", subaccount=number)
                order_id = (await exchange.call("POST", ORDERS, asked)).json()["order_id"]
                path = f"{ORDERS}/{order_id}"
                change = {"ticker": TICKER, "side": "bid", "price": "0.3000", "count": "9.00"}
                less = {"reduce_by": "1.00"}
                elsewhere = await exchange.call("POST", f"{path}/amend", change)
                assert answer(elsewhere) == (404, "not_found")
                elsewhere = await exchange.call("POST", f"{path}/decrease", less)
                assert answer(elsewhere) == (404, "not_found")
                assert answer(await exchange.call("DELETE", path)) == (404, "not_found")
                here = {"subaccount": number}
                assert (await exchange.call("POST", f"{path}/amend", change, **here)).is_success
                assert (await exchange.call("POST", f"{path}/decrease", less, **here)).is_success
                if take_off == "cancel":
                    done = await exchange.call("DELETE", path, **here)
                    assert done.json()["reduced_by"] == "8.00"
                elif take_off == "batch":
                    item = {"order_id": order_id} | here
                    batch = {"orders": [{"order_id": order_id}, item]}
                    rows = (await exchange.call("DELETE", f"{ORDERS}/batched", batch)).json()
                    assert [row["reduced_by"] for row in rows["orders"]] == ["0.00", "8.00"]
                else:
                    assert (await exchange.call("DELETE", ORDERS, subaccount=0)).is_success
                    row = (await exchange.call("GET", f"/portfolio/orders/{order_id}")).json()
                    assert row["order"]["status"] == "resting"
                    assert (await exchange.call("DELETE", ORDERS)).is_success
                row = (await exchange.call("GET", f"/portfolio/orders/{order_id}")).json()
                assert row["order"]["status"] == "canceled"

    async def test_collateral_is_the_subaccounts_own(self, make):
        async with make() as exchange:
            number = await opened(exchange, 100)
            dear = order("0.3000", "4.00", subaccount=number)
            assert answer(await exchange.call("POST", ORDERS, dear)) == (
                400,
                "insufficient_balance",
            )
            fits = order("0.3000", "3.00", subaccount=number)
            assert (await exchange.call("POST", ORDERS, fits)).status_code == 201
            assert await money(exchange) == {0: "9999.0000", number: "0.1000"}
            unknown = order("0.3000", "1.00", subaccount=number + 1)
            assert answer(await exchange.call("POST", ORDERS, unknown)) == (
                404,
                "subaccount_not_found",
            )
            batch = await exchange.call("POST", f"{ORDERS}/batched", {"orders": [fits, unknown]})
            codes = [row["error"] and row["error"]["code"] for row in batch.json()["orders"]]
            assert codes == ["order_already_exists", "subaccount_not_found"]

    async def test_a_user_does_not_trade_with_itself_over_subaccounts(self, make):
        async with make() as exchange:
            exchange.clear(TICKER, NO, 4_800)
            number = await opened(exchange)
            offer = order("0.5500", "2.00", side="ask")
            assert (await exchange.call("POST", ORDERS, offer)).status_code == 201
            bid = order("0.5500", "2.00", subaccount=number)
            met = (await exchange.call("POST", ORDERS, bid)).json()
            assert (met["fill_count"], met["remaining_count"]) == ("0.00", "0.00")

    async def test_a_market_pays_out_into_the_account_that_held(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            await exchange.call("POST", ORDERS, order("0.5200", "4.00", subaccount=number))
            before = exchange.venue.members[exchange.accounts[0].user_id].account(number).cash_e6
            market, now_ms = exchange.venue.markets[TICKER], exchange.venue.now_ms()
            exchange.order_entry.close(market)
            exchange.venue.close_market(market, now_ms)
            exchange.venue.determine_market(market, "yes", 10_000, now_ms)
            exchange.order_entry.settle(market, now_ms)
            after = exchange.venue.members[exchange.accounts[0].user_id].account(number).cash_e6
            assert after - before == 4_000_000
            for query, paid in (
                ({}, [400]),
                ({"subaccount": number}, [400]),
                ({"subaccount": 0}, []),
            ):
                rows = (await exchange.call("GET", "/portfolio/settlements", **query)).json()
                assert [row["revenue"] for row in rows["settlements"]] == paid

    async def test_order_groups_belong_to_a_subaccount(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            groups = "/portfolio/order_groups"
            body = {"contracts_limit": 5, "subaccount": number}
            made = (await exchange.call("POST", f"{groups}/create", body)).json()
            assert made["subaccount"] == number
            group = made["order_group_id"]
            foreign = order("0.3000", "1.00", order_group_id=group)
            assert answer(await exchange.call("POST", ORDERS, foreign)) == (
                400,
                "order_group_not_found",
            )
            own = foreign | {"subaccount": number}
            assert (await exchange.call("POST", ORDERS, own)).status_code == 201
            listed = [
                len((await exchange.call("GET", groups, **q)).json()["order_groups"])
                for q in ({}, {"subaccount": 0}, {"subaccount": number})
            ]
            assert listed == [1, 0, 1]
            assert answer(await exchange.call("DELETE", f"{groups}/{group}")) == (404, "not_found")
            gone = await exchange.call("DELETE", f"{groups}/{group}", subaccount=number)
            assert gone.status_code == 200

    async def test_money_of_a_subaccount_moves_between_shards(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            ends = {"source_subaccount": number, "destination_subaccount": number}
            body = BETWEEN_SHARDS | ends | {"destination_exchange_shard": 2}
            named = body | {"client_transfer_id": str(uuid.uuid4())}
            assert answer(await exchange.call("POST", SHARDS, named)) == (400, "invalid_parameters")
            assert (await exchange.call("POST", SHARDS, body)).status_code == 200
            asked = order("0.3000", "1.00", CRYPTO, subaccount=number)
            assert (await exchange.call("POST", ORDERS, asked)).status_code == 201
            shard = {"subaccount": number, "exchange_index": 2}
            balance = (await exchange.call("GET", "/portfolio/balance", **shard)).json()
            assert balance["balance_dollars"] == "0.7000"
            same = BETWEEN_SHARDS | {"source_subaccount": number}
            assert (await exchange.call("POST", SHARDS, same)).status_code == 200
            done = (await exchange.call("GET", f"{BELOW}/transfers")).json()["transfers"]
            assert (done[0]["from_subaccount"], done[0]["to_subaccount"]) == (number, 0)

    async def test_there_are_63_and_none_on_the_lowest_tier(self, make):
        async with make() as exchange:
            for number in range(1, 64):
                assert await opened(exchange, 0) == number
            assert answer(await exchange.call("POST", BELOW, {})) == (400, "too_many_subaccounts")
        async with make(tier="basic") as exchange:
            assert answer(await exchange.call("POST", BELOW, {})) == (403, "forbidden")

    async def test_netting_is_remembered(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            for wanted in (True, False):
                body = {"subaccount_number": number, "enabled": wanted}
                assert (await exchange.call("PUT", f"{BELOW}/netting", body)).status_code == 200
                rows = (await exchange.call("GET", f"{BELOW}/netting")).json()["netting_configs"]
                found = {row["subaccount_number"]: row["enabled"] for row in rows}
                assert found == {0: False, number: wanted}
            for lacking in ({"enabled": True}, {"subaccount_number": number}):
                refused = await exchange.call("PUT", f"{BELOW}/netting", lacking)
                assert answer(refused) == (400, "invalid_parameters")
            unknown = {"subaccount_number": 9, "enabled": True}
            refused = await exchange.call("PUT", f"{BELOW}/netting", unknown)
            assert answer(refused) == (404, "subaccount_not_found")

    async def test_private_frames_say_whose_they_are(self, make):
        async with make() as exchange:
            number = await opened(exchange)
            locked = await a_key(exchange, subaccount=0)
            async with exchange.stream() as every, exchange.stream(locked) as primary:
                for stream in (every, primary):
                    await stream.subscribe("fill", "user_orders", "market_positions")
                    await stream.until("subscribed", channel="market_positions")
                for name in (number, 0):
                    asked = order("0.5200", "1.00", subaccount=name)
                    assert (await exchange.call("POST", ORDERS, asked)).status_code == 201
                await every.until("market_position", subaccount=0)
                await primary.until("market_position")
                for kind in PRIVATE:
                    told = [_subaccount(f["msg"]) for f in every.frames if f["type"] == kind]
                    assert set(told) == {0, number}, kind
                frames = [f for f in primary.frames if f["type"] in PRIVATE]
                assert {_subaccount(f["msg"]) for f in frames} == {0}


def _subaccount(msg: dict[str, Any]) -> int:
    number: int = msg["subaccount_number"] if "subaccount_number" in msg else msg["subaccount"]
    return number
