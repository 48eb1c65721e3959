"""Atomic loads, stores and fences for kernels that share memory, and the seqlock made of them.

Plain stores are not enough: LLVM merges the version writes of two inlined kernels, and readers then
starve for a whole batch. `tests/unit/ipc/test_kernels.py` reads the generated code, because on x86
a hammer test cannot see a missing fence.

A shared row is guarded by a seqlock: its word 0 is the version, which is odd while a write is under
way. A reader copies the row and compares the version before and after; it never waits for the
writer. After `ROUNDS` times `TRIES` failed tries it reports BUSY, which every caller treats as
STALE. Source: Boehm 2012, "Can seqlocks get along with programming language memory models?".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "ROUNDS",
    "TRIES",
    "begin_repair",
    "begin_write",
    "compiled",
    "end_write",
    "fence_acquire",
    "fence_release",
    "inlined",
    "kernel",
    "load_acquire",
    "pause",
    "read_row",
    "store_release",
    "try_read",
]

Words = npt.NDArray[np.int64]

TRIES: Final = 256  # spins before the reader lets another process run
ROUNDS: Final = 8

Codegen = Callable[..., Any]


def _word(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


@intrinsic
def load_acquire(_typing: Any, words: Any, index: Any) -> tuple[Any, Codegen]:
    """Read `words[index]` as an acquiring 64-bit load.

    Later reads are not moved before it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_word(context, builder, signature, args), "acquire", 8)

    return types.int64(words, types.int64), codegen


@intrinsic
def store_release(_typing: Any, words: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """Write `words[index] = value` as a releasing 64-bit store.

    Earlier writes are not moved after it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _word(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), codegen


def _fence(ordering: str) -> Any:
    def typed(_typing: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), codegen

    return intrinsic(typed)


fence_acquire = _fence("acquire")
fence_release = _fence("release")


@intrinsic
def pause(_typing: Any) -> tuple[Any, Codegen]:
    """Hint to the processor that this is a spin loop; no instruction where it has none."""

    def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            hint = builder.module.declare_intrinsic(
                "llvm.x86.sse2.pause", (), ir.FunctionType(ir.VoidType(), ())
            )
            builder.call(hint, ())
        return context.get_dummy_value()

    return types.void(), codegen


F = TypeVar("F", bound=Callable[..., Any])


def _cached(dispatcher: Any) -> Any:
    """Have a stale cache recognised before anything in it is read.

    Numba unpickles a cache's index, the types of the arguments included, before it compares the
    sources, and stops with an error at a class that has been renamed since. It compares its own
    version first, so the sources become part of that.
    """
    file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if file is not None:
        file._version = f"{file._version} {file._source_stamp!r}"
    return dispatcher


def compiled(function: F) -> F:
    """Compile a function with Numba and cache the result; its types stay visible to mypy.

    The cache is keyed by all sources that the function's file imports (`ipc.kernel_cache`), so a
    change in a kernel that is called compiles its callers again.
    """
    return cast("F", _cached(njit(cache=True)(function)))


def inlined(function: F) -> F:
    """`compiled`, with its body put into every kernel that calls it.

    For the small steps of a hot kernel: a call that is not inlined costs a few nanoseconds, and
    LLVM cannot keep words of the row in registers across it.
    """
    return cast("F", _cached(njit(cache=True, inline="always")(function)))


def kernel(function: F) -> F:
    """`compiled` for a function that only reads and writes the arrays it is given.

    Numba counts the references to every view of an array that a kernel takes, each time by an
    atomic operation: in a loop over many small accounts that was two thirds of the time. A kernel
    leaves the counting out, so its caller must hold the arrays, and it can allocate none (Numba
    refuses to compile one that does).
    """
    return cast("F", _cached(njit(cache=True, _nrt=False)(function)))


@inlined
def begin_write(row: Words) -> None:
    """Make the version odd before the first store of a write.

    The release fence keeps the stores that follow from becoming visible before it. There may be one
    writer only: the row has no lock among writers.
    """
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


_yield_core = types.ExternalFunction("sched_yield", types.int32())  # of the C library


@compiled
def read_row(row: Words, out: Words, words: int) -> bool:
    """Copy a row consistently: `try_read` up to `ROUNDS` times, yielding the core in between.

    Args:
        row: The shared row; its word 0 is the version.
        out: int64, `words` long or longer; undefined after False.
        words: How many words to copy, the version included.

    Returns:
        False means BUSY: the writer was in the way each time, or died in the middle of a write.
    """
    for _ in range(ROUNDS):
        if try_read(row, out, words):
            return True
        _yield_core()
    return False
