"""Faults that a test orders: each strikes as often as asked, and only whom it names."""

from __future__ import annotations

import pytest

from processes.exchange.core.faults import AnswerFaults
from processes.exchange.core.rejections import Rejection


def strikes(faults: AnswerFaults, method: str) -> int:
    """The status that a call meets, 200 for none."""
    try:
        faults.check(method)
    except Rejection as refusal:
        return refusal.status
    return 200


def test_a_fault_strikes_as_often_as_it_was_ordered() -> None:
    faults = AnswerFaults()
    faults.refuse_next(503, "exchange_unavailable", 2)
    faults.refuse_next(429, "", 1)
    assert [strikes(faults, m) for m in ("GET", "POST", "GET", "GET")] == [503, 503, 429, 200]


def test_a_fault_of_one_method_lets_the_others_pass() -> None:
    faults = AnswerFaults()
    faults.refuse_next(500, "internal_server_error", 1, "POST")
    assert [strikes(faults, m) for m in ("GET", "DELETE", "POST", "POST")] == [200, 200, 500, 200]


def test_clear_takes_back_what_waits() -> None:
    faults = AnswerFaults()
    faults.refuse_next(500, "", 1)
    faults.clear()
    faults.check("GET")
    assert faults.state()["errors_waiting"] == 0


def test_a_refusal_carries_its_code() -> None:
    faults = AnswerFaults()
    faults.refuse_next(400, "invalid_order", 1)
    with pytest.raises(Rejection) as refusal:
        faults.check("POST")
    assert refusal.value.body["error"]["code"] == "invalid_order"
