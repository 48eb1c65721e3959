"""Ready means that all is known and well; each cause is named, and what is not known is a cause."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from support.trading import trading_status

from ipc.messages import TradingState, TradingStatus
from processes.broadcaster.readiness import SILENT_NS, STORED_MS, Known, reasons_of
from processes.broadcaster.site import metrics_page, ready_page
from processes.broadcaster.state import PROCESSES, TABLES, Health

NOW = 100 * SILENT_NS
WELL: dict[str, dict[str, int]] = {
    "collector": {"connected": 1, "markets": 3, "books_waiting": 0, "holes": 0},
    "inference": {"ticks": 1},
    "execution": {
        "markets": 3,
        "accounts_in_doubt": 0,
        "actor_enabled": 1,
        "channel_up": 1,
        "recorded": 1,
        "sends_orders": 1,
        "requests_accepted": 1,
        "grouped": 1,
        "watched": 1,
    },
    "watchdog": {"watching": 1},
    "recorder": {
        "database": 1,
        "behind": 7,
        "behind_ms": STORED_MS,
        "refused_streams": 0,
        "waiting_streams": 0,
    },
}


def health_of(**changed: dict[str, int | None]) -> Health:
    """All well and just heard, but for counters of a process; None: it does not report it."""
    health = Health()
    for process in PROCESSES:
        counters = WELL[process] | changed.get(process, {})
        health.heard(process, {k: v for k, v in counters.items() if v is not None}, NOW)
    for table in TABLES:
        health.beat(table, 0, NOW)
    return health


def trades(state: TradingState = TradingState.TRADING) -> TradingStatus:
    return trading_status(state, checked_mono_ns=NOW, valid_until_mono_ns=NOW + SILENT_NS)


def reasons(trading: TradingStatus | None = None, **changed: Any) -> list[str]:
    return reasons_of(Known(health_of(**changed), trading or trades(), NOW))


def test_all_well_is_ready() -> None:
    page = ready_page(Known(health_of(), trades(), NOW), "demo")
    assert page.status == HTTPStatus.OK
    body = {"status": "ready", "environment": "demo", "execution_mode": "live", "reasons": []}
    assert json.loads(page.body) == body
    lines = metrics_page(health_of(), NOW, trades()).body.decode().splitlines()
    assert "rl_ready 1" in lines


@pytest.mark.parametrize(("sends", "mode"), [(0, "shadow"), (1, "live"), (None, "unknown")])
def test_the_page_says_whether_orders_are_sent(sends: int | None, mode: str) -> None:
    page = ready_page(Known(health_of(execution={"sends_orders": sends}), trades(), NOW), "demo")
    assert page.status == HTTPStatus.OK
    assert json.loads(page.body)["execution_mode"] == mode


@pytest.mark.parametrize(
    ("process", "counters", "reason"),
    [
        ("collector", {"connected": 0}, "collector: not connected to the exchange"),
        ("collector", {"connected": None}, "collector: connected is not known yet"),
        ("collector", {"markets": 0}, "collector: no market is followed"),
        ("collector", {"books_waiting": 1}, "collector: 1 of 3 books are not up to date"),
        (
            "collector",
            {"books_waiting": None},
            "collector: not known whether its books are up to date",
        ),
        ("collector", {"holes": 2}, "collector: 2 books have changes that the journal refused"),
        (
            "execution",
            {"needs_missing": 2},
            "execution: 2 needs of production are missing: see production_need",
        ),
        ("execution", {"channel_up": 0}, "execution: the private channel is down"),
        (
            "execution",
            {"requests_accepted": 0},
            "execution: the exchange does not accept its requests: "
            "see requests_not_accepted in its log",
        ),
        (
            "execution",
            {"requests_accepted": None},
            "execution: requests_accepted is not known yet",
        ),
        ("execution", {"accounts_in_doubt": 2}, "execution: 2 of 3 accounts are not known"),
        ("execution", {"markets": 0}, "execution: no account is known"),
        ("execution", {"actor_enabled": 0}, "execution: trading is off: RL_ACTOR_ENABLED is false"),
        ("execution", {"trading_on": 0}, "execution: trading is off, by a command"),
        (
            "execution",
            {"latched": 2},
            "execution: 2 limits were hit and hold until trading is resumed",
        ),
        (
            "execution",
            {"recorded": 0},
            "execution: opens no position while so much waits for the database: "
            "see not_persisted in its log",
        ),
        (
            "execution",
            {"clock_offset_ms": 6_000},
            "execution: its clock is 6.0 s behind the exchange's; requests are refused: "
            "set the time of this machine",
        ),
        (
            "recorder",
            {"database": 0, "behind_ms": 90_000},
            "recorder: no database; 7 events wait in the journals and nothing is lost: see its log",
        ),
        ("recorder", {"database": None}, "recorder: not known whether there is a database"),
        (
            "recorder",
            {"behind_ms": STORED_MS + 1_000},
            "recorder: what was accepted has waited for the database for 2.5 s",
        ),
        (
            "recorder",
            {"waiting_streams": 1},
            "recorder: 1 streams wait for the database or this machine",
        ),
    ],
)
def test_a_cause_is_the_one_reason(
    process: str, counters: dict[str, int | None], reason: str
) -> None:
    assert reasons(**{process: counters}) == [reason]


def test_a_state_of_trading_that_is_on_and_no_latch_are_no_reasons() -> None:
    assert reasons(execution={"trading_on": 1, "latched": 0}) == []


@pytest.mark.parametrize(
    "state", [s for s in TradingState if s is not TradingState.TRADING], ids=str
)
def test_an_exchange_that_does_not_trade_is_a_reason(state: TradingState) -> None:
    assert reasons(trades(state)) == [f"collector: the exchange does not trade: {state}"]


def test_an_old_or_missing_word_on_trading_is_unknown() -> None:
    said = ["collector: the exchange does not trade: unknown"]
    assert reasons_of(Known(health_of(), None, NOW)) == said
    old = msgspec.structs.replace(trades(), valid_until_mono_ns=NOW - 1)
    assert reasons(old) == said


@pytest.mark.parametrize("part", [*PROCESSES, *TABLES])
def test_a_part_that_falls_silent_is_a_reason_within_three_seconds(part: str) -> None:
    assert SILENT_NS < 3_000_000_000
    health = health_of()
    for moved in (*PROCESSES, *TABLES):
        at = NOW if moved == part else NOW + SILENT_NS
        if moved in TABLES:
            health.beat(moved, NOW + SILENT_NS - at, NOW + SILENT_NS)
        else:
            health.heard(moved, health.counters[moved], at)
    status = msgspec.structs.replace(trades(), valid_until_mono_ns=NOW + 2 * SILENT_NS)
    assert reasons_of(Known(health, status, NOW + SILENT_NS)) == []
    what = "heartbeat" if part in TABLES else "report"
    (reason,) = reasons_of(Known(health, status, NOW + SILENT_NS + 1))
    assert reason == f"{part}: no {what} for 2.5 s"


def test_with_nothing_known_nothing_is_ready_and_all_is_named() -> None:
    known = Known(Health(), None, NOW)
    page = ready_page(known, "production")
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    body = json.loads(page.body)
    assert body["status"] == "not_ready"
    assert body["reasons"][: len(PROCESSES) + len(TABLES)] == [
        *(f"{process}: no report yet" for process in PROCESSES),
        *(f"{table}: no heartbeat yet" for table in TABLES),
    ]
    assert {reason.partition(":")[0] for reason in body["reasons"]} == {*PROCESSES, *TABLES}
    assert "rl_ready 0" in metrics_page(Health(), NOW).body.decode().splitlines()
