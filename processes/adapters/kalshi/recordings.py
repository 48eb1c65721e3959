"""Recordings of the exchange: frames and markets; `recording_lines` has the formats.

`recorded_sessions` makes sessions of them for learning, and needs more to be loaded.
"""

from __future__ import annotations

from processes.adapters.kalshi.recorded_markets import RecordedMarket, load_market, load_markets
from processes.adapters.kalshi.recording_lines import (
    RecordedFrame,
    RecordingError,
    read_frames,
    recording_files,
)

__all__ = [
    "RecordedFrame",
    "RecordedMarket",
    "RecordingError",
    "load_market",
    "load_markets",
    "read_frames",
    "recording_files",
]
