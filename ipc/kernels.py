"""Atomic loads, stores and fences for Numba kernels that share memory between processes.

Plain stores are not enough: LLVM merges the version writes of two inlined kernels, and readers then
starve for a whole batch. `tests/unit/ipc/test_kernels.py` reads the generated code, because on x86
a hammer test cannot see a missing fence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "compiled",
    "fence_acquire",
    "fence_release",
    "inlined",
    "kernel",
    "load_acquire",
    "pause",
    "store_release",
]

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
