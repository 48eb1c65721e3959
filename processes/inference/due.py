"""Which markets are due, and on what row: triggers in, tick rows and decision requests out.

A trigger only says that a market has a new tick row; what is evaluated is always the row itself,
read from the collector's table. Every row passes the gates of `Gate` before it is evaluated, and
again before anything is decided on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.clock import NS_PER_MS, NS_PER_S, mono_ns
from ipc.messages import TradingState, TradingStatus, Trigger
from ipc.shared_file import AttachedTable
from models.trading.actions import Pricing
from processes.inference.decide import BATCH, DecisionRequest, TickHistories
from processes.runtime.log import Log

__all__ = [
    "HEARTBEAT_LIMIT_NS",
    "AccountRows",
    "ActorMarkets",
    "BookRows",
    "DueMarkets",
    "EvaluatedTick",
    "Gate",
    "RequestBuilder",
    "SessionOfTable",
    "TableEpoch",
    "TickReader",
    "age_gate",
    "closed_gate",
    "copied",
    "tick_fits",
]

HEARTBEAT_LIMIT_NS: Final = 2 * NS_PER_S  # writers beat every 50 ms; beyond this they are stopped

TableEpoch = tuple[int, int]  # (times attached, generation): another epoch voids what was read


class Gate(StrEnum):
    """Why nothing is decided on a tick; `gated_<value>` counts the decisions that were held back.

    Attributes:
        BUSY: The row is being written.
        WRITER_DEAD: The collector's lock is free.
        WRITER_STOPPED: The collector's heartbeat is too old.
        OTHER_MARKET: The row was given to another market since the tick.
        EMPTY: The book has no snapshot.
        STALE: The book is out of date.
        UNRECORDED: The journal refused a change of the book.
        UNPERSISTED: The database lags too far behind the journals.
        OTHER_INCARNATION: The book went STALE and came back since the tick.
        CLOSED: The market is closed, or the exchange.
        PAUSED: The exchange has stopped trading without announcing it.
        MAINTENANCE: The exchange is in maintenance, or about to be.
        MARKET_PAUSED: The market is paused.
        TRADING_UNKNOWN: It is not known whether the exchange trades.
        OLD_DATA: The tick's frame came late or has waited here for longer than
            `RL_MAX_DATA_AGE_MS`; a quiet market is not old.
        NOT_ELIGIBLE: In mode `hot`, the market is about to be left, or nothing of it is closed yet.
    """

    BUSY = "busy"
    WRITER_DEAD = "writer_dead"
    WRITER_STOPPED = "writer_stopped"
    OTHER_MARKET = "other_market"
    EMPTY = "empty"
    STALE = "stale"
    UNRECORDED = "unrecorded"
    OTHER_INCARNATION = "other_incarnation"
    CLOSED = "closed"
    UNPERSISTED = "unpersisted"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    MARKET_PAUSED = "market_paused"
    TRADING_UNKNOWN = "trading_unknown"
    OLD_DATA = "old_data"
    NOT_ELIGIBLE = "not_eligible"


_TRADING_GATES: Final = {
    TradingState.TRADING: None,
    TradingState.PAUSED: Gate.PAUSED,
    TradingState.MAINTENANCE: Gate.MAINTENANCE,
    TradingState.CLOSED: Gate.CLOSED,
    TradingState.MARKET_PAUSED: Gate.MARKET_PAUSED,
    TradingState.UNKNOWN: Gate.TRADING_UNKNOWN,
}


def tick_fits(tick_row: b.Row, trigger: Trigger) -> bool:
    """Whether a tick row holds the announced tick of the announced market, or a newer one."""
    tick_event_no = int(tick_row[b.TICK_EVENT_NO])
    return (
        tick_row[b.STATE] == b.LIVE
        and tick_row[b.GENERATION] == trigger.generation
        and tick_row[b.EVENT_NO] == tick_event_no
        and tick_event_no >= trigger.tick_event_no
    )


def closed_gate(tick_row: b.Row, live: b.Row) -> Gate | None:
    """The gate that forbids a decision on a tick row.

    A book that was STALE in between is another incarnation: no decision on ticks from before.

    Args:
        tick_row: The row that would be decided on.
        live: The market's live row as it is now.

    Returns:
        None: decide.
    """
    flags = int(live[b.FLAGS])
    close_ms = int(tick_row[b.CLOSE_MS])
    checks = (
        (live[b.MARKET] != tick_row[b.MARKET], Gate.OTHER_MARKET),
        (live[b.GENERATION] != tick_row[b.GENERATION], Gate.OTHER_MARKET),
        (live[b.STATE] == b.EMPTY, Gate.EMPTY),
        (live[b.STATE] != b.LIVE, Gate.STALE),
        (bool(flags & b.UNRECORDED), Gate.UNRECORDED),
        (live[b.LIVE_EVENT_NO] != tick_row[b.LIVE_EVENT_NO], Gate.OTHER_INCARNATION),
        (bool(flags & b.CLOSED), Gate.CLOSED),
        (0 < close_ms <= int(live[b.RECV_NS]) // NS_PER_MS, Gate.CLOSED),
    )
    return next((gate for is_shut, gate in checks if is_shut), None)


def age_gate(tick_row: b.Row, now_mono_ns: int, max_age_ms: int | None) -> Gate | None:
    """The gate on old data: its age when it was received, and how long it has waited since."""
    if max_age_ms is None:
        return None
    waited_ms = (now_mono_ns - int(tick_row[b.FRAME_MONO_NS])) // NS_PER_MS
    return Gate.OLD_DATA if b.data_age_ms(tick_row) + waited_ms > max_age_ms else None


class ActorMarkets(Protocol):
    """In which markets the actor acts: a fixed choice, or the hot one."""

    def trades(self, ticker: str) -> bool:
        """Whether decisions are made for this market."""
        ...

    def forbids(self, ticker: str, tick_row: b.Row, /) -> bool:
        """Whether the choice speaks against a decision on this very row."""
        ...

    def exit_pricing(self, ticker: str, tick_row: b.Row, /) -> Pricing | None:
        """How an order is priced that closes what is held; None: the policy decides."""
        ...


class BookRows(AttachedTable[BookTable]):
    """The collector's rows, as one decision reads them."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._live = np.zeros(0, np.int64)

    def epoch(self) -> TableEpoch | None:
        """Attach the table that is there now -> its epoch; None while there is no table.

        Raises:
            LayoutError: the file is no table of this version.
        """
        before = self.table
        table = self.refresh()
        if table is None:
            return None
        if table is not before:
            self._live = np.zeros(table.row_words, np.int64)
            table.read(0, self._live)  # loads the kernel now, not at the first tick
        return self.attached, table.generation

    @property
    def row_words(self) -> int:
        """Words (int64) of a row, 0 while there is no table."""
        return len(self._live)

    def tickers(self) -> list[str]:
        """The markets that the table holds."""
        return list(self.table.rows) if self.table else []

    def read_tick(self, trigger: Trigger, out: b.Row) -> Gate | None:
        """Copy the tick row that a trigger announces.

        Args:
            trigger: Of the collector.
            out: int64[row_words], overwritten.

        Returns:
            The gate that forbids the use of `out`, None when it can be used.
        """
        table = self.table
        if table is None or trigger.generation != table.generation:
            return Gate.OTHER_INCARNATION
        if not table.read_tick(trigger.row, out):
            return Gate.BUSY
        # Only now: a row that went to another market while it was copied shows here.
        if table.ticker_of(trigger.row) != trigger.market_ticker:
            return Gate.OTHER_MARKET
        return None if tick_fits(out, trigger) else Gate.STALE

    def writer_gate(self) -> Gate | None:
        """Whether the collector is dead (its lock is free) or has stopped."""
        table = self.table
        if table is None or table.replaced() or table.writer_is_dead():
            return Gate.WRITER_DEAD
        is_stopped = table.heartbeat_age_ns(mono_ns()) > HEARTBEAT_LIMIT_NS
        return Gate.WRITER_STOPPED if is_stopped else None

    def row_gate(self, row: int, tick_row: b.Row) -> Gate | None:
        """The gate of one market by row `row` as it is now; `tick_row` is what was evaluated."""
        if self.table is None or not self.table.read(row, self._live):
            return Gate.BUSY
        return closed_gate(tick_row, self._live)


class AccountRows(AttachedTable[AccountTable]):
    """Execution's sub-accounts; unknown while execution is absent, stopped or has not reported."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", AccountTable.attach, log)

    def fresh(self) -> bool:
        """Whether execution's heartbeat is recent enough to believe its rows."""
        table = self.table
        return table is not None and table.heartbeat_age_ns(mono_ns()) <= HEARTBEAT_LIMIT_NS

    def read(self, ticker: str, out: a.AccountRow) -> bool:
        """Copy a market's sub-account; False when unknown."""
        return self.table is not None and self.table.read(ticker, out)


class SessionOfTable:
    """Binds the collector's announced session to the epoch of its table.

    Triggers of a restarted collector may arrive before its session: the session of an
    earlier epoch is never taken for that of a later one.
    """

    def __init__(self) -> None:
        self._epoch: TableEpoch | None = None
        self._uid: str | None = None

    def announce(self, session_uid: str, epoch: TableEpoch | None) -> bool:
        """Note that the collector named its session while its table was at `epoch`.

        A collector makes its table before it publishes; messages of an earlier one may still
        arrive after that, but they name no new session.

        Returns:
            Whether the session is new.
        """
        if epoch is None or session_uid == self._uid:
            return False
        self._epoch, self._uid = epoch, session_uid
        return True

    def at(self, epoch: TableEpoch | None) -> str | None:
        """The session of that epoch, None while it is not known."""
        return self._uid if epoch is not None and epoch == self._epoch else None


class _DueMarket:
    """A market's newest trigger, and the event number of the newest tick that was evaluated."""

    __slots__ = ("evaluated", "newest")

    def __init__(self, newest: Trigger) -> None:
        self.newest = newest
        self.evaluated = 0

    def announces_new(self) -> bool:
        return self.newest.tick_event_no > self.evaluated


class DueMarkets:
    """Conflates triggers: what is due is a market, not a message.

    A tick stays due until `done` names it (or a newer one), so a row that was BUSY is read again at
    its market's next trigger.

    Attributes:
        missed: Announced ticks that a newer one replaced unread.
    """

    def __init__(self) -> None:
        self._markets: dict[str, _DueMarket] = {}
        self._waiting: dict[str, None] = {}
        self.missed = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, trigger: Trigger) -> None:
        """Take a trigger in; its market is due if it announces a tick that was not evaluated."""
        market = self._markets.get(trigger.market_ticker)
        if market is None or market.newest.generation != trigger.generation:
            market = self._markets[trigger.market_ticker] = _DueMarket(trigger)
        else:
            self.missed += self._replaced(market, trigger.tick_event_no)
            market.newest = trigger
        if market.announces_new():
            self._waiting[trigger.market_ticker] = None

    @staticmethod
    def _replaced(market: _DueMarket, tick_event_no: int) -> bool:
        """Whether a trigger shows that a tick was overwritten before it was read."""
        known = market.newest.tick_event_no
        return known < tick_event_no and (
            market.announces_new() or tick_event_no < market.evaluated
        )

    def take(self) -> list[Trigger]:
        """The newest trigger of every market that is due, in the order in which they came."""
        found = [self._markets[ticker].newest for ticker in self._waiting]
        self._waiting.clear()
        return found

    def done(self, ticker: str, tick_event_no: int) -> None:
        """The market's tick of that event was evaluated; it may be newer than the trigger's."""
        market = self._markets[ticker]
        self.missed += market.announces_new() and tick_event_no > market.newest.tick_event_no
        market.evaluated = tick_event_no

    def is_new(self, ticker: str, tick_event_no: int) -> bool:
        """Whether this tick is newer than the last that was evaluated."""
        return tick_event_no > self._markets[ticker].evaluated

    def void(self) -> None:
        """The books have another writer: nothing of its rows was evaluated yet."""
        for market in self._markets.values():
            market.evaluated = 0

    def forget_all_but(self, tickers: Iterable[str]) -> list[str]:
        """Drop markets that are gone -> which."""
        gone = sorted(self._markets.keys() - set(tickers))
        for ticker in gone:
            del self._markets[ticker]
            self._waiting.pop(ticker, None)
        return gone


class EvaluatedTick(NamedTuple):
    """One market's tick.

    Attributes:
        ticker: The market.
        tick_row: A view of a buffer that the next batch overwrites.
        history: Ticks of the market before this one.
        table_row: Row number in the table of books.
    """

    ticker: str
    tick_row: b.Row
    history: int  # ticks of the market before this one
    table_row: int


class TickReader:
    """Reads the tick rows that triggers announce, each tick once."""

    def __init__(self, books: BookRows, due: DueMarkets, counts: Counter[str]) -> None:
        self._books = books
        self._due = due
        self._counts = counts
        self._rows = np.zeros((BATCH, 0), np.int64)

    def evaluate(
        self, triggers: Sequence[Trigger], histories: TickHistories
    ) -> list[EvaluatedTick]:
        """Add every new tick to its market's history.

        Args:
            triggers: At most `BATCH`, each of another market.
            histories: Moved to the new ticks.

        Returns:
            The ticks that were new; rows that were BUSY or out of date are counted and left out.
        """
        if self._rows.shape[1] != self._books.row_words:
            self._rows = np.zeros((BATCH, self._books.row_words), np.int64)
        found: list[EvaluatedTick] = []
        for trigger in triggers:
            tick_row = self._rows[len(found)]
            if not self._read(trigger, tick_row):
                continue
            history = histories.tick(trigger.market_ticker, tick_row)
            self._due.done(trigger.market_ticker, int(tick_row[b.TICK_EVENT_NO]))
            found.append(EvaluatedTick(trigger.market_ticker, tick_row, history, trigger.row))
        return found

    def _read(self, trigger: Trigger, out: b.Row) -> bool:
        gate = self._books.read_tick(trigger, out)
        if gate is not None:
            self._counts["busy" if gate is Gate.BUSY else "stale"] += 1
            return False
        return self._due.is_new(trigger.market_ticker, int(out[b.TICK_EVENT_NO]))


class RequestBuilder:
    """Which evaluated ticks may be decided: the chosen markets whose gates are open now.

    `is_persisted` says whether the database is near enough behind the journals.
    """

    def __init__(
        self,
        books: BookRows,
        accounts: AccountRows,
        choice: ActorMarkets,
        max_age_ms: int | None,
        counts: Counter[str],
    ) -> None:
        self._books = books
        self._accounts = accounts
        self._choice = choice
        self.is_persisted = True
        self._max_age_ms = max_age_ms
        self._counts = counts
        self.trading: TradingStatus | None = None  # the collector's newest; None before it
        self._buffers = np.zeros((BATCH, a.ACCOUNT_WORDS), np.int64)

    def build(self, ticks: Sequence[EvaluatedTick]) -> list[DecisionRequest]:
        """One request per tick that may be decided, with its account where that is known.

        Rows and accounts are views of buffers that the next batch overwrites: see `copied`.
        """
        chosen = [tick for tick in ticks if self._choice.trades(tick.ticker)]
        gate = self._gate() if chosen else None
        if gate is not None:
            self._counts[f"gated_{gate}"] += len(chosen)
            return []
        fresh = self._accounts.fresh()
        return [self._request(t, i, fresh) for i, t in enumerate(chosen) if self._open(t)]

    def _gate(self) -> Gate | None:
        """What forbids every decision."""
        if not self.is_persisted:
            return Gate.UNPERSISTED
        return self._books.writer_gate()

    def _trading_gate(self, ticker: str) -> Gate | None:
        """The gate that a pause of the exchange or of the market shuts."""
        if self.trading is None:
            return Gate.TRADING_UNKNOWN
        return _TRADING_GATES[self.trading.of(ticker, mono_ns())]

    def market_gate(self, ticker: str, live: b.Row) -> Gate | None:
        """What would forbid a decision on a live row, however long ago its newest frame came."""
        gate = closed_gate(live, live) or self._trading_gate(ticker)
        too_old = self._max_age_ms is not None and b.data_age_ms(live) > self._max_age_ms
        return gate or (Gate.OLD_DATA if too_old else None)

    def _open(self, tick: EvaluatedTick) -> bool:
        gate = self._books.row_gate(tick.table_row, tick.tick_row)
        gate = gate or self._trading_gate(tick.ticker)
        gate = gate or age_gate(tick.tick_row, mono_ns(), self._max_age_ms)
        if gate is None and self._choice.forbids(tick.ticker, tick.tick_row):
            gate = Gate.NOT_ELIGIBLE
        if gate is not None:
            self._counts[f"gated_{gate}"] += 1
        return gate is None

    def _request(self, tick: EvaluatedTick, at: int, fresh: bool) -> DecisionRequest:
        account = self._buffers[at]
        known = fresh and self._accounts.read(tick.ticker, account)
        pricing = self._choice.exit_pricing(tick.ticker, tick.tick_row)
        facts = (tick.tick_row, account if known else None, tick.history, pricing)
        return DecisionRequest(tick.ticker, *facts)


def copied(requests: Sequence[DecisionRequest]) -> list[DecisionRequest]:
    """A batch's requests with rows and accounts of their own, which outlast the next batch."""
    return [
        r._replace(
            tick_row=r.tick_row.copy(), account=None if r.account is None else r.account.copy()
        )
        for r in requests
    ]
