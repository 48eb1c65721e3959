"""Pauses: of the exchange, of trading on it, of one market; each with what it does to orders."""

from __future__ import annotations

from processes.exchange.core.desk import Desk
from processes.exchange.core.markets import Market, MarketStatus
from processes.exchange.core.orders import UpdateReason

__all__ = ["Pauses"]


class Pauses:
    """Orders stay where they are, except those that asked to be canceled on a pause."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def trading(self, *, on: bool) -> None:
        """Nothing is placed or changed, cancels are taken."""
        self._desk.halts.trading = on
        if on:
            self._cancel_flagged()

    def maintenance(self, *, on: bool) -> None:
        """As a pause of trading, and beside one: each ends by itself."""
        self._desk.halts.maintenance = on
        if on:
            self._cancel_flagged()

    def exchange(self, *, on: bool) -> None:
        """Nothing at all is taken."""
        self._desk.halts.exchange = on
        if on:
            self._cancel_flagged()

    def _cancel_flagged(self) -> None:
        self._desk.end_where(lambda o: o.cancel_on_pause, UpdateReason.HALT_CANCEL)

    def market(self, market: Market, *, on: bool) -> None:
        """One market; when it comes back, everything that rested there is canceled."""
        venue = self._desk.venue
        now_ms = venue.now_ms()
        if on and market.status is MarketStatus.ACTIVE:
            venue.pause_market(market, now_ms)
            mine = market.ticker
            self._desk.end_where(
                lambda o: o.cancel_on_pause and o.ticker == mine, UpdateReason.HALT_CANCEL
            )
        elif not on and market.status is MarketStatus.INACTIVE:
            self._desk.end_all(market, UpdateReason.HALT_CANCEL)
            venue.resume_market(market, now_ms)
