"""A whole supervised stack in a folder of its own, on free ports: start, look, kill, stop."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import asyncpg
from supervisor.xmlrpc import SupervisorTransport
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from ipc.shared_file import remove_tables
from processes.adapters.kalshi.auth.credentials import admin_token_path
from processes.adapters.postgres.location import dsn_of
from processes.runtime.config import load_settings
from processes.runtime.preflight import control_socket

from .leftovers import kill_all
from .patience import PATIENCE, eventually

__all__ = ["ACTORS", "EARLY", "Feed", "Stack", "eventually", "free_ports"]

ROOT = Path(__file__).resolve().parents[2]
EARLY = "2026-08-03T12:01:00Z"  # synthetic windows have just opened, none of them ends soon
CHECKOUT = (
    *("ipc", "models", "processes", "migrations", "frontend"),
    *("supervisord.conf", ".env.example"),
)
DECIDED = ("policy", "policy hold", "masked")
ACTORS = ("collector", "recorder", "inference", "execution", "broadcaster", "watchdog")
_GROUPS = dict.fromkeys(ACTORS, "rl") | {"watchdog": "guard"}
_SLICES = range(11_000, 31_000, 200)  # below the system's own choices


@cache
def _own_slice() -> Iterator[int]:
    """Ports that no other run probes: whoever holds the first of a slice has all of it."""
    turn = os.getpid() % len(_SLICES)
    for first in (*_SLICES[turn:], *_SLICES[:turn]):
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", first))
        except OSError:  # another run has it
            guard.close()
            continue
        atexit.register(guard.close)
        return cycle(range(first + 1, first + _SLICES.step))
    raise RuntimeError("every slice of ports is taken")


def free_ports(number: int) -> list[int]:
    """Ports that nobody has now, and that no other run takes while a killed program leaves its own.

    They are below the system's own choices, each process in a slice of its own.
    """
    ports = _own_slice()
    found: list[int] = []
    while len(found) < number:
        port = next(ports)
        with socket.socket() as probe, suppress(OSError):  # somebody has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


class Feed:
    """One connection to `/rl/ws`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE))
        return message

    def until(self, kind: str, fits: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """The data of the next message of a type that fits."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self.next()
            if message["type"] == kind and fits(message["data"]):
                data: dict[str, Any] = message["data"]
                return data
        raise AssertionError(f"no {kind} came")


class Stack:
    """supervisord with the committed configuration, in a checkout made of links to this one."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.around: Callable[..., list[str]] | None = None  # a command, on another machine
        self.data_dir = folder / "data"
        self.log = folder / "stack.log"
        exchange, admin, dashboard = free_ports(3)
        own = {
            "RL_DATA_DIR": str(self.data_dir),
            "RL_EXCHANGE_PORT": str(exchange),
            "RL_EXCHANGE_ADMIN_PORT": str(admin),
            "RL_BROADCASTER_PORT": str(dashboard),
            "RL_EXCHANGE_START": EARLY,
        }
        foreign = re.compile("RL_|KALSHI_|ORDERBOOK_|DATABASE_URL")
        inherited = {k: v for k, v in os.environ.items() if not foreign.match(k)}
        self.environ = {**inherited, **own, **environ}
        self.exchange = f"http://127.0.0.1:{exchange}"
        self.admin = f"http://127.0.0.1:{admin}"
        self.dashboard = f"127.0.0.1:{dashboard}"
        self.configuration = folder / "supervisord.conf"
        self.umask = -1  # of supervisord; -1: of this process
        self.control: Path | None = None  # the control socket; None: where this version has it
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """From a foreign directory, as a user may."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.link_checkout()
        supervisord = str(Path(sys.executable).parent / "supervisord")
        command = [supervisord, "-c", str(self.configuration)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.around(*command) if self.around else command,
                cwd="/",
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=self.umask,
            )

    def link_checkout(self) -> None:
        """Make the folder a checkout of links to this one."""
        for name in CHECKOUT:
            link = self.folder / name
            if not link.exists():
                link.symlink_to(ROOT / name)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def runs(self) -> bool:
        """True; a stack that has ended by itself is an error, with its last words."""
        assert self._process is not None
        assert self._process.poll() is None, self.said[-2_000:]
        return True

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        """The exit code of a stack that ends by itself."""
        assert self._process is not None
        try:
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, signum: int = signal.SIGINT) -> tuple[int, float]:
        """Signal supervisord -> (exit code, seconds until it was gone)."""
        begun = time.monotonic()
        os.kill(self.pid, signum)
        return self.wait(), time.monotonic() - begun

    def close(self) -> None:
        """Leave nothing behind, whatever state the test left it in."""
        try:
            if self._process is not None:
                self.stop(signal.SIGTERM)
        finally:
            kill_all(self.folder)
            remove_tables(self.data_dir)

    def halt(self, program: str) -> None:
        """Stop one program, and only it, until `resume`."""
        self._ask("stopProcess", program)

    def resume(self, program: str) -> None:
        """Start it again."""
        self._ask("startProcess", program)

    def _ask(self, what: str, program: str) -> Any:
        """supervisord's answer to a question about one program."""
        control = self.control or control_socket(self.data_dir)
        transport = SupervisorTransport("", "", f"unix://{control}")
        proxy = ServerProxy("http://127.0.0.1", transport=transport)
        try:
            call = getattr(proxy.supervisor, what)
            return call(f"{_GROUPS.get(program, 'base')}:{program}")
        finally:
            transport.close()

    def info(self, program: str) -> dict[str, Any]:
        """supervisord's view of a program; empty while it does not answer."""
        try:
            found: dict[str, Any] = self._ask("getProcessInfo", program)
        except OSError:
            return {}
        return found

    def kill(self, program: str) -> int:
        """kill -9, and wait until supervisord has started the next one -> its pid."""
        return self.kill_together(program)[program]

    def kill_together(self, *programs: str) -> dict[str, int]:
        """kill -9 of several at the same moment -> the pids of the next ones."""
        old = {p: self._pid_of(p) for p in programs}
        for pid in old.values():
            os.kill(pid, signal.SIGKILL)
        return {p: self._next_pid(p, old[p]) for p in programs}

    def _pid_of(self, program: str) -> int:
        return int(eventually(lambda: self.info(program).get("pid"), f"{program} runs"))

    def _next_pid(self, program: str, old: int) -> int:
        said = f"{program} is started again"
        return int(eventually(lambda: self._another(program, old), said))

    def _another(self, program: str, old: int) -> int:
        pid = int(self.info(program).get("pid", 0))
        return pid if pid != old else 0

    @contextmanager
    def feed(self) -> Iterator[Feed]:
        """`/rl/ws`, as soon as somebody answers there."""
        with self._connected() as socket:
            yield Feed(socket)

    def _connected(self) -> ClientConnection:
        def attempt() -> ClientConnection | None:
            try:
                address = f"ws://{self.dashboard}/rl/ws"
                # A client that reads no more does not hear the goodbye: wait for none.
                return connect(address, compression=None, max_size=None, close_timeout=0.1)
            except (OSError, EOFError, WebSocketException):
                return None

        answer: ClientConnection = eventually(attempt, "the dashboard answers")
        return answer

    def next_action(self) -> dict[str, Any]:
        """The first decision taken from now on."""
        now = time.monotonic_ns()

        def seen() -> dict[str, Any] | None:
            try:
                with self.feed() as feed:
                    return feed.until("actor_action", lambda a: a["decided_mono_ns"] > now)
            except WebSocketException:  # that was the end of an earlier life
                return None

        action: dict[str, Any] = eventually(seen, "a decision")
        return action

    def deciding(self) -> float:
        """Seconds until the policy itself decides, on a book and an account that it trusts."""
        begun, now = time.monotonic(), time.monotonic_ns()
        with self.feed() as feed:
            feed.until(
                "actor_action",
                lambda action: action["decided_mono_ns"] > now and action["reason"] in DECIDED,
            )
        return time.monotonic() - begun

    def admin_get(self, path: str) -> Any:
        token = admin_token_path(self.data_dir).read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        asked = urllib.request.Request(self.admin + path, headers=headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return json.load(answer)

    async def fetch(self, query: str) -> list[Any]:
        """Rows from the stack's own database."""
        connection = await asyncpg.connect(dsn_of(load_settings(self.environ)))
        try:
            found: list[Any] = await connection.fetch(query)
            return found
        finally:
            await connection.close()
