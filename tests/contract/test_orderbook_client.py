"""The WebSocket's client against a peer that misbehaves: silence, terminal errors, YES prices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.collector_rig import CollectorRig
from support.patience import PATIENCE
from support.scripted_exchange import Peer, scripted_exchange

from ipc import book as b
from ipc.clock import RealClock
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import SocketClosed
from processes.adapters.kalshi.schemas.frames import Ok
from processes.adapters.kalshi.stream.socket import KalshiSocket
from processes.collector.discovery_link import MarketNews
from processes.collector.orderbook_client import OrderbookClient
from processes.runtime.log import no_log

SIGNER = Signer(new_credentials("key", Algorithm.ED25519))
SIDS = {"market_lifecycle_v2": 1, "trade": 2, "orderbook_delta": 3}
BOOK = {"yes_dollars_fp": [["0.4700", "3.00"]], "no_dollars_fp": [["0.5200", "2.00"]]}


async def silent(_: Peer) -> None:
    """Says nothing."""


async def after_two_pings(peer: Peer) -> None:
    if peer.pings == 2:
        peer.send({"type": "ok", "id": 1})


async def test_who_answers_pings_is_alive_however_quiet() -> None:
    async with scripted_exchange(after_two_pings) as (target, peers):
        socket = await KalshiSocket.connect(target, SIGNER, ping_interval=2, ping_timeout=2)
        async with asyncio.timeout(PATIENCE):
            frame, _ = await socket.recv()
        assert isinstance(frame, Ok)
        assert peers[0].pings >= 2
        assert socket.latency_ns > 0
        await socket.close()


async def test_who_answers_no_ping_is_gone() -> None:
    async with scripted_exchange(silent, answers_pings=False) as (target, _):
        socket = await KalshiSocket.connect(target, SIGNER, ping_interval=0.02, ping_timeout=0.02)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(SocketClosed, match="keepalive ping timeout"):
                await socket.recv()


class TerminalErrors:
    """Acknowledges every subscription and ends each of them once, with this code."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._ended: set[str] = set()
        self.subscribed: list[dict[str, Any]] = []
        self.all_again = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        while peer.commands:
            command = peer.commands.pop(0)
            self.subscribed.append(command["params"])
            (channel,) = command["params"]["channels"]
            self._acknowledge(peer, command["id"], channel)
        if len(self.subscribed) == 2 * len(SIDS):
            self.all_again.set()

    def _acknowledge(self, peer: Peer, command_id: int, channel: str) -> None:
        sid = SIDS[channel] + 10 * len(self._ended)
        peer.send({"type": "subscribed", "id": command_id, "msg": {"channel": channel, "sid": sid}})
        if channel == "orderbook_delta":
            msg = {"market_ticker": "A"} | BOOK
            peer.send({"type": "orderbook_snapshot", "sid": sid, "seq": 1, "msg": msg})
        if channel not in self._ended:
            self._ended.add(channel)
            seq = 2 if channel == "orderbook_delta" else 1
            error = {"code": self._code, "msg": "over"}
            peer.send({"type": "error", "sid": sid, "seq": seq, "msg": error})


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[CollectorRig]:
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        yield rig


def client_of(rig: CollectorRig, target: KalshiTarget, seed: int = 1) -> OrderbookClient:
    return OrderbookClient(
        target,
        SIGNER,
        feed=rig.feed,
        recovery=rig.recovery,
        markets=rig.markets,
        session=rig.session,
        triggers=rig.triggers,
        age=rig.age,
        news=MarketNews(),
        clock=RealClock(),
        log=no_log(),
        rng=np.random.default_rng(seed),
    )


@contextlib.asynccontextmanager
async def running(client: OrderbookClient) -> AsyncIterator[None]:
    task = asyncio.create_task(client.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("code", [10, 25])
async def test_what_the_exchange_ended_is_subscribed_again(rig: CollectorRig, code: int) -> None:
    script = TerminalErrors(code)
    async with scripted_exchange(script) as (target, peers):
        client = client_of(rig, target)
        async with running(client), asyncio.timeout(PATIENCE):
            await script.all_again.wait()
        assert len(peers) == 1  # the connection was not given up for it
    asked = [(p["channels"][0], p.get("market_tickers")) for p in script.subscribed]
    both = [("market_lifecycle_v2", None), ("trade", ["A"]), ("orderbook_delta", ["A"])]
    assert sorted(asked, key=str) == sorted(2 * both, key=str)
    books = [p for p in script.subscribed if p["channels"] == ["orderbook_delta"]]
    assert [p["use_yes_price"] for p in books] == [True, True]


async def test_no_levels_come_at_yes_prices_and_are_kept_at_their_own(rig: CollectorRig) -> None:
    script = TerminalErrors(10)
    async with (
        scripted_exchange(script) as (target, _),
        running(client_of(rig, target)),
        asyncio.timeout(PATIENCE),
    ):
        await script.all_again.wait()  # so its first snapshot has been taken
    assert b.levels_of(rig.row("A"), b.YES) == [(4_700, 300)]
    assert b.levels_of(rig.row("A"), b.NO) == [(4_800, 200)]
