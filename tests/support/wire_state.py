"""Puts a local exchange into the state in which a recorded call was made.

The state is read off the recorded request and its answer: an order that was canceled with success
rested before, a `not_found` was of nothing, a page with a cursor had more behind it. Ids of the
recording become ids of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from support.local_exchange import LocalExchange
from support.wire_recordings import Recording

from ipc.units import ONE_DOLLAR_E4, PriceGrid, parse_count, parse_price
from processes.adapters.kalshi.schemas.normalise import ms_of_rfc3339
from processes.exchange.core.books import NO, YES
from processes.exchange.core.markets import ListedMarket, MarketPhase
from processes.exchange.core.orders import (
    AccountOrder,
    NewOrder,
    OrderState,
    OrderTimeInForce,
    SelfTradePrevention,
)
from processes.exchange.replay.timeline import DETAILS

__all__ = ["balance_e6", "prepare", "prepare_market", "rows_in"]

DEFAULT_TICKER: Final = "KXWIRE-26JUN11-A"
DEFAULT_CASH_E6: Final = 98_018_600


def rows_in(body: Any) -> Iterator[dict[str, Any]]:
    """Every object anywhere in a body."""
    if isinstance(body, dict):
        yield body
        for value in body.values():
            yield from rows_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from rows_in(value)


def balance_e6(recording: Recording) -> int:
    """Money enough for what succeeded and too little for what failed for want of it."""
    price, count = recording.request.get("price"), recording.request.get("count")
    if not isinstance(price, str) or not isinstance(count, str):
        return DEFAULT_CASH_E6
    cost_e6 = parse_count(count) * max(parse_price(price), ONE_DOLLAR_E4 - parse_price(price))
    if "balance" in recording.expected.code:
        return min(DEFAULT_CASH_E6, cost_e6 // 4)
    return max(DEFAULT_CASH_E6, 2 * cost_e6)


def prepare_market(
    exchange: LocalExchange, ticker: str, body: dict[str, Any] | None
) -> ListedMarket:
    """A market with the facts of its recorded body, of 47 to 52 cents."""
    known = body or {}
    facts: dict[str, Any] = {
        "details": {k: known[k] for k in (*DETAILS, "occurrence_datetime") if k in known}
    }
    names = ("title", "yes_sub_title", "no_sub_title", "strike_type", "floor_strike")
    facts |= {name: known[name] for name in names if name in known}
    if known:
        facts |= {
            "event_ticker": known["event_ticker"],
            "grid": PriceGrid.from_wire(known["price_ranges"]),
            "structure": known["price_level_structure"],
            "rules": known["rules_primary"],
            "rules_more": known["rules_secondary"],
            "settlement_timer_s": known["settlement_timer_seconds"],
            "open_ms": ms_of_rfc3339(known["open_time"]),
            "close_ms": ms_of_rfc3339(known["close_time"]),
        }
    market = exchange.market(ticker, **facts)
    exchange.two_sided(ticker)
    status = MarketPhase(known.get("status", "active"))
    _age(exchange, market, status, known)
    return market


def _age(
    exchange: LocalExchange, market: ListedMarket, status: MarketPhase, known: dict[str, Any]
) -> None:
    """Bring a market to where its life was."""
    now_ms = exchange.venue.now_ms()
    if status is MarketPhase.ACTIVE:
        return
    exchange.venue.replace_book(market, (), now_ms)
    if status is MarketPhase.INITIALIZED:
        market.status = status
        return
    exchange.venue.close_market(market, now_ms)
    if status in (MarketPhase.DETERMINED, MarketPhase.FINALIZED):
        result = known.get("result") or "yes"
        value = parse_price(known.get("settlement_value_dollars") or "1.0000")
        exchange.venue.determine_market(market, result, value, now_ms)
    if status is MarketPhase.FINALIZED:
        exchange.order_entry.settle(market, now_ms)
        exchange.venue.settle_market(market, now_ms)


def prepare(exchange: LocalExchange, recording: Recording, pool: dict[str, dict[str, Any]]) -> str:
    """Make the state -> the path to ask, with our ids; `pool` knows bodies of markets."""
    state = _State(exchange, recording, pool)
    state.make()
    return state.path


class _State:
    """The state before one call."""

    def __init__(
        self, exchange: LocalExchange, recording: Recording, pool: dict[str, dict[str, Any]]
    ) -> None:
        self._exchange = exchange
        self._recording = recording
        self._pool = pool
        self._account = exchange.accounts[0]
        self._query = parse_qs(urlsplit(recording.path).query)
        self.path = recording.path

    def make(self) -> None:
        """Markets, then orders, then what the request itself needs."""
        for ticker in self._tickers():
            prepare_market(self._exchange, ticker, self._pool.get(ticker))
        self._more_pages()
        if self._recording.status < 300:
            self._order_of_path()
            self._orders_of_reply()
        self._for_the_request()

    # Markets

    def _tickers(self) -> list[str]:
        """Every market that the call is about."""
        words = self._recording.plain.split("/")
        named = [self._recording.request.get("ticker", "")]
        if words[1:2] == ["markets"] and len(words) > 2 and self._recording.status == 200:
            named.append(words[2])
        for name in ("ticker", "tickers", "market_tickers"):
            named += [t for v in self._query.get(name, []) for t in v.split(",")]
        for row in rows_in(self._recording.body):
            named += [row[k] for k in ("ticker", "market_ticker") if isinstance(row.get(k), str)]
        reserved = {"", "trades", "orderbooks", "candlesticks"}
        return [t for t in dict.fromkeys(named) if t not in reserved] or [DEFAULT_TICKER]

    def _more_pages(self) -> None:
        """Something to come after a page that said so."""
        body = self._recording.body
        if not isinstance(body, dict) or not body.get("cursor"):
            self._public_trades(1)
            return
        limit = int(self._query.get("limit", ["100"])[0])
        self._public_trades(limit + 1)
        first = next(iter(body.get("markets", [])), None)
        for number in range(limit + 1 if first else 0):
            prepare_market(self._exchange, f"KXMORE-{number}-A", first)

    def _public_trades(self, more: int) -> None:
        for row in rows_in(self._recording.body):
            if "taker_side" in row and "trade_id" in row:
                for _ in range(more):
                    self._exchange.add(row["ticker"], NO, 4_800, 100)
                    matcher = self._exchange.order_entry.clearings[row["ticker"]].matcher
                    matcher.take_anonymously(YES, 5_200, 100)

    # Orders

    def _asked(self, ticker: str, side: str, price: str, count: str, **more: Any) -> NewOrder:
        leg = YES if side == "bid" else NO
        price_e4 = parse_price(price)
        facts: dict[str, Any] = {
            "client_order_id": more.pop("client_order_id", ""),
            "time_in_force": OrderTimeInForce.GOOD_TILL_CANCELED,
            "self_trade": SelfTradePrevention.TAKER_AT_CROSS,
        }
        return NewOrder(
            ticker=ticker,
            leg=leg,
            leg_price_e4=price_e4 if leg == YES else ONE_DOLLAR_E4 - price_e4,
            count_e2=parse_count(count),
            **(facts | more),
        )

    def _place(self, asked: NewOrder) -> AccountOrder:
        """An order of ours as asked, nothing in its way."""
        self._exchange.clear(asked.ticker, 1 - asked.leg, ONE_DOLLAR_E4 - asked.leg_price_e4)
        return self._exchange.order_entry.create(self._account, asked).order

    def _execute(self, asked: NewOrder) -> AccountOrder:
        """An order of ours that finds all it wants."""
        price_e4 = ONE_DOLLAR_E4 - asked.leg_price_e4
        self._exchange.add(asked.ticker, 1 - asked.leg, price_e4, asked.count_e2)
        return self._exchange.order_entry.create(self._account, asked).order

    def _order_of_row(self, row: dict[str, Any]) -> AccountOrder:
        count = row.get("initial_count_fp") or row.get("count_fp") or "1.00"
        client_id = row.get("client_order_id", "")
        asked = self._asked(
            row["ticker"],
            row["book_side"],
            row["yes_price_dollars"],
            count,
            client_order_id=client_id,
        )
        status = row.get("status", OrderState.EXECUTED)
        if status == OrderState.EXECUTED:
            return self._execute(asked)
        order = self._place(asked)
        if status == OrderState.CANCELED:
            self._exchange.order_entry.cancel(self._account, order.order_id)
        return order

    def _order_of_path(self) -> None:
        """The order that the path names."""
        words = self._recording.plain.split("/")
        recorded_id = next((w for w in words if len(w) == 36 and w.count("-") == 4), "")
        if not recorded_id or "orders" not in words:
            return
        reply, request = self._recording.body or {}, self._recording.request
        if "order" in reply:
            order = self._order_of_row(reply["order"])
        else:
            ticker = request.get("ticker", DEFAULT_TICKER)
            if ticker not in self._exchange.venue.markets:
                prepare_market(self._exchange, ticker, None)
            left = reply.get("reduced_by") or reply.get("remaining_count") or "1.00"
            count_e2 = max(parse_count(left), 1) + parse_count(request.get("reduce_by", "1.00"))
            count = left if "reduced_by" in reply else f"{count_e2 / 100:.2f}"
            order = self._place(
                self._asked(
                    ticker, request.get("side", "bid"), request.get("price", "0.0100"), count
                )
            )
        self.path = self.path.replace(recorded_id, order.order_id)

    def _orders_of_reply(self) -> None:
        """Orders, executions and positions that the answer lists."""
        reply = self._recording.body if self._recording.method == "GET" else None
        if not isinstance(reply, dict):
            return
        for row in reversed(reply.get("orders", []) + reply.get("fills", [])):
            self._order_of_row(row)
        for row in reply.get("market_positions", []):
            ticker, count = row["ticker"], row["position_fp"]
            side = "ask" if count.startswith("-") else "bid"
            if parse_count(count):
                self._execute(self._asked(ticker, side, "0.5000", count.lstrip("-")))

    # The request

    def _for_the_request(self) -> None:
        """What stood in the market, or had been used up, when an order came."""
        request, reply = self._recording.request, self._recording.body or {}
        if "client_order_id" not in request or self._recording.method != "POST":
            return
        code = self._recording.expected.code
        if code == "order_already_exists":
            self._place(self._asked_again(request))
        elif self._recording.status == 201 and "price" in request:
            filled = parse_count(reply.get("fill_count", "0.00"))
            left = parse_count(reply.get("remaining_count", "0.00"))
            if filled:
                self._liquidity(request, reply["average_fill_price"], filled)
            elif not left:
                self._own_order_in_the_way(request)
            else:
                asked = self._asked_again(request)
                from_e4 = ONE_DOLLAR_E4 - asked.leg_price_e4
                self._exchange.clear(asked.ticker, 1 - asked.leg, from_e4)

    def _asked_again(self, request: dict[str, Any]) -> NewOrder:
        return self._asked(
            request["ticker"],
            request["side"],
            request["price"],
            request["count"],
            client_order_id=request["client_order_id"],
        )

    def _liquidity(self, request: dict[str, Any], price: str, count_e2: int) -> None:
        """What the order found."""
        maker_leg = NO if request["side"] == "bid" else YES
        price_e4 = parse_price(price)
        if maker_leg == NO:
            price_e4 = ONE_DOLLAR_E4 - price_e4
        self._exchange.clear(request["ticker"], maker_leg, price_e4)
        self._exchange.add(request["ticker"], maker_leg, price_e4, count_e2)

    def _own_order_in_the_way(self, request: dict[str, Any]) -> None:
        """Nothing filled, nothing left: it met an order of its own account, or nothing at all."""
        other = "ask" if request["side"] == "bid" else "bid"
        if request["time_in_force"] != OrderTimeInForce.GOOD_TILL_CANCELED:
            asked = self._asked_again(request)
            from_e4 = ONE_DOLLAR_E4 - asked.leg_price_e4
            self._exchange.clear(asked.ticker, 1 - asked.leg, from_e4)
            return
        opposite = self._asked(request["ticker"], other, request["price"], request["count"])
        self._exchange.clear(request["ticker"], opposite.leg, opposite.leg_price_e4)
        self._place(opposite)
