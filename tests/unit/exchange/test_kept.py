"""What single parts of the exchange keep, and the times that they write."""

from __future__ import annotations

import json

import pytest
from support.exchange_core import CASH_E6, START_MS, TICKER, Core

from processes.exchange.core import venue
from processes.exchange.core.books import YES
from processes.exchange.core.events import TradePrinted
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket, MarketFacts
from processes.exchange.stream import hub as hub_module
from processes.exchange.stream.frames import iso_ms, iso_us
from processes.exchange.stream.hub import Hub
from processes.exchange.stream.session import KEPT_ENDED, StreamSession


def test_times_are_written_with_all_their_digits() -> None:
    assert iso_ms(1_786_410_900_007) == "2026-08-11T01:15:00.007Z"
    assert iso_us(1_786_410_900_307_042) == "2026-08-11T01:15:00.307042Z"
    assert iso_us(1_786_410_900_000_000) == "2026-08-11T01:15:00.000000Z"


def test_a_market_that_starts_over_settles_again() -> None:
    account = TradingAccount("u", CASH_E6)
    for passed in (1, 2):
        flow_e6 = account.position("A").buy(YES, 4_000, 100, 0, START_MS)
        account.collateral(0).cash_e6 += flow_e6
        assert account.settle("A", "E", "yes", 10_000, START_MS) is not None
        assert account.cash_e6 == CASH_E6 + passed * 600_000
    assert account.settle("A", "E", "yes", 10_000, START_MS) is None


def test_the_oldest_trades_of_all_fall_out_of_their_markets_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(venue, "KEPT", 6)
    history = venue.TradeHistory()
    markets = [ListedMarket(MarketFacts(t, "E", "S", START_MS, START_MS + 1), 0) for t in "ABC"]
    for market in markets:
        for n in range(3):
            history.add(
                TradePrinted(market, f"{market.ticker}{n}", 5_000, 100, YES, START_MS, START_MS)
            )
    assert [t.trade_id for t in history.newest_first()] == ["C2", "C1", "C0", "B2", "B1", "B0"]
    kept = {t: [x.trade_id for x in history.newest_first(t)] for t in "ABC"}
    assert kept == {"A": [], "B": ["B2", "B1", "B0"], "C": ["C2", "C1", "C0"]}
    history.forget({"B"})
    assert [t.trade_id for t in history.newest_first()] == ["C2", "C1", "C0"]
    assert list(history.newest_first("B")) == []


def test_a_connection_remembers_its_last_ended_subscriptions() -> None:
    core = Core()
    session = StreamSession(1, core.caller(), lambda _: None, core.venue.markets.get)
    for sid in range(1, 3 * KEPT_ENDED):
        params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
        session.handle(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        session.handle(json.dumps({"id": 2, "cmd": "unsubscribe", "params": {"sids": [sid]}}))
    newest = 3 * KEPT_ENDED - 1
    assert list(session.history) == list(range(newest - KEPT_ENDED, newest + 1))


def test_the_past_of_gone_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    core, hub = Core(), Hub()

    def comes_and_goes(number: int, frames: int) -> None:
        session = StreamSession(number, core.caller(), lambda _: None, core.venue.markets.get)
        hub.add(session)
        params = {"channels": ["orderbook_delta"], "market_tickers": [TICKER]}
        session.handle(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        (subscription,) = session.by_sid.values()
        for _ in range(frames):
            subscription.next_seq()
        hub.remove(session)

    monkeypatch.setattr(hub_module, "KEPT_SESSIONS", 3)
    for number in range(1, 7):
        comes_and_goes(number, 10)
    assert list(hub.known) == [4, 5, 6]
    monkeypatch.setattr(hub_module, "KEPT_FRAMES", 60)
    comes_and_goes(7, 40)
    assert list(hub.known) == [6, 7]
