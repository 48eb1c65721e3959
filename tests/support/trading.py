"""What a collector says about trading, as the tests of its readers need it."""

from __future__ import annotations

from typing import Any

from ipc.clock import mono_ns
from ipc.messages import TradingState, TradingStatus

__all__ = ["trading_status"]

FOREVER_NS = 1 << 62  # one that lasts for a test, however long the machine keeps it waiting


def trading_status(state: TradingState = TradingState.TRADING, **facts: Any) -> TradingStatus:
    """Just checked, and valid for ever."""
    known: dict[str, Any] = {
        "state": state,
        "until_ms": None,
        "next_pause_ms": None,
        "takes_cancels": True,
        "markets": {},
        "checked_mono_ns": mono_ns(),
        "valid_until_mono_ns": FOREVER_NS,
    }
    return TradingStatus(**(known | facts))
