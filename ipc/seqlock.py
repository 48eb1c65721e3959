"""A seqlock over a row of int64 words whose word 0 is the version.

The version is odd while a write is under way. A reader copies the row and compares the version
before and after; it never waits for the writer. After `ROUNDS` times `TRIES` failed tries it
reports BUSY, which every caller treats as STALE.

Source: Boehm 2012, "Can seqlocks get along with programming language memory models?".
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.kernels import (
    compiled,
    fence_acquire,
    fence_release,
    inlined,
    load_acquire,
    pause,
    store_release,
)

__all__ = ["ROUNDS", "TRIES", "begin_repair", "begin_write", "end_write", "read_row", "try_read"]

Words = npt.NDArray[np.int64]

TRIES: Final = 256  # spins before the reader lets another process run
ROUNDS: Final = 8


@inlined
def begin_write(row: Words) -> None:
    """Make the version odd before the first store of a write."""
    store_release(row, 0, row[0] + 1)
    fence_release()


@inlined
def end_write(row: Words) -> None:
    """Make the version even after the last store of a write."""
    store_release(row, 0, row[0] + 1)


@compiled
def begin_repair(row: Words) -> None:
    """Begin a write on a row that a dead writer may have left odd; `end_write` makes it even."""
    store_release(row, 0, row[0] | 1)
    fence_release()


@compiled
def try_read(row: Words, out: Words, words: int) -> bool:
    """Copy a row consistently, without letting another process run in between.

    Args:
        row: The shared row; its word 0 is the version.
        out: Where to copy to, `words` long or longer.
        words: How many words to copy, the version included.

    Returns:
        True when `out` is one consistent state; False after `TRIES` tries, `out` then is undefined.
    """
    for _ in range(TRIES):
        version = load_acquire(row, 0)
        if version & 1:
            pause()
            continue
        for i in range(words):
            out[i] = row[i]
        fence_acquire()
        if load_acquire(row, 0) == version:
            return True
    return False


def read_row(row: Words, out: Words, words: int) -> bool:
    """`try_read` up to `ROUNDS` times, yielding the core in between.

    Returns:
        False means BUSY: the writer was in the way each time, or died in the middle of a write.
    """
    for _ in range(ROUNDS):
        if try_read(row, out, words):
            return True
        os.sched_yield()
    return False
