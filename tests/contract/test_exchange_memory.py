"""What the exchange remembers stays bounded, however long it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.exchange import running_exchange
from support.flow_rig import START_MS
from support.local_exchange import LocalExchange
from support.stack import eventually

from processes.exchange.core.books import YES
from processes.exchange.core.history import RetentionLimits
from processes.exchange.core.orders import NewOrder, OrderTimeInForce, SelfTradePrevention
from processes.exchange.shared.state import ExchangeRules
from processes.exchange.stream import hub, session
from processes.exchange.stream.session import StreamSession
from processes.exchange.synthetic.flow import SyntheticFlow
from processes.exchange.synthetic.profiles import ACTIVE

pytestmark = pytest.mark.slow

MINUTE_MS = 60_000
WINDOW_MS = 15 * MINUTE_MS
KEEP_MS = 2 * WINDOW_MS
BOOK_EVENTS = 60_000
KEPT_MARKETS = 5  # one is open, one is closed, two have settled, one is about to be forgotten
LIMITS = RetentionLimits(keep_ms=KEEP_MS, book_events=BOOK_EVENTS)


class Run:
    """A synthetic market, an account that trades in it every minute, clients that come and go."""

    def __init__(self, exchange: LocalExchange) -> None:
        self.exchange, self.state = exchange, exchange.state
        self._flow = SyntheticFlow(exchange.venue, exchange.order_entry, 1, [ACTIVE])
        self._now_ms, self._minutes, self._sent = START_MS, 0, 0
        self._flow.step(self._now_ms)

    def windows(self, number: int) -> None:
        """So many quarters of an hour."""
        for _ in range(number * WINDOW_MS // MINUTE_MS):
            self._minutes += 1
            session = self._client()
            for _ in range(12):
                self._now_ms += 5_000
                self.exchange.time.pause(self._now_ms)
                self._flow.step(self._now_ms)
            self._trade()
            self.state.apply_due()
            self.state.apply_retention()
            self.state.hub.remove(session)

    def _client(self) -> StreamSession:
        """Somebody who follows the books for a minute."""
        caller = self.exchange.caller(1)
        session = StreamSession(self._minutes, caller, self._count, self.exchange.venue.markets.get)
        self.state.hub.add(session)
        params = {"channels": ["orderbook_delta"], "market_tickers": [self._newest()]}
        command = {"id": 1, "cmd": "subscribe", "params": params}
        self.state.hub.command(session, json.dumps(command))
        return session

    def _count(self, _: bytes) -> None:
        self._sent += 1

    def _newest(self) -> str:
        return list(self.exchange.venue.markets)[-1]

    def _trade(self) -> None:
        """One order that takes what there is, one that waits below."""
        market = self.exchange.venue.markets[self._newest()]
        if not market.is_open:
            return
        for price_e4, count_e2 in ((9_900, 100), (100, 200)):
            order = NewOrder(
                ticker=market.ticker,
                client_order_id=f"{self._minutes}-{price_e4}",
                leg=YES,
                leg_price_e4=price_e4,
                count_e2=count_e2,
                time_in_force=OrderTimeInForce.GOOD_TILL_CANCELED,
                self_trade=SelfTradePrevention.TAKER_AT_CROSS,
            )
            self.exchange.order_entry.create(self.exchange.accounts[0], order)

    def kept(self) -> dict[str, int]:
        """How much there is of everything that could grow."""
        venue, order_entry, hub = self.exchange.venue, self.exchange.order_entry, self.state.hub
        account, replica = self.exchange.accounts[0], self.state.replica
        return {
            "markets": len(venue.markets),
            "numbers": len(venue.by_number),
            "clearings": len(order_entry.clearings),
            "book events": sum(m.log.kept for m in venue.by_number.values()),
            "orders": len(order_entry.orders),
            "client ids": len(order_entry._client_ids),
            "fills": len(order_entry.fills[account.user_id]),
            "positions": len(account.positions),
            "settlements": len(account.settlements),
            "trades": len({t.market.ticker for t in venue.trades.newest_first()}),
            "past orders": len(replica._orders._copies),
            "past positions": len(replica._positions._copies),
            "sessions": len(hub.known),
            "counted": len(hub.sent.deltas),
        }


@pytest.fixture
async def run(tmp_path):
    rules = ExchangeRules(limits=LIMITS, orders_lag_ms=1, positions_lag_ms=1)
    async with LocalExchange(tmp_path, START_MS, rules=rules) as exchange:
        yield Run(exchange)


@pytest.mark.slow
async def test_a_long_run_keeps_what_ended_lately(run: Run) -> None:
    run.windows(5)
    early = run.kept()
    run.windows(6)
    late = run.kept()
    print(f"after 5 windows {early}, after 11 {late}")
    orders = 2 * KEPT_MARKETS * WINDOW_MS // MINUTE_MS
    bounds = dict.fromkeys(early, KEPT_MARKETS)
    bounds |= {"book events": 2 * BOOK_EVENTS, "sessions": hub.KEPT_SESSIONS, "counted": 6}
    bounds |= dict.fromkeys(("orders", "client ids", "past orders"), orders)
    bounds |= {"fills": orders * 20}
    assert {name: late[name] for name in late if late[name] > bounds[name]} == {}
    assert min(late.values()) > 0


@pytest.mark.slow
async def test_money_is_not_forgotten(run: Run) -> None:
    run.windows(4)
    account = run.exchange.accounts[0]
    settled = {s.ticker: s for s in account.settlements}
    cash_e6 = account.cash_e6
    run.windows(4)
    assert not settled.keys() & {s.ticker for s in account.settlements}
    fills = [f for f in run.exchange.order_entry.fills[account.user_id] if f.ticker in settled]
    assert fills == []
    reply = await run.exchange.call("GET", "/portfolio/positions", settlement_status="all")
    assert reply.status_code == 200
    assert account.cash_e6 != cash_e6
    assert account.held_e6 < 10_000_000


async def test_a_forgotten_past_book_is_refused(run: Run) -> None:
    run.windows(1)
    oldest = next(iter(run.exchange.venue.by_number.values()))
    assert oldest.log.state(oldest.log.events) is not None
    run.windows(2)
    assert oldest.number in run.exchange.venue.by_number
    assert oldest.log.state(oldest.log.events) is None


def test_the_process_forgets_too(tmp_path: Path) -> None:
    """An hour of market time passes in less than four seconds."""
    environ = {"RL_EXCHANGE_MARKETS": "1", "RL_EXCHANGE_SPEED": "1000"}
    with running_exchange(tmp_path, RL_EXCHANGE_KEEP_HOURS="1", **environ) as exchange:
        first = exchange.get("/markets")["markets"][-1]["ticker"]
        eventually(lambda: exchange.call("GET", f"/markets/{first}").status_code == 404, first)
        assert 1 <= len(exchange.get("/markets")["markets"]) <= 8


def test_the_newest_of_very_many_frames_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_STATES", 10)
    subscription = session.Subscription(1, session.Channel.BOOK, ["A"], on_yes_scale=False)

    class Log:
        events = 0

    class Market:
        number, log = 3, Log()

    for n in range(1, 41):
        Log.events = n
        subscription.next_seq(Market())  # type: ignore[arg-type]
    assert next(iter(subscription.states_before(38))) == (3, 38)
    assert len(list(subscription.states_before(40))) <= 10
    assert list(subscription.states_before(20)) == []
