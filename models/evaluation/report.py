"""A report: lines for the terminal, figures for programs, Markdown, and one HTML file.

The first line of each is the verdict on the first policy; where fees had to be assumed, the next
one says so. The HTML file needs no other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from models.evaluation.charts import attribution_chart, cumulative_chart, difference_chart
from models.evaluation.comparison import beats_all, differences, verdict
from models.evaluation.outcomes import PolicyOutcome
from models.evaluation.tables import Table, tables_of

__all__ = ["FEES", "figures", "html", "markdown", "terminal_lines", "write_report"]

MARKDOWN_FILE: Final = "report.md"
HTML_FILE: Final = "report.html"
FEES: Final = "fees"  # of a setting: how well they are known
NO_SETTING: Final[Mapping[str, str]] = {}
TEMPLATE: Final = "report.html.jinja"


def figures(outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]) -> dict[str, Any]:
    """Everything as plain data, for `--json`."""
    candidate, others = outcomes[0], outcomes[1:]
    promoted, against = _promotable(outcomes, setting)
    return {
        "verdict": verdict(candidate, others),
        "may_be_promoted": promoted,
        "against_promotion": against,
        "setting": dict(setting),
        "outcomes": [msgspec.to_builtins(o) for o in outcomes],
        "pairs": [
            {"policy": policy, "minus": other, "mean_low_high_dollars": list(difference)}
            for policy, other, difference in differences(outcomes)
        ],
    }


def _fees_assumed(setting: Mapping[str, str]) -> list[str]:
    """The line about fees that are not known; none when they are."""
    note = setting.get(FEES, "")
    return [note] if note.startswith("fees assumed") else []


def terminal_lines(
    outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str] = NO_SETTING
) -> list[str]:
    """The verdict, which fees are assumed if any are, then a line per policy and per pair."""
    lines = [verdict(outcomes[0], outcomes[1:]), *_fees_assumed(setting)]
    for o in outcomes:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in o.action_shares.items())
        lines.append(
            f"{o.policy}: net {o.mean_dollars:+.4f} dollars per market over {len(o.net_e6)}, "
            f"fees {sum(o.fees_e6) / 1e6:.2f}, {sum(o.filled_e2) / 100:.2f} contracts in "
            f"{o.taker_fills} taker and {o.maker_fills} maker fills; {shares}"
        )
    return lines + [f"{policy} - {other}: {d}" for policy, other, d in differences(outcomes)]


def _cell(text: str) -> str:
    """A text as a Markdown table cell may hold it."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())


def _markdown_table(table: Table) -> list[str]:
    aligned = ["---", *("---:" for _ in table.header[1:])]
    rows = [table.header, *table.rows]
    lines = [f"| {' | '.join(_cell(text) for text in row)} |" for row in rows]
    lines.insert(1, f"| {' | '.join(aligned)} |")
    note = [table.note, ""] if table.note else []
    return ["", f"## {_cell(table.title)}", "", *note, *lines]


def _promotable(
    outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]
) -> tuple[bool, list[str]]:
    """Whether the candidate may be promoted, and what speaks against it."""
    promoted, against = beats_all(outcomes[0], outcomes[1:])
    assumed = _fees_assumed(setting)
    return promoted and not assumed, [*against, *assumed]


def _promotion(outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]) -> str:
    promoted, against = _promotable(outcomes, setting)
    if promoted:
        return "It may be promoted to trade live, if these are markets that it did not learn from."
    return f"It may not be promoted to trade live: {'; '.join(against)}."


def markdown(outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]) -> str:
    """The report as Markdown; its first line is the verdict."""
    lines = [f"# {_cell(verdict(outcomes[0], outcomes[1:]))}", ""]
    lines += [text for line in _fees_assumed(setting) for text in (f"**{_cell(line)}**", "")]
    lines += [_cell(_promotion(outcomes, setting)), ""]
    lines += [f"- {name}: {_cell(value)}" for name, value in setting.items()]
    for table in tables_of(outcomes):
        lines += _markdown_table(table)
    return "\n".join(lines) + "\n"


def _plots(outcomes: Sequence[PolicyOutcome]) -> list[tuple[str, str]]:
    """(title, SVG)."""
    candidate, others = outcomes[0], outcomes[1:]
    plots = (
        [("Differences, dollars per market", difference_chart(candidate, others))] if others else []
    )
    plots.append(("Where it comes from, dollars per market", attribution_chart(outcomes)))
    plots.append(("Net dollars, summed over markets", cumulative_chart(outcomes)))
    return plots


def html(outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]) -> str:
    """The report as one HTML file.

    Raises:
        ValueError: jinja2 is not installed.
    """
    try:
        import jinja2
        import markupsafe
    except ImportError:
        raise ValueError(
            "the HTML report needs jinja2, which is not installed; "
            "allowed: pip install --constraint constraints.txt '.[report]'"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        verdict=verdict(outcomes[0], outcomes[1:]),
        fees_assumed=_fees_assumed(setting),
        promotion=_promotion(outcomes, setting),
        setting=setting,
        plots=[(title, markupsafe.Markup(svg)) for title, svg in _plots(outcomes)],
        tables=tables_of(outcomes),
    )


def write_report(
    folder: Path, outcomes: Sequence[PolicyOutcome], setting: Mapping[str, str]
) -> None:
    """Write `report.md` and `report.html`; both or, when one cannot be made, neither."""
    texts = {MARKDOWN_FILE: markdown(outcomes, setting), HTML_FILE: html(outcomes, setting)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
