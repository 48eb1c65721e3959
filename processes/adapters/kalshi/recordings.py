"""Recordings of the exchange: frames, markets, sessions. See `recording_lines` for the formats."""

from __future__ import annotations

from processes.adapters.kalshi.recorded_markets import RecordedMarket, load_market, load_markets
from processes.adapters.kalshi.recorded_sessions import load_sessions
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
    "load_sessions",
    "read_frames",
    "recording_files",
]
