"""Each market's history of ticks, in every schema in which a model may ask for it."""

from __future__ import annotations

from collections.abc import Iterable

from ipc import book as b
from models.observation.builder import Builder, LiveObservationAdapter

__all__ = ["Histories"]


class Histories:
    """One adapter per schema, all told of the same ticks.

    So a model of another schema takes over with the history that the whole session gave it, and its
    observations are those that a recording gives.
    """

    def __init__(self, builders: Iterable[Builder]) -> None:
        self._builders = tuple(builders)
        self.start_anew()

    def start_anew(self) -> None:
        """Forget every market: the books have another writer."""
        self._adapters = {b.code: LiveObservationAdapter(b) for b in self._builders}

    def of(self, builder: Builder) -> LiveObservationAdapter:
        """What observes in that schema; `KeyError` for one that was not asked for at the start."""
        return self._adapters[builder.code]

    def tick(self, ticker: str, row: b.Row) -> int:
        """Evaluate a market's tick row -> the number of its ticks before this one."""
        before = 0
        for adapter in self._adapters.values():  # all count alike
            before = adapter.tick(ticker, row)
        return before

    def forget(self, ticker: str) -> None:
        """Drop a market's history."""
        for adapter in self._adapters.values():
            adapter.forget(ticker)
