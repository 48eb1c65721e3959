"""The published book and its log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processes.exchange.core.books import CHECKPOINT_EVERY, NO, YES, BookLog, PublishedBook

CHANGES = st.lists(
    st.tuples(st.sampled_from([YES, NO]), st.integers(1, 9_999), st.integers(1, 10**9)),
    max_size=60,
)


def test_a_delta_is_a_signed_change():
    book = PublishedBook()
    book.replace([(YES, 7_000, 500)])
    book.change(YES, 7_000, 250)
    assert book.count(YES, 7_000) == 750
    book.change(YES, 7_000, -750)
    assert book.legs[YES] == {}


def test_the_best_bid_is_the_highest_and_stands_last():
    book = PublishedBook()
    book.replace([(YES, 7_000, 500), (YES, 6_900, 100), (NO, 2_000, 100)])
    assert (book.best(YES), book.best(NO)) == (7_000, 2_000)
    assert book.ascending(YES) == [(6_900, 100), (7_000, 500)]
    assert PublishedBook().best(YES) == 0


@given(CHANGES, st.integers(0, 60))
def test_the_log_gives_every_past_state_back(changes, snapshot_at):
    book, log, states = PublishedBook(), BookLog(), [()]
    for n, (leg, price, delta) in enumerate(changes):
        if n == snapshot_at:
            book.replace([(leg, price, delta)])
            log.replaced(book.levels())
        else:
            signed = -book.count(leg, price) if n % 3 == 2 else delta
            book.change(leg, price, signed)
            log.changed(leg, price, signed, book)
        states.append(book.levels())
    for n, levels in enumerate(states):
        assert log.state(n).levels() == levels


def test_the_log_is_right_across_its_copies():
    book, log = PublishedBook(), BookLog()
    states = {}
    for n in range(2 * CHECKPOINT_EVERY + 5):
        book.change(n % 2, 100 + n % 7, 1 if n % 5 else -1)
        log.changed(n % 2, 100 + n % 7, 1 if n % 5 else -1, book)
        states[n + 1] = book.levels()
    for n in (1, CHECKPOINT_EVERY - 1, CHECKPOINT_EVERY, CHECKPOINT_EVERY + 1, log.events):
        assert log.state(n).levels() == states[n]
