"""The local exchange: how fast it sends, and what its markets cost at real speed.

The process itself runs; a client of bare sockets follows books and counts the frames that arrive,
so that what is measured is the exchange and not its client.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from benchmarks.figures import Figure
from ipc.clock import mono_ns
from models.command_line import Parser
from processes.adapters.kalshi.auth.credentials import (
    Credentials,
    CredentialsFile,
    credentials_path,
)
from processes.adapters.kalshi.auth.signing import Signer

__all__ = ["exchange_process", "first_signer", "open_tickers", "run"]

WEBSOCKET: Final = "/trade-api/ws/v2"
MARKETS: Final = "30"  # so many that none closes meanwhile
DELTAS: Final = 200_000
CHUNK: Final = 1 << 20  # bytes
LISTING: Final = (
    b"GET /trade-api/v2/markets?status=open HTTP/1.1\r\n"
    b"Host: localhost\r\nConnection: close\r\n\r\n"
)
DELTA: Final = b'"orderbook_delta"'
NS: Final = 1_000_000_000
WATCHED_NS: Final = 20 * NS
PATIENCE_NS: Final = 60 * NS


@contextmanager
def exchange_process(data_dir: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(data_dir), "RL_EXCHANGE_PORT": "0", "RL_EXCHANGE_ADMIN_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "processes.exchange"],
        env=known | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        words = dict(w.split("=") for w in process.stdout.readline().split() if "=" in w)
        yield process, int(words["port"])
    finally:
        process.terminate()
        process.communicate()


def first_signer(data_dir: Path) -> Signer:
    stored = msgspec.json.decode(credentials_path(data_dir).read_bytes(), type=CredentialsFile)
    account = stored.accounts[0]
    return Signer(Credentials.from_pem(account.api_key_id, account.private_key_pem.encode()))


def open_tickers(port: int) -> list[str]:
    """The open markets, over the REST interface."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(LISTING)
        reply = b"".join(iter(lambda: connection.recv(CHUNK), b""))
    body = msgspec.json.decode(reply.partition(b"\r\n\r\n")[2])
    return [market["ticker"] for market in body["markets"]]


def _follow(port: int, signer: Signer, tickers: list[str]) -> socket.socket:
    """A connection that has subscribed to the books."""
    connection = socket.create_connection(("127.0.0.1", port))
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{WEBSOCKET}"))
    request = protocol.connect()
    for name, value in signer.headers("GET", WEBSOCKET).items():
        request.headers[name] = value
    protocol.send_request(request)
    connection.sendall(b"".join(protocol.data_to_send()))
    while protocol.handshake_exc is None and not list(protocol.events_received()):
        protocol.receive_data(connection.recv(CHUNK))
    params = {"channels": ["orderbook_delta"], "market_tickers": tickers}
    command = msgspec.json.encode({"id": 1, "cmd": "subscribe", "params": params})
    connection.sendall(Frame(Opcode.TEXT, command).serialize(mask=True))
    return connection


def _received(connection: socket.socket, most: int, until_ns: int) -> int:
    """Count deltas until there are so many, or until it is so late."""
    number, kept = 0, b""
    buffer = bytearray(CHUNK)
    while number < most and mono_ns() < until_ns:
        size = connection.recv_into(buffer)
        data = kept + bytes(memoryview(buffer)[:size])
        number += data.count(DELTA)
        kept = data[-len(DELTA) + 1 :]
    return number


def _used_s(process: subprocess.Popen[str]) -> float:
    """Processor time of a running process."""
    fields = (
        Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _followed(**environ: str) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """An exchange and a client that follows all of its books."""
    with (
        tempfile.TemporaryDirectory() as name,
        exchange_process(Path(name), **environ) as (process, port),
        _follow(port, first_signer(Path(name)), open_tickers(port)) as connection,
    ):
        yield process, connection


def _fast() -> list[Figure]:
    """Synthetic markets as fast as one client reads."""
    environ = {"RL_EXCHANGE_SPEED": "0", "RL_EXCHANGE_MARKETS": MARKETS}
    with _followed(**environ) as (process, connection):
        used_s, begun = _used_s(process), mono_ns()
        number = _received(connection, DELTAS, begun + PATIENCE_NS)
        seconds = (mono_ns() - begun) / NS
        used_s = _used_s(process) - used_s
    return [
        Figure("synthetic flow -> one client", number / seconds, "deltas/s"),
        Figure("synthetic flow -> one client, processor", 1e6 * used_s / number, "us each"),
    ]


def _real() -> list[Figure]:
    """The default markets at real speed."""
    with _followed() as (process, connection):
        used_s, begun = _used_s(process), mono_ns()
        number = _received(connection, 1 << 40, begun + WATCHED_NS)
        seconds = (mono_ns() - begun) / NS
        share = 100 * (_used_s(process) - used_s) / seconds
    return [
        Figure("three markets at real speed", number / seconds, "deltas/s"),
        Figure("three markets at real speed, processor", share, "% of a core"),
    ]


def run() -> list[Figure]:
    """Throughput and cost."""
    return [*_fast(), *_real()]


if __name__ == "__main__":
    Parser(prog="python -m benchmarks.exchange_flow", description=__doc__).parse_args()
    for figure in run():
        print(f"{figure.name}: {figure.value:,.1f} {figure.unit}")
