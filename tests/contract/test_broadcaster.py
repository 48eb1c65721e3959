"""The broadcaster between real publishers, real shared tables and real clients."""

from __future__ import annotations

from support import synthetic_stack as made
from support.broadcaster import broadcasting
from support.synthetic_stack import SyntheticStack
from support.trading import trading_status
from support.ws_client import WsClient, close_code, connected
from websockets.asyncio.client import connect

from ipc.book import BookFlag, BookState
from processes.broadcaster.wire import MessageType


async def test_connection_comes_first(client: WsClient) -> None:
    first = client.seen[0]
    assert first["type"] == "connection"
    assert first["seq"] == 1
    assert first["data"]["environment"] == "simulated"
    assert first["data"]["actor"]["contract_size"] == "10.00"


async def test_session(stack: SyntheticStack, client: WsClient) -> None:
    stack.send("collector", "session", made.session(["KX-A", "KX-B"]))
    data = await client.until("session")
    assert data["markets"] == ["KX-A", "KX-B"]
    assert data["started_ms"] == made.MARKET_MS
    assert data["environment"] == "simulated"


async def test_action_carries_all_of_the_decision(stack: SyntheticStack, client: WsClient) -> None:
    stack.send("inference", "action", made.action())
    data = await client.until("actor_action")
    assert data["ticker"] == "KX-A"
    assert (data["action"], data["action_name"], data["reason"]) == (1, "BUY_YES_LIMIT", "policy")
    assert (data["model"], data["model_hash"]) == ("default", "ab" * 16)
    assert (data["observation_hash"], data["event_no"]) == ("cd" * 16, 41)
    assert data["logits"] == [0.5, 1.25, -0.75, 0.0, -2.0]
    assert (data["value"], data["intent_id"]) == (0.125, "intent-1")
    assert data["mask"] == [True, True, False, True, False]
    assert [data[f"{hop}_mono_ns"] for hop in ("frame", "written", "woken", "decided")] == [
        1_000_000,
        1_010_000,
        1_100_000,
        1_140_000,
    ]
    assert data["latency_us"] == {
        "frame_to_written": 10.0,
        "written_to_woken": 90.0,
        "woken_to_decided": 40.0,
        "frame_to_decided": 140.0,
    }


async def test_order_knows_the_decision_behind_it(stack: SyntheticStack, client: WsClient) -> None:
    stack.send("inference", "action", made.action())
    await client.until("actor_action")
    stack.send("execution", "order", made.order())
    data = await client.until("actor_order")
    assert (data["ticker"], data["status"], data["price"]) == ("KX-A", "resting", "0.4700")
    assert (data["initial_count"], data["remaining_count"]) == ("10.00", "10.00")
    assert data["latency_us"] == {
        "decided_to_received": 100.0,
        "received_to_sent": 60.0,
        "sent_to_acknowledged": 600.0,
        "frame_to_acknowledged": 900.0,
    }


async def test_fill_position_and_pnl(stack: SyntheticStack, client: WsClient) -> None:
    stack.send("execution", "fill", made.fill())
    fill = await client.until("actor_fill")
    assert (fill["yes_price"], fill["count"], fill["fee"]) == ("0.4700", "4.00", "0.017500")
    stack.send("execution", "position", made.position())
    position = await client.until("actor_position")
    assert (position["position"], position["cash"]) == ("-4.00", "97.880000")
    assert position["realized"] == "-0.012500"
    stack.send("execution", "pnl", made.pnl())
    pnl = await client.until("actor_pnl")
    assert (pnl["balance"], pnl["open_orders"]) == ("12.345678", 1)


async def test_book_is_read_from_the_shared_table(stack: SyntheticStack, client: WsClient) -> None:
    stack.put_book(
        "KX-A",
        {"0.4600": "3.00", "0.4700": "10.50"},
        {"0.5100": "7.00"},
        flags=BookFlag.WARMING | BookFlag.UNRECORDED,
    )
    data = await client.until("orderbook_snapshot")
    assert (data["ticker"], data["state"]) == ("KX-A", "live")
    assert data["yes"] == [["0.4700", "10.50"], ["0.4600", "3.00"]]
    assert data["no"] == [["0.5100", "7.00"]]
    assert (data["best_yes_bid"], data["best_yes_ask"]) == ("0.4700", "0.4900")
    assert (data["best_no_bid"], data["best_no_ask"]) == ("0.5100", "0.5300")
    assert (data["mid"], data["spread"]) == ("0.4800", "0.0200")
    assert data["flags"] == ["unrecorded", "warming"]
    assert (data["event_no"], data["seq"]) == (1, 1)


async def test_unknown_is_null_never_zero(stack: SyntheticStack, client: WsClient) -> None:
    stack.put_book("KX-A", {"0.4700": "1.00"}, {})
    data = await client.until("orderbook_snapshot")
    assert data["best_yes_bid"] == "0.4700"
    for name in ("best_yes_ask", "best_no_bid", "mid", "spread", "last_trade", "exch_ms"):
        assert data[name] is None
    stack.send("execution", "order", made.order(intent_id=None, acknowledged_mono_ns=0))
    order = await client.until("actor_order")
    assert order["acknowledged_mono_ns"] is None
    assert order["latency_us"]["sent_to_acknowledged"] is None
    assert order["latency_us"]["decided_to_received"] is None


async def test_the_end_of_a_burst_arrives(stack: SyntheticStack, client: WsClient) -> None:
    for i in range(1, 500):
        stack.put_book("KX-A", {"0.4700": f"{i}.00"}, {"0.5100": "7.00"})
    data = await client.until("orderbook_snapshot", lambda d: d["yes"] == [["0.4700", "499.00"]])
    assert data["event_no"] == 499


async def test_stale_and_removed_books_are_said(stack: SyntheticStack, client: WsClient) -> None:
    levels: tuple[dict[str, str], dict[str, str]] = ({"0.4700": "1.00"}, {"0.5100": "7.00"})
    stack.put_book("KX-A", *levels)
    await client.until("orderbook_snapshot", lambda d: d["state"] == "live")
    stack.put_book("KX-A", *levels, state=BookState.STALE)
    await client.until("orderbook_snapshot", lambda d: d["state"] == "stale")
    stack.put_book("KX-A", *levels)
    await client.until("orderbook_snapshot", lambda d: d["state"] == "live")
    stack.remove_book("KX-A")
    await client.until("orderbook_snapshot", lambda d: d["state"] == "stale")


async def test_a_new_client_gets_what_is_known(
    stack: SyntheticStack, address: str, client: WsClient
) -> None:
    stack.put_book("KX-A", {"0.4700": "1.00"}, {"0.5100": "7.00"})
    stack.send("collector", "session", made.session())
    stack.send("collector", "trading", trading_status())
    stack.send("inference", "action", made.action())
    stack.send("inference", "models", made.models())
    stack.send("inference", "markets", made.markets())
    stack.send("inference", "shadow", made.shadow())
    for topic, message in (
        ("order", made.order()),
        ("order", made.order(client_order_id="client-2", status=made.OrderStatus.CANCELED)),
        ("fill", made.fill()),
        ("position", made.position()),
        ("pnl", made.pnl()),
        ("trading_event", made.trading_event()),
    ):
        stack.send("execution", topic, message)
    wanted = set(MessageType)
    while wanted - {m["type"] for m in client.seen}:
        await client.recv()
    async with connected(address) as second:
        while {m["type"] for m in second.seen} != {str(k) for k in MessageType}:
            await second.recv()
        book = next(m["data"] for m in second.seen if m["type"] == "orderbook_snapshot")
        assert book["mids"] == [[made.MARKET_MS, "0.4800"]]
        statuses = [m["data"]["status"] for m in second.seen if m["type"] == "actor_order"]
        assert statuses == ["canceled", "resting"]
        shadow = next(m["data"] for m in second.seen if m["type"] == "actor_shadow")
        assert (shadow["action_name"], shadow["live_action_name"], shadow["agrees"]) == (
            "SELL_YES_LIMIT",
            "BUY_YES_LIMIT",
            False,
        )
    assert book["mid"] == "0.4800"


async def test_after_a_restart_shared_memory_is_asked_at_once(
    stack: SyntheticStack,
) -> None:
    stack.put_book("KX-A", {"0.4700": "1.00"}, {"0.5100": "7.00"})
    stack.put_account("KX-A", -300, 5)
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        assert (await client.until("orderbook_snapshot"))["mid"] == "0.4800"
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        position = await client.until("actor_position")
    assert (position["position"], position["account_version"]) == ("-3.00", 5)
    assert position["cash"] == "100.000000"


async def test_a_replaced_table_is_attached_again(stack: SyntheticStack, client: WsClient) -> None:
    stack.put_book("KX-A", {"0.4700": "1.00"}, {"0.5100": "7.00"})
    await client.until("orderbook_snapshot")
    stack.replace_books(rows=4)
    stack.put_book("KX-B", {"0.2000": "1.00"}, {"0.7000": "7.00"})
    data = await client.until("orderbook_snapshot", lambda d: d["ticker"] == "KX-B")
    assert data["mid"] == "0.2500"


async def test_orders_of_an_earlier_execution_are_unknown(
    stack: SyntheticStack, client: WsClient
) -> None:
    stack.send("execution", "order", made.order())
    await client.until("actor_order", lambda d: d["status"] == "resting")
    await client.until("stats", lambda d: d["parts"] is not None)
    stack.restart_execution()
    data = await client.until("actor_order")
    assert (data["client_order_id"], data["status"]) == ("client-1", "unknown")
    assert data["reason"] == "execution restarted"


async def test_a_slow_client_is_dropped_and_stops_nobody(stack: SyntheticStack) -> None:
    async with (
        broadcasting(stack.data_dir, RL_BROADCASTER_CLIENT_BUFFER="65536") as (
            server,
            address,
        ),
        connected(address) as quick,
        connect(address.replace("http", "ws") + "/rl/ws", max_queue=1, compression=None) as slow,
    ):
        await quick.until_all_heard(stack)
        sent = 0
        while not server.manager.dropped_slow and sent < 50_000:
            for _ in range(500):
                sent += 1
                stack.send("inference", "action", made.action(event_no=sent, reason="x" * 2_000))
            await quick.until("actor_action", lambda d, last=sent: d["event_no"] == last)
        assert server.manager.dropped_slow == 1
        assert await close_code(slow) == 1013
        own = await quick.until(
            "stats", lambda d: d["process"] == "broadcaster" and d["counters"]["clients"] == 1
        )
        assert own["counters"]["dropped_slow_clients"] == 1


async def test_what_clients_say_is_ignored(stack: SyntheticStack, client: WsClient) -> None:
    await client.socket.send('{"type": "actor_order"}')
    stack.send("execution", "pnl", made.pnl())
    assert await client.until("actor_pnl")
