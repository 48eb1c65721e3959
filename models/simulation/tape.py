"""A recorded market as arrays, and the walk from its events to its ticks.

`RecordedSession` is one market of one session in the journal's own event layout. `Tape` is what the
learner steps over: at every tick the row and its features, made by the same kernels and by the same
tick rule as live; between ticks the changes of levels and the executions.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.errors import KalshiActorError
from ipc.journal import EVENT, Kind
from ipc.kernels import compiled
from ipc.messages import Environment
from ipc.units import ONE_DOLLAR_E4, PriceGrid
from models.observation.builder import DEFAULT, Builder, Observation, observe_account
from models.simulation.data_age import ClockOffsets, clock_offsets_ms
from models.simulation.replay import Columns, columns_of, walk_by_rule, zone_offsets
from models.trading.fees import MarketFees

__all__ = [
    "CHANGE",
    "CLEAR",
    "EXECUTED",
    "WHOLE",
    "RecordedSession",
    "SessionError",
    "Tape",
    "build_observation_from_session_data",
    "make_tape",
]

Words = npt.NDArray[np.int64]
Events = npt.NDArray[np.void]

# What an event means to a resting order; bits.
CHANGE: Final = 1  # a level's size changed by `count_e2`
EXECUTED: Final = 2  # `count_e2` contracts traded against the resting side
CLEAR: Final = 4  # the book is cleared
WHOLE: Final = 8  # the book is complete

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
PAIR_WINDOW: Final = 2_000  # events either way
PAIR_NS: Final = 5_000_000_000


class SessionError(KalshiActorError, ValueError):
    """A session that cannot be walked: which market, which event, and why."""


class RecordedSession(msgspec.Struct, frozen=True):
    """One market's events and what is known of the market.

    This is where recordings of every origin meet: the database's sessions
    (`processes.adapters.postgres.sessions.SessionDataLoader`), Parquet archives, and the exchange's
    raw frames (`processes.adapters.kalshi.recordings`) all become one.

    Attributes:
        ticker: The market.
        events: Array of `ipc.event_journal.EVENT`, of this market alone, in the order of receipt. A
            STATE event (its `count_e2` is the new `BookState`) marks where the book was not to be
            believed until its next snapshot.
        grid: Its price grid.
        open_ms: When it opened, Unix milliseconds; 0 unknown.
        close_ms: When it closed; 0 unknown.
        yes_value_e4: What a YES contract paid; None when not known.
        environment: Where it was recorded.
        fees: What it charged, and whether that is known.
        clock_offsets: What the collector's clock lacked of the exchange's, as it knew it.
    """

    ticker: str
    events: Events
    grid: PriceGrid
    open_ms: int
    close_ms: int
    yes_value_e4: int | None
    environment: Environment
    fees: MarketFees
    clock_offsets: ClockOffsets = ()

    @property
    def first_ns(self) -> int:
        """Market time of the first event, 0 when there is none."""
        return int(self.events["recv_ns"][0]) if len(self.events) else 0


class Tape(NamedTuple):
    """One market, ready to be stepped over. T ticks, N events, W words a row.

    Attributes:
        ticker: The market.
        rows: int64[T, W], the book as of each tick.
        features: float32[T, builder.tick_size], the book's share of each tick's observation.
        touch: int64[T, 2], last known best bid of each leg in 1e-4 dollars; 0 never known.
        tick_event: int64[T], index of each tick's event.
        ns: int64[N], market time.
        meaning: int64[N], bits CHANGE, EXECUTED, CLEAR, WHOLE.
        leg: int64[N], whose bids change or trade.
        price_e4: int64[N], on the scale of the leg.
        count_e2: int64[N], signed size of a change, or size of an execution.
        yes_value_e4: What a YES contract paid; -1 when not known.
        fees: What it charged.
        builder: Made the features.
    """

    ticker: str
    rows: Words  # [T, W] the row as of each tick
    features: npt.NDArray[np.float32]  # [T, tick size of the builder]
    touch: Words  # [T, 2] last known best bid of YES and of NO, 1e-4 dollars, 0 never known
    tick_event: Words  # [T] index of the tick's event
    ns: Words  # [N] market time
    meaning: Words  # [N] CHANGE | EXECUTED | CLEAR | WHOLE
    leg: Words  # [N] whose bids
    price_e4: Words  # [N] of the leg, 1e-4 dollars
    count_e2: Words  # [N] signed size of a change, or size of an execution
    yes_value_e4: int  # -1 when not known
    fees: MarketFees
    builder: Builder


@compiled
def _maker_delta(events: Columns, trade: int, used: Any) -> int:
    """The delta by which the resting side filled `trade`; -1 when the recording lacks it."""
    maker = b.NO if events.leg[trade] == b.YES else b.YES
    price = events.price_e4[trade] if maker == b.YES else ONE_DOLLAR_E4 - events.price_e4[trade]
    for distance in range(1, PAIR_WINDOW):
        for j in (trade - distance, trade + distance):
            if j < 0 or j >= len(events.kind) or used[j] or events.kind[j] != DELTA:
                continue
            if abs(events.recv_ns[j] - events.recv_ns[trade]) > PAIR_NS:
                continue
            if (
                events.exch_ms[j] == events.exch_ms[trade]
                and events.leg[j] == maker
                and events.price_e4[j] == price
                and events.count_e2[j] == -events.count_e2[trade]
            ):
                return j
    return -1


@compiled
def _meanings(events: Columns, meaning: Any, leg: Any, price_e4: Any, count_e2: Any) -> int:
    """Write what each event means to a resting order.

    Trades and deltas come through two channels. The delta of a trade is marked EXECUTED and the
    trade itself then has no meaning, so nothing counts twice.

    Returns:
        The number of trades whose delta is missing.
    """
    used = np.zeros(len(meaning), np.bool_)
    unpaired = 0
    for i in range(len(meaning)):
        kind = events.kind[i]
        leg[i], price_e4[i], count_e2[i] = events.leg[i], events.price_e4[i], events.count_e2[i]
        if kind in (DELTA, LEVEL):
            meaning[i] |= CHANGE
        elif kind == BEGIN:
            meaning[i] = CLEAR
        elif kind == END:
            meaning[i] = WHOLE
        elif kind == TRADE:
            j = _maker_delta(events, i, used)
            if j >= 0:
                used[j] = True
                meaning[j] |= EXECUTED
                continue
            unpaired += 1
            meaning[i] = EXECUTED
            leg[i] = b.NO if events.leg[i] == b.YES else b.YES
            if leg[i] == b.NO:
                price_e4[i] = ONE_DOLLAR_E4 - events.price_e4[i]
    return unpaired


@compiled
def _touches(rows: Any, touch: Any) -> None:
    """Last known best bid of each leg, as of each tick."""
    for leg in b.LEGS:
        known = 0
        for t in range(len(rows)):
            slot = rows[t, b.BEST_YES + leg]
            if slot >= 0:
                known = b.price_of(rows[t], slot)
            touch[t, leg] = known


def _until_close(session: RecordedSession) -> Events:
    """The events while the market was open: later nothing ticks and nothing fills."""
    if session.events.dtype != EVENT:
        raise SessionError(f"{session.ticker}: events of another layout: {session.events.dtype}")
    late = session.events["recv_ns"] >= session.close_ms * NS_PER_MS
    over = session.close_ms > 0 and late.any()
    return session.events[: late.argmax()] if over else session.events


def make_tape(session: RecordedSession, throttle_ms: int = 250, builder: Builder = DEFAULT) -> Tape:
    """Walk a session by the live tick rule.

    What comes at or after the close is left out. A trade and the delta of its fill, which come
    through two channels, become one execution; they are paired within 5 seconds by exchange time,
    price and size.

    Args:
        session: One recorded market.
        throttle_ms: Least market time between two ticks; 0 ticks at every event.
        builder: Makes the features.

    Returns:
        The market as arrays; it may have no ticks.

    Raises:
        SessionError: No events before the close, events of another layout, or one that does not fit
            the book.
    """
    events = columns_of(_until_close(session))
    n = len(events.kind)
    if n == 0:
        raise SessionError(f"{session.ticker}: the recording holds no events before the close")
    throttle_ns = throttle_ms * NS_PER_MS
    duration_ns = int(events.recv_ns.max() - events.recv_ns.min())
    room = n if throttle_ns == 0 else min(n, duration_ns // throttle_ns + 2)
    row = b.new_row(session.grid.size, session.grid)
    row[b.CLOSE_MS] = session.close_ms
    rows = np.zeros((room, b.HEADER + 2 * session.grid.size), np.int64)
    features = np.zeros((room, builder.tick_size), np.float32)
    tick_event = np.zeros(room, np.int64)
    offsets, first_hour = zone_offsets(int(events.recv_ns.min()), int(events.recv_ns.max()))
    ticks, status = walk_by_rule(
        builder.code, row, events, throttle_ns, offsets, first_hour, rows, features, tick_event
    )
    if status != b.OK:
        event_no, reason = int(events.event_no[ticks]), b.UpdateStatus(status).name
        raise SessionError(f"{session.ticker}: event {event_no} does not fit the book: {reason}")
    meaning, leg, price_e4, count_e2 = (np.zeros(n, np.int64) for _ in range(4))
    _meanings(events, meaning, leg, price_e4, count_e2)
    offsets_ms = clock_offsets_ms(events, session.clock_offsets)
    rows[:ticks, b.CLOCK_OFFSET_MS] = offsets_ms[tick_event[:ticks]]
    touch = np.zeros((ticks, 2), np.int64)
    _touches(rows[:ticks], touch)
    value = -1 if session.yes_value_e4 is None else session.yes_value_e4
    return Tape(
        session.ticker,
        rows[:ticks].copy(),
        features[:ticks].copy(),
        touch,
        tick_event[:ticks].copy(),
        events.recv_ns,
        meaning,
        leg,
        price_e4,
        count_e2,
        value,
        session.fees,
        builder,
    )


def build_observation_from_session_data(
    tape: Tape, tick: int, account: a.AccountRow
) -> Observation:
    """The observation of a recorded tick under an account, as it was live at that moment.

    The same kernel as live makes it; `models.parity` compares the two for every recorded decision.

    Args:
        tape: The market.
        tick: Index of the tick.
        account: The sub-account.

    Returns:
        float32[tape.builder.size].
    """
    out = np.empty(tape.builder.size, np.float32)
    observe_account(tape.builder.code, tape.features[tick], tape.rows[tick], account, out)
    return out
