"""Fees and programs of followed markets: what was said, in order -> what is journalled."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from support.collector_rig import CollectorRig
from support.collector_rig import market as followed

from ipc.messages import MarketTerms, ProgramListed
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.rest.public import (
    EventFeeChange,
    EventFees,
    FeeChange,
    IncentiveProgram,
    Series,
)
from processes.adapters.kalshi.schemas.frames import EventFeeUpdate
from processes.adapters.kalshi.schemas.stream_messages import EventFeeUpdateMsg
from processes.collector.terms import LAG_MS, Terms

NOW = 1_790_000_000_000
USUAL = (0, "quadratic", 10_000)
PROGRAM = IncentiveProgram("p1", "A", "liquidity", "d", NOW, NOW + 900_000, 20_000_000, False)


@pytest.fixture
def rig(tmp_path) -> Iterator[CollectorRig]:
    with CollectorRig(tmp_path) as rig:
        yield rig


def read(rig: CollectorRig, **more: object) -> Terms:
    """Market A, its event and its series, all read; `more`: of the market."""
    terms = rig.terms
    info = msgspec.structs.replace(followed("A"), **more)
    terms.on_event(EventFees(info.event_ticker, "S", None, None))
    terms.on_series(Series("S", "", "quadratic", 10_000, 0), NOW)
    terms.update([info], NOW)
    return terms


def journalled(rig: CollectorRig) -> list[tuple[tuple[int, str, int], ...]]:
    return [m.fees for m in rig.messages() if isinstance(m, MarketTerms)]


def update(rig: CollectorRig, terms: Terms) -> None:
    terms.update([followed("A")], NOW)


def test_nothing_is_known_before_event_and_series_were_read(rig: CollectorRig) -> None:
    info, terms = followed("A"), rig.terms
    assert terms.unread_events([info]) == [info.event_ticker]
    terms.on_event(EventFees(info.event_ticker, "S", None, None))
    update(rig, terms)
    assert (terms.fees, terms.unread_events([info]), terms.series_of([info])) == ({}, [], ["S"])
    terms.on_series(Series("S", "", "quadratic", 10_000, 0), NOW)
    update(rig, terms)
    update(rig, terms)
    assert terms.fees == {"A": (USUAL,)}
    assert journalled(rig) == [(USUAL,)]


def test_announced_changes_are_steps_and_a_withdrawn_one_is_none(rig: CollectorRig) -> None:
    terms = read(rig)
    terms.on_series_changes([FeeChange("S", "flat", 5_000, NOW + 9)], NOW)
    event = followed("A").event_ticker
    terms.on_event_changes([EventFeeChange(event, "quadratic", 0, NOW + 5)], NOW)
    update(rig, terms)
    terms.on_series_changes([], NOW + 1)
    terms.on_event_changes([], NOW + 1)
    update(rig, terms)
    assert journalled(rig) == [
        (USUAL,),
        (USUAL, (NOW + 5, "quadratic", 0)),
        (USUAL,),
    ]


def test_a_change_that_has_begun_stays_though_lists_of_what_is_to_come_lack_it(
    rig: CollectorRig,
) -> None:
    terms = read(rig)
    terms.on_series_changes([FeeChange("S", "flat", 10_000, NOW + 9)], NOW)
    terms.on_series_changes([], NOW + 10)
    update(rig, terms)
    assert journalled(rig)[-1] == (USUAL, (NOW + 9, "flat", 10_000))


def test_an_unannounced_change_begins_when_it_is_seen_but_a_late_read_is_none(
    rig: CollectorRig,
) -> None:
    terms = read(rig)
    terms.on_series_changes([FeeChange("S", "quadratic", 5_000, NOW + 9)], NOW)
    terms.on_series(Series("S", "", "quadratic", 10_000, 0), NOW + 10)  # lags behind
    update(rig, terms)
    assert journalled(rig)[-1] == (USUAL, (NOW + 9, "quadratic", 5_000))
    later = NOW + 10 + LAG_MS
    terms.on_series(Series("S", "", "quadratic", 0, 0), later)
    update(rig, terms)
    assert journalled(rig)[-1][-1] == (later, "quadratic", 0)


def test_the_channel_says_when_an_events_own_fees_begin_and_end(rig: CollectorRig) -> None:
    terms, event = read(rig), followed("A").event_ticker
    rig.now_ns = NOW * 1_000_000
    for msg in (
        EventFeeUpdateMsg(event, "quadratic_with_maker_fees", 1.0),
        EventFeeUpdateMsg(event, "quadratic_with_maker_fees", 1.0),
        EventFeeUpdateMsg("ELSEWHERE", "flat", 1.0),
        EventFeeUpdateMsg(event, "flat", 1e300),
    ):
        rig.take(EventFeeUpdate(sid=9, seq=1, msg=msg), step_ms=1)
    update(rig, terms)
    begun = journalled(rig)[-1]
    assert [step[1:] for step in begun] == [USUAL[1:], ("quadratic_with_maker_fees", 10_000)]
    rig.take(EventFeeUpdate(sid=9, seq=2, msg=EventFeeUpdateMsg(event)), step_ms=1)
    update(rig, terms)
    assert [step[1:] for step in journalled(rig)[-1]][-1] == USUAL[1:]
    assert rig.feed.counts["malformed_amounts"] == 1


def test_a_waiver_comes_first_and_its_end_is_a_step(rig: CollectorRig) -> None:
    read(rig, fee_waiver_ms=NOW + 7)
    assert journalled(rig) == [((0, "quadratic", 0), (NOW + 7, "quadratic", 10_000))]


def test_unknown_terms_are_not_journalled_and_said_once(rig: CollectorRig) -> None:
    terms = rig.terms
    terms.on_event(EventFees(followed("A").event_ticker, "S", None, None))
    terms.on_series(Series("S", "", "by_the_hour", 10_000, 0), NOW)
    update(rig, terms)
    update(rig, terms)
    assert (terms.fees, journalled(rig)) == ({}, [])
    assert len([a for a in rig.log.actions() if a == "fees_assumed"]) == 1


def test_an_override_found_at_the_first_reading_holds_before_too(rig: CollectorRig) -> None:
    terms = rig.terms
    terms.on_event(EventFees(followed("A").event_ticker, "S", "flat", 10_000))
    terms.on_series(Series("S", "", "quadratic", 10_000, 0), NOW)
    update(rig, terms)
    assert journalled(rig) == [((0, "flat", 10_000),)]


def test_what_is_not_followed_is_forgotten(rig: CollectorRig) -> None:
    terms = read(rig)
    terms.update([], NOW)
    assert terms.fees == {}
    assert terms.unread_events([followed("A")]) == [followed("A").event_ticker]


def test_programs_of_followed_markets_are_journalled_when_new_or_changed(
    rig: CollectorRig,
) -> None:
    terms = rig.terms
    other = msgspec.structs.replace(PROGRAM, program_id="p2", market_ticker="Z")
    terms.on_programs([PROGRAM, other])
    update(rig, terms)
    terms.on_programs([PROGRAM])
    update(rig, terms)
    terms.on_programs([msgspec.structs.replace(PROGRAM, reward_e6=1)])
    update(rig, terms)
    found = [m for m in rig.messages() if isinstance(m, ProgramListed)]
    assert [(m.program_id, m.reward_e6, m.listed_ns) for m in found] == [
        ("p1", 20_000_000, NOW),
        ("p1", 1, NOW),
    ]


def test_lists_of_what_is_to_come_add_nothing_that_has_begun(rig: CollectorRig) -> None:
    terms, event = read(rig), followed("A").event_ticker
    for _ in range(2):
        terms.on_series_changes([FeeChange("S", "flat", 10_000, NOW - 5)], NOW)
        terms.on_event_changes([EventFeeChange(event, "flat", 5_000, NOW - 5)], NOW)
        update(rig, terms)
    assert journalled(rig) == [(USUAL,)]


def test_a_market_that_is_followed_again_is_journalled_and_refused_again(
    rig: CollectorRig,
) -> None:
    terms = rig.terms
    terms.on_programs([PROGRAM])
    for _ in range(2):
        terms.on_event(EventFees(followed("A").event_ticker, "S", None, None))
        terms.on_series(Series("S", "", "by_the_hour", 10_000, 0), NOW)
        update(rig, terms)
        update(rig, terms)
        terms.update([], NOW)
    assert [m.program_id for m in rig.messages() if isinstance(m, ProgramListed)] == ["p1", "p1"]
    assert rig.log.actions().count("fees_assumed") == 2


def test_a_bad_multiplier_is_a_wire_error(rig: CollectorRig) -> None:
    terms, event = read(rig), followed("A").event_ticker
    for bad in (float("nan"), float("inf"), -1.0, 0.00001):
        with pytest.raises(WireError):
            terms.on_event_update(EventFeeUpdateMsg(event, "flat", bad), NOW)


def test_what_was_announced_holds_for_events_and_series_that_are_read_later(
    rig: CollectorRig,
) -> None:
    info, terms = followed("A"), rig.terms
    terms.on_series_changes([FeeChange("S", "flat", 10_000, NOW + 5_000)], NOW)
    terms.on_event_changes(
        [EventFeeChange(info.event_ticker, "quadratic_with_maker_fees", 20_000, NOW + 9_000)], NOW
    )
    terms.on_event(EventFees(info.event_ticker, "S", None, None))
    terms.on_series(Series("S", "", "quadratic", 10_000, 0), NOW)
    update(rig, terms)
    assert terms.fees["A"] == (
        USUAL,
        (NOW + 5_000, "flat", 10_000),
        (NOW + 9_000, "quadratic_with_maker_fees", 20_000),
    )
