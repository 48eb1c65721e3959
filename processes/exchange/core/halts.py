"""What stands still: the exchange, or trading on it. A paused market is in its own status."""

from __future__ import annotations

from processes.exchange.core.rejections import Rejection

__all__ = ["Halts"]


class Halts:
    """Nothing at the start."""

    def __init__(self) -> None:
        self.exchange = False
        self.trading = False
        self.maintenance = False  # trading, until the window is over

    @property
    def stops_trading(self) -> bool:
        """Whether orders are neither placed nor changed."""
        return self.exchange or self.trading or self.maintenance

    def check_entry(self) -> None:
        """`Rejection` when orders cannot be placed or changed."""
        self.check_cancel()
        if self.stops_trading:
            raise Rejection.nested(400, "trading_paused")

    def check_cancel(self) -> None:
        """`Rejection` when not even a cancel is taken: only an exchange pause refuses it."""
        if self.exchange:
            raise Rejection.nested(400, "exchange_paused")
