"""Which of the exchange's markets are chosen, and how they are asked for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.logged import Logged

from processes.adapters.kalshi.schemas.decoding import LeftOut, Listing
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.rest_public import Market, PriceRangeText
from processes.collector.markets import Discovery, choose
from processes.runtime.config import load_settings


def market(ticker: str, volume: str | None = None, status: str = "active") -> Market:
    return Market(
        ticker=ticker,
        event_ticker="E",
        status=MarketStatus(status),
        open_time="2026-01-01T00:00:00Z",
        close_time="2099-01-01T00:00:00Z",
        price_ranges=(PriceRangeText("0.0000", "1.0000", "0.0100"),),
        volume_24h_fp=volume,
    )


def tickers(markets: list[Market]) -> list[str]:
    return [m.ticker for m in markets]


MARKETS = [market("B", "5.00"), market("A", "5.00"), market("C", "9.50"), market("D")]


def test_the_most_traded_come_first_ties_by_ticker() -> None:
    assert tickers(choose(MARKETS, 3)) == ["C", "A", "B"]
    assert tickers(choose(MARKETS, 9)) == ["C", "A", "B", "D"]


def test_what_is_followed_keeps_its_place() -> None:
    assert tickers(choose(MARKETS, 2, keep={"D"})) == ["D", "C"]
    assert tickers(choose(MARKETS, 2, keep={"gone"})) == ["C", "A"]


def test_a_new_market_needs_the_volume_and_a_followed_one_does_not() -> None:
    assert tickers(choose(MARKETS, 9, min_volume_e2=900)) == ["C"]
    assert tickers(choose(MARKETS, 9, keep={"D"}, min_volume_e2=950)) == ["D", "C"]
    assert tickers(choose(MARKETS, 9, min_volume_e2=951)) == []


class FakeClient:
    """Answers as the exchange would, and notes what was asked."""

    def __init__(self, markets: list[Market], left_out: LeftOut = LeftOut()) -> None:  # noqa: B008
        self._markets = {m.ticker: m for m in markets}
        self._left_out = left_out
        self.asked: list[int] = []

    async def markets(
        self, *, tickers: tuple[str, ...] | None = None, **_: object
    ) -> Listing[Market]:
        named = tuple(self._markets) if tickers is None else tickers
        self.asked.append(len(named))
        found = [self._markets[t] for t in reversed(named) if t in self._markets]
        return Listing(found, self._left_out)


async def test_a_list_is_asked_for_in_pieces_and_keeps_its_order_without_what_has_ended() -> None:
    chance = np.random.default_rng(1)
    names = [f"M{n}" for n in chance.permutation(250).tolist()]
    listing = FakeClient([market(t, status="determined" if t == "M7" else "active") for t in names])
    wanted = {"RL_MARKET_MODE": "config", "RL_MARKET_TICKERS": ",".join([*names, "NONE"])}
    books = load_settings(wanted).books
    found = await Discovery(listing, books, Logged()).look()  # type: ignore[arg-type]
    assert [info.ticker for info in found] == [t for t in names if t != "M7"]
    assert listing.asked == [100, 100, 51]


async def test_a_market_that_cannot_be_read_is_left_out_and_reported_once() -> None:
    odd = msgspec.structs.replace(market("ODD", "12.345"), price_ranges=())
    client = FakeClient([market("A", "5.00"), odd, market("B", "12.345")], LeftOut(3, "close_time"))
    log = Logged()
    books = load_settings({"RL_MARKET_MODE": "discovery"}).books
    discovery = Discovery(client, books, log)  # type: ignore[arg-type]
    for _ in range(2):
        assert [info.ticker for info in await discovery.look()] == ["A", "B"]
    assert log.actions() == ["markets_left_out", "market_refused"]


async def test_a_named_market_that_does_not_exist_is_reported_once() -> None:
    """One that has ended exists: nobody misspelt it."""
    client = FakeClient([market("A"), market("OVER", status="determined")])
    wanted = {"RL_MARKET_MODE": "config", "RL_MARKET_TICKERS": "A,TYPO,OVER"}
    log = Logged()
    discovery = Discovery(client, load_settings(wanted).books, log)  # type: ignore[arg-type]
    for _ in range(3):
        assert [info.ticker for info in await discovery.look()] == ["A"]
    assert log.actions() == ["market_refused"]
    assert log.has("market_refused", ticker="TYPO")


@pytest.mark.parametrize(("raw", "hundredths"), [("", 0), ("250", 25_000)])
def test_the_least_volume_is_set_in_contracts(raw: str, hundredths: int) -> None:
    assert load_settings({"RL_MARKET_MIN_VOLUME": raw}).books.min_volume_e2 == hundredths
