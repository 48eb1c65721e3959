"""Keeps the accounts equal to the exchange's: rounds of REST reads, sooner while in doubt.

REST lags behind, so what is read too soon after a gap of the private channel proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final, NoReturn

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import ActorFill
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.errors import KalshiError, NotFound, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.portfolio import Position, Settlement
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.adapters.kalshi.schemas.enums import Result
from processes.execution.account import Doubt, ExchangeView, Payout, position_of
from processes.execution.cash_comparison import CashComparison
from processes.execution.gateway import EffectRunner, chunks
from processes.execution.manager import KalshiOrderManager
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["AccountReads", "Reconciliation"]

READ_LAG_NS: Final = NS_PER_S  # reads lag: what was asked sooner after a gap proves nothing
CHANNEL_PAUSE: Final = 0.1  # seconds between looks at whether the private channel is up
RETRY_PAUSE: Final = 0.5  # seconds after a round that failed
BALANCE_PAUSE: Final = 1.15  # seconds: the exchange answers once a second
IN_DOUBT: Final = Backoff(first_s=0.5, longest_s=3_600.0)  # between rounds that leave a doubt
ROUNDS_A_STEP: Final = 4  # rounds in doubt before the pause between them doubles
UNANSWERED_ROUNDS: Final = 3  # without an answer for so many, no account is known
SETTLED_S: Final = 172_800  # market time: settlements are read again for so long, for corrections
MOST_HISTORIES: Final = 20  # markets of one round whose fills before the cutoff are read
MOST_CLAIMS: Final = 100  # orders of one round that are read to learn whose they are
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
        self._reads = AccountReads(log)
        self._cash = CashComparison(manager, manager.state.start_cash_e6)
        self._state.doubt(Doubt.MONEY)

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
            view = await self._reads.view(client, wanted, self._state.now().ms // 1_000)
            self._report_left_out(view.left_out)
            if up_ns != self._channel_up_ns or Doubt.CHANNEL in self._state.everywhere:
                return  # the channel fell meanwhile: this view proves nothing
            await self._claim(client, view)
            wanted = self._manager.sync_positions_with_kalshi(view)
            self._agreed_ns = mono_ns()
            self._effects.act()
            if not wanted:
                await self._cash.compare(client)
                self._effects.act()
                return

    async def _claim(self, client: KalshiTradingClient, view: ExchangeView) -> None:
        """Learn whose orders made what is held: a fill of the list names no client."""
        unclaimed = list(self._state.unclaimed(view).items())
        for order_id, ticker in unclaimed[:MOST_CLAIMS]:
            try:
                name = await self._reads.client_order_id(client, ticker, order_id)
            except WireError:
                continue  # it cannot be read: nobody's, so left alone
            self._state.claim(ticker, order_id, name)

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
            client, version = self._effects.gateway.client, self._state.version
            if client is None:
                await asyncio.sleep(CHANNEL_PAUSE)
                continue
            if published != version or mono_ns() >= due_ns:
                try:
                    await self._read_balance(client)
                except KalshiError:
                    self._state.counters["balances_not_read"] += 1
                else:
                    published = version
                    due_ns = mono_ns() + int(self._interval_s * NS_PER_S)
            await asyncio.sleep(BALANCE_PAUSE)

    async def _read_balance(self, client: KalshiTradingClient) -> None:
        begun = self._state.money.begin_read()
        balance = await client.balance()
        self._state.on_balance(await client.shard_balances(balance), begun)
        self._effects.act()
        self._effects.publish(self._manager.pnl(balance.balance_e6))


class AccountReads:
    """Rounds of REST reads of an account; what cannot change any more is read once.

    Args:
        log: of this run.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._history: dict[str, list[ActorFill]] = {}  # fills before the cutoff, oldest first
        self._old_names: dict[str, str] = {}  # order id -> client order id, before the cutoff

    async def view(
        self, client: KalshiTradingClient, tickers: Collection[str], now_s: int
    ) -> ExchangeView:
        """One round: positions, resting orders and settlements; whole fills of `tickers` only.

        Args:
            client: of the account.
            tickers: markets whose fills are wanted.
            now_s: market time, Unix seconds.

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
        settled, unread = await client.settlements(min_ts=max(now_s - SETTLED_S, 0))
        left_out += unread
        positions, unread = await client.positions()  # last: they lag the most
        by_market = {position.market_ticker: position for position in positions}
        return ExchangeView(
            asked_mono_ns=asked_mono_ns,
            positions={ticker: p.position_e2 for ticker, p in by_market.items()},
            resting=resting,
            fills=fills,
            settlements=_payouts(settled),
            exposures=await self._add_history(client, fills, by_market),
            left_out=left_out + unread,
        )

    async def client_order_id(self, client: KalshiTradingClient, ticker: str, order_id: str) -> str:
        """The name that was given to an order, empty when the exchange has no such order any more.

        Args:
            client: of the account.
            ticker: its market.
            order_id: the exchange's.

        Raises:
            KalshiError: it was not answered, or cannot be read.
        """
        if (known := self._old_names.get(order_id)) is not None:
            return known
        try:
            return (await client.order(order_id)).client_order_id
        except NotFound:
            ended = await client.historical_orders(ticker=ticker)
            self._old_names |= {o.order_id: o.client_order_id for o in ended.items}
            return self._old_names.setdefault(order_id, "")

    async def _add_history(
        self,
        client: KalshiTradingClient,
        fills: dict[str, list[ActorFill]],
        positions: dict[str, Position],
    ) -> dict[str, int]:
        """Add what was filled before the cutoff, where the fills do not explain a position.

        Returns:
            By market the exposure of a position that all lists together do not explain, 1e-6
            dollars; without those whose exposure cannot be its cost.
        """
        exposures, reads = {}, 0
        for ticker, found in fills.items():
            position = positions.get(ticker)
            if position is None or position_of(found) == position.position_e2:
                continue
            if ticker not in self._history:
                if reads == MOST_HISTORIES or not await self._read_history(client, ticker):
                    continue
                reads += 1
            live = {fill.trade_id for fill in found}
            found[:0] = [f for f in self._history[ticker] if f.trade_id not in live]
            worth_e6 = abs(position.position_e2) * ONE_DOLLAR_E4
            if position_of(found) != position.position_e2 and 0 <= position.exposure_e6 <= worth_e6:
                exposures[ticker] = position.exposure_e6
        return exposures

    async def _read_history(self, client: KalshiTradingClient, ticker: str) -> bool:
        """Read a market's fills before the cutoff -> whether all could be read."""
        try:
            found, left_out = await client.historical_fills(ticker=ticker)
        except KalshiError as error:
            self._log("history_not_read", ticker=ticker, error=error)
            return False
        if left_out:
            self._log("history_not_read", ticker=ticker, error=left_out.reason)
            return False
        self._history[ticker] = found[::-1]
        return True


def _payouts(settled: Iterable[Settlement]) -> dict[str, Payout]:
    """The latest word on each market; without those that do not say what was paid."""
    latest = {s.market_ticker: _payout(s) for s in sorted(settled, key=lambda s: s.settled_ms)}
    return {ticker: payout for ticker, payout in latest.items() if payout is not None}


def _payout(settlement: Settlement) -> Payout | None:
    if settlement.result in _VALUES:
        return Payout(_VALUES[settlement.result])
    count_e2 = settlement.yes_count_e2 - settlement.no_count_e2
    if 0 <= settlement.revenue_e6 <= abs(count_e2) * ONE_DOLLAR_E4:
        return Payout(revenue_e6=settlement.revenue_e6)
    return None
