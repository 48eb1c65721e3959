"""The local exchange as a process, and a client of it that is not ours: httpx and websockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import websockets
from support.leftovers import end
from support.patience import PATIENCE
from support.specs import as_documented, documented
from support.stack import EARLY

from processes.adapters.kalshi.auth.credentials import (
    Credentials,
    CredentialsFile,
    admin_token_path,
)
from processes.adapters.kalshi.auth.signing import Signer
from processes.exchange.stream.frames import iso_ms

__all__ = [
    "Exchange",
    "Stream",
    "market_frames",
    "running_exchange",
    "start",
    "write_recording",
]

FLOOD = 100  # frames of one type
REST = "/trade-api/v2"
WEBSOCKET = "/trade-api/ws/v2"
REPOSITORY = Path(__file__).resolve().parents[2]


class Stream:
    """One WebSocket connection; frames as dictionaries.

    Each is held against the specification; of a flood every hundredth.
    """

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []
        self._kinds: Counter[str] = Counter()

    async def say(self, command: dict[str, Any]) -> None:
        """Send a command."""
        await self.socket.send(json.dumps(command))

    async def subscribe(
        self, *channels: str, tickers: list[str] | None = None, **more: Any
    ) -> None:
        """Subscribe, with command id 1."""
        params: dict[str, Any] = {"channels": list(channels)} | more
        if tickers:
            params["market_tickers"] = tickers
        await self.say({"id": 1, "cmd": "subscribe", "params": params})

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))
        self.frames.append(frame)
        self._kinds[frame["type"]] += 1
        seen = self._kinds[frame["type"]]
        return frame if seen > FLOOD and seen % FLOOD else as_documented(frame)

    async def until(self, kind: str, **facts: Any) -> dict[str, Any]:
        """Read on to a frame of a type whose `msg` has these facts."""
        while True:
            frame = await self.next()
            msg = frame.get("msg") or {}
            if frame["type"] == kind and all(msg.get(k) == v for k, v in facts.items()):
                return frame


class Exchange:
    """A running exchange."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, port: int, admin: int):
        self.process = process
        self.data_dir = data_dir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin}/admin"
        stored = (data_dir / "exchange" / "credentials.json").read_bytes()
        accounts = msgspec.json.decode(stored, type=CredentialsFile).accounts
        self.credentials = [
            Credentials.from_pem(a.api_key_id, a.private_key_pem.encode()) for a in accounts
        ]
        self.http = httpx.Client(timeout=PATIENCE)
        token = admin_token_path(data_dir).read_text().strip()
        self.admin_headers = {"Authorization": f"Bearer {token}"}

    def headers(self, method: str, path: str, account: int = 0) -> dict[str, str]:
        """Signed headers."""
        return Signer(self.credentials[account]).headers(method, path)

    def call(
        self, method: str, path: str, body: Any = None, account: int = 0, **query: Any
    ) -> httpx.Response:
        """A signed REST call; `path` below the base."""
        full = REST + path
        reply = self.http.request(
            method,
            self.url + full,
            params=query,
            content=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"} | self.headers(method, full, account),
        )
        return documented(reply)

    def get(self, path: str, account: int = 0, **query: Any) -> Any:
        """A signed read's body."""
        reply = self.call("GET", path, account=account, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def admin(self, path: str, **query: Any) -> Any:
        """A look over the admin port."""
        reply = self.http.get(f"{self.admin_url}/{path}", params=query, headers=self.admin_headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def order(self, path: str, **facts: Any) -> Any:
        """An order over the admin port."""
        reply = self.http.post(f"{self.admin_url}/{path}", json=facts, headers=self.admin_headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    @contextlib.asynccontextmanager
    async def stream(self, account: int = 0) -> AsyncIterator[Stream]:
        """A WebSocket connection."""
        address = f"ws://127.0.0.1:{self.port}{WEBSOCKET}"
        headers = self.headers("GET", WEBSOCKET, account)
        async with websockets.connect(
            address, additional_headers=headers, compression=None, max_queue=None
        ) as socket:
            yield Stream(socket)


@contextlib.contextmanager
def running_exchange(data_dir: Path, **environ: str) -> Iterator[Exchange]:
    """Start the exchange on free ports; ends it at the end."""
    process = start(data_dir, **environ)
    try:
        assert process.stdout is not None
        words = dict(w.split("=") for w in process.stdout.readline().split() if "=" in w)
        exchange = Exchange(process, data_dir, int(words["port"]), int(words["admin_port"]))
        with exchange.http:
            yield exchange
    finally:
        end(process)


def start(data_dir: Path, **environ: str) -> subprocess.Popen[str]:
    """The bare process."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(data_dir), "RL_EXCHANGE_PORT": "0", "RL_EXCHANGE_ADMIN_PORT": "0"}
    known |= {"RL_EXCHANGE_START": EARLY}
    return subprocess.Popen(
        [sys.executable, "-m", "processes.exchange"],
        cwd=REPOSITORY,
        env=known | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def market_frames(ticker: str, start_ms: int, changes: int) -> list[dict[str, Any]]:
    """A small recorded market: a snapshot, deltas 10 ms apart, a trade after each tenth."""
    market = {"market_ticker": ticker, "market_id": str(uuid.uuid5(uuid.NAMESPACE_OID, ticker))}
    snapshot = {"yes_dollars_fp": [["0.4000", "100.00"]], "no_dollars_fp": [["0.5000", "100.00"]]}
    lines = [_line(start_ms, "orderbook_snapshot", 7, market | snapshot)]
    for n in range(1, changes + 1):
        ms = start_ms + 10 * n
        delta = {
            "price_dollars": f"0.{30 + n % 10}00",
            "delta_fp": "2.50",
            "side": "yes",
            "ts_ms": ms - 3,
        }
        lines.append(_line(ms, "orderbook_delta", 7 + n, market | delta))
        if n % 10 == 0:
            trade = {
                "trade_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{ticker}-{n}")),
                "market_ticker": ticker,
                "yes_price_dollars": "0.4000",
                "no_price_dollars": "0.6000",
                "count_fp": "1.00",
                "taker_side": "no",
                "ts_ms": ms,
            }
            lines.append(_line(ms, "trade", n, trade, sid=2))
    return lines


def _line(ms: int, kind: str, seq: int, msg: dict[str, Any], sid: int = 1) -> dict[str, Any]:
    return {"recv_ms": ms, "event": {"type": kind, "sid": sid, "seq": seq, "msg": msg}}


def write_recording(
    folder: Path, ticker: str, frames: list[dict[str, Any]], open_ms: int, result: str = "yes"
) -> None:
    """A recording of one market with its metadata beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{ticker}.ndjson.gz", "wt") as file:
        file.writelines(json.dumps(frame) + "\n" for frame in frames)
    close_ms = frames[-1]["recv_ms"] + 1_000
    (folder / "metadata").mkdir(exist_ok=True)
    event = ticker.rpartition("-")[0]
    market = {
        "ticker": ticker,
        "event_ticker": event,
        "status": "finalized",
        "open_time": iso_ms(open_ms),
        "close_time": iso_ms(close_ms),
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
        "result": result,
        "settlement_value_dollars": "1.0000" if result == "yes" else "0.0000",
        "settlement_ts": iso_ms(close_ms + 5_000),
    }
    reply = {"response": {"event": {"event_ticker": event}, "markets": [market]}}
    (folder / "metadata" / f"{event}.json").write_text(json.dumps(reply))
