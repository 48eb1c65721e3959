"""Our account over REST: cash, positions, orders, fills, settlements; moving cash between shards.

Reads lag what happened, positions by about a second (PROTOCOL.md, 6). Each method names its
operation of openapi.yaml. Money is in micro-dollars, prices in 1e-4 dollars, counts in hundredths
of a contract. A list comes with what was left out of it because it could not be read: a market that
`left_out` concerns is in doubt, the others are not.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

from ipc.messages import ActorFill
from ipc.units import parse_count, parse_money
from processes.adapters.kalshi.errors import ApiError
from processes.adapters.kalshi.rest.http import Params, RestResource, segment
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.schemas.decoding import Listing, decode, decode_items
from processes.adapters.kalshi.schemas.enums import Result
from processes.adapters.kalshi.schemas.normalise import (
    ExchangeOrder,
    amount,
    fill_of,
    ms_of_rfc3339,
    order_of,
)
from processes.adapters.kalshi.schemas.rest_portfolio import (
    ApiKeysReply,
    BalanceReply,
    FillRow,
    FillsPage,
    MarketPositionRow,
    OrderReply,
    OrderRow,
    OrdersPage,
    PositionsPage,
    QueuePositionRow,
    QueuePositionsReply,
    SettlementRow,
    SettlementsPage,
    SubaccountBalancesReply,
    TransferBody,
    TransferMadeReply,
)

__all__ = ["Balance", "PortfolioResource", "Position", "QueuePosition", "Settlement"]

ORDERS: Final = "/portfolio/orders"
SHARD_TRANSFER: Final = "/portfolio/intra_exchange_instance_transfer"
CENT_E6: Final = 10_000
CENT_E4: Final = 100
CENTICENT_E6: Final = 100  # transfers between shards are in hundredths of a cent

_positions: Final = msgspec.json.Decoder(MarketPositionRow)
_orders: Final = msgspec.json.Decoder(OrderRow)
_queue_positions: Final = msgspec.json.Decoder(QueuePositionRow)
_fills: Final = msgspec.json.Decoder(FillRow)
_settlements: Final = msgspec.json.Decoder(SettlementRow)


class Balance(msgspec.Struct, frozen=True):
    """Cash over all shards.

    Attributes:
        balance_e6: What the account can spend.
        portfolio_value_e6: Value of its positions, in whole cents.
        updated_s: When the exchange computed it, Unix seconds.
        by_exchange_e6: What each shard (`exchange_index`) can spend; an order needs money on its
            market's own.
    """

    balance_e6: int
    portfolio_value_e6: int
    updated_s: int
    by_exchange_e6: dict[int, int]

    @classmethod
    def of(cls, reply: BalanceReply) -> Balance:
        """From the reply."""
        shards = {
            row.exchange_index: amount(parse_money, row.balance) for row in reply.balance_breakdown
        }
        return cls(
            balance_e6=amount(parse_money, reply.balance_dollars),
            portfolio_value_e6=reply.portfolio_value * CENT_E6,
            updated_s=reply.updated_ts,
            by_exchange_e6=shards,
        )


class Position(msgspec.Struct, frozen=True):
    """One market's position, as of about a second ago.

    Attributes:
        market_ticker: The market.
        position_e2: Signed, YES positive.
        exposure_e6: Cost of the position.
        realized_e6: Profit and loss of closed contracts.
        fees_e6: Fees paid.
        traded_e6: Total spent on the market.
        exchange_index: Its shard.
    """

    market_ticker: str
    position_e2: int
    exposure_e6: int
    realized_e6: int
    fees_e6: int
    traded_e6: int
    exchange_index: int

    @classmethod
    def of(cls, row: MarketPositionRow) -> Position:
        """From one row."""
        return cls(
            market_ticker=row.ticker,
            position_e2=amount(parse_count, row.position_fp),
            exposure_e6=amount(parse_money, row.market_exposure_dollars),
            realized_e6=amount(parse_money, row.realized_pnl_dollars),
            fees_e6=amount(parse_money, row.fees_paid_dollars),
            traded_e6=amount(parse_money, row.total_traded_dollars),
            exchange_index=row.exchange_index,
        )


class Settlement(msgspec.Struct, frozen=True):
    """What a settled market paid this account.

    Attributes:
        market_ticker: The market.
        result: How it ended.
        yes_count_e2: YES contracts held.
        no_count_e2: NO contracts held.
        cost_e6: What both had cost.
        revenue_e6: What was paid, in whole cents.
        fee_e6: Fee of the settlement.
        value_e4: What a YES contract paid, None: unknown.
        settled_ms: When, Unix milliseconds.
    """

    market_ticker: str
    result: Result
    yes_count_e2: int
    no_count_e2: int
    cost_e6: int
    revenue_e6: int
    fee_e6: int
    value_e4: int | None
    settled_ms: int

    @classmethod
    def of(cls, row: SettlementRow) -> Settlement:
        """From one row; `revenue` and `value` are whole cents."""
        costs = (row.yes_total_cost_dollars, row.no_total_cost_dollars)
        return cls(
            market_ticker=row.ticker,
            result=row.market_result,
            yes_count_e2=amount(parse_count, row.yes_count_fp),
            no_count_e2=amount(parse_count, row.no_count_fp),
            cost_e6=sum(amount(parse_money, c) for c in costs),
            revenue_e6=row.revenue * CENT_E6,
            fee_e6=amount(parse_money, row.fee_cost),
            value_e4=None if row.value is None else row.value * CENT_E4,
            settled_ms=ms_of_rfc3339(row.settled_time),
        )


class QueuePosition(msgspec.Struct, frozen=True):
    """How many contracts stand ahead of an order at its price.

    Attributes:
        order_id: The exchange's.
        market_ticker: Its market.
        ahead_e2: Contracts that trade before it.
    """

    order_id: str
    market_ticker: str
    ahead_e2: int

    @classmethod
    def of(cls, row: QueuePositionRow) -> QueuePosition:
        """From one row."""
        return cls(row.order_id, row.market_ticker, amount(parse_count, row.queue_position_fp))


class PortfolioResource(RestResource):
    """Cash, positions, orders, fills and settlements of the client's subaccount.

    A client that names no subaccount reads the key's own: for cash and positions the primary
    account, for lists of orders, fills and settlements all of them.
    """

    async def api_keys(self) -> ApiKeysReply:
        """The user's keys and what each may do (`GetApiKeys`)."""
        return await self._http.read(ApiKeysReply, "/api_keys")

    async def balance(self) -> Balance:
        """Our cash (`GetBalance`). The lower tiers may ask once a second."""
        path, params = "/portfolio/balance", Params(subaccount=self._subaccount)
        return Balance.of(await self._http.read(BalanceReply, path, params, call=Call.BALANCE))

    async def subaccount_balances(self) -> dict[tuple[int, int], int]:
        """Micro-dollars that can be spent, by (subaccount, shard) (`GetSubaccountBalances`)."""
        reply = await self._http.read(SubaccountBalancesReply, "/portfolio/subaccounts/balances")
        return {
            (row.subaccount_number, row.exchange_index): amount(parse_money, row.balance)
            for row in reply.subaccount_balances
        }

    async def shard_balances(self, balance: Balance) -> dict[int, int]:
        """Micro-dollars that can be spent on each shard; `balance` was just read.

        The exchange shows a key of one subaccount no breakdown; then its list of subaccounts says
        it. Where that is refused too, the whole balance counts as that of shard 0.
        """
        if balance.by_exchange_e6:
            return balance.by_exchange_e6
        try:
            found = await self.subaccount_balances()
        except ApiError as error:
            if error.http_status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            found = {}
        own = {i: e6 for (number, i), e6 in found.items() if self._subaccount in (None, number)}
        return own or {0: balance.balance_e6}

    async def move_collateral(
        self, amount_e6: int, source: int, destination: int, transfer_id: uuid.UUID
    ) -> str:
        """Move cash from one shard to another (`IntraExchangeInstanceTransfer`).

        Args:
            amount_e6: Micro-dollars, a multiple of 100.
            source: The shard (`exchange_index`) that gives.
            destination: The shard that gets.
            transfer_id: Names the transfer: the same one moves money once, a repeat is
                `OrderRejected` with status 409. The exchange takes no id for a numbered
                subaccount: there a repeat moves the money again.

        Returns:
            The exchange's own id of the transfer.

        Raises:
            ValueError: The amount is not a positive multiple of 100.
            OrderRejected: Refused, for example for want of money.
            UnknownOutcome: Sent, and the money may have moved.
        """
        if amount_e6 <= 0 or amount_e6 % CENTICENT_E6:
            raise ValueError(
                f"amount_e6={amount_e6} cannot be moved; allowed: positive multiples of "
                f"{CENTICENT_E6}"
            )
        body = TransferBody(
            client_transfer_id=msgspec.UNSET if self._subaccount else str(transfer_id),
            amount=amount_e6 // CENTICENT_E6,
            source_exchange_shard=source,
            destination_exchange_shard=destination,
            source_subaccount=self._subaccount or 0,
            destination_subaccount=self._subaccount or 0,
        )

        def made(reply: TransferMadeReply) -> str:
            return reply.transfer_id

        sent = msgspec.json.encode(body)
        return await self._http.write(
            TransferMadeReply, made, Call.TRANSFER, "POST", SHARD_TRANSFER, body=sent
        )

    async def positions(self, ticker: str | None = None) -> Listing[Position]:
        """List positions that are not settled, all pages (`GetPositions`).

        Flat markets may be missing. The exchange lags its own fills by about a second (PROTOCOL.md,
        6).

        Args:
            ticker: Only that of a market.
        """
        params: Params = {"ticker": ticker, "subaccount": self._subaccount}
        return await self._listing(PositionsPage, "/portfolio/positions", params, _position)

    async def orders(
        self, *, status: str | None = "resting", ticker: str | None = None
    ) -> Listing[ExchangeOrder]:
        """Our orders, all pages (`GetOrders`).

        Args:
            status: `resting`, `canceled` or `executed`; None: all of the last two weeks.
            ticker: Only those of a market.
        """
        params: Params = {"status": status, "ticker": ticker, "subaccount": self._subaccount}
        return await self._listing(OrdersPage, ORDERS, params, _order)

    async def order(self, order_id: str) -> ExchangeOrder:
        """Read one order (`GetOrder`). It may lag a cancel by half a second.

        Args:
            order_id: The exchange's.

        Raises:
            NotFound: There is none, or it ended long ago.
            WireError: It cannot be read.
        """
        path = f"{ORDERS}/{segment(order_id)}"
        reply = await self._http.read(OrderReply, path, call=Call.READ_ORDER)
        return order_of(reply.order)

    async def historical_orders(self, *, ticker: str | None = None) -> Listing[ExchangeOrder]:
        """Our orders that ended before the cutoff, newest first (`GetHistoricalOrders`).

        Args:
            ticker: Only those of a market.
        """
        params: Params = {"ticker": ticker, "subaccount": self._subaccount}
        return await self._listing(OrdersPage, "/historical/orders", params, _order)

    async def queue_positions(
        self, *, tickers: Iterable[str] | None = None, event_ticker: str | None = None
    ) -> Listing[QueuePosition]:
        """What stands ahead of our resting orders (`GetOrderQueuePositions`).

        Sent once, never repeated: a caller that follows a queue asks again soon anyway.

        Args:
            tickers: Of orders in these markets.
            event_ticker: Of orders in an event's markets.
        """
        params: Params = {
            "market_tickers": ",".join(tickers) if tickers is not None else None,
            "event_ticker": event_ticker,
            "subaccount": self._subaccount,
        }
        path = f"{ORDERS}/queue_positions"
        reply = await self._http.read(QueuePositionsReply, path, params, tries=1)
        return decode_items(reply.rows, _queue_position)

    async def fills(
        self,
        *,
        min_ts: int | None = None,
        order_id: str | None = None,
        ticker: str | None = None,
    ) -> Listing[ActorFill]:
        """Our fills since the cutoff, newest first, all pages (`GetFills`).

        Args:
            min_ts: Only from then on, Unix seconds.
            order_id: Only those of an order.
            ticker: Only those of a market.
        """
        params: Params = {
            "min_ts": min_ts,
            "order_id": order_id,
            "ticker": ticker,
            "subaccount": self._subaccount,
        }
        return await self._listing(FillsPage, "/portfolio/fills", params, _fill)

    async def historical_fills(
        self, *, ticker: str | None = None, min_ts: int | None = None, max_ts: int | None = None
    ) -> Listing[ActorFill]:
        """Our fills before the cutoff, newest first, all pages (`GetFillsHistorical`).

        Args:
            ticker: Only those of a market.
            min_ts: Only from then on, Unix seconds.
            max_ts: Only until then, Unix seconds.
        """
        params: Params = {
            "ticker": ticker,
            "min_ts": min_ts,
            "max_ts": max_ts,
            "subaccount": self._subaccount,
        }
        return await self._listing(FillsPage, "/historical/fills", params, _fill)

    async def settlements(
        self, *, min_ts: int | None = None, ticker: str | None = None
    ) -> Listing[Settlement]:
        """What settled markets paid us, all pages (`GetSettlements`).

        Args:
            min_ts: Only from then on, Unix seconds.
            ticker: Only that of a market.
        """
        params: Params = {"min_ts": min_ts, "ticker": ticker, "subaccount": self._subaccount}
        return await self._listing(SettlementsPage, "/portfolio/settlements", params, _settlement)


def _position(row: msgspec.Raw) -> Position:
    return Position.of(decode(_positions, row, "position"))


def _order(row: msgspec.Raw) -> ExchangeOrder:
    return order_of(decode(_orders, row, "order"))


def _queue_position(row: msgspec.Raw) -> QueuePosition:
    return QueuePosition.of(decode(_queue_positions, row, "queue position"))


def _fill(row: msgspec.Raw) -> ActorFill:
    return fill_of(decode(_fills, row, "fill"))


def _settlement(row: msgspec.Raw) -> Settlement:
    return Settlement.of(decode(_settlements, row, "settlement"))
