"""Keeps a budget at what the exchange says of the account: its tier, and what calls cost.

Asked at the start and once a day: a tier is granted or ends, and the exchange changes costs. What
cannot be read or cannot be right leaves everything as it was, Basic at first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import Environment
from ipc.shared_file import shared_path
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import (
    MAX_WAIT,
    BucketBusyError,
    Rank,
    RateBudget,
    SharedBuckets,
)
from processes.adapters.kalshi.schemas.rest_public import AccountLimits
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["DAY_NS", "budget_path", "command_budget", "follow_limits", "shared_budget"]

DAY_NS: Final = 86_400 * NS_PER_S
LOOK_PAUSE: Final = 0.1  # seconds between looks for a client
DAY_PAUSE: Final = 60.0  # seconds between looks whether a day has passed
UNREAD: Final = Backoff(first_s=1.0, longest_s=600.0)


def budget_path(data_dir: Path, environment: Environment) -> Path:
    """The file that all processes of a stack share for their requests to one environment."""
    return shared_path(data_dir, f"budget-{environment}")


def shared_budget(
    data_dir: Path,
    environment: Environment,
    log: Log,
    *,
    rank: Rank,
    max_wait: float = MAX_WAIT,
    now_ns: Callable[[], int] = mono_ns,
) -> RateBudget:
    """The budget of a process of a stack.

    Args:
        data_dir: The stack's.
        environment: Where the requests go; each has limits of its own.
        log: For the line that says that the file cannot be used.
        rank: Whose requests these are.
        max_wait: Seconds that a new order waits for room at most.
        now_ns: Monotonic nanoseconds, the same for all processes.
    """
    buckets = SharedBuckets(budget_path(data_dir, environment), now_ns, log)
    return RateBudget(now_ns, max_wait=max_wait, rank=rank, buckets=buckets)


def command_budget(data_dir: Path, environment: Environment, log: Log) -> RateBudget:
    """The budget of a command: the stack's while one runs beside it, else one of its own.

    Args:
        data_dir: The stack's.
        environment: Where the requests go.
        log: For the line that says that the file cannot be used.
    """
    if not os.path.lexists(budget_path(data_dir, environment)):
        return RateBudget()
    return shared_budget(data_dir, environment, log, rank=Rank.DATA)


async def follow_limits(
    client: Callable[[], KalshiTradingClient | None],
    budget: RateBudget,
    log: Log,
    now_ns: Callable[[], int] = mono_ns,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> NoReturn:
    """Read the account's limits and the costs of calls: now, and once a day.

    Args:
        client: The client, or None while there is none.
        budget: Of that client.
        log: One line when the limits have changed, and one when they cannot be read.
        now_ns: Monotonic nanoseconds.
        sleep: Waits that many seconds.
    """
    known: AccountLimits | None = None
    failures = 0
    while True:
        asked = client()
        if asked is None:
            await sleep(LOOK_PAUSE)
            continue
        due_ns = now_ns() + DAY_NS
        try:
            limits = await _read(asked, budget)
        except (KalshiError, BucketBusyError) as error:
            if not failures:
                log.warning("rate_limits_not_read", error=error)
            await sleep(UNREAD.after(failures))
            failures += 1
            continue
        if limits != known:
            log("rate_limits", **_facts(limits))
        known, failures = limits, 0
        while now_ns() < due_ns:
            await sleep(DAY_PAUSE)


async def _read(client: KalshiTradingClient, budget: RateBudget) -> AccountLimits:
    """Costs last: they matter less, and a reply that cannot be read leaves the limits applied."""
    limits = await client.account_limits()
    budget.apply(limits)
    budget.use_costs(await client.endpoint_costs())
    return limits


def _facts(limits: AccountLimits) -> dict[str, object]:
    return {
        "tier": limits.usage_tier,
        "read_per_s": limits.read.refill_rate,
        "read_capacity": limits.read.bucket_capacity,
        "write_per_s": limits.write.refill_rate,
        "write_capacity": limits.write.bucket_capacity,
    }
