"""The exchange as a process: its start, its end, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
import websockets
from support.exchange import (
    running_exchange,
    start,
)
from support.logged import events

from ipc.clock import MarketClock


class TestLife:
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
        out, err = process.communicate(timeout=20)
        assert (events(out), err) == (["exchange exchange_not_needed environment=demo"], "")
        assert process.returncode == 0
        assert not (tmp_path / "exchange").exists()


def fails(tmp_path: Path, **environ: str) -> str:
    """The one line of an exchange that refuses to start."""
    process = start(tmp_path, **environ)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith("exchange: ")
    assert err.count("\n") == 1
    return err


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
