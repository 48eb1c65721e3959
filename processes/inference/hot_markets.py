"""Mode `hot`: looks at all books, lets the rule choose, and says so to execution and dashboard.

The rule itself is `models.trading.market_choice`; here are its eyes and its mouth. In a market that
was left nothing rests any more: as long as execution shows an order there, it is asked to cancel.
What is held there is closed by decisions on its ticks, through the same gates as all others. In
which markets this is so outlives a restart of inference, in `hot_markets.json`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.book_table import BookTable
from ipc.clock import NS_PER_MS
from ipc.messages import LeaveMarket, MarketChange, MarketsChosen
from ipc.private_files import UnsafePathError, write_file
from models.trading.actions import Pricing, TargetMarketMode
from models.trading.market_choice import (
    Bar,
    HotMarkets,
    HotRules,
    MarketLook,
    OnSwitch,
    exit_pricing,
    look_at,
)
from processes.inference.due import AccountRows, BookRows, Gate, RequestBuilder
from processes.runtime.log import Log

__all__ = ["HotChoice", "HotWatch", "hot_path"]

LOOK_MS: Final = 1_000  # market time between two looks at all markets
ALL_ACCOUNTS: Final = 10  # looks between two searches of all accounts for orders that still rest
JUST_LEFT_MS: Final = (
    60_000  # for so long orders of a market that was left are searched at each look
)
FORGET_MS: Final = 3_600_000  # a market that is not followed for so long is not closed any more
SHOWN: Final = 20  # markets of a message beside those that the actor is in
RECENT: Final = 20  # changes of a message


class _Remembered(msgspec.Struct, frozen=True):
    """The markets in which this stack is, or in which it still closes what it holds."""

    markets: list[str]


def hot_path(data_dir: Path) -> Path:
    """Where inference remembers in which markets it is."""
    return data_dir / "hot_markets.json"


class HotChoice:
    """The hot markets, as decisions ask for them.

    Args:
        rules: The bounds.
        on_switch: What becomes of the position in a market that was left.

    Attributes:
        mode: `hot`.
        hot: The rule.
        on_switch: As given.
        leaving: Markets that were left and whose position is being closed, and when each was last
            followed, in milliseconds of market time.
    """

    mode = TargetMarketMode.HOT

    def __init__(self, rules: HotRules, on_switch: OnSwitch) -> None:
        self._rules = rules
        self.hot = HotMarkets(rules)
        self.on_switch = on_switch
        self.leaving: dict[str, int] = {}

    def trades(self, ticker: str) -> bool:
        """Whether decisions are made for this market."""
        return ticker in self.hot or ticker in self.leaving

    def forbids(self, ticker: str, tick_row: b.Row) -> bool:
        """Whether the market is not eligible at this tick; or is left, and must not be sold yet."""
        if ticker in self.hot:
            return bool(self.hot.bar(look_at(ticker, tick_row), _ms(tick_row)))
        return self.exit_pricing(ticker, tick_row) is None

    def exit_pricing(self, ticker: str, tick_row: b.Row) -> Pricing | None:
        """How what is held is closed; None in a market that the actor is in.

        What could not be read for a moment is not sold while it may take its place back, unless
        its close is near.
        """
        if ticker in self.hot or ticker not in self.leaving:
            return None
        now_ms = _ms(tick_row)
        is_closing = self.hot.bar(look_at(ticker, tick_row), now_ms) == Bar.CLOSING
        if self.hot.may_return(ticker) and not is_closing:
            return None
        return exit_pricing(self.on_switch, int(tick_row[b.CLOSE_MS]), now_ms, self._rules)


def _ms(row: b.Row) -> int:
    return int(row[b.RECV_NS]) // NS_PER_MS


class HotWatch:
    """Looks, chooses, and says what changed.

    Args:
        choice: Gets what was chosen.
        books: The collector's rows.
        accounts: Execution's sub-accounts.
        requests: Knows what forbids a decision in a market.
        leave: Sends one `LeaveMarket` to execution.
        path: Of the file that outlives a restart.
        log: One line for each market that is entered or left.
    """

    def __init__(
        self,
        choice: HotChoice,
        books: BookRows,
        accounts: AccountRows,
        requests: RequestBuilder,
        leave: Callable[[LeaveMarket], None],
        path: Path,
        log: Log,
    ) -> None:
        self._choice = choice
        self._books = books
        self._accounts = accounts
        self._requests = requests
        self._leave = leave
        self._path = path
        self._log = log
        self._row = np.zeros(0, np.int64)
        self._account = np.zeros(a.ACCOUNT_WORDS, np.int64)
        self._looks: dict[str, MarketLook] = {}
        self._looked_ms: int | None = None
        self._changes: deque[MarketChange] = deque(maxlen=RECENT)
        self._saved: list[str] = []
        self._looks_taken = 0

    def look(self, now_ns: int) -> bool:
        """Look at what is due: all markets once a second, those that the actor is in every time.

        Args:
            now_ns: Market time.

        Returns:
            Whether the choice has changed.
        """
        now_ms, hot = now_ns // NS_PER_MS, self._choice.hot
        if self._looked_ms is None:
            self._resume(now_ms)
        elif 0 <= now_ms - self._looked_ms < LOOK_MS and hot.chosen and self._is_good(now_ms):
            return False
        self._looked_ms = now_ms
        self._looks = self._look_at_all()
        changes = hot.look(now_ms, self._looks.values())
        for change in changes:
            self._note(change)
        self._tidy(now_ms)
        self._looks_taken += 1
        return bool(changes)

    def message(self) -> MarketsChosen:
        """What the dashboard shows of it."""
        scores = self._choice.hot.scores()
        shown = len(self._choice.hot.chosen) + SHOWN
        return MarketsChosen(
            at_ms=self._looked_ms or 0,
            on_switch=self._choice.on_switch,
            leaving=tuple(self._choice.leaving),
            scores=tuple(scores[:shown]),
            changes=tuple(self._changes),
        )

    # Eyes.

    def _is_good(self, now_ms: int) -> bool:
        """Whether every market that the actor is in is still eligible."""
        table, hot = self._books.table, self._choice.hot
        if table is None:
            return False
        gate = self._books.writer_gate()
        for ticker in hot.chosen:
            row = table.row_of(ticker)
            look = None if row is None else self._look_at(table, ticker, row, gate)
            if look is None or hot.bar(look, now_ms):
                return False
        return True

    def _look_at_all(self) -> dict[str, MarketLook]:
        table, gate = self._books.table, self._books.writer_gate()
        rows = {} if table is None else table.rows
        looks = {t: self._look_at(table, t, row, gate) for t, row in rows.items() if table}
        return {ticker: look for ticker, look in looks.items() if look is not None}

    def _look_at(
        self, table: BookTable, ticker: str, row: int, gate: Gate | None
    ) -> MarketLook | None:
        """A look at one row; a row that is being written is as it was at the look before."""
        if len(self._row) != table.row_words:
            self._row = np.zeros(table.row_words, np.int64)
        if not table.read(row, self._row):
            return self._looks.get(ticker)
        if table.ticker_of(row) != ticker:  # given to another market while it was read
            return None
        gate = gate or self._requests.market_gate(ticker, self._row)
        return look_at(ticker, self._row, "" if gate is None else gate)

    # Mouth.

    def _note(self, change: MarketChange) -> None:
        """Log a change; of a market that was left, cancel what rests and close what is held."""
        self._changes.append(change)
        leaving, ticker = self._choice.leaving, change.ticker
        self._log(
            "market_entered" if change.entered else "market_left",
            ticker=ticker,
            reason=change.reason,
            score=change.score,
        )
        if change.entered:
            leaving.pop(ticker, None)
            return
        self._leave(LeaveMarket(market_ticker=ticker, reason=change.reason))
        if self._choice.on_switch is not OnSwitch.HOLD:
            leaving[ticker] = change.at_ms

    def _tidy(self, now_ms: int) -> None:
        """Cancel what rests where the actor is not; end the exits that are done or too late."""
        hot, leaving = self._choice.hot, self._choice.leaving
        for ticker in self._with_accounts(now_ms):
            if ticker in hot or not self._accounts.read(ticker, self._account):
                continue
            is_flat = self._account[a.POSITION_E2] == 0
            waits = hot.may_return(ticker)
            if self._account[a.N_ORDERS] and (is_flat or waits or ticker not in leaving):
                self._leave(LeaveMarket(market_ticker=ticker, reason="left"))
            elif is_flat and not waits:
                leaving.pop(ticker, None)
        for ticker in list(leaving):
            if ticker in self._looks:
                leaving[ticker] = now_ms
            if self._is_too_late(ticker, now_ms):
                self._give_up(ticker)

    def _with_accounts(self, now_ms: int) -> list[str]:
        """The markets whose accounts are looked at now; all of them only now and then."""
        table = self._accounts.table
        if table is None:
            return []
        if self._looks_taken % ALL_ACCOUNTS == 0:
            return [ticker for ticker in table.tickers() if ticker in self._looks]
        changed = (c.ticker for c in self._changes if now_ms - c.at_ms <= JUST_LEFT_MS)
        return list(dict.fromkeys([*self._choice.leaving, *changed]))

    def _is_too_late(self, ticker: str, now_ms: int) -> bool:
        """Whether a market has closed, or has not been followed for long."""
        look = self._looks.get(ticker)
        if look is not None:
            return 0 < look.close_ms <= now_ms
        return now_ms - self._choice.leaving[ticker] > FORGET_MS

    def _give_up(self, ticker: str) -> None:
        """What is held can only be paid out now."""
        del self._choice.leaving[ticker]
        if self._accounts.read(ticker, self._account) and self._account[a.POSITION_E2]:
            position_e2 = int(self._account[a.POSITION_E2])
            self._log.error("position_not_closed", ticker=ticker, position_e2=position_e2)

    # Memory.

    def _resume(self, now_ms: int) -> None:
        """Of an earlier run: its markets may take their places back, else they are left."""
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=_Remembered).markets
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._log.warning("hot_markets_not_read", path=self._path, error=error)
            return
        self._choice.hot.resume(now_ms, known)
        if self._choice.on_switch is not OnSwitch.HOLD:
            self._choice.leaving.update(dict.fromkeys(known, now_ms))

    @property
    def unsaved(self) -> list[str] | None:
        """What `save` should write, None while the file says it already."""
        markets = sorted({*self._choice.hot.chosen, *self._choice.leaving})
        return None if markets == self._saved else markets

    def save(self, markets: list[str]) -> None:
        """Write the markets to the file; waits for the disk, so not for the loop."""
        self._saved = markets
        try:
            write_file(self._path, msgspec.json.encode(_Remembered(markets)))
        except (OSError, UnsafePathError) as error:
            self._log.warning("hot_markets_not_written", path=self._path, error=error)
