"""The framed journal: one tick and its decision appended, as inference does before it acts."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, paced, tight
from benchmarks.market import MARKET_NS, TICKER
from ipc.journal import FramedWriter
from ipc.messages import ActorAction, Tick

__all__ = ["decision", "run"]

SESSION = "20261125T000000-0badcafe"


def decision(number: int) -> tuple[Tick, ActorAction]:
    """A tick and what was decided on it."""
    tick = Tick(
        session_uid=SESSION, market_ticker=TICKER, event_no=number, recv_ns=MARKET_NS, history=10
    )
    action = ActorAction(
        session_uid=SESSION,
        market_ticker=TICKER,
        action=0,
        action_name="HOLD",
        reason="policy hold",
        model="onnx:default",
        model_hash="ab" * 8,
        observation_hash="cd" * 8,
        event_no=number,
        account_version=7,
        logits=(0.5, 1.25, -0.75, 0.0, -2.0),
        value=0.125,
        mask=(True, True, False, True, False),
        intent_id=None,
        decided_ns=MARKET_NS,
        recv_ns=MARKET_NS,
        frame_mono_ns=number,
        written_mono_ns=number,
        woken_mono_ns=number,
        decided_mono_ns=number,
    )
    return tick, action


def run() -> list[Figure]:
    """Append: encoded, checksummed, in the file when the call returns."""
    with tempfile.TemporaryDirectory() as name:
        writer = FramedWriter(Path(name) / "marks")
        numbers = itertools.count(1)

        def append() -> None:
            if not writer.append(*decision(next(numbers))):
                raise RuntimeError("the journal refused")

        found = [tight("append of a tick and a decision", append)]
        found += paced("append of a tick and a decision", append)
        writer.close()
        return found
