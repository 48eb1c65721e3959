"""Rows are given and taken in one place; what does not fit is refused in one line."""

from __future__ import annotations

import msgspec
from support.collector_rig import MS, START_NS, CollectorRig, market
from support.frames import lifecycle, snapshot

from ipc import book as b
from ipc.messages import MarketListed
from ipc.units import PriceGrid, PriceRange


def listings(rig: CollectorRig) -> list[tuple[str, int, int]]:
    found = [m for m in rig.messages() if isinstance(m, MarketListed)]
    return [(m.market_ticker, m.row, m.from_event_no) for m in found]


def test_following_again_changes_nothing(tmp_path):
    with CollectorRig(tmp_path) as rig:
        assert rig.markets.follow([market("A")], START_NS).added == ("A",)
        assert rig.markets.follow([market("A")], START_NS).added == ()


MINUTE_NS = 60_000 * MS


def test_a_row_is_kept_for_a_minute_after_the_close(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        close_ns = 1_790_000_900_000 * MS
        listed = [market("A")]
        assert rig.markets.follow(listed, close_ns + MINUTE_NS - 1).removed == ()
        assert rig.markets.follow(listed, close_ns + MINUTE_NS).removed == ("A",)
        assert rig.books.table.rows == {}


def test_a_row_is_kept_for_a_minute_after_the_outcome_however_late_the_close_is(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A", "B")
        rig.take(snapshot("A", [("0.4600", "1.00")], []), lifecycle("A", "determined"))
        listed = [market("A"), market("B")]
        assert rig.markets.follow(listed, rig.now_ns + MINUTE_NS - 1).removed == ()
        assert rig.row("A")[b.FLAGS] & b.CLOSED
        assert rig.markets.follow([market("B")], rig.now_ns + MINUTE_NS).removed == ("A",)
        assert rig.books.table.rows.keys() == {"B"}


def test_a_market_that_is_no_longer_listed_leaves_after_a_minute_unless_it_comes_back(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A", "B")
        assert rig.markets.follow([market("B")], START_NS + 1).removed == ()
        assert rig.markets.follow([market("A")], START_NS + MINUTE_NS).removed == ()
        assert rig.markets.follow([market("A")], START_NS + 2 * MINUTE_NS).removed == ("B",)
        assert rig.markets.tickers == ("A",)


def test_a_market_with_other_prices_gets_another_row(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        rig.take(snapshot("A", [("0.4600", "1.00")], []))
        finer = msgspec.structs.replace(market("A"), grid=PriceGrid([PriceRange(0, 10_000, 200)]))
        changes = rig.markets.follow([finer], START_NS)
        assert (changes.added, changes.removed) == (("A",), ("A",))
        assert rig.row("A")[b.STATE] == b.EMPTY
        assert b.grid_of(rig.row("A")) == finer.grid
        assert listings(rig) == [("A", 0, 1), ("A", 1, 4)]


def test_another_close_is_in_the_row_and_in_the_journal(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        rig.take(snapshot("A", [("0.4600", "1.00")], []))
        changes = rig.markets.follow([market("A", close_ms=1_790_000_100_000)], START_NS)
        assert (changes.added, changes.removed) == ((), ())
        assert rig.row("A")[b.CLOSE_MS] == 1_790_000_100_000
        assert rig.row("A")[b.STATE] == b.LIVE
        found = [m.close_ms for m in rig.messages() if isinstance(m, MarketListed)]
        assert found == [1_790_000_900_000, 1_790_000_100_000]
        assert not rig.markets.is_open("A", 1_790_000_100_000 * MS)


def test_a_market_past_its_close_is_not_followed(tmp_path):
    with CollectorRig(tmp_path) as rig:
        assert rig.markets.follow([market("A")], 1_790_000_900_000 * MS).added == ()


def test_a_row_used_again_is_listed_again_from_its_next_event_on(tmp_path):
    with CollectorRig(tmp_path, rows=1) as rig:
        rig.follow("A")
        rig.take(snapshot("A", [("0.4600", "1.00")], []))
        late = 1_790_000_900_000 * MS + 60_000 * MS
        rig.markets.follow([], late)
        rig.markets.follow([market("B", close_ms=1_790_009_000_000)], late)
        assert listings(rig) == [("A", 0, 1), ("B", 0, 4)]
        assert rig.row("B")[b.STATE] == b.EMPTY


def test_a_full_table_refuses_with_one_line_however_often_it_is_tried(tmp_path):
    with CollectorRig(tmp_path, rows=1) as rig:
        rig.follow("A", "B")
        rig.follow("A", "B")
        assert rig.markets.tickers == ("A",)
        reasons = [f["error"] for action, f in rig.log.lines if action == "market_refused"]
        assert reasons == ["B: all 1 rows of RL_BOOK_ROWS are in use"]


def test_a_grid_finer_than_the_table_is_refused_by_name(tmp_path):
    fine = PriceGrid([PriceRange(0, 10_000, 10)])
    with CollectorRig(tmp_path) as rig:
        info = market("A")
        changes = rig.markets.follow([msgspec.structs.replace(info, grid=fine)], START_NS)
        assert changes.added == ()
        ((_, facts),) = rig.log.lines
        assert "RL_BOOK_SLOTS >= 999, is 99" in str(facts["error"])


def test_a_market_whose_listing_the_journal_refuses_gets_no_row(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.session._records._writer._max_bytes = 0
        rig.follow("A")
        assert rig.markets.tickers == ()
        assert rig.books.table.rows == {}
        rig.session._records._writer._max_bytes = 1 << 20
        rig.follow("A")
        assert rig.markets.tickers == ("A",)


def test_a_book_is_expected_until_the_close_or_the_outcome(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A", "B")
        assert rig.markets.is_open("A", START_NS)
        assert not rig.markets.is_open("A", 1_790_000_900_000 * MS)
        rig.take(lifecycle("B", "determined"))
        assert not rig.markets.is_open("B", START_NS)
        assert not rig.markets.is_open("Z", START_NS)


def test_a_market_whose_prices_have_become_too_fine_is_no_longer_followed(tmp_path):
    fine = PriceGrid([PriceRange(0, 10_000, 10)])
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        info = msgspec.structs.replace(market("A"), grid=fine)
        assert rig.markets.follow([info], START_NS).removed == ("A",)
        assert rig.markets.follow([info], START_NS).removed == ()
        assert rig.markets.tickers == ()
        assert len(rig.log.lines) == 1
