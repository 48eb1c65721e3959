"""Kalshi's demo and production hosts, played by a local exchange: a proxy that answers for them.

A program reaches them as it would behind a company's proxy (`HTTPS_PROXY`), over TLS with
certificates of an authority of this test (`SSL_CERT_FILE`). Everything else is refused: no
connection leaves the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["HOSTS", "played_hosts"]

HOSTS: Final = (
    *("external-api.demo.kalshi.co", "external-api-ws.demo.kalshi.co"),
    *("external-api.kalshi.com", "external-api-ws.kalshi.com"),
)
_BUFFER: Final = 1 << 16


def _certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """(The authority's file, what the hosts show)."""
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local test authority")])
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(key)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))

    root = (
        builder(name, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])])
    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    leaf = (
        builder(leaf_name, own.public_key())
        .add_extension(hosts, critical=False)
        .sign(authority, hashes.SHA256())
    )
    file, chain = folder / "authority.pem", folder / "hosts.pem"
    file.write_bytes(root.public_bytes(Encoding.PEM))
    secret = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(secret + leaf.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return file, context


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_BUFFER):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def played_hosts(folder: Path, port: int) -> AsyncIterator[dict[str, str]]:
    """The variables with which a program takes the exchange on `port` for Kalshi's hosts."""
    authority, context = _certificates(folder)
    waiting: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        waiting.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()
            if head[0] != "CONNECT" or head[1].partition(":")[0] not in HOSTS:
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.start_tls(context)
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            waiting.discard(task)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(authority),
        }
    finally:
        server.close()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
