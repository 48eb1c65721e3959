"""Compares the cash of the account with the exchange's, and stops opening where it lacks for long.

What is compared, and why more is no fault, is in `cash_watch`. A round is left out while a fill or
a payout may be on its way, because balances lag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ipc.clock import mono_ns
from ipc.messages import TradingEventKind
from ipc.units import ONE_DOLLAR_E4, format_money
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.execution.account import QUIET_NS
from processes.execution.cash_watch import TOTAL_CASH, CashRead, CashWatch
from processes.execution.differences import LASTS, Difference, DifferenceWatch, Quantity
from processes.execution.manager import KalshiOrderManager

__all__ = ["CASH_LATCH", "CashComparison"]

CASH_LATCH: Final = "cash_difference"


class CashComparison:
    """One comparison at the end of each round of reconciling.

    Args:
        manager: whose accounts are compared, and whose limits are latched.
        start_cash_e6: of every sub-account.
    """

    def __init__(self, manager: KalshiOrderManager, start_cash_e6: int) -> None:
        self._manager = manager
        self._state = manager.state
        self._cash = CashWatch(start_cash_e6)
        self._watch = DifferenceWatch()
        self._held_before: Mapping[int | None, int] = {}

    async def compare(self, client: KalshiTradingClient) -> None:
        """Read the balance and compare it, unless something that changes cash is on its way.

        Raises:
            KalshiError: the balance was not read.
        """
        state, asked_ns, cash_ns = self._state, mono_ns(), self._state.cash_mono_ns
        in_doubt = any(not account.known for account in state.accounts.values())
        if in_doubt or state.now().mono_ns - cash_ns < QUIET_NS or not state.accounts:
            return
        begun, before = state.money.begin_read(), self._holds()
        balance = await client.balance()
        shards = await client.shard_balances(balance)
        if state.cash_mono_ns != cash_ns or mono_ns() - asked_ns > QUIET_NS:
            return
        state.on_balance(shards, begun)
        self.take(shards, before)
        state.counters["cash_compared"] += 1

    def take(self, balances: Mapping[int, int], held_before: Mapping[int | None, int]) -> None:
        """Compare one report.

        Args:
            balances: What can be spent, by shard, micro-dollars.
            held_before: What resting orders may have held when it was asked for.
        """
        held = _most(held_before, self._holds())
        accounts = {**self._state.retired, **self._state.accounts}
        cash = {ticker: account.cash_e6 for ticker, account in accounts.items()}
        holds, self._held_before = _most(held, self._held_before), held
        now_ns, elsewhere_e6 = self._state.now().mono_ns, self._state.elsewhere_e6
        shards = self._state.money.shards
        found = self._cash.look(CashRead(balances, holds, cash, shards, now_ns, elsewhere_e6))
        compared = {(Quantity.CASH, scope) for scope in self._cash.scopes}
        is_short = any(d.scope == TOTAL_CASH and d.exchange < d.known for d in found)
        for difference, rounds, is_over in self._watch.look(found, compared):
            self._report(difference, rounds, is_over=is_over, is_short=is_short)
            if rounds == LASTS and not is_over:
                self._cash.accept(difference.scope, now_ns)
                self._watch.forget(difference.key)

    def _holds(self) -> Counter[int | None]:
        """The most that all open orders may hold, by shard; a change on its way counts too."""
        state, holds = self._state, Counter[int | None]()
        now_ms = state.now().ms
        for order in state.orders.open_orders():
            fees = state.fees.bound(order.market_ticker, now_ms, now_ms)
            worst_e4, count_e2 = order.worst_yes_price_e4, order.most_e2
            cost_e4 = worst_e4 if order.book_side == "bid" else ONE_DOLLAR_E4 - worst_e4
            fee_e6 = fees.fee_e6(cost_e4, count_e2, is_buy=True, is_taker=True)
            holds[state.money.shards.get(order.market_ticker)] += cost_e4 * count_e2 + fee_e6
        return holds

    def _report(
        self, difference: Difference, rounds: int, *, is_over: bool, is_short: bool
    ) -> None:
        """A line of the audit; what is missing from the total for two rounds latches."""
        state, missing_e6 = self._state, difference.known - difference.exchange
        numbers = difference.numbers(rounds)
        kind, why = TradingEventKind.DIFFERENCE, f"cash of {difference.scope}"
        if is_over:
            kind, why = TradingEventKind.AGREEMENT, f"{why}: both agree again"
        elif missing_e6 < 0:
            why += ": more than was booked, such as a deposit; no fault"
        elif is_short:
            why += ": less than was booked"
        else:
            why += ": less than was booked, and the total agrees: moved between shards"
        state.audit(kind, Quantity.CASH, why, None, numbers)
        if is_over or rounds != LASTS:
            return
        state.effects.warn("cash_differs", scope=difference.scope, **numbers)
        if difference.scope == TOTAL_CASH and missing_e6 > 0:
            texts = format_money(difference.exchange), format_money(difference.known)
            self._manager.account_limits.latch(CASH_LATCH, *texts, TOTAL_CASH, numbers)


def _most(one: Mapping[int | None, int], other: Mapping[int | None, int]) -> dict[int | None, int]:
    return {shard: max(one.get(shard, 0), other.get(shard, 0)) for shard in {*one, *other}}
