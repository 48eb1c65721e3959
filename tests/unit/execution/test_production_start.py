"""Each need of production by itself: at what is enough, and short of it; and what is said then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.limits import LimitsRig, bounds
from support.logged import Logged
from support.orders import intent

from ipc.messages import Environment
from processes.adapters.kalshi.schemas.rest_portfolio import ApiKeyRow
from processes.execution.limits_file import LimitsReading, LimitsStatus
from processes.execution.manager import KalshiOrderManager
from processes.execution.production_start import (
    ProductionStart,
    key_problem,
    limits_problem,
    money_at_risk,
)
from processes.runtime.config import load_settings

KEY = "key-1"


def problem(*scopes: str, of: int | None = None, wanted: int | None = None) -> str:
    return key_problem((ApiKeyRow(KEY, scopes, subaccount=of),), KEY, wanted)


@pytest.mark.parametrize(
    "scopes", [("read", "write::trade"), ("read", "write"), ("read", "write::transfer", "write")]
)
def test_a_key_that_may_trade_is_enough(scopes: tuple[str, ...]) -> None:
    assert problem(*scopes) == ""


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [
        (("read",), "it lacks write::trade;"),
        (("read", "write::transfer"), "it lacks write::trade;"),
        (("write",), "it lacks read;"),
        ((), "it lacks read, write::trade;"),
    ],
)
def test_a_scope_that_is_missing_is_named(scopes: tuple[str, ...], missing: str) -> None:
    assert problem(*scopes).startswith(missing)


@pytest.mark.parametrize(("of", "wanted"), [(None, None), (None, 3), (3, None), (3, 3), (0, 0)])
def test_a_key_of_the_traded_subaccount_is_enough(of: int | None, wanted: int | None) -> None:
    assert problem("read", "write", of=of, wanted=wanted) == ""


@pytest.mark.parametrize(("of", "wanted"), [(3, 4), (3, 0), (0, 3)])
def test_a_key_of_another_subaccount_is_not(of: int, wanted: int) -> None:
    assert problem("read", "write", of=of, wanted=wanted) == (
        f"it is of subaccount {of}, and KALSHI_SUBACCOUNT is {wanted}"
    )


def test_a_key_that_is_not_listed_is_not_known() -> None:
    rows = (ApiKeyRow("another", ("read", "write")),)
    assert key_problem(rows, KEY, None) != ""
    assert key_problem((), KEY, None) != ""


def limits(reading: LimitsReading | None) -> str:
    rig = LimitsRig(environment=Environment.PRODUCTION)
    if reading is not None:
        rig.limits.on_reading(reading)
    return limits_problem(rig.limits)


@pytest.mark.parametrize("name", ["total_exposure", "worst_case_loss"])
def test_limits_that_bound_the_money_at_risk_are_enough(name: str) -> None:
    assert limits(LimitsReading(LimitsStatus.VALID, bounds(f"{name} = 10"))) == ""


@pytest.mark.parametrize("text", ["", "daily_loss = 3", "market_exposure = 1"])
def test_limits_that_do_not_are_not(text: str) -> None:
    assert limits(LimitsReading(LimitsStatus.VALID, bounds(text))) == (
        "[production] bounds no money at risk; it needs total_exposure or worst_case_loss"
    )


@pytest.mark.parametrize("status", [LimitsStatus.MISSING, LimitsStatus.INVALID])
def test_a_file_that_cannot_be_used_is_not(status: LimitsStatus) -> None:
    assert limits(LimitsReading(status, error="no such table")) == "no such table"
    assert limits(None) == "not read yet"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("total_exposure = 10", "10.00 dollars at once, fees included; no daily limit"),
        ("total_exposure = 10\nworst_case_loss = 9.99", "9.99 dollars at once"),
        ("worst_case_loss = 10.01\ntotal_exposure = 10", "10.00 dollars at once"),
        ("worst_case_loss = 7\ndaily_loss = 3", "stops opening at 3.00 dollars a day"),
    ],
)
def test_the_money_at_risk_is_the_smaller_bound(text: str, said: str) -> None:
    assert said in money_at_risk(bounds(text))


class Needs:
    """A stand-in for what looks at the exchange: the manager must ask it, and tell it."""

    def __init__(self, missing: str) -> None:
        self.missing = missing
        self.orders: list[tuple[str, int]] = []
        self.manager: KalshiOrderManager

    def refusal(self) -> str:
        return self.missing

    def before_order(self, wanted: Any) -> None:
        self.orders.append((wanted.intent_id, self.manager.state.counters["sent"]))


def test_nothing_is_sent_while_something_is_missing_and_all_is_said_before() -> None:
    rig = LimitsRig().market()
    needs = Needs("key, doctor")
    needs.manager = rig.manager
    rig.manager.start_needs = needs
    assert rig.want("i1") == "production_needs: key, doctor"
    assert rig.want("i2", is_buy=False) == "production_needs: key, doctor"
    assert needs.orders == []
    needs.missing = ""
    rig.manager.on_intent(intent("i3"), rig.mono_ns)
    assert needs.orders == [("i3", 0)]
    assert rig.state.counters["sent"] == 1


async def test_a_key_whose_file_went_away_is_a_need_and_ends_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "key.pem"
    settings = load_settings(
        {
            "RL_DATA_DIR": str(tmp_path),
            "KALSHI_TRADING_ENVIRONMENT": "production",
            "KALSHI_PRODUCTION_CONFIRMED": "true",
            "KALSHI_TRADING_API_KEY_ID": "id",
            "KALSHI_TRADING_PRIVATE_KEY_PATH": str(gone),
        }
    )
    start = ProductionStart(settings, LimitsRig().limits, lambda: None, Logged())
    await start.look()
    assert start.missing["doctor"].startswith("the key cannot be read: ")
