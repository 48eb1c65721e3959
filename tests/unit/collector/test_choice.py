"""Which markets are chosen, and why."""

from __future__ import annotations

import msgspec
import pytest
from support.listed_market import market

from processes.adapters.kalshi.schemas.rest_public import Market
from processes.collector.choice import MarketChoice, MarketRules, differences
from processes.runtime.config import ConfigError, load_settings

NOW_MS = 1_770_000_000_000  # 2026-02-02T02:40:00Z


class Refusals:
    """What was refused, in order."""

    def __init__(self) -> None:
        self.tickers: list[str] = []

    def __call__(self, ticker: str, error: str) -> None:
        assert error
        self.tickers.append(ticker)


def choice_of(markets: list[Market], followed: tuple[str, ...] = (), **wanted: str) -> MarketChoice:
    choice = MarketChoice(
        MarketRules.of(load_settings({k.upper(): v for k, v in wanted.items()}).books), Refusals()
    )
    choice.on_followed(followed)
    choice.begin_look()
    choice.on_page(markets, NOW_MS)
    choice.end_look(NOW_MS)
    return choice


def chosen(markets: list[Market], followed: tuple[str, ...] = (), **wanted: str) -> list[str]:
    choice = choice_of(markets, followed, **wanted)
    return [c.market.ticker for c in choice.choose(NOW_MS)]


MARKETS = [market("B", "5.00"), market("A", "5.00"), market("C", "9.50"), market("D")]


def test_the_most_traded_come_first_ties_by_ticker() -> None:
    assert chosen(MARKETS, orderbook_market_limit="3") == ["C", "A", "B"]
    assert chosen(MARKETS) == ["C", "A", "B", "D"]


def test_what_is_followed_keeps_its_place() -> None:
    assert chosen(MARKETS, ("D",), orderbook_market_limit="2") == ["D", "C"]
    assert chosen(MARKETS, ("gone",), orderbook_market_limit="2") == ["C", "A"]


def test_a_new_market_needs_the_volume_and_a_followed_one_does_not() -> None:
    assert chosen(MARKETS, rl_market_min_volume="9") == ["C"]
    assert chosen(MARKETS, ("D",), rl_market_min_volume="9") == ["D", "C"]
    assert chosen(MARKETS, rl_market_min_volume="10") == []


def test_a_series_and_a_pattern_narrow_it() -> None:
    markets = [market("KXA-1-T5"), market("KXA-1-T6"), market("KXAB-1-T5"), market("KXB-1")]
    assert chosen(markets, rl_market_series="KXA,KXB") == ["KXA-1-T5", "KXA-1-T6", "KXB-1"]
    assert chosen(markets, rl_market_patterns="*-T5,KXB-?") == ["KXA-1-T5", "KXAB-1-T5", "KXB-1"]
    assert chosen(markets, rl_market_series="KXA", rl_market_patterns="*T5") == ["KXA-1-T5"]


def test_the_time_to_close_narrows_it_and_may_order_it() -> None:
    soon, later = "2026-02-02T02:50:00Z", "2026-02-02T04:00:00Z"
    markets = [market("SOON", "1.00", close_time=soon), market("LATER", "9.00", close_time=later)]
    markets.append(market("FAR", "99.00"))
    assert chosen(markets, rl_market_order="close") == ["SOON", "LATER", "FAR"]
    assert chosen(markets, rl_market_min_minutes_left="11") == ["FAR", "LATER"]
    assert chosen(markets, rl_market_max_hours_left="2") == ["LATER", "SOON"]
    assert chosen(markets, ("SOON",), rl_market_min_minutes_left="11") == ["SOON", "FAR", "LATER"]


def test_the_reason_says_what_decided_and_stays_the_first_one() -> None:
    choice = choice_of([market("KXA-1", "5.00"), market("KXA-2", "7.00")], rl_market_series="KXA")
    first = {c.market.ticker: c.reason for c in choice.choose(NOW_MS)}
    assert first == {
        "KXA-2": "number 1 by volume, 7.00 contracts in 24 h, series KXA",
        "KXA-1": "number 2 by volume, 5.00 contracts in 24 h, series KXA",
    }
    choice.on_followed(("KXA-1", "KXA-2"))
    choice.put(market("KXA-1", "500.00"), NOW_MS)
    assert {c.market.ticker: c.reason for c in choice.choose(NOW_MS)} == first
    named = choice_of([market("X")], rl_market_mode="config", rl_market_tickers="X")
    assert [c.reason for c in named.choose(NOW_MS)] == ["named in RL_MARKET_TICKERS"]


def test_the_reason_of_what_an_earlier_discovery_chose_is_not_made_up() -> None:
    choice = choice_of([market("A", "5.00")], ("A",))
    assert [c.reason for c in choice.choose(NOW_MS)] == ["followed already"]


def test_texts_are_kept_as_long_as_real_ones_are() -> None:
    long = msgspec.structs.replace(market("A"), title="t" * 100_000, result="r" * 100_000)
    (chosen_one,) = choice_of([long]).choose(NOW_MS)
    assert chosen_one.market.title == "t" * 200
    assert len(msgspec.json.encode(chosen_one.market)) < 2_000


def test_those_that_lack_volume_least_are_asked_for_while_there_are_places() -> None:
    markets = [market("A", "5.00"), market("B", "8.00"), market("C", "9.00"), market("D")]
    more = {"rl_market_min_volume": "9", "orderbook_market_limit": "2"}
    choice = choice_of(markets, **more)
    assert choice.short_of_volume(2, NOW_MS) == ["B", "A"]
    choice.on_followed(("B",))
    assert choice.short_of_volume(2, NOW_MS) == ["A", "D"]
    choice.on_followed(("B", "C"))
    assert choice.short_of_volume(2, NOW_MS) == []
    assert choice_of(markets).short_of_volume(2, NOW_MS) == []


def test_rows_that_are_not_open_are_dropped_from_a_list_of_open_ones() -> None:
    markets = [market("A", status="closed"), market("B"), market("C", status="finalized")]
    choice = choice_of(markets)
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["B"]
    assert choice.closed_rows == 2


def test_a_market_is_not_followed_before_it_opens_and_not_after_its_close() -> None:
    choice = choice_of([])
    opens, closes = "2026-02-02T02:41:00Z", "2026-02-02T02:42:00Z"
    choice.put(market("A", status="initialized", open_time=opens, close_time=closes), NOW_MS)
    assert choice.choose(NOW_MS) == []
    assert choice.next_open_ms(NOW_MS) == NOW_MS + 60_000
    assert [c.market.ticker for c in choice.choose(NOW_MS + 60_000)] == ["A"]
    assert choice.choose(NOW_MS + 120_000) == []


def test_a_paused_market_is_kept_and_not_taken_up() -> None:
    choice = choice_of([market("A"), market("B")], ("A",))
    for ticker in ("A", "B"):
        choice.put(market(ticker, status="inactive"), NOW_MS)
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["A"]


def test_only_the_best_are_remembered_and_what_is_followed() -> None:
    markets = [market(f"M{n}", f"{n}.00") for n in range(5_000)]
    choice = MarketChoice(MarketRules(limit=2), Refusals())
    choice.on_followed(("M7",))
    choice.begin_look()
    for at in range(0, 5_000, 500):
        choice.on_page(markets[at : at + 500], NOW_MS)
        assert len(choice._listed or ()) <= 4_008, "nor while they are read"
    choice.end_look(NOW_MS)
    assert len(choice) < 1_100
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["M7", "M4999"]


def test_a_followed_market_that_the_list_lacks_is_asked_for_and_kept_meanwhile() -> None:
    choice = choice_of([market("A"), market("B")], ("A",))
    choice.begin_look()
    choice.on_page([market("B")], NOW_MS)
    assert choice.end_look(NOW_MS) == {"A"}
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["A", "B"]
    choice.drop("A")
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["B"]


def test_what_is_said_during_a_look_is_not_lost_with_its_end() -> None:
    choice = choice_of([market("A")])
    choice.begin_look()
    choice.on_page([market("A")], NOW_MS)
    choice.put(market("NEW", "3.00"), NOW_MS)
    choice.drop("A")
    choice.end_look(NOW_MS)
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["NEW"]


def test_a_look_that_was_abandoned_changes_nothing() -> None:
    choice = choice_of([market("A")])
    choice.begin_look()
    choice.on_page([market("B")], NOW_MS)
    choice.abandon_look()
    assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["A"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price_ranges": ()},
        {"close_time": "tomorrow"},
        {"open_time": ""},
    ],
)
def test_a_market_that_cannot_be_read_is_refused_once_and_takes_no_place(
    changes: dict[str, object],
) -> None:
    odd = msgspec.structs.replace(market("ODD", "99.00"), **changes)
    choice = choice_of([market("A"), odd], orderbook_market_limit="1")
    for _ in range(2):
        assert [c.market.ticker for c in choice.choose(NOW_MS)] == ["A"]
    assert choice._refuse.tickers == ["ODD"]  # type: ignore[attr-defined]


def test_a_volume_that_cannot_be_read_counts_as_none() -> None:
    assert chosen([market("A", "12.345"), market("B", "1.00")]) == ["B", "A"]


def test_news_of_a_new_market_matter_where_it_may_be_followed() -> None:
    wide = choice_of(MARKETS, ("C", "A"), orderbook_market_limit="2")
    assert wide.wants_news_of("C")
    assert not wide.wants_news_of("NEW")
    assert choice_of(MARKETS, ("C",), orderbook_market_limit="2").wants_news_of("NEW")
    narrow = choice_of(MARKETS, ("C",), orderbook_market_limit="1", rl_market_series="KXA")
    assert narrow.wants_news_of("KXA-2")
    assert not narrow.wants_news_of("KXB-2")


def test_only_what_matters_to_the_follower_is_a_difference() -> None:
    choice = choice_of([market("A", "5.00"), market("B", "4.00")])
    before = {c.market.ticker: c for c in choice.choose(NOW_MS)}
    choice.put(market("A", "6.00"), NOW_MS)
    choice.put(market("B", "4.00", close_time="2098-01-01T00:00:00Z"), NOW_MS)
    changed, dropped = differences(before, choice.choose(NOW_MS))
    assert ([c.market.ticker for c in changed], dropped) == (["B"], [])
    choice.drop("A")
    assert differences(before, choice.choose(NOW_MS))[1] == ["A"]


@pytest.mark.parametrize(("raw", "hundredths"), [("", 0), ("250", 25_000)])
def test_the_least_volume_is_set_in_contracts(raw: str, hundredths: int) -> None:
    assert load_settings({"RL_MARKET_MIN_VOLUME": raw}).books.min_volume_e2 == hundredths


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RL_MARKET_SERIES", "KXA,KX B"),
        ("RL_MARKET_PATTERNS", "KX[AB]*"),
        ("RL_MARKET_ORDER", "size"),
        ("RL_MARKET_MAX_HOURS_LEFT", "-1"),
        ("RL_DISCOVERY_FULL_S", "1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=.*allowed: "):
        load_settings({name: value})


def test_two_settings_that_leave_no_market_are_refused() -> None:
    left = {"RL_MARKET_MIN_MINUTES_LEFT": "90", "RL_MARKET_MAX_HOURS_LEFT": "1"}
    with pytest.raises(ConfigError, match="RL_MARKET_MAX_HOURS_LEFT=1 leaves no market"):
        load_settings(left)
