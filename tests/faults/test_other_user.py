"""Another user of the machine tries everything of a running stack that was started with umask 000.

What it may reach is the table of docs/security.md, and nothing else.
"""

from __future__ import annotations

import fnmatch
import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.patience import PATIENCE
from support.stack import ROOT, Stack, eventually

from processes.exchange.admin import fault_handlers, inspection
from processes.exchange.servers import REST, WEBSOCKET
from processes.exchange.shared.state import BASE

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

PROBE = r"""
import json, os, socket, stat, sys
asked = json.load(sys.stdin)
os.setgroups([]); os.setgid(asked["uid"]); os.setuid(asked["uid"])
reached = []

def attempt(what, where, deed):
    try:
        deed()
    except OSError:
        return
    reached.append(f"{what} {where}")

def connect(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(address)

for path in asked["paths"]:
    def reading(path=path): os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    def writing(path=path): os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    def making(path=path): os.mkdir(os.path.join(path, "made-by-another"))
    attempt("read", path, reading)
    attempt("write", path, writing)
    attempt("make in", path, making)
for address in asked["sockets"]:
    attempt("connect", address, lambda address=address: connect(address.replace("@", "\0", 1)))
for pid in asked["pids"]:
    for secret in ("environ", "mem", "fd"):
        attempt("read", f"{secret} of a process", lambda: os.listdir(f"/proc/{pid}/fd"))
print(json.dumps(reached))
"""

SOCKETS = 9  # seven of ZeroMQ, PostgreSQL's, supervisord's


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """It decides; its folder lies where everybody may pass."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for folder in (Path(name), Path(name) / "stack", Path(name) / "stack" / "var"):
            folder.mkdir(exist_ok=True)  # the checkout, which is the user's own affair
            folder.chmod(0o755)
        running = Stack(Path(name) / "stack", RL_ACTOR_WARMUP_TICKS="2")
        before = os.umask(0)
        try:
            running.start()
        finally:
            os.umask(before)
        try:
            running.next_action()
            eventually(lambda: len(unix_sockets(running)) >= SOCKETS, "all programs are there")
            yield running
        finally:
            running.close()


def stranger() -> int:
    """A user id that nobody has."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    return next(uid for uid in range(54_321, 60_000) if uid not in taken)


def programs(stack: Stack) -> list[Path]:
    """supervisord and all that it started, and what they started."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            words = (process / "stat").read_text().rpartition(")")[2].split()
            parents[int(process.name)] = int(words[1])
    found = {stack.pid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [Path("/proc", str(pid)) for pid in sorted(found)]


def inodes(stack: Stack) -> set[str]:
    """The sockets that these programs hold."""
    held = set()
    for process in programs(stack):
        with suppress(OSError):  # it has just ended, or closed this one
            links = [os.readlink(fd) for fd in (process / "fd").iterdir()]
            held |= {m[1] for link in links if (m := re.fullmatch(r"socket:\[(\d+)\]", link))}
    return held


def unix_sockets(stack: Stack) -> list[str]:
    """Those with a name, in a folder or without one."""
    held = inodes(stack)
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sorted({row[7] for row in rows if len(row) > 7 and row[6] in held})


def tcp_ports(stack: Stack) -> set[int]:
    """Where they listen."""
    held, found = inodes(stack), set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            row = line.split()
            if row[3] == "0A" and row[9] in held:
                found.add(int(row[1].rpartition(":")[2], 16))
    return found


def paths(stack: Stack) -> list[str]:
    """Everything that lies in the data folder, the run folder and in shared memory."""
    names = {str(stack.data_dir)}
    for top in (stack.data_dir, stack.folder / "var"):
        for folder, below, files in os.walk(top):
            names |= {os.path.join(folder, name) for name in (*below, *files)}
    tables = [path.resolve() for path in (stack.data_dir / "tables").iterdir()]
    names |= {str(path) for path in tables if path.parent == Path("/dev/shm")}
    return sorted(names)


def as_another(stack: Stack) -> list[str]:
    """What another user of the machine got hold of."""
    asked = {
        "uid": stranger(),
        "paths": paths(stack),
        "sockets": unix_sockets(stack),
        "pids": [int(process.name) for process in programs(stack)],
    }
    assert len(asked["sockets"]) >= SOCKETS
    assert len(asked["paths"]) > 30
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def allowed() -> list[tuple[str, str]]:
    """(variable of the port, pattern of the path) of docs/security.md."""
    text = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| `(RL_\w+_PORT)` \| ([^|]+) \|", text, re.MULTILINE)
    return [(port, path) for port, cell in rows for path in re.findall(r"`([^`]+)`", cell)]


def asked_over_http() -> list[tuple[str, str, str]]:
    """(variable of the port, method, path) of every call that there is."""
    exchange = [route for part in REST for route in part.routes(BASE)]
    admin = [*inspection.routes(), *fault_handlers.routes()]
    site = [
        ("GET", path) for path in ("/", "/rl/health", "/rl/ready", "/rl/ws", "/metrics", "/nothing")
    ]
    return [
        *(("RL_EXCHANGE_PORT", route.method, route.path) for route in exchange),
        ("RL_EXCHANGE_PORT", "GET", WEBSOCKET),
        *(("RL_EXCHANGE_ADMIN_PORT", route.method, route.path) for route in admin),
        *(("RL_BROADCASTER_PORT", *call) for call in site),
    ]


def answered(stack: Stack, client: httpx.Client) -> set[tuple[str, str]]:
    """What was not refused for want of a key, a token or a page."""
    found = set()
    for port, method, path in asked_over_http():
        url = f"http://127.0.0.1:{stack.environ[port]}{re.sub('{.*?}', 'X', path)}"
        reply = client.request(method, url, content=b"{}" if method != "GET" else None)
        if reply.status_code not in (401, 403) and not path.startswith("/nothing"):
            found.add((port, path))
    return found


def test_another_user_reaches_no_file_socket_or_table(stack: Stack) -> None:
    assert as_another(stack) == []


def test_another_user_is_answered_what_the_document_lists(stack: Stack) -> None:
    listed = allowed()
    known = {int(stack.environ[port]) for port in dict(listed) | {"RL_EXCHANGE_ADMIN_PORT": ""}}
    assert tcp_ports(stack) == known
    with httpx.Client(timeout=PATIENCE) as client:
        reached = answered(stack, client)
    open_to_all = {r for r in reached if any(fits(r, entry) for entry in listed)}
    assert reached - open_to_all == set()
    unused = [entry for entry in listed if not any(fits(r, entry) for r in reached)]
    assert unused == [("RL_BROADCASTER_PORT", "/assets/*")], "said to be open, and is not"


def fits(reached: tuple[str, str], entry: tuple[str, str]) -> bool:
    """Whether a call is one that the document lists."""
    return reached[0] == entry[0] and fnmatch.fnmatchcase(reached[1], entry[1])


def test_no_secret_stands_in_a_command_line(stack: Stack) -> None:
    secrets = [
        (stack.data_dir / "pg.pass").read_text().strip().rpartition(":")[2],
        (stack.data_dir / "exchange" / "admin.token").read_text().strip(),
    ]
    lines = [(process / "cmdline").read_bytes().decode() for process in programs(stack)]
    assert len(lines) > 8, "supervisord, PostgreSQL, the exchange, the five of the actor"
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def test_tables_leave_memory_with_the_stack(stack: Stack) -> None:
    tables = [path for path in (stack.data_dir / "tables").iterdir() if path.is_symlink()]
    lie = [path.resolve() for path in tables]
    assert sorted(path.name for path in tables) == ["accounts", "books", "budget-simulated"]
    assert all(path.exists() and path.parent == Path("/dev/shm") for path in lie)
    stack.stop()
    assert [path for path in lie if path.exists()] == []
