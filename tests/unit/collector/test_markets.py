"""Rows are given and taken in one place; what does not fit is refused in one line."""

from __future__ import annotations

import msgspec
from support.collector_rig import MS, START_NS, CollectorRig, market
from support.frames import snapshot

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


def test_a_market_that_the_exchange_no_longer_lists_keeps_its_row_until_a_minute_after_close(
    tmp_path,
):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        close_ns = 1_790_000_900_000 * MS
        assert rig.markets.follow([], close_ns + 59_000 * MS).removed == ()
        assert rig.markets.follow([], close_ns + 60_000 * MS).removed == ("A",)
        assert rig.books.table.rows == {}


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
        reasons = [f["reason"] for action, f in rig.lines if action == "market_refused"]
        assert reasons == ["B: all 1 rows of RL_BOOK_ROWS are in use"]


def test_a_grid_finer_than_the_table_is_refused_by_name(tmp_path):
    fine = PriceGrid([PriceRange(0, 10_000, 10)])
    with CollectorRig(tmp_path) as rig:
        info = market("A")
        changes = rig.markets.follow([type(info)(**{**_fields(info), "grid": fine})], START_NS)
        assert changes.added == ()
        ((_, facts),) = rig.lines
        assert "RL_BOOK_LEVELS >= 999, is 99" in str(facts["reason"])


def _fields(info: object) -> dict[str, object]:
    return {name: getattr(info, name) for name in info.__struct_fields__}


def test_a_market_whose_listing_the_journal_refuses_gets_no_row(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.session._marks._max_bytes = 0
        rig.follow("A")
        assert rig.markets.tickers == ()
        assert rig.books.table.rows == {}
        rig.session._marks._max_bytes = 1 << 20
        rig.follow("A")
        assert rig.markets.tickers == ("A",)


def test_only_open_markets_without_a_live_book_want_a_snapshot(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A", "B")
        rig.take(snapshot("A", [("0.4600", "1.00")], []))
        assert rig.markets.without_book(START_NS) == {"B"}
        assert rig.markets.without_book(1_790_000_900_000 * MS) == set()


def test_a_market_with_other_terms_is_listed_again_without_a_book(tmp_path):
    fine = PriceGrid([PriceRange(0, 10_000, 200)])
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        rig.take(snapshot("A", [("0.4600", "1.00")], []))
        for terms in ({"grid": fine}, {"grid": fine, "close_ms": 1_790_000_800_000}):
            info = msgspec.structs.replace(market("A"), **terms)
            changes = rig.markets.follow([info], START_NS)
            assert (changes.added, changes.removed) == ((), ())  # it stays subscribed
            assert rig.markets.without_book(START_NS) == {"A"}
            assert rig.row("A")[b.CLOSE_MS] == info.close_ms
        assert [ticker for ticker, _, _ in listings(rig)] == ["A", "A", "A"]
        assert len(rig.books.table.rows) == 1


def test_a_market_whose_prices_have_become_too_fine_is_no_longer_followed(tmp_path):
    fine = PriceGrid([PriceRange(0, 10_000, 10)])
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        info = msgspec.structs.replace(market("A"), grid=fine)
        assert rig.markets.follow([info], START_NS).removed == ("A",)
        assert rig.markets.follow([info], START_NS).removed == ()
        assert rig.markets.tickers == ()
        assert len(rig.lines) == 1
