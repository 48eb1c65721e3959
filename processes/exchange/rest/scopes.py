"""Which scope of an API key a call needs."""

from __future__ import annotations

from typing import Final

from processes.exchange.keys import Scope

__all__ = ["scope_of"]

BALANCE: Final = "/portfolio/balance"
TRADES: Final = ("/portfolio/events/orders", "/portfolio/order_groups", "/portfolio/orders")
TRANSFERS: Final = (
    *("/portfolio/intra_exchange_instance_transfer", "/portfolio/target_balance_allocation"),
    "/portfolio/subaccounts/transfer",
)


def scope_of(method: str, path: str) -> Scope:
    """The narrowest scope that suffices; `path` is the route's own below the base."""
    if method in ("GET", "HEAD"):
        return Scope.READ_BALANCE if path == BALANCE else Scope.READ
    if path.startswith(TRADES):
        return Scope.WRITE_TRADE
    return Scope.WRITE_TRANSFER if path.startswith(TRANSFERS) else Scope.WRITE
