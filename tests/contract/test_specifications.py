"""Every answer, frame and request is one that Kalshi's specifications have, read strictly."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.client_tour import CALLS, tour_of_client
from support.exchange_tour import FRAMES, tour
from support.local_exchange import LocalExchange, keys
from support.local_orders import TICKER, order, two_markets
from support.patience import PATIENCE
from support.specs import Specifications, needs_specs, specifications
from support.subaccounts import opened

from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.schemas import frames
from processes.exchange.rest.not_implemented import NOT_IMPLEMENTED

pytestmark = needs_specs

ORDERS = "/trade-api/v2/portfolio/events/orders"
STATUS = "/trade-api/v2/exchange/status"
UPGRADE = "POST /account/api_usage_level/upgrade"  # refused on any tier but the lowest
NOT_CALLS = {"close", "keep_signatures"}  # coroutines of the client that send nothing
UNDOCUMENTED = {("POST", "/portfolio/orders"), ("DELETE", "/portfolio/orders")}  # the dead V1


@pytest.fixture(scope="module")
def specs() -> Specifications:
    known = specifications()
    assert known is not None
    return known


def routes_of(exchange: LocalExchange, specs: Specifications) -> set[str]:
    """What the exchange serves, by the specification's names."""
    served = set()
    for route in exchange.app.router.routes():
        assert route.resource is not None
        below = route.resource.canonical.removeprefix("/trade-api/v2")
        v1 = any(route.method == m and below.startswith(p) for m, p in UNDOCUMENTED)
        if route.method == "HEAD" or v1 or below == "/trade-api/ws/v2":
            continue
        if (route.method, below) in NOT_IMPLEMENTED:
            continue
        name = specs.operation(route.method, route.resource.canonical)
        assert name, f"{route.method} {below} is in no specification"
        served.add(name)
    return served


async def test_every_answer_and_every_frame(tmp_path: Path, specs: Specifications) -> None:
    async with two_markets(tmp_path, tier="prestige") as exchange:
        answered, frames = await tour(exchange, specs)
        missing = routes_of(exchange, specs) - answered
    assert missing == {UPGRADE}, "not one good answer was seen of these"
    assert {specs.message(frame)[0] for frame in frames} == FRAMES


async def test_an_upgrade_from_the_lowest_tier(tmp_path: Path, specs: Specifications) -> None:
    async with two_markets(tmp_path, tier="basic") as exchange:
        reply = await exchange.call("POST", UPGRADE.removeprefix("POST "))
        assert reply.status_code == 201


async def test_every_request_of_the_client(tmp_path: Path, specs: Specifications) -> None:
    members = inspect.getmembers(KalshiTradingClient, inspect.iscoroutinefunction)
    public = {name for name, _ in members if not name.startswith("_")}
    assert public - NOT_CALLS == CALLS, "the tour leaves out a call, or has one too many"
    async with two_markets(tmp_path, tier="prestige") as exchange:
        assert await opened(exchange) == 1
        signer = Signer(keys()[0])
        async with KalshiTradingClient.at(exchange.target, signer, RateBudget()) as client:
            called = await tour_of_client(client)
        assert called == CALLS
        async with KalshiTradingClient.at(
            exchange.target, signer, RateBudget(), subaccount=1
        ) as client:
            assert await tour_of_client(client) == CALLS
        assert len(exchange.asked) >= len(CALLS)
        for asked in exchange.asked:
            body = json.loads(asked.content) if asked.content else None
            assert specs.request_faults(asked.method, asked.target, body) == [], asked


@pytest.mark.parametrize(
    "command",
    [
        frames.subscribe(1, [frames.Channel.BOOK, frames.Channel.TRADE], ["A", "B"]),
        frames.subscribe(2, [frames.Channel.BOOK], ["A"], use_yes_price=False),
        frames.subscribe(3, [frames.Channel.FILL, frames.Channel.USER_ORDERS]),
        frames.subscribe(4, list(frames.Channel)[:8]),
        frames.add_markets(5, 1, ["C"]),
        frames.delete_markets(6, 1, ["C"]),
        frames.get_snapshot(7, 1, ["A"]),
        frames.unsubscribe(8, [1, 2]),
        frames.list_subscriptions(9),
    ],
    ids=lambda command: json.loads(command)["cmd"],
)
def test_every_command_of_the_client(command: bytes, specs: Specifications) -> None:
    assert specs.message(json.loads(command), "cmd")[1] == []


async def test_acknowledgements_out_of_order_are_documented(
    tmp_path: Path, specs: Specifications
) -> None:
    async with two_markets(tmp_path) as exchange, exchange.stream() as stream:
        for number, channel in enumerate(("trade", "fill", "trade"), 1):
            command = {"id": number, "cmd": "subscribe", "params": {"channels": [channel]}}
            await stream.say(command)
        frames = [await asyncio.wait_for(stream.next(), PATIENCE) for _ in range(3)]
    assert {f["id"] for f in frames} == {1, 2, 3}


class TestStrictness:
    """The judge itself: what a specification alone would let pass."""

    GOOD = {"exchange_active": True, "trading_active": True}  # noqa: RUF012

    def test_a_good_reply(self, specs: Specifications) -> None:
        assert specs.reply_faults("GET", STATUS, 200, self.GOOD) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"news": 1},
            {"exchange_active": "yes"},
            {"exchange_active": None},
            {"exchange_index_statuses": [{"exchange_index": 0}]},
            {"exchange_estimated_resume_time": "noon"},
        ],
        ids=str,
    )
    def test_a_reply_with_one_thing_wrong(
        self, specs: Specifications, change: dict[str, Any]
    ) -> None:
        assert specs.reply_faults("GET", STATUS, 200, self.GOOD | change)

    def test_a_reply_without_what_is_required(self, specs: Specifications) -> None:
        assert specs.reply_faults("GET", STATUS, 200, {"exchange_active": True})

    @pytest.mark.parametrize(
        ("method", "path", "status", "body"),
        [
            ("GET", STATUS, 200, None),
            ("GET", STATUS, 201, GOOD),
            ("GET", "/trade-api/v2/nothing", 200, {}),
            ("DELETE", ORDERS, 204, {}),
            ("GET", STATUS, 401, {"error": {"code": "x"}}),
            ("GET", STATUS, 401, {"error": {"code": "x", "message": "x", "service": "x"}}),
            ("GET", STATUS, 400, {"code": "x"}),
            ("GET", STATUS, 400, {"error": "x"}),
            ("GET", STATUS, 400, {"msg": "x", "code": "y"}),
            ("GET", STATUS, 429, {"error": {"code": "x", "message": "x"}}),
            ("GET", STATUS, 429, {"error": "slow down"}),
        ],
    )
    def test_an_answer_that_nobody_documents(
        self, specs: Specifications, method: str, path: str, status: int, body: Any
    ) -> None:
        assert specs.reply_faults(method, path, status, body)

    @pytest.mark.parametrize(
        "body",
        [
            {"error": {"code": "x", "message": "x", "details": "x"}},
            {"code": "x", "message": "x"},
            {"msg": "Parameter validation failed"},
        ],
    )
    def test_the_shapes_that_errors_have(self, specs: Specifications, body: Any) -> None:
        assert specs.reply_faults("GET", STATUS, 400, body) == []
        assert specs.reply_faults("GET", STATUS, 429, {"error": "too many requests"}) == []
        assert specs.reply_faults("GET", STATUS, 503, self.GOOD) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"count": 1},
            {"price": "0.30000"},
            {"price": 0.3},
            {"side": "yes"},
            {"type": "limit"},
            {"time_in_force": None},
            {"ticker": None},
        ],
        ids=str,
    )
    def test_a_request_with_one_thing_wrong(
        self, specs: Specifications, change: dict[str, Any]
    ) -> None:
        good = order("0.3000", "1.00", client_order_id=str(uuid.UUID(int=1)))
        assert specs.request_faults("POST", ORDERS, good) == []
        assert specs.request_faults("POST", ORDERS, good | change)

    @pytest.mark.parametrize(
        "query",
        ["limit=1001", "limit=a", "status=resting", "nothing=1", "limit=1&limit=2"],
    )
    def test_a_query_with_one_thing_wrong(self, specs: Specifications, query: str) -> None:
        markets = "/trade-api/v2/markets"
        assert specs.request_faults("GET", f"{markets}?limit=10&status=open", None) == []
        assert specs.request_faults("GET", f"{markets}?{query}", None)

    async def test_a_frame_with_one_thing_wrong(
        self, tmp_path: Path, specs: Specifications
    ) -> None:
        async with two_markets(tmp_path) as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=[TICKER], use_yes_price=True)
            good = await stream.until("orderbook_snapshot")
        assert specs.message(good) == ("orderbookSnapshot", [])
        for path, value in (
            (("more",), 1),
            (("seq",), "1"),
            (("sid",), None),
            (("msg", "market_id"), "not-a-uuid"),
            (("msg", "clock"), -1),
            (("msg", "yes_dollars_fp"), [[1, 2]]),
            (("msg", "yes"), []),
        ):
            broken: Any = copy.deepcopy(good)
            inner = broken
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            assert specs.message(broken)[1], path
        assert specs.message({"type": "gossip", "sid": 1, "msg": {}})[1]
