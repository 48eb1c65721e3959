"""Recordings of the exchange: frames and markets; `lines` has the formats.

`sessions` makes sessions of them for learning, and needs more to be loaded.
"""

from __future__ import annotations

from processes.adapters.kalshi.recordings.lines import (
    RecordedFrame,
    RecordingError,
    read_frames,
    recording_files,
    up_to_cut,
)
from processes.adapters.kalshi.recordings.markets import RecordedMarket, load_market, load_markets

__all__ = [
    "RecordedFrame",
    "RecordedMarket",
    "RecordingError",
    "load_market",
    "load_markets",
    "read_frames",
    "recording_files",
    "up_to_cut",
]
