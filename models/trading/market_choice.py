"""Which of the LIVE markets the actor trades; all of them tick and keep their history."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["MarketChoice", "TargetMarketMode"]


class TargetMarketMode(StrEnum):
    """`RL_ACTOR_TARGET_MARKET_MODE`."""

    ALL = "all"
    CONFIG = "config"


class MarketChoice:
    """Decides by ticker; `config` trades the tickers it was given and nothing else."""

    def __init__(self, mode: TargetMarketMode | str, tickers: Iterable[str] = ()) -> None:
        if mode not in list(TargetMarketMode):
            allowed = ", ".join(TargetMarketMode)
            raise ValueError(f"target market mode {mode!r} is not known, allowed: {allowed}")
        self.mode = TargetMarketMode(mode)
        self._tickers = frozenset(tickers)
        if self.mode is TargetMarketMode.CONFIG and not self._tickers:
            raise ValueError("target market mode 'config' needs at least one ticker")

    def trades(self, ticker: str) -> bool:
        """Whether decisions are made for this market."""
        return self.mode is TargetMarketMode.ALL or ticker in self._tickers
