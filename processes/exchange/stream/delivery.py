"""Between the core and the hub: private fills that a test wants twice, late, or before their trade.

The exchange tells a private fill and the public trade that it is of in either order. The core's own
order is trade, then fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from processes.exchange.core.events import (
    Event,
    OrderChanged,
    OrderFilled,
    PositionChanged,
    Traded,
)

__all__ = ["Delivery"]

Tell = Callable[[Event], None]
OF_THE_EXECUTION: Final = (OrderFilled, OrderChanged, PositionChanged)
UNTIL_CLEARED: Final = -1


class Delivery:
    """`publish` is `tell` itself while nothing is ordered."""

    def __init__(self, tell: Tell) -> None:
        self.publish: Tell = tell
        self._tell = tell
        self._late: deque[OrderFilled] = deque()
        self._trades: deque[Traded] = deque()
        self._reset()

    def _reset(self) -> None:
        self._twice = self._delayed = 0
        self._delay_s = 0.0
        self._fills_first = False

    def duplicate(self, fills: int) -> None:
        """Tell the next fills twice."""
        self._twice += fills
        self.publish = self._publish

    def delay(self, ms: int, fills: int) -> None:
        """Tell the next fills late, 0 for all until cleared."""
        self._delay_s, self._delayed = ms / 1000, fills or UNTIL_CLEARED
        self.publish = self._publish

    def fills_first(self, *, on: bool) -> None:
        """Tell fills before the trades that they are of."""
        self._fills_first = on
        self.publish = self._publish

    def clear(self) -> None:
        """All as it comes; what was held is told now."""
        self._reset()
        while self._late:
            self._tell_late()
        self._tell_trades()
        self.publish = self._tell

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "fills_duplicated": self._twice,
            "fills_delayed": self._delayed,
            "fills_held": len(self._late),
            "fills_first": self._fills_first,
        }

    def _publish(self, event: Event) -> None:
        if isinstance(event, Traded) and self._fills_first:
            self._tell_trades()
            self._trades.append(event)
            asyncio.get_running_loop().call_soon(self._tell_trades)
        elif isinstance(event, OrderFilled):
            for _ in range(self._times()):
                self._fill(event)
        else:
            if not isinstance(event, OF_THE_EXECUTION):
                self._tell_trades()
            self._tell(event)

    def _tell_trades(self) -> None:
        """The execution is over: its trade follows."""
        while self._trades:
            self._tell(self._trades.popleft())

    def _times(self) -> int:
        if not self._twice:
            return 1
        self._twice -= 1
        return 2

    def _fill(self, fill: OrderFilled) -> None:
        if not self._delayed:
            self._tell(fill)
            return
        if self._delayed != UNTIL_CLEARED:
            self._delayed -= 1
        self._late.append(fill)
        asyncio.get_running_loop().call_later(self._delay_s, self._tell_late)

    def _tell_late(self) -> None:
        """The oldest that is held; what was cleared meanwhile is told already."""
        if self._late:
            self._tell(self._late.popleft())
