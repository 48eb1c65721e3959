"""docs/going-live.md, typed word for word, at a local exchange that plays Kalshi's hosts."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.exchange import Exchange, running_exchange
from support.leftovers import kill_all
from support.played_hosts import played_hosts
from support.stack import free_ports

from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "going-live.md"
COMMAND_S = 600.0  # one command; the first order comes when a market moves
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
KEYS = {"demo": 0, "production": 1}  # each environment has an account of its own
END = "command-ended"


class Typed(NamedTuple):
    """One command of the page, and what it prints there."""

    command: str
    output: list[str]


def typed(page: str) -> Iterator[Typed]:
    """The commands of the page in their order; a here-document is one command."""
    for block in BLOCK.findall(page):
        lines = iter(block.splitlines())
        current: Typed | None = None
        for line in lines:
            if not line.startswith("$ "):
                assert current is not None, f"output before a command: {line}"
                current.output.append(line)
                continue
            if current is not None:
                yield current
            command = line.removeprefix("$ ")
            if here := re.search(r"<<'(\w+)'", command):
                for body in lines:
                    command += f"\n{body}"
                    if body == here[1]:
                        break
            current = Typed(command, [])
        if current is not None:
            yield current


def pattern_of(line: str) -> str:
    """A line of the page, `...` for anything."""
    return re.escape(line.rstrip()).replace(re.escape("..."), ".*")


class Shell:
    """One bash, as a person keeps it open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def opened(cls, home: Path, environ: dict[str, str]) -> Shell:
        process = await asyncio.create_subprocess_exec(
            *("bash", "--norc", "--noprofile"),
            cwd=home,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return cls(process)

    async def type(self, command: str) -> list[str]:
        """What a command prints on either stream."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho {END}\n".encode())
        lines: list[str] = []
        async with asyncio.timeout(COMMAND_S):
            while True:
                line = (await self._process.stdout.readline()).decode()
                assert line, f"the shell ended after {command!r}: {lines}"
                if line.rstrip().endswith(END):
                    return lines
                lines.append(line.rstrip())

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def new_key(exchange: Exchange, account: int, file: Path) -> str:
    """What the website does: a key with two scopes, its private half saved once -> its id."""
    key = new_credentials("unused", Algorithm.ED25519)
    public = key.private_key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    body: dict[str, Any] = {
        "name": "actor",
        "public_key": public.decode(),
        "scopes": ["read", "write::trade"],
    }
    reply = exchange.call("POST", "/api_keys", body, account=account)
    assert reply.status_code == 201, reply.text
    file.write_text(key.private_key_pem())
    key_id: str = reply.json()["api_key_id"]
    return key_id


@pytest.mark.slow
@pytest.mark.timeout(1_500)
async def test_the_page_word_for_word(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "Downloads").mkdir(parents=True)
    (dashboard,) = free_ports(1)
    with running_exchange(tmp_path / "exchange", RL_EXCHANGE_START="") as exchange:
        ids = {
            name: new_key(exchange, account, home / "Downloads" / f"kalshi-{name}-key.txt")
            for name, account in KEYS.items()
        }
        async with played_hosts(tmp_path, exchange.port) as hosts:
            plain = {k: os.environ[k] for k in ("LANG", "TMPDIR") if k in os.environ}
            environ = (
                plain
                | hosts
                | {
                    "HOME": str(home),
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "RL_BROADCASTER_PORT": str(dashboard),
                    "PYTHONPATH": str(ROOT),
                }
            )
            try:
                await follow(exchange, ids, environ, home, dashboard)
            finally:
                kill_all(home)


async def follow(
    exchange: Exchange, ids: dict[str, str], environ: dict[str, str], home: Path, dashboard: int
) -> None:
    shell = await Shell.opened(home, environ)
    environment = "demo"
    try:
        for command, output in typed(PAGE.read_text(encoding="utf-8")):
            if "settings --environment production" in command:  # "in a new shell"
                await shell.close()
                shell, environment = await Shell.opened(home / "actor", environ), "production"
            if "grep -A 1 ^key" in command:  # deleted on the website
                path = f"/api_keys/{ids[environment]}"
                assert exchange.call("DELETE", path, account=KEYS[environment]).status_code < 300
            print(f"$ {command}", flush=True)  # shown where the test fails
            ready = command.replace("127.0.0.1:8080", f"127.0.0.1:{dashboard}")
            for name, key_id in ids.items():
                ready = ready.replace(f"<id of the {name} key>", key_id)
            printed = [line for line in await shell.type(ready) if line]
            compare(command, output, printed, home)
            if "counter=" in command and output:
                assert_ordered(exchange, KEYS[environment])
    except TimeoutError:
        pytest.fail(logs_of(home))
    finally:
        await shell.close()


def logs_of(home: Path) -> str:
    """The end of what the stacks logged."""
    return "\n".join(p.read_text()[-4_000:] for p in (home / "actor").glob("*.log"))


def compare(command: str, wanted: list[str], printed: list[str], home: Path) -> None:
    """Line by line; a shell's own words about jobs do not count."""
    jobs = re.compile(r"\[\d+\]")
    lines = [line for line in printed if not jobs.match(line)]
    shown = "\n".join(lines)
    if "run >" not in command and len(lines) != len(wanted):
        said = "\n".join(wanted)
        pytest.fail(f"$ {command}\n{shown}\n--- the page says\n{said}\n{logs_of(home)}")
    for line, said in zip(lines, wanted, strict=False):
        assert re.fullmatch(pattern_of(said), line.rstrip()), f"$ {command}\n{shown}\n!= {said}"


def assert_ordered(exchange: Exchange, account: int) -> None:
    orders = exchange.get("/portfolio/orders", account=account)["orders"]
    assert orders, "an order was sent, as the page says"
    assert all(order["client_order_id"].startswith("ka-") for order in orders)


def test_the_page_has_both_environments_and_is_linked() -> None:
    commands = [command for command, _ in typed(PAGE.read_text(encoding="utf-8"))]
    assert sum("check --connect" in command for command in commands) >= 6
    assert "docs/going-live.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert shutil.which("bash")
