"""The broadcaster's HTTP: the dashboard, health, metrics, and who is let in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.broadcaster import broadcasting, environ_of
from support.logged import events
from support.patience import PATIENCE
from support.synthetic_stack import SyntheticStack
from support.trading import trading_status
from support.ws_client import WsClient, close_code, connected
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ipc.messages import ProcessStats
from processes.runtime.config import ConfigError, load_settings

ROOT = Path(__file__).resolve().parents[2]


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


TOKEN = "a-word-of-16-and-more"
PATHS = ("/", "/rl/health", "/rl/ready", "/rl/ws", "/metrics", "/nothing")


async def test_with_a_token_a_request_without_it_gets_nothing(stack: SyntheticStack) -> None:
    async with broadcasting(stack.data_dir, RL_BROADCASTER_TOKEN=TOKEN) as (_, address):
        for path in PATHS:
            for word in ("", "Authorization: Bearer a-word", "Cookie: rl_token=x; =; rl_token_80"):
                status, headers, body = await http(address, f"GET {path} HTTP/1.1\n{word}")
                assert " 401 " in status, (path, word)
                assert headers["WWW-Authenticate"] == "Bearer"
                assert TOKEN.encode() not in body
            status, _, _ = await http(address, f"GET {path}?token=%ff{TOKEN} HTTP/1.1")
            assert " 401 " in status
        with pytest.raises(InvalidStatus):
            async with connected(address):
                pass


async def test_the_token_opens_the_port_and_a_browser_keeps_it(stack: SyntheticStack) -> None:
    async with broadcasting(stack.data_dir, RL_BROADCASTER_TOKEN=TOKEN) as (_, address):
        status, _, _ = await http(address, f"GET /metrics HTTP/1.1\nAuthorization: Bearer {TOKEN}")
        assert " 200 " in status
        status, _, _ = await http(address, f"GET /metrics?token={TOKEN} HTTP/1.1")
        assert " 200 " in status
        status, headers, _ = await http(address, f"GET /?token={TOKEN} HTTP/1.1")
        assert " 303 " in status
        assert headers["Location"] == "/"
        kept = headers["Set-Cookie"].partition(";")[0]
        assert "; HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
        status, _, page = await http(address, f"GET / HTTP/1.1\nCookie: other=1; {kept}")
        assert " 200 " in status
        assert TOKEN.encode() not in page
        headers_of_page = {"Cookie": kept}
        url = address.replace("http://", "ws://") + "/rl/ws"
        async with connect(url, additional_headers=headers_of_page) as client:
            assert json.loads(await client.recv())["type"] == "connection"


@pytest.mark.parametrize("token", ["short", "sixteen letters!", "x" * 129, "a" * 20 + ";"])
def test_a_token_that_is_none_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    with pytest.raises(ConfigError, match="RL_BROADCASTER_TOKEN is not a token; allowed") as caught:
        load_settings(environ_of(tmp_path, RL_BROADCASTER_TOKEN=token))
    assert token not in str(caught.value)
    assert TOKEN not in repr(load_settings(environ_of(tmp_path, RL_BROADCASTER_TOKEN=TOKEN)))


async def test_health_says_what_is_silent(stack: SyntheticStack, tmp_path: Path) -> None:
    async with broadcasting(tmp_path / "empty") as (_, address):
        status, _, body = await http(address, "GET /rl/health HTTP/1.1")
    assert " 503 " in status
    assert json.loads(body)["silent"] == [
        "collector", "inference", "execution", "recorder", "watchdog", "books", "accounts"
    ]  # fmt: skip
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        await client.until_all_heard(stack)
        await client.until("stats", lambda d: bool(d["parts"] and d["parts"]["accounts"]["fresh"]))
        status, headers, body = await http(address, "GET /rl/health HTTP/1.1")
    assert " 200 " in status
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["status"] == "ok"


async def test_ready_says_every_reason_and_health_stays_what_it_was(stack: SyntheticStack) -> None:
    async with broadcasting(stack.data_dir) as (_, address), connected(address) as client:
        await client.until_all_heard(stack)
        await client.until("stats", lambda d: bool(d["parts"] and d["parts"]["accounts"]["fresh"]))
        alive, _, _ = await http(address, "GET /rl/health HTTP/1.1")
        status, headers, body = await http(address, "GET /rl/ready HTTP/1.1")
        _, _, metrics = await http(address, "GET /metrics HTTP/1.1")
        assert " 200 " in alive
        assert " 503 " in status
        assert (headers["Content-Type"], headers["Cache-Control"]) == (
            "application/json",
            "no-store",
        )
        said = json.loads(body)
        assert said["status"] == "not_ready"
        assert "collector: the exchange does not trade: unknown" in said["reasons"]
        assert "execution: requests_accepted is not known yet" in said["reasons"]
        assert b"rl_ready 0\n" in metrics
        well(stack)
        await until_ready(address)
        _, _, metrics = await http(address, "GET /metrics HTTP/1.1")
        assert b"rl_ready 1\n" in metrics


def well(stack: SyntheticStack) -> None:
    """Everybody says that all is well."""
    stack.beat()
    stack.send("collector", "trading", trading_status())
    counters = {
        "collector": {"connected": 1, "markets": 1, "books_waiting": 0},
        "execution": {
            "markets": 1,
            "accounts_in_doubt": 0,
            "channel_up": 1,
            "recorded": 1,
            "requests_accepted": 1,
            "grouped": 1,
            "watched": 1,
        },
        "recorder": {"database": 1},
    }
    for process, found in counters.items():
        stats = ProcessStats(process=process, mono_ns=1, counters=found)
        stack.send(process, "stats", stats)


async def until_ready(address: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while " 200 " not in (await http(address, "GET /rl/ready HTTP/1.1"))[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


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


async def test_the_program_prints_its_address_and_closes_its_connections(tmp_path: Path) -> None:
    process = program(tmp_path)
    assert process.stdout is not None
    (line,) = events(await asyncio.to_thread(process.stdout.readline))
    found = re.fullmatch(r"broadcaster dashboard_ready url=(http://127\.0\.0\.1:\d+)", line)
    assert found
    async with connected(found[1]) as client:
        assert (await client.recv())["type"] == "connection"
        said = [await asyncio.to_thread(process.stdout.readline) for _ in range(2)]
        waiting = [f"broadcaster table_waiting table={table}" for table in ("books", "accounts")]
        assert events("".join(said)) == waiting, "no other process runs"
        process.send_signal(signal.SIGTERM)
        assert await close_code(client.socket) == 1001
    out, err = await asyncio.to_thread(process.communicate)
    assert (process.returncode, out, err) == (0, "", "")
