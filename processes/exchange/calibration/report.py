"""Our figures beside the real ones, as lines of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from processes.exchange.calibration.targets import Target

__all__ = ["lines", "missed"]

Figures = Mapping[str, float]


def lines(
    targets: tuple[Target, ...], ours: Figures, recorded: Figures | None = None
) -> Iterator[str]:
    """A table; `recorded` is one more column, of recordings that were read just now."""
    heads = ["", "figure", "synthetic", "real", *(["recorded"] if recorded else []), "ratio", ""]
    yield f"| {' | '.join(heads)} |"
    yield "|" + " --- |" * len(heads)
    group = ""
    for target in targets:
        value = ours.get(target.name)
        cells = [target.group if target.group != group else "", target.name]
        cells += [_shown(value), _real(target)]
        if recorded:
            cells.append(_shown(recorded.get(target.name)))
        cells += _verdict(target, value)
        group = target.group
        yield f"| {' | '.join(cells)} |"


def missed(targets: tuple[Target, ...], ours: Figures) -> list[str]:
    """The names of figures that are not near."""
    return [t.name for t in targets if t.name not in ours or not t.is_near(ours[t.name])]


def _verdict(target: Target, value: float | None) -> list[str]:
    if value is None:
        return ["-", "MISS"]
    return [f"{target.ratio(value):.2f}", "ok" if target.is_near(value) else "MISS"]


def _real(target: Target) -> str:
    if target.low == target.high:
        return _shown(target.low)
    return f"{_shown(target.low)} to {_shown(target.high)}"


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
