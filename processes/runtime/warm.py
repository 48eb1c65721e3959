"""Compile and cache every kernel before anything runs: `python -m processes.runtime.warm`."""

from __future__ import annotations

from ipc.clock import mono_ns
from models.warm import compile_kernels
from processes.runtime.log import Log, StdoutLog
from processes.runtime.run import take_no_arguments

__all__ = ["warm"]


def warm(log: Log) -> None:
    """Nothing is left to compile for a process that starts after this."""
    begun = mono_ns()
    ready = compile_kernels()
    log("kernels_ready", kernels=ready, seconds=f"{(mono_ns() - begun) / 1e9:.1f}")


if __name__ == "__main__":
    take_no_arguments()
    warm(StdoutLog("warm"))
