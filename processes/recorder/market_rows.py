"""Which market a row of the session's table held when an event was written."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict

import numpy as np
import numpy.typing as npt

__all__ = ["MarketRows"]


class MarketRows:
    """(row, event number) -> market id, from the listings of one session."""

    def __init__(self) -> None:
        self._listed: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def add(self, row: int, from_event_no: int, market_id: int) -> None:
        """From this event on, the row holds this market; a second word on the same event wins."""
        listed = self._listed[row]
        listed[:] = [entry for entry in listed if entry[0] != from_event_no]
        insort(listed, (from_event_no, market_id))

    def of(self, events: npt.NDArray[np.void]) -> npt.NDArray[np.int32]:
        """The market of every event, 0 for one whose row was not listed by then."""
        markets = np.zeros(len(events), np.int32)
        for row in np.unique(events["row"]):
            mine = np.flatnonzero(events["row"] == row)
            numbers = events["event_no"][mine]
            listed = self._listed.get(int(row), [])
            starts = np.array([start for start, _ in listed], np.int64)
            place = np.searchsorted(starts, numbers, "right") - 1
            ids = np.array([market for _, market in listed] + [0], np.int32)
            markets[mine] = ids[place]  # place -1: before the first listing, the 0 at the end
        return markets
