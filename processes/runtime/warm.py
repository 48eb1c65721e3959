"""Compile and cache every kernel before anything runs: `python -m processes.runtime.warm`."""

from __future__ import annotations

from ipc.clock import NS_PER_S, mono_ns
from models.warm import compile_kernels
from processes.runtime.arguments import refuse_arguments
from processes.runtime.config import LogSettings
from processes.runtime.log import Log, open_log

__all__ = ["warm"]


def warm(log: Log) -> None:
    """Nothing is left to compile for a process that starts after this."""
    begun = mono_ns()
    ready = compile_kernels()
    log("kernels_ready", kernels=ready, seconds=f"{(mono_ns() - begun) / NS_PER_S:.1f}")


if __name__ == "__main__":
    refuse_arguments("warm")
    warm(open_log("warm", None, LogSettings()))
