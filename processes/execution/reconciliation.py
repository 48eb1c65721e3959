"""Keeps the accounts equal to the exchange's: rounds of REST reads, sooner while in doubt.

REST lags behind, so what is read too soon after a gap of the private channel proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, NoReturn

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import ActorFill
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.portfolio import Settlement
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.adapters.kalshi.schemas.enums import Result
from processes.execution.account import Doubt, ExchangeView
from processes.execution.effects import EffectRunner
from processes.execution.gateway import chunks
from processes.execution.manager import KalshiOrderManager
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["Reconciliation", "read_view"]

READ_LAG_NS: Final = NS_PER_S  # reads lag: what was asked sooner after a gap proves nothing
CHANNEL_PAUSE: Final = 0.1  # seconds between looks at whether the private channel is up
RETRY_PAUSE: Final = 0.5  # seconds after a round that failed
BALANCE_PAUSE: Final = 1.05  # seconds: the exchange answers once a second
IN_DOUBT: Final = Backoff(first_s=0.5, longest_s=3_600.0)  # between rounds that leave a doubt
ROUNDS_A_STEP: Final = 4  # rounds in doubt before the pause between them doubles
UNANSWERED_ROUNDS: Final = 3  # without an answer for so many, no account is known
_VALUES: Final = {Result.YES: ONE_DOLLAR_E4, Result.NO: 0}


class Reconciliation:
    """Two tasks: the comparison of every account with REST, and the account's balance.

    Args:
        manager: whose positions are compared.
        effects: to carry out what a comparison brings, and the way to the exchange's REST.
        interval_s: between rounds while nothing is in doubt (`RL_RECONCILE_S`).
        log: of this run.
    """

    def __init__(
        self, manager: KalshiOrderManager, effects: EffectRunner, interval_s: float, log: Log
    ) -> None:
        self.soon = asyncio.Event()  # set: begin a round now
        self._manager = manager
        self._state = manager.state
        self._effects = effects
        self._interval_s = interval_s
        self._log = log
        self._rounds_in_doubt = 0  # in a row
        self._channel_up_ns = 0
        self._agreed_ns = mono_ns()
        self._left_out = LeftOut()

    def on_channel_up(self) -> None:
        """The private channel is up again: only what is read from now on counts."""
        self._channel_up_ns = mono_ns()
        self.soon.set()

    async def run(self) -> NoReturn:
        """Compare with REST: soon while anything is in doubt, else once in an interval."""
        while True:
            await self._until_due()
            client = self._effects.gateway.client
            if Doubt.CHANNEL in self._state.everywhere or client is None:
                await asyncio.sleep(CHANNEL_PAUSE)
                continue
            since_up_ns = mono_ns() - self._channel_up_ns
            await asyncio.sleep(max(0, READ_LAG_NS - since_up_ns) / NS_PER_S)
            try:
                await self._compare(client)
            except KalshiError as error:
                self._log.warning("reconciliation_failed", error=error)
                await asyncio.sleep(RETRY_PAUSE)

    async def _until_due(self) -> None:
        """Wait for `soon` or the next round; a doubt that stays is compared less and less often."""
        in_doubt = any(not account.known for account in self._state.accounts.values())
        self._rounds_in_doubt = self._rounds_in_doubt + 1 if in_doubt else 0
        pause = self._interval_s
        if in_doubt:
            pause = min(pause, IN_DOUBT.after(self._rounds_in_doubt // ROUNDS_A_STEP))
        try:
            async with asyncio.timeout(pause):
                await self.soon.wait()
        except TimeoutError:
            return
        self.soon.clear()
        self._rounds_in_doubt = 0
        self._left_out = LeftOut()

    async def _compare(self, client: KalshiTradingClient) -> None:
        """Positions and orders of all; then the whole fills of those that need them."""
        up_ns, wanted = self._channel_up_ns, self._state.unread()
        for _ in range(2):
            view = await read_view(client, wanted)
            self._report_left_out(view.left_out)
            if up_ns != self._channel_up_ns or Doubt.CHANNEL in self._state.everywhere:
                return  # the channel fell meanwhile: this view proves nothing
            wanted = self._manager.sync_positions_with_kalshi(view)
            self._agreed_ns = mono_ns()
            self._effects.act()
            if not wanted:
                return

    def _report_left_out(self, left_out: LeftOut) -> None:
        """Once for each change: rows of the account that cannot be read."""
        if left_out != self._left_out:
            self._left_out = left_out
            self._log("rows_left_out", count=left_out.count, error=left_out.reason)

    def check_answers(self) -> None:
        """An exchange that has not answered for three intervals makes every account unknown."""
        age_s = (mono_ns() - self._agreed_ns) / NS_PER_S
        late = age_s > UNANSWERED_ROUNDS * self._interval_s
        if late != (Doubt.REST in self._state.everywhere):
            change: Callable[[Doubt], None]
            change = self._state.doubt if late else self._state.trust
            change(Doubt.REST)

    async def follow_balance(self) -> NoReturn:
        """Publish the account's P&L: once a second while it changes, else once in an interval."""
        published, due_ns = -1, 0  # version of the accounts, and when the next is due anyway
        while True:
            await asyncio.sleep(BALANCE_PAUSE)
            client, version = self._effects.gateway.client, self._state.version
            if client is None or (published == version and mono_ns() < due_ns):
                continue
            try:
                balance = await client.balance()
            except KalshiError:
                self._state.counters["balances_not_read"] += 1
                continue
            self._effects.publish(self._manager.pnl(balance.balance_e6))
            published = version
            due_ns = mono_ns() + int(self._interval_s * NS_PER_S)


async def read_view(client: KalshiTradingClient, tickers: Collection[str] = ()) -> ExchangeView:
    """One round of reads: positions and resting orders; fills and settlements of `tickers` only.

    Raises:
        KalshiError: one of the reads failed.
    """
    asked_mono_ns = mono_ns()
    resting, left_out = await client.orders(status="resting")
    fills: dict[str, list[ActorFill]] = {ticker: [] for ticker in tickers}
    for names in chunks(tickers):
        found = await client.fills(ticker=",".join(names))
        left_out += found.left_out
        for fill in reversed(found.items):
            fills.setdefault(fill.market_ticker, []).append(fill)
    settled: list[Settlement] = []
    if tickers:
        settled, unread = await client.settlements()
        left_out += unread
    positions, unread = await client.positions()  # last: they lag the most
    values = {s.market_ticker: _yes_value_e4(s) for s in settled}
    return ExchangeView(
        asked_mono_ns=asked_mono_ns,
        positions={p.market_ticker: p.position_e2 for p in positions},
        resting=resting,
        fills=fills,
        settlements={t: v for t, v in values.items() if v is not None},
        left_out=left_out + unread,
    )


def _yes_value_e4(settlement: Settlement) -> int | None:
    return _VALUES.get(settlement.result, settlement.value_e4)
