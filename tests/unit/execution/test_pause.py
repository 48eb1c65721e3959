"""A pause of the exchange: nothing is placed, and after it nothing before all is compared."""

from __future__ import annotations

from typing import Any

import pytest
from support.order_manager import ManagerRig, exchange_order
from support.orders import TICKER, intent
from support.trading import trading_status

from ipc.messages import ActorOrder, OrderStatus, TradingState
from processes.execution.account import Doubt
from processes.execution.orders import CancelOrder, CreateAccepted, OrderRefused, SendOrder

OTHER = "KXOTHER-1"


class Pausing(ManagerRig):
    """The manager, and a collector that says whether the exchange trades."""

    def says(self, state: TradingState = TradingState.TRADING, **facts: Any) -> bool:
        known: dict[str, Any] = {"checked_mono_ns": self.mono_ns} | facts
        return self.state.on_trading(trading_status(state, **known))

    def wants(self, number: int) -> None:
        """A new intent."""
        self.manager.on_intent(
            intent(intent_id=f"20260810T221500-0000000a-{number}", deadline_mono_ns=1 << 62),
            self.mono_ns,
        )

    def doubts(self, ticker: str = TICKER) -> set[Doubt]:
        return self.state.accounts[ticker].doubts

    def reasons(self) -> list[str]:
        return [m.reason for m in self.told(ActorOrder) if m.status is OrderStatus.REJECTED]


@pytest.fixture
def rig() -> Pausing:
    pausing = Pausing()
    pausing.known()
    return pausing


@pytest.mark.parametrize(
    "state", [s for s in TradingState if s is not TradingState.TRADING], ids=str
)
def test_nothing_is_placed_while_the_exchange_does_not_trade(
    rig: Pausing, state: TradingState
) -> None:
    assert rig.says(state)
    rig.wants(1)
    assert rig.requests(SendOrder) == []
    assert rig.reasons() == [f"not_trading_{state}"]
    assert rig.doubts() == {Doubt.PAUSE}


def test_an_account_that_only_waits_for_its_market_to_trade_is_not_in_doubt(rig: Pausing) -> None:
    rig.says(markets={TICKER: TradingState.MARKET_PAUSED})
    assert rig.doubts() == {Doubt.PAUSE}
    assert rig.state.doubtful_count() == 0
    rig.after(1).says()
    assert rig.state.doubtful_count() == 1, "it trades, and was not compared since"
    rig.after(1).says(markets={TICKER: TradingState.MARKET_PAUSED})
    rig.state.doubt(Doubt.CHANNEL)
    assert rig.state.doubtful_count() == 1


def test_nothing_is_placed_on_an_answer_that_is_too_old(rig: Pausing) -> None:
    rig.says(valid_until_mono_ns=rig.mono_ns)
    rig.after(0.001).wants(1)
    assert rig.reasons() == ["not_trading_unknown"]


def test_after_the_pause_only_a_whole_comparison_that_began_later_counts(rig: Pausing) -> None:
    rig.says(TradingState.MAINTENANCE)
    rig.after(1).compare(fills={TICKER: []})
    assert rig.doubts() == {Doubt.PAUSE}, "it is not over"
    asked_before = rig.mono_ns
    assert rig.after(1).says()
    rig.compare(fills={TICKER: []}, asked_mono_ns=asked_before)
    assert rig.doubts() == {Doubt.PAUSE}, "asked before the end"
    rig.after(1).compare()
    assert rig.doubts() == {Doubt.PAUSE}, "without the fills"
    assert rig.state.unread() == {TICKER}
    rig.wants(1)
    assert rig.reasons() == ["not_reconciled_since_the_pause"]
    rig.compare(fills={TICKER: []})
    assert rig.doubts() == set()
    rig.wants(2)
    assert len(rig.requests(SendOrder)) == 1


def test_the_same_answer_again_changes_nothing(rig: Pausing) -> None:
    assert not rig.after(1).says()
    assert rig.doubts() == set()


def test_a_market_that_is_paused_is_paused_alone(rig: Pausing) -> None:
    rig.known(OTHER)
    rig.says(markets={OTHER: TradingState.MARKET_PAUSED})
    assert (rig.doubts(), rig.doubts(OTHER)) == (set(), {Doubt.PAUSE})
    rig.wants(1)
    assert len(rig.requests(SendOrder)) == 1


def test_a_silence_of_the_collector_may_have_hidden_a_pause(rig: Pausing) -> None:
    rig.says(valid_until_mono_ns=rig.mono_ns)
    rig.after(60)
    assert rig.says()
    assert rig.doubts() == {Doubt.PAUSE}


def test_a_refusal_for_a_pause_counts_until_the_exchange_is_asked_again(rig: Pausing) -> None:
    rig.wants(1)
    (sent,) = rig.requests(SendOrder)
    name = sent.order.client_order_id
    rig.after(1).state.on_fact(name, OrderRefused("trading_paused", by_exchange=True))
    assert rig.doubts() == {Doubt.PAUSE}
    rig.wants(2)
    assert rig.reasons()[-1] == "not_trading_paused"
    rig.says(checked_mono_ns=rig.mono_ns - 1)  # asked before the refusal
    rig.wants(3)
    assert rig.reasons()[-1] == "not_trading_paused"
    assert rig.after(1).says(), "then everything is compared at once"
    rig.after(1).compare(fills={TICKER: []})
    rig.wants(4)
    assert len(rig.requests(SendOrder)) == 1


def test_refusals_for_pauses_are_not_held_against_the_market(rig: Pausing) -> None:
    for number in range(1, 4):
        rig.wants(number)
        (sent,) = rig.requests(SendOrder)
        refused = OrderRefused("exchange_paused", by_exchange=True)
        rig.state.on_fact(sent.order.client_order_id, refused)
        rig.after(0.001).says()
        rig.after(0.001).compare(fills={TICKER: []})
    rig.wants(4)
    assert len(rig.requests(SendOrder)) == 1
    assert not any(box.warnings for box in rig.history)


def test_a_market_that_is_followed_in_a_pause_is_in_doubt_like_the_others(rig: Pausing) -> None:
    rig.says(TradingState.PAUSED)
    rig.after(1).known(OTHER)
    assert rig.doubts(OTHER) == {Doubt.PAUSE}


def test_no_cancel_is_sent_while_the_exchange_takes_none(rig: Pausing) -> None:
    rig.wants(1)
    (sent,) = rig.requests(SendOrder)
    name = sent.order.client_order_id
    rig.state.on_fact(name, CreateAccepted("e1", 0, sent.order.initial_e2, rig.mono_ns))
    order = rig.state.orders.get(name)
    assert order is not None
    rig.says(TradingState.MAINTENANCE, takes_cancels=False)
    assert not rig.state.cancel(order)
    assert rig.requests(CancelOrder) == []
    rig.says(TradingState.PAUSED)
    assert rig.state.cancel(order)
    assert len(rig.requests(CancelOrder)) == 1


def test_what_the_pause_canceled_is_known_from_the_exchange(rig: Pausing) -> None:
    rig.wants(1)
    (sent,) = rig.requests(SendOrder)
    name = sent.order.client_order_id
    rig.state.on_fact(name, CreateAccepted("e1", 0, sent.order.initial_e2, rig.mono_ns))
    rig.says(TradingState.MAINTENANCE)
    order = rig.state.orders.get(name)
    assert order is not None
    rig.state.on_order(exchange_order(order, OrderStatus.CANCELED, remaining_count_e2=0))
    assert rig.state.orders.open_count == 0
