"""Data of the dashboard, made of the stack's events and of rows of the shared tables.

Integers become decimal strings, and 0 that stands for nothing becomes null. `ChangedBooks` reads
the books that changed, `SubAccounts` the sub-accounts as positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTable
from ipc.book_table import BookTable, SharedOrderbookState
from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import (
    ActorAction,
    ActorFill,
    ActorModels,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    Leg,
    MarketsChosen,
    SessionInfo,
    TradingEvent,
    TradingStatus,
)
from ipc.shared_file import AttachedTable
from ipc.units import ONE_DOLLAR_E4, format_count, format_money, format_price
from processes.broadcaster.wire import (
    ActionData,
    ActionHops,
    FillData,
    HotMarketsData,
    LastTrade,
    MarketChangeData,
    MarketScoreData,
    ModelsData,
    OrderbookData,
    OrderData,
    OrderHops,
    PnlData,
    PositionData,
    SessionData,
    ShadowData,
    ShardData,
    TradingData,
    TradingEventData,
)
from processes.runtime.log import Log

__all__ = [
    "WRITER_SILENT_NS",
    "BooksRead",
    "ChangedBooks",
    "SubAccounts",
    "action_data",
    "book_data",
    "fill_data",
    "markets_data",
    "models_data",
    "order_data",
    "pnl_data",
    "position_data",
    "session_data",
    "shadow_data",
    "signature_of",
    "trading_data",
]


WRITER_SILENT_NS: Final = 5 * NS_PER_S  # a writer's heartbeat older than this is no heartbeat
Signature = tuple[int, ...]

_SIGNED_BY: Final = (b.MARKET, b.GENERATION, b.STATE, b.FLAGS, b.EVENT_NO, b.SEQ, b.RECV_NS)


def _us(start_mono_ns: int, end_mono_ns: int) -> float | None:
    """Microseconds between two hops; None when either did not happen."""
    if not start_mono_ns or not end_mono_ns:
        return None
    return (end_mono_ns - start_mono_ns) / 1_000


def session_data(info: SessionInfo) -> SessionData:
    """The collector's session."""
    return SessionData(
        session_uid=info.session_uid,
        environment=info.environment,
        websocket_url=info.websocket_url,
        started_ms=info.started_ns // NS_PER_MS,
        markets=info.markets,
        live_markets=info.live_markets,
        status=info.status,
    )


def trading_data(status: TradingStatus) -> TradingData:
    """Whether the exchange trades."""
    return TradingData(
        state=status.state,
        until_ms=status.until_ms,
        next_pause_ms=status.next_pause_ms,
        markets={ticker: str(state) for ticker, state in status.markets.items()},
    )


def action_data(action: ActorAction) -> ActionData:
    """A decision with the time between its hops."""
    frame, written = action.frame_mono_ns, action.written_mono_ns
    woken, decided = action.woken_mono_ns, action.decided_mono_ns
    return ActionData(
        session_uid=action.session_uid,
        ticker=action.market_ticker,
        action=action.action,
        action_name=action.action_name,
        reason=action.reason,
        model=action.model,
        model_hash=action.model_hash,
        observation_hash=action.observation_hash,
        event_no=action.event_no,
        account_version=action.account_version,
        logits=action.logits,
        value=action.value,
        mask=action.mask,
        intent_id=action.intent_id,
        decided_ms=action.decided_ns // NS_PER_MS,
        recv_ms=action.recv_ns // NS_PER_MS,
        frame_mono_ns=frame,
        written_mono_ns=written,
        woken_mono_ns=woken,
        decided_mono_ns=decided,
        latency_us=ActionHops(
            frame_to_written=_us(frame, written),
            written_to_woken=_us(written, woken),
            woken_to_decided=_us(woken, decided),
            frame_to_decided=_us(frame, decided),
        ),
    )


def models_data(models: ActorModels) -> ModelsData:
    """The live model and its shadow."""
    return ModelsData(
        live=models.live,
        live_hash=models.live_hash,
        shadow=models.shadow,
        shadow_hash=models.shadow_hash,
    )


def markets_data(chosen: MarketsChosen) -> HotMarketsData:
    """In which markets the actor is, and what speaks for each."""
    return HotMarketsData(
        at_ms=chosen.at_ms,
        on_switch=chosen.on_switch,
        leaving=chosen.leaving,
        markets=tuple(
            MarketScoreData(
                ticker=score.ticker,
                score=score.score,
                volume=format_count(score.volume_e2),
                updates=score.updates,
                spread=format_price(score.spread_e4) if score.spread_e4 else None,
                touch=format_count(score.touch_e2),
                bar=score.bar,
                since_ms=score.since_ms,
            )
            for score in chosen.scores
        ),
        changes=tuple(
            MarketChangeData(**msgspec.structs.asdict(change)) for change in chosen.changes
        ),
    )


def trading_event_data(event: TradingEvent) -> TradingEventData:
    """A line of the audit."""
    return TradingEventData(
        kind=event.kind,
        name=event.name,
        who=event.who,
        why=event.why,
        ticker=event.market_ticker,
        numbers=event.numbers,
        ts_ms=event.ts_ns // NS_PER_MS,
    )


def shadow_data(shadow: ActorAction, live: ActorAction | None) -> ShadowData:
    """A shadow's decision; `live` is the live model's on the same request, where it is known."""
    compared = live is not None and bool(live.logits and shadow.logits)
    return ShadowData(
        session_uid=shadow.session_uid,
        ticker=shadow.market_ticker,
        event_no=shadow.event_no,
        action=shadow.action,
        action_name=shadow.action_name,
        reason=shadow.reason,
        model=shadow.model,
        model_hash=shadow.model_hash,
        logits=shadow.logits,
        value=shadow.value,
        decided_ms=shadow.decided_ns // NS_PER_MS,
        live_action=live.action if live else None,
        live_action_name=live.action_name if live else None,
        live_model=live.model if live else None,
        live_model_hash=live.model_hash if live else None,
        agrees=live.action == shadow.action if live and compared else None,
    )


def order_data(order: ActorOrder, cause: ActorAction | None) -> OrderData:
    """An order's state; `cause` is the decision behind it, where it is still remembered."""
    received, sent = order.received_mono_ns, order.sent_mono_ns
    acknowledged = order.acknowledged_mono_ns
    yes_price = order.yes_price_e4
    price = yes_price if order.leg is Leg.YES else ONE_DOLLAR_E4 - yes_price
    return OrderData(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        intent_id=order.intent_id,
        ticker=order.market_ticker,
        leg=order.leg,
        is_buy=order.is_buy,
        book_side=order.book_side,
        price=format_price(price),
        yes_price=format_price(yes_price),
        initial_count=format_count(order.initial_count_e2),
        fill_count=format_count(order.fill_count_e2),
        remaining_count=format_count(order.remaining_count_e2),
        status=order.status,
        reason=order.reason,
        expire_ms=order.expire_ms,
        ts_ms=order.ts_ns // NS_PER_MS,
        received_mono_ns=received or None,
        sent_mono_ns=sent or None,
        acknowledged_mono_ns=acknowledged or None,
        latency_us=OrderHops(
            decided_to_received=_us(cause.decided_mono_ns if cause else 0, received),
            received_to_sent=_us(received, sent),
            sent_to_acknowledged=_us(sent, acknowledged),
            frame_to_acknowledged=_us(cause.frame_mono_ns if cause else 0, acknowledged),
        ),
    )


def fill_data(fill: ActorFill) -> FillData:
    """One execution."""
    return FillData(
        trade_id=fill.trade_id,
        order_id=fill.order_id,
        client_order_id=fill.client_order_id,
        ticker=fill.market_ticker,
        book_side=fill.book_side,
        yes_price=format_price(fill.yes_price_e4),
        count=format_count(fill.count_e2),
        is_taker=fill.is_taker,
        fee=format_money(fill.fee_e6),
        ts_ms=fill.ts_ms,
    )


def position_data(position: ActorPosition) -> PositionData:
    """One market's sub-account."""
    return PositionData(
        ticker=position.market_ticker,
        position=format_count(position.position_e2),
        cost_basis=format_money(position.cost_basis_e6),
        cash=format_money(position.cash_e6),
        realized=format_money(position.realized_e6),
        fees=format_money(position.fees_e6),
        open_orders=position.open_orders,
        account_version=position.account_version,
        ts_ms=position.ts_ns // NS_PER_MS,
    )


def pnl_data(pnl: ActorPnl) -> PnlData:
    """The whole account."""
    shards = pnl.shards_e6
    return PnlData(
        balance=format_money(pnl.balance_e6),
        realized=format_money(pnl.realized_e6),
        fees=format_money(pnl.fees_e6),
        positions=pnl.positions,
        open_orders=pnl.open_orders,
        account_version=pnl.account_version,
        ts_ms=pnl.ts_ns // NS_PER_MS,
        shards=tuple(ShardData(exchange_index=i, balance=format_money(e6)) for i, e6 in shards),
    )


class BooksRead:
    """One read of the table: the books that changed, and all tickers that it holds."""

    def __init__(self) -> None:
        self.changed: list[OrderbookData] = []
        self.tickers: set[str] = set()
        self.busy = 0


class ChangedBooks(AttachedTable[BookTable]):
    """The books that changed since the last read; how often it is read is the throttle.

    The last update of a burst is never lost: the row, not a message, is what is read.
    """

    def __init__(self, data_dir: Path, depth: int, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._depth = depth
        self._seen: dict[str, Signature] = {}

    def read(self, mono_ns: int) -> BooksRead | None:
        """Look at every row; None while there is no table."""
        table = self.refresh()
        if table is None:
            return None
        stale = table.heartbeat_age_ns(mono_ns) > WRITER_SILENT_NS
        state, found = SharedOrderbookState(table), BooksRead()
        for ticker in table.rows:
            found.tickers.add(ticker)
            row = state.get_row(ticker)
            if row is None:
                found.busy += 1
                continue
            signature = signature_of(row, stale=stale)
            if self._seen.get(ticker) != signature:
                self._seen[ticker] = signature
                found.changed.append(book_data(ticker, row, self._depth, stale=stale))
        self._seen = {t: s for t, s in self._seen.items() if t in found.tickers}
        return found


class SubAccounts(AttachedTable[AccountTable]):
    """Every sub-account, for a broadcaster that starts later: messages bring only changes."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", AccountTable.attach, log)
        self._row = np.zeros(a.ACCOUNT_WORDS, np.int64)

    def read(self) -> list[ActorPosition]:
        """Every sub-account whose row execution marks as known."""
        table = self.refresh()
        if table is None:
            return []
        return [self._position(t) for t in table.tickers() if table.read(t, self._row)]

    def generation(self) -> int:
        """Changes with every restart of execution; 0 without a table."""
        table = self.refresh()
        return 0 if table is None else table.generation

    def _position(self, ticker: str) -> ActorPosition:
        row = self._row
        return ActorPosition(
            market_ticker=ticker,
            position_e2=int(row[a.POSITION_E2]),
            cost_basis_e6=int(row[a.COST_BASIS_E6]),
            cash_e6=int(row[a.CASH_E6]),
            realized_e6=int(row[a.REALIZED_E6]),
            fees_e6=int(row[a.FEES_E6]),
            open_orders=int(row[a.N_ORDERS]),
            account_version=int(row[a.ACCOUNT_VERSION]),
            ts_ns=int(row[a.TS_NS]),
        )


def signature_of(row: b.Row, *, stale: bool) -> Signature:
    """Differs between two rows when a client should see the second."""
    return (stale, *(int(row[word]) for word in _SIGNED_BY))


def book_data(ticker: str, row: b.Row, depth: int, *, stale: bool) -> OrderbookData:
    """A row as an `orderbook_snapshot`: the best `depth` levels of each leg (0: all).

    `stale`: the collector's heartbeat is too old, so the book counts as STALE whatever it says.
    """
    state = b.BookState.STALE if stale else b.BookState(int(row[b.STATE]))
    yes, no = _best(row, b.YES), _best(row, b.NO)
    mid, spread = _mid_and_spread(yes, no)
    return OrderbookData(
        ticker=ticker,
        state=state.name.lower(),
        flags=_flags(row),
        generation=int(row[b.GENERATION]),
        event_no=int(row[b.EVENT_NO]),
        seq=int(row[b.SEQ]),
        exch_ms=int(row[b.EXCH_MS]) or None,
        recv_ms=int(row[b.RECV_NS]) // NS_PER_MS or None,
        open_ms=int(row[b.OPEN_MS]) or None,
        close_ms=int(row[b.CLOSE_MS]) or None,
        best_yes_bid=_price(yes),
        best_yes_ask=_price(ONE_DOLLAR_E4 - no if no else 0),
        best_no_bid=_price(no),
        best_no_ask=_price(ONE_DOLLAR_E4 - yes if yes else 0),
        mid=mid,
        spread=spread,
        yes=_levels(row, b.YES, depth),
        no=_levels(row, b.NO, depth),
        yes_levels=int(row[b.YES_LEVELS]),
        no_levels=int(row[b.NO_LEVELS]),
        yes_total=format_count(int(row[b.YES_TOTAL])),
        no_total=format_count(int(row[b.NO_TOTAL])),
        last_trade=_last_trade(row),
        n_deltas=int(row[b.N_DELTAS]),
        n_trades=int(row[b.N_TRADES]),
    )


def _flags(row: b.Row) -> tuple[str, ...]:
    return tuple(str(f.name).lower() for f in b.BookFlag if int(row[b.FLAGS]) & f)


def _best(row: b.Row, leg: b.LegCode) -> int:
    return int(b.best_bid(row, leg)[0])


def _price(price_e4: int) -> str | None:
    return format_price(price_e4) if price_e4 else None


def _mid_and_spread(yes_bid: int, no_bid: int) -> tuple[str | None, str | None]:
    """(mid, spread) on the YES scale; (None, None) without both touches."""
    if not yes_bid or not no_bid:
        return None, None
    ask = ONE_DOLLAR_E4 - no_bid
    whole, half = divmod(yes_bid + ask, 2)
    return format_price(whole) + ("5" if half else ""), format_price(ask - yes_bid)


def _levels(row: b.Row, leg: b.LegCode, depth: int) -> tuple[tuple[str, str], ...]:
    """(price, count) of a leg's bids, best first."""
    slots = int(row[b.SLOTS])
    sizes = row[b.HEADER + leg * slots : b.HEADER + (leg + 1) * slots]
    best_first = np.flatnonzero(sizes)[::-1]
    chosen = best_first[:depth] if depth else best_first
    return tuple(
        (format_price(b.price_of(row, int(s))), format_count(int(sizes[s]))) for s in chosen
    )


def _last_trade(row: b.Row) -> LastTrade | None:
    if not row[b.LAST_TRADE_PRICE]:
        return None
    return LastTrade(
        yes_price=format_price(int(row[b.LAST_TRADE_PRICE])),
        count=format_count(int(row[b.LAST_TRADE_COUNT])),
        ts_ms=int(row[b.LAST_TRADE_MS]) or None,
    )
