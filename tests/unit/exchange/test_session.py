"""The WebSocket protocol without a socket: acknowledgements, `seq`, errors, views."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from support.exchange_core import TICKER, Core, bid

from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import BookChanged
from processes.exchange.stream.hub import Hub
from processes.exchange.stream.session import StreamSession


class Client:
    """One connection of the first account; `frames` is all it got."""

    def __init__(self, core: Core, hub: Hub, account: int = 0) -> None:
        self.frames: list[dict[str, Any]] = []
        owner = core.caller(account)
        number = len(hub.known) + 1
        self.session = StreamSession(number, owner, self._take, core.venue.markets.get)
        self._hub = hub
        hub.add(self.session)

    def _take(self, data: bytes) -> None:
        assert data.endswith(b"}\n")
        self.frames.append(json.loads(data))

    def say(self, cmd: str, command_id: int = 1, **params: object) -> list[dict[str, Any]]:
        """Send a command -> what came back."""
        before = len(self.frames)
        body = {"id": command_id, "cmd": cmd} | ({"params": params} if params else {})
        self._hub.command(self.session, json.dumps(body))
        return self.frames[before:]


@pytest.fixture
def core():
    made = Core((YES, 4_700, 300), (NO, 4_800, 200))
    made.hub = Hub()
    made.venue.emit = made.hub
    return made


def book(client: Client, **more: object) -> list[dict[str, Any]]:
    """Subscribe to the test market's book."""
    return client.say("subscribe", channels=["orderbook_delta"], market_tickers=[TICKER], **more)


def test_the_first_subscribe_is_acknowledged_before_any_data(core):
    frames = Client(core, core.hub).say(
        "subscribe", channels=["orderbook_delta", "trade"], market_tickers=[TICKER]
    )
    assert frames[0] == {
        "type": "subscribed",
        "id": 1,
        "msg": {"channel": "orderbook_delta", "sid": 1},
    }
    assert frames[1]["msg"] == {"channel": "trade", "sid": 2}
    assert (frames[2]["type"], frames[2]["sid"], frames[2]["seq"]) == ("orderbook_snapshot", 1, 1)
    assert frames[2]["msg"]["yes_dollars_fp"] == [["0.4700", "3.00"]]
    assert frames[2]["msg"]["no_dollars_fp"] == [["0.4800", "2.00"]]


def test_every_later_subscribe_is_an_ok_that_takes_a_seq(core):
    client = Client(core, core.hub)
    book(client)
    frames = client.say(
        "subscribe", 7, channels=["orderbook_delta"], market_tickers=["KXB", TICKER]
    )
    assert frames[0] == {
        "type": "ok",
        "id": 7,
        "sid": 1,
        "seq": 2,
        "msg": {"market_tickers": ["KXB", TICKER]},
    }
    assert [(f["type"], f["msg"]["market_ticker"]) for f in frames[1:]] == [
        ("orderbook_snapshot", "KXB")  # of what is new only
    ]
    core.change(YES, 4_700, -100)
    assert client.frames[-1]["seq"] == 4


def test_seq_counts_from_the_start_on_every_subscription(core):
    first, second = Client(core, core.hub), Client(core, core.hub)
    book(first)
    core.change(YES, 4_700, 100)
    book(second)
    core.change(YES, 4_700, 100)
    assert [f.get("seq") for f in first.frames] == [None, 1, 2, 3]
    assert [f.get("seq") for f in second.frames] == [None, 1, 2]


def test_a_delta_is_the_recorded_change_with_its_recorded_time(core):
    client = Client(core, core.hub)
    book(client)
    core.venue.change_book(BookChanged(core.market, NO, 4_800, -50, 1_781_159_489_957, 42))
    frame = client.frames[-1]
    assert frame["sending_ts_ms"] == 42
    assert frame["msg"] == {
        "market_ticker": TICKER,
        "market_id": core.market.market_id,
        "clock": 2,
        "price_dollars": "0.4800",
        "delta_fp": "-0.50",
        "side": "no",
        "ts": "2026-06-11T06:31:29.957Z",
        "ts_ms": 1_781_159_489_957,
    }


def test_use_yes_price_puts_no_prices_on_the_yes_scale(core):
    client = Client(core, core.hub)
    assert book(client, use_yes_price=True)[1]["msg"]["no_dollars_fp"] == [["0.5200", "2.00"]]
    core.change(NO, 4_800, 100)
    assert client.frames[-1]["msg"]["price_dollars"] == "0.5200"


def test_get_snapshot_answers_with_the_command_and_the_next_seq(core):
    client = Client(core, core.hub)
    book(client)
    core.change(YES, 4_600, 100)
    frames = client.say(
        "update_subscription", 9, sids=[1], action="get_snapshot", market_tickers=[TICKER]
    )
    assert [(f["type"], f["id"], f["seq"]) for f in frames] == [("orderbook_snapshot", 9, 3)]
    assert frames[0]["msg"]["yes_dollars_fp"] == [["0.4600", "1.00"], ["0.4700", "3.00"]]


def test_markets_come_and_go_on_a_subscription(core):
    client = Client(core, core.hub)
    client.say("subscribe", channels=["orderbook_delta"], market_tickers=["KXB"])
    update = {"sid": 1, "market_tickers": [TICKER]}
    frames = client.say("update_subscription", 2, action="add_markets", **update)
    assert [(f["type"], f["seq"]) for f in frames] == [("ok", 2), ("orderbook_snapshot", 3)]
    frames = client.say("update_subscription", 3, action="delete_markets", **update)
    assert frames[0]["msg"] == {"market_tickers": ["KXB"]}
    seen = len(client.frames)
    core.change(YES, 4_700, 100)
    assert len(client.frames) == seen
    assert client.say("unsubscribe", 4, sids=[1]) == [
        {"type": "unsubscribed", "id": 4, "sid": 1, "seq": 5}
    ]
    assert client.say("list_subscriptions", 5) == [{"type": "ok", "id": 5, "msg": []}]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{", 1),
        ("[]", 1),
        ('{"id":1,"cmd":"subscribe"}', 2),
        ('{"id":1,"cmd":"subscribe","params":{}}', 3),
        ('{"id":1,"cmd":"unsubscribe","params":{}}', 4),
        ('{"id":1,"cmd":"dance"}', 5),
        ('{"id":1,"cmd":"unsubscribe","params":{"sids":[9]}}', 7),
        ('{"id":1,"cmd":"unsubscribe","params":{"sids":[[1]]}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"sid":{},"action":"add_markets"}}', 7),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[[]],"action":"add_markets"}}', 7),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["nope"]}}', 8),
        ('{"id":1,"cmd":"subscribe","params":{"channels":[["trade"]]}}', 8),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["trade"],"market_tickers":[1]}}', 11),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1,2]}}', 12),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1],"action":"x"}}', 13),
        ('{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"]}}', 14),
        ('{"id":1,"cmd":"update_subscription","params":{"sids":[1]}}', 15),
    ],
)
def test_commands_that_are_refused(core, command, code):
    client = Client(core, core.hub)
    book(client)
    core.hub.command(client.session, command)
    assert client.frames[-1]["type"] == "error"
    assert client.frames[-1]["msg"]["code"] == code


def test_private_frames_carry_no_seq_and_reach_their_owner_only(core):
    owner, other = Client(core, core.hub), Client(core, core.hub, 1)
    for client in (owner, other):
        client.say("subscribe", channels=["fill", "user_orders", "market_positions"])
    core.order_entry.create(core.accounts[0], bid(5_200, 500))
    frames = owner.frames[3:]
    assert [f["type"] for f in frames] == ["fill", "user_order", "market_position", "user_order"]
    assert not any("seq" in f for f in frames)
    assert frames[0]["msg"]["post_position_fp"] == "2.00"
    assert frames[0]["msg"]["yes_price_dollars"] == "0.5200"
    assert (frames[3]["msg"]["status"], frames[3]["msg"]["remaining_count_fp"]) == (
        "resting",
        "3.00",
    )
    assert len(other.frames) == 3


def test_only_the_one_who_caused_a_delta_sees_its_order_id():
    core = Core(shadow=False)
    core.hub = Hub()
    core.venue.emit = core.hub
    owner, other = Client(core, core.hub), Client(core, core.hub, 1)
    book(owner)
    book(other)
    asked = bid(5_200, 500)
    core.order_entry.create(core.accounts[0], asked)
    assert owner.frames[-1]["msg"]["client_order_id"] == asked.client_order_id
    assert "client_order_id" not in other.frames[-1]["msg"]


def test_a_market_that_is_not_open_sends_its_book_when_it_opens(core):
    client = Client(core, core.hub)
    facts = msgspec.structs.replace(core.market.facts, ticker="KXLATER")
    later = core.venue.add_market(facts)
    frames = client.say("subscribe", channels=["orderbook_delta"], market_tickers=["KXLATER"])
    assert [f["type"] for f in frames] == ["subscribed"]
    core.order_entry.open(later)
    core.venue.replace_book(later, ((YES, 4_000, 100),), core.now_ms)
    assert client.frames[-1]["msg"]["market_ticker"] == "KXLATER"


def test_a_lost_frame_leaves_a_gap(core):
    client = Client(core, core.hub)
    book(client)
    client.session.by_sid[1].drop_next = 1
    core.change(YES, 4_700, 100)
    core.change(YES, 4_700, 100)
    assert [f.get("seq") for f in client.frames] == [None, 1, 3]


def test_lifecycle_and_ticker(core):
    client = Client(core, core.hub)
    client.say("subscribe", channels=["market_lifecycle_v2", "ticker"])
    core.change(YES, 4_800, 100)
    core.settle(10_000)
    ticker = client.frames[2]
    assert (ticker["type"], "seq" in ticker) == ("ticker", False)
    assert ticker["msg"]["yes_bid_dollars"] == "0.4800"
    lives = [f for f in client.frames if f["type"] == "market_lifecycle_v2"]
    assert [(f["seq"], f["msg"]["event_type"]) for f in lives] == [
        (1, "determined"),
        (2, "settled"),
    ]
    assert lives[0]["msg"]["result"] == "yes"
    assert lives[0]["msg"]["settlement_value"] == "1.0000"


def test_a_ticker_may_begin_with_what_it_is_now(core):
    client = Client(core, core.hub)
    frames = client.say(
        "subscribe", channels=["ticker"], market_tickers=[TICKER], send_initial_snapshot=True
    )
    assert [f["type"] for f in frames] == ["subscribed", "ticker"]
    assert (frames[1]["msg"]["yes_bid_dollars"], "seq" in frames[1]) == ("0.4700", False)
    quiet = Client(core, core.hub).say("subscribe", channels=["ticker"], market_tickers=[TICKER])
    assert [f["type"] for f in quiet] == ["subscribed"]


@pytest.mark.parametrize(
    "channel",
    ["multivariate_market_lifecycle", "communications", "cfbenchmarks_value", "pyth_value"],
)
def test_channels_without_data_here_are_channels_all_the_same(core, channel):
    client = Client(core, core.hub)
    assert [f["type"] for f in client.say("subscribe", channels=[channel])] == ["subscribed"]
    gone = client.say("unsubscribe", 2, sids=[1])
    assert [(f["type"], f["seq"]) for f in gone] == [("unsubscribed", 1)]
