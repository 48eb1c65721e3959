"""The wiring diagram as data: who binds, who connects, how many may wait, and what happens then.

Addresses are `ipc://` sockets below the data folder; `RL_ENDPOINT_<NAME>` replaces any of them but
that of commands, which only this user of this machine may give.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from ipc.private_files import private_folder, short_folder

__all__ = ["ENDPOINTS", "Endpoint", "Overflow", "Pattern", "address", "socket_folder"]

_LONGEST_NAME: Final = 24


class Pattern(StrEnum):
    """How an endpoint spreads messages."""

    PUB_SUB = "PUB/SUB"
    PUSH_PULL = "PUSH/PULL"
    REQ_ROUTER = "REQ/ROUTER"


class Overflow(StrEnum):
    """What a full queue does to the next message; both are counted."""

    DROP = "drop"
    REFUSE = "refuse"


class Endpoint(msgspec.Struct, frozen=True):
    """One named socket of the stack.

    Attributes:
        name: Key of `ENDPOINTS`, and the socket file's name without `.sock`.
        pattern: How messages are spread.
        bound_by: The process that binds it; every other one connects.
        high_water_mark: Messages that may wait in a queue, on either end.
        overflow: What happens to the message behind a full queue.
        is_local: Whether it is always a socket below the data folder.
    """

    name: str
    pattern: Pattern
    bound_by: str
    high_water_mark: int
    overflow: Overflow
    is_local: bool = False


ENDPOINTS: Final = {
    e.name: e
    for e in (
        Endpoint("collector", Pattern.PUB_SUB, "collector", 20_000, Overflow.DROP),
        Endpoint("inference", Pattern.PUB_SUB, "inference", 20_000, Overflow.DROP),
        Endpoint("execution", Pattern.PUB_SUB, "execution", 20_000, Overflow.DROP),
        Endpoint("recorder", Pattern.PUB_SUB, "recorder", 1_000, Overflow.DROP),
        Endpoint("watchdog", Pattern.PUB_SUB, "watchdog", 1_000, Overflow.DROP),
        Endpoint("intents", Pattern.PUSH_PULL, "execution", 100, Overflow.REFUSE),
        Endpoint("doorbell", Pattern.PUSH_PULL, "recorder", 100, Overflow.REFUSE),
        Endpoint("commands", Pattern.REQ_ROUTER, "execution", 100, Overflow.DROP, is_local=True),
    )
}


def socket_folder(data_dir: Path) -> Path:
    """Find the folder of the stack's sockets; it is not made here.

    Args:
        data_dir: Folder of the stack.

    Returns:
        `<data_dir>/sockets`, or a short folder with a random name, kept in the file
        `sockets.path` of the data folder, where a socket's path would exceed 107 bytes.

    Raises:
        UnsafePathError: No folder is short enough, or the remembered name cannot be trusted.
    """
    return short_folder(data_dir / "sockets", _LONGEST_NAME, data_dir / "sockets.path")


def address(name: str, data_dir: Path, environ: Mapping[str, str]) -> str:
    """Find the ZeroMQ address of an endpoint.

    Args:
        name: Key of `ENDPOINTS`.
        data_dir: Folder of the stack; the folder of the sockets is made when missing.
        environ: Its `RL_ENDPOINT_<NAME>`, when set, is the answer as it stands, unless the endpoint
            is local.

    Returns:
        An address such as `ipc:///home/user/var/sockets/collector.sock`.

    Raises:
        KeyError: There is no such endpoint.
        UnsafePathError: Another user made the folder of the sockets or may change it.
    """
    endpoint = ENDPOINTS[name]
    configured = environ.get(f"RL_ENDPOINT_{endpoint.name.upper()}")
    if configured and not endpoint.is_local:
        return configured
    return f"ipc://{private_folder(socket_folder(data_dir))}/{endpoint.name}.sock"
