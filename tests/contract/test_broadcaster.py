"""The broadcaster between real publishers, real shared tables and real clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import synthetic_stack as made
from support.broadcaster import broadcasting, environ_of
from support.synthetic_stack import SyntheticStack
from support.ws_client import WsClient, connected
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ipc.book import BookFlag, BookState
from processes.broadcaster.wire import Kind
from processes.runtime.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SyntheticStack]:
    stack = SyntheticStack(tmp_path)
    yield stack
    stack.close()


@pytest.fixture
async def address(stack: SyntheticStack) -> AsyncIterator[str]:
    async with broadcasting(stack.data_dir) as (_, address):
        yield address


@pytest.fixture
async def client(stack: SyntheticStack, address: str) -> AsyncIterator[WsClient]:
    async with connected(address) as client:
        await client.until_all_heard(stack)
        yield client


async def close_code(socket: ClientConnection) -> int | None:
    """Read to the end of a connection; the code that the server closed it with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


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
    stack.send("inference", "action", made.action())
    for topic, message in (
        ("order", made.order()),
        ("order", made.order(client_order_id="client-2", status=made.OrderStatus.CANCELED)),
        ("fill", made.fill()),
        ("position", made.position()),
        ("pnl", made.pnl()),
    ):
        stack.send("execution", topic, message)
    wanted = set(Kind)
    while wanted - {m["type"] for m in client.seen}:
        await client.recv()
    async with connected(address) as second:
        while {m["type"] for m in second.seen} != {str(k) for k in Kind}:
            await second.recv()
        book = next(m["data"] for m in second.seen if m["type"] == "orderbook_snapshot")
        assert book["mids"] == [[made.MARKET_MS, "0.4800"]]
        statuses = [m["data"]["status"] for m in second.seen if m["type"] == "actor_order"]
        assert statuses == ["canceled", "resting"]
    assert book["mid"] == "0.4800"


async def test_after_a_restart_shared_memory_is_asked_at_once(stack: SyntheticStack) -> None:
    stack.put_book("KX-A", {"0.4700": "1.00"}, {"0.5100": "7.00"})
    stack.put_account("KX-A", -300, 5)
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        assert (await client.until("orderbook_snapshot"))["mid"] == "0.4800"
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        position = await client.until("actor_position")
    assert (position["position"], position["account_version"]) == ("-3.00", 5)
    assert position["cash"] == "100.000000"


async def test_a_replaced_table_is_attached_anew(stack: SyntheticStack, client: WsClient) -> None:
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
        broadcasting(stack.data_dir, RL_BROADCASTER_CLIENT_BUFFER="65536") as (server, address),
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


async def http(address: str, request: str) -> tuple[str, dict[str, str], bytes]:
    """One raw request: (status line, headers, body)."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head, _, rest = request.partition("\n")
    lines = [head, *([] if "Host:" in rest else [f"Host: {host}:{port}"]), *rest.split("\n")]
    writer.write("\r\n".join([*(line for line in lines if line), "", ""]).encode())
    answer = await reader.read()
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = top.decode().split("\r\n")
    return status, dict(h.split(": ", 1) for h in headers), body


@pytest.mark.parametrize(
    "path", ["/nothing", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "//etc/passwd", "/rl"]
)
async def test_unknown_paths_are_404(address: str, path: str) -> None:
    status, headers, _ = await http(address, f"GET {path} HTTP/1.1")
    assert " 404 " in status
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_dashboard_page_and_its_assets(address: str) -> None:
    status, headers, page = await http(address, "GET / HTTP/1.1")
    assert " 200 " in status
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    found = re.search(rb'src="\.?(/assets/[^"]+\.js)"', page)
    assert found
    status, headers, script = await http(address, f"GET {found[1].decode()}?v=1 HTTP/1.1")
    assert " 200 " in status
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"].endswith("immutable")
    assert len(script) == int(headers["Content-Length"]) > 100_000


async def test_head_has_headers_and_no_body(address: str) -> None:
    _, of_get, page = await http(address, "GET / HTTP/1.1")
    status, of_head, body = await http(address, "HEAD / HTTP/1.1")
    assert " 200 " in status
    assert of_head == of_get
    assert (body, int(of_head["Content-Length"])) == (b"", len(page))


async def test_other_methods_are_refused(address: str) -> None:
    status, headers, _ = await http(address, "DELETE / HTTP/1.1")
    assert " 405 " in status
    assert headers["Allow"] == "GET, HEAD"


async def test_only_websockets_on_the_websocket_path(address: str) -> None:
    status, _, _ = await http(address, "GET /rl/ws HTTP/1.1")
    assert " 426 " in status


@pytest.mark.parametrize(
    "headers",
    [
        "Origin: http://evil.example",
        "Origin: null",
        "Host: evil.example:80\nOrigin: http://evil.example:80",
    ],
)
async def test_foreign_origins_and_hosts_are_refused(address: str, headers: str) -> None:
    status, _, _ = await http(address, f"GET / HTTP/1.1\n{headers}")
    assert " 403 " in status


async def test_origins_of_the_websocket(stack: SyntheticStack) -> None:
    async with broadcasting(stack.data_dir, RL_BROADCASTER_ORIGINS="https://desk.example") as (
        _,
        address,
    ):
        for origin in (address, "https://desk.example"):
            async with connected(address, origin=origin) as client:
                assert (await client.recv())["type"] == "connection"
        with pytest.raises(InvalidStatus) as refused:
            async with connected(address, origin="http://evil.example"):
                pass
        assert refused.value.response.status_code == 403


async def test_health_says_what_is_silent(stack: SyntheticStack, tmp_path: Path) -> None:
    async with broadcasting(tmp_path / "empty") as (_, address):
        status, _, body = await http(address, "GET /rl/health HTTP/1.1")
    assert " 503 " in status
    assert json.loads(body)["silent"] == [
        "collector", "inference", "execution", "recorder", "books", "accounts"
    ]  # fmt: skip
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        await client.until_all_heard(stack)
        await client.until("stats", lambda d: bool(d["parts"] and d["parts"]["accounts"]["fresh"]))
        status, headers, body = await http(address, "GET /rl/health HTTP/1.1")
    assert " 200 " in status
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["status"] == "ok"


async def test_metrics_are_the_counters(address: str, client: WsClient) -> None:
    status, headers, body = await http(address, "GET /metrics HTTP/1.1")
    assert " 200 " in status
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = body.decode().splitlines()
    assert 'rl_counter{process="collector",counter="frames"} 3' in lines
    assert 'rl_up{part="recorder"} 1' in lines
    assert 'rl_counter{process="broadcaster",counter="connections"} 1' in lines


async def test_an_occupied_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        with pytest.raises(ConfigError, match=f"^RL_BROADCASTER_PORT={port} is in use"):
            async with broadcasting(tmp_path, RL_BROADCASTER_PORT=port):
                pass


def program(data_dir: Path, **more: str) -> subprocess.Popen[str]:
    """`python -m processes.broadcaster`."""
    environ: dict[str, Any] = {**os.environ, **environ_of(data_dir, **more)}
    return subprocess.Popen(
        [sys.executable, "-m", "processes.broadcaster"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_program_exits_2_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        process = program(tmp_path, RL_BROADCASTER_PORT=port)
        out, err = process.communicate()
    assert err == (
        f"broadcaster: RL_BROADCASTER_PORT={port} is in use on 127.0.0.1; "
        "allowed: a free port, or 0 for any\n"
    )
    assert (process.returncode, out) == (2, "")


async def test_the_program_prints_its_address_and_says_goodbye(tmp_path: Path) -> None:
    process = program(tmp_path)
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    found = re.fullmatch(r"dashboard (http://127\.0\.0\.1:\d+)\n", line)
    assert found
    async with connected(found[1]) as client:
        assert (await client.recv())["type"] == "connection"
        process.send_signal(signal.SIGTERM)
        assert await close_code(client.socket) == 1001
    out, err = await asyncio.to_thread(process.communicate)
    assert (process.returncode, out, err) == (0, "", "")
