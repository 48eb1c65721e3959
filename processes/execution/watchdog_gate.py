"""Would anybody stop our orders if this process died now? The watchdog says so, once a second.

Outside of `simulated` nothing is opened while it does not.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import ProcessStats
from ipc.sockets import Subscriber
from processes.runtime.log import Log

__all__ = ["SILENT_NS", "WatchdogGate"]

SILENT_NS: Final = 3 * NS_PER_S  # it reports twice a second
WATCHING: Final = "watching"


class WatchdogGate:
    """What the watchdog reports of itself.

    Args:
        now_ns: Of the monotonic clock: one that was never heard is silent since then.
        log: Gets one line when it is lost, one when it is back.
    """

    def __init__(self, now_ns: int, log: Log) -> None:
        self._heard_ns = now_ns
        self._has_reported = self._is_watching = False
        self._is_lost = False
        self._log = log

    async def follow(self, watchdog: Subscriber) -> NoReturn:
        """Take its reports, for as long as this process runs."""
        while True:
            _, message = await watchdog.recv()
            if isinstance(message, ProcessStats):
                self.on_stats(message, mono_ns())

    def on_stats(self, stats: ProcessStats, now_ns: int) -> None:
        """The watchdog reported its counters."""
        self._heard_ns, self._has_reported = now_ns, True
        self._is_watching = bool(stats.counters.get(WATCHING))

    def reason(self, now_ns: int) -> str:
        """Why it does not watch this process; "" while it does."""
        silent_ns = now_ns - self._heard_ns
        found = ""
        if not self._has_reported:
            found = "the watchdog has not reported yet"
        elif silent_ns > SILENT_NS:
            found = f"the watchdog reports nothing for {silent_ns // NS_PER_S} s"
        elif not self._is_watching:
            found = "the watchdog does not see this process's heartbeat"
        self._report(found, silent_ns)
        return found

    def _report(self, reason: str, silent_ns: int) -> None:
        """One line per change; the first moments of a start are none."""
        is_lost = bool(reason) and (self._has_reported or silent_ns > SILENT_NS)
        if is_lost == self._is_lost:
            return
        self._is_lost = is_lost
        if is_lost:
            self._log.error("watchdog_lost", error=reason)
        else:
            self._log("watchdog_watches")
