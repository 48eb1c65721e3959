"""From what is wanted to what is done: an intent against the open orders of its market.

Cancel and replace in two steps: the new order waits until the old one is settled, so the two can
never fill together.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

import msgspec

from ipc.messages import Intent, OrderStatus
from processes.execution.orders import Order

__all__ = ["Cancel", "Create", "Keep", "Plan", "Renew", "Wait", "plan"]

RENEW_BELOW: Final = 2  # renew an expiry when less than one half of it is left


class Create(msgspec.Struct, frozen=True):
    """Nothing of ours is open: send the order."""


class Keep(msgspec.Struct, frozen=True):
    """What is wanted already rests; it keeps its place in the queue."""

    order: Order


class Renew(msgspec.Struct, frozen=True):
    """As Keep, with the exchange-side expiry moved on."""

    order: Order


class Cancel(msgspec.Struct, frozen=True):
    """Cancel these first; the intent waits."""

    orders: tuple[Order, ...]


class Wait(msgspec.Struct, frozen=True):
    """A request is on its way; the intent waits for its outcome."""


Plan = Create | Keep | Renew | Cancel | Wait


def plan(
    intent: Intent, orders: Sequence[Order], busy: Container[str], now_ms: int, expiry_ms: int
) -> Plan:
    """What to do for `intent` given the market's open orders; `busy` ones have a request out."""
    own = [order for order in orders if order.own and order.open]
    if not own:
        return Create()
    if any(o.status is not OrderStatus.RESTING or o.client_order_id in busy for o in own):
        return Wait()
    keep, *rest = own
    if rest or not _same(keep, intent):
        return Cancel(tuple(own))
    expires_ms = keep.expire_ms or now_ms
    return Renew(keep) if RENEW_BELOW * (expires_ms - now_ms) < expiry_ms else Keep(keep)


def _same(order: Order, intent: Intent) -> bool:
    return (order.leg, order.is_buy, order.yes_price_e4) == (
        intent.leg,
        intent.is_buy,
        intent.yes_price_e4,
    )
