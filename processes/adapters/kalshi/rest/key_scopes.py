"""What a key may do, as the exchange lists it (PROTOCOL.md, 2), and what it lacks for trading."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

__all__ = ["READ", "TRADE", "TRANSFER", "allows", "missing_to_trade"]

READ: Final = "read"
TRADE: Final = "write::trade"
TRANSFER: Final = "write::transfer"


def allows(scopes: Collection[str], scope: str) -> bool:
    """Whether a key has a scope, or the one above it: `write` allows `write::trade`."""
    return scope in scopes or scope.partition("::")[0] in scopes


def missing_to_trade(scopes: Collection[str]) -> list[str]:
    """Scopes that a key lacks for trading; empty when it has all."""
    return [scope for scope in (READ, TRADE) if not allows(scopes, scope)]
