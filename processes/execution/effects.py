"""Carries out the effects of events: journal first, then table, subscribers, exchange.

So no reader can see an account, an order or a fill that was not offered to the journal.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ipc import account_table as a
from ipc.account_table import LAYOUT, AccountTableWriter, words_of
from ipc.messages import (
    AccountVersion,
    ActorFill,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    Message,
    ProcessStats,
)
from ipc.sockets import Bell, Publisher
from processes.execution.account import Doubt
from processes.execution.gateway import Gateway
from processes.execution.manager import KalshiOrderManager
from processes.runtime.journal import RunJournal
from processes.runtime.log import Log

__all__ = ["EffectRunner"]

TOPICS: Final[dict[type[Message], str]] = {
    ActorOrder: "order",
    ActorFill: "fill",
    ActorPosition: "position",
    ActorPnl: "pnl",
    ProcessStats: "stats",
}


class EffectRunner:
    """The one place where a change leaves execution.

    Args:
        manager: whose effects are carried out.
        table: the accounts as other processes read them.
        journal: of this run.
        publisher: to subscribers.
        bell: tells the recorder that the journal has grown.
        log: of this run.
    """

    def __init__(
        self,
        manager: KalshiOrderManager,
        table: AccountTableWriter,
        journal: RunJournal,
        publisher: Publisher,
        bell: Bell,
        log: Log,
    ) -> None:
        self.gateway = Gateway(manager.state, self.act, log)
        self.queue_wanted = asyncio.Event()  # an order's place in the queue is to be read
        self._manager = manager
        self.state = manager.state
        self._table = table
        self._journal = journal
        self._publisher = publisher
        self._bell = bell
        self._log = log

    def act(self) -> None:
        """Carry out all effects since the last call."""
        self._check_journal()
        effects = self._manager.drain()
        for note in effects.notes:
            self._journal.keep(note.message)
        rows = {ticker: self._manager.account_row(ticker) for ticker in effects.markets}
        for ticker, row in rows.items():
            version, words = int(row[a.ACCOUNT_VERSION]), words_of(row)
            self._journal.keep(
                AccountVersion(
                    market_ticker=ticker, account_version=version, words=words, layout=LAYOUT
                )
            )
        for ticker, row in rows.items():
            self._write(ticker, row)
        for ticker in effects.retired:
            self._table.remove(ticker)
        for note in effects.notes:
            if note.publish:
                self.publish(note.message)
        for action, facts in effects.warnings:
            self._log.warning(action, **facts)
        for request in effects.requests:
            self.gateway.start(request)
        if effects.queue_wanted:
            self.queue_wanted.set()
        if effects.notes:
            self._bell.ring()

    def publish(self, message: Message) -> None:
        """Send a message to subscribers."""
        self._publisher.send(TOPICS[type(message)], message)

    def _write(self, ticker: str, row: a.AccountRow) -> None:
        try:
            self._table.write(ticker, row)
        except ValueError as error:  # the table is full: this market is not traded
            self.state.counters["table_full"] += 1
            self._log.error("account_table_full", ticker=ticker, error=error)

    def _check_journal(self) -> None:
        """What cannot be journalled cannot be traded."""
        doubted = Doubt.JOURNAL in self.state.everywhere
        if self._journal.flush() == doubted:
            change = self.state.trust if doubted else self.state.doubt
            change(Doubt.JOURNAL)
            if doubted:
                self._log("journal_accepts_again")
            else:
                self._log.error("journal_refuses")
