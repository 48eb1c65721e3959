"""The generated code: on x86 a hammer cannot see a missing fence, so it is read."""

from __future__ import annotations

import platform
import re
from typing import Any

import numpy as np
import pytest
from numba import njit
from support.kernel_stand import Stand

from ipc import book_kernels, kernels

LEVEL = [(0, 5000, 100)]
ARRAYS = (np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64))
STORE = r"store atomic i64 .* release, align 8"
LOAD = r"load atomic i64, .* acquire, align 8"


def compiled(function: Any, *args: Any) -> Any:
    """A function compiled afresh: what comes from the cache has no text."""
    fresh = njit(getattr(function, "py_func", function))
    fresh(*args)
    return fresh


def text(function: Any, *args: Any) -> str:
    """The optimised LLVM code of the function itself, without Python's wrappers."""
    fresh = compiled(function, *args)
    whole = next(iter(fresh.inspect_llvm().values()))
    bodies = re.findall(r"^define [^\n]*\n.*?^}", whole, re.MULTILINE | re.DOTALL)
    name = fresh.py_func.__name__
    return next(
        b
        for b in bodies
        if name in (head := b.split("\n")[0]) and "cpython" not in head and "cfunc" not in head
    )


def counts(code: str) -> dict[str, int]:
    patterns = {
        "store": STORE,
        "load": LOAD,
        "release": r"fence release",
        "acquire": r"fence acquire",
    }
    return {name: len(re.findall(p, code)) for name, p in patterns.items()}


def row() -> Any:
    return np.zeros(8, np.int64)


def test_a_write_is_release_fence_stores_release() -> None:
    def write(words: Any) -> None:
        kernels.begin_write(words)
        words[1] = 7
        kernels.end_write(words)

    code = text(write, row())
    assert counts(code) == {"store": 2, "load": 0, "release": 1, "acquire": 0}
    order = re.findall(r"store atomic|fence release|store i64 7", code)
    assert order == ["store atomic", "fence release", "store i64 7", "store atomic"]


def test_the_version_stores_of_two_inlined_writes_stay_four() -> None:
    def write_twice(words: Any) -> None:
        for value in (1, 2):
            kernels.begin_write(words)
            words[1] = value
            kernels.end_write(words)
        kernels.begin_write(words)
        kernels.end_write(words)

    once = compiled(write_twice, row())
    assert counts(text(write_twice, row()))["store"] in (4, 6)  # the loop unrolled or not
    words = row()
    once(words)
    assert words[0] == 6


def test_plain_version_stores_of_two_inlined_writes_are_merged() -> None:
    """Why the atomics are there; when this fails, LLVM has changed its mind."""

    def write_twice(words: Any) -> None:
        words[0] += 1
        words[1] = 1
        words[0] += 1
        words[0] += 1
        words[1] = 2
        words[0] += 1

    stores = re.findall(r"store (?:<|i64)", text(write_twice, row()))
    assert len(stores) < 6


def test_a_read_is_acquire_copy_fence_acquire() -> None:
    code = text(kernels.try_read, row(), row(), 8)
    found = counts(code)
    assert found["load"] >= 2
    assert found["acquire"] >= 1
    assert (found["store"], found["release"]) == (0, 0)
    if platform.machine() == "x86_64":
        assert "llvm.x86.sse2.pause" in code


def test_a_repair_is_release_fence() -> None:
    found = counts(text(kernels.begin_repair, row()))
    assert found == {"store": 1, "load": 0, "release": 1, "acquire": 0}


@pytest.mark.parametrize(
    ("kernel", "change"),
    [
        (book_kernels.record_delta, LEVEL[0]),
        (book_kernels.record_trade, (*LEVEL[0], False)),
        (book_kernels.record_snapshot, ARRAYS),
    ],
    ids=["delta", "trade", "snapshot"],
)
def test_a_fused_kernel_releases_the_count_and_three_writes(kernel: Any, change: Any) -> None:
    """The journal's count, the row, its tick words and the frozen row."""
    stand = Stand()
    args = (stand.live, stand.tick_rows, stand.words, True, 0, change, (1, 2, 3, 4, 5), 0)
    code = text(kernel, *args)
    assert counts(code) == {"store": 7, "load": 0, "release": 3, "acquire": 0}
    assert len(re.findall(r"store atomic[^\n]*\n\s*fence release", code)) == 3


def test_loads_and_stores_hit_the_word_they_name() -> None:
    def exchange(words: Any) -> int:
        value = kernels.load_acquire(words, 3)
        kernels.store_release(words, 5, value + 1)
        kernels.pause()
        kernels.fence_acquire()
        kernels.fence_release()
        return int(value)

    words = np.arange(8)
    assert compiled(exchange, words)(words) == 3
    assert words.tolist() == [0, 1, 2, 3, 4, 4, 6, 7]
