"""The statistics of real order flow that the synthetic flow has to come near, as they were found.

Medians over 39 recorded windows of a fifteen-minute gold market (August 2026), and the range over
ten recorded sessions of a slow long-dated market (November 2025; its trades were not recorded). The
one correlation is the mean over 26 of the gold windows. Sizes and depths were looked at once a
change, spreads and levels by time.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["ACTIVE_TARGETS", "FACTOR", "SLOW_TARGETS", "Target"]

FACTOR: Final = 1.5  # as far from the real figure is near


class Target(msgspec.Struct, frozen=True):
    """One real figure, or the range that it was found in."""

    group: str
    name: str
    low: float
    high: float

    def ratio(self, value: float) -> float:
        """How far `value` is from the range: 1 within it."""
        if self.low <= value <= self.high:
            return 1.0
        bound = self.low if value < self.low else self.high
        return value / bound if bound else float("inf")

    def is_near(self, value: float) -> bool:
        """Whether it is within the factor."""
        return 1 / FACTOR <= self.ratio(value) <= FACTOR


def _targets(
    groups: dict[str, dict[str, float | tuple[float, float]]],
) -> tuple[Target, ...]:
    rows = []
    for group, figures in groups.items():
        for name, real in figures.items():
            low, high = real if isinstance(real, tuple) else (real, real)
            rows.append(Target(group, name, low, high))
    return tuple(rows)


ACTIVE_TARGETS: Final = _targets(
    {
        "rate": {
            "rate mean": 55,
            "rate median": 38,
            "rate p90": 136,
            "rate p99": 255,
            "rate max": 440,
            "100 ms p99": 54,
            "100 ms max": 130,
        },
        "Fano factor": {"Fano factor": 61},
        "idle share": {"idle seconds": 4},
        "inter-arrival": {
            "gap p10": 0,
            "gap p50": 0.75,
            "gap p90": 30,
            "gap p99": 342,
            "same time": 23,
            "batch mean": 1.3,
            "re-quoted": 33,
            "re-added": (3, 4),
        },
        "place": {
            "at the best": 21,
            "improves": 2.5,
            "within 2 c": 50,
            "within 5 c": 73,
            "changes the best": 4.9,
            "additions": 49.4,
            "opens a level": 12,
            "empties a level": 12,
        },
        "spread": {
            "spread p10": 1,
            "spread p50": 1,
            "spread p90": 2,
            "spread p99": 4,
            "empty side": 8,
        },
        "depth": {
            "levels a side": 23,
            "best size p10": 5,
            "best size p50": 102,
            "best size p90": 2113,
            "occupied at 1 c": 81,
            "depth at 1 c": 64,
            "occupied at 2 c": 79,
            "depth at 2 c": 50,
            "occupied at 3 c": 77,
            "depth at 3 c": 50,
            "occupied at 4 c": 68,
            "depth at 4 c": 50,
            "occupied at 5 c": 56,
            "depth at 5 c": 50,
            "occupied at 9 c": 53,
            "depth at 9 c": 50,
            "occupied at 14 c": 38,
            "depth at 14 c": 50,
        },
        "sizes": {
            "size p10": 0.1,
            "size p25": 9,
            "size p50": 25,
            "size p75": 62,
            "size p90": 109,
            "size p99": 2000,
            "size mean": 157,
            "fractional": 21,
        },
        "trades": {
            "deltas a trade": 37,
            "trades a second": 1.5,
            "trade size p10": 0.1,
            "trade size p50": 10,
            "trade size p90": 57,
            "trade size p99": 355,
            "trade size mean": 30,
            "trades fractional": 62,
            "trades in runs": 46,
            "executions": 5,
        },
        "prices": {"mid move 1 s": 1.2, "mid move 10 s": 4.4, "imbalance knows": 0.222},
    }
)

SLOW_TARGETS: Final = _targets(
    {
        "rate": {
            "rate mean": (0.03, 1.2),
            "rate median": (0, 1),
            "rate p90": (0, 4),
            "rate p99": (1, 9),
            "rate max": (3, 20),
            "100 ms p99": (0, 2),
            "100 ms max": (3, 15),
        },
        "Fano factor": {"Fano factor": 4.3},
        "idle share": {"idle seconds": (49, 98)},
        "inter-arrival": {
            "gap p10": 1.3,
            "gap p50": 124,
            "gap p90": 7_600,
            "gap p99": 43_000,
            "same time": (0.1, 4),
            "batch mean": 1,
        },
        "place": {
            "at the best": (1, 26),
            "improves": (0, 2),
            "within 2 c": (12, 99),
            "within 5 c": (39, 100),
            "changes the best": (0.4, 4),
            "additions": (33, 49),
            "opens a level": (0, 15),
            "empties a level": (0, 15),
        },
        "spread": {
            "spread p10": 1,
            "spread p50": (1, 2),
            "spread p90": (1, 4),
            "spread p99": (1, 4),
            "empty side": 0,
        },
        "depth": {
            "levels yes": (6, 24),
            "levels no": (39, 57),
            "best size p10": (4, 350),
            "best size p50": (460, 7_700),
            "best size p90": (1_200, 16_000),
            "depth at 1 c": 10_838,
            "depth at 2 c": 4_550,
            "depth at 3 c": 7_588,
            "depth at 5 c": 9_711,
        },
        "sizes": {
            "size p10": (10, 300),
            "size p25": (75, 300),
            "size p50": (260, 2_200),
            "size p75": (290, 8_450),
            "size p90": (290, 13_500),
            "size p99": (500, 18_000),
            "size mean": (110, 3_650),
            "fractional": 0,
        },
        "prices": {"mid move 1 s": 0.01, "mid move 10 s": 0.04},
    }
)
