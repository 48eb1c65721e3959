"""Market time of the exchange: announced, never backwards, one exchange a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.flow_rig import FlowRig

from ipc import clock
from ipc.clock import MarketClock
from processes.exchange.core.books import YES
from processes.exchange.core.events import BookChanged, BookReplaced, TradePrinted
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.synthetic.profiles import ACTIVE
from processes.runtime.config import ConfigError

START_MS = 1_795_500_000_000
MS_NS = 1_000_000


def test_time_is_never_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mono = [0]
    monkeypatch.setattr(clock, "mono_ns", lambda: mono[0])
    time = MarketTime(tmp_path / "clock", START_MS, 10.0, lambda: mono[0])
    reader = MarketClock(tmp_path / "clock")
    seen = [reader.now_ns() // MS_NS]

    def passes(real_ms: int) -> None:
        mono[0] += real_ms * MS_NS
        assert reader.now_ns() // MS_NS == time.now_ms()
        seen.append(time.now_ms())

    time.run(START_MS)
    passes(100)
    time.run(START_MS + 200)  # 800 ms ago
    passes(0)
    passes(10)
    time.pause(START_MS)
    assert time.is_paused
    passes(10)
    time.run(START_MS + 5_000)
    passes(10)
    assert [ms - START_MS for ms in seen] == [0, 1_000, 1_000, 1_100, 1_100, 5_100]
    time.close()


def test_a_second_exchange_on_one_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_LOCK_PATIENCE_S", 0.02)
    first = MarketTime(tmp_path / "clock", START_MS, 1.0)
    with pytest.raises(ConfigError, match="in use by another local exchange"):
        MarketTime(tmp_path / "clock", START_MS, 1.0)
    first.close()
    MarketTime(tmp_path / "clock", START_MS, 1.0).close()


def test_frames_of_a_market_never_go_back_in_time_after_a_stall() -> None:
    """The process slept 1.2 s; an account's order is handled before the flow that was due."""
    rig = FlowRig(ACTIVE)
    rig.go(5)
    said = len(rig.said)
    rig.now_ms += 1_200
    rig.buy(YES, 100, 100)
    rig.flow.step(rig.now_ms)
    rig.go(1)
    frames = [
        (e.sent_ms, e.ts_us if isinstance(e, BookChanged) else 0)
        for e in rig.said[said:]
        if isinstance(e, BookChanged | BookReplaced | TradePrinted)
    ]
    assert len(frames) > 20
    sent = [ms for ms, _ in frames]
    assert sent == sorted(sent)
    micros = [us for _, us in frames if us]
    assert micros == sorted(micros)
