"""Buckets in a file: two budgets of one account, a process that dies, a file out of order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.logged import Logged
from support.patience import eventually

from ipc.clock import ManualClock
from ipc.shared_file import remove_tables, shared_path
from processes.adapters.kalshi.rest.rate_budget import (
    BucketBusyError,
    Call,
    Rank,
    RateBudget,
    SharedBuckets,
)
from processes.adapters.kalshi.schemas.rest_public import AccountLimits, BucketLimits

SECOND = 1_000_000_000
ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys
from pathlib import Path
from ipc.clock import mono_ns
from processes.adapters.kalshi.rest.rate_budget import BucketName, SharedBuckets

def stay(bucket):
    bucket.nano -= 10**9
    print("holding", flush=True)
    sys.stdin.read()

buckets = SharedBuckets(Path(sys.argv[1]), mono_ns, print)
buckets.change(BucketName.READ, stay)
"""


class Stack:
    """A data folder, a clock that stands, and budgets of processes that share them."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = shared_path(data_dir, "budget-demo")
        self.clock = ManualClock(1_000 * SECOND)
        self.log = Logged()

    def budget(self, rank: Rank = Rank.TRADING) -> RateBudget:
        buckets = SharedBuckets(self.path, self.clock.now_ns, self.log)
        return RateBudget(self.clock.now_ns, rank=rank, buckets=buckets)

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield Stack(tmp_path)
    remove_tables(tmp_path)


def taken(*budgets: RateBudget, call: Call = Call.READ) -> int:
    """How many calls go at once, one from each in turn."""
    count = 0
    while True:
        went = [budget.try_take(call) == 0 for budget in budgets]
        count += sum(went)
        if not any(went):
            return count


def test_two_processes_take_from_one_bucket(stack: Stack) -> None:
    one, two = stack.budget(), stack.budget()
    stack.pass_seconds(10)
    assert taken(one, two) == 54
    assert taken(one, two, call=Call.CANCEL) == 45
    stack.pass_seconds(1)
    assert taken(two) == 19
    assert one.counters()["budget_read_taken"] == 730
    assert one.counters() | {"budget_shared": 1} == one.counters()


def test_a_new_file_is_not_full(stack: Stack) -> None:
    """What the last stack took is not known."""
    assert taken(stack.budget()) == 10


def test_the_last_fifth_of_reads_is_for_those_who_trade(stack: Stack) -> None:
    data, trading = stack.budget(Rank.DATA), stack.budget()
    stack.pass_seconds(10)
    assert taken(data) == 43
    assert taken(trading) == 11
    assert data.try_take(Call.READ) > trading.try_take(Call.READ)


def test_what_one_learns_of_the_account_holds_for_all(stack: Stack) -> None:
    one, two = stack.budget(), stack.budget()
    limit = BucketLimits(refill_rate=1_000, bucket_capacity=1_000)
    one.apply(AccountLimits(usage_tier="x", read=limit, write=limit))
    one.on_limited(Call.CREATE)
    stack.pass_seconds(10)
    assert taken(two) == 90
    assert two.counters()["budget_write_share_percent"] == 81
    assert two.counters()["budget_write_limited"] == 1
    assert (one.counters()["budget_limited"], two.counters()["budget_limited"]) == (1, 0)


def test_a_process_killed_while_it_holds_the_lock_costs_nothing(stack: Stack) -> None:
    budget = stack.budget()
    stack.pass_seconds(10)
    before = budget.counters()["budget_read_tokens"]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(stack.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        with pytest.raises(BucketBusyError):
            budget.try_take(Call.READ)
        assert "budget_read_tokens" not in budget.counters()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert eventually(budget.counters, "an answer")["budget_read_tokens"] == before
    assert stack.log.lines == []


def test_a_process_that_stands_still_with_the_lock_stops_nobody(stack: Stack) -> None:
    budget = stack.budget()
    stack.pass_seconds(10)
    stopped = SharedBuckets(stack.path, stack.clock.now_ns, stack.log)
    assert stopped._file is not None
    assert stopped._file.acquire()
    with pytest.raises(BucketBusyError):
        budget.try_take(Call.CANCEL)
    stack.pass_seconds(0.2)
    assert budget.try_take(Call.CANCEL) > 0  # of its own, which begins empty
    assert stack.log.actions() == ["rate_budget_not_shared"]
    stack.pass_seconds(1)
    assert budget.try_take(Call.CANCEL) == 0
    stopped._file.release()
    stack.pass_seconds(10)
    budget.try_take(Call.CANCEL)
    assert stack.log.actions() == ["rate_budget_not_shared", "rate_budget_shared"]


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(24 + 8)
        file.write(b"\xff")


def cut(path: Path) -> None:
    os.truncate(path, 40)


def of_another_version(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"\x63")


@pytest.mark.parametrize("harm", [spoil, cut, of_another_version])
def test_a_file_that_cannot_be_used_leaves_half_of_the_tier(stack: Stack, harm: object) -> None:
    assert callable(harm)
    first = stack.budget()
    harm(stack.path)
    if harm is of_another_version:  # those who have it open go on
        assert first.counters()["budget_shared"] == 1
    budget = stack.budget()
    stack.pass_seconds(60)
    assert taken(budget) == 27
    assert taken(budget, call=Call.CANCEL) == 22
    assert budget.counters()["budget_shared"] == 0
    limit = BucketLimits(refill_rate=1_000, bucket_capacity=1_000)
    budget.apply(AccountLimits(usage_tier="x", read=limit, write=limit))
    stack.pass_seconds(60)
    assert taken(budget) == 45
    assert stack.log.actions().count("rate_budget_not_shared") == 1


def test_a_file_that_is_removed_is_made_again_and_all_meet_in_it(stack: Stack) -> None:
    one, two = stack.budget(), stack.budget()
    stack.pass_seconds(10)
    assert taken(one) == 54
    remove_tables(stack.data_dir)
    stack.pass_seconds(2)
    assert taken(two) == 10  # what the others took is not known
    assert taken(one) == 0
    assert stack.log.lines == []


def test_a_folder_that_cannot_be_written_is_one_line(stack: Stack) -> None:
    (stack.data_dir / "tables").write_text("no folder")
    budget = stack.budget()
    stack.pass_seconds(60)
    assert taken(budget) == 27
    assert stack.log.actions() == ["rate_budget_not_shared"]
    (stack.data_dir / "tables").unlink()


def test_a_clock_of_another_boot_stops_nothing(stack: Stack) -> None:
    stack.budget()
    later = stack.clock
    stack.clock = ManualClock(5 * SECOND)
    assert later.now_ns() > stack.clock.now_ns()
    budget = stack.budget()
    taken(budget)
    stack.pass_seconds(1)
    assert taken(budget) == 20
