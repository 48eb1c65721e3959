"""A book as dictionaries, written from the words of the design: what the kernels are held to."""

from __future__ import annotations

from hypothesis import strategies as st

from ipc import book as b
from ipc.units import ONE_DOLLAR_E4, PriceGrid, PriceRange

__all__ = ["NaiveBook", "assert_book_equals", "changes", "grids"]

YES, NO = 0, 1


class NaiveBook:
    """Two legs of bids; every number is computed anew from them."""

    def __init__(self, grid: PriceGrid) -> None:
        self.grid = set(grid.prices.tolist())
        self.legs: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.ofi = self.realised = self.last_mid2 = self.flow = self.deltas = self.trades = 0
        self.traded = 0

    def touch(self, side: int) -> tuple[int, int]:
        """(price, size) of the best bid of a leg, (0, 0) without."""
        leg = self.legs[side]
        return (max(leg), leg[max(leg)]) if leg else (0, 0)

    def ask(self, side: int) -> int | None:
        """One dollar less the other leg's best bid."""
        price, size = self.touch(1 - side)
        return ONE_DOLLAR_E4 - price if size else None

    def _note_mid(self) -> None:
        bid, ask = self.touch(YES)[0], self.ask(YES)
        if not bid or ask is None:
            return
        if self.last_mid2:
            self.realised += (bid + ask - self.last_mid2) ** 2
        self.last_mid2 = bid + ask

    def snapshot(self, levels: list[tuple[int, int, int]]) -> bool:
        """Replace everything by (side, price, size); False, and nothing happens, when wrong."""
        if any(price not in self.grid or size < 0 for _, price, size in levels):
            return False
        self.legs = ({}, {})
        for side, price, size in levels:
            if size:
                self.legs[side][price] = size
        self._note_mid()
        return True

    def delta(self, side: int, price: int, change: int) -> bool:
        """Change one level; False, and nothing happens, when it cannot be."""
        after = self.legs[side].get(price, 0) + change
        if price not in self.grid or after < 0:
            return False
        before = self.touch(side)
        self.legs[side].pop(price, None)
        if after:
            self.legs[side][price] = after
        self.deltas += 1
        self._note_flow(side, before, self.touch(side))
        self._note_mid()
        return True

    def _note_flow(self, side: int, before: tuple[int, int], now: tuple[int, int]) -> None:
        """Cont, Kukanov, Stoikov (2014): demand added at the touch less demand taken away."""
        flow = (now[1] if now[0] >= before[0] else 0) - (before[1] if now[0] <= before[0] else 0)
        self.ofi += flow if side == YES else -flow

    def trade(self, taker: int, count: int) -> None:
        """A taker of NO is a seller of YES."""
        self.flow += count if taker == YES else -count
        self.traded += count
        self.trades += 1


def assert_book_equals(row: b.Row, naive: NaiveBook) -> None:
    """Every word of a row that the naive book can name."""
    for side in b.LEGS:
        leg = naive.legs[side]
        assert b.levels_of(row, side) == sorted(leg.items())
        assert b.best_bid(row, side) == naive.touch(side)
        assert row[b.YES_LEVELS + side] == len(leg)
        assert row[b.YES_TOTAL + side] == sum(leg.values())
    found = (row[b.OFI], row[b.REALISED], row[b.LAST_MID2], row[b.N_DELTAS])
    assert found == (naive.ofi, naive.realised, naive.last_mid2, naive.deltas)
    assert (row[b.TRADE_FLOW], row[b.N_TRADES]) == (naive.flow, naive.trades)
    assert row[b.TRADED] == naive.traded


@st.composite
def grids(draw: st.DrawFn) -> PriceGrid:
    """Gapless grids of one to four ranges, at most 1,280 prices."""
    cuts = draw(st.lists(st.integers(1, 99), max_size=3, unique=True))
    ends = [0, *sorted(100 * c for c in cuts), ONE_DOLLAR_E4]
    steps = [draw(st.sampled_from((10, 20, 25, 50, 100))) for _ in ends[1:]]
    return PriceGrid(PriceRange(*r) for r in zip(ends[:-1], ends[1:], steps, strict=True))


@st.composite
def changes(draw: st.DrawFn, grid: PriceGrid, most: int = 60) -> list[tuple[int, int, int]]:
    """(side, price, signed size): mostly on the grid and near one another, some impossible."""
    prices = draw(st.lists(st.sampled_from(grid.prices.tolist()), min_size=1, max_size=6))
    price = st.sampled_from([*prices, 0, ONE_DOLLAR_E4, prices[0] + 1])
    change = st.tuples(st.integers(0, 1), price, st.integers(-300, 500))
    return draw(st.lists(change, max_size=most))
