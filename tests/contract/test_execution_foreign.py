"""Orders and positions that are not this stack's: shown, counted, left alone unless adopted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.execution_rig import Rig, executing
from support.execution_world import OTHER
from support.orders import TICKER, intent
from support.trading_command import given, trading

from ipc.messages import ActorOrder, OrderStatus, TradingEvent, TradingEventKind
from processes.execution.cash_comparison import CASH_LATCH

RECONCILED = "1"  # RL_RECONCILE_S
THEIRS = "ka-00000000-i9-BY"  # of another stack


def shown(rig: Rig) -> dict[str, ActorOrder]:
    """The newest word on every order that is not of this stack."""
    return {o.client_order_id: o for o in rig.journalled(ActorOrder) if o.intent_id is None}


@asynccontextmanager
async def both_open(rig: Rig) -> AsyncIterator[None]:
    """Both markets are open: the second opens when somebody follows the first."""
    async with rig.exchange.stream() as follower:
        await follower.subscribe("orderbook_delta", tickers=[TICKER, OTHER])
        for ticker in (TICKER, OTHER):
            await follower.until("orderbook_snapshot", market_ticker=ticker)
        yield


async def flattened(rig: Rig) -> Any:
    said = await trading(rig, "flatten", "--collar", "10", "--json")
    assert said.err == ""
    return said.code, said.facts


async def test_two_stacks_and_a_person_on_one_account(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"starts": False, "RL_RECONCILE_S": RECONCILED}
    async with executing(tmp_path, **facts) as rig, both_open(rig):
        rig.place("ka-old-BY", "bid", 4_100, 100)
        rig.place(THEIRS, "bid", 3_000, 200)
        rig.place("by-hand", "bid", 3_100, 300, OTHER)  # in a market that nobody follows
        rig.start()
        await rig.known()
        await rig.until(lambda: rig.resting("ka-old") == [], "the leftover is canceled")
        await rig.until(lambda: {THEIRS, "by-hand"} <= shown(rig).keys(), "they are shown")
        assert rig.resting("") == [THEIRS, "by-hand"]
        hand = shown(rig)["by-hand"]
        assert (hand.market_ticker, hand.remaining_count_e2) == (OTHER, 300)
        said = [known for action, known in rig.log.lines if action == "foreign_order"]
        assert sorted(str(known["client_order_id"]) for known in said) == ["by-hand", THEIRS]

        rig.place("bought-by-hand", "bid", 5_000, 500)
        await rig.holds(500)
        await rig.push(intent("s1", is_buy=False, yes_price_e4=4_000, count_e2=500))
        order = await rig.order(intent_id="s1", status=OrderStatus.REJECTED)
        assert order.reason == "sells_more_than_held"
        (numbers,) = (e.numbers for e in rig.journalled(TradingEvent, name=order.reason))
        assert (numbers["position_e2"], numbers["own_e2"], numbers["count_e2"]) == (500, 0, 500)
        await rig.push(intent("b1", yes_price_e4=5_000, count_e2=200))
        await rig.holds(700)

        report = await given(rig, "status")
        assert {line.client_order_id for line in report.foreign} == {THEIRS, "by-hand"}
        (held,) = report.positions
        assert (held.position_e2, held.foreign_e2) == (700, 500)
        code, ended = await flattened(rig)
        assert (code, ended["mode"]) == (0, "stopped")
        assert "1 of others are left alone" in ended["progress"]
        (left,) = ended["positions"]
        assert (left["position_contracts"], left["foreign_contracts"]) == ("5.00", "5.00")
        assert rig.rest_position()["position_e2"] == 500
        assert rig.resting("") == [THEIRS, "by-hand"]


async def test_after_a_restart_it_is_known_who_bought_what(tmp_path: Path) -> None:
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()
        await rig.push(intent("b1", yes_price_e4=5_000, count_e2=200))
        await rig.holds(200)
        rig.place("bought-by-hand", "bid", 5_000, 500)
        await rig.holds(700)
        await rig.stop()
        rig.start()
        await rig.known()
        (held,) = (await given(rig, "status")).positions
        assert (held.position_e2, held.foreign_e2) == (700, 500)


async def test_what_is_adopted_is_treated_as_our_own(tmp_path: Path) -> None:
    facts = {"RL_RECONCILE_S": RECONCILED, "RL_ADOPT": "true"}
    async with executing(tmp_path, **facts) as rig, both_open(rig):
        await rig.known()
        rig.place("by-hand", "bid", 3_100, 300, OTHER)
        rig.place("bought-by-hand", "bid", 5_000, 500)
        await rig.holds(500)
        code, said = await flattened(rig)
        assert (code, said["positions"], said["resting"]) == (0, [], [])
        assert rig.rest_position()["position_e2"] == 0
        assert rig.resting("") == []


async def test_money_that_goes_stops_all_until_somebody_resumes(tmp_path: Path) -> None:
    async with executing(tmp_path, RL_RECONCILE_S=RECONCILED) as rig:
        await rig.known()

        def cash(kind: TradingEventKind) -> list[TradingEvent]:
            return [e for e in rig.journalled(TradingEvent, name="cash") if e.kind is kind]

        await rig.push(intent("b1", yes_price_e4=5_000, count_e2=200))
        await rig.holds(200)
        await rig.until(lambda: "cash_compared" in rig.service._state.counters, "cash is compared")
        assert cash(TradingEventKind.DIFFERENCE) == []
        moved = {"from_subaccount": 0, "to_subaccount": 1}
        moved |= {"client_transfer_id": "6f1c2f38-5b1c-4c0e-9d5e-0f6a1a2b3c4d"}
        rig.exchange.call("POST", "/portfolio/subaccounts", {})
        body = moved | {"amount_cents": 12_345}
        sent = rig.exchange.call("POST", "/portfolio/subaccounts/transfer", body)
        assert sent.status_code == 200, sent.text
        latch = await rig.until(lambda: rig.journalled(TradingEvent, name=CASH_LATCH), "latched")
        numbers = latch[0].numbers
        assert (numbers["difference_e6"], numbers["rounds"]) == (-123_450_000, 2)
        await rig.push(intent("b2", yes_price_e4=4_500))
        order = await rig.order(intent_id="b2", status=OrderStatus.REJECTED)
        assert order.reason.startswith(f"{CASH_LATCH}: latched")
        await given(rig, "resume", "withdrawn by me")
        await rig.push(intent("b3", yes_price_e4=4_500))
        await rig.order(intent_id="b3", status=OrderStatus.RESTING)
