"""`kalshi-actor markets --programs` against a running exchange."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.exchange import running_exchange

from processes.collector.markets_command import main


def test_programs_are_listed_by_their_pool_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_exchange(tmp_path) as exchange:
        monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("RL_EXCHANGE_PORT", str(exchange.port))
        assert main(["--programs", "--json"]) == 0
        listed = msgspec.json.decode(capsys.readouterr().out)
        assert main(["--programs"]) == 0
        lines = capsys.readouterr().out.splitlines()
    pools = [float(p["pool_per_hour"]) for p in listed]
    assert pools == sorted(pools, reverse=True)
    assert {p["status"] for p in listed} == {"active", "upcoming"}
    half = next(p for p in listed if p["market_ticker"].startswith("KXSIM1X15M"))
    assert (half["pool"], half["pool_per_hour"]) == ("20.000000", "160.000000")
    assert len(lines) == len(listed) + 1
    assert lines[1].split()[0] == listed[0]["market_ticker"]
