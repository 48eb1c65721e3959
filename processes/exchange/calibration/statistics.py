"""The figures of one tape that real markets are known by; `figures` -> name -> value.

Rates are a second and market, prices in cents, sizes in contracts, shares in percent, times in ms.
A figure that a tape cannot have (no trades in it) is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.clock import US_PER_S
from processes.exchange.calibration.tape import CENT, LOOK_US, Tape, TapeMark, Walk, walk

__all__ = ["figures", "median_figures"]

RANKS: Final = (10, 25, 50, 75, 90, 99)
NEAR_US: Final = 5_000  # a cancel and its new order
MOST_NEAR: Final = 50

Floats = npt.NDArray[np.float64]
Figures = dict[str, float]


def figures(tape: Tape) -> Figures:
    """Everything about one tape."""
    found = walk(tape)
    if len(found.rows) < 2:
        return {}
    rows = found.changes
    return {
        **_rates(rows[:, 0]),
        **_gaps(rows[:, 0]),
        **_places(rows),
        **_requotes(rows),
        **_sizes(rows[:, 3]),
        **_books(found),
        **_mids(found),
        **_trades(found.trades, rows),
    }


def median_figures(each: list[Figures]) -> Figures:
    """The median market, figure by figure."""
    names = dict.fromkeys(name for one in each for name in one)
    return {n: float(np.median([one[n] for one in each if n in one])) for n in names}


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(100 * np.mean(flags)) if len(flags) else 0.0


def _counts(ts_us: Floats, bin_us: int) -> Floats:
    bins = ((ts_us - ts_us[0]) // bin_us).astype(np.int64)
    return np.bincount(bins).astype(np.float64)


def _rates(ts_us: Floats) -> Figures:
    seconds, tenths = _counts(ts_us, US_PER_S), _counts(ts_us, US_PER_S // 10)
    return {
        "rate mean": float(seconds.mean()),
        "rate median": float(np.median(seconds)),
        "rate p90": float(np.percentile(seconds, 90)),
        "rate p99": float(np.percentile(seconds, 99)),
        "rate max": float(seconds.max()),
        "100 ms p99": float(np.percentile(tenths, 99)),
        "100 ms max": float(tenths.max()),
        "Fano factor": float(seconds.var() / seconds.mean()),
        "idle seconds": _share(seconds == 0),
    }


def _gaps(ts_us: Floats) -> Figures:
    gaps = np.maximum(np.diff(ts_us), 0) / 1000
    batches = 1 + int(np.count_nonzero(gaps))
    ranks = {f"gap p{r}": float(np.percentile(gaps, r)) for r in (10, 50, 90, 99)}
    return ranks | {"same time": _share(gaps == 0), "batch mean": len(ts_us) / batches}


def _places(rows: Floats) -> Figures:
    distance = rows[:, 4]
    return {
        "at the best": _share(distance == 0),
        "improves": _share(distance < 0),
        "within 2 c": _share(distance <= 2),
        "within 5 c": _share(distance <= 5),
        "changes the best": _share(rows[:, 7] > 0),
        "additions": _share(rows[:, 3] > 0),
        "opens a level": _share(rows[:, 5] > 0),
        "empties a level": _share(rows[:, 6] > 0),
    }


def _requotes(rows: Floats) -> Figures:
    """Cancels followed by an order of the same size on the same side."""
    adds: dict[tuple[float, float], list[int]] = {}
    for n in np.flatnonzero(rows[:, 3] > 0).tolist():
        adds.setdefault((rows[n, 1], rows[n, 3]), []).append(n)
    moved = again = 0
    cancels = np.flatnonzero(rows[:, 3] < 0).tolist()
    for n in cancels:
        same = adds.get((rows[n, 1], -rows[n, 3]), [])
        near = _near(rows, same, n)
        moved += any(rows[m, 2] != rows[n, 2] for m in near)
        again += any(rows[m, 2] == rows[n, 2] for m in near)
    number = max(len(cancels), 1)
    return {"re-quoted": 100 * moved / number, "re-added": 100 * again / number}


def _near(rows: Floats, places: list[int], n: int) -> list[int]:
    """Those of `places` that are as good as at the time of row `n`."""
    middle, near = bisect_left(places, n), []
    for side in (reversed(places[:middle][-MOST_NEAR:]), places[middle : middle + MOST_NEAR]):
        for m in side:
            if abs(rows[m, 0] - rows[n, 0]) > NEAR_US:
                break
            near.append(m)
    return near


def _sizes(deltas_e2: Floats) -> Figures:
    sizes = np.abs(deltas_e2) / 100
    ranks = {f"size p{r}": float(np.percentile(sizes, r)) for r in RANKS}
    fractional = _share(np.abs(deltas_e2) % 100 != 0)
    return ranks | {"size mean": float(sizes.mean()), "fractional": fractional}


def _books(found: Walk) -> Figures:
    looks = found.looks
    bid, ask, levels = looks[:, 0], looks[:, 1], looks[:, 4:6]
    both = (bid > 0) & (ask > 0)
    spread = (ask - bid)[both] / CENT
    best = np.array(found.best_sizes, np.float64) / 100
    facts = {
        "levels yes": float(np.median(levels[:, 0])),
        "levels no": float(np.median(levels[:, 1])),
        "levels a side": float(np.median(levels)),
        "empty side": _share(~both),
    }
    if len(spread):
        facts |= {f"spread p{r}": float(np.percentile(spread, r)) for r in (10, 50, 90, 99)}
    if len(best):
        facts |= {f"best size p{r}": float(np.percentile(best, r)) for r in (10, 50, 90)}
    for distance in (1, 2, 3, 4, 5, 9, 14):
        sizes = np.array(found.depths[distance], np.float64) / 100
        if len(sizes) and sizes.any():
            facts[f"occupied at {distance} c"] = _share(sizes > 0)
            facts[f"depth at {distance} c"] = float(np.median(sizes[sizes > 0]))
    return facts


def _mids(found: Walk) -> Figures:
    looks = found.looks
    bid, ask = looks[:, 0], looks[:, 1]
    mid = np.where((bid > 0) & (ask > 0), (bid + ask) / 2 / CENT, np.nan)
    facts = {}
    for seconds in (1, 10):
        step = seconds * US_PER_S // LOOK_US
        moves = mid[step:] - mid[:-step]
        moves = moves[~np.isnan(moves)]
        if len(moves):
            facts[f"mid move {seconds} s"] = float(moves.std())
    return facts | _edge(found, mid)


def _edge(found: Walk, mid: Floats) -> Figures:
    """What the sizes at the touch know of the next five seconds."""
    sizes = found.looks[:, 2:4].astype(np.float64)
    step = 5 * US_PER_S // LOOK_US
    total = np.maximum(sizes.sum(axis=1), 1)
    imbalance = (sizes[:, 0] - sizes[:, 1]) / total
    moves = mid[step:] - mid[:-step]
    known = ~np.isnan(moves)
    if known.sum() < 100 or moves[known].std() == 0:
        return {}
    return {"imbalance knows": float(np.corrcoef(imbalance[:-step][known], moves[known])[0, 1])}


def _trades(trades: list[TapeMark], rows: Floats) -> Figures:
    if len(trades) < 2:
        return {}
    sizes = np.array([t.count_e2 for t in trades], np.float64)
    seconds = (rows[-1, 0] - rows[0, 0]) / US_PER_S
    runs = [
        a.ts_us // 1000 == b.ts_us // 1000 and a.leg == b.leg
        for a, b in zip(trades[1:], trades[:-1], strict=True)
    ]
    facts = {f"trade size p{r}": float(np.percentile(sizes, r)) / 100 for r in (10, 50, 90, 99)}
    return facts | {
        "trades a second": len(trades) / max(seconds, 1),
        "deltas a trade": len(rows) / len(trades),
        "trade size mean": float(sizes.mean()) / 100,
        "trades fractional": _share(sizes % 100 != 0),
        "trades in runs": _share(np.array(runs)),
        "executions": 100 * len(trades) / max(int((rows[:, 3] < 0).sum()), 1),
    }
