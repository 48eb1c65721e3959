"""Whether the exchange takes requests is asked all the time; a change is a line and a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.execution_rig import executing

from processes.execution import request_probe

MUTE = "no answer within 0.5 s, of the exchange or the own rate budget"


async def test_a_clock_that_is_refused_and_an_exchange_that_is_mute_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_probe, "ASK_PAUSE", 0.05)
    monkeypatch.setattr(request_probe, "PATIENCE", 0.5)
    async with executing(tmp_path) as rig:
        await rig.counted("requests_accepted", 1)
        with rig.between.holding("GET", "/account/limits"):
            await rig.counted("requests_accepted", 0)
        await rig.counted("requests_accepted", 1)
        said = [action for action in rig.log.actions() if action.startswith("requests_")]
        assert said == ["requests_not_accepted", "requests_accepted_again"]
        assert rig.log.has("requests_not_accepted", error=MUTE)
        rig.exchange.order("fault", kind="clock", ahead_ms=3_600_000)
        await rig.counted("requests_accepted", 0)
        assert rig.log.has("requests_not_accepted")
        rig.exchange.order("fault", kind="clock", ahead_ms=0)
        await rig.counted("requests_accepted", 1)
