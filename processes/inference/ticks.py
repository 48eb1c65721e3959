"""From triggers to evaluated ticks, and from those to the questions that may be decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.messages import Trigger
from models.trading.actions import MarketChoice
from processes.inference.decide import BATCH, Question
from processes.inference.due import Due
from processes.inference.gates import Gate
from processes.inference.histories import Histories
from processes.inference.tables import Accounts, Books

__all__ = ["Evaluated", "Questions", "Ticks", "kept"]


class Evaluated(NamedTuple):
    """One market's tick; `row` is a view of a buffer that the next batch overwrites."""

    ticker: str
    row: b.Row
    history: int
    table_row: int


class Ticks:
    """Reads the frozen rows that triggers announce, each tick once."""

    def __init__(self, books: Books, due: Due, counts: Counter[str]) -> None:
        self._books = books
        self._due = due
        self._counts = counts
        self._rows = np.zeros((BATCH, 0), np.int64)

    def evaluate(self, triggers: Sequence[Trigger], histories: Histories) -> list[Evaluated]:
        """Add every new tick to its market's history; at most `BATCH` triggers."""
        if self._rows.shape[1] != self._books.row_words:
            self._rows = np.zeros((BATCH, self._books.row_words), np.int64)
        found: list[Evaluated] = []
        for trigger in triggers:
            row = self._rows[len(found)]
            if not self._read(trigger, row):
                continue
            history = histories.tick(trigger.market_ticker, row)
            self._due.done(trigger.market_ticker, int(row[b.TICK_EVENT_NO]))
            found.append(Evaluated(trigger.market_ticker, row, history, trigger.row))
        return found

    def _read(self, trigger: Trigger, row: b.Row) -> bool:
        shut = self._books.read_tick(trigger, row)
        if shut is not None:
            self._counts["busy" if shut is Gate.BUSY else "stale"] += 1
            return False
        return self._due.is_new(trigger.market_ticker, int(row[b.TICK_EVENT_NO]))


def kept(questions: Sequence[Question]) -> list[Question]:
    """Copies of a batch's questions that outlast the next batch."""
    return [
        q._replace(row=q.row.copy(), account=None if q.account is None else q.account.copy())
        for q in questions
    ]


class Questions:
    """Which evaluated ticks may be decided: the chosen markets whose gates are open now."""

    def __init__(
        self, books: Books, accounts: Accounts, choice: MarketChoice, counts: Counter[str]
    ) -> None:
        self._books = books
        self._accounts = accounts
        self._choice = choice
        self._counts = counts
        self._buffers = np.zeros((BATCH, a.ACCOUNT_WORDS), np.int64)

    def ask(self, ticks: Sequence[Evaluated]) -> list[Question]:
        """One question per tick that may be decided, with its account where that is known."""
        chosen = [tick for tick in ticks if self._choice.trades(tick.ticker)]
        shut = self._books.writer_gate() if chosen else None
        if shut is not None:
            self._counts[f"gated_{shut}"] += len(chosen)
            return []
        fresh = self._accounts.fresh()
        return [self._question(t, i, fresh) for i, t in enumerate(chosen) if self._open(t)]

    def _open(self, tick: Evaluated) -> bool:
        shut = self._books.row_gate(tick.table_row, tick.row)
        if shut is not None:
            self._counts[f"gated_{shut}"] += 1
        return shut is None

    def _question(self, tick: Evaluated, at: int, fresh: bool) -> Question:
        account = self._buffers[at]
        known = fresh and self._accounts.read(tick.ticker, account)
        return Question(tick.ticker, tick.row, account if known else None, tick.history)
