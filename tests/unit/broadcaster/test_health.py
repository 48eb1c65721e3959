"""Liveness by part, and counters as Prometheus text."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from processes.broadcaster.site import health_page, metrics_page
from processes.broadcaster.state import PROCESSES, SILENT_NS, TABLES, Health


def whole(mono_ns: int) -> Health:
    health = Health()
    for process in PROCESSES:
        health.heard(process, {"frames": 1}, mono_ns)
    for table in TABLES:
        health.beat(table, 0, mono_ns)
    return health


def test_fresh_until_the_limit_and_not_beyond() -> None:
    health = whole(1_000)
    assert health_page(health, "demo", 1_000 + SILENT_NS).status == HTTPStatus.OK
    page = health_page(health, "demo", 1_001 + SILENT_NS)
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert json.loads(page.body)["silent"] == [*PROCESSES, *TABLES]


def test_one_silent_part_is_named() -> None:
    health = whole(SILENT_NS)
    health.beat("accounts", None, SILENT_NS)
    page = health_page(health, "demo", SILENT_NS)
    body = json.loads(page.body)
    assert (body["status"], body["silent"]) == ("degraded", ["accounts"])
    assert body["environment"] == "demo"
    assert body["parts"]["accounts"] == {"fresh": False, "age_ms": None}


def test_what_nobody_knows_on_the_wire_is_named_by_process() -> None:
    health = whole(SILENT_NS)
    assert json.loads(health_page(health, "demo", SILENT_NS).body)["unknown_on_the_wire"] == {}
    counters = {"frames": 1, "unknown_on_the_wire": 3, "unknown field Market.color": 3}
    health.heard("collector", counters, SILENT_NS)
    body = json.loads(health_page(health, "demo", SILENT_NS).body)
    assert body["status"] == "ok"
    assert body["unknown_on_the_wire"] == {"collector": {"field Market.color": 3}}
    assert 'counter="unknown field Market.color"} 3' in metrics_page(health, 0).body.decode()


def test_a_clock_that_is_off_is_unhealthy_and_says_so() -> None:
    health = whole(1)
    health.heard("execution", {"clock_offset_ms": 5_000}, 1)
    assert health_page(health, "demo", 1).status == HTTPStatus.OK
    health.heard("execution", {"clock_offset_ms": -3_600_000}, 1)
    page = health_page(health, "demo", 1)
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    body = json.loads(page.body)
    assert (body["status"], body["silent"]) == ("degraded", [])
    (reason,) = body["reasons"]
    assert reason.startswith("execution: its clock is 3600.0 s ahead of the exchange's")


@pytest.mark.parametrize(
    ("counters", "reason"),
    [
        ({"database": 0, "behind": 4_000}, "recorder: no database; 4000 events wait"),
        ({"database": 1, "refused_streams": 2}, "recorder: 2 streams cannot be recorded"),
        ({"database": 1, "waiting_streams": 1}, "recorder: 1 streams wait for the database"),
    ],
)
def test_what_does_not_get_into_the_database_is_unhealthy(
    counters: dict[str, int], reason: str
) -> None:
    health = whole(1)
    health.heard("recorder", {"database": 1, "refused_streams": 0, "waiting_streams": 0}, 1)
    assert health_page(health, "demo", 1).status == HTTPStatus.OK
    health.heard("recorder", counters, 1)
    page = health_page(health, "demo", 1)
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    (said,) = json.loads(page.body)["reasons"]
    assert said.startswith(reason)


def test_a_tables_age_is_its_writers_heartbeat() -> None:
    health = whole(10 * SILENT_NS)
    health.beat("books", SILENT_NS + 1, 10 * SILENT_NS)
    assert not health.parts(10 * SILENT_NS)["books"].fresh


def test_metrics_escape_what_labels_may_not_hold() -> None:
    health = Health()
    health.heard("collector", {'odd"\n\\name': 5}, 1)
    lines = metrics_page(health, 1).body.decode().splitlines()
    assert 'rl_counter{process="collector",counter="odd\\"\\n\\\\name"} 5' in lines
    assert 'rl_up{part="collector"} 1' in lines
    assert 'rl_up{part="recorder"} 0' in lines
