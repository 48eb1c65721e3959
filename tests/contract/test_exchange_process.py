"""The exchange as a process: its start, its end, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import websockets
from support.exchange import (
    running_exchange,
    start,
)
from support.logged import events
from support.patience import PATIENCE, eventually
from support.stack import ROOT, free_ports

from ipc.clock import MarketClock
from processes.adapters.kalshi.auth.credentials import admin_token_path

pytestmark = pytest.mark.slow


class TestLife:
    def test_in_the_background_it_outlives_the_shell_that_started_it(self, tmp_path):
        port = free_ports(1)[0]
        environ = {"RL_DATA_DIR": str(tmp_path), "RL_EXCHANGE_PORT": str(port)}
        log = tmp_path / "log"
        listening = f"until grep -q 'exchange listening' {log}; do sleep 0.1; done"
        command = f"{sys.executable} -m processes.exchange > {log} 2>&1 & echo $!; {listening}"
        environ = {**os.environ, **environ, "RL_EXCHANGE_ADMIN_PORT": "0"}
        shell = ["sh", "-c", command]
        done = subprocess.run(shell, env=environ, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        try:
            url = f"http://127.0.0.1:{port}/trade-api/v2/exchange/status"
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert answer.status == 200
        finally:
            os.kill(int(done.stdout), signal.SIGTERM)
        eventually(lambda: not is_running(int(done.stdout)), "it has ended")

    def test_accounts_outlive_the_process_and_orders_do_not(self, tmp_path):
        with running_exchange(tmp_path) as exchange:
            keys = [c.api_key_id for c in exchange.credentials]
            exchange.process.kill()
        with running_exchange(tmp_path) as exchange:
            assert [c.api_key_id for c in exchange.credentials] == keys
            assert exchange.get("/portfolio/orders")["orders"] == []

    async def test_it_ends_cleanly_with_a_client_connected(self, tmp_path):
        with running_exchange(tmp_path) as exchange:
            clock = MarketClock(tmp_path / "exchange" / "clock")
            assert clock.now_ns() > 0
            async with exchange.stream() as stream:
                exchange.process.send_signal(signal.SIGTERM)
                with pytest.raises(websockets.ConnectionClosed):
                    await stream.until("never")
            assert await asyncio.to_thread(exchange.process.wait, 10) == 0
            clock.close()

    @pytest.mark.parametrize("data", ["demo", "production"])
    def test_it_ends_at_once_where_nobody_would_come(self, tmp_path, data):
        mixed = {"KALSHI_DATA_ENVIRONMENT": data, "KALSHI_ALLOW_MIXED_ENVIRONMENTS": "true"}
        process = start(tmp_path, KALSHI_TRADING_ENVIRONMENT="demo", **mixed)
        out, err = process.communicate(timeout=PATIENCE)
        assert (events(out), err) == (["exchange exchange_not_needed environment=demo"], "")
        assert process.returncode == 0
        assert not (tmp_path / "exchange").exists()


def is_running(pid: int) -> bool:
    """Whether a process is more than a name that nobody has asked for."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def fails(tmp_path: Path, **environ: str) -> str:
    """The one line of an exchange that refuses to start."""
    process = start(tmp_path, **environ)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith("exchange: ")
    assert err.count("\n") == 1
    return err


class TestAdminToken:
    def test_the_admin_port_wants_the_token_of_the_data_folder(self, tmp_path):
        path = admin_token_path(tmp_path)
        with running_exchange(tmp_path) as exchange:
            token = path.read_text().strip()
            assert path.stat().st_mode & 0o777 == 0o600
            for word in (
                "",
                "Bearer",
                f"Bearer {token[:-1]}",
                f"Basic {token}",
                f"Bearer {token}x",
            ):
                headers = {"Authorization": word} if word else {}
                for method, call in (("GET", "orders"), ("POST", "fault"), ("GET", "nothing")):
                    reply = exchange.http.request(
                        method, f"{exchange.admin_url}/{call}", headers=headers
                    )
                    assert reply.status_code == 401
                    assert "exchange/admin.token" in reply.json()["error"]["details"]
                    assert token not in reply.text
            assert exchange.admin("orders")["orders"] == []
        with running_exchange(tmp_path) as exchange:
            assert path.read_text().strip() == token, "kept"

    @pytest.mark.parametrize("content", ["", "word", "x" * 64])
    def test_a_file_that_is_no_token(self, tmp_path, content):
        path = admin_token_path(tmp_path)
        path.parent.mkdir()
        path.write_text(content)
        line = fails(tmp_path)
        assert f"{path} is not a token; remove it" in line

    def test_a_token_that_others_may_read(self, tmp_path):
        path = admin_token_path(tmp_path)
        path.parent.mkdir()
        path.write_text("0" * 64)
        path.chmod(0o644)
        assert f"{path} has mode 0644, others may use it" in fails(tmp_path)


class TestBadInput:
    def test_a_missing_recording(self, tmp_path):
        path = str(tmp_path / "none")
        line = fails(tmp_path, RL_EXCHANGE_REPLAY=path)
        assert f"RL_EXCHANGE_REPLAY={path}" in line
        assert "no such file or folder" in line

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            ("not json\n", "not a recorded line"),
            ('{"recv_ms":1,"event":{"type":"trade","sid":1,"seq":1,"msg":{}}}\n', "trade"),
            ('{"recv_ms":1,"recorder":"start","info":{}}\n', "no orderbook_snapshot"),
            ("", "no orderbook_snapshot"),
        ],
    )
    def test_a_malformed_recording(self, tmp_path, content, what):
        file = tmp_path / "bad.ndjson"
        file.write_text(content)
        line = fails(tmp_path / "data", RL_EXCHANGE_REPLAY=str(file))
        assert f"RL_EXCHANGE_REPLAY={file}" in line
        assert what in line

    @pytest.mark.parametrize("variable", ["RL_EXCHANGE_PORT", "RL_EXCHANGE_ADMIN_PORT"])
    def test_an_occupied_port(self, tmp_path, variable):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = fails(tmp_path, **{variable: str(port)})
        assert f"{variable}={port}" in line
        assert "a free port" in line

    def test_a_damaged_file_of_accounts(self, tmp_path):
        (tmp_path / "exchange").mkdir()
        file = tmp_path / "exchange" / "credentials.json"
        file.write_text("{}")
        assert str(file) in fails(tmp_path)
