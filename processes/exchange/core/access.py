"""Who may call, for what, and how often: keys, scopes, signatures, rate limits (PROTOCOL 2, 3.3).

Token buckets refill continuously by real time. Writes have a bucket on every shard: a write that
names a shard from 1 on is billed there, one that leaves the shard to its ticker is billed
everywhere, batches and everything else on the first. `GET /portfolio/balance` has a bucket of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from ipc.units import is_whole
from processes.adapters.kalshi.auth.signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    PublicKey,
    verify,
)
from processes.adapters.kalshi.rest.rate_budget import TokenBucket
from processes.exchange.core.ledger import Member, TradingAccount
from processes.exchange.core.rejections import Rejection, not_found

__all__ = [
    "BALANCE_PATH",
    "DEFAULT_COST",
    "FULL_ACCESS",
    "NEWEST_MS",
    "OLDEST_MS",
    "TIERS",
    "UNMETERED",
    "ApiKey",
    "Authenticator",
    "Bill",
    "Caller",
    "KeyRing",
    "Meter",
    "Scope",
    "Tier",
    "cost_of",
    "listed_costs",
    "scope_of",
]


class Scope(StrEnum):
    """What a key may do; `read` and `write` hold all of their children."""

    READ = "read"
    WRITE = "write"
    READ_BLOCK_TRADE_ACCEPT = "read::block_trade_accept"
    READ_BALANCE = "read::portfolio_balance"
    WRITE_TRADE = "write::trade"
    WRITE_TRANSFER = "write::transfer"
    WRITE_FCM_RISK = "write::fcm_risk"
    WRITE_BLOCK_TRADE_ACCEPT = "write::block_trade_accept"

    @property
    def parent(self) -> Scope:
        """The broad scope that grants this one too."""
        return Scope(self.partition("::")[0])


FULL_ACCESS: Final = (Scope.READ, Scope.WRITE)


class ApiKey(msgspec.Struct, frozen=True):
    """One key; `subaccount` None: of all accounts of its user."""

    api_key_id: str
    user_id: str
    public: PublicKey
    name: str = "local"
    scopes: tuple[Scope, ...] = FULL_ACCESS
    subaccount: int | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the scope was granted, by itself or with its parent."""
        return scope in self.scopes or scope.parent in self.scopes


class KeyRing:
    """All keys of all users."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.api_key_id: key for key in keys}

    def get(self, api_key_id: str) -> ApiKey | None:
        """A key by its id."""
        return self._keys.get(api_key_id)

    def of(self, member: Member) -> list[ApiKey]:
        """A user's keys, oldest first."""
        return [key for key in self._keys.values() if key.user_id == member.user_id]

    def add(self, key: ApiKey) -> None:
        """A new key."""
        self._keys[key.api_key_id] = key

    def remove(self, member: Member, api_key_id: str) -> None:
        """A user's key is no more; `Rejection` when it has none of this id."""
        key = self._keys.get(api_key_id)
        if key is None or key.user_id != member.user_id:
            raise not_found()
        del self._keys[api_key_id]


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a user, through one key."""

    member: Member
    key: ApiKey

    @property
    def lock(self) -> int | None:
        """The only account that the key is for."""
        return self.key.subaccount

    def account(self, number: int | None) -> TradingAccount:
        """The account that is meant where only one can be: the key's own, else the primary.

        Args:
            number: As the request names it, None where it names none.

        Raises:
            Rejection: 403 for a key of another account; 404 for an account that does not exist.
        """
        wanted = self._wanted(number)
        return self.member.account(0 if wanted is None else wanted)

    def accounts(self, number: int | None) -> list[TradingAccount]:
        """The accounts that are meant where all can be.

        Args:
            number: As the request names it; None: all that the key sees.

        Raises:
            Rejection: As for `account`.
        """
        wanted = self._wanted(number)
        if wanted is None:
            return list(self.member.accounts.values())
        return [self.member.account(wanted)]

    def _wanted(self, number: int | None) -> int | None:
        if self.lock is not None and number not in (None, self.lock):
            raise Rejection.nested(403, "forbidden", "the key is restricted to another subaccount")
        return self.lock if number is None else number

    def sees(self, account: TradingAccount) -> bool:
        """Whether the account is one of the key's."""
        return account.user_id == self.member.user_id and self.lock in (None, account.number)

    def check_unlocked(self) -> None:
        """`Rejection` for a key of one account only: what it asks for concerns others too."""
        if self.lock is not None:
            raise Rejection.nested(403, "forbidden", "the key is restricted to one subaccount")

    def check_scope(self, scope: Scope) -> None:
        """`Rejection` when the key was not granted this."""
        if not self.key.allows(scope):
            raise Rejection.nested(403, "forbidden", f"the key lacks the scope {scope}")


OLDEST_MS: Final = 15_000  # how far a timestamp may lie behind
NEWEST_MS: Final = 60_000  # and ahead; as measured on the real exchange, asymmetric


def _unauthorized(details: str) -> Rejection:
    error = {
        "code": "authentication_error",
        "message": "authentication_error",
        "details": details,
    }
    return Rejection(401, {"error": error})


class Authenticator:
    """Checks the three signature headers, by real time.

    Args:
        keys: Those that are known.
        real_ms: Unix time in milliseconds.
        oldest_ms: How far a timestamp may lie behind.
        newest_ms: How far it may lie ahead.
    """

    def __init__(
        self,
        keys: KeyRing,
        real_ms: Callable[[], int],
        oldest_ms: int = OLDEST_MS,
        newest_ms: int = NEWEST_MS,
    ) -> None:
        self._keys = keys
        self._real_ms = real_ms
        self._oldest_ms = oldest_ms
        self._newest_ms = newest_ms
        self.ahead_ms = 0  # how far the exchange's own clock is off

    def key(self, headers: Mapping[str, str], method: str, path: str) -> ApiKey:
        """The key that signed a request (PROTOCOL 2).

        Args:
            headers: The request's.
            method: In upper case.
            path: From the host's root, without the query.

        Raises:
            Rejection: 401 `signature_is_missing_from_headers`, `header_timestamp_expired`, or
                `authentication_error` with the details `NOT_FOUND` or
                `INCORRECT_API_KEY_SIGNATURE`.
        """
        signature = headers.get(SIGNATURE_HEADER, "")
        timestamp = headers.get(TIMESTAMP_HEADER, "")
        if not signature:
            raise Rejection.nested(401, "signature_is_missing_from_headers")
        if not self._in_time(timestamp):
            raise Rejection.nested(401, "header_timestamp_expired")
        known = self._keys.get(headers.get(KEY_HEADER, ""))
        if known is None:
            raise _unauthorized("NOT_FOUND")
        if not verify(known.public, signature, timestamp, method, path, lenient=True):
            raise _unauthorized("INCORRECT_API_KEY_SIGNATURE")
        return known

    def _in_time(self, timestamp: str) -> bool:
        if not is_whole(timestamp):
            return False
        ahead_ms = int(timestamp) - self._real_ms() - self.ahead_ms
        return -self._oldest_ms <= ahead_ms <= self._newest_ms


BALANCE_PATH: Final = "/portfolio/balance"
ORDER_PATHS: Final = ("/portfolio/events/orders", "/portfolio/order_groups", "/portfolio/orders")
TRANSFER_PATHS: Final = (
    *("/portfolio/intra_exchange_instance_transfer", "/portfolio/target_balance_allocation"),
    "/portfolio/subaccounts/transfer",
)


def scope_of(method: str, path: str) -> Scope:
    """The narrowest scope that suffices; `path` is the route's own below the base."""
    if method in ("GET", "HEAD"):
        return Scope.READ_BALANCE if path == BALANCE_PATH else Scope.READ
    if path.startswith(ORDER_PATHS):
        return Scope.WRITE_TRADE
    return Scope.WRITE_TRANSFER if path.startswith(TRANSFER_PATHS) else Scope.WRITE


DEFAULT_COST: Final = 10
SHARDS: Final = 4
UPGRADED: Final = "advanced"
UNMETERED: Final = "unmetered"
ORDERS_PATH: Final = "/portfolio/events/orders"


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
    ("DELETE", ORDERS_PATH): 2,
    ("DELETE", f"{ORDERS_PATH}/{{order_id}}"): 2,
    ("DELETE", f"{ORDERS_PATH}/batched"): 2,
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
    """The bill of a call.

    Args:
        method: In upper case.
        path: The route's own, below the base, with its placeholders.
        asked: Query and body.
    """
    cost = COSTS.get((method, path), DEFAULT_COST)
    if method == "GET":
        return Bill(cost, None, is_balance=path == BALANCE_PATH)
    if path.endswith("/batched"):
        items = asked.get("orders")
        return Bill(cost * max(len(items) if isinstance(items, list) else 0, 1), (0,))
    return Bill(cost, _shards(asked))


def _shards(asked: dict[str, Any]) -> tuple[int, ...]:
    index = str(asked.get("exchange_index", ""))
    if is_whole(index):
        return (min(int(index), SHARDS - 1),)
    is_routed = asked.get("ticker") or asked.get("market_ticker")
    return tuple(range(SHARDS)) if is_routed else (0,)


class Meter:
    """One user's token buckets (PROTOCOL 3.3).

    `tier` is a key of `TIERS` or `UNMETERED`; `now_ns` is real time in nanoseconds.
    """

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
