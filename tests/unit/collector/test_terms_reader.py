"""Reading of fees and programs: one that fails costs none of the others, and is tried again."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.collector_rig import CollectorRig
from support.scripted_rest import FakeExchange

from ipc.clock import RealClock
from processes.collector import terms_reader
from processes.collector.terms_reader import TermsReader

EVENT = {"event": {"event_ticker": "E", "series_ticker": "S", "title": ""}, "markets": []}
SERIES = {
    "series": {"ticker": "S", "title": "", "fee_type": "quadratic", "fee_multiplier": 1},
}
SERIES_CHANGES = {"series_fee_change_arr": []}
EVENT_CHANGES = {"event_fee_changes": [], "cursor": ""}
PROGRAMS = {"incentive_programs": [], "next_cursor": ""}
AFTER_SERIES = (SERIES_CHANGES, EVENT_CHANGES, PROGRAMS, PROGRAMS)


@pytest.fixture
def rig(tmp_path) -> Iterator[CollectorRig]:
    with CollectorRig(tmp_path) as rig:
        rig.follow("A")
        yield rig


def reader(rig: CollectorRig, exchange: FakeExchange) -> TermsReader:
    return TermsReader(exchange.client(), rig.markets, rig.terms, RealClock(), rig.log)


def paths(exchange: FakeExchange) -> list[str]:
    return [request.url.path.removeprefix("/trade-api/v2") for request in exchange.asked]


def warned(rig: CollectorRig) -> list[object]:
    return [facts["of"] for action, facts in rig.log.lines if action == "terms_not_read"]


@pytest.mark.parametrize("garbage", [b"<html>", (400, b"{}"), (404, b"{}")])
async def test_changes_that_cannot_be_read_cost_no_program(rig, garbage) -> None:
    exchange = FakeExchange(EVENT, SERIES, garbage, EVENT_CHANGES, PROGRAMS, PROGRAMS)
    terms = reader(rig, exchange)
    await terms.look()
    await terms.look()
    assert paths(exchange) == [
        "/events/E",
        "/series/S",
        "/series/fee_changes",
        "/events/fee_changes",
        "/incentive_programs",
        "/incentive_programs",
    ]
    assert warned(rig) == ["changes of series' fees"]
    assert list(rig.terms.fees) == ["A"]


async def test_a_failed_reading_is_tried_again_and_said_once(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms_reader, "RETRY_NS", 0)
    refused = (400, b"{}")
    exchange = FakeExchange(refused, *AFTER_SERIES, refused, refused, EVENT, SERIES)
    terms = reader(rig, exchange)
    for _ in range(5):
        await terms.look()
    assert paths(exchange).count("/events/E") == 4
    assert warned(rig) == ["event E"]
    assert list(rig.terms.fees) == ["A"]


@pytest.mark.parametrize("answer", [(404, b"{}"), b"<html>"])
async def test_an_answer_that_will_stay_the_same_is_not_asked_for_again_soon(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr(terms_reader, "RETRY_NS", 0)
    exchange = FakeExchange(answer, *AFTER_SERIES)
    terms = reader(rig, exchange)
    for _ in range(3):
        await terms.look()
    assert paths(exchange).count("/events/E") == 1


async def test_a_look_reads_a_few_events_and_series_and_the_next_one_goes_on(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms_reader, "MOST_READS", 1)
    exchange = FakeExchange(EVENT, *AFTER_SERIES, SERIES)
    terms = reader(rig, exchange)
    await terms.look()
    assert "/series/S" not in paths(exchange)
    await terms.look()
    assert paths(exchange)[-1] == "/series/S"
    assert list(rig.terms.fees) == ["A"]


async def test_an_exchange_that_is_away_is_asked_for_one_thing_a_look(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [httpx.ConnectError("refused")] * 40
    exchange = FakeExchange(*away)
    terms = reader(rig, exchange)
    await terms.look()
    assert set(paths(exchange)) == {"/events/E"}
    assert warned(rig) == ["event E"]
