"""Cash by shard: what we booked against what the exchange reports, in micro-dollars. No I/O.

The exchange says what can be spent on a shard: its cash less what resting orders hold. How much an
order holds is the exchange's own rule, so a report gives bounds of the cash: from the balance
itself to the balance and the full cost, worst fee included, of all that rests. Between two reports
the cash changes by what fills and payouts of the account's markets bring, of all orders, by hand
or not: their markets are followed. Bounds that do not meet are a difference; where nothing rests
they are one number, exact to the micro-dollar.

Less than was booked is a fault: a fill or a fee that we do not know of. More is none: a deposit, an
incentive, a refund; it is reported, and counted from then on. It may also be a payout that is
listed later: for `LATE_NS` as much may be booked again. What is missing on one shard and there on
another was moved by the owner: only the total stops anything. A withdrawal looks like a fault, and
is told apart by whoever made it, with `trading resume`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ipc.clock import NS_PER_S
from processes.execution.differences import Difference, Quantity

__all__ = ["TOTAL_CASH", "CashRead", "CashWatch"]

TOTAL_CASH: Final = "total"
LATE_NS: Final = 600 * NS_PER_S  # how late a payout may be listed after its cash has come


class CashRead(NamedTuple):
    """One report of the exchange, and what is booked at that moment; micro-dollars.

    Attributes:
        balances: What can be spent, by shard.
        holds: The most that resting orders may hold, by shard; None for markets whose shard is not
            known.
        cash: Of every sub-account, by market.
        shards: Of the markets whose shard is known.
        mono_ns: When.
        elsewhere_e6: The most that fills of markets without an account may have moved so far.
    """

    balances: Mapping[int, int]
    holds: Mapping[int | None, int]
    cash: Mapping[str, int]
    shards: Mapping[str, int]
    mono_ns: int = 0
    elsewhere_e6: int = 0


class _Bounds(NamedTuple):
    least_e6: int
    most_e6: int

    def moved(self, least_e6: int, most_e6: int) -> _Bounds:
        return _Bounds(self.least_e6 + least_e6, self.most_e6 + most_e6)


class CashWatch:
    """The bounds of each shard's cash, and of all shards together.

    Args:
        start_cash_e6: Of a sub-account before its first fill.
    """

    def __init__(self, start_cash_e6: int) -> None:
        self._start_cash_e6 = start_cash_e6
        self._bounds: dict[str, _Bounds] = {}  # by scope
        self._seen_e6: dict[str, int] = {}  # cash of every sub-account at the last look
        self._reported: dict[str, _Bounds] = {}
        self._elsewhere_e6 = 0
        self._extra: dict[str, tuple[int, int]] = {}  # by scope: came unbooked, until when, mono ns

    def look(self, read: CashRead) -> list[Difference]:
        """Compare -> what differs; `known` and `exchange` are the bounds that do not meet.

        Args:
            read: While no fill and no payout was on its way.
        """
        self._reported = _reported(read)
        if self._bounds:
            self._move(read)
        self._seen_e6, self._elsewhere_e6 = dict(read.cash), read.elsewhere_e6
        found = []
        for scope, reported in self._reported.items():
            booked = self._bounds.setdefault(scope, reported)
            least_e6 = max(booked.least_e6, reported.least_e6)
            most_e6 = min(booked.most_e6, reported.most_e6)
            if least_e6 <= most_e6:
                self._bounds[scope] = _Bounds(least_e6, most_e6)
            elif self._was_early(scope, booked.least_e6 - reported.most_e6, read.mono_ns):
                self._bounds[scope] = reported
            elif booked.least_e6 > reported.most_e6:
                found.append(Difference(Quantity.CASH, scope, booked.least_e6, reported.most_e6))
            else:
                found.append(Difference(Quantity.CASH, scope, booked.most_e6, reported.least_e6))
        return found

    def accept(self, scope: str, mono_ns: int) -> None:
        """From here on the exchange's last report counts."""
        booked, reported = self._bounds[scope], self._reported[scope]
        if reported.least_e6 > booked.most_e6:
            self._extra[scope] = (reported.least_e6 - booked.most_e6, mono_ns + LATE_NS)
        self._bounds[scope] = reported

    def _was_early(self, scope: str, missing_e6: int, mono_ns: int) -> bool:
        """Whether what is missing came before it was booked; it counts once."""
        extra_e6, until_ns = self._extra.get(scope, (0, 0))
        if not 0 < missing_e6 <= extra_e6 or mono_ns > until_ns:
            return False
        self._extra[scope] = (extra_e6 - missing_e6, until_ns)
        return True

    @property
    def scopes(self) -> list[str]:
        """What was compared last."""
        return list(self._reported)

    def _move(self, read: CashRead) -> None:
        """What was booked since the last look; of a market that is new, any part of it.

        What was filled in a market without an account may have cost or brought up to all of it.
        """
        elsewhere_e6 = read.elsewhere_e6 - self._elsewhere_e6
        for scope, bounds in self._bounds.items():
            self._bounds[scope] = bounds.moved(-elsewhere_e6, elsewhere_e6)
        for ticker, cash_e6 in read.cash.items():
            seen_e6 = self._seen_e6.get(ticker)
            change_e6 = cash_e6 - (self._start_cash_e6 if seen_e6 is None else seen_e6)
            shard, is_new = read.shards.get(ticker), seen_e6 is None
            unsure = (min(change_e6, 0), max(change_e6, 0))
            for scope, bounds in self._bounds.items():
                is_here = scope in (TOTAL_CASH, _name(shard))
                if is_here and not is_new:
                    self._bounds[scope] = bounds.moved(change_e6, change_e6)
                elif is_here or shard is None:
                    self._bounds[scope] = bounds.moved(*unsure)


def _name(shard: int | None) -> str:
    return f"shard {shard}"


def _reported(read: CashRead) -> dict[str, _Bounds]:
    anywhere_e6 = read.holds.get(None, 0)
    found = {}
    for shard, balance_e6 in read.balances.items():
        most_e6 = balance_e6 + read.holds.get(shard, 0) + anywhere_e6
        found[_name(shard)] = _Bounds(balance_e6, most_e6)
    total_e6 = sum(read.balances.values())
    found[TOTAL_CASH] = _Bounds(total_e6, total_e6 + sum(read.holds.values()))
    return found
