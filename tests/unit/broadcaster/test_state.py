"""What a new connection gets, and that nothing grows without a bound."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
from support import synthetic_stack as made
from support.trading import trading_status

from ipc import book as b
from ipc.messages import Doorbell, OrderStatus, ProcessStats, TradingState
from ipc.units import LINEAR_CENT
from processes.broadcaster.state import MIDS, RECENT, LatestState
from processes.broadcaster.views import book_data
from processes.broadcaster.wire import MessageType, OrderbookData, Update


def updates_of(updates: list[Update], kind: MessageType) -> list[dict[str, Any]]:
    return [json.loads(update.body) for update in updates if update.kind == kind]


def book(recv_ms: int, bid_e4: int = 4_700, ticker: str = "KX-A") -> OrderbookData:
    row = b.new_row(128, LINEAR_CENT)
    sides, prices = np.array([0, 1], np.uint8), np.array([bid_e4, 5_000], np.int64)
    b.apply_snapshot(row, sides, prices, np.array([100, 100], np.int64))
    row[b.STATE], row[b.RECV_NS] = b.LIVE, recv_ms * 1_000_000
    return book_data(ticker, row, 20, stale=False)


def test_a_fresh_state_has_nothing_to_send() -> None:
    assert LatestState().welcome() == []


def test_whether_the_exchange_trades_is_passed_on_and_kept() -> None:
    state = LatestState()
    halted = trading_status(
        TradingState.MAINTENANCE, until_ms=5, markets={"KX-A": TradingState.MARKET_PAUSED}
    )
    (update,) = updates_of(state.apply(halted), MessageType.TRADING)
    assert update == {
        "state": "maintenance",
        "until_ms": 5,
        "next_pause_ms": None,
        "markets": {"KX-A": "market_paused"},
    }
    state.apply(trading_status())
    assert [t["state"] for t in updates_of(state.welcome(), MessageType.TRADING)] == ["trading"]


def test_messages_for_others_are_not_passed_on() -> None:
    assert LatestState().apply(Doorbell(stream="x")) == []


def test_the_newest_of_each_process_market_and_account() -> None:
    state = LatestState()
    for counter in (1, 2):
        state.apply(ProcessStats(process="collector", mono_ns=1, counters={"frames": counter}))
        state.apply(made.session(status=f"status-{counter}"))
        state.apply(made.position(account_version=counter))
        state.apply(made.pnl(account_version=counter))
        state.book(book(counter))
    welcome = state.welcome()
    assert [s["counters"] for s in updates_of(welcome, MessageType.STATS)] == [{"frames": 2}]
    assert [s["status"] for s in updates_of(welcome, MessageType.SESSION)] == ["status-2"]
    assert [p["account_version"] for p in updates_of(welcome, MessageType.ACTOR_POSITION)] == [2]
    assert [p["account_version"] for p in updates_of(welcome, MessageType.ACTOR_PNL)] == [2]
    assert [o["recv_ms"] for o in updates_of(welcome, MessageType.ORDERBOOK_SNAPSHOT)] == [2]


def test_orders_decided_outlast_holds_and_come_in_their_order() -> None:
    state = LatestState()
    state.apply(made.action(event_no=1, decided_mono_ns=1))
    for i in range(2, 100):
        hold = made.action(
            action=0, action_name="HOLD", intent_id=None, event_no=i, decided_mono_ns=i
        )
        state.apply(hold)
    assert [a["event_no"] for a in updates_of(state.welcome(), MessageType.ACTOR_ACTION)] == [1, 99]


def test_actions_of_markets_that_left_the_session_are_forgotten() -> None:
    state = LatestState()
    state.apply(made.action("KX-OLD", action=0, action_name="HOLD"))
    state.apply(made.session(["KX-A"]))
    assert updates_of(state.welcome(), MessageType.ACTOR_ACTION) == []


def test_open_orders_stay_and_finished_ones_are_bounded() -> None:
    state = LatestState()
    for i in range(3 * RECENT):
        state.apply(made.order(client_order_id=f"open-{i}"))
        state.apply(made.order(client_order_id=f"done-{i}", status=OrderStatus.EXECUTED))
        state.apply(made.fill(trade_id=f"trade-{i}"))
    orders = updates_of(state.welcome(), MessageType.ACTOR_ORDER)
    assert sum(o["status"] == "resting" for o in orders) == 3 * RECENT
    assert sum(o["status"] == "executed" for o in orders) == RECENT
    assert len(updates_of(state.welcome(), MessageType.ACTOR_FILL)) == RECENT


def test_an_order_that_ends_is_no_longer_open() -> None:
    state = LatestState()
    state.apply(made.order())
    state.apply(made.order(status=OrderStatus.CANCELED, reason="expired"))
    assert [o["status"] for o in updates_of(state.welcome(), MessageType.ACTOR_ORDER)] == [
        "canceled"
    ]


def test_an_order_of_unknown_outcome_stays_open() -> None:
    state = LatestState()
    state.apply(made.order(status=OrderStatus.UNKNOWN))
    for i in range(2 * RECENT):
        state.apply(made.order(client_order_id=f"done-{i}", status=OrderStatus.EXECUTED))
    assert "unknown" in [o["status"] for o in updates_of(state.welcome(), MessageType.ACTOR_ORDER)]


def test_seeded_positions_never_replace_newer_ones() -> None:
    state = LatestState()
    state.apply(made.position(account_version=8))
    assert state.add_positions([made.position(account_version=8)]) == []
    assert state.add_positions([made.position(account_version=7)]) == []
    assert len(state.add_positions([made.position(account_version=9)])) == 1


def test_a_new_execution_starts_its_versions_over() -> None:
    state = LatestState()
    state.apply(made.position(account_version=8))
    state.apply(made.order())
    doubtful = updates_of(state.execution_restarted(), MessageType.ACTOR_ORDER)
    assert [(o["client_order_id"], o["status"]) for o in doubtful] == [("client-1", "unknown")]
    assert len(state.add_positions([made.position(account_version=1)])) == 1


def test_chart_has_a_point_a_second_and_comes_with_the_first_book_only() -> None:
    state = LatestState()
    for ms in (0, 400, 999, 1_000, 1_700, 2_500):
        live = state.book(book(made.MARKET_MS + ms))
        assert json.loads(live.body)["mids"] is None
    [first] = updates_of(state.welcome(), MessageType.ORDERBOOK_SNAPSHOT)
    assert [ms - made.MARKET_MS for ms, _ in first["mids"]] == [0, 1_000, 2_500]
    assert first["mids"][0][1] == "0.4850"


def test_chart_starts_over_when_market_time_goes_back() -> None:
    state = LatestState()
    for ms in (5_000, 6_000, 1_000):
        state.book(book(ms))
    [first] = updates_of(state.welcome(), MessageType.ORDERBOOK_SNAPSHOT)
    assert [ms for ms, _ in first["mids"]] == [1_000]


def test_chart_is_bounded_and_knows_no_stale_price() -> None:
    state = LatestState()
    for second in range(1, MIDS + 50):
        state.book(book(second * 1_000))
    state.book(msgspec.structs.replace(book(10_000_000), state="stale"))
    [first] = updates_of(state.welcome(), MessageType.ORDERBOOK_SNAPSHOT)
    assert len(first["mids"]) == MIDS
    assert first["mids"][-1][0] == (MIDS + 49) * 1_000


def test_books_that_leave_the_table_end_as_stale() -> None:
    state = LatestState()
    state.book(book(1))
    state.book(book(1, ticker="KX-B"))
    gone = updates_of(state.keep_books({"KX-B"}), MessageType.ORDERBOOK_SNAPSHOT)
    assert [(o["ticker"], o["state"]) for o in gone] == [("KX-A", "stale")]
    assert [o["ticker"] for o in updates_of(state.welcome(), MessageType.ORDERBOOK_SNAPSHOT)] == [
        "KX-B"
    ]


# Markets


def test_the_markets_of_the_actor_are_shown_with_what_speaks_for_each() -> None:
    state = LatestState()
    [data] = updates_of(state.apply(made.markets()), MessageType.ACTOR_MARKETS)
    assert (data["on_switch"], data["leaving"]) == ("flatten", ["KX-B"])
    chosen, left = data["markets"]
    assert (chosen["volume"], chosen["spread"], chosen["touch"]) == ("120.50", "0.0100", "10.00")
    assert (chosen["score"], chosen["since_ms"], chosen["bar"]) == (19_694, made.MARKET_MS, "")
    assert (left["spread"], left["since_ms"], left["bar"]) == (None, None, "one-sided")
    assert [(c["ticker"], c["entered"]) for c in data["changes"]] == [("KX-B", False)]
    state.apply(made.markets(leaving=()))
    assert [m["leaving"] for m in updates_of(state.welcome(), MessageType.ACTOR_MARKETS)] == [[]]


# Shadow

HOLD = {"action": 0, "action_name": "HOLD"}


def test_a_shadow_stands_beside_the_live_decision_on_the_same_question() -> None:
    state = LatestState()
    state.apply(made.action(event_no=41))
    state.apply(made.action("KX-B", event_no=41))
    [other] = updates_of(state.apply(made.shadow(event_no=41)), MessageType.ACTOR_SHADOW)
    assert (other["ticker"], other["action_name"]) == ("KX-A", "SELL_YES_LIMIT")
    assert (other["live_action"], other["live_action_name"]) == (1, "BUY_YES_LIMIT")
    assert (other["live_model"], other["live_model_hash"]) == ("default", "ab" * 16)
    assert other["agrees"] is False
    same = made.shadow("KX-B", action=1, action_name="BUY_YES_LIMIT")
    assert [s["agrees"] for s in updates_of(state.apply(same), MessageType.ACTOR_SHADOW)] == [True]


def test_what_the_live_model_did_elsewhere_is_not_compared() -> None:
    for question in ({"event_no": 42}, {"session_uid": "another"}):
        state = LatestState()
        state.apply(made.action(event_no=41))
        [data] = updates_of(state.apply(made.shadow(**question)), MessageType.ACTOR_SHADOW)
        assert [data[f"live_{name}"] for name in ("action", "action_name", "model")] == [None] * 3
        assert data["agrees"] is None


def test_a_batch_of_a_shadow_is_an_update_per_market() -> None:
    state = LatestState()
    batch = made.shadow().actions + made.shadow("KX-B").actions
    updates = state.apply(made.changed(made.shadow(), actions=batch))
    assert [s["ticker"] for s in updates_of(updates, MessageType.ACTOR_SHADOW)] == ["KX-A", "KX-B"]


def test_a_shadow_is_no_decision_of_the_actor() -> None:
    state = LatestState()
    state.apply(made.action(**HOLD))
    state.apply(made.shadow())
    assert [a["action"] for a in updates_of(state.welcome(), MessageType.ACTOR_ACTION)] == [0]


def test_a_new_connection_learns_who_decides_and_each_market_s_newest_shadow() -> None:
    state = LatestState()
    state.apply(made.models())
    for event_no in (1, 2):
        state.apply(made.action(event_no=event_no))
        state.apply(made.shadow(event_no=event_no))
        state.apply(made.shadow("KX-B", event_no=event_no))
    kinds = [update.kind for update in state.welcome()]
    assert kinds[-3:] == [
        MessageType.ACTOR_MODELS,
        MessageType.ACTOR_SHADOW,
        MessageType.ACTOR_SHADOW,
    ]
    shadows = updates_of(state.welcome(), MessageType.ACTOR_SHADOW)
    found = [(s["ticker"], s["event_no"], s["live_action"]) for s in shadows]
    assert found == [("KX-A", 2, 1), ("KX-B", 2, None)]
    [models] = updates_of(state.welcome(), MessageType.ACTOR_MODELS)
    assert (models["live"], models["shadow"]) == ("default", "onnx:shade")


def test_a_shadow_that_ended_is_forgotten() -> None:
    other = {"shadow": "onnx:next", "shadow_hash": "6b" * 8}
    for now in ({"shadow": None, "shadow_hash": None}, other):
        state = LatestState()
        state.apply(made.models())
        state.apply(made.shadow())
        state.apply(made.models())
        assert len(updates_of(state.welcome(), MessageType.ACTOR_SHADOW)) == 1, "it still shadows"
        state.apply(made.models(**now))
        assert updates_of(state.welcome(), MessageType.ACTOR_SHADOW) == []


def test_shadows_of_markets_that_left_the_session_are_forgotten() -> None:
    state = LatestState()
    state.apply(made.shadow("KX-OLD"))
    state.apply(made.session(["KX-A"]))
    assert updates_of(state.welcome(), MessageType.ACTOR_SHADOW) == []
