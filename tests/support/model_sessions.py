"""Recorded sessions made by hand or by a seed, for the tests of models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from support.model_builders import NOON_NS

from ipc import book as b
from ipc.journal import EVENT, Kind
from ipc.messages import Environment
from ipc.units import LINEAR_CENT, PriceGrid
from models.simulation.tape import RecordedSession
from models.trading.fees import FeeSchedule, MarketFees

MS = 1_000_000
NOON_MS = NOON_NS // MS


class SessionBuilder:
    """Events one after another, `ms` after noon; prices in cents, sizes in contracts."""

    def __init__(self, grid: PriceGrid = LINEAR_CENT) -> None:
        self.grid = grid
        self.ms = 0
        self._events: list[tuple[int, ...]] = []

    def at(self, ms: int) -> SessionBuilder:
        """Move on to a moment."""
        self.ms = ms
        return self

    def snapshot(self, yes: dict[float, float], no: dict[float, float]) -> SessionBuilder:
        """A whole book."""
        levels = [(b.YES, p, c) for p, c in yes.items()] + [(b.NO, p, c) for p, c in no.items()]
        self._add(Kind.SNAPSHOT_BEGIN, 0, 0, len(levels) / 100)
        for side, price, count in levels:
            self._add(Kind.SNAPSHOT_LEVEL, side, price, count)
        return self._add(Kind.SNAPSHOT_END, 0, 0, len(levels) / 100)

    def delta(self, side: int, price: float, count: float) -> SessionBuilder:
        """A signed change of one level of a leg."""
        return self._add(Kind.DELTA, side, price, count)

    def trade(self, taker: int, yes_price: float, count: float) -> SessionBuilder:
        """A public trade without the maker's delta."""
        return self._add(Kind.TRADE, taker, yes_price, count)

    def block_trade(self, taker: int, yes_price: float, count: float) -> SessionBuilder:
        """A trade that was agreed off the book."""
        return self._add(Kind.BLOCK_TRADE, taker, yes_price, count)

    def execution(self, taker: int, yes_price: float, count: float) -> SessionBuilder:
        """A trade and the delta by which the maker's level gave it."""
        maker = 1 - taker
        self.trade(taker, yes_price, count)
        return self.delta(maker, yes_price if maker == b.YES else 100 - yes_price, -count)

    def state(self, state: b.BookState) -> SessionBuilder:
        """The book is not to be believed from here on."""
        return self._add(Kind.STATE, 0, 0, state / 100)

    def _add(self, kind: Kind, side: int, price: float, count: float) -> SessionBuilder:
        n, ms = len(self._events) + 1, NOON_MS + self.ms
        record = (n, ms * MS, ms, round(100 * count), n, kind, side, 0, round(100 * price))
        self._events.append(record)
        return self

    def events(self) -> npt.NDArray[np.void]:
        """What the journal would hold."""
        return np.array(self._events, EVENT)

    def build(
        self,
        *,
        yes_value_e4: int | None = None,
        close_ms: int = 0,
        fees: FeeSchedule | MarketFees | None = None,
        ticker: str = "M",
    ) -> RecordedSession:
        """The session; `close_ms` after noon, 0 unknown."""
        close = NOON_MS + close_ms if close_ms else 0
        chosen = (
            fees if isinstance(fees, MarketFees) else MarketFees.constant(fees or FeeSchedule())
        )
        return RecordedSession(
            ticker, self.events(), self.grid, NOON_MS, close, yes_value_e4,
            Environment.SIMULATED, chosen,
        )  # fmt: skip


def random_session(
    seed: int,
    n: int = 1_500,
    *,
    fees: FeeSchedule | MarketFees | None = None,
    ticker: str = "",
) -> RecordedSession:
    """A market that walks: never crossed, sometimes one-sided, with executions; settles."""
    random = np.random.Generator(np.random.PCG64(seed))
    books: tuple[dict[int, float], ...] = ({}, {})
    builder = SessionBuilder()
    mid = int(random.integers(25, 76))
    for side, top in ((b.YES, mid - 1), (b.NO, 99 - mid)):
        books[side].update({top - i: float(random.integers(1, 200)) for i in range(8)})
    builder.snapshot(dict(books[0]), dict(books[1]))
    for _ in range(n):
        builder.at(builder.ms + int(random.exponential(60)))
        mid = min(max(mid + int(random.integers(-1, 2)) * int(random.random() < 0.1), 10), 90)
        _uncross(builder, books, mid)
        side = int(random.integers(2))
        top = mid - 1 if side == b.YES else 99 - mid
        price = max(top - int(random.geometric(0.3)) + 1, 1)
        held = books[side].get(price, 0.0)
        draw = random.random()
        if held and draw < 0.3:
            _change(builder, books, side, price, -held if draw < 0.2 else -min(held, 1.5))
        elif held and draw < 0.45 and price == max(books[side]):
            taken = min(held, float(random.integers(1, 40)))
            builder.trade(1 - side, price if side == b.YES else 100 - price, taken)
            _change(builder, books, side, price, -taken)
        else:
            _change(builder, books, side, price, float(random.integers(1, 3_000)) / 100)
    outcome = 10_000 if random.random() < mid / 100 else 0
    return builder.build(yes_value_e4=outcome, fees=fees, ticker=ticker or f"R{seed}")


def _change(
    builder: SessionBuilder, books: tuple[dict[int, float], ...], side: int, price: int, by: float
) -> None:
    builder.delta(side, price, by)
    left = round(books[side].get(price, 0.0) + by, 2)
    if left:
        books[side][price] = left
    else:
        del books[side][price]


def _uncross(builder: SessionBuilder, books: tuple[dict[int, float], ...], mid: int) -> None:
    """Take out every level beyond the mid."""
    for side, top in ((b.YES, mid - 1), (b.NO, 99 - mid)):
        for price in [p for p in books[side] if p > top]:
            _change(builder, books, side, price, -books[side][price])
