"""When the watchdog acts: heartbeats in, state out."""

from __future__ import annotations

from ipc.account_heartbeat import ENDED
from processes.watchdog.heartbeats import SILENT_NS, START_NS, HeartbeatWatch, WatchState

TENTH = 100_000_000
BEATING, ENDED_STATE, PROVEN = WatchState.BEATING, WatchState.ENDED, WatchState.PROVEN
SILENT, STOPPED, WAITING = WatchState.SILENT, WatchState.STOPPED, WatchState.WAITING


class Watched:
    """A watch that looks ten times a second at a heartbeat that goes on, or does not."""

    def __init__(self, beat: int | None = 1) -> None:
        self.watch = HeartbeatWatch()
        self.now = 77 * START_NS
        self.beat = beat
        self.may_rest = True

    def look(self, looks: int = 1, *, beats: bool = False, step_ns: int = TENTH) -> WatchState:
        for _ in range(looks):
            self.now += step_ns
            if beats:
                self.beat = self.now
            self.watch.look(self.beat, self.now, may_rest=self.may_rest)
        return self.watch.state


def looks_until_stopped(watched: Watched) -> int:
    looks = 1
    while watched.look() is not STOPPED:
        looks += 1
        assert looks < 1_000
    return looks


def test_a_heartbeat_that_stops_counts_after_three_seconds() -> None:
    watched = Watched()
    assert watched.look(20, beats=True) is BEATING
    assert watched.watch.has_beaten
    assert watched.look() is SILENT
    assert watched.watch.has_beaten, "a late heartbeat is none that stopped"
    assert looks_until_stopped(watched) + 1 == 30 == SILENT_NS // TENTH
    assert not watched.watch.has_beaten


def test_once_proven_it_waits_for_the_next_that_comes_and_goes() -> None:
    watched = Watched()
    watched.look(5, beats=True)
    looks_until_stopped(watched)
    watched.watch.on_proven()
    assert watched.look(1_000) is PROVEN
    assert watched.look(2, beats=True) is BEATING
    assert looks_until_stopped(watched) == SILENT_NS // TENTH


def test_a_process_that_stood_still_itself_does_not_act_on_its_return() -> None:
    """A minute of SIGSTOP, or a machine that slept: the old heartbeat may go on at once."""
    watched = Watched()
    watched.look(5, beats=True)
    assert watched.look(step_ns=60 * START_NS) is SILENT
    assert watched.look(beats=True) is BEATING


def test_an_old_heartbeat_at_the_start_is_watched_first() -> None:
    """Both were killed, and the watchdog is back alone."""
    watched = Watched()
    assert watched.look() is SILENT
    assert not watched.watch.has_beaten
    assert looks_until_stopped(watched) == SILENT_NS // TENTH


def test_an_end_in_order_is_none_to_act_on() -> None:
    watched = Watched()
    watched.look(5, beats=True)
    watched.beat = ENDED
    assert watched.look(1_000) is ENDED_STATE
    assert watched.look(beats=True) is BEATING, "the next run"


def test_a_table_that_goes_away_is_a_heartbeat_that_stops() -> None:
    watched = Watched()
    watched.look(5, beats=True)
    watched.beat = None
    assert looks_until_stopped(watched) == SILENT_NS // TENTH
    assert watched.look(beats=True) is BEATING, "another table"


def test_without_a_table_orders_of_an_earlier_stack_are_given_time() -> None:
    """At a start execution cancels them itself, but for one that does not start."""
    watched = Watched(beat=None)
    watched.may_rest = False
    assert watched.look(1_000) is WAITING
    watched.may_rest = True
    assert looks_until_stopped(watched) == START_NS // TENTH


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    watched = Watched()
    watched.look(5, beats=True)
    assert watched.look(step_ns=-60 * START_NS) is BEATING
    assert watched.look(beats=True) is BEATING
