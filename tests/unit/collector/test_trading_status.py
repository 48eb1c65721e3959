"""Status, schedule and lifecycle as one answer, by a clock that the test moves."""

from __future__ import annotations

import msgspec
import pytest
from support.collector_rig import market

from ipc.messages import TradingState, TradingStatus
from processes.adapters.kalshi.rest.public import Schedule
from processes.adapters.kalshi.rest.trading_hours import TradingHours
from processes.adapters.kalshi.schemas.enums import LifecycleType, MarketStatus
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.adapters.kalshi.schemas.rest_public import ExchangeStatus, ShardStatus
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.collector.trading_status import GRACE_MS, KEEP_NS, TradingTracker

NOON = 1_790_000_000_000
HOUR = 3_600_000
LEAD = 2_000
TRADING, PAUSED = TradingState.TRADING, TradingState.PAUSED
MAINTENANCE, CLOSED = TradingState.MAINTENANCE, TradingState.CLOSED


def status(trading: bool = True, active: bool = True, **facts: object) -> ExchangeStatus:
    return ExchangeStatus(exchange_active=active, trading_active=trading, **facts)


class Tracked:
    """A tracker whose exchange answers at the moment that is looked at."""

    def __init__(self, *windows: tuple[int, int]) -> None:
        self.tracker = TradingTracker()
        self.tracker.on_schedule(TradingHours.of(Schedule((), windows)))
        self.said = status()

    def at(self, ms: int, *, asks: bool = True) -> TradingStatus:
        if asks:
            self.tracker.on_status(self.said, NOON + ms, 1)
        return self.tracker.at(NOON + ms, LEAD, 1)

    def states(self, *moments: int) -> list[TradingState]:
        return [self.at(ms).state for ms in moments]


def test_before_any_answer_nothing_is_known() -> None:
    assert TradingTracker().at(NOON, LEAD, 1).state is TradingState.UNKNOWN


def test_an_answer_counts_for_a_while_and_then_nothing_is_known() -> None:
    tracked = Tracked()
    answer = tracked.at(0)
    last_ns = answer.valid_until_mono_ns
    assert last_ns == 1 + KEEP_NS
    assert KEEP_NS == 30 * 1_000_000_000
    assert tracked.tracker.at(NOON, LEAD, last_ns).state is TRADING
    assert tracked.tracker.at(NOON, LEAD, last_ns + 1).state is TradingState.UNKNOWN
    assert answer.of("A", last_ns) is TRADING
    assert answer.of("A", last_ns + 1) is TradingState.UNKNOWN


def test_an_announced_pause_counts_from_shortly_before_it_until_it_is_over() -> None:
    tracked = Tracked((NOON + HOUR, NOON + 3 * HOUR))
    assert tracked.states(0, HOUR - LEAD - 1) == [TRADING, TRADING]
    before = tracked.at(HOUR - LEAD)  # the exchange still says that it trades
    assert (before.state, before.until_ms) == (MAINTENANCE, NOON + 3 * HOUR)
    assert tracked.states(HOUR + GRACE_MS - 1) == [MAINTENANCE]
    tracked.said = status(trading=False)
    assert tracked.states(HOUR + 1, 2 * HOUR, 3 * HOUR - 1) == [MAINTENANCE] * 3
    assert tracked.at(3 * HOUR).state is MAINTENANCE  # it takes longer than announced
    tracked.said = status()
    assert tracked.states(3 * HOUR + 1) == [TRADING]


def test_a_pause_that_ends_early_is_over() -> None:
    tracked = Tracked((NOON, NOON + HOUR))
    tracked.said = status(trading=False)
    assert tracked.states(1) == [MAINTENANCE]
    tracked.said = status()
    assert tracked.states(2) == [TRADING]


def test_a_replay_that_starts_over_meets_its_pause_again() -> None:
    tracked = Tracked((NOON + HOUR, NOON + 2 * HOUR))
    tracked.said = status(trading=False)
    assert tracked.states(HOUR + 1) == [MAINTENANCE]
    tracked.said = status()
    assert tracked.states(2 * HOUR + 1, 0, HOUR) == [TRADING, TRADING, MAINTENANCE]


def test_an_announced_pause_that_never_begins_is_passed_over() -> None:
    tracked = Tracked((NOON, NOON + HOUR))
    assert tracked.states(GRACE_MS - 1, GRACE_MS) == [MAINTENANCE, TRADING]


def test_a_pause_that_nobody_announced() -> None:
    tracked = Tracked((NOON + HOUR, NOON + 2 * HOUR))
    tracked.said = status(trading=False)
    paused = tracked.at(0)
    assert (paused.state, paused.until_ms, paused.takes_cancels) == (PAUSED, None, True)
    assert paused.next_pause_ms == NOON + HOUR


def test_an_exchange_that_takes_no_change_takes_no_cancel_and_says_until_when() -> None:
    tracked = Tracked()
    tracked.said = status(
        trading=False, active=False, exchange_estimated_resume_time="2030-01-01T00:00:00Z"
    )
    found = tracked.at(0)
    assert (found.state, found.takes_cancels) == (MAINTENANCE, False)
    assert found.until_ms == 1_893_456_000_000


@pytest.mark.parametrize("text", ["soon", "", "2001-01-01T00:00:00Z"])
def test_an_estimate_that_cannot_be_is_no_estimate(text: str) -> None:
    tracked = Tracked()
    tracked.said = status(trading=False, exchange_estimated_resume_time=text)
    assert tracked.at(0).until_ms is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (MarketStatus.INACTIVE, TradingState.MARKET_PAUSED),
        (MarketStatus.DISPUTED, TradingState.MARKET_PAUSED),
        (MarketStatus.AMENDED, TradingState.MARKET_PAUSED),
        (MarketStatus.UNKNOWN, TradingState.MARKET_PAUSED),
        (MarketStatus.ACTIVE, None),
        (MarketStatus.CLOSED, None),  # the book's own flag says so
    ],
)
def test_a_market_by_its_own_status(word: MarketStatus, state: TradingState | None) -> None:
    tracked = Tracked()
    tracked.tracker.on_markets([replaced(market("A"), status=word)])
    found = tracked.at(0).markets
    assert found == ({} if state is None else {"A": state})


def test_a_market_that_has_not_opened_opens_by_time() -> None:
    tracked = Tracked()
    unopened = replaced(market("A"), status=MarketStatus.INITIALIZED, open_ms=NOON + 10)
    tracked.tracker.on_markets([unopened])
    assert tracked.at(9).markets == {"A": CLOSED}
    assert tracked.at(10).markets == {}


def test_lifecycle_frames_pause_and_resume_a_market() -> None:
    tracked = Tracked()
    tracked.tracker.on_markets([market("A"), market("B")])
    tracked.tracker.on_lifecycle(lifecycle("A", LifecycleType.DEACTIVATED))
    tracked.tracker.on_lifecycle(lifecycle("C", LifecycleType.DEACTIVATED))  # not followed
    assert tracked.at(0).markets == {"A": TradingState.MARKET_PAUSED}
    tracked.tracker.on_lifecycle(lifecycle("A", LifecycleType.ACTIVATED))
    assert tracked.at(0).markets == {}
    tracked.tracker.on_lifecycle(lifecycle("B", LifecycleType.DEACTIVATED))
    tracked.tracker.forget(["B"])
    assert tracked.at(0).markets == {}


def test_a_shard_may_stand_still_alone_and_trade_alone() -> None:
    tracked = Tracked()
    tracked.tracker.on_markets([market("A"), replaced(market("B"), exchange_index=1)])
    tracked.said = status(exchange_index_statuses=(shard(0, True), shard(1, False)))
    assert tracked.at(0).markets == {"B": PAUSED}
    tracked.said = status(trading=False, exchange_index_statuses=(shard(0, False), shard(1, True)))
    found = tracked.at(0)
    assert (found.of("A", 1), found.of("B", 1)) == (PAUSED, TRADING)


def shard(index: int, trading: bool) -> ShardStatus:
    return ShardStatus(exchange_index=index, exchange_active=True, trading_active=trading)


def lifecycle(ticker: str, kind: LifecycleType) -> LifecycleMsg:
    return LifecycleMsg(market_ticker=ticker, event_type=kind)


def replaced(info: MarketInfo, **facts: object) -> MarketInfo:
    return msgspec.structs.replace(info, **facts)
