from __future__ import annotations

from processes.inference.sessions import SessionOfBooks

FIRST, SECOND = (1, 1), (1, 2)


def test_nothing_is_known_before_the_collector_spoke():
    assert SessionOfBooks().of(FIRST) is None


def test_a_session_belongs_to_the_life_in_which_it_was_announced():
    session = SessionOfBooks()
    assert session.announce("a", FIRST)
    assert session.of(FIRST) == "a"
    assert session.of(SECOND) is None
    assert session.of(None) is None


def test_the_session_of_a_dead_collector_is_not_taken_for_its_successors():
    session = SessionOfBooks()
    session.announce("a", FIRST)
    assert not session.announce("a", SECOND)  # a late word of the dead one
    assert session.of(SECOND) is None
    assert session.announce("b", SECOND)
    assert session.of(SECOND) == "b"


def test_without_a_table_an_announcement_means_nothing_yet():
    session = SessionOfBooks()
    assert not session.announce("a", None)
    assert session.announce("a", FIRST)
