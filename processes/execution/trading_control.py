"""Commands to trading: carried out at once, kept, written to the audit and answered.

What a command sets going is done elsewhere (`stopping`, `flattening`), which report back here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from msgspec.structs import replace

from ipc.clock import NS_PER_S, real_ns
from ipc.messages import TradingEvent, TradingEventKind
from ipc.trading import (
    ANSWER_S,
    Answer,
    CommandRefused,
    CommandSocket,
    HeldPosition,
    OpenOrderLine,
    TradingCommand,
    TradingMode,
    TradingReport,
    TradingVerb,
)
from ipc.units import format_count
from processes.execution.gateway import EffectRunner
from processes.execution.manager import KalshiOrderManager
from processes.execution.orders import TrackedOrder
from processes.execution.trading_record import (
    VERB_OF,
    RefusedError,
    TradingRecord,
    command_event,
    commanded,
    load_record,
    record_path,
    save_record,
)
from processes.runtime.log import Log

__all__ = ["TradingControl", "described"]

ENDS_ORDERS: Final = frozenset({TradingMode.STOPPED, TradingMode.FLATTENING})
PART: Final = "execution"


class TradingControl:
    """The one owner of the state of trading.

    Args:
        data_dir: Folder of the stack, which has the file of the state.
        manager: Gets the mode.
        effects: Carries out what follows, and publishes the audit.
        log: of this run.

    Attributes:
        record: The state as it was commanded last.
        change: Number of the last change.
        ending: Set while everything that rests is to be cancelled and that is not verified yet.
        closing: Set while positions are being closed.
        progress: What is going on, in a line.
        notes: Markets whose position could not be closed yet, with the reason.
    """

    def __init__(
        self, data_dir: Path, manager: KalshiOrderManager, effects: EffectRunner, log: Log
    ) -> None:
        self._data_dir = data_dir
        self._stamp = self._file_stamp()  # before it is read: a later change is seen
        self.record = load_record(data_dir)
        self.change = 0
        self.ending = asyncio.Event()
        self.closing = asyncio.Event()
        self.progress = ""
        self.notes: dict[str, str] = {}
        self._manager = manager
        self._effects = effects
        self._log = log
        self._persist_error = ""
        self._enter(self.record)

    @property
    def mode(self) -> TradingMode:
        """What is done with intents."""
        return self.record.mode

    def announce(self) -> None:
        """At the start: one that does not trade says so, in the log and in the audit."""
        if self.mode is not TradingMode.ON:
            record = self.record
            facts = {"since_utc_ns": record.since_utc_ns, "who": record.who, "why": record.why}
            self._log.warning(f"trading_starts_{self.mode}", **facts)
            self.note(f"starts_{self.mode}", self.record.why, who=self.record.who)

    # Commands.

    async def serve(self, commands: CommandSocket) -> NoReturn:
        """Answer commands, one by one."""
        while True:
            sender, command = await commands.recv()
            if isinstance(command, CommandRefused):
                self._log.warning("command_refused", error=command.error)
                await commands.send(sender, command)
            else:
                await commands.send(sender, self.answer(command))

    def answer(self, command: TradingCommand) -> Answer:
        """Carry out a command; what it sets going is not waited for."""
        if command.verb is TradingVerb.STATUS:
            return self.report()
        now = self._manager.state.now()
        try:
            self._check_mode(command)
            _check_age(command, now.mono_ns)
            record = commanded(self.record, command, now.ns, real_ns())
        except RefusedError as error:
            facts = {"verb": command.verb, "who": command.who, "error": error}
            self._log.warning("command_refused", **facts)
            return CommandRefused(str(error), is_malformed=False)
        if command.verb is TradingVerb.RESUME:
            self._clear_latches(command)
        self._take(record, command.verb)
        return self.report()

    def _check_mode(self, command: TradingCommand) -> None:
        """In execution mode `shadow` nothing is sent, also not by command."""
        if command.verb is TradingVerb.FLATTEN and not self._manager.state.sends:
            raise RefusedError(
                "execution mode shadow sends nothing, so it closes no position; stop ends its "
                "decisions, and RL_EXECUTION_MODE=live trades"
            )

    def _clear_latches(self, command: TradingCommand) -> None:
        """Limits that were hit, and differences that lasted, hold until here."""
        self._manager.rounds.resume()
        for latch in self._manager.account_limits.resume(command.who, command.why):
            self.note(latch.name, str(latch), kind=TradingEventKind.CLEARED, who=command.who)

    def _take(self, record: TradingRecord, verb: TradingVerb) -> None:
        """Act first, then write: a full disk must not keep orders at the exchange."""
        self._enter(record)
        self._effects.act()
        self._save()
        orders, positions = len(self._own_orders()), len(self._positions())
        numbers = {"open_orders": orders, "positions": positions}
        self._publish(command_event(record, verb, **numbers))
        facts = {"mode": record.mode, "who": record.who, "why": record.why}
        self._log.warning(f"trading_{record.mode}", **{**facts, **numbers})

    def _enter(self, record: TradingRecord) -> None:
        self.record = record
        self.change += 1
        self.notes.clear()
        self.progress = record.outcome
        self._manager.set_mode(record.mode)
        for event, is_on in (
            (self.ending, record.mode in ENDS_ORDERS),
            (self.closing, record.mode is TradingMode.FLATTENING),
        ):
            (event.set if is_on else event.clear)()

    # What those report that do the work.

    def on_nothing_rests(self, change: int) -> None:
        """The exchange was asked, and no order of this stack rests."""
        if change != self.change:
            return
        self.ending.clear()
        self.progress = "no order of this stack rests at the exchange"
        if self.record.outcome:
            self.progress += f"; {self.record.outcome}"
        self.note("nothing_rests", self.progress)
        self._log("trading_nothing_rests")

    def on_first_touch(self, ticker: str, yes_price_e4: int) -> None:
        """The price that a market's collar is around; kept, so that a restart does not move it."""
        self.check_file()
        self.record = self.record.with_touch(ticker, yes_price_e4)
        self._save()

    def on_flattened(self, outcome: str, left: tuple[HeldPosition, ...]) -> None:
        """Closing positions is over: done, or its deadline has passed."""
        for position in left:
            ticker, position_e2 = position.market_ticker, position.position_e2
            foreign_e2, why = position.foreign_e2, position.note or "this stack did not buy it"
            self.note("position_left", why, ticker, position_e2=position_e2, foreign_e2=foreign_e2)
        change = self.change
        self._enter(self.record.ended(outcome))
        self.change = change  # the same command still
        self.notes.update({p.market_ticker: p.note for p in left})
        self._save()
        self.note("flattened", outcome, positions_left=len(left))
        is_left = any(position.own_e2 for position in left)
        (self._log.error if is_left else self._log)("trading_flattened", outcome=outcome)

    def check_file(self) -> None:
        """What a command wrote to the file while this process did not answer counts from here."""
        stamp = self._file_stamp()
        if stamp == self._stamp or stamp is None:
            return
        self._stamp = stamp
        record = load_record(self._data_dir)
        if record != self.record:
            if not record.since_ns:  # whoever wrote it did not know market time
                now_ns, utc_ns = self._manager.state.now().ns, record.since_utc_ns or real_ns()
                record = replace(record, since_ns=now_ns, since_utc_ns=utc_ns)
            self._take(record, VERB_OF[record.mode])

    def save_again(self) -> None:
        """Write what could not be written before."""
        if self._persist_error:
            self._save()

    # Answers.

    def report(self) -> TradingReport:
        """The state of trading, as far as it is known."""
        record, state = self.record, self._manager.state
        known = all(account.known for account in state.accounts.values())
        return TradingReport(
            mode=record.mode,
            who=record.who,
            why=record.why,
            since_ns=record.since_ns,
            since_utc_ns=record.since_utc_ns,
            is_done=not (self.ending.is_set() or self.closing.is_set()),
            progress=self.progress,
            resting=tuple(map(_line_of, self._own_orders())),
            foreign=tuple(_line_of(o) for o in state.orders.open_orders() if not o.own),
            positions=self._positions(),
            accounts_known=known and not state.everywhere,
            latches=tuple(map(str, self._manager.account_limits.latches)),
            persist_error=self._persist_error,
        )

    def held(self, note_of: Callable[[str], str]) -> tuple[HeldPosition, ...]:
        """Markets with a position, each with a note."""
        accounts = self._manager.state.accounts.values()
        return tuple(
            HeldPosition(
                account.ticker,
                account.position_e2,
                note_of(account.ticker),
                account.position_e2 - account.own_e2,
            )
            for account in accounts
            if account.position_e2 and account.payout is None
        )

    def _positions(self) -> tuple[HeldPosition, ...]:
        return self.held(self._note_of)

    def _note_of(self, ticker: str) -> str:
        doubts = self._manager.state.accounts[ticker].doubts
        return ", ".join(sorted(doubts)) or self.notes.get(ticker, "")

    def _own_orders(self) -> list[TrackedOrder]:
        return [order for order in self._manager.state.orders.open_orders() if order.own]

    # The file and the audit.

    def _save(self) -> None:
        """`_persist_error` says why it could not be written."""
        was = self._persist_error
        try:
            save_record(self._data_dir, self.record)
        except OSError as error:
            self._persist_error = f"{record_path(self._data_dir)}: {error.strerror or error}"
            if not was:
                self._log.error("trading_state_not_written", error=self._persist_error)
            return
        self._persist_error = ""
        self._stamp = self._file_stamp()

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            found = os.stat(record_path(self._data_dir))
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def note(
        self,
        name: str,
        why: str,
        ticker: str | None = None,
        *,
        kind: TradingEventKind = TradingEventKind.MODE,
        who: str = PART,
        **numbers: int,
    ) -> None:
        """A line of the audit."""
        ts_ns = self._manager.state.now().ns
        self._publish(
            TradingEvent(
                kind=kind,
                name=name,
                who=who,
                why=why,
                market_ticker=ticker,
                numbers=numbers,
                ts_ns=ts_ns,
            )
        )

    def _publish(self, event: TradingEvent) -> None:
        self._manager.state.effects.note(event)
        self._effects.act()


def _check_age(command: TradingCommand, now_mono_ns: int) -> None:
    """One that waited while this process did not answer is not carried out late, but for a stop."""
    age_ns = now_mono_ns - command.sent_mono_ns
    if command.verb is not TradingVerb.STOP and age_ns > ANSWER_S * NS_PER_S:
        raise RefusedError(f"the command was given {age_ns / NS_PER_S:.1f} s ago; give it again")


def _line_of(order: TrackedOrder) -> OpenOrderLine:
    return OpenOrderLine(
        client_order_id=order.client_order_id,
        market_ticker=order.market_ticker,
        leg=order.leg,
        is_buy=order.is_buy,
        price_e4=order.price_e4,
        remaining_e2=order.remaining_e2,
        status=order.status,
    )


def described(position_e2: int) -> str:
    """A position in contracts and its leg."""
    return f"{format_count(abs(position_e2))} {'YES' if position_e2 > 0 else 'NO'}"
