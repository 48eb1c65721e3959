"""Execution in a subaccount: what other accounts of the same user do is not ours."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from support.execution_rig import Rig, executing
from support.orders import TICKER, intent

from ipc.messages import ActorFill, OrderStatus
from processes.runtime.config import ConfigError

pytestmark = pytest.mark.slow

CENTS = 50_000


def fund(rig: Rig) -> None:
    """Open subaccount 1 and move money there."""
    made = rig.exchange.call("POST", "/portfolio/subaccounts", {})
    assert made.json() == {"subaccount_number": 1}
    body = {"from_subaccount": 0, "to_subaccount": 1, "amount_cents": CENTS}
    body["client_transfer_id"] = str(uuid.uuid4())
    assert rig.exchange.call("POST", "/portfolio/subaccounts/transfer", body).status_code == 200


def place_in(rig: Rig, subaccount: int, name: str, price: str) -> dict[str, Any]:
    """An order of the same user's, past execution."""
    body = {"ticker": TICKER, "client_order_id": name, "side": "bid", "count": "3.00"}
    body |= {"price": price, "time_in_force": "good_till_canceled"}
    body |= {"self_trade_prevention_type": "taker_at_cross", "subaccount": subaccount}
    reply = rig.exchange.call("POST", "/portfolio/events/orders", body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


@pytest.mark.parametrize(("ours", "theirs"), [(1, 0), (0, 1)])
async def test_only_the_named_subaccount_is_traded_and_counted(tmp_path, ours, theirs):
    async with executing(tmp_path, starts=False, KALSHI_SUBACCOUNT=str(ours)) as rig:
        fund(rig)
        place_in(rig, theirs, "ka-looks-like-ours", "0.2000")
        rig.start()
        await rig.known()
        assert place_in(rig, theirs, "theirs", "0.5500")["fill_count"] == "3.00"
        await rig.push(intent("i1", yes_price_e4=5_500))
        await rig.order(intent_id="i1", status=OrderStatus.EXECUTED)
        await rig.holds(1_000)
        (fill,) = rig.journalled(ActorFill)
        assert fill.count_e2 == 1_000
        (order,) = rig.at_exchange("ka-i1")
        assert order["subaccount_number"] == ours
        await rig.push(intent("i2", yes_price_e4=3_500))
        await rig.order(intent_id="i2", status=OrderStatus.RESTING)
        await rig.stop()
        assert rig.resting("") == ["ka-looks-like-ours"]
        rows = rig.exchange.get("/portfolio/positions", subaccount=ours)["market_positions"]
        assert [row["position_fp"] for row in rows] == ["10.00"]


async def test_several_subaccounts_and_none_named_is_refused(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        fund(rig)
        rig.start()
        with pytest.raises(ConfigError, match=r"KALSHI_SUBACCOUNT is empty.* trade in: 0, 1"):
            await rig.until(lambda: False, "never")
        assert rig.at_exchange("") == []
        rig.forget()


async def test_an_answer_that_did_not_come_is_asked_for_again(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        fund(rig)
        rig.exchange.order("fault", kind="error_next", status=429, method="GET", calls=4)
        rig.start()
        with pytest.raises(ConfigError, match="KALSHI_SUBACCOUNT is empty"):
            await rig.until(lambda: False, "never")
        rig.forget()


@pytest.mark.parametrize("environ", [{"RL_ACTOR_ENABLED": "false"}, {"KALSHI_SUBACCOUNT": "0"}])
async def test_who_does_not_trade_or_names_one_may_have_several(tmp_path, environ):
    async with executing(tmp_path, starts=False, **environ) as rig:
        fund(rig)
        rig.start()
        await rig.known()


async def test_a_subaccount_that_is_not_there_is_never_traded(tmp_path):
    async with executing(tmp_path, KALSHI_SUBACCOUNT="7") as rig:
        await rig.until(
            lambda: "subaccount_not_found" in str(rig.log.lines), "the exchange's word is told"
        )
        rig.tell_session(TICKER)
        assert rig.row() is None
