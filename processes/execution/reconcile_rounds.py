"""One round of reconciling: what the exchange reports is applied, then compared. No I/O.

Positions are judged by `account.judge`; beside them the orders that rest and the contracts that are
filled. What differs is in the audit with both numbers; what differs for two rounds stops the market
(`ExecutionState.differing`) until both sides agree again or somebody resumes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from ipc.messages import OrderStatus, TradingEventKind
from ipc.units import format_money
from processes.execution.account import (
    ADOPT_VOTES,
    QUIET_NS,
    TAKE_OVER_VOTES,
    Doubt,
    ExchangeView,
    MarketAccount,
    Payout,
    Verdict,
    judge,
)
from processes.execution.differences import LASTS, Difference, DifferenceWatch, Quantity
from processes.execution.orders import LookUpOrder
from processes.execution.state import ExecutionState

__all__ = ["ReconcileRounds"]

_DIFFER: Final = (Verdict.DISAGREES, Verdict.ADOPT, Verdict.TAKE_OVER)


class ReconcileRounds:
    """Rounds of reconciling, and what they leave open.

    Args:
        state: What is known; changed by what is read.
    """

    def __init__(self, state: ExecutionState) -> None:
        self._state = state
        self._votes: Counter[str] = Counter()
        self._watch = DifferenceWatch()

    def reconcile(self, view: ExchangeView) -> set[str]:
        """Compare with a round of REST reads.

        Returns:
            Markets whose whole list of fills must be read before they can be compared.
        """
        state = self._state
        state.reported = (view.asked_mono_ns, view.positions)
        state.touched |= {t for t, account in state.accounts.items() if account.doubts}
        for ticker, position_e2 in view.positions.items():
            if position_e2 != 0 or ticker not in state.retired:
                state.follow(ticker)
        for report in view.resting:
            state.on_order(report)
        state.end_start()
        for fill in (fill for fills in view.fills.values() for fill in fills):
            state.on_fill(fill, live=False)
        for ticker, payout in view.settlements.items():
            self._on_settlement(ticker, payout)
        self._look_up_absent(view)
        booked = {t: account.position_e2 for t, account in state.accounts.items()}
        verdicts = {t: self._compare(account, view) for t, account in state.accounts.items()}
        self._report_differences(view, booked, verdicts)
        return {ticker for ticker, verdict in verdicts.items() if verdict is Verdict.READ_FILLS}

    def resume(self) -> None:
        """Somebody has seen the differences: markets are stopped again only by new ones."""
        self._watch = DifferenceWatch()
        self._state.differing.clear()

    # What differs.

    def _report_differences(
        self, view: ExchangeView, booked: dict[str, int], verdicts: dict[str, Verdict]
    ) -> None:
        """Publish what is new, what lasts and what is over; stop the markets of what lasts."""
        compared = set()
        found = []
        for ticker, verdict in verdicts.items():
            if verdict in _DIFFER or verdict is Verdict.AGREES:
                compared.add((Quantity.POSITION, ticker))
            if verdict in _DIFFER:
                listed_e2 = view.positions.get(ticker, 0)
                found.append(Difference(Quantity.POSITION, ticker, booked[ticker], listed_e2))
            if self._is_quiet(ticker, view) and not view.left_out.concerns(ticker):
                compared |= {(Quantity.OPEN_ORDERS, ticker), (Quantity.FILLS, ticker)}
        found += [d for d in self._orders_and_fills(view) if d.key in compared]
        for difference, rounds, is_over in self._watch.look(found, compared):
            self._report(difference, rounds, is_over=is_over)
        stopped = self._watch.stopped()
        differing = {t: self._watch.lasting(t) for t in stopped & self._state.accounts.keys()}
        self._state.differing = {t: "; ".join(map(str, d)) for t, d in differing.items()}

    def _is_quiet(self, ticker: str, view: ExchangeView) -> bool:
        account = self._state.accounts.get(ticker)
        return account is not None and view.asked_mono_ns - account.changed_mono_ns >= QUIET_NS

    def _orders_and_fills(self, view: ExchangeView) -> Iterator[Difference]:
        """Markets in which other orders rest than we know, or more is filled than was read."""
        tracked: defaultdict[str, set[str | None]] = defaultdict(set)
        listed: defaultdict[str, set[str | None]] = defaultdict(set)
        booked, reported = Counter[str](), Counter[str]()
        for order in self._state.orders.open_orders():
            if order.status is OrderStatus.RESTING:
                tracked[order.market_ticker].add(order.order_id)
        for report in view.resting:
            listed[report.market_ticker].add(report.order_id)
        for order in self._state.short_of_fills():
            booked[order.market_ticker] += order.booked_e2
            reported[order.market_ticker] += order.fill_e2
        for ticker in tracked.keys() | listed.keys():
            if tracked[ticker] != listed[ticker]:
                counts = len(tracked[ticker]), len(listed[ticker])
                yield Difference(Quantity.OPEN_ORDERS, ticker, *counts)
        for ticker, reported_e2 in reported.items():
            yield Difference(Quantity.FILLS, ticker, booked[ticker], reported_e2)

    def _report(self, difference: Difference, rounds: int, *, is_over: bool) -> None:
        state, ticker = self._state, difference.scope
        kind, why = TradingEventKind.DIFFERENCE, "the exchange reports otherwise"
        if is_over:
            kind, why = TradingEventKind.AGREEMENT, "both agree again"
        elif rounds == LASTS:
            why = f"for {rounds} rounds: nothing is opened in this market until both agree"
        numbers = difference.numbers(rounds)
        state.audit(kind, difference.quantity, why, ticker, numbers)
        state.counters["differences" if not is_over else "differences_over"] += rounds == 1
        if rounds == LASTS and not is_over:
            state.effects.warn(
                "difference_lasts", ticker=ticker, what=difference.quantity, **numbers
            )

    # What was read.

    def _on_settlement(self, ticker: str, payout: Payout) -> None:
        """Book what was paid; the exchange may correct it, of a market that was retired too."""
        state = self._state
        account = state.accounts.get(ticker) or state.retired.get(ticker)
        if account is None:
            return
        before, realized_e6 = account.payout, account.realized_e6
        if not account.settle(payout):
            return
        change_e6 = account.realized_e6 - realized_e6
        facts = {"change_e6": change_e6, "position_e2": account.position_e2}
        if before is None:
            state.counters["settled"] += 1
            state.audit(TradingEventKind.SETTLEMENT, "settled", "the exchange paid", ticker, facts)
        elif change_e6:
            state.counters["settlements_corrected"] += 1
            change = format_money(change_e6)
            state.effects.warn("settlement_corrected", ticker=ticker, change_dollars=change)
            why = "the exchange corrected what it paid"
            state.audit(TradingEventKind.SETTLEMENT, "settlement_corrected", why, ticker, facts)
        if ticker in state.retired:
            state.retired_realized_e6 += change_e6
            state.version += 1
        state.cash_mono_ns = state.now().mono_ns
        state.on_activity(ticker)

    def _look_up_absent(self, view: ExchangeView) -> None:
        """Orders that are resting as far as we know, and that the exchange does not list."""
        state = self._state
        listed = {report.order_id for report in view.resting}
        for order in state.orders.open_orders():
            resting = order.status is OrderStatus.RESTING
            quiet = self._is_quiet(order.market_ticker, view)
            if resting and quiet and order.order_id not in listed:
                state.effects.requests.append(LookUpOrder(order))

    # Positions.

    def _compare(self, account: MarketAccount, view: ExchangeView) -> Verdict:
        verdict = judge(account, view)
        state, ticker = self._state, account.ticker
        if verdict not in (Verdict.ADOPT, Verdict.TAKE_OVER):
            self._votes.pop(ticker, None)
        if verdict is Verdict.AGREES:
            over = {Doubt.CHANNEL} - state.everywhere
            if self._is_after_pause(ticker, view):
                over.add(Doubt.PAUSE)
            state.clear(ticker, Doubt.STARTING, Doubt.MISMATCH, *over)
        elif verdict is Verdict.UNREADABLE:
            account.doubts.add(Doubt.STARTING)  # as unknown as at the start
        elif verdict is Verdict.DISAGREES:
            self._on_mismatch(account, view)
        elif verdict is Verdict.ADOPT:
            self._on_mismatch(account, view)
            self._vote_for_fills(account, view)
        elif verdict is Verdict.TAKE_OVER:
            self._on_mismatch(account, view)
            self._vote_for_position(account, view)
        return verdict

    def _is_after_pause(self, ticker: str, view: ExchangeView) -> bool:
        """Whether the market trades, and the view with its whole fills was begun since it does."""
        since_ns = self._state.since_pause_mono_ns
        is_whole = ticker in view.fills and view.asked_mono_ns > since_ns
        return self._state.trades(ticker) and is_whole

    def _on_mismatch(self, account: MarketAccount, view: ExchangeView) -> None:
        """Warn once, and do not trade the market until both sides agree."""
        state = self._state
        if Doubt.MISMATCH in account.doubts:
            return
        account.doubts.add(Doubt.MISMATCH)
        state.counters["mismatches"] += 1
        state.effects.warn(
            "position_mismatch",
            ticker=account.ticker,
            booked_e2=account.position_e2,
            exchange_e2=view.positions.get(account.ticker, 0),
        )
        state.new_version(account.ticker)

    def _vote_for_fills(self, account: MarketAccount, view: ExchangeView) -> None:
        """Take over the exchange's fills when they have added up to its position twice in a row.

        Once may be a late read.
        """
        self._votes[account.ticker] += 1
        if self._votes[account.ticker] < ADOPT_VOTES:
            return
        before_e2 = account.position_e2
        account.adopt(view.fills[account.ticker])
        self._state.counters["adopted"] += 1
        facts = {"ticker": account.ticker, "booked_e2": account.position_e2}
        self._state.effects.warn("position_adopted", **facts)
        self._on_taken(
            account, "position_adopted", "the exchange's own fills are booked", before_e2
        )

    def _vote_for_position(self, account: MarketAccount, view: ExchangeView) -> None:
        """Take over a position that no list of fills explained several times in a row."""
        self._votes[account.ticker] += 1
        if self._votes[account.ticker] < TAKE_OVER_VOTES:
            return
        before_e2, position_e2 = account.position_e2, view.positions.get(account.ticker, 0)
        account.take_over(position_e2, view.exposures[account.ticker])
        self._state.counters["taken_over"] += 1
        facts = {"booked_e2": position_e2, "cost_dollars": format_money(account.cost_basis_e6)}
        self._state.effects.warn("position_taken_over", ticker=account.ticker, **facts)
        why = "no list of fills explains it: the exchange's position is booked, and only reduced"
        self._on_taken(account, "position_taken_over", why, before_e2)

    def _on_taken(self, account: MarketAccount, name: str, why: str, before_e2: int) -> None:
        """What is booked follows the exchange from here on."""
        state = self._state
        state.cash_mono_ns = state.now().mono_ns
        numbers = {
            "before_e2": before_e2,
            "booked_e2": account.position_e2,
            "cost_e6": account.cost_basis_e6,
        }
        state.audit(TradingEventKind.DIFFERENCE, name, why, account.ticker, numbers)
        state.new_version(account.ticker)
