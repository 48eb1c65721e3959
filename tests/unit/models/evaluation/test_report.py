"""What is told: the verdict first, every market, and nothing that a name could break out of."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.outcomes import outcome_of

from models.evaluation.charts import attribution_chart, cumulative_chart, difference_chart
from models.evaluation.comparison import verdict
from models.evaluation.outcomes import PolicyOutcome
from models.evaluation.report import figures, html, markdown, terminal_lines, write_report
from models.evaluation.tables import tables_of

pytest.importorskip("jinja2")

NETS = [-1.0, 2.5, *[0.25] * 8]
OURS = outcome_of("onnx:mine", NETS)
OTHERS = [outcome_of("baseline:hold", [0.0] * 10), outcome_of("baseline:random", [-3.0] * 10)]
ALL = [OURS, *OTHERS]
SETTING = {"pricing": "passive", "seed": "7"}
EVIL = '<script>alert("1")</script>|&\'x'
EVIL_ALL = [outcome_of(EVIL, NETS, [EVIL] * 10), outcome_of("hold", [0.0] * 10, [EVIL] * 10)]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Elements that are open, attributes that were met, text by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for element, text in self.texts if element == tag]


def test_the_verdict_comes_first() -> None:
    says = verdict(OURS, OTHERS)
    assert "does not beat baseline:hold after fees" in says
    assert terminal_lines(ALL)[0] == says
    assert markdown(ALL, SETTING).splitlines()[0] == f"# {says}"
    page = Page(html(ALL, SETTING))
    assert page.texts[0] == ("title", says)
    body = [text for text in page.texts if text[0] not in ("title", "style")]
    assert body[0] == ("h1", says)
    assert next(iter(figures(ALL, SETTING))) == "verdict"


def test_whether_it_may_be_promoted_is_said() -> None:
    against = "It may not be promoted to trade live: minus baseline:hold it made"
    assert against in markdown(ALL, SETTING)
    assert against in html(ALL, SETTING)
    assert figures(ALL, SETTING)["may_be_promoted"] is False
    better = [outcome_of("good", [1.0] * 10), OTHERS[0]]
    assert "It may be promoted" in markdown(better, SETTING)
    assert figures(better, SETTING)["may_be_promoted"] is True


def test_markdown_and_html_show_the_same_cells() -> None:
    page, text = Page(html(ALL, SETTING)), markdown(ALL, SETTING)
    cells = [c for t in tables_of(ALL) for row in t.rows for c in row]
    assert page.of("td") == cells
    in_rows = [re.split(r" \| ", row[2:-2]) for row in text.splitlines() if row.startswith("| ")]
    flat = [c for row in in_rows for c in row]
    assert set(cells) <= set(flat)
    assert all(flat.count(c) >= cells.count(c) for c in set(cells))


def test_every_market_of_every_policy_is_in_the_tables() -> None:
    tables = {t.title: t for t in tables_of(ALL)}
    for o in ALL:
        rows = tables[f"Markets: {o.policy}"].rows
        assert [r[0] for r in rows] == list(o.tickers)
        assert [r[1] for r in rows] == [f"{e6 / 1e6:+.4f}" for e6 in o.net_e6]


def test_every_row_is_as_wide_as_its_header() -> None:
    for table in tables_of(ALL):
        assert {len(row) for row in table.rows} == {len(table.header)}, table.title


def test_the_figures_of_the_tables() -> None:
    tables = {t.title: t for t in tables_of(ALL)}
    assert tables["Policies"].rows[0] == (
        *("onnx:mine", "+0.3500", "0.00", "50.00", "0.25", "100.00", "50.0%"),
        *("10", "10", "1.5"),
    )
    assert tables["Where it comes from"].rows[0][2] == "+0.3500"
    maker = ("onnx:mine", "maker", "10.00", "-0.050", "-0.050", "-0.050")
    assert tables["What the market did after fills"].rows[0] == maker
    assert tables["Fills by place in the queue"].rows[:2] == (
        ("onnx:mine", "none", "2", "50.0%"),
        ("onnx:mine", "more", "1", "0.0%"),
    )
    assert tables["Actions"].rows[0] == ("onnx:mine", "100", "75.0%", "25.0%")


def test_the_page_needs_nothing_but_itself() -> None:
    text = html(ALL, SETTING)
    page = Page(text)
    assert page.open == []
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "action", "data", "srcset", "xlink:href"}
    assert not [n for n in names if n.startswith("on")]
    assert "<script" not in text
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert text.count("<svg") == 3


def test_names_are_text_and_nothing_else() -> None:
    text = html(EVIL_ALL, {EVIL: EVIL})
    assert "<script" not in text
    page = Page(text)
    assert page.open == []
    assert EVIL in page.of("td")
    assert f"{EVIL}: {EVIL}" in page.of("li")
    assert page.of("title")[0].startswith(EVIL)
    lines = [row for row in markdown(EVIL_ALL, SETTING).splitlines() if row.startswith("| ")]
    assert not [row for row in lines if "<script" in row]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in lines if "alert" in row}
    assert widths == {len(t.header) + 1 for t in tables_of(EVIL_ALL) if EVIL in t.rows[0][0]}


@pytest.mark.parametrize("outcomes", [ALL, EVIL_ALL, ALL[:2], [OTHERS[0], OTHERS[0]]])
def test_plots_are_well_formed_and_stay_in_their_frame(outcomes: list[PolicyOutcome]) -> None:
    plots = [difference_chart(outcomes[0], outcomes[1:]), attribution_chart(outcomes)]
    for svg in [*plots, cumulative_chart(outcomes)]:
        root = ElementTree.fromstring(svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root.iter():
            for name, value in element.attrib.items():
                if name in ("x", "x1", "x2", "cx"):
                    assert 0 <= float(value) <= width
                elif name in ("y", "y1", "y2", "cy"):
                    assert 0 <= float(value) <= height
            if points := element.attrib.get("points"):
                assert len(points.split()) == len(outcomes[0].net_e6) + 1


def test_figures_are_plain_data() -> None:
    told = json.loads(json.dumps(figures(ALL, SETTING)))
    assert told["outcomes"][0]["net_e6"] == list(OURS.net_e6)
    assert told["outcomes"][0]["attribution"][1]["move_e6"] == 2_500_000
    first = told["pairs"][0]
    assert (first["policy"], first["minus"]) == ("onnx:mine", "baseline:hold")
    assert told["setting"] == SETTING


def test_one_policy_alone_is_reported_without_a_comparison() -> None:
    assert "was not compared with anything" in markdown([OURS], SETTING)
    assert html([OURS], SETTING).count("<svg") == 2


def test_a_report_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match=r"pip install --constraint constraints.txt '\.\[report"):
        write_report(tmp_path / "out", ALL, SETTING)
    assert not (tmp_path / "out").exists()
