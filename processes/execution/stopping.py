"""Asks the exchange, after a stop, until no order of this stack rests there.

The manager cancels what it knows of. Here the exchange's own list is read: it may have orders that
this run does not know, and it alone can say that there are none.
"""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from ipc.clock import mono_ns
from processes.adapters.kalshi.errors import ExchangeUnavailable, KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import whole
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import READ_LAG_NS, own_resting
from processes.execution.gateway import EffectRunner
from processes.execution.orders import TrackedOrder
from processes.execution.state import ExecutionState
from processes.execution.trading_control import TradingControl
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["Stopping"]

LOOK_PAUSE: Final = 0.2  # seconds between reads of the list
UNANSWERED: Final = Backoff(first_s=0.25, longest_s=2.0)


class Stopping:
    """One task.

    Args:
        control: Says when, and learns that it is done.
        state: What is known of our orders.
        effects: Carries out cancels, and has the way to the exchange's REST.
        log: of this run.
    """

    def __init__(
        self, control: TradingControl, state: ExecutionState, effects: EffectRunner, log: Log
    ) -> None:
        self._control = control
        self._state = state
        self._effects = effects
        self._log = log

    async def run(self) -> NoReturn:
        """Whenever trading has been stopped, ask until nothing rests."""
        failures = change = since_ns = 0
        while True:
            await self._control.ending.wait()
            if change != self._control.change:
                change, since_ns = self._control.change, mono_ns()
            if self._state.orders.open_count:
                self._control.progress = f"cancelling {self._state.orders.open_count} orders"
            try:
                is_clear = await self._is_clear(since_ns)
            except KalshiError as error:
                if not failures:
                    self._log.warning("resting_orders_not_read", error=error)
                self._control.progress = f"not verified, the exchange does not answer: {error}"
                await asyncio.sleep(UNANSWERED.after(failures))
                failures += 1
                continue
            failures = 0
            if is_clear:
                self._control.on_nothing_rests(change)
            await asyncio.sleep(LOOK_PAUSE)

    async def _is_clear(self, since_mono_ns: int) -> bool:
        """Whether nothing is open by our knowledge, nor by a list that was read late enough."""
        gateway, now_ns = self._effects.gateway, mono_ns()
        if gateway.client is None:
            raise ExchangeUnavailable("not connected yet")
        created_ago_ns = now_ns - gateway.create_ended_mono_ns
        is_late_enough = created_ago_ns >= READ_LAG_NS and not self._state.orders.open_count
        listed = await own_resting(gateway.client, self._state.ownership)
        resting = listed.items
        for order in resting:  # also of markets that are not followed, and of earlier runs
            self._state.follow(order.market_ticker)
            self._state.on_order(order)
        self._effects.act()
        if not self._state.sends:
            self._say_untouched(resting)
        elif now_ns - since_mono_ns >= READ_LAG_NS:
            await self._cancel_again(gateway.client, resting)
        whole(listed, "orders")
        return is_late_enough and not resting and not self._state.orders.open_count

    def _say_untouched(self, resting: list[ExchangeOrder]) -> None:
        """In execution mode `shadow` what an earlier live run left stays, and that is said."""
        if resting:
            self._control.progress = (
                f"execution mode shadow cancels nothing: {len(resting)} orders of a live run rest"
            )

    async def _cancel_again(
        self, client: KalshiTradingClient, resting: list[ExchangeOrder]
    ) -> None:
        """Orders that have ended as far as we know, and that the exchange still lists.

        Also those with our mark that this run did not send.
        """
        known = self._state.orders
        ended = [o for o in resting if not _is_open(known.get(o.client_order_id or o.order_id))]
        if ended:
            self._log.warning(
                "ended_orders_listed", client_order_ids=[o.client_order_id for o in ended]
            )
            await client.cancel_orders([(o.order_id, o.market_ticker) for o in ended])


def _is_open(order: TrackedOrder | None) -> bool:
    return order is not None and order.open and order.own
