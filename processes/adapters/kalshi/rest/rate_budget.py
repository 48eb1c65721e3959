"""The account's rate limits as token buckets on our side, so that the exchange never answers 429.

PROTOCOL.md, 3.3: a read, a write and a balance bucket, each refilled continuously. A part of the
write bucket is reserved for cancels: a new order waits, a cancel does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from ipc.clock import NS_PER_S, mono_ns
from processes.adapters.kalshi.errors import RateLimited
from processes.adapters.kalshi.schemas.rest_public import AccountLimits

__all__ = ["OWN_BUDGET", "Call", "RateBudget", "TokenBucket"]

BASIC_READ: Final = 200  # tokens a second; the bucket holds three seconds
BASIC_WRITE: Final = 100  # tokens a second; the bucket holds one second
CANCEL_SHARE: Final = 5  # one fifth of the write bucket is for cancels only
MAX_WAIT: Final = 1.0  # seconds that a new order waits for room
TOO_MANY: Final = 429
OWN_BUDGET: Final = "own_rate_budget"  # the `code` of a request that we did not send


class Call(StrEnum):
    """A kind of request; what each item of it costs is in `COSTS`."""

    READ = "read"
    READ_ORDER = "read_order"
    BALANCE = "balance"
    CREATE = "create"
    AMEND = "amend"
    GROUP = "group"
    TRANSFER = "transfer"
    CANCEL = "cancel"
    CANCEL_ALL = "cancel_all"


COSTS: Final = {
    Call.READ: 10,
    Call.READ_ORDER: 2,
    Call.BALANCE: 1,
    Call.CREATE: 10,
    Call.AMEND: 10,
    Call.GROUP: 10,
    Call.TRANSFER: 10,
    Call.CANCEL: 2,
    Call.CANCEL_ALL: 2,
}
_READS: Final = frozenset({Call.READ, Call.READ_ORDER, Call.BALANCE})
_WRITES: Final = frozenset(Call) - _READS
_URGENT: Final = frozenset({Call.CANCEL, Call.CANCEL_ALL, Call.GROUP})


class TokenBucket:
    """A token bucket, full at first; exact, because it counts in 1e-9 tokens.

    Args:
        rate: New tokens a second.
        capacity: Tokens that it holds at most.
        now_ns: Monotonic nanoseconds.
    """

    def __init__(self, rate: int, capacity: int, now_ns: Callable[[], int]) -> None:
        self.rate = rate
        self.capacity = capacity
        self._now_ns = now_ns
        self._nano = capacity * NS_PER_S
        self._at_ns = now_ns()

    @property
    def tokens(self) -> int:
        """Whole tokens in the bucket now."""
        now_ns = self._now_ns()
        gained = (now_ns - self._at_ns) * self.rate
        self._nano = min(self.capacity * NS_PER_S, self._nano + gained)
        self._at_ns = now_ns
        return self._nano // NS_PER_S

    def take(self, cost: int, keep: int = 0) -> int:
        """Take `cost` tokens, if at least `keep` remain.

        Returns:
            0 when they were taken, else nanoseconds until they could be.
        """
        if self.tokens >= cost + keep:
            self._nano -= cost * NS_PER_S
            return 0
        missing = (cost + keep) * NS_PER_S - self._nano
        return -(-missing // self.rate)


class RateBudget:
    """The read, write and balance buckets of one account, of the Basic tier until `apply`.

    Clients of one account must share one budget.

    Args:
        now_ns: Monotonic nanoseconds.
        sleep: Waits that many seconds.
        max_wait: Seconds that a new order or amendment waits for room at most.

    Attributes:
        waits: How often a request had to wait.
        refusals: How many requests were not sent.
    """

    def __init__(
        self,
        now_ns: Callable[[], int] = mono_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self._now_ns = now_ns
        self._sleep = sleep
        self._max_wait_ns = int(max_wait * NS_PER_S)
        self._read = TokenBucket(BASIC_READ, 3 * BASIC_READ, now_ns)
        self._write = TokenBucket(BASIC_WRITE, BASIC_WRITE, now_ns)
        self._balance = TokenBucket(1, 1, now_ns)
        self.waits = 0
        self.refusals = 0

    def apply(self, limits: AccountLimits) -> None:
        """Use the exchange's own limits (`account_limits`); the buckets start full."""
        read, write = limits.read, limits.write
        self._read = TokenBucket(read.refill_rate, read.bucket_capacity, self._now_ns)
        self._write = TokenBucket(write.refill_rate, write.bucket_capacity, self._now_ns)

    def _bucket(self, call: Call) -> TokenBucket:
        if call is Call.BALANCE:
            return self._balance
        return self._write if call in _WRITES else self._read

    def try_take(self, call: Call, items: int = 1) -> int:
        """Take the tokens of a request with that many items.

        Returns:
            0 when they were taken, else nanoseconds until there is room.
        """
        bucket, cost = self._bucket(call), items * COSTS[call]
        keep = bucket.capacity // CANCEL_SHARE if call in _WRITES - _URGENT else 0
        return bucket.take(cost, min(keep, max(bucket.capacity - cost, 0)))

    async def acquire(self, call: Call, items: int = 1) -> None:
        """Wait for the tokens of a request with that many items, and take them.

        Raises:
            RateLimited: Nothing was sent, `code` is `OWN_BUDGET`: a new order or amendment would
                have waited longer than `max_wait`, or a batch costs more than the bucket ever
                holds, which the exchange refuses as a whole.
        """
        if items * COSTS[call] > self._bucket(call).capacity:
            self.refusals += 1
            raise RateLimited(TOO_MANY, OWN_BUDGET, f"{items} x {call} never fit, not sent")
        waited_ns = 0
        while delay_ns := self.try_take(call, items):
            self.waits += 1
            if call in _WRITES - _URGENT and waited_ns + delay_ns > self._max_wait_ns:
                self.refusals += 1
                raise RateLimited(TOO_MANY, OWN_BUDGET, f"no room for {call}, not sent")
            await self._sleep(delay_ns / NS_PER_S)
            waited_ns += delay_ns
