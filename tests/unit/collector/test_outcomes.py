"""Asking what markets paid: what is due, what is past, and what cannot be asked now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.collector_rig import START_NS, CollectorRig
from support.logged import Logged
from support.scripted_rest import MARKET_ROW, FakeExchange

from ipc.clock import ManualClock
from ipc.messages import MarketResult
from processes.adapters.postgres.open_results import OpenResult
from processes.collector.results import FIRST_PAUSE_NS, Outcomes

PAGE = "/trade-api/v2/markets"
SETTLED: dict[str, Any] = MARKET_ROW | {
    "status": "finalized",
    "result": "yes",
    "settlement_value_dollars": "1.0000",
    "settlement_ts": "2026-08-05T12:01:00Z",
}
UNKNOWN = (404, {"error": {"code": "not_found", "message": "not found"}})
AWAY = OSError("no server")
TICKER = str(MARKET_ROW["ticker"])


class Stand:
    """Outcomes between a scripted exchange and a scripted database."""

    def __init__(self, rig: CollectorRig, *answers: object, recalled: object = ()) -> None:
        self.exchange = FakeExchange(*answers)
        self.rig = rig
        self.recalled = recalled
        self.log = Logged()
        self.clock = ManualClock(START_NS)
        client = self.exchange.client()
        self.outcomes = Outcomes(client, rig.results, self._recall, self.clock, self.log)

    async def _recall(self) -> Sequence[OpenResult]:
        if isinstance(self.recalled, Exception):
            raise self.recalled
        assert isinstance(self.recalled, tuple)
        return self.recalled

    @property
    def lines(self) -> list[str]:
        return self.log.actions()

    async def look(self) -> list[str]:
        """One look -> the paths that were asked for."""
        self.exchange.asked.clear()
        await self.outcomes.look()
        return [request.url.path for request in self.exchange.asked]

    @property
    def told(self) -> list[tuple[str, int | None]]:
        words = [m for m in self.rig.messages() if isinstance(m, MarketResult)]
        return [(w.market_ticker, w.yes_value_e4) for w in words]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[CollectorRig]:
    with CollectorRig(tmp_path) as rig:
        rig.results.expect(TICKER, 1)
        yield rig


def page(*markets: dict[str, Any]) -> dict[str, Any]:
    return {"markets": list(markets), "cursor": ""}


async def test_what_is_settled_is_asked_once(rig: CollectorRig) -> None:
    stand = Stand(rig, page(SETTLED))
    assert await stand.look() == [PAGE]
    assert stand.told == [(TICKER, 10_000)]
    assert await stand.look() == []


async def test_what_is_on_the_list_no_more_is_asked_of_the_past(rig: CollectorRig) -> None:
    stand = Stand(rig, page(), {"market": SETTLED})
    assert await stand.look() == [PAGE, f"/trade-api/v2/historical/markets/{TICKER}"]
    assert stand.told == [(TICKER, 10_000)]


async def test_a_market_that_the_exchange_does_not_know_is_asked_for_later(
    rig: CollectorRig,
) -> None:
    stand = Stand(rig, page(), UNKNOWN, page(SETTLED))
    assert len(await stand.look()) == 2
    assert await stand.look() == []
    stand.clock.advance(FIRST_PAUSE_NS)
    assert await stand.look() == [PAGE]
    assert stand.told == [(TICKER, 10_000)]


async def test_an_exchange_that_does_not_answer_is_asked_again(rig: CollectorRig) -> None:
    stand = Stand(rig, (400, {"error": {"code": "bad", "message": "so it is"}}), page(SETTLED))
    await stand.look()
    assert stand.lines == ["results_not_read"]
    await stand.look()
    assert stand.told == [(TICKER, 10_000)]


async def test_a_bad_amount_is_one_line_and_no_value(rig: CollectorRig) -> None:
    stand = Stand(rig, page(SETTLED | {"settlement_value_dollars": "much"}))
    await stand.look()
    assert (stand.lines, stand.told) == (["result_refused"], [])
    assert await stand.look() == []


async def test_a_database_that_is_away_is_one_line_and_asked_until_it_answers(
    rig: CollectorRig,
) -> None:
    other = SETTLED | {"ticker": "KXOTHER-1"}
    stand = Stand(rig, page(SETTLED), page(other), recalled=AWAY)
    await stand.look()
    await stand.look()
    assert (stand.lines, stand.told) == (["results_not_recalled"], [(TICKER, 10_000)])
    stand.recalled = (OpenResult("KXOTHER-1", None),)
    await stand.look()
    assert stand.told == [(TICKER, 10_000), ("KXOTHER-1", 10_000)]
    stand.recalled = AWAY
    assert await stand.look() == []
    assert stand.lines == ["results_not_recalled"]  # it was not asked again
