"""Where the local exchange once differed from the real one: each as it was seen there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from support.exchange import REST, Stream
from support.local_exchange import LocalExchange, keys
from support.local_orders import CRYPTO, ORDERS, TICKER, answer, order, two_markets
from support.specs import FOLDER, needs_specs

from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.auth.signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    real_ms,
)
from processes.exchange.core.books import YES
from processes.exchange.core.events import TradePrinted
from processes.exchange.rest.not_implemented import NOT_IMPLEMENTED
from processes.exchange.servers import REST as PARTS
from processes.exchange.shared.state import BASE

ALLOCATION = "/portfolio/target_balance_allocation"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


def end(exchange: LocalExchange, ticker: str, value_e4: int = ONE_DOLLAR_E4) -> None:
    """Close and determine a market."""
    market, now_ms = exchange.venue.markets[ticker], exchange.venue.now_ms()
    exchange.order_entry.close(market)
    exchange.venue.close_market(market, now_ms)
    exchange.venue.replace_book(market, (), now_ms)
    exchange.venue.determine_market(market, "yes", value_e4, now_ms)


class TestSignatures:
    @pytest.mark.parametrize(
        "salt", [padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH, 0], ids=["digest", "max", "0"]
    )
    async def test_any_salt_length_is_accepted(self, make, salt):
        key, path, at_ms = keys()[0], f"{REST}/portfolio/balance", str(real_ms())
        assert isinstance(key.private_key, RSAPrivateKey)
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        text = f"{at_ms}GET{path}".encode()
        signature = base64.b64encode(key.private_key.sign(text, pss, hashes.SHA256())).decode()
        headers = {
            KEY_HEADER: key.api_key_id,
            TIMESTAMP_HEADER: at_ms,
            SIGNATURE_HEADER: signature,
        }
        async with make() as exchange:
            reply = await exchange.send("GET", path, None, headers)
            assert reply.status_code == 200, reply.text


class TestBodies:
    @pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
    async def test_a_change_must_come_as_json(self, make, kind):
        async with make() as exchange:
            for method, path, body in (
                ("POST", ORDERS, order("0.3000", "1.00")),
                ("POST", "/account/api_usage_level/upgrade", None),
                ("DELETE", f"{ORDERS}/batched", {"orders": []}),
            ):
                headers = exchange.headers(method, REST + path) | {"Content-Type": kind}
                reply = await exchange.send(method, REST + path, body, headers)
                assert answer(reply) == (400, "invalid_content_type"), path
            headers = exchange.headers("DELETE", REST + ORDERS) | {"Content-Type": kind}
            assert (await exchange.send("DELETE", REST + ORDERS, None, headers)).status_code == 204

    async def test_a_bad_signature_is_refused_before_a_bad_body(self, make):
        async with make() as exchange:
            headers = {"Content-Type": "text/plain"}
            reply = await exchange.send("POST", REST + ORDERS, {}, headers)
            assert answer(reply) == (401, "signature_is_missing_from_headers")

    async def test_netting_is_answered_with_json(self, make):
        async with make() as exchange:
            body = {"subaccount_number": 0, "enabled": True}
            path = f"{REST}/portfolio/subaccounts/netting"
            headers = exchange.headers("PUT", path) | {"Content-Type": "application/json"}
            url = f"http://127.0.0.1:{exchange.target.rest_url.rpartition(':')[2].split('/')[0]}"
            reply = await exchange.http.put(url + path, json=body, headers=headers)
            assert (reply.status_code, reply.json()) == (200, {})

    async def test_the_reservation_of_an_allocation_is_shown_again(self, make):
        async with make() as exchange:
            listed = [{"exchange_index": 0, "percent": 100}]
            for given, shown in (("max", "max"), ("none", "none"), (None, "sum")):
                body = {"allocations": listed} | (
                    {"resting_margin_reservation": given} if given else {}
                )
                assert (await exchange.call("POST", ALLOCATION, body)).status_code == 200
                reply = (await exchange.call("GET", ALLOCATION)).json()
                assert reply["resting_margin_reservation"] == shown
            body = {"allocations": listed, "resting_margin_reservation": "most"}
            refused = await exchange.call("POST", ALLOCATION, body)
            assert answer(refused) == (400, "invalid_parameters")


class TestLists:
    async def test_paging_orders_that_are_cancelled_meanwhile_skips_none(self, make):
        async with make() as exchange:
            for _ in range(30):
                await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            cursor, cancelled = "", 0
            while True:
                query = {"status": "resting", "limit": 10} | ({"cursor": cursor} if cursor else {})
                page = (await exchange.call("GET", "/portfolio/orders", **query)).json()
                for row in page["orders"]:
                    await exchange.call("DELETE", f"{ORDERS}/{row['order_id']}")
                    cancelled += 1
                cursor = page["cursor"]
                if not cursor:
                    break
            assert cancelled == 30

    async def test_paging_trades_that_go_on_repeats_none(self, make):
        async with make() as exchange:
            market = exchange.venue.markets[TICKER]

            def trades(first: int, end: int) -> None:
                for n in range(first, end):
                    now_ms = exchange.venue.now_ms()
                    trade = TradePrinted(market, f"t{n:03}", 5_000, 100, YES, now_ms, now_ms)
                    exchange.venue.print_trade(trade)

            trades(0, 40)
            seen: list[str] = []
            cursor, made = "", 40
            while True:
                query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
                page = (await exchange.call("GET", "/markets/trades", **query)).json()
                seen += [t["trade_id"] for t in page["trades"]]
                trades(made, made + 7)
                made += 7
                cursor = page["cursor"]
                if not cursor:
                    break
            assert seen == [f"t{n:03}" for n in range(39, -1, -1)]

    async def test_a_garbage_cursor_is_the_first_page(self, make):
        async with make() as exchange:
            first = (await exchange.call("GET", "/markets", limit=1)).json()
            for cursor in ("garbage", "MTA", "W10", base64.b64encode(b'["x"]').decode()):
                again = (await exchange.call("GET", "/markets", limit=1, cursor=cursor)).json()
                assert again == first, cursor

    async def test_block_trades_are_distinguished(self, make):
        async with make() as exchange:
            market, now_ms = exchange.venue.markets[TICKER], exchange.venue.now_ms()
            for trade_id, is_block in (("a", False), ("b", True)):
                trade = TradePrinted(
                    market, trade_id, 5_000, 100, YES, now_ms, now_ms, is_block=is_block
                )
                exchange.venue.print_trade(trade)
            for asked, wanted in (({}, "ba"), ({"is_block_trade": "true"}, "b")):
                rows = (await exchange.call("GET", "/markets/trades", **asked)).json()["trades"]
                assert "".join(r["trade_id"] for r in rows) == wanted
                assert all(r["is_block_trade"] is (r["trade_id"] == "b") for r in rows)
            rows = (await exchange.call("GET", "/markets/trades", is_block_trade="false")).json()
            assert [r["trade_id"] for r in rows["trades"]] == ["a"]

    async def test_open_markets_by_their_close(self, make):
        async with make() as exchange:
            close_s = exchange.venue.markets[TICKER].facts.close_ms // 1000
            exchange.market("KXLATE-1", close_ms=(close_s + 1_000) * 1000)
            query = {"status": "open", "min_close_ts": close_s + 500}
            rows = (await exchange.call("GET", "/markets", **query)).json()["markets"]
            assert [m["ticker"] for m in rows] == ["KXLATE-1"]

    @pytest.mark.parametrize(
        "query",
        [
            {"mve_filter": "zzz"},
            {"min_updated_ts": 1, "series_ticker": "KXA"},
            {"min_updated_ts": 1, "event_ticker": "KXA-1"},
            {"min_updated_ts": 1, "mve_filter": "only"},
            {"min_updated_ts": 1, "min_close_ts": 1},
        ],
    )
    async def test_filters_that_do_not_go_together(self, make, query):
        async with make() as exchange:
            assert (await exchange.call("GET", "/markets", **query)).status_code == 400
            updated = {"min_updated_ts": 1, "mve_filter": "exclude", "series_ticker": "KXCRYPTO"}
            rows = (await exchange.call("GET", "/markets", **updated)).json()["markets"]
            assert [m["ticker"] for m in rows] == [CRYPTO]

    async def test_orders_of_an_unknown_status_are_none(self, make):
        async with make() as exchange:
            await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            reply = await exchange.call("GET", "/portfolio/orders", status="pending")
            assert (reply.status_code, reply.json()["orders"]) == (200, [])

    async def test_books_of_unknown_markets_are_empty(self, make):
        async with make() as exchange:
            reply = await exchange.call("GET", "/markets/orderbooks", tickers=[TICKER, "KXNONE"])
            known, unknown = reply.json()["orderbooks"]
            assert known["orderbook_fp"]["yes_dollars"]
            assert unknown == {
                "ticker": "KXNONE",
                "orderbook_fp": {"yes_dollars": [], "no_dollars": []},
            }

    async def test_an_event_has_its_markets_nested_or_not_at_all(self, make):
        async with make() as exchange:
            event = exchange.venue.markets[TICKER].facts.event_ticker
            both = {"exclude_markets": "true", "with_nested_markets": "true"}
            assert (await exchange.call("GET", f"/events/{event}", **both)).status_code == 400


class TestMarkets:
    async def test_a_closed_market_is_quoted_at_a_dollar(self, make):
        async with make() as exchange:
            exchange.clear(TICKER, YES, 0)
            exchange.clear(TICKER, 1 - YES, 0)
            names = ("yes_ask_dollars", "no_bid_dollars", "yes_bid_dollars", "no_ask_dollars")

            async def quotes() -> list[str]:
                market = (await exchange.call("GET", f"/markets/{TICKER}")).json()["market"]
                return [market[name] for name in names]

            assert await quotes() == ["0.0000", "1.0000", "0.0000", "1.0000"]
            end(exchange, TICKER)
            assert await quotes() == ["1.0000", "0.0000", "0.0000", "1.0000"]

    async def test_a_determined_market_says_what_it_expired_at(self, make):
        async with make() as exchange:
            exchange.market("KXVALUE-1", expiration_value="3712.55")
            for ticker, value in ((TICKER, "yes"), ("KXVALUE-1", "3712.55")):
                path = f"/markets/{ticker}"
                before = (await exchange.call("GET", path)).json()["market"]
                assert (before["expiration_value"], before["liquidity_dollars"]) == ("", "0.0000")
                end(exchange, ticker)
                assert (await exchange.call("GET", path)).json()["market"][
                    "expiration_value"
                ] == value

    async def test_open_interest_is_not_the_volume(self, make):
        async with make() as exchange:
            market, now_ms = exchange.venue.markets[TICKER], exchange.venue.now_ms()
            for n, leg in enumerate((0, 0, 1, 1, 1)):
                exchange.venue.print_trade(
                    TradePrinted(market, f"t{n}", 5_000, 1_000, leg, now_ms, now_ms)
                )
            row = (await exchange.call("GET", f"/markets/{TICKER}")).json()["market"]
            assert row["volume_fp"] == "50.00"
            assert 0 < float(row["open_interest_fp"]) < 50


class TestCandles:
    PATH = "/series/KXA/markets/{}/candlesticks"

    async def test_prices_are_absent_where_nothing_traded(self, make):
        async with make() as exchange:
            exchange.state.sample_quotes()
            now_s = exchange.venue.now_ms() // 1000
            query = {"start_ts": now_s - 60, "end_ts": now_s + 60, "period_interval": 1}
            reply = await exchange.call("GET", self.PATH.format(TICKER), **query)
            assert [c["price"] for c in reply.json()["candlesticks"]] == [{}]

    @pytest.mark.parametrize(
        ("seconds", "status"), [(0, 400), (1, 200), (300_000, 200), (300_001, 400)]
    )
    async def test_how_many_may_be_asked_for(self, make, seconds, status):
        async with make() as exchange:
            query = {"start_ts": 1_000_000, "end_ts": 1_000_000 + seconds, "period_interval": 1}
            reply = await exchange.call("GET", self.PATH.format(TICKER), **query)
            assert reply.status_code == status

    @pytest.mark.parametrize(("minutes", "status"), [(3_333, 200), (3_334, 400)])
    async def test_a_batch_has_ten_thousand_in_all(self, make, minutes, status):
        async with make() as exchange:
            query = {"start_ts": 0, "end_ts": 60 * minutes, "period_interval": 1}
            tickers = {"market_tickers": f"{TICKER},{CRYPTO},KXNONE"}
            reply = await exchange.call("GET", "/markets/candlesticks", **query, **tickers)
            assert reply.status_code == status


class TestStream:
    async def test_an_unknown_market_has_an_empty_book(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=["KXNONE"])
            assert (await stream.next())["type"] == "subscribed"
            frame = await stream.next()
            assert (frame["type"], frame["seq"]) == ("orderbook_snapshot", 1)
            assert frame["msg"] == {"market_ticker": "KXNONE", "market_id": "", "clock": 0}

    async def test_a_snapshot_of_a_market_outside_the_subscription(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=[TICKER])
            await stream.until("orderbook_snapshot")
            params = {"sids": [1], "action": "get_snapshot", "market_tickers": [CRYPTO]}
            await stream.say({"id": 7, "cmd": "update_subscription", "params": params})
            frame = await stream.until("orderbook_snapshot", market_ticker=CRYPTO)
            assert frame["id"] == 7
            exchange.add(CRYPTO, YES, 4_000, 100)
            exchange.add(TICKER, YES, 4_000, 100)
            frame = await stream.until("orderbook_delta")
            assert frame["msg"]["market_ticker"] == TICKER  # it is not followed

    async def test_tickers_by_the_id_of_the_market(self, make):
        async with make() as exchange, exchange.stream() as stream:
            ids = [exchange.venue.markets[t].market_id for t in (TICKER, CRYPTO)]
            await stream.subscribe("ticker", market_ids=ids[:1], send_initial_snapshot=True)
            assert await self.quoted(stream) == TICKER
            exchange.add(CRYPTO, YES, 4_900, 100)
            exchange.add(TICKER, YES, 4_900, 100)
            assert await self.quoted(stream) == TICKER
            params: dict[str, Any] = {"sid": 1, "action": "add_markets", "market_ids": ids[1:]}
            await stream.say({"id": 2, "cmd": "update_subscription", "params": params})
            assert (await stream.until("ok"))["id"] == 2
            exchange.add(CRYPTO, YES, 5_000, 100)
            assert await self.quoted(stream) == CRYPTO
            await stream.say(
                {
                    "id": 3,
                    "cmd": "subscribe",
                    "params": {"channels": ["orderbook_delta"], "market_ids": ids},
                }
            )
            assert (await stream.until("error"))["msg"]["code"] == 11

    async def quoted(self, stream: Stream) -> str:
        ticker: str = (await stream.until("ticker"))["msg"]["market_ticker"]
        return ticker

    async def test_every_unsubscribed_has_a_seq(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("ticker", "fill")
            await stream.say({"id": 2, "cmd": "unsubscribe", "params": {"sids": [1, 2]}})
            for _ in range(2):
                assert (await stream.until("unsubscribed"))["seq"] == 1


class TestWhatThereIsNot:
    @needs_specs
    def test_the_list_is_what_the_specification_has_beyond_the_routes(self):
        import re

        import yaml

        def bare(path: str) -> str:
            return re.sub(r"\{\w+(:[^}]*)?\}", "{}", path)

        paths = yaml.load((FOLDER / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)["paths"]
        methods = ("get", "post", "put", "patch", "delete")
        known = {(m.upper(), bare(p)) for p, o in paths.items() for m in methods if m in o}
        served = {
            (route.method, bare(route.path.removeprefix(BASE)))
            for part in PARTS
            if part.__name__.rpartition(".")[2] != "not_implemented"
            for route in part.routes(BASE)
        }
        assert {(m, bare(p)) for m, p in NOT_IMPLEMENTED} == known - served

    def test_the_document_lists_it(self):
        text = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
        listed = [line for line in text.splitlines() if line.startswith("- `")]
        rows = [f"- `{method} {path}`" for method, path in NOT_IMPLEMENTED]
        assert [line for line in listed if line in rows] == rows

    async def test_it_is_answered_honestly(self, make):
        async with make() as exchange:
            for method, path in NOT_IMPLEMENTED:
                filled = path.replace("{", "").replace("}", "")
                body = None if method in ("GET", "DELETE") else {}
                reply = await exchange.call(method, filled, body)
                assert answer(reply) == (501, "not_implemented"), path

    async def test_everybody_has_a_public_id(self, make):
        async with make() as exchange:
            ids = [
                (await exchange.call("GET", "/communications/id", account=n)).json() for n in (0, 1)
            ]
            assert ids[0]["communications_id"] != ids[1]["communications_id"]
