"""Whose fault a failure is, and when the next attempt comes."""

from __future__ import annotations

import errno

import asyncpg
import pytest

from ipc.journal import JournalError
from processes.recorder.attempts import (
    SERVER_BACKOFF,
    STREAM_BACKOFF,
    DatabaseBehindError,
    FailedStreams,
    Fault,
    fault_of,
)


@pytest.mark.parametrize(
    "error",
    [
        JournalError("checksum"),
        TypeError("x"),
        asyncpg.DataError("x"),
        asyncpg.UniqueViolationError("x"),
    ],
)
def test_what_can_never_go_in_is_the_streams_fault(error: Exception) -> None:
    assert fault_of(error) is Fault.STREAM


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "events.seg"),
        asyncpg.InsufficientPrivilegeError("x"),
        asyncpg.DuplicateTableError("x"),
        asyncpg.ReadOnlySQLTransactionError("x"),
        asyncpg.DiskFullError("x"),
        asyncpg.OutOfMemoryError("x"),
        asyncpg.QueryCanceledError("x"),
        DatabaseBehindError("x"),
    ],
)
def test_what_may_pass_is_the_servers_or_the_machines(error: Exception) -> None:
    assert fault_of(error) is Fault.SERVER


def test_a_stream_is_never_given_up_and_reported_once_a_cause() -> None:
    failed, now, reports, attempts = FailedStreams(), 0.0, 0, 0
    while now < 3_600:
        if not failed.waits("s", now):
            reports += failed.note("s", asyncpg.DiskFullError(f"block {now}"), now)
            attempts += 1
        now += 0.05
    assert reports == 1
    assert 3_600 / SERVER_BACKOFF.longest_s <= attempts < 3_600 / SERVER_BACKOFF.longest_s + 10
    assert failed.note("s", JournalError("checksum"), now)
    assert (failed.number(Fault.STREAM), failed.number(Fault.SERVER)) == (1, 0)
    assert failed.waits("s", now + STREAM_BACKOFF.first_s - 1)
    assert not failed.waits("s", now + STREAM_BACKOFF.first_s)
    assert failed.recovered("s")
    assert not failed.recovered("s")
    assert failed.number(Fault.STREAM) == 0
