"""A stand-in for the exchange that only sends: `benchmarks.sender <data_dir> <deltas> [<rate>]`.

It lists one market, answers subscriptions, and writes frames that were encoded before anybody
connected: as fast as the socket takes them, or so many a second. They begin when the client's start
is over, so that its cost is not counted as theirs. Prints its port.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks.market import TICKER
from ipc.clock import MarketClockWriter, mono_ns, real_ns
from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from models.command_line import Parser, whole
from processes.adapters.kalshi.auth.credentials import (
    Account,
    Algorithm,
    CredentialsFile,
    credentials_path,
    new_credentials,
)
from processes.adapters.kalshi.auth.environments import clock_path
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.frames import Channel, decode_command
from processes.adapters.kalshi.schemas.rest_public import Market, MarketsPage, PriceRangeText

__all__ = ["main"]

CHUNK: Final = 1 << 16  # bytes of one write
PACE_S: Final = 0.01  # between two writes at a rate
SETTLE_S: Final = (
    3.0  # after the snapshot: the client has read over REST what it reads at its start
)
BOOK_SID: Final = 1
_SIDS: Final = {Channel.BOOK: BOOK_SID, Channel.TRADE: 2, Channel.LIFECYCLE: 3}
_SIDES: Final = ("yes", "no")
_PRICES: Final = tuple(range(3_000, 5_000, 100))
_MARKET_ID: Final = "f5ed38e2-0991-4c8f-817e-08c4fd9cbfdb"


def _frame(kind: str, **facts: Any) -> bytes:
    """One text message as a server sends it."""
    payload = msgspec.json.encode({"type": kind, **facts})
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def _price(side: int, leg_price_e4: int) -> str:
    """As the collector asks for it: NO at the YES price."""
    return format_price(ONE_DOLLAR_E4 - leg_price_e4 if side else leg_price_e4)


def _snapshot() -> bytes:
    yes, no = ([(_price(side, price), "100.00") for price in _PRICES] for side in (0, 1))
    msg = {"market_ticker": TICKER, "yes_dollars_fp": yes, "no_dollars_fp": no}
    return _frame("orderbook_snapshot", sid=BOOK_SID, seq=1, msg=msg)


def _deltas(number: int) -> bytes:
    """A book that walks at random and never falls below nothing."""
    chance, sizes = np.random.default_rng(1), np.full((2, len(_PRICES)), 10_000)
    frames = []
    for seq in range(2, number + 2):
        side, at = int(chance.integers(2)), int(chance.integers(len(_PRICES)))
        change = int(chance.integers(-min(5_000, sizes[side, at]), 5_000))
        sizes[side, at] += change
        msg = {
            "market_ticker": TICKER,
            "market_id": _MARKET_ID,
            "price_dollars": _price(side, _PRICES[at]),
            "delta_fp": format_count(change),
            "side": _SIDES[side],
            "ts": "2026-06-11T06:31:29.957081Z",
            "ts_ms": 1_781_159_489_957,
        }
        frames.append(_frame("orderbook_delta", sid=BOOK_SID, seq=seq, msg=msg))
    return b"".join(frames)


def _reply(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _listing() -> bytes:
    """The answer to `GET /markets`."""
    market = Market(
        ticker=TICKER,
        event_ticker=TICKER,
        status=MarketStatus.ACTIVE,
        open_time="2026-01-01T00:00:00Z",
        close_time="2099-01-01T00:00:00Z",
        price_ranges=(PriceRangeText("0.0000", "1.0000", "0.0100"),),
    )
    rows = [msgspec.Raw(msgspec.json.encode(market))]
    return _reply("200 OK", msgspec.json.encode(MarketsPage(rows=rows, cursor="")))


NOT_HERE: Final = _reply("404 Not Found", b'{"error": {"code": "not_found", "message": "no"}}')


class _Sender:
    """What is sent, made before anybody listens."""

    def __init__(self, deltas: int, rate: int) -> None:
        self._snapshot = _snapshot()
        self._deltas = memoryview(_deltas(deltas))
        self._bytes_s = len(self._deltas) * rate // deltas  # 0: as fast as it goes
        self._listing = _listing()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, REST or WebSocket by what it asks."""
        protocol = ServerProtocol()
        try:
            while data := await _more(reader):
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        protocol = self._greet(protocol, event, writer)
                    elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                        await self._answer(bytes(event.data), writer)
                writer.write(b"".join(protocol.data_to_send()))
        finally:
            writer.close()

    def _greet(
        self, protocol: ServerProtocol, request: Request, writer: asyncio.StreamWriter
    ) -> ServerProtocol:
        if "Upgrade" in request.headers:
            protocol.send_response(protocol.accept(request))
            return protocol
        is_listing = request.path.partition("?")[0].endswith("/markets")
        writer.write(self._listing if is_listing else NOT_HERE)
        return ServerProtocol()  # the connection is kept for the next request

    async def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        command = decode_command(data)
        channels = command.params.channels if command.params else None
        for channel in channels or ():
            msg = {"channel": channel, "sid": _SIDS[Channel(channel)]}
            writer.write(_frame("subscribed", id=command.id, msg=msg))
            if channel == Channel.BOOK:
                writer.write(self._snapshot)
                await writer.drain()
                await asyncio.sleep(SETTLE_S)
                await self._send_all(writer)

    async def _send_all(self, writer: asyncio.StreamWriter) -> None:
        if self._bytes_s:
            await self._send_paced(writer)
            return
        for at in range(0, len(self._deltas), CHUNK):
            writer.write(self._deltas[at : at + CHUNK])
            await writer.drain()

    async def _send_paced(self, writer: asyncio.StreamWriter) -> None:
        begun_ns, at = mono_ns(), 0
        while at < len(self._deltas):
            due = min((mono_ns() - begun_ns) * self._bytes_s // 1_000_000_000, len(self._deltas))
            writer.write(self._deltas[at:due])
            await writer.drain()
            at = due
            await asyncio.sleep(PACE_S)


async def _more(reader: asyncio.StreamReader) -> bytes:
    """What came, nothing when the client has gone, however it went."""
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""


def _introduce(data_dir: Path) -> None:
    """What clients of the local exchange look for: an account and the time."""
    known = new_credentials("benchmark", Algorithm.ED25519)
    account = Account(known.api_key_id, known.private_key_pem(), known.algorithm)
    path = credentials_path(data_dir)
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(CredentialsFile((account,))))
    path.chmod(0o600)
    MarketClockWriter(clock_path(data_dir)).announce(real_ns(), 1_000)


async def _run(data_dir: Path, deltas: int, rate: int) -> None:
    sender = _Sender(deltas, rate)
    server = await asyncio.start_server(sender.serve, "127.0.0.1", 0)
    _introduce(data_dir)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = Parser(prog="python -m benchmarks.sender", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("deltas", type=whole(0, 1 << 40))
    parser.add_argument("rate", type=whole(0, 1_000_000_000), nargs="?", default=0)
    options = parser.parse_args()
    uvloop.run(_run(options.data_dir, options.deltas, options.rate))


if __name__ == "__main__":
    main()
