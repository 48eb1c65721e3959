"""`kalshi-actor trading ...` beside an execution: as a person types it, as its socket takes it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, NamedTuple

from support.execution_world import World

from ipc.clock import mono_ns
from ipc.trading import FlattenTerms, TradingCommand, TradingVerb, ask

__all__ = ["Said", "command", "given", "trading"]

ROOT = Path(__file__).resolve().parents[2]


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """Of `--json`."""
        return json.loads(self.out)


async def trading(world: World, *argv: str) -> Said:
    """Type a command and wait for its end; its requests go through `between`."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    port = world.between.url.rpartition(":")[2]
    known |= {"RL_DATA_DIR": str(world.data_dir), "RL_EXCHANGE_PORT": port}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processes.cli", "trading", *argv),
        cwd=ROOT,
        env=known,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


def command(verb: str, why: str = "a test", **fields: Any) -> TradingCommand:
    """A command of this process."""
    terms = FlattenTerms(500, None, 30) if verb == "flatten" else None
    standard = {
        "verb": TradingVerb(verb),
        "user": "ann",
        "pid": 4_711,
        "why": why,
        "sent_mono_ns": mono_ns(),
        "flatten": terms,
    }
    return TradingCommand(**{**standard, **fields})


async def given(world: World, verb: str, why: str = "a test", **fields: Any) -> Any:
    """Give a command by the socket -> its answer."""
    return await asyncio.to_thread(ask, world.data_dir, command(verb, why, **fields))
