"""What no schema and no specification has is counted by name, within bounds."""

from __future__ import annotations

import msgspec
import pytest
from support.logged import Logged

from processes.adapters.kalshi.schemas.drift import (
    LONGEST,
    MOST_NAMES,
    OTHERS,
    SEEN,
    DriftCounts,
    report_drift,
)
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.fields import check_fields, unknown_fields
from processes.adapters.kalshi.schemas.frames import Lifecycle, Ok, Snapshot, decode_frame
from processes.adapters.kalshi.schemas.rest_public import ExchangeStatus, MarketsPage


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> DriftCounts:
    """The counts of this process, empty."""
    monkeypatch.setattr(SEEN, "counts", {})
    monkeypatch.setattr(SEEN, "_not_reported", [])
    return SEEN


def test_names_are_counted_and_each_is_reported_once() -> None:
    counts = DriftCounts()
    counts.note("field", "Market.color")
    counts.note("field", "Market.color")
    counts.note("value", "MarketStatus=halted")
    assert counts.counts == {"field Market.color": 2, "value MarketStatus=halted": 1}
    assert counts.take_new() == ["field Market.color", "value MarketStatus=halted"]
    counts.note("field", "Market.color")
    assert counts.take_new() == []
    assert counts.total == 4


def test_a_name_is_logged_once_and_its_count_goes_on() -> None:
    log, counts = Logged(), DriftCounts()
    assert report_drift(log, counts) == {}
    counts.note("field", "Market.color")
    for _ in range(2):
        shown = report_drift(log, counts)
        assert shown == {"unknown_on_the_wire": 1, "unknown field Market.color": 1}
    assert log.lines == [("unknown_on_the_wire", {"name": "field Market.color"})]


def test_a_peer_that_makes_names_up_fills_no_memory() -> None:
    counts = DriftCounts()
    for number in range(10_000):
        counts.note("value", f"{number}\n\x1b" + "x" * 1_000_000)
    assert len(counts.counts) == MOST_NAMES + 1
    assert counts.counts[OTHERS] == 10_000 - MOST_NAMES
    assert max(map(len, counts.counts)) <= LONGEST
    assert all(name.isprintable() for name in counts.counts)


def test_an_unknown_word_reads_as_unknown_and_is_counted(seen: DriftCounts) -> None:
    assert msgspec.json.decode(b'"suspended"', type=MarketStatus) is MarketStatus.UNKNOWN
    assert msgspec.json.decode(b'"active"', type=MarketStatus) is MarketStatus.ACTIVE
    assert seen.counts == {"value MarketStatus=suspended": 1}


SNAPSHOT = b'{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A"%s}%s}'


@pytest.mark.parametrize(
    ("inner", "outer", "found"),
    [
        (b"", b"", []),
        (b',"clock":1,"market_id":"x"', b',"id":3', []),
        (b',"depth":1', b"", ["SnapshotMsg.depth"]),
        (b"", b',"epoch":{"a":1}', ["Snapshot.epoch"]),
    ],
)
def test_new_fields_of_a_frame(inner: bytes, outer: bytes, found: list[str]) -> None:
    data = SNAPSHOT % (inner, outer)
    assert isinstance(decode_frame(data), Snapshot)
    assert unknown_fields(Snapshot, data) == found


def test_new_fields_of_the_first_item_of_a_page_and_of_what_is_in_it() -> None:
    ranges = [{"start": "0", "end": "1", "step": "0.01", "label": "x"}]
    row = {"ticker": "A", "rules_primary": "documented", "color": 1, "price_ranges": ranges}
    page = msgspec.json.encode({"markets": [row, {"never": "read"}], "cursor": "", "total": 1})
    assert sorted(unknown_fields(MarketsPage, page)) == [
        "Market.color",
        "MarketsPage.total",
        "PriceRangeText.label",
    ]


@pytest.mark.parametrize("data", [b"", b"7", b"[]", b"\xff", b'{"markets":7}', b'{"a":' * 5_000])
def test_what_cannot_be_read_has_no_new_fields(data: bytes) -> None:
    assert [n for n in unknown_fields(MarketsPage, data) if n != "MarketsPage.a"] == []


def test_what_is_documented_and_not_read_is_not_new(seen: DriftCounts) -> None:
    check_fields(ExchangeStatus, b'{"exchange_active":true,"exchange_index_statuses":[]}')
    check_fields(Lifecycle, b'{"type":"x","msg":{"additional_metadata":{"anything":1}}}')
    check_fields(Ok, b'{"type":"ok","msg":[{"channel":"a","sid":1}]}')
    assert seen.counts == {}
