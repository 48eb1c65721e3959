"""Carries out what the order manager wants: journal first, then table, subscribers, exchange.

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

__all__ = ["Effects"]

TOPICS: Final[dict[type[Message], str]] = {
    ActorOrder: "order",
    ActorFill: "fill",
    ActorPosition: "position",
    ActorPnl: "pnl",
    ProcessStats: "stats",
}


class Effects:
    """The one place where a change leaves execution."""

    def __init__(
        self,
        manager: KalshiOrderManager,
        table: AccountTableWriter,
        journal: RunJournal,
        publisher: Publisher,
        bell: Bell,
        log: Log,
    ) -> None:
        self.gateway = Gateway(manager.ledger, self.act, log)
        self.queue_wanted = asyncio.Event()  # for whoever asks for places in the queue
        self._manager = manager
        self._table = table
        self._journal = journal
        self._publisher = publisher
        self._bell = bell
        self._log = log

    def act(self) -> None:
        """Do all that is wanted since the last call."""
        self._judge_journal()
        outbox = self._manager.drain()
        for note in outbox.notes:
            self._journal.keep(note.message)
        rows = {ticker: self._manager.account_row(ticker) for ticker in outbox.markets}
        for ticker, row in rows.items():
            version, words = int(row[a.ACCOUNT_VERSION]), words_of(row)
            self._journal.keep(
                AccountVersion(
                    market_ticker=ticker, account_version=version, words=words, layout=LAYOUT
                )
            )
        for ticker, row in rows.items():
            self._write(ticker, row)
        for ticker in outbox.retired:
            self._table.remove(ticker)
        for note in outbox.notes:
            if note.publish:
                self.publish(note.message)
        for action, facts in outbox.warnings:
            self._log.warning(action, **facts)
        for request in outbox.requests:
            self.gateway.start(request)
        if outbox.queue_wanted:
            self.queue_wanted.set()
        if outbox.notes:
            self._bell.ring()

    def publish(self, message: Message) -> None:
        """Tell subscribers."""
        self._publisher.send(TOPICS[type(message)], message)

    def _write(self, ticker: str, row: a.AccountRow) -> None:
        try:
            self._table.write(ticker, row)
        except ValueError as error:  # the table is full: nobody will trade this market
            self._manager.ledger.counters["table_full"] += 1
            self._log.error("account_table_full", ticker=ticker, error=error)

    def _judge_journal(self) -> None:
        """What cannot be journalled cannot be traded."""
        doubted = Doubt.JOURNAL in self._manager.ledger.everywhere
        if self._journal.flush() == doubted:
            change = self._manager.ledger.trust if doubted else self._manager.ledger.doubt
            change(Doubt.JOURNAL)
            if doubted:
                self._log("journal_accepts_again")
            else:
                self._log.error("journal_refuses")
