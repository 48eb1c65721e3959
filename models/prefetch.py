"""What a step reads, asked for a little earlier.

A world is far larger than the processor's caches and every environment is somewhere else in it, so
a step would mostly wait for memory. Asking is never wrong: it changes nothing, and an address
beyond the end of an array is ignored.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from models.kernel import kernel
from models.simulation.dataset import World

__all__ = ["ask_for_step"]

WORDS: Final = 8  # of 8 bytes in a cache line; also [lowest, highest] pairs of a reach
FLOATS: Final = 16
EVENTS: Final = 24  # as many as usually come between two ticks
HEADER_LINES: Final = (8, 16, 40)  # words of a row that a step reads: time, touch, grid


@intrinsic
def _prefetch(_context: Any, array: Any, _index: Any) -> Any:
    """Bring the cache line of an array's item, counted through all dimensions, to the caches."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        read, keep, data_cache = word(0), word(3), word(1)
        builder.call(function, [address, read, keep, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@kernel
def ask_for_step(world: World, tick: int) -> None:
    """What an environment at `tick` reads in its next step: events, and the row after them."""
    flow, first = world.flow, world.event_after[tick]
    for e in range(first, first + EVENTS, WORDS):
        _prefetch(flow.ns, e)
        _prefetch(flow.meaning, e)
        _prefetch(flow.leg, e)
        _prefetch(flow.price, e)
        _prefetch(flow.qty, e)
        _prefetch(flow.reach, 2 * e)
        _prefetch(flow.reach, 2 * (len(flow.ns) + e))
    row = (tick + 1) * world.rows.shape[1]
    for word in HEADER_LINES:
        _prefetch(world.rows, row + word)
    features = (tick + 1) * world.features.shape[1]
    for at in range(0, world.features.shape[1], FLOATS):
        _prefetch(world.features, features + at)
