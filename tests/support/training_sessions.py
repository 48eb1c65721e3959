"""Made markets on days of their own, for the tests of training."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from support.model_sessions import random_session

from models.simulation.tape import RecordedSession

__all__ = ["market", "nanoseconds"]

NEW_YORK = ZoneInfo("America/New_York")


def nanoseconds(text: str) -> int:
    """A New York date and time since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


def market(begins: str, seed: int = 1, events: int = 1_500) -> RecordedSession:
    """A random market that begins at a New York date and time; its ticker is that time."""
    made = random_session(seed, events, ticker=begins)
    moved = made.events.copy()
    moved["recv_ns"] += nanoseconds(begins) - made.first_ns
    return msgspec.structs.replace(made, events=moved, open_ms=0)
