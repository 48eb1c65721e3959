"""The files of the account's limits: looks at `limits.toml`, keeps the record of what was hit.

The one place of the limits with I/O. A latch is written before the next order can be sent; profit
and loss of the day every few seconds, in a thread, because the disk may be slow.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final, NoReturn

from ipc.messages import Environment
from ipc.private_files import UnsafePathError
from processes.execution.account_limits import AccountGuard
from processes.execution.day_pnl import DayRecord
from processes.execution.latches import Latch, RecordFile, record_path
from processes.execution.limits_file import LimitsFile, LimitsReading, LimitsStatus
from processes.execution.state import ExecutionState
from processes.execution.touch import BookTouches
from processes.runtime.config import Settings
from processes.runtime.log import Log

__all__ = ["LimitsWatch"]

LOOK_PAUSE: Final = 1.0  # seconds between looks at the file
STORE_LOOKS: Final = 10  # looks between two writes of the day's figures


class LimitsWatch:
    """The limits of the account with their files.

    Args:
        settings: Of the whole stack.
        environment: Where orders go.
        log: Of this run.
    """

    def __init__(self, settings: Settings, environment: Environment, log: Log) -> None:
        self._environment = environment
        self._log = log
        self._file = LimitsFile(settings.execution.limits_file, environment)
        self._record = RecordFile(record_path(settings.data_dir), environment)
        self._touches = BookTouches(settings.data_dir, log)
        self._limits: AccountGuard
        self._stored = (self._record.latches, self._record.day)
        self._refused = False  # the record could not be written, and that was logged
        self._writing = threading.Lock()  # the day's figures must not overwrite a newer latch

    def account_limits(self, state: ExecutionState, expiry_ms: int) -> AccountGuard:
        """Make the limits, with what the files say.

        Args:
            state: What is known of accounts and orders.
            expiry_ms: How long an order may rest.
        """
        self._limits = AccountGuard(
            state,
            expiry_ms,
            environment=self._environment,
            touch=self._touches.touch,
            latches=self._record.latches,
            day=self._record.day,
            record_error=self._record.error,
            save=self._save,
        )
        for latch in self._limits.latches:
            facts = {"limit": latch.name, "measured": latch.measured, "allowed": latch.limit}
            self._log.warning("limit_still_latched", **facts, at_ms=latch.at_ms)
        self.look()
        return self._limits

    def look(self) -> None:
        """Read the file if it has changed, and say what it changed."""
        reading = self._file.look()
        if reading is None:
            return
        changes = self._limits.on_reading(reading)
        if reading.status is LimitsStatus.VALID:
            self._log("limits_read", path=str(self._file.path), **changes)
        else:
            self._report(reading)

    def _report(self, reading: LimitsReading) -> None:
        """Why there are no limits, and what follows."""
        if self._limits.stopped is None:
            follows = "no limits of the whole account are checked"
            self._log("limits_not_set", error=reading.error, message=follows)
        else:
            follows = "no new orders until it is mended"
            self._log.error(reading.status.value, error=reading.error, message=follows)

    async def run(self) -> NoReturn:
        """Look at the file once a second, and store the day's figures."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_PAUSE)
            self.look()
            looks += 1
            newest = (self._limits.latches, self._limits.record)
            if newest != self._stored and looks % STORE_LOOKS == 0 and self._is_used:
                await asyncio.to_thread(self._save_day, newest[1])

    @property
    def _is_used(self) -> bool:
        """Whether there is anything to store: without limits nothing is measured."""
        return bool(self._limits.bounds.values or self._limits.latches)

    def _save_day(self, day: DayRecord) -> None:
        with self._writing:
            self._write(self._limits.latches, day)

    def _save(self, latches: tuple[Latch, ...], day: DayRecord) -> None:
        with self._writing:
            self._write(latches, day)

    def _write(self, latches: tuple[Latch, ...], day: DayRecord) -> None:
        """Write the record; what cannot be written stays in memory and is tried again."""
        try:
            self._record.write(latches, day)
        except (OSError, UnsafePathError) as error:
            if not self._refused:
                self._log.error("limits_not_stored", error=error)
            self._refused = True
        else:
            self._refused, self._stored = False, (latches, day)

    def close(self) -> None:
        """The end of the run: the day's figures are stored once more."""
        if self._is_used:
            self._save(self._limits.latches, self._limits.record)
        self._touches.close()
