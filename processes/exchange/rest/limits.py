"""Rate limits: token buckets by tier, what each call costs, and which buckets it is billed to.

Buckets refill without pause, by real time. Writes have a bucket on every shard: one that names a
shard from 1 on is billed there, one that leaves the shard to its ticker is billed everywhere,
batches and everything else on the first. `GET /portfolio/balance` has a bucket of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from processes.adapters.kalshi.rest.rate_budget import TokenBucket

__all__ = [
    "BALANCE",
    "DEFAULT_COST",
    "TIERS",
    "UNMETERED",
    "Bill",
    "Meter",
    "Tier",
    "cost_of",
    "listed_costs",
]

DEFAULT_COST: Final = 10
SHARDS: Final = 4
UPGRADED: Final = "advanced"
UNMETERED: Final = "unmetered"
BALANCE: Final = "/portfolio/balance"
ORDERS: Final = "/portfolio/events/orders"


class Tier(NamedTuple):
    """Tokens a second, and for how many seconds a bucket holds them."""

    read: int
    write: int
    read_s: int
    write_s: int
    balance: int


TIERS: Final = {
    "basic": Tier(200, 100, 3, 1, 1),
    "advanced": Tier(300, 300, 3, 3, 1),
    "expert": Tier(600, 600, 1, 3, 5),
    "premier": Tier(1_200, 1_200, 1, 3, 5),
    "paragon": Tier(2_400, 2_400, 1, 3, 5),
    "prime": Tier(4_800, 4_800, 1, 3, 5),
    "prestige": Tier(12_000, 9_600, 1, 3, 5),
}
COSTS: Final = {  # where it is not the default; of a batch, each item's
    ("DELETE", ORDERS): 2,
    ("DELETE", f"{ORDERS}/{{order_id}}"): 2,
    ("DELETE", f"{ORDERS}/batched"): 2,
    ("GET", "/portfolio/orders/{order_id}"): 2,
    ("POST", "/account/api_usage_level/upgrade"): 30,
}


class Bill(NamedTuple):
    """What a call costs and who asks: `shards` are billed for a write, None is a read."""

    cost: int
    shards: tuple[int, ...] | None
    is_balance: bool = False


def listed_costs() -> list[dict[str, Any]]:
    """`GET /account/endpoint_costs`: full paths of what does not cost the default."""
    return [
        {"method": method, "path": f"/trade-api/v2{path}", "cost": cost}
        for (method, path), cost in COSTS.items()
    ]


def cost_of(method: str, path: str, asked: dict[str, Any]) -> Bill:
    """The bill of a call; `path` is the route's own below the base, `asked` query and body."""
    cost = COSTS.get((method, path), DEFAULT_COST)
    if method == "GET":
        return Bill(cost, None, is_balance=path == BALANCE)
    if path.endswith("/batched"):
        items = asked.get("orders")
        return Bill(cost * max(len(items) if isinstance(items, list) else 0, 1), (0,))
    return Bill(cost, _shards(asked))


def _shards(asked: dict[str, Any]) -> tuple[int, ...]:
    index = str(asked.get("exchange_index", ""))
    if index.isdecimal():
        return (min(int(index), SHARDS - 1),)
    is_routed = asked.get("ticker") or asked.get("market_ticker")
    return tuple(range(SHARDS)) if is_routed else (0,)


class Meter:
    """One account's buckets."""

    def __init__(self, tier: str, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.change(tier)

    def change(self, tier: str) -> None:
        """Fill the buckets of a tier."""
        self.tier = tier
        known = TIERS.get(tier, TIERS["prestige"])
        self.read = TokenBucket(known.read, known.read * known.read_s, self._now_ns)
        self.writes = [
            TokenBucket(known.write, known.write * known.write_s, self._now_ns)
            for _ in range(SHARDS)
        ]
        self._balance = TokenBucket(known.balance, known.balance, self._now_ns)

    def take(self, bill: Bill) -> bool:
        """Whether a call may go; a call refused costs nothing."""
        if self.tier == UNMETERED:
            return True
        if bill.is_balance:
            return not self._balance.take(1)
        buckets = [self.read] if bill.shards is None else [self.writes[i] for i in bill.shards]
        if any(bucket.tokens < bill.cost for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.take(bill.cost)
        return True

    def upgrade(self) -> bool:
        """From basic to advanced -> whether that was possible."""
        if self.tier != "basic":
            return False
        self.change(UPGRADED)
        return True

    def limits(self) -> dict[str, Any]:
        """`GET /account/limits`; a meter that does not count shows the highest tier."""
        shown = "prestige" if self.tier == UNMETERED else self.tier
        write = self.writes[0]
        return {
            "usage_tier": shown,
            "read": {"refill_rate": self.read.rate, "bucket_capacity": self.read.capacity},
            "write": {"refill_rate": write.rate, "bucket_capacity": write.capacity},
            "grants": [],
        }
