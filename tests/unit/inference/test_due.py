from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipc.messages import Trigger, UpdateType
from processes.inference.due import DueMarkets, SessionOfTable


def trigger(tick_event_no: int, ticker: str = "A", generation: int = 1) -> Trigger:
    return Trigger(
        market_ticker=ticker,
        row=0,
        generation=generation,
        update_type=UpdateType.DELTA,
        sequence_number=1,
        event_no=tick_event_no,
        tick_event_no=tick_event_no,
        recv_ns=0,
        frame_mono_ns=0,
        written_mono_ns=0,
    )


def offered(*triggers: Trigger) -> DueMarkets:
    due = DueMarkets()
    for one in triggers:
        due.offer(one)
    return due


def test_a_market_without_a_tick_is_not_due():
    assert not offered(trigger(0))


def test_triggers_are_kept_one_per_market_and_the_newest_wins():
    due = offered(trigger(3, "A"), trigger(4, "B"), trigger(9, "A"))
    assert [(t.market_ticker, t.tick_event_no) for t in due.take()] == [("A", 9), ("B", 4)]
    assert due.take() == []


def test_an_evaluated_tick_is_not_due_again():
    due = offered(trigger(3))
    due.take()
    due.done("A", 3)
    due.offer(trigger(3))
    assert not due
    assert not due.is_new("A", 3)


def test_a_tick_that_could_not_be_read_is_due_at_the_next_trigger():
    due = offered(trigger(3))
    due.take()
    due.offer(trigger(3))
    assert len(due.take()) == 1
    assert due.missed == 0


def test_a_tick_replaced_before_it_was_read_is_missed():
    due = offered(trigger(3), trigger(5))
    assert due.missed == 1
    due.done("A", 5)
    assert due.missed == 1


def test_a_row_newer_than_its_trigger_misses_the_announced_tick():
    due = offered(trigger(3))
    due.take()
    due.done("A", 5)
    assert due.missed == 1
    due.offer(trigger(5))
    assert not due
    assert due.missed == 1


def test_another_generation_starts_over():
    due = offered(trigger(30))
    due.done("A", 30)
    due.offer(trigger(2, generation=2))
    assert len(due.take()) == 1
    assert due.missed == 0


def test_void_makes_the_newest_trigger_due_at_its_next_announcement():
    due = offered(trigger(3))
    due.done("A", 3)
    due.void()
    due.offer(trigger(3))
    assert len(due) == 1


def test_markets_that_are_gone_are_forgotten():
    due = offered(trigger(3, "A"), trigger(4, "B"))
    assert due.forget_all_but(["B"]) == ["A"]
    assert [t.market_ticker for t in due.take()] == ["B"]


@given(st.lists(st.sampled_from(["tick", "announce", "read", "busy"]), max_size=60))
def test_every_announced_tick_is_evaluated_or_missed(steps):
    """A writer that ticks, announces and is read at any time: nothing goes uncounted."""
    due, present, announced, evaluated = DueMarkets(), 0, set(), []
    for step in [*steps, "announce", "read"]:
        if step == "tick":
            present += 1
        elif step == "announce":
            due.offer(trigger(present))
            announced |= {present} - {0}
        elif step == "busy":
            due.take()
        else:
            for _ in due.take():
                due.done("A", present)
                evaluated.append(present)
    assert len(evaluated) == len(set(evaluated))
    assert due.missed == len(announced - set(evaluated))


FIRST_EPOCH, SECOND_EPOCH = (1, 1), (1, 2)


def test_nothing_is_known_before_the_collector_named_it():
    assert SessionOfTable().at(FIRST_EPOCH) is None


def test_a_session_belongs_to_the_run_in_which_it_was_announced():
    session = SessionOfTable()
    assert session.announce("a", FIRST_EPOCH)
    assert session.at(FIRST_EPOCH) == "a"
    assert session.at(SECOND_EPOCH) is None
    assert session.at(None) is None


def test_the_session_of_a_dead_collector_is_not_taken_for_its_successors():
    session = SessionOfTable()
    session.announce("a", FIRST_EPOCH)
    assert not session.announce("a", SECOND_EPOCH)  # a late message of the dead one
    assert session.at(SECOND_EPOCH) is None
    assert session.announce("b", SECOND_EPOCH)
    assert session.at(SECOND_EPOCH) == "b"


def test_without_a_table_an_announcement_means_nothing_yet():
    session = SessionOfTable()
    assert not session.announce("a", None)
    assert session.announce("a", FIRST_EPOCH)
