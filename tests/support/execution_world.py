"""Execution between the local exchange, real sockets, journals and the account table.

Here are the ends that others hold: the collector that names the session, inference that pushes
intents, the recorder's doorbell, and the counterparty, a second account of the same exchange.
The exchange replays a market that stands still: 100 contracts bid at 40 and 100 asked at 50 cents.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zmq.asyncio
from support.between import Between
from support.exchange import Exchange, market_frames, running_exchange, write_recording
from support.orders import SESSION, TICKER
from support.patience import PATIENCE
from support.trading import trading_status

from ipc import account_table as a
from ipc.account_table import AccountRow, AccountTable
from ipc.journal import FramedReader, list_streams
from ipc.messages import (
    ActorFill,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    Doorbell,
    Environment,
    Intent,
    Message,
    ProcessStats,
    SessionInfo,
    TradingState,
)
from ipc.shared_file import shared_path
from ipc.sockets import Publisher, Puller, Pusher, Subscriber
from ipc.units import format_count, format_price, parse_count, parse_money
from processes.adapters.kalshi.stop.own_orders import FAMILY
from processes.adapters.kalshi.stop.stack_mark import own_prefix

__all__ = [
    "CASH_E6",
    "OTHER",
    "START_MS",
    "World",
    "idle_exchange",
    "messages_of",
]

OTHER = "KXOTHER-1"
START_MS = 1_786_399_275_000
CASH_E6 = 100_000_000  # RL_ACTOR_MARKET_CASH
EXCHANGE_CASH_E6 = 10_000_000_000
STILL = "0.001"  # speed of a replay that stands still for as long as a test takes
COUNTERPARTY = 1

Kind = TypeVar("Kind", bound=Message)


def messages_of(data_dir: Path, life: int = -1) -> list[Message]:
    """What the journal of one life of execution holds."""
    return _held(_lives(data_dir)[life])


def _lives(data_dir: Path) -> list[Path]:
    return [folder for producer, _, folder in list_streams(data_dir) if producer == "execution"]


def _held(folder: Path) -> list[Message]:
    first = min(int(f.stem.rpartition("-")[2]) for f in folder.glob("records-*.log"))
    return FramedReader(folder).read(first)[0]


def _newest_first(data_dir: Path) -> Iterator[list[Message]]:
    return map(_held, reversed(_lives(data_dir)))


class World:
    """The exchange, and the ends of everything that execution hears and says."""

    def __init__(self, data_dir: Path, exchange: Exchange, between: Between) -> None:
        self.data_dir = data_dir
        self.exchange = exchange
        self.between = between
        self.context = zmq.asyncio.Context()
        self.intents = Pusher(self.context, "intents", data_dir, {}, 1)
        self.collector = Publisher(self.context, "collector", data_dir, {}, 1)
        self.heard = self._subscribed()
        self.bell = Puller(self.context, "doorbell", data_dir, {})
        self.check_alive: Callable[[], None] = lambda: None
        self.trading = trading_status()
        self._names = count(1)

    def _subscribed(self) -> Subscriber:
        return Subscriber(self.context, ["execution"], self.data_dir, {})

    def listen(self) -> None:
        """Subscribe anew: an old connection takes a while to find a new life."""
        self.heard.close()
        self.heard = self._subscribed()

    # What others do.

    def tell_session(self, *tickers: str, **facts: Any) -> None:
        """The collector says which session it is."""
        known: dict[str, Any] = {
            "session_uid": SESSION,
            "environment": Environment.SIMULATED,
            "websocket_url": "ws://127.0.0.1:1/trade-api/ws/v2",
            "started_ns": 1_000_000 * START_MS,
            "markets": tickers or (TICKER,),
            "live_markets": 1,
            "status": "live",
        }
        self.collector.send("trading", self.trading)
        self.collector.send("session", SessionInfo(**(known | facts)))

    def tell_trading(self, state: TradingState, **facts: Any) -> None:
        """The collector says whether the exchange trades; it goes on saying so."""
        self.trading = trading_status(state, **facts)
        self.collector.send("trading", self.trading)

    async def push(self, intent: Intent) -> Intent:
        """Inference pushes an intent; waits until execution pulls."""
        await self.until(lambda: self.intents.send(intent), "the intent is taken")
        return intent

    def trade(self, side: str, price_e4: int, count_e2: int, ticker: str = TICKER) -> None:
        """The counterparty places an order that crosses ours."""
        self.place(f"other-{next(self._names)}", side, price_e4, count_e2, ticker, COUNTERPARTY)

    def place(
        self,
        name: str,
        side: str,
        price_e4: int,
        count_e2: int,
        ticker: str = TICKER,
        account: int = 0,
    ) -> str:
        """Place an order at the exchange, past execution -> its id.

        A name `ka-...` without a mark becomes one of this stack.
        """
        body = {
            "ticker": ticker,
            "client_order_id": self.own_name(name),
            "side": side,
            "count": format_count(count_e2),
            "price": format_price(price_e4),
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        reply = self.exchange.call("POST", "/portfolio/events/orders", body, account)
        assert reply.status_code == 201, reply.text
        order_id: str = reply.json()["order_id"]
        return order_id

    # What can be seen.

    def own_name(self, name: str) -> str:
        """A name `ka-...` with this stack's mark; any other stays."""
        if re.match(f"{FAMILY}[0-9a-f]{{8}}-", name):
            return name
        return re.sub(f"^{FAMILY}", own_prefix(self.data_dir), name)

    def at_exchange(self, name: str = "ka-", status: str = "") -> list[dict[str, Any]]:
        """The exchange's orders whose client id begins with `name`, oldest first.

        Names of this stack are without its mark: `ka-i1-BY`.
        """
        prefix = own_prefix(self.data_dir)
        orders = self.exchange.admin("orders")["orders"]
        for order in orders:
            order["client_order_id"] = order["client_order_id"].replace(prefix, FAMILY)
        ours = [o for o in orders if o["client_order_id"].startswith(name)]
        return [o for o in ours if not status or o["status"] == status]

    def resting(self, name: str = "ka-") -> list[str]:
        """Client ids of the orders that rest at the exchange."""
        return [o["client_order_id"] for o in self.at_exchange(name, "resting")]

    def row(self, ticker: str = TICKER) -> AccountRow | None:
        """A market's sub-account as inference reads it; None while it is not known."""
        try:
            table = AccountTable.attach(shared_path(self.data_dir, "accounts"))
        except FileNotFoundError:
            return None
        out = a.new_account(0)
        known = table.read(ticker, out)
        table.close()
        return out if known else None

    async def until(self, check: Callable[[], Any], what: str) -> Any:
        """The first answer that says something: true, not empty, an array."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while loop.time() < deadline:
            self.check_alive()
            answer = check()
            if isinstance(answer, np.ndarray) or answer:
                return answer
            await asyncio.sleep(0.01)
        raise AssertionError(f"never happened: {what}")

    async def known(self, *tickers: str, beside: str = "") -> None:
        """Until the accounts of these markets may be traded; `beside` is in the session too."""
        tickers = tickers or (TICKER,)

        def all_known() -> bool:
            self.tell_session(*tickers, *([beside] if beside else []))
            return all(self.row(ticker) is not None for ticker in tickers)

        await self.until(all_known, f"{tickers} known")

    async def unknown(self, ticker: str = TICKER) -> None:
        """Until the market must not be traded."""
        await self.until(lambda: self.row(ticker) is None, f"{ticker} not known")

    async def told(self, kind: type[Kind], *, is_kept: bool = True, **facts: Any) -> Kind:
        """The next published message of a kind with these facts.

        While the journal takes what it is given (`is_kept`), all that comes is in it already.
        """
        came: list[Message] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not (came and isinstance(came[-1], kind) and _fits(came[-1], facts)):
                    came.append((await self.heard.recv())[1])
                    self.check_alive()
                    if is_kept and isinstance(came[-1], ActorOrder | ActorFill | ActorPosition):
                        assert any(came[-1] in held for held in _newest_first(self.data_dir))
        except TimeoutError:
            seen = [m for m in came if not isinstance(m, ProcessStats)]
            raise AssertionError(f"no {kind.__name__} {facts}, but {seen[-5:]}") from None
        return came[-1]

    async def order(self, **facts: Any) -> ActorOrder:
        """The next published order with these facts."""
        return await self.told(ActorOrder, **facts)

    async def holds(self, position_e2: int) -> None:
        """Until the account is known with this position."""

        def held() -> bool:
            row = self.row()
            return row is not None and bool(row[a.POSITION_E2] == position_e2)

        await self.until(held, f"a position of {position_e2}")

    async def quiet(self) -> None:
        """Until execution has told of its newest account and asks the exchange for nothing."""
        while True:
            pnl = await self.told(ActorPnl)
            positions = [m for m in self.journal() if isinstance(m, ActorPosition)]
            if pnl.account_version == positions[-1].account_version:
                return

    def journal(self, life: int = -1) -> list[Message]:
        """What a life's journal accepted."""
        return messages_of(self.data_dir, life)

    def journalled(self, kind: type[Kind], **facts: Any) -> list[Kind]:
        """Messages of a kind with these facts in the newest life's journal."""
        return [m for m in self.journal() if isinstance(m, kind) and _fits(m, facts)]

    async def counted(self, name: str, value: int = 1) -> None:
        """Until a published counter has a value."""
        while (await self.told(ProcessStats)).counters.get(name, 0) != value:
            pass

    async def rung(self) -> Doorbell:
        """The next ring for the recorder."""
        message = await asyncio.wait_for(self.bell.recv(), PATIENCE)
        assert isinstance(message, Doorbell)
        return message

    # The exchange's word.

    def rest_position(self, ticker: str = TICKER) -> dict[str, int]:
        """Position, cost, realized and fees by `GET /portfolio/positions`, zeros if not listed."""
        rows = self.exchange.get("/portfolio/positions", ticker=ticker)["market_positions"]
        row = rows[0] if rows else {}
        return {
            "position_e2": parse_count(row.get("position_fp", "0")),
            "cost_basis_e6": parse_money(row.get("market_exposure_dollars", "0")),
            "realized_e6": parse_money(row.get("realized_pnl_dollars", "0")),
            "fees_e6": parse_money(row.get("fees_paid_dollars", "0")),
        }

    def rest_cash_e6(self) -> int:
        """The whole account's cash: the balance and what resting orders hold."""
        held = self.exchange.get("/portfolio/summary/total_resting_order_value")
        balance = self.exchange.get("/portfolio/balance")
        return parse_money(balance["balance_dollars"]) + sum(
            parse_money(row["balance"]) for row in held["resting_order_value_breakdown"]
        )

    def assert_account_is_the_exchange_s(self, ticker: str = TICKER) -> None:
        """Cash, position, cost, P&L and fees, to the micro-dollar; one market has all fills."""
        row = self.row(ticker)
        assert row is not None
        ours = {
            "position_e2": int(row[a.POSITION_E2]),
            "cost_basis_e6": int(row[a.COST_BASIS_E6]),
            "realized_e6": int(row[a.REALIZED_E6]),
            "fees_e6": int(row[a.FEES_E6]),
        }
        ours["cash_e6"] = int(row[a.CASH_E6]) - CASH_E6
        theirs = self.rest_position(ticker)
        theirs["cash_e6"] = self.rest_cash_e6() - EXCHANGE_CASH_E6
        assert ours == theirs, f"ours {ours}, the exchange's {theirs}"

    def close(self) -> None:
        """Close every end."""
        for end in (self.intents, self.collector, self.heard, self.bell):
            end.close()
        self.context.term()


@contextmanager
def idle_exchange(
    data_dir: Path, speed: str = STILL, changes: int = 1, **environ: str
) -> Iterator[Exchange]:
    """An exchange that replays `TICKER` and `OTHER`, both with the same flow."""
    folder = data_dir / "recordings"
    for ticker in (TICKER, OTHER):
        frames = market_frames(ticker, START_MS, changes)
        write_recording(folder, ticker, frames, START_MS - 60_000)
    known = {"RL_EXCHANGE_REPLAY": str(folder), "RL_EXCHANGE_SPEED": speed}
    known["RL_EXCHANGE_TIER"] = "unmetered"  # the test reads beside execution
    with running_exchange(data_dir, **known | environ) as exchange:
        yield exchange


def _fits(message: Message, facts: dict[str, Any]) -> bool:
    return all(getattr(message, name) == value for name, value in facts.items())
