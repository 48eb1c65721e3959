"""Sub-accounts: per market its cash, position and P&L as a function of its fills, and our doubts.

A sub-account is what its fills make of `RL_ACTOR_MARKET_CASH`, in the order in which they happened;
each fill counts once, by its trade id, whatever channel brought it and how often. A fill that
arrives late makes the account be computed again. A market is KNOWN, and may be traded, only while
nothing is in doubt.

`judge` compares a sub-account with the exchange's REST reads. Those lag: positions follow fills by
about a second. So a difference counts only when the market has been quiet for `QUIET_NS`, and the
booked fills give way only when the exchange's own list of fills adds up to the exchange's position,
twice in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ipc import account_table as a
from ipc.account_table import OpenOrder, put_orders
from ipc.clock import NS_PER_MS
from ipc.messages import ActorFill, ActorPosition
from models.trading.portfolio import Portfolio
from processes.adapters.kalshi.normalise import ExchangeOrder
from processes.adapters.kalshi.schemas.decoding import LeftOut

__all__ = [
    "ADOPT_VOTES",
    "QUIET_NS",
    "Doubt",
    "ExchangeView",
    "MarketAccount",
    "Moment",
    "Verdict",
    "judge",
    "position_of",
    "signed_e2",
]

QUIET_NS: Final = 2_000_000_000
ADOPT_VOTES: Final = 2


class Moment(NamedTuple):
    """Market time and this machine's monotonic time."""

    ns: int
    mono_ns: int

    @property
    def ms(self) -> int:
        """Market time in milliseconds."""
        return self.ns // NS_PER_MS


class Doubt(StrEnum):
    """Why a market's account is not known."""

    STARTING = "not_reconciled_yet"
    CHANNEL = "private_channel_down"
    MISMATCH = "exchange_disagrees"
    ORDER = "order_of_unknown_outcome"
    FILLS = "fills_missing"
    LEFTOVER = "order_of_an_earlier_run"
    JOURNAL = "journal_refuses"
    REST = "exchange_not_answering"


def signed_e2(fill: ActorFill) -> int:
    """What a fill does to the position, 1e-2 contracts, YES positive."""
    return fill.count_e2 if fill.book_side == "bid" else -fill.count_e2


def position_of(fills: Iterable[ActorFill]) -> int:
    """The position that fills add up to."""
    return sum(signed_e2(fill) for fill in fills)


def _ts_ms(fill: ActorFill) -> int:
    """The sort key; fills of one millisecond stay in the order in which they arrived."""
    return fill.ts_ms


class MarketAccount:
    """One market's sub-account: money in 1e-6 dollars, counts in 1e-2 contracts, YES positive.

    `changed_mono_ns` is when the exchange last reported anything about it, `settled_e4` the value
    of one YES contract that it paid out, None before.
    """

    def __init__(self, ticker: str, start_cash_e6: int) -> None:
        self.ticker = ticker
        self.doubts: set[Doubt] = {Doubt.STARTING}
        self.settled_e4: int | None = None
        self.changed_mono_ns = 0
        self.version = 0
        self._start_cash_e6 = start_cash_e6
        self._fills: dict[str, ActorFill] = {}
        self._last_ms = 0
        self._portfolio = Portfolio(start_cash_e6)

    @property
    def known(self) -> bool:
        """Whether the market may be traded."""
        return not self.doubts

    @property
    def row(self) -> a.AccountRow:
        """The account as the fee and cash rules of `models` read it."""
        return self._portfolio.row

    @property
    def cash_e6(self) -> int:
        """Cash before any hold for resting orders."""
        return self._portfolio.cash_e6

    @property
    def position_e2(self) -> int:
        """Signed, YES positive."""
        return self._portfolio.position_e2

    @property
    def realized_e6(self) -> int:
        """Closed profit and loss, fees apart."""
        return self._portfolio.realized_e6

    @property
    def fees_e6(self) -> int:
        """Fees paid."""
        return self._portfolio.fees_e6

    def book(self, fill: ActorFill) -> bool:
        """Book a fill; False when it was booked before."""
        if fill.trade_id in self._fills:
            return False
        self._fills[fill.trade_id] = fill
        if _ts_ms(fill) < self._last_ms or self.settled_e4 is not None:
            self._recompute()
        else:
            self._apply(fill)
        return True

    def settle(self, yes_value_e4: int) -> bool:
        """Pay out at the market's result; False when that was done before."""
        if self.settled_e4 is not None:
            return False
        self.settled_e4 = yes_value_e4
        self._portfolio.settle(yes_value_e4)
        return True

    def adopt(self, fills: Iterable[ActorFill]) -> None:
        """Forget what is booked and start from the exchange's own list, oldest first."""
        self._fills = {fill.trade_id: fill for fill in fills}
        self._recompute()

    def _recompute(self) -> None:
        self._portfolio = Portfolio(self._start_cash_e6)
        self._last_ms = 0
        for fill in sorted(self._fills.values(), key=_ts_ms):
            self._apply(fill)
        if self.settled_e4 is not None:
            self._portfolio.settle(self.settled_e4)

    def _apply(self, fill: ActorFill) -> None:
        self._portfolio.fill(fill.book_side, fill.yes_price_e4, fill.count_e2, fill.fee_e6)
        self._last_ms = _ts_ms(fill)

    def row_for_table(self, orders: list[OpenOrder], ts_ns: int) -> a.AccountRow:
        """The row that other processes read."""
        row = self._portfolio.row.copy()
        row[a.ACCOUNT_VERSION] = self.version
        row[a.KNOWN] = int(self.known)
        row[a.TS_NS] = ts_ns
        put_orders(row, orders[: a.MAX_ORDERS])
        return row

    def message(self, open_orders: int, ts_ns: int) -> ActorPosition:
        """What is published and journalled of the sub-account."""
        return ActorPosition(
            market_ticker=self.ticker,
            position_e2=self.position_e2,
            cost_basis_e6=self._portfolio.cost_basis_e6,
            cash_e6=self.cash_e6,
            realized_e6=self.realized_e6,
            fees_e6=self.fees_e6,
            open_orders=open_orders,
            account_version=self.version,
            ts_ns=ts_ns,
        )


class ExchangeView(msgspec.Struct, frozen=True):
    """One round of reads, begun at `asked_mono_ns`.

    `positions` lacks flat and settled markets; `fills` holds the whole history of its markets,
    oldest first, and only of those that were asked for; `settlements` the value of YES by market.
    A market that `left_out` concerns is not known: rows about it could not be read.
    """

    asked_mono_ns: int
    positions: Mapping[str, int]
    resting: Sequence[ExchangeOrder]
    fills: Mapping[str, Sequence[ActorFill]]
    settlements: Mapping[str, int]
    left_out: LeftOut = LeftOut()


class Verdict(StrEnum):
    """What a comparison of one market comes to."""

    AGREES = "agrees"
    UNREADABLE = "unreadable"  # rows about it were left out
    UNDECIDED = "undecided"  # too fresh to tell
    READ_FILLS = "read_fills"
    ADOPT = "adopt"  # the exchange agrees with itself and not with what is booked
    DISAGREES = "disagrees"


def judge(account: MarketAccount, view: ExchangeView) -> Verdict:
    """Compare one market with a view whose orders, fills and settlements were applied already."""
    if view.left_out.concerns(account.ticker):
        return Verdict.UNREADABLE
    reported_e2 = view.positions.get(account.ticker, 0)
    fills = view.fills.get(account.ticker)
    if fills is None and account.doubts & {Doubt.STARTING, Doubt.CHANNEL}:
        return Verdict.READ_FILLS  # fills may have been missed
    if reported_e2 == account.position_e2:
        return Verdict.AGREES
    if view.asked_mono_ns - account.changed_mono_ns < QUIET_NS:
        return Verdict.UNDECIDED
    if fills is None:
        return Verdict.READ_FILLS
    if account.settled_e4 is None and position_of(fills) == reported_e2:
        return Verdict.ADOPT
    return Verdict.DISAGREES
