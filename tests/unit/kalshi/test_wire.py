"""Frames and commands: typed, tolerant of the new, strict about the missing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from support.kalshi_frames import MARKET, delta, error, fill, ok, raw, snapshot, subscribed, trade
from support.recordings import needs_wire, wire_folder

from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas import frames as wire
from processes.adapters.kalshi.schemas.enums import LegText, LifecycleType, OrderStatusText

USER_ORDER = {
    "order_id": "o-1",
    "client_order_id": "my-1",
    "ticker": MARKET,
    "status": "resting",
    "book_side": "bid",
    "yes_price_dollars": "0.4700",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "3.00",
    "initial_count_fp": "3.00",
    "taker_fill_cost_dollars": "0.000000",
    "maker_fill_cost_dollars": "0.000000",
    "taker_fees_dollars": "0.000000",
    "maker_fees_dollars": "0.000000",
    "created_time": None,
    "created_ts_ms": None,
}
POSITION = {
    "market_ticker": MARKET,
    "position_fp": "-1.00",
    "position_cost_dollars": "0.520000",
    "realized_pnl_dollars": "-0.010000",
    "fees_paid_dollars": "0.017500",
}
LIFE = {"market_ticker": MARKET, "event_type": "determined", "result": "yes"}
FRAMES = {
    wire.Snapshot: snapshot(1, yes_dollars_fp=[["0.4700", "3.00"]]),
    wire.Delta: delta(2),
    wire.Trade: trade(1),
    wire.Subscribed: subscribed(1, "trade", 2),
    wire.Ok: ok(2, 1, 3, MARKET),
    wire.Unsubscribed: raw("unsubscribed", id=6, sid=1, seq=223),
    wire.ErrorFrame: error(8, id=7),
    wire.Fill: fill(),
    wire.UserOrder: raw("user_order", USER_ORDER, sid=4),
    wire.MarketPosition: raw("market_position", POSITION, sid=5),
    wire.Lifecycle: raw("market_lifecycle_v2", LIFE, sid=6, seq=3),
    wire.EventLifecycle: raw("event_lifecycle", {"event_ticker": "E"}, sid=6, seq=4),
    wire.EventFeeUpdate: raw("event_fee_update", {"event_ticker": "E"}, sid=6, seq=5),
    wire.UnknownFrame: raw("ticker", {"market_ticker": MARKET}, sid=7),
}


@pytest.mark.parametrize(("kind", "data"), FRAMES.items())
def test_every_frame_has_its_type(kind: type[wire.Frame], data: bytes) -> None:
    frame = wire.decode_frame(data)
    assert type(frame) is kind
    head = json.loads(data)
    assert (frame.id, frame.sid, frame.seq) == (head.get("id"), head.get("sid"), head.get("seq"))
    assert frame.sending_ts_ms is None


@pytest.mark.parametrize(("kind", "data"), FRAMES.items())
def test_a_frame_says_when_it_was_sent(kind: type[wire.Frame], data: bytes) -> None:
    late = json.dumps(json.loads(data) | {"sending_ts_ms": 5, "news": {"a": 1}}).encode()
    assert wire.decode_frame(late).sending_ts_ms == 5


def test_a_delta_in_full() -> None:
    frame = wire.decode_frame(delta(7, clock=9, client_order_id="my-1", subaccount=0))
    assert isinstance(frame, wire.Delta)
    msg = frame.msg
    assert (frame.sid, frame.seq, msg.market_ticker, msg.side) == (1, 7, MARKET, LegText.YES)
    assert (msg.price_dollars, msg.delta_fp, msg.ts_ms) == ("0.4700", "-3.00", 1781159489957)
    assert (msg.clock, msg.client_order_id) == (9, "my-1")


def test_unknown_words_are_said_to_be_unknown() -> None:
    order = wire.decode_frame(raw("user_order", USER_ORDER | {"status": "sleeping"}, sid=4))
    life = wire.decode_frame(raw("market_lifecycle_v2", LIFE | {"event_type": "born"}, sid=6))
    assert isinstance(order, wire.UserOrder)
    assert isinstance(life, wire.Lifecycle)
    assert order.msg.status is OrderStatusText.UNKNOWN
    assert life.msg.event_type is LifecycleType.UNKNOWN


def test_a_frame_of_an_unknown_type_keeps_its_place() -> None:
    frame = wire.decode_frame(raw("communications", {"any": [1]}, sid=9, seq=12))
    assert isinstance(frame, wire.UnknownFrame)
    assert (frame.type, frame.sid, frame.seq) == ("communications", 9, 12)
    assert bytes(frame.msg) == b'{"any":[1]}'


REQUIRED = {
    wire.Snapshot: ["market_ticker"],
    wire.Delta: ["market_ticker", "price_dollars", "delta_fp", "side"],
    wire.Trade: ["trade_id", "market_ticker", "yes_price_dollars", "count_fp"],
    wire.Subscribed: ["channel", "sid"],
    wire.ErrorFrame: ["code"],
    wire.Fill: ["trade_id", "order_id", "is_taker", "book_side", "count_fp", "fee_cost", "ts_ms"],
    wire.UserOrder: ["order_id", "client_order_id", "ticker", "status", "remaining_count_fp"],
    wire.MarketPosition: ["market_ticker", "position_fp"],
    wire.Lifecycle: ["market_ticker", "event_type"],
}


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in REQUIRED.items() for field in fields]
)
def test_a_missing_field_is_refused_by_name(kind: type[wire.Frame], field: str) -> None:
    frame = json.loads(FRAMES[kind])
    del frame["msg"][field]
    with pytest.raises(WireError, match=rf"{frame['type']}: .*`{field}`"):
        wire.decode_frame(json.dumps(frame).encode())


@pytest.mark.parametrize("field", ["sid", "seq"])
@pytest.mark.parametrize("kind", [wire.Snapshot, wire.Delta, wire.Trade])
def test_a_sequenced_frame_must_say_its_place(kind: type[wire.Frame], field: str) -> None:
    frame = json.loads(FRAMES[kind])
    del frame[field]
    with pytest.raises(WireError, match=f"`{field}`"):
        wire.decode_frame(json.dumps(frame).encode())


@pytest.mark.parametrize("data", [b"", b"hello", b"[]", b"{}", b'{"type":3}', b'{"type":"trade"'])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_frame(data)


def test_a_field_of_the_wrong_kind_is_refused_by_name() -> None:
    with pytest.raises(WireError, match=r"orderbook_delta: .*delta_fp"):
        wire.decode_frame(delta(1, delta_fp=-3.0))


@pytest.mark.parametrize("data", FRAMES.values())
def test_frames_go_out_as_they_come_in(data: bytes) -> None:
    frame = wire.decode_frame(data)
    again = wire.encode_frame(frame)
    assert again.endswith(b"}\n")
    assert wire.decode_frame(again) == frame


def test_the_commands_are_the_protocols() -> None:
    def said(command: bytes) -> Any:
        return json.loads(command)

    assert said(wire.subscribe(1, ["orderbook_delta"], ["A", "B"])) == {
        "id": 1,
        "cmd": "subscribe",
        "params": {
            "channels": ["orderbook_delta"],
            "market_tickers": ["A", "B"],
            "use_yes_price": True,
        },
    }
    own_scale = said(wire.subscribe(1, ["orderbook_delta"], ["A"], use_yes_price=False))
    assert own_scale["params"]["use_yes_price"] is False
    assert said(wire.subscribe(2, ["fill"])) == {
        "id": 2,
        "cmd": "subscribe",
        "params": {"channels": ["fill"]},
    }
    update = {"sids": [1], "market_tickers": ["C"]}
    for made, action in (
        (wire.add_markets(3, 1, ["C"]), "add_markets"),
        (wire.delete_markets(3, 1, ["C"]), "delete_markets"),
        (wire.get_snapshot(3, 1, ["C"]), "get_snapshot"),
    ):
        params = update | {"action": action}
        assert said(made) == {"id": 3, "cmd": "update_subscription", "params": params}
    assert said(wire.unsubscribe(4, [1, 2])) == {
        "id": 4,
        "cmd": "unsubscribe",
        "params": {"sids": [1, 2]},
    }
    assert said(wire.list_subscriptions(5)) == {"id": 5, "cmd": "list_subscriptions"}


def test_a_command_is_read_back() -> None:
    command = wire.decode_command(wire.subscribe(1, ["orderbook_delta"], ["A"]))
    assert command.params is not None
    assert (command.id, command.cmd, command.params.use_yes_price) == (1, "subscribe", True)
    with pytest.raises(WireError, match="not a command"):
        wire.decode_command(b'{"id":1}')


def test_the_list_of_subscriptions_is_an_ok() -> None:
    frame = wire.decode_frame(raw("ok", [{"channel": "trade", "sid": 2}], id=5))
    assert isinstance(frame, wire.Ok)
    assert frame.msg == [wire.SubscribedMsg(channel="trade", sid=2)]


@needs_wire
def test_the_captured_session_is_typed() -> None:
    folder, _ = wire_folder()
    assert folder is not None
    lines = (folder / "ws__orderbook_trade_noleg.jsonl").read_bytes().splitlines()
    frames = [wire.decode_frame(line) for line in lines if line]
    kinds = [type(frame).__name__ for frame in frames]
    assert kinds == ["Subscribed", "Subscribed", "Snapshot", *["Delta"] * 4]
    assert [f.seq for f in frames[2:]] == [1, 2, 3, 4, 5]


def test_frames_are_frozen() -> None:
    frame = wire.decode_frame(delta(1))
    with pytest.raises(AttributeError):
        frame.seq = 2  # type: ignore[misc]
    assert isinstance(frame, msgspec.Struct)
