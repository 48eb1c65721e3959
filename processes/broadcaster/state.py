"""What is known now: events in, updates out, and the updates that a new connection starts with.

`LatestState` holds what the dashboard shows, `Health` which parts of the stack are alive. No
socket, no clock. Everything is bounded: `RECENT` actions, fills, finished orders and lines of the
audit, and as many books and positions as there are markets.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from ipc.clock import MS_PER_S, NS_PER_MS, NS_PER_S
from ipc.messages import (
    ActorAction,
    ActorFill,
    ActorModels,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    MarketsChosen,
    Message,
    OrderStatus,
    ProcessStats,
    SessionInfo,
    ShadowActions,
    TradingEvent,
    TradingStatus,
)
from models.trading.actions import Action
from processes.adapters.kalshi.auth.clock_offset import LIMIT_MS
from processes.broadcaster import views
from processes.broadcaster.wire import (
    MessageType,
    OrderbookData,
    PartData,
    ShadowData,
    StatsData,
    Update,
    update_of,
)

__all__ = ["PROCESSES", "RECENT", "SILENT_NS", "TABLES", "Health", "LatestState"]

RECENT: Final = 50
CAUSES: Final = 2_000  # decisions remembered by intent, for the latency of their orders
MIDS: Final = 900  # points of a market's chart
MID_SPACING_MS: Final = 1_000
PROCESSES: Final = ("collector", "inference", "execution", "recorder", "watchdog")
TABLES: Final = ("books", "accounts")
SILENT_NS: Final = 5 * NS_PER_S  # processes say something once a second
_OPEN: Final = (OrderStatus.PENDING, OrderStatus.RESTING, OrderStatus.UNKNOWN)

Key = TypeVar("Key")
Value = TypeVar("Value")


def _remember(store: OrderedDict[Key, Value], key: Key, value: Value, bound: int) -> None:
    store[key] = value
    store.move_to_end(key)
    if len(store) > bound:
        store.popitem(last=False)


class LatestState:
    """The newest of everything that the dashboard shows; every method gives the updates to send."""

    def __init__(self) -> None:
        self._session: Update | None = None
        self._trading: Update | None = None
        self._stats: dict[str, Update] = {}
        self._books: dict[str, OrderbookData] = {}
        self._mids: dict[str, deque[tuple[int, str]]] = {}
        self._last_action: dict[str, ActorAction] = {}
        self._orders_decided: deque[ActorAction] = deque(maxlen=RECENT)  # other than HOLD
        self._causes: OrderedDict[str, ActorAction] = OrderedDict()
        self._open: dict[str, ActorOrder] = {}
        self._finished: OrderedDict[str, ActorOrder] = OrderedDict()
        self._fills: OrderedDict[str, Update] = OrderedDict()
        self._positions: dict[str, ActorPosition] = {}
        self._pnl: Update | None = None
        self._models: Update | None = None
        self._markets: Update | None = None
        self._shadows: dict[str, ShadowData] = {}
        self._events: deque[Update] = deque(maxlen=RECENT)  # of the audit of trading

    def apply(self, message: Message) -> list[Update]:
        """Note an event; the updates for all connections, none when it is not for them."""
        if isinstance(message, ShadowActions):
            return [self._note_shadow(action) for action in message.actions]
        update = self._note(message)
        return [] if update is None else [update]

    def _note(self, message: Message) -> Update | None:
        match message:
            case SessionInfo():
                return self._note_session(message)
            case TradingStatus():
                self._trading = update_of(MessageType.TRADING, views.trading_data(message))
                return self._trading
            case ProcessStats():
                return self.stats(StatsData(process=message.process, counters=message.counters))
            case ActorAction():
                return self._note_action(message)
            case ActorOrder():
                return self._note_order(message)
            case ActorFill():
                update = update_of(MessageType.ACTOR_FILL, views.fill_data(message))
                _remember(self._fills, message.trade_id, update, RECENT)
                return update
            case ActorPosition():
                self._positions[message.market_ticker] = message
                return self._position_update(message)
            case ActorPnl():
                self._pnl = update_of(MessageType.ACTOR_PNL, views.pnl_data(message))
                return self._pnl
            case ActorModels():
                return self._note_models(message)
            case MarketsChosen():
                self._markets = update_of(MessageType.ACTOR_MARKETS, views.markets_data(message))
                return self._markets
            case TradingEvent():
                event = update_of(MessageType.TRADING_EVENT, views.trading_event_data(message))
                self._events.append(event)
                return event
            case _:
                return None

    def stats(self, data: StatsData) -> Update:
        """Note a process's counters, the broadcaster's own included."""
        update = update_of(MessageType.STATS, data)
        self._stats[data.process] = update
        return update

    def book(self, data: OrderbookData) -> Update:
        """Note a book and its place in the market's chart."""
        self._books[data.ticker] = data
        mids = self._mids.setdefault(data.ticker, deque(maxlen=MIDS))
        if data.mid is not None and data.recv_ms is not None and data.state == "live":
            if mids and data.recv_ms - mids[-1][0] < 0:  # market time went back: a new replay
                mids.clear()
            if not mids or data.recv_ms - mids[-1][0] >= MID_SPACING_MS:
                mids.append((data.recv_ms, data.mid))
        return update_of(MessageType.ORDERBOOK_SNAPSHOT, data)

    def keep_books(self, tickers: set[str]) -> list[Update]:
        """Forget the books that the table no longer holds; each ends as STALE."""
        gone = [t for t in self._books if t not in tickers]
        updates = []
        for ticker in gone:
            last = msgspec.structs.replace(self._books.pop(ticker), state="stale")
            self._mids.pop(ticker, None)
            updates.append(update_of(MessageType.ORDERBOOK_SNAPSHOT, last))
        return updates

    def add_positions(self, positions: Iterable[ActorPosition]) -> list[Update]:
        """Note the sub-accounts of the shared table that are newer than what is known."""
        return [
            update
            for position in positions
            if self._is_newer(position)
            for update in self.apply(position)
        ]

    def _is_newer(self, position: ActorPosition) -> bool:
        known = self._positions.get(position.market_ticker)
        return known is None or known.account_version < position.account_version

    def execution_restarted(self) -> list[Update]:
        """Execution restarted: its versions start over, its earlier orders are UNKNOWN."""
        self._positions.clear()
        doubtful = [
            msgspec.structs.replace(order, status=OrderStatus.UNKNOWN, reason="execution restarted")
            for order in self._open.values()
        ]
        return [self._note_order(order) for order in doubtful]

    def welcome(self) -> list[Update]:
        """The updates that a new connection gets after `connection`, oldest decision first."""
        latest = {id(a): a for a in (*self._orders_decided, *self._last_action.values())}
        actions = sorted(latest.values(), key=lambda a: a.decided_mono_ns)
        return [
            *([self._session] if self._session else []),
            *([self._trading] if self._trading else []),
            *(self._first_book(book) for book in self._books.values()),
            *(self._position_update(p) for p in self._positions.values()),
            *([self._pnl] if self._pnl else []),
            *(self._order_update(o) for o in (*self._finished.values(), *self._open.values())),
            *self._fills.values(),
            *(update_of(MessageType.ACTOR_ACTION, views.action_data(a)) for a in actions),
            *([self._models] if self._models else []),
            *([self._markets] if self._markets else []),
            *(update_of(MessageType.ACTOR_SHADOW, s) for s in self._shadows.values()),
            *self._events,
            *self._stats.values(),
        ]

    def _first_book(self, book: OrderbookData) -> Update:
        mids = tuple(self._mids[book.ticker])
        return update_of(MessageType.ORDERBOOK_SNAPSHOT, msgspec.structs.replace(book, mids=mids))

    def _note_session(self, info: SessionInfo) -> Update:
        self._session = update_of(MessageType.SESSION, views.session_data(info))
        live = set(info.markets)
        self._last_action = {t: a for t, a in self._last_action.items() if t in live}
        self._shadows = {t: s for t, s in self._shadows.items() if t in live}
        return self._session

    def _note_action(self, action: ActorAction) -> Update:
        self._last_action[action.market_ticker] = action
        if action.action != Action.HOLD:
            self._orders_decided.append(action)
        if action.intent_id is not None:
            _remember(self._causes, action.intent_id, action, CAUSES)
        return update_of(MessageType.ACTOR_ACTION, views.action_data(action))

    def _note_models(self, models: ActorModels) -> Update:
        """The decisions of a model that no longer shadows are dropped."""
        self._models = update_of(MessageType.ACTOR_MODELS, views.models_data(models))
        kept = self._shadows.items()
        self._shadows = {t: s for t, s in kept if s.model_hash == models.shadow_hash}
        return self._models

    def _note_shadow(self, shadow: ActorAction) -> Update:
        """The live decision on the same request came before it, unless it was lost."""
        live = self._last_action.get(shadow.market_ticker)
        decided_on = (shadow.session_uid, shadow.event_no)
        if live is not None and (live.session_uid, live.event_no) != decided_on:
            live = None
        data = views.shadow_data(shadow, live)
        self._shadows[data.ticker] = data
        return update_of(MessageType.ACTOR_SHADOW, data)

    def _note_order(self, order: ActorOrder) -> Update:
        if order.status in _OPEN:
            self._open[order.client_order_id] = order
        else:
            self._open.pop(order.client_order_id, None)
            _remember(self._finished, order.client_order_id, order, RECENT)
        return self._order_update(order)

    def _order_update(self, order: ActorOrder) -> Update:
        cause = self._causes.get(order.intent_id) if order.intent_id else None
        return update_of(MessageType.ACTOR_ORDER, views.order_data(order, cause))

    @staticmethod
    def _position_update(position: ActorPosition) -> Update:
        return update_of(MessageType.ACTOR_POSITION, views.position_data(position))


def _recording_reasons(process: str, counters: dict[str, int]) -> list[str]:
    """Why what was accepted is not in the database: counters that only the recorder has."""
    found = []
    if counters.get("database", 1) == 0:
        waiting = f"{counters.get('behind', 0)} events wait in the journals"
        found.append(f"{process}: no database; {waiting} and nothing is lost: see its log")
    if refused := counters.get("refused_streams", 0):
        found.append(f"{process}: {refused} streams cannot be recorded; its log names them")
    if waiting_streams := counters.get("waiting_streams", 0):
        found.append(f"{process}: {waiting_streams} streams wait for the database or this machine")
    return found


class Health:
    """When each part of the stack last reported: liveness, not how busy the markets are.

    Every `mono_ns` is this machine's monotonic clock. `counters` holds the newest of every process.
    """

    def __init__(self) -> None:
        self._heard: dict[str, int] = {}
        self.counters: dict[str, dict[str, int]] = {}

    def heard(self, process: str, counters: dict[str, int], mono_ns: int) -> None:
        """A process sent its counters."""
        self._heard[process] = mono_ns
        self.counters[process] = counters

    def beat(self, table: str, age_ns: int | None, mono_ns: int) -> None:
        """A table was looked at; `age_ns` of its writer's heartbeat, None without a table."""
        if age_ns is None:
            self._heard.pop(table, None)
        else:
            self._heard[table] = mono_ns - age_ns

    def age_ns(self, part: str, mono_ns: int) -> int | None:
        """How long ago a part last reported; None when it never has."""
        heard = self._heard.get(part)
        return None if heard is None else mono_ns - heard

    def parts(self, mono_ns: int) -> dict[str, PartData]:
        """Every part that the stack should have."""
        return {name: self._part(name, mono_ns) for name in (*PROCESSES, *TABLES)}

    def reasons(self) -> list[str]:
        """What is wrong although every part is alive, in plain words."""
        found = []
        for process, counters in sorted(self.counters.items()):
            off_ms = counters.get("clock_offset_ms", 0)
            if abs(off_ms) > LIMIT_MS:
                side = "behind" if off_ms > 0 else "ahead of"
                found.append(
                    f"{process}: its clock is {abs(off_ms) / MS_PER_S:.1f} s {side} the "
                    "exchange's; requests are refused: set the time of this machine"
                )
            found += _recording_reasons(process, counters)
        return found

    def _part(self, name: str, mono_ns: int) -> PartData:
        age = self.age_ns(name, mono_ns)
        if age is None:
            return PartData(fresh=False, age_ms=None)
        return PartData(fresh=age <= SILENT_NS, age_ms=age // NS_PER_MS)
