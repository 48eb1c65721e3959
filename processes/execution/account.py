"""Sub-accounts: per market its cash, position and P&L as a function of its fills, and our doubts.

A sub-account is what its fills make of `RL_ACTOR_MARKET_CASH`, in the order in which they happened;
each fill counts once, by its trade id, whatever channel brought it and how often. A fill that
arrives late makes the account be computed again. A market is KNOWN, and may be traded, only while
nothing is in doubt.

`judge` compares a sub-account with the exchange's REST reads. Those lag: positions follow fills by
about a second (PROTOCOL.md, 6). So a difference counts only when the market has been quiet for
`QUIET_NS`, and the booked fills give way only when the exchange's own list of fills adds up to the
exchange's position, twice in a row. Where not even the lists of fills and of history add up to it,
the position itself is taken over, with its exposure as cost basis; such a market may only be
reduced.

`ReportedFees` is what each market charges, as the collector says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ipc import account_table as a
from ipc.account_table import OpenOrder, put_orders
from ipc.clock import NS_PER_MS
from ipc.messages import ActorFill, ActorPosition
from models.trading.fees import FeeBound, FeeSchedule, FeeStep, MarketFees, rule_at_ms
from models.trading.portfolio import Portfolio
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder

__all__ = [
    "ADOPT_VOTES",
    "QUIET_NS",
    "TAKE_OVER_VOTES",
    "Doubt",
    "ExchangeView",
    "MarketAccount",
    "Moment",
    "Payout",
    "ReportedFees",
    "ShardFunds",
    "ShardMoney",
    "Verdict",
    "judge",
    "position_of",
    "signed_e2",
]

QUIET_NS: Final = 2_000_000_000
ADOPT_VOTES: Final = 2
TAKE_OVER_VOTES: Final = 3  # for a position that no list explains


class Moment(NamedTuple):
    """Market time and this machine's monotonic time."""

    ns: int
    mono_ns: int

    @property
    def ms(self) -> int:
        """Market time in milliseconds."""
        return self.ns // NS_PER_MS


class Doubt(StrEnum):
    """Why a market's account is not known; each ends by itself when its reason does.

    Attributes:
        STARTING: Not compared with the exchange yet.
        CHANNEL: The private channel is down, or was and the account was not compared since.
        MISMATCH: The exchange reports another position.
        ORDER: An order was sent, and it is not known whether it exists.
        FILLS: More is filled than fills have arrived.
        LEFTOVER: An order of an earlier run still rests.
        JOURNAL: The journal refuses records.
        REST: The exchange has not answered REST for several rounds.
    """

    STARTING = "not_reconciled_yet"
    MONEY = "balance_not_read_yet"
    CHANNEL = "private_channel_down"
    MISMATCH = "exchange_disagrees"
    ORDER = "order_of_unknown_outcome"
    FILLS = "fills_missing"
    LEFTOVER = "order_of_an_earlier_run"
    JOURNAL = "journal_refuses"
    REST = "exchange_not_answering"
    PAUSE = "not_reconciled_since_the_pause"


class Payout(NamedTuple):
    """What the exchange paid for a market's position, by its latest word.

    A result of yes or no gives the value; any other the revenue, which is exact where the value of
    the settlement's row is cut to whole cents.
    """

    yes_value_e4: int | None = None  # of one YES contract, 1e-4 dollars
    revenue_e6: int | None = None  # of the whole position, micro-dollars


class Opening(NamedTuple):
    """A position that was taken over without its fills; those known by then are part of it."""

    position_e2: int
    cost_e6: int
    trade_ids: frozenset[str]


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

    Args:
        ticker: The market.
        start_cash_e6: Cash before its first fill.
        adopts: Whether what is held counts as this stack's, whoever bought it.

    Attributes:
        ticker: The market.
        doubts: Why it is not known; empty when it may be traded.
        payout: What the exchange paid at the end, None before.
        reduce_only: Whether it holds a position whose fills are not known.
        changed_mono_ns: When the exchange last reported anything about it.
        version: Of the whole account at its last change.
    """

    def __init__(self, ticker: str, start_cash_e6: int, *, adopts: bool = False) -> None:
        self.ticker = ticker
        self.doubts: set[Doubt] = {Doubt.STARTING}
        self.payout: Payout | None = None
        self.reduce_only = False
        self.changed_mono_ns = 0
        self.version = 0
        self._start_cash_e6 = start_cash_e6
        self._fills: dict[str, ActorFill] = {}
        self._opening: Opening | None = None
        self._last_ms = 0
        self._portfolio = Portfolio(start_cash_e6)
        self._adopts = adopts
        self._claims: dict[str, bool] = {}  # order ids of fills -> whether the order is ours
        self._own_sum_e2: int | None = None  # of our own fills; None: to be added up again

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
        return int(self._portfolio.row[a.CASH_E6])

    @property
    def position_e2(self) -> int:
        """Signed, YES positive."""
        return int(self._portfolio.row[a.POSITION_E2])

    @property
    def own_e2(self) -> int:
        """What of the position this stack bought, signed like it; it may sell no more than that.

        A position that no list of fills explains counts as its own.
        """
        held_e2 = self.position_e2
        if self._adopts or held_e2 == 0:
            return held_e2
        if self._own_sum_e2 is None:
            self._own_sum_e2 = self._sum_own()
        own_e2 = self._own_sum_e2
        return max(0, min(own_e2, held_e2)) if held_e2 > 0 else min(0, max(own_e2, held_e2))

    def _sum_own(self) -> int:
        opened_e2, known = 0, frozenset[str]()
        if self._opening is not None:
            opened_e2, known = self._opening.position_e2, self._opening.trade_ids
        fills = (f for f in self._fills.values() if f.trade_id not in known)
        return opened_e2 + position_of(f for f in fills if self._claims.get(f.order_id))

    def claim(self, order_id: str, *, own: bool) -> None:
        """Note whose order it is that was filled."""
        if self._claims.get(order_id) is not own:
            self._claims[order_id] = own
            self._own_sum_e2 = None

    def unclaimed(self, more: Iterable[ActorFill] = ()) -> set[str]:
        """Orders of fills, booked or `more`, of which it is not known whose they are."""
        return {f.order_id for f in (*self._fills.values(), *more)} - self._claims.keys()

    @property
    def cost_basis_e6(self) -> int:
        """What the present position cost, fees apart."""
        return self._portfolio.cost_basis_e6

    @property
    def realized_e6(self) -> int:
        """Closed profit and loss, fees apart."""
        return self._portfolio.realized_e6

    @property
    def fees_e6(self) -> int:
        """Fees paid."""
        return self._portfolio.fees_e6

    @property
    def first_fill_ms(self) -> int | None:
        """When it was first filled, exchange time; None without fills, 0 when that is not known."""
        if self._opening is not None:
            return 0
        return min(map(_ts_ms, self._fills.values()), default=None)

    def book(self, fill: ActorFill) -> bool:
        """Book a fill, wherever it belongs in time.

        Args:
            fill: Of this market.

        Returns:
            False when it was booked before, by its `trade_id`.
        """
        if fill.trade_id in self._fills:
            return False
        self._fills[fill.trade_id] = fill
        self._own_sum_e2 = None
        if _ts_ms(fill) < self._last_ms or self.payout is not None:
            self._recompute()
        else:
            self._apply(fill)
        return True

    def settle(self, payout: Payout) -> bool:
        """Pay out at the market's result, or correct it.

        Args:
            payout: The exchange's latest word.

        Returns:
            False when it was booked like this before.
        """
        if payout == self.payout:
            return False
        self.payout = payout
        self._recompute()
        return True

    def adopt(self, fills: Iterable[ActorFill]) -> None:
        """Forget what is booked and start from the exchange's own list, oldest first."""
        self._fills = {fill.trade_id: fill for fill in fills}
        self._opening = None
        self._recompute()

    def take_over(self, position_e2: int, cost_e6: int) -> None:
        """Start from the exchange's position, where its lists of fills do not explain it.

        Args:
            position_e2: As the exchange reports it, YES positive.
            cost_e6: Its exposure, which stands for the cost that is not known.
        """
        self._opening = Opening(position_e2, cost_e6, frozenset(self._fills))
        self._recompute()

    def _recompute(self) -> None:
        self._own_sum_e2 = None
        self._portfolio = Portfolio(self._start_cash_e6)
        self._last_ms, self.reduce_only = 0, False
        known: frozenset[str] = frozenset()
        if self._opening is not None:
            self._portfolio.open(self._opening.position_e2, self._opening.cost_e6)
            self.reduce_only, known = self.position_e2 != 0, self._opening.trade_ids
        for fill in sorted(self._fills.values(), key=_ts_ms):
            if fill.trade_id not in known:
                self._apply(fill)
        self._pay_out()

    def _apply(self, fill: ActorFill) -> None:
        self._portfolio.fill(fill.book_side, fill.yes_price_e4, fill.count_e2, fill.fee_e6)
        self._last_ms = _ts_ms(fill)
        if self.position_e2 == 0:  # what it cost is history: everything from here on is known
            self.reduce_only = False

    def _pay_out(self) -> None:
        if self.payout is None:
            return
        if self.payout.yes_value_e4 is not None:
            self._portfolio.settle(self.payout.yes_value_e4)
        elif self.payout.revenue_e6 is not None:
            self._portfolio.pay_out(self.payout.revenue_e6)

    def row_for_table(self, orders: list[OpenOrder], ts_ns: int) -> a.AccountRow:
        """The row that other processes read.

        Args:
            orders: Resting orders, oldest first; those beyond `MAX_ORDERS` are left out.
            ts_ns: Market time now.

        Returns:
            int64[ACCOUNT_WORDS], a copy.
        """
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
            cost_basis_e6=self.cost_basis_e6,
            cash_e6=self.cash_e6,
            realized_e6=self.realized_e6,
            fees_e6=self.fees_e6,
            open_orders=open_orders,
            account_version=self.version,
            ts_ns=ts_ns,
        )


class ShardFunds(NamedTuple):
    """What new orders of one market may use: money on its shard of the exchange, 1e-6 dollars.

    `richest` is the other shard with the most, `richest_e6` what is there; None without another.
    """

    shard: int
    free_e6: int
    richest: int | None = None
    richest_e6: int = 0


class ShardMoney:
    """Money on each shard of the exchange: its own figure, and what we did since it was read.

    The exchange's balance of a shard is less what resting orders hold there. Between two reads a
    market's *worth*, its cash less what its resting buys may take, says what changes: an order
    takes from it, a cancel gives back, a fill does neither. What changed while a read was under way
    may be in its answer or not; the smaller figure counts.
    """

    def __init__(self) -> None:
        self.shards: dict[str, int] = {}  # of the followed markets
        self._worth_e6: dict[str, int] = {}
        self._moved_e6: Counter[int] = Counter()  # by shard: changes of worth, ever
        self._base_e6: dict[int, int] = {}  # by shard: the exchange's figure less what moved then
        self.is_known = False

    def update(self, ticker: str, worth_e6: int, *, is_known: bool) -> None:
        """A market's worth now; what an account that is not known seems to gain does not count."""
        shard, before_e6 = self.shards.get(ticker), self._worth_e6.get(ticker)
        self._worth_e6[ticker] = worth_e6
        if shard is None or before_e6 is None:
            return
        change_e6 = worth_e6 - before_e6
        if change_e6 < 0 or is_known:
            self._moved_e6[shard] += change_e6

    def forget(self, ticker: str) -> None:
        """The market is over."""
        self.shards.pop(ticker, None)
        self._worth_e6.pop(ticker, None)

    def begin_read(self) -> Mapping[int, int]:
        """Before the balance is asked for: what `on_balance` wants to know."""
        return self._moved_e6.copy()

    def on_balance(self, by_shard_e6: Mapping[int, int], begun: Mapping[int, int]) -> None:
        """The exchange's own figures; a shard that it does not name holds nothing."""
        shards = {*by_shard_e6, *self.shards.values()}
        moved = {i: max(begun.get(i, 0), self._moved_e6[i]) for i in shards}
        self._base_e6 = {i: by_shard_e6.get(i, 0) - moved[i] for i in shards}
        self.is_known = True

    def by_shard_e6(self) -> dict[int, int]:
        """What new orders may use on each shard; empty while nothing is known."""
        return {i: base + self._moved_e6[i] for i, base in sorted(self._base_e6.items())}

    def funds(self, ticker: str) -> ShardFunds | None:
        """What new orders of a market may use; None while that is not known."""
        shard = self.shards.get(ticker)
        if shard is None or not self.is_known:
            return None
        free = self.by_shard_e6()
        others = {i: e6 for i, e6 in free.items() if i != shard}
        richest = max(others, key=lambda i: others[i], default=None)
        richest_e6 = 0 if richest is None else others[richest]
        return ShardFunds(shard, free.get(shard, 0), richest, richest_e6)


class ExchangeView(msgspec.Struct, frozen=True):
    """One round of reads.

    Attributes:
        asked_mono_ns: When it was begun.
        positions: Signed, 1e-2 contracts, by market; flat and settled markets are missing.
        resting: All resting orders of the account.
        fills: The whole history of the markets that were asked for, oldest first.
        settlements: The latest word on each market that was asked for.
        exposures: What the positions cost, of markets whose fills were looked for before the
            exchange's cutoff too.
        left_out: Rows that could not be read: a market that they concern is not known.
    """

    asked_mono_ns: int
    positions: Mapping[str, int]
    resting: Sequence[ExchangeOrder]
    fills: Mapping[str, Sequence[ActorFill]]
    settlements: Mapping[str, Payout]
    exposures: Mapping[str, int] = {}
    left_out: LeftOut = LeftOut()


class Verdict(StrEnum):
    """What a comparison of one market comes to.

    Attributes:
        AGREES: Both have the same position.
        UNREADABLE: Rows about the market were left out.
        UNDECIDED: Too fresh: reads may lag what has just happened.
        READ_FILLS: Its whole list of fills must be read before it can be compared.
        ADOPT: The exchange's own fills add up to its position, and not to what is booked.
        TAKE_OVER: None of the exchange's lists explains its position.
        DISAGREES: As TAKE_OVER, where the fills before the exchange's cutoff have not been read
            yet, or the market has settled.
    """

    AGREES = "agrees"
    UNREADABLE = "unreadable"
    UNDECIDED = "undecided"
    READ_FILLS = "read_fills"
    ADOPT = "adopt"
    TAKE_OVER = "take_over"
    DISAGREES = "disagrees"


def judge(account: MarketAccount, view: ExchangeView) -> Verdict:
    """Compare one market with a view whose orders, fills and settlements were applied already.

    Args:
        account: The sub-account; not changed.
        view: A round of reads.
    """
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
    if account.payout is not None:
        return Verdict.DISAGREES
    if position_of(fills) == reported_e2:
        return Verdict.ADOPT
    return Verdict.TAKE_OVER if account.ticker in view.exposures else Verdict.DISAGREES


class ReportedFees:
    """What each market charges, as the collector reports it with its session.

    For the bounds of risk and for the account table. The collector reads fees with discovery, so
    execution reads none itself; a market whose fees were not reported is charged the usual ones.
    """

    def __init__(self) -> None:
        self._steps: dict[str, tuple[FeeStep, ...]] = {}
        self._fees: dict[str, MarketFees] = {}
        self._shown: dict[str, FeeSchedule] = {}

    def report(self, fees: Mapping[str, Sequence[tuple[int, str, int]]], now_ms: int) -> list[str]:
        """Take what the collector says of its markets.

        Args:
            fees: As `SessionInfo.fees`.
            now_ms: Market time.

        Returns:
            The markets whose terms cannot be charged by; what was known of them stays.
        """
        refused = []
        for ticker, reported in fees.items():
            steps = tuple(FeeStep(*step) for step in reported)
            if self._steps.get(ticker) == steps:
                continue
            self._steps[ticker] = steps
            try:
                self._fees[ticker] = MarketFees.of(rule_at_ms(now_ms), steps)
            except ValueError:
                refused.append(ticker)
        return refused

    def in_force(self, ticker: str, now_ms: int) -> FeeSchedule | None:
        """What a market charges now; None when that is not known."""
        fees = self._fees.get(ticker)
        return None if fees is None else fees.at_ms(now_ms)

    def bound(self, ticker: str, from_ms: int, until_ms: int) -> FeeBound:
        """The most that a fill of a market in a stretch of time may be charged."""
        fees = self._fees.get(ticker)
        return FeeBound() if fees is None else fees.bound(from_ms, until_ms)

    def changed(self, now_ms: int) -> list[str]:
        """The markets that charge otherwise than at the last call."""
        found = []
        for ticker in self._fees:
            schedule = self._fees[ticker].at_ms(now_ms)
            if self._shown.get(ticker) != schedule:
                self._shown[ticker] = schedule
                found.append(ticker)
        return found

    def forget(self, ticker: str) -> None:
        """The market is over."""
        for known in (self._steps, self._fees, self._shown):
            known.pop(ticker, None)
