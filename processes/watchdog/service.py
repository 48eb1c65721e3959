"""The watchdog's loop: execution's heartbeat in, and when it stops, our orders off the exchange.

In execution mode `shadow` nothing of ours is sent, and nothing is canceled here.

Beside it only the expiry of an order ends what an execution that has died left at the exchange.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, NoReturn

from msgspec.structs import replace

from ipc.account_heartbeat import attach_heartbeat
from ipc.clock import NS_PER_S, mono_ns, real_ns
from ipc.messages import ProcessStats
from ipc.shared_file import AttachedTable, LayoutError, SharedFile
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.stop.group_file import (
    GroupFileError,
    GroupList,
    OwnGroup,
    load_groups,
)
from processes.adapters.kalshi.stop.watchdog_record import (
    WatchdogRecord,
    WatchdogRecordError,
    load_fired,
    save_fired,
)
from processes.runtime.config import Settings
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.tasks import Backoff, serve
from processes.runtime.wires import Wires
from processes.watchdog.heartbeats import HeartbeatWatch, WatchState
from processes.watchdog.stopper import ExchangeStopper, StopRound

__all__ = ["NAME", "Watchdog"]

NAME: Final = "watchdog"
LOOK_PAUSE: Final = 0.1  # seconds between looks at the heartbeat
REPORT_PAUSE: Final = 0.5  # seconds between two reports of the counters
ROUND_S: Final = 8.0  # seconds for one round
LAST_ROUND_S: Final = 5.0  # for the one at the end of this process
UNPROVEN: Final = Backoff(first_s=0.5, longest_s=10.0)


class Watchdog:
    """Everything of one run.

    Args:
        settings: Of the whole stack.
        target: The exchange's addresses.
        run: Number of this run, for its messages.
        log: Of this run.
    """

    def __init__(self, settings: Settings, target: KalshiTarget, run: int, log: Log) -> None:
        self._data_dir = settings.data_dir
        self._place = target.environment, settings.execution.subaccount
        self._sends = not settings.execution.is_shadow
        self._log = log
        self._wires = Wires(settings.data_dir, settings.environ, run)
        self._publisher = self._wires.publisher(NAME)
        self._stopper = ExchangeStopper(settings, target, log)
        self._table = AttachedTable(settings.data_dir, "accounts", attach_heartbeat, log)
        self._watch = HeartbeatWatch()
        self._groups = GroupList()
        self._record = WatchdogRecord()
        self._said: dict[str, str] = {}  # the last line about each thing that fails
        self._counters: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop; an execution that has died meanwhile is seen to first.

        Raises:
            TaskFailed: A task ended before; see `serve` for what else it raises.
        """
        tasks = {
            "watch": self._follow(),  # ends first
            "report": self._report(),
            "files": OwnedFiles(self._wires.bound).watch(),
        }
        try:
            await serve(tasks, stop)
        finally:
            self._table.close()
            self._stopper.close()
            self._wires.close()

    async def _follow(self) -> NoReturn:
        try:
            while True:
                if self._look() is WatchState.STOPPED and self._sends:
                    await self._stop_orders()
                await asyncio.sleep(LOOK_PAUSE)
        finally:
            await self._last_round()

    # The heartbeat.

    def _look(self) -> WatchState:
        return self._watch.look(self._beat(), mono_ns(), may_rest=bool(self._own_groups()))

    def _beat(self) -> int | None:
        table = self._found_table()
        return None if table is None else table.heartbeat_mono_ns

    def _found_table(self) -> SharedFile | None:
        """The table of now; one that cannot be read is like none."""
        try:
            table = self._table.refresh()
        except LayoutError as error:
            self._say("table_unreadable", str(error))
            return None
        self._said.pop("table_unreadable", None)
        return table

    def _own_groups(self) -> tuple[OwnGroup, ...]:
        """As last read: a file that has gone or cannot be read takes nothing back."""
        try:
            found = load_groups(self._data_dir)
        except GroupFileError as error:
            self._say("order_groups_unreadable", str(error))
        else:
            self._said.pop("order_groups_unreadable", None)
            if found.groups:
                self._groups = found
        return self._groups.of(*self._place)

    # Acting.

    async def _stop_orders(self) -> None:
        """Rounds until none of our orders rests, or execution is back."""
        began_ns, failures = mono_ns(), 0
        self._counters["fired"] += 1
        self._log.error("execution_silent", message="its orders are canceled at the exchange")
        self._record = self._next_record(is_new=True)
        while self._look() is WatchState.STOPPED:
            done = await self._round(ROUND_S)
            if done.is_proven:
                self._watch.on_proven()
                seconds = round((mono_ns() - began_ns) / NS_PER_S, 1)
                facts = {"canceled": self._record.canceled, "groups": len(self._record.groups)}
                self._log.warning("nothing_rests", **facts, seconds=seconds)
                return
            self._say("not_verified", done.error or "orders rest still")
            await asyncio.sleep(UNPROVEN.after(failures))
            failures += 1
        self._save(is_over=True)
        self._log.warning("execution_is_back", message="it sees to its orders itself")

    async def _round(self, wait_s: float) -> StopRound:
        """One round, its record written before: execution must know whose doing a trigger was."""
        self._counters["rounds"] += 1
        self._record = self._next_record(is_new=False)
        self._save(is_over=False)
        done = await self._stopper.stop_orders(
            self._own_groups(), wait_s, lambda: self._look() is WatchState.STOPPED
        )
        self._counters["canceled"] += done.canceled
        self._record = _with_round(self._record, done)
        self._save(is_over=done.is_proven)
        return done

    async def _last_round(self) -> None:
        """Before this process ends: if execution is dead and its orders may rest, now or never."""
        table = self._found_table()
        is_dead = table is not None and table.writer_is_dead()
        if is_dead and self._sends and self._look() not in (WatchState.ENDED, WatchState.PROVEN):
            self._record = self._next_record(is_new=True)
            self._save(is_over=False)
            groups = self._own_groups()
            done = await self._stopper.stop_orders(groups, LAST_ROUND_S, lambda: True)
            self._record = _with_round(self._record, done)
            self._save(is_over=True)
            log = self._log if done.is_proven else self._log.error
            log("last_round", proven=done.is_proven, canceled=done.canceled, error=done.error)

    # The record.

    def _next_record(self, *, is_new: bool) -> WatchdogRecord:
        """Numbers rise over the runs, and above what execution has seen."""
        before = self._record
        if is_new:
            try:
                before = load_fired(self._data_dir)
            except WatchdogRecordError as error:
                self._say("record_unreadable", str(error))
            return WatchdogRecord(
                number=max(before.number, self._groups.handled),
                incident=before.incident + 1,
                since_utc_ns=real_ns(),
                is_over=False,
            )
        return replace(before, number=before.number + 1)

    def _save(self, *, is_over: bool) -> None:
        self._record = replace(self._record, is_over=is_over)
        try:
            save_fired(self._data_dir, self._record)
        except WatchdogRecordError as error:  # orders at the exchange matter more
            self._say("record_not_written", str(error))

    # Reports.

    def _say(self, action: str, error: str) -> None:
        """One line per change."""
        if self._said.get(action) != error:
            self._said[action] = error
            self._log.error(action, error=error)

    async def _report(self) -> NoReturn:
        while True:
            counters = dict(self._counters) | {
                "watching": int(self._watch.has_beaten),
                "groups": len(self._groups.of(*self._place)),
                "proven": int(self._watch.state is WatchState.PROVEN),
            }
            stats = ProcessStats(process=NAME, mono_ns=mono_ns(), counters=counters)
            self._publisher.send("stats", stats)
            await asyncio.sleep(REPORT_PAUSE)


def _with_round(record: WatchdogRecord, done: StopRound) -> WatchdogRecord:
    groups = tuple(dict.fromkeys((*record.groups, *done.triggered)))
    canceled = record.canceled + done.canceled
    return replace(record, groups=groups, canceled=canceled, is_proven=done.is_proven)
