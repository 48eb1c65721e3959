"""How kernels are compiled that only read and write the arrays they are given.

Numba counts the references to every view of an array that a kernel takes, each time by an atomic
operation: in a loop over many small accounts that was two thirds of the time. These kernels leave
it out. Who calls them holds the arrays; they can make none (Numba refuses to compile it).
"""

from __future__ import annotations

from numba import njit

__all__ = ["kernel"]

kernel = njit(cache=True, _nrt=False)
