"""What markets paid, as a table: what the exchange says, in order -> what is journalled of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from support.collector_rig import MS, START_NS, CollectorRig
from support.collector_rig import market as followed
from support.frames import lifecycle

from ipc.messages import MarketResult
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.enums import MarketStatus, Result
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.collector import results as results_module
from processes.collector.results import FIRST_PAUSE_NS, LONGEST_PAUSE_NS

CLOSE_MS = 1_790_000_900_000
CLOSE_NS = CLOSE_MS * MS
AT_S = 1_790_000_901
SETTLED = "2026-09-21T14:30:00Z"
SETTLED_MS = 1_790_001_000_000
Told = tuple[str, int | None, int | None, int | None]
Step = Callable[[CollectorRig, int], None]

YES, NO = ("yes", 10_000), ("no", 0)


@pytest.fixture
def rig(tmp_path) -> Iterator[CollectorRig]:
    with CollectorRig(tmp_path) as rig:
        rig.results.expect("A", CLOSE_MS)
        yield rig


def told(rig: CollectorRig) -> list[Told]:
    words = [m for m in rig.messages() if isinstance(m, MarketResult)]
    return [(w.result, w.yes_value_e4, w.determined_ms, w.settled_ms) for w in words]


def determined(result: str | None, value: str | None, ticker: str = "A") -> Step:
    def step(rig: CollectorRig, now_ns: int) -> None:
        rig.now_ns = now_ns
        more = {"result": Result(result) if result is not None else None}
        rig.take(
            lifecycle(ticker, "determined", settlement_value=value, determination_ts=AT_S, **more)
        )

    return step


def settled(rig: CollectorRig, now_ns: int) -> None:
    rig.now_ns = now_ns
    rig.take(lifecycle("A", "settled", settled_ts=AT_S + 99))


def market(status: str, result: str = "", value: str | None = None) -> Market:
    return Market(
        ticker="A",
        event_ticker="E",
        status=MarketStatus(status),
        open_time=SETTLED,
        close_time=SETTLED,
        price_ranges=(),
        result=Result(result),
        settlement_value_dollars=value,
        settlement_ts=SETTLED if status == "finalized" else None,
    )


def read(status: str, result: str = "", value: str | None = None, late_ns: int = 0) -> Step:
    """The exchange's list, asked so long ago."""

    def step(rig: CollectorRig, now_ns: int) -> None:
        rig.results.on_market(market(status, result, value), now_ns - late_ns, now_ns)

    return step


DETERMINED: Told = (*YES, AT_S * 1_000, None)

TABLE: list[tuple[list[Step], list[Told]]] = [
    # heard
    ([determined("yes", "1.0000")], [DETERMINED]),
    ([determined("no", "0.0000")], [(*NO, AT_S * 1_000, None)]),
    ([determined("scalar", "0.3333")], [("scalar", 3_333, AT_S * 1_000, None)]),
    ([determined("void", "0.5000")], [("unknown", 5_000, AT_S * 1_000, None)]),
    ([determined("yes", "1.0000", "OTHER")], []),
    ([settled], []),
    ([determined("yes", None)], [("yes", None, AT_S * 1_000, None)]),  # no value is made up
    ([determined("yes", "1.0000"), determined("yes", "1.0000")], [DETERMINED]),
    ([determined("yes", "1.0000"), settled], [DETERMINED]),
    # asked for
    ([read("closed")], []),
    ([read("active", "yes", "1.0000")], []),
    ([read("determined", "no", "0.0000")], [(*NO, None, None)]),
    ([read("finalized", "scalar", "0.2500")], [("scalar", 2_500, None, SETTLED_MS)]),
    ([read("finalized")], [("", None, None, SETTLED_MS)]),  # paid out, and nobody says what
    # both
    (
        [determined("yes", "1.0000"), settled, read("finalized", "yes", "1.0000")],
        [DETERMINED, (*YES, AT_S * 1_000, SETTLED_MS)],
    ),
    # corrected, disputed, withdrawn
    (
        [determined("yes", "1.0000"), read("amended", "no", "0.0000")],
        [DETERMINED, (*NO, None, None)],
    ),
    (
        [determined("yes", "1.0000"), determined("no", "0.0000")],
        [DETERMINED, (*NO, AT_S * 1_000, None)],
    ),
    ([determined("yes", "1.0000"), read("disputed", "yes", "1.0000")], [DETERMINED]),
    (
        [determined("yes", "1.0000"), read("disputed"), read("finalized", "no", "0.0000")],
        [DETERMINED, ("", None, None, None), (*NO, None, SETTLED_MS)],
    ),
    # reads lag, and a replay opens its markets again
    ([determined("yes", "1.0000"), read("closed", late_ns=3 * MS)], [DETERMINED]),
    ([determined("yes", "1.0000"), read("active")], [DETERMINED]),
    # after the last word
    ([read("finalized", "yes", "1.0000"), determined("no", "0.0000")], [(*YES, None, SETTLED_MS)]),
]


@pytest.mark.parametrize(("steps", "words"), TABLE)
def test_the_table(rig: CollectorRig, steps: list[Step], words: list[Told]) -> None:
    for n, step in enumerate(steps):
        step(rig, CLOSE_NS + n * MS)
    assert told(rig) == words


def test_a_market_whose_row_another_has_taken_still_gets_its_result(tmp_path) -> None:
    with CollectorRig(tmp_path, rows=1) as rig:
        rig.follow("A")
        rig.results.expect("A", CLOSE_MS)
        rig.now_ns = CLOSE_NS + 61_000 * MS
        assert rig.markets.follow([], rig.now_ns).removed == ("A",)
        rig.markets.follow([followed("C", CLOSE_MS + 900_000)], rig.now_ns)
        assert rig.markets.tickers == ("C",)  # in the only row there is
        determined("yes", "1.0000")(rig, rig.now_ns)
        (word,) = [m for m in rig.messages() if isinstance(m, MarketResult)]
        assert (word.market_ticker, word.yes_value_e4, word.reported_ns) == (
            "A",
            10_000,
            rig.now_ns,
        )


def test_a_bad_amount_is_counted_and_asked_for(rig: CollectorRig) -> None:
    determined("yes", "much")(rig, CLOSE_NS)
    assert told(rig) == []
    assert rig.feed.counts["malformed_amounts"] == 1
    assert rig.results.due(CLOSE_NS + FIRST_PAUSE_NS, 9) == ["A"]
    with pytest.raises(WireError, match="A: price 'much'"):
        rig.results.on_market(market("finalized", "yes", "much"), CLOSE_NS, CLOSE_NS)


def test_nothing_is_asked_before_the_close_and_less_and_less_often_after_it(
    rig: CollectorRig,
) -> None:
    results, now_ns, pauses = rig.results, CLOSE_NS, []
    assert results.due(START_NS, 9) == results.due(CLOSE_NS - 1, 9) == []
    for _ in range(12):
        assert results.due(now_ns, 9) == ["A"]
        read("closed")(rig, now_ns)
        asked_ns = now_ns
        while not results.due(now_ns, 9):
            now_ns += FIRST_PAUSE_NS
        pauses.append(now_ns - asked_ns)
    assert pauses[:4] == [FIRST_PAUSE_NS * 2**n for n in range(4)]
    assert pauses[-1] == LONGEST_PAUSE_NS
    settled(rig, now_ns)  # it is worth asking soon
    assert results.due(now_ns, 9) == []
    assert results.due(now_ns + FIRST_PAUSE_NS, 9) == ["A"]
    read("finalized", "yes", "1.0000")(rig, now_ns + FIRST_PAUSE_NS)
    assert (len(results), results.due(now_ns + LONGEST_PAUSE_NS, 9)) == (0, [])


def test_a_close_that_moves_moves_the_question(rig: CollectorRig) -> None:
    rig.results.expect("A", CLOSE_MS + 60_000)
    assert rig.results.due(CLOSE_NS, 9) == []
    assert rig.results.due(CLOSE_NS + 60_000 * MS, 9) == ["A"]


def test_a_market_of_an_earlier_run_is_asked_about_at_once_and_then_after_its_close(
    rig: CollectorRig,
) -> None:
    rig.results.expect("B", 0)
    assert rig.results.due(START_NS, 9) == ["B"]
    living = msgspec.structs.replace(market("active"), ticker="B")
    rig.results.on_market(living, START_NS, START_NS)
    assert rig.results.due(SETTLED_MS * MS - 1, 9) == ["A"]
    assert rig.results.due(SETTLED_MS * MS, 9) == ["A", "B"]


def test_what_an_earlier_run_heard_is_not_said_twice(rig: CollectorRig) -> None:
    heard = MarketResult("B", "yes", 10_000, 7, None, CLOSE_NS)
    rig.results.expect("B", CLOSE_MS, heard)
    lately = msgspec.structs.replace(market("determined", "yes", "1.0000"), ticker="B")
    rig.results.on_market(lately, CLOSE_NS, CLOSE_NS + 1)
    assert told(rig) == []


def test_those_that_have_waited_longest_are_asked_first_and_too_many_are_given_up(
    rig: CollectorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "MOST", 3)
    for n, ticker in enumerate("DCB"):
        rig.results.expect(ticker, CLOSE_MS + n)
    assert (len(rig.results), rig.results.given_up) == (3, 1)
    assert rig.results.due(CLOSE_NS + 9 * MS, 2) == ["D", "C"]
