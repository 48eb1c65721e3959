"""When a stack must end: what supervisord's events say of its programs."""

from __future__ import annotations

import io
import traceback
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from processes.runtime.config import LogSettings
from processes.runtime.fatal import MAX_DEATHS, MAX_SAME, RAN_WELL_NS, StackWatch
from processes.runtime.log import open_log
from processes.runtime.run import EXIT_FAULT

SECOND_NS = 1_000_000_000


class Watched:
    """A watch, its clock, and the events of one program."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.ended: list[tuple[int, str]] = []
        self.options = SimpleNamespace(mood=SupervisorStates.RUNNING)
        watch = StackWatch(
            SimpleNamespace(options=self.options),
            lambda code, line: self.ended.append((code, line)),
            lambda: self.now_ns,
        )
        watch._subscribe()

    def life(
        self, *said: str, status: int = 1, lived_ns: int = SECOND_NS, name: str = "exchange"
    ) -> None:
        """It starts, says something, and ends by itself."""
        config = SimpleNamespace(name=name)
        process = SimpleNamespace(config=config, exitstatus=None, backoff=0, group=None, pid=7)
        events.notify(events.ProcessStateStartingEvent(process, ProcessStates.EXITED))
        for line in said:
            data = f"{line}\n".encode()
            events.notify(events.ProcessLogStdoutEvent(process, 7, data))
        self.now_ns += lived_ns
        process.exitstatus = status
        expected = status in (0, 2)
        events.notify(events.ProcessStateExitedEvent(process, ProcessStates.RUNNING, expected))


@pytest.fixture
def watched() -> Iterator[Watched]:
    events.clear()
    yield Watched()
    events.clear()


def test_the_same_cause_three_times_in_a_row_ends_the_stack_and_is_named(watched: Watched) -> None:
    for attempt in range(MAX_SAME):
        assert watched.ended == []
        watched.life("Traceback", f"OverflowError: recv_ms 900{attempt} at 0x7f{attempt}0")
    assert watched.ended == [
        (
            EXIT_FAULT,
            "stack: ended by exchange: ended 3 times of the same cause: "
            "OverflowError: recv_ms 9002 at 0x7f20",
        )
    ]
    assert watched.options.mood == SupervisorStates.SHUTDOWN


@pytest.mark.parametrize("form", ["console", "json"])
def test_the_cause_in_a_line_of_the_log_is_its_error(watched: Watched, form: str) -> None:
    """Every run writes it with another time, another name of the run, and a long traceback."""
    for attempt in range(MAX_SAME):
        said = io.StringIO()
        log = open_log("exchange", f"abc{attempt}def{attempt}", LogSettings("info", form), said)
        try:
            raise OSError(24, "Too many open files")
        except OSError as error:
            trace = traceback.format_exc()
            log.error("task_failed", task="flow", error=f"OSError: {error}", traceback=trace)
        watched.life(said.getvalue())
    cause = "OSError: [Errno 24] Too many open files"
    line = f"stack: ended by exchange: ended 3 times of the same cause: {cause}"
    assert watched.ended == [(EXIT_FAULT, line)]


def test_another_cause_or_another_program_in_between_starts_over(watched: Watched) -> None:
    for _ in range(MAX_SAME):
        watched.life("ValueError: one")
        watched.life("ValueError: two")
        watched.life("ValueError: one", status=3)
    for name in ("collector", "recorder"):
        for _ in range(MAX_SAME - 1):
            watched.life("ValueError: one", name=name)
    assert watched.ended == []


def test_who_ran_well_in_between_may_fail_again(watched: Watched) -> None:
    for _ in range(2 * MAX_SAME):
        watched.life("ValueError: one")
        watched.life("ValueError: one", lived_ns=RAN_WELL_NS + 1)
    assert watched.ended == []


def test_kills_have_no_cause_but_too_many_of_them_end_the_stack(watched: Watched) -> None:
    for _ in range(MAX_DEATHS - 1):
        watched.life("collector connected", status=-1)
    assert watched.ended == []
    watched.life("collector connected", status=-1)
    (end,) = watched.ended
    assert end[1].startswith("stack: ended by exchange: ended 20 times within a minute; last: ")


def test_what_an_earlier_run_said_is_not_the_cause_of_a_silent_end(watched: Watched) -> None:
    watched.life("ValueError: one")
    for _ in range(MAX_SAME):
        watched.life()
    assert watched.ended[0][1].endswith("ended 3 times of the same cause: it said nothing")
