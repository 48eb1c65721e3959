"""The tables of a report, made once: Markdown and HTML show the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from models.evaluation.attribution import Attribution
from models.evaluation.comparison import differences
from models.evaluation.executions import HORIZONS_S, Markout
from models.evaluation.outcomes import PolicyOutcome

__all__ = ["Table", "tables_of"]

UNKNOWN: Final = "–"
PARTS: Final = tuple(name.removesuffix("_e6") for name in Attribution.__struct_fields__)


class Table(msgspec.Struct, frozen=True):
    """A table of text; the first column names the row, the others are figures."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _dollars(amount_e6: float) -> str:
    return f"{amount_e6 / 1e6:+.4f}"


def _known(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _policies(outcomes: Sequence[PolicyOutcome]) -> Table:
    header = (
        *("policy", "net $ per market", "fees $", "traded $", "mean drawdown $", "contracts"),
        *("filled of ordered", "taker fills", "maker fills", "held s"),
    )
    rows = [
        (
            o.policy,
            f"{o.mean_dollars:+.4f}",
            f"{sum(o.fees_e6) / 1e6:.2f}",
            f"{sum(o.turnover_e6) / 1e6:.2f}",
            f"{o.mean_drawdown_dollars:.2f}",
            f"{sum(o.filled_e2) / 100:.2f}",
            _known(o.fill_ratio, ".1%"),
            str(o.taker_fills),
            str(o.maker_fills),
            _known(o.holding_seconds, ".1f"),
        )
        for o in outcomes
    ]
    note = (
        "Net is after fees, settlement included. Drawdown is the deepest fall of the liquidation "
        "value from its peak within a market. Held is the mean time from opening a contract to "
        "its sale or its market's end."
    )
    return Table("Policies", note, header, tuple(rows))


def _pairs(outcomes: Sequence[PolicyOutcome]) -> Table:
    rows = [
        (policy, other, f"{d.mean:+.4f}", f"{d.low:+.4f}", f"{d.high:+.4f}")
        for policy, other, d in differences(outcomes)
    ]
    note = "Dollars per market on the same markets; 95 % bootstrap over markets."
    return Table("Pairs", note, ("policy", "minus", "mean", "low", "high"), tuple(rows))


def _parts(attribution: Attribution, markets: int = 1) -> tuple[str, ...]:
    return tuple(_dollars(part / markets) for part in msgspec.structs.astuple(attribution))


def _attribution(outcomes: Sequence[PolicyOutcome]) -> Table:
    rows = [
        (o.policy, *_parts(o.attributed, len(o.net_e6)), f"{o.mean_dollars:+.4f}") for o in outcomes
    ]
    note = (
        "Dollars per market; the parts sum to net. Spread: the mid that fills met less their "
        "price. Move: the mid from there to the end. Settlement: what the position paid, or could "
        "be closed at where the result is not known, less the last mid. Unknown: fills that met "
        "no mid."
    )
    return Table("Where it comes from", note, ("policy", *PARTS, "net"), tuple(rows))


def _actions(outcomes: Sequence[PolicyOutcome]) -> Table:
    names = tuple(outcomes[0].action_shares)
    rows = [
        (o.policy, str(o.decisions), *(f"{o.action_shares[n]:.1%}" for n in names))
        for o in outcomes
    ]
    return Table("Actions", "", ("policy", "decisions", *names), tuple(rows))


def _markout_rows(outcome: PolicyOutcome) -> list[tuple[str, ...]]:
    rows = []
    for liquidity in ("maker", "taker"):
        own: list[Markout] = [m for m in outcome.markouts if m.liquidity == liquidity]
        if any(m.filled_e2 for m in own):
            cents = [_known(m.cents, "+.3f") for m in own]
            rows.append((outcome.policy, liquidity, f"{own[0].filled_e2 / 100:.2f}", *cents))
    return rows


def _markouts(outcomes: Sequence[PolicyOutcome]) -> Table:
    header = (
        *("policy", "fills", "contracts"),
        *(f"{s} s later, cents" for s in HORIZONS_S),
    )
    note = (
        "Move of the mid after a fill in the direction of the fill, per contract. Negative after "
        "maker fills is adverse selection: those who met our orders knew better."
    )
    rows = [row for o in outcomes for row in _markout_rows(o)]
    return Table("What the market did after fills", note, header, tuple(rows))


def _queue(outcomes: Sequence[PolicyOutcome]) -> Table:
    rows = []
    for o in outcomes:
        for share in o.queue:
            edge = share.ahead_up_to_e2
            ahead = "more" if edge is None else f"up to {edge // 100}" if edge else "none"
            filled = share.filled_e2 / share.rested_e2 if share.rested_e2 else None
            if share.orders:
                rows.append((o.policy, ahead, str(share.orders), _known(filled, ".1%")))
    note = "Of the contracts left to rest behind so many others, the share that was filled."
    header = ("policy", "contracts ahead", "orders", "filled")
    return Table("Fills by place in the queue", note, header, tuple(rows))


def _markets(outcome: PolicyOutcome) -> Table:
    header = (
        *("market", "net $", *(f"{p} $" for p in PARTS), "drawdown $"),
        *("traded $", "contracts", "ordered", "held s"),
    )
    rows = [
        (
            ticker,
            _dollars(outcome.net_e6[i]),
            *_parts(outcome.attribution[i]),
            f"{outcome.drawdown_e6[i] / 1e6:.2f}",
            f"{outcome.turnover_e6[i] / 1e6:.2f}",
            f"{outcome.filled_e2[i] / 100:.2f}",
            f"{outcome.ordered_e2[i] / 100:.2f}",
            _known(outcome.holding[i].seconds, ".1f"),
        )
        for i, ticker in enumerate(outcome.tickers)
    ]
    return Table(f"Markets: {outcome.policy}", "", header, tuple(rows))


def tables_of(outcomes: Sequence[PolicyOutcome]) -> list[Table]:
    """Every table that has rows, the most telling first."""
    makers = (_policies, _pairs, _attribution, _markouts, _queue, _actions)
    tables = [make(outcomes) for make in makers]
    return [t for t in [*tables, *(_markets(o) for o in outcomes)] if t.rows]
