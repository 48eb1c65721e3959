"""Names of orders: whose they are, and what they say.

    ka-<mark>-<intent id>-{BY|SY|BN|SN}

The exchange sees bids and asks of YES only; whether an ask sold YES or bought NO is in the name's
end. The *mark* is a random word of the data folder, so that two stacks in one account tell their
orders apart; whoever copies a data folder gives both copies one mark. Names of version 0.1 have no
mark, `ka-<intent id>-BY`: which stack sent those cannot be told, so they are nobody's here, and the
exchange ends them at their expiry.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ipc.enums import Leg
from ipc.private_files import exclusive, private_folder, random_word, read_file, write_file
from processes.runtime.config import ConfigError

__all__ = [
    "FAMILY",
    "OrderName",
    "OrderOwnership",
    "client_order_id",
    "known_prefix",
    "own_prefix",
    "parse_client_order_id",
    "valid_intent_id",
]

FAMILY: Final = "ka-"  # every name of a kalshi-actor, of this stack or not, begins so
MARK_BYTES: Final = 4
MAX_CLIENT_ORDER_ID: Final = 64  # characters, FIX limit of the exchange
LONGEST_PREFIX: Final = len(FAMILY) + 2 * MARK_BYTES + 1
_CODES: Final = {
    (True, Leg.YES): "BY",
    (False, Leg.YES): "SY",
    (True, Leg.NO): "BN",
    (False, Leg.NO): "SN",
}
_NAMES: Final = {code: key for key, code in _CODES.items()}
_REST: Final = re.compile(r"([A-Za-z0-9_+=:/-]+)-(BY|SY|BN|SN)")
_MARK: Final = re.compile(r"[0-9a-f]{8}\n?")


class OrderName(NamedTuple):
    """What a client order id says.

    Attributes:
        intent_id: The intent that the order came of.
        is_buy: Whether its leg is bought.
        leg: The leg that is bought or sold.
    """

    intent_id: str
    is_buy: bool
    leg: Leg


class OrderOwnership(msgspec.Struct, frozen=True):
    """Which orders of the account are this stack's.

    Attributes:
        prefix: What the names of its own begin with.
        adopts: `RL_ADOPT`: all others are treated as its own, too.
    """

    prefix: str
    adopts: bool = False

    def parse(self, name: str) -> OrderName | None:
        """What the name of an own order says; None for an order that this stack did not name."""
        return parse_client_order_id(name, self.prefix)


def client_order_id(intent_id: str, *, is_buy: bool, leg: Leg, prefix: str) -> str:
    """The order's name; derived, so a repeat of the same intent is the same order.

    Args:
        intent_id: Of the intent.
        is_buy: Whether its leg is bought.
        leg: The leg that is bought or sold.
        prefix: Of this stack.

    Returns:
        Such as `ka-5e0c9a17-20260803T120000-1a2b3c4d-17-BY`.
    """
    return f"{prefix}{intent_id}-{_CODES[is_buy, leg]}"


def parse_client_order_id(text: str, prefix: str) -> OrderName | None:
    """What the name says; None for an order whose name does not begin with this prefix."""
    match = _REST.fullmatch(text.removeprefix(prefix)) if text.startswith(prefix) else None
    return OrderName(match[1], *_NAMES[match[2]]) if match else None


def valid_intent_id(intent_id: str) -> bool:
    """Whether the exchange will accept the name made from it, whatever the mark."""
    name = f"{intent_id}-{_CODES[True, Leg.YES]}"
    return LONGEST_PREFIX + len(name) <= MAX_CLIENT_ORDER_ID and bool(_REST.fullmatch(name))


def mark_path(data_dir: Path) -> Path:
    """Where the mark of a data folder is kept."""
    return data_dir / "execution" / "mark"


def own_prefix(data_dir: Path) -> str:
    """What the names of a stack's orders begin with; its mark is made on first use.

    Args:
        data_dir: Folder of the stack.

    Raises:
        ConfigError: The file of the mark cannot be read or made, or holds none.
    """
    path = mark_path(data_dir)
    if (found := known_prefix(data_dir)) is not None:
        return found
    try:
        private_folder(path.parent)
        with exclusive(path.with_suffix(".lock")):
            if not path.exists():  # another process may have been first
                write_file(path, f"{random_word(MARK_BYTES)}\n".encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be made: {error}; allowed: a private file") from None
    return own_prefix(data_dir)


def known_prefix(data_dir: Path) -> str | None:
    """As `own_prefix`, without making a mark: None where there is none yet."""
    path = mark_path(data_dir)
    try:
        mark = read_file(path).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; allowed: a private file") from None
    if not _MARK.fullmatch(mark):
        raise ConfigError(
            f"{path} holds {mark[:20]!r}; allowed: 8 hexadecimal digits. Orders of this stack that "
            "rest have the mark that it had: stop them by hand before it is removed"
        )
    return f"{FAMILY}{mark.strip()}-"
