"""Whether the watchdog would stop this process's orders, by what it reports."""

from __future__ import annotations

from support.logged import Logged

from ipc.messages import ProcessStats
from processes.execution.watchdog_gate import SILENT_NS, WatchdogGate

START = 77 * SILENT_NS


def stats(**counters: int) -> ProcessStats:
    return ProcessStats(process="watchdog", mono_ns=0, counters=counters)


def test_what_is_silent_does_not_watch() -> None:
    log = Logged()
    gate = WatchdogGate(START, log)
    assert gate.reason(START) == "the watchdog has not reported yet"
    assert not log.has("watchdog_lost"), "the first moments of a start"
    gate.on_stats(stats(watching=1), START + 1)
    assert gate.reason(START + 1 + SILENT_NS) == ""
    assert gate.reason(START + 2 + SILENT_NS) == "the watchdog reports nothing for 3 s"
    assert log.has("watchdog_lost")
    gate.on_stats(stats(watching=1), START + 2 * SILENT_NS)
    assert gate.reason(START + 2 * SILENT_NS) == ""
    assert log.has("watchdog_watches")


def test_one_that_does_not_see_our_heartbeat_does_not_watch() -> None:
    gate = WatchdogGate(START, Logged())
    gate.on_stats(stats(watching=0), START)
    assert gate.reason(START) == "the watchdog does not see this process's heartbeat"


def test_one_that_never_reports_is_lost_in_the_end() -> None:
    log = Logged()
    gate = WatchdogGate(START, log)
    assert gate.reason(START + SILENT_NS + 1)
    assert log.has("watchdog_lost")
