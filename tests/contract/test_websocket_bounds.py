"""A client that falls behind: what waits stays bounded, and everything arrives at last."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.patience import PATIENCE
from support.scripted_exchange import Peer, scripted_exchange

from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.schemas.frames import Ok
from processes.adapters.kalshi.stream import socket as websocket
from processes.adapters.kalshi.stream.socket import KalshiSocket

SIGNER = Signer(new_credentials("key", Algorithm.ED25519))
FRAMES = 150_000
SMALLEST = 40  # bytes of a frame, at least
QUEUE = 512  # frames
BATCH = 64  # frames taken at once


def _certificate(folder: Path) -> ssl.SSLContext:
    """A server of 127.0.0.1 whose own certificate lies in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


async def _burst(peer: Peer) -> None:
    """Every frame at once, as soon as anything comes."""
    if not peer.commands:
        return
    peer.commands.clear()
    for number in range(FRAMES):
        peer.send({"type": "ok", "id": number, "sid": 1, "seq": number, "msg": []})


async def _taken(tls: ssl.SSLContext | None) -> tuple[list[int | None], int]:
    """(ids in the order they came, most frames that waited)."""
    async with scripted_exchange(_burst, tls=tls) as (target, _):
        socket = await KalshiSocket.connect(target, SIGNER, max_queue=QUEUE)
        await socket.send(b'{"id": 1, "cmd": "any"}')
        ids: list[int | None] = []
        most = 0
        async with asyncio.timeout(PATIENCE):
            while len(ids) < FRAMES:
                batch = [frame for frame, _ in await socket.recv_many(BATCH)]
                ids += [frame.id for frame in batch if isinstance(frame, Ok)]
                most = max(most, socket.waiting)
                await asyncio.sleep(0)
        await socket.close()
        return ids, most


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_burst_waits_outside_and_arrives_whole(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _certificate(tmp_path) if tls else None
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ids, most = uvloop.run(_taken(context))
    assert ids == list(range(FRAMES))
    assert most <= QUEUE + websocket.MAX_READ // SMALLEST
