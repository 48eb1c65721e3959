"""Plots as inline SVG: no script, no font, no request. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec
import numpy as np

from models.evaluation.comparison import compare
from models.evaluation.outcomes import PolicyOutcome

__all__ = ["attribution_chart", "cumulative_chart", "difference_chart"]

WIDTH: Final = 860
LEFT: Final = 230  # of the plot itself; names stand before it
RIGHT: Final = 840
ROW: Final = 26
# Okabe and Ito, "Color Universal Design" (2008): distinguishable with every kind of colour vision.
COLOURS: Final = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888"),
)


class _Scale:
    """Dollars to horizontal pixels, zero included."""

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = min(0.0, *values), max(0.0, *values)
        margin = (self.high - self.low) * 0.1 or 1.0
        self._low, self._high = self.low - margin, self.high + margin

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return LEFT + share * (RIGHT - LEFT)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#999") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    label = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )


def _axis(scale: _Scale, bottom: float) -> list[str]:
    """A line at zero; below it zero and, where there is room, both ends of the values."""
    parts = [_line(scale(0), 4, scale(0), bottom), _text(scale(0), bottom + 14, "0 $", "middle")]
    for end in (scale.low, scale.high):
        if abs(scale(end) - scale(0)) > 60:
            parts.append(_text(scale(end), bottom + 14, f"{end:+.2f} $", "middle"))
    return parts


def difference_chart(candidate: PolicyOutcome, others: Sequence[PolicyOutcome]) -> str:
    """Intervals of the candidate's paired differences to each other policy, dollars per market."""
    pairs = [(o.policy, compare(candidate, o)) for o in others]
    scale = _Scale([x for _, d in pairs for x in d])
    bottom = 8 + ROW * len(pairs)
    parts = _axis(scale, bottom)
    for i, (name, d) in enumerate(pairs):
        y = 8 + ROW * (i + 0.5)
        parts += [
            _text(4, y + 4, f"minus {name}"),
            _line(scale(d.low), y, scale(d.high), y, "#000"),
        ]
        tip = escape(f"{name}: {d} dollars per market")
        parts.append(
            f'<circle cx="{scale(d.mean):.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[0]}">'
            f"<title>{tip}</title></circle>"
        )
    return _svg(bottom + 20, f"{candidate.policy}: paired differences", parts)


def attribution_chart(outcomes: Sequence[PolicyOutcome]) -> str:
    """Parts of the net of each policy as bars, dollars per market."""
    names = [n.removesuffix("_e6") for n in type(outcomes[0].attributed).__struct_fields__]
    bars = []
    for o in outcomes:
        parts = msgspec.structs.astuple(o.attributed)
        bars.append((o.policy, [part / len(o.net_e6) / 1e6 for part in parts]))
    scale = _Scale([v for _, values in bars for v in values])
    thick = 7  # a bar
    block = thick * len(names) + 12
    bottom = 8.0 + block * len(bars)
    drawn = _axis(scale, bottom)
    for i, (policy, values) in enumerate(bars):
        top = 8 + block * i
        drawn.append(_text(4, top + block / 2, policy))
        for j, value in enumerate(values):
            left, right = sorted((scale(0), scale(value)))
            tip = escape(f"{policy}, {names[j]}: {value:+.4f} dollars per market")
            drawn.append(
                f'<rect x="{left:.1f}" y="{top + thick * j:.1f}" width="{right - left:.1f}" '
                f'height="{thick - 1}" fill="{COLOURS[j]}"><title>{tip}</title></rect>'
            )
    drawn += _legend(names, bottom + 36)
    height = bottom + 36 + _legend_height(names)
    return _svg(height, "Where the profit or loss comes from", drawn)


def _legend(names: Sequence[str], top: float) -> list[str]:
    """Names beside their colours, three a row."""
    parts = []
    for i, name in enumerate(names):
        x, y = 4 + (i % 3) * 280, top + (i // 3) * 18
        colour = COLOURS[i % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="{y - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, y, name))
    return parts


def _legend_height(names: Sequence[str]) -> int:
    """What the rows of a legend take below the first one's baseline."""
    return 18 * (-(-len(names) // 3) - 1) + 8


def cumulative_chart(outcomes: Sequence[PolicyOutcome]) -> str:
    """Net summed from market to market, in the order of the recordings, dollars."""
    sums = [np.cumsum((0, *o.net_e6)) / 1e6 for o in outcomes]
    low, high = min(float(s.min()) for s in sums), max(float(s.max()) for s in sums)
    height, span = 260, (high - low) or 1.0

    def y_of(dollars: float) -> float:
        return 12 + (high - dollars) / span * (height - 24)

    left, last = 90, len(sums[0]) - 1
    parts = [_line(left, y_of(0), RIGHT, y_of(0))] if low <= 0 <= high else []
    parts += [_text(left - 6, y_of(v) + 4, f"{v:+.2f} $", "end") for v in {low, high}]
    for i, path in reversed(list(enumerate(sums))):  # the first on top
        points = " ".join(
            f"{left + (RIGHT - left) * k / last:.1f},{y_of(float(v)):.1f}"
            for k, v in enumerate(path)
        )
        tip = escape(f"{outcomes[i].policy}: {path[-1]:+.2f} dollars")
        parts.append(
            f'<polyline points="{points}" fill="none" stroke-width="2" '
            f'stroke="{COLOURS[i % len(COLOURS)]}"><title>{tip}</title></polyline>'
        )
    names = [o.policy for o in outcomes]
    parts += _legend(names, height + 20)
    below = 20 + _legend_height(names)
    return _svg(height + below, "Net profit or loss, summed over markets", parts)
