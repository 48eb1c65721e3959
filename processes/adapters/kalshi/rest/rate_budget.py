"""The account's rate limits as token buckets on our side, so that the exchange never answers 429.

PROTOCOL.md, 3.3: a read, a write and a balance bucket, each refilled continuously. All processes
of a stack share them in a file (`SharedBuckets`), so that together they stay below the account's
tier. A part of the write bucket is for cancels only, a part of the read bucket for those who trade,
whose reads go first; but a read of data that has waited for `OVERDUE_NS` gets the next tokens.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from ipc.clock import NS_PER_S, mono_ns
from ipc.errors import KalshiActorError
from ipc.shared_file import CommonFile, LayoutError
from processes.adapters.kalshi.errors import RateLimited, WireError
from processes.adapters.kalshi.schemas.rest_public import AccountLimits, BucketLimits, CostsReply
from processes.runtime.log import Log

__all__ = [
    "COSTS",
    "MAX_WAIT",
    "OWN_BUDGET",
    "Bucket",
    "BucketBusyError",
    "BucketName",
    "Call",
    "CallCosts",
    "OwnBuckets",
    "Rank",
    "RateBudget",
    "SharedBuckets",
    "TokenBucket",
]

KEPT_SHARE: Final = 5  # one fifth of a bucket is for those who go first
MARGIN: Final = 10  # one tenth of the exchange's bucket is not used: requests may bunch up
DRIFT_E3: Final = 990  # thousandths of the exchange's rate: two clocks never agree
BALANCE_E3: Final = 900  # thousandths of a request a second; the bucket holds one
MOST_TOKENS: Final = 10_000_000  # a rate or capacity beyond it is a mistake
MAX_WAIT: Final = 1.0  # seconds that a new order waits for room
OVERDUE_NS: Final = 2 * NS_PER_S  # so long a read of data lets those who trade pass
BUSY_PAUSE_NS: Final = 1_000_000  # until buckets that another process holds are tried again
NEVER: Final = -1  # a request that costs more than the bucket ever holds
LOWERED_E3: Final = 800  # what a 429 leaves of a rate
LEAST_E3: Final = 100  # thousandths of the tier's rate, however many 429 there were
RECOVERY_STEP_NS: Final = 600 * NS_PER_S // 1_000  # for one thousandth of the rate
ONE_ANSWER_NS: Final = NS_PER_S  # 429s that come closer together lower the rate once
TOO_MANY: Final = 429
OWN_BUDGET: Final = "own_rate_budget"  # the `code` of a request that we did not send
API: Final = "/trade-api/v2"

Answer = TypeVar("Answer")


class Call(StrEnum):
    """A kind of request; what each item of it costs, until the exchange says, is in `COSTS`."""

    READ = "read"
    READ_ORDER = "read_order"
    BALANCE = "balance"
    CREATE = "create"
    AMEND = "amend"
    GROUP = "group"
    TRANSFER = "transfer"
    CANCEL = "cancel"
    CANCEL_ALL = "cancel_all"


class Rank(StrEnum):
    """Whose reads go first when tokens are short; cancels go before everything in any case."""

    TRADING = "trading"
    DATA = "data"


class BucketName(IntEnum):
    """The buckets of an account; the numbers are their places in a shared file."""

    READ = 0
    WRITE = 1
    BALANCE = 2


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
_READS: Final = frozenset({Call.READ, Call.READ_ORDER})
_LATECOMERS: Final = frozenset({Call.CREATE, Call.AMEND, Call.TRANSFER})  # worthless when late
_BUCKETS: Final = {
    call: BucketName.BALANCE
    if call is Call.BALANCE
    else (BucketName.READ if call in _READS else BucketName.WRITE)
    for call in Call
}


class CallCosts:
    """What calls cost in tokens, as `GET /account/endpoint_costs` says it.

    Args:
        reply: Its body; a piece of a path in braces stands for anything.
    """

    def __init__(self, reply: CostsReply) -> None:
        self.default = reply.default_cost
        self._listed = [
            (row.method.upper(), row.path.removeprefix(API).split("/"), row.cost)
            for row in reply.endpoint_costs
        ]

    def of(self, method: str, path: str) -> int:
        """Tokens of one item of a request; `path` is below the base."""
        pieces = path.split("/")
        for listed, pattern, cost in self._listed:
            if listed == method and len(pattern) == len(pieces) and _fits(pattern, pieces):
                return cost
        return self.default


def _fits(pattern: list[str], pieces: list[str]) -> bool:
    return all(p == piece or p[:1] in ("{", ":") for p, piece in zip(pattern, pieces, strict=True))


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
        """Take tokens.

        Args:
            cost: How many.
            keep: How many must remain behind for others.

        Returns:
            0 when they were taken, else nanoseconds until they could be.
        """
        if self.tokens >= cost + keep:
            self._nano -= cost * NS_PER_S
            return 0
        missing = (cost + keep) * NS_PER_S - self._nano
        return -(-missing // self.rate)


class Bucket(msgspec.Struct):
    """A token bucket, exact because it counts in 1e-9 tokens; every field is a word of 64 bits.

    Attributes:
        nano: Tokens in it as of `at_ns`, 1e-9 each; below 0 is a debt.
        at_ns: Monotonic nanoseconds.
        rate_e3: Tokens a second that the tier allows us, 1e-3 each.
        capacity: Tokens that it holds at most.
        most: Tokens that one request may cost: what the exchange's own bucket holds.
        divisor: Only so small a part of the exchange's bucket is ours.
        share_e3: Thousandths of the rate that we take; each 429 lowers it.
        share_ns: When that share was last changed.
        limited: Answers of 429.
        limited_ns: When the last of them that lowered the share came.
        taken: Tokens taken, ever.
        waits: How often a request had to wait.
    """

    nano: int
    at_ns: int
    rate_e3: int
    capacity: int
    most: int
    divisor: int = 1
    share_e3: int = 1_000
    share_ns: int = 0
    limited: int = 0
    limited_ns: int = 0
    taken: int = 0
    waits: int = 0

    @classmethod
    def of(cls, rate: int, capacity: int, now_ns: int, divisor: int = 1) -> Bucket:
        """An empty one, for a bucket of the exchange's."""
        bucket = cls(0, now_ns, 0, 0, 0, divisor)
        bucket.allow(rate, capacity, now_ns)
        return bucket

    @property
    def rate_now_e3(self) -> int:
        """Tokens a second that it gains now, 1e-3 each."""
        return max(self.rate_e3 * self.share_e3 // 1_000, 1)

    def refill(self, now_ns: int) -> None:
        """Let it gain what it gains until `now_ns`."""
        if self.share_e3 < 1_000:
            steps = max(now_ns - self.share_ns, 0) // RECOVERY_STEP_NS
            self.share_e3 = min(self.share_e3 + steps, 1_000)
            self.share_ns = min(self.share_ns + steps * RECOVERY_STEP_NS, now_ns)
        gained = max(now_ns - self.at_ns, 0) * self.rate_now_e3 // 1_000
        self.nano = min(self.nano + gained, self.capacity * NS_PER_S)
        self.at_ns = now_ns

    def take(self, cost: int, kept: int, now_ns: int) -> int:
        """Take `cost` tokens, if at least `kept` remain or the bucket is full.

        Returns:
            0 when they were taken, else nanoseconds until they could be, or `NEVER`.
        """
        if cost > self.most:
            return NEVER
        self.refill(now_ns)
        missing = min(cost + kept, self.capacity) * NS_PER_S - self.nano
        if missing <= 0:
            self.nano -= cost * NS_PER_S
            self.taken += cost
            return 0
        self.waits += 1
        return -(-missing * 1_000 // self.rate_now_e3)

    def reserve(self, cost: int, now_ns: int) -> tuple[bool, int]:
        """Take `cost` tokens before they are there, unless others are awaited in this way already.

        Returns:
            (whether they were taken, nanoseconds until they are there or until it may be tried
            again). Whoever takes meanwhile waits for longer.
        """
        self.refill(now_ns)
        is_free = self.nano >= 0
        if is_free:
            self.nano -= cost * NS_PER_S
            self.taken += cost
        return is_free, -(min(self.nano, 0) * 1_000 // self.rate_now_e3)

    def on_limited(self, now_ns: int) -> None:
        """The exchange said 429: it is empty, and gains less from now on, for a while."""
        self.refill(now_ns)
        self.limited += 1
        self.nano = min(self.nano, 0)
        if self.limited == 1 or now_ns - self.limited_ns >= ONE_ANSWER_NS:
            self.share_e3 = max(self.share_e3 * LOWERED_E3 // 1_000, LEAST_E3)
            self.limited_ns = self.share_ns = now_ns

    def allow(self, rate: int, capacity: int, now_ns: int) -> None:
        """Use what the exchange says of its own bucket; this one gets no fuller by it."""
        self.refill(now_ns)
        self.rate_e3 = rate * DRIFT_E3 // self.divisor
        self.capacity = max((capacity - capacity // MARGIN) // self.divisor, 1)
        self.most = capacity
        self.nano = min(self.nano, self.capacity * NS_PER_S)


class BucketBusyError(KalshiActorError):
    """Another process holds the buckets at this moment."""


class _Buckets(Protocol):
    @property
    def is_shared(self) -> bool: ...

    def change(self, name: BucketName, act: Callable[[Bucket], Answer]) -> Answer: ...

    def close(self) -> None: ...


def _basic(now_ns: int) -> dict[BucketName, Bucket]:
    """Empty buckets of the lowest tier: enough until the account's own is read."""
    balance = Bucket(NS_PER_S, now_ns, BALANCE_E3, capacity=1, most=1)
    read, write = Bucket.of(200, 600, now_ns), Bucket.of(100, 100, now_ns)
    return {BucketName.READ: read, BucketName.WRITE: write, BucketName.BALANCE: balance}


class OwnBuckets:
    """Buckets of this process alone: full ones of the Basic tier, unless others are given."""

    def __init__(self, now_ns: int, buckets: Mapping[BucketName, Bucket] | None = None) -> None:
        self._buckets = buckets or _basic(now_ns)
        for bucket in self._buckets.values() if buckets is None else ():
            bucket.nano = bucket.capacity * NS_PER_S

    @property
    def is_shared(self) -> bool:
        """Whether other processes take from them too: no."""
        return False

    def change(self, name: BucketName, act: Callable[[Bucket], Answer]) -> Answer:
        """Let `act` look at a bucket and change it."""
        return act(self._buckets[name])

    def close(self) -> None:
        """Nothing to give back."""


_MAGIC: Final = 0x4B414C4255444745  # "KALBUDGE"
_LAYOUT: Final = 1
_RECORD: Final = struct.Struct(f"<{len(Bucket.__struct_fields__) + 1}q")  # and its checksum
_LOOK_NS: Final = NS_PER_S  # between looks whether the file is still the one that others open
_RETRY_NS: Final = 10 * NS_PER_S  # until a file that cannot be used is tried again
_BUSY_NS: Final = NS_PER_S // 10  # for how long another process may hold the lock
_START_SHARE: Final = 5  # one fifth of a bucket is in a new one: what went before is not known
_ALONE: Final = 2  # without the file: collector and execution have half of the tier each


class SharedBuckets:
    """Buckets in a file of the data folder that every process of a stack changes in turn.

    What a process takes is gone from the file before it sends; one that dies, however, keeps
    nothing: the kernel gives back its lock. Where the file cannot be used (gone, damaged, of
    another version, its lock held), one line says so, this process goes on with half of the tier,
    and tries again every ten seconds.

    Args:
        path: Of the file, as `ipc.shared_file.shared_path` names it; it is made if need be.
        now_ns: Monotonic nanoseconds, the same for all processes.
        log: For the line.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int], log: Log) -> None:
        self._path = path
        self._now_ns = now_ns
        self._log = log
        self._seen = _basic(now_ns())  # the newest of each bucket
        self._file: CommonFile | None = None
        self._own: OwnBuckets | None = None
        self._look_ns = self._busy_ns = 0
        self._look(now_ns())

    @property
    def is_shared(self) -> bool:
        """Whether the file is in use."""
        return self._own is None

    def change(self, name: BucketName, act: Callable[[Bucket], Answer]) -> Answer:
        """Let `act` look at a bucket and change it, alone.

        Raises:
            BucketBusyError: Another process holds the lock; it never does for long.
        """
        now_ns = self._now_ns()
        if now_ns >= self._look_ns:
            self._look(now_ns)
        if self._file is not None:
            try:
                return self._changed(self._file, name, act)
            except (OSError, LayoutError) as error:
                self._fall_back(str(error), now_ns)
        if self._own is None:
            raise BucketBusyError
        return self._own.change(name, act)

    def _changed(
        self, file: CommonFile, name: BucketName, act: Callable[[Bucket], Answer]
    ) -> Answer:
        if not file.acquire():
            self._on_busy()
        try:
            at = name * _RECORD.size
            bucket = _bucket_of(file.read(at, _RECORD.size))
            answer = act(bucket)
            file.write(at, _record_of(bucket))
        finally:
            file.release()
        self._seen[name], self._busy_ns = bucket, 0
        return answer

    def _on_busy(self) -> None:
        """`BucketBusyError` for a moment, then `LayoutError`: whoever holds it stands still."""
        now_ns = self._now_ns()
        self._busy_ns = self._busy_ns or now_ns
        if now_ns - self._busy_ns < _BUSY_NS:
            raise BucketBusyError
        raise LayoutError(f"{self._path}: another process keeps its lock")

    def _look(self, now_ns: int) -> None:
        """Open the file that has the path now, if it is another one or was not usable."""
        self._look_ns = now_ns + _LOOK_NS
        if self._file is not None and not self._file.replaced():
            return
        self._close_file()
        try:
            records = b"".join(_new_record(self._seen[name], now_ns) for name in BucketName)
            self._file = CommonFile.open(self._path, _MAGIC, _LAYOUT, records)
            for name in BucketName:
                _bucket_of(self._file.read(name * _RECORD.size, _RECORD.size))
        except (OSError, LayoutError) as error:
            self._fall_back(str(error), now_ns)
            return
        if self._own is not None:
            self._log("rate_budget_shared")
        self._own, self._busy_ns = None, 0

    def _fall_back(self, error: str, now_ns: int) -> None:
        self._close_file()
        self._look_ns = now_ns + _RETRY_NS
        if self._own is None:
            self._log.warning(
                "rate_budget_not_shared", error=error, share=f"1/{_ALONE} of the tier"
            )
            self._own = OwnBuckets(now_ns, {n: _part_of(b, now_ns) for n, b in self._seen.items()})

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file; the buckets stay."""
        self._close_file()


def _new_record(bucket: Bucket, now_ns: int) -> bytes:
    """Of a new file: as much as is there in any case, whatever others took lately."""
    nano = NS_PER_S * max(bucket.capacity // _START_SHARE, 1)
    return _record_of(msgspec.structs.replace(bucket, nano=nano, at_ns=now_ns))


def _part_of(bucket: Bucket, now_ns: int) -> Bucket:
    """An empty bucket of a process that does not know what the others take."""
    return msgspec.structs.replace(
        bucket,
        nano=0,
        at_ns=now_ns,
        rate_e3=bucket.rate_e3 // _ALONE,
        capacity=max(bucket.capacity // _ALONE, 1),
        divisor=_ALONE,
    )


def _bucket_of(record: bytes) -> Bucket:
    if len(record) != _RECORD.size:
        raise LayoutError(f"the file was cut short: {len(record)} bytes of {_RECORD.size}")
    checksum, *words = _RECORD.unpack(record)
    if checksum != zlib.crc32(record[8:]):
        raise LayoutError("the file is damaged: a checksum is wrong")
    return Bucket(*words)


def _record_of(bucket: Bucket) -> bytes:
    record = _RECORD.pack(0, *msgspec.structs.astuple(bucket))
    return zlib.crc32(record[8:]).to_bytes(8, "little") + record[8:]


class RateBudget:
    """The read, write and balance buckets of one account, of the Basic tier until `apply`.

    Clients of one account must share one budget, or budgets over one file (`SharedBuckets`).
    A fifth of the write bucket is reserved for cancels: they are never delayed by new orders.

    Args:
        now_ns: Monotonic nanoseconds.
        sleep: Waits that many seconds.
        max_wait: Seconds that a new order or amendment waits for room at most.
        rank: Whose requests these are.
        buckets: Where the tokens are; None: in this object alone.

    Attributes:
        waits: How often a request had to wait.
        refusals: How many requests were not sent.
        limited: How many requests the exchange answered with 429.
    """

    def __init__(
        self,
        now_ns: Callable[[], int] = mono_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        max_wait: float = MAX_WAIT,
        rank: Rank = Rank.TRADING,
        buckets: OwnBuckets | SharedBuckets | None = None,
    ) -> None:
        self._now_ns = now_ns
        self._sleep = sleep
        self._max_wait_ns = int(max_wait * NS_PER_S)
        self._rank = rank
        self._buckets: _Buckets = buckets or OwnBuckets(now_ns())
        self._costs: CallCosts | None = None
        self.waits = 0
        self.refusals = 0
        self.limited = 0

    def apply(self, limits: AccountLimits) -> None:
        """Use the exchange's own limits (`account_limits`); no bucket gets fuller by it.

        Raises:
            WireError: They cannot be right; nothing is changed.
            BucketBusyError: Another process holds the buckets: not all of it is done.
        """
        stated = {BucketName.READ: limits.read, BucketName.WRITE: limits.write}
        for name, limit in stated.items():
            _check_limit(name, limit)
        for name, limit in stated.items():
            self._allow(name, limit)

    def _allow(self, name: BucketName, limit: BucketLimits) -> None:
        def act(bucket: Bucket) -> None:
            bucket.allow(limit.refill_rate, limit.bucket_capacity, self._now_ns())

        self._buckets.change(name, act)

    def use_costs(self, costs: CallCosts) -> None:
        """Use what the exchange says that calls cost (`endpoint_costs`)."""
        self._costs = costs

    def cost(self, call: Call, method: str = "", path: str = "") -> int:
        """Tokens of one item of a request; without `path`, which is below the base, by its kind."""
        if call is Call.BALANCE or self._costs is None or not path:
            return COSTS[call]
        return self._costs.of(method, path)

    def try_take(self, call: Call, items: int = 1, *, method: str = "", path: str = "") -> int:
        """Take the tokens of a request with that many items.

        Returns:
            0 when they were taken, else nanoseconds until there is room, negative for ever.

        Raises:
            BucketBusyError: Another process holds the buckets; try again in a moment.
        """
        return self._take(call, items * self.cost(call, method, path))

    def _gives_way(self, call: Call) -> bool:
        return call in _READS and self._rank is Rank.DATA

    def _take(self, call: Call, cost: int) -> int:
        is_second = call in _LATECOMERS or self._gives_way(call)

        def act(bucket: Bucket) -> int:
            kept = bucket.capacity // KEPT_SHARE if is_second else 0
            return bucket.take(cost, kept, self._now_ns())

        return self._buckets.change(_BUCKETS[call], act)

    def _take_soon(self, call: Call, cost: int) -> int:
        try:
            return self._take(call, cost)
        except BucketBusyError:
            return BUSY_PAUSE_NS

    def _reserve(self, call: Call, cost: int) -> tuple[bool, int]:
        try:
            return self._buckets.change(_BUCKETS[call], lambda b: b.reserve(cost, self._now_ns()))
        except BucketBusyError:
            return False, BUSY_PAUSE_NS

    async def acquire(
        self, call: Call, items: int = 1, *, method: str = "", path: str = ""
    ) -> None:
        """Wait for the tokens of a request with that many items, and take them.

        Reads and cancels wait for as long as it takes; new orders and amendments do not.

        Args:
            call: What kind of request it is.
            items: Orders in a batch.
            method: Such as `POST`; with `path` it says the cost.
            path: Below the base.

        Raises:
            RateLimited: Nothing was sent, `code` is `OWN_BUDGET`: a new order or amendment would
                have waited longer than `max_wait`, or a batch costs more than the bucket ever
                holds, which the exchange refuses as a whole.
        """
        cost = items * self.cost(call, method, path)
        if not (delay_ns := self._take_soon(call, cost)):
            return
        begun_ns, is_reserved = self._now_ns(), False
        until_ns = begun_ns + max(self._max_wait_ns, BUSY_PAUSE_NS)
        while delay_ns:
            self.waits += 1
            if delay_ns == NEVER:
                raise self._refused(f"{items} x {call} never fit, not sent")
            if call in _LATECOMERS and self._now_ns() + delay_ns > until_ns:
                raise self._refused(f"no room for {call}, not sent")
            await self._sleep(delay_ns / NS_PER_S)
            if is_reserved:
                return
            if self._gives_way(call) and self._now_ns() - begun_ns >= OVERDUE_NS:
                is_reserved, delay_ns = self._reserve(call, cost)
            else:
                delay_ns = self._take_soon(call, cost)

    def _refused(self, why: str) -> RateLimited:
        self.refusals += 1
        return RateLimited(TOO_MANY, OWN_BUDGET, why)

    def on_limited(self, call: Call) -> None:
        """The exchange answered a request of that kind with 429: take less for a while."""
        self.limited += 1
        with suppress(BucketBusyError):  # the next 429 lowers it
            self._buckets.change(_BUCKETS[call], lambda b: b.on_limited(self._now_ns()))

    def counters(self) -> dict[str, int]:
        """What the dashboard and the metrics show: of this process, and of the shared buckets."""
        shown = {
            "budget_waits": self.waits,
            "budget_refusals": self.refusals,
            "budget_limited": self.limited,
            "budget_shared": int(
                isinstance(self._buckets, SharedBuckets) and self._buckets.is_shared
            ),
        }
        for name in (BucketName.READ, BucketName.WRITE):
            with suppress(BucketBusyError):
                found = self._buckets.change(name, self._facts_of)
                shown |= {f"budget_{name.name.lower()}_{k}": v for k, v in found.items()}
        return shown

    def _facts_of(self, bucket: Bucket) -> dict[str, int]:
        bucket.refill(self._now_ns())
        return {
            "tokens": bucket.nano // NS_PER_S,
            "capacity": bucket.capacity,
            "refill_per_s": bucket.rate_now_e3 // 1_000,
            "share_percent": bucket.share_e3 // 10,
            "taken": bucket.taken,
            "waits": bucket.waits,
            "limited": bucket.limited,
        }

    def close(self) -> None:
        """Give back what the buckets hold."""
        self._buckets.close()


def _check_limit(name: BucketName, limit: BucketLimits) -> None:
    for what, value in (("refill_rate", limit.refill_rate), ("capacity", limit.bucket_capacity)):
        if not 0 < value <= MOST_TOKENS:
            bucket = name.name.lower()
            raise WireError(f"account limits: {bucket} {what} {value}; allowed: 1 to {MOST_TOKENS}")
