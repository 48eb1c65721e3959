"""Spoilt frames of every type: nothing falls over, no book is silently wrong, every refusal counts.

pytest tests/unit/collector/test_fuzz.py -m slow -s [--seed N]     a million frames
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from support.collector_rig import CollectorRig
from support.frame_fuzz import BOOK_SID, TRADE_SID, Judge, Sender, spoilt
from support.kalshi_frames import subscribed

from ipc import book as b
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.feed.book_feed import Distrust
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade, decode_frame
from processes.collector.recovery import Phase

TICKERS = ("A", "B", "C")
SPOILT = 0.4  # of all frames
HEAL_EVERY = 4  # frames, until the exchange answers with fresh snapshots
LOOK_EVERY = 97  # frames between two looks at every level of every book


class Fuzz:
    """What a collector does with frames, without its socket, beside the judge."""

    def __init__(self, rig: CollectorRig, seed: int) -> None:
        self.rig = rig
        self.chance = np.random.default_rng(seed)
        self.sender = Sender(self.chance, TICKERS)
        self.judge = Judge(TICKERS)
        self.outcomes: Counter[str] = Counter()
        rig.follow(*TICKERS)
        rig.recovery.on_connected(0)
        for command_id, (channel, sid) in enumerate(
            (("market_lifecycle_v2", 1), ("trade", TRADE_SID), ("orderbook_delta", BOOK_SID)), 1
        ):
            rig.recovery.on_frame(decode_frame(subscribed(command_id, channel, sid)), 0)

    def run(self, wanted: int) -> None:
        """Until so many spoilt frames have come."""
        for number in count():
            if self.outcomes["spoilt"] == wanted:
                break
            if number % HEAL_EVERY == 0:
                self._heal()
            data = self.sender.next()
            if self.chance.random() < SPOILT:
                data = spoilt(data, self.chance)
                self.outcomes["spoilt"] += 1
            self._receive(data)
            if number % LOOK_EVERY == 0:
                self._look()
        self._heal()
        self._look()
        assert {self.rig.recovery.phase(t) for t in TICKERS} == {Phase.LIVE}

    def _heal(self) -> None:
        """Twice: the first snapshot may show that frames before it were lost, of every market."""
        for ticker in (*TICKERS, *TICKERS):
            if self.rig.recovery.phase(ticker) is not Phase.LIVE:
                self._receive(self.sender.snapshot(ticker))
                assert self.rig.recovery.phase(ticker) is Phase.LIVE, ticker

    def _receive(self, data: bytes) -> None:
        """One frame: what the collector made of it is what the judge makes of it."""
        try:
            frame = decode_frame(data)
        except WireError:
            self.outcomes["malformed"] += 1  # the client gives such a connection up
            return
        self.judge.count(data)
        for action in self.rig.recovery.on_frame(frame, 0):
            if isinstance(action, Distrust):
                self.rig.feed.distrust(action.kind, action.tickers, self.rig.now_ns, "")
        before, phases = self._refusals(), self._phases()
        accepted = self.rig.queue.accepted
        self.rig.now_ns += 1_000
        self.rig.feed.on_frame(frame, self.rig.now_ns, 1, on_yes_scale=True)
        told = self._refusals() - before
        told["applied"] += self.rig.queue.accepted > accepted
        if isinstance(frame, Delta | Trade | Snapshot):
            assert told.total() == 1, (data, told)  # applied, or refused for one reason
            (reason,) = +told
            self.outcomes[reason] += 1
            self._compare(frame, data, reason, phases)
        if self.rig.recovery.subscriptions.sid("orderbook_delta") is None:
            self._subscribe_anew()

    def _subscribe_anew(self) -> None:
        """A spoilt code was one that ends the subscription; the exchange starts another."""
        self.sender.subscribed_anew()
        self.judge.subscribed_anew()
        command_id = self.rig.recovery.subscriptions._next_id - 1
        answer = subscribed(command_id, "orderbook_delta", BOOK_SID)
        self.rig.recovery.on_frame(decode_frame(answer), 0)

    def _compare(
        self, frame: Delta | Trade | Snapshot, data: bytes, reason: str, phases: dict[str, Phase]
    ) -> None:
        ticker = frame.msg.market_ticker
        if ticker not in TICKERS:
            assert reason == "frames_of_unknown_markets", data
            return
        was_live, is_live = (p is Phase.LIVE for p in (phases[ticker], self._phases()[ticker]))
        if isinstance(frame, Trade):
            assert (reason == "applied") <= was_live, data
        elif reason == "applied":
            change = self.judge.read(data)
            assert change is not None, data
            assert change.ticker == ticker
            assert self.judge.receive(change), data
            assert is_live, data
        if not is_live:
            self.judge.doubt(ticker)
        self._same(ticker, data)

    def _same(self, ticker: str, data: bytes) -> None:
        """Believed by the reader exactly where the judge can know, and then the same in short."""
        market = self.rig.markets.get(ticker)
        assert market is not None
        row, book = self.rig.table.live[market.row], self.judge.books[ticker]
        assert (row[b.STATE] == b.LIVE) == (book is not None), data
        if book is not None:
            totals = [sum(leg.values()) for leg in book.legs]
            assert row[[b.YES_TOTAL, b.NO_TOTAL]].tolist() == totals, data
            assert [b.best_bid(row, s) for s in (b.YES, b.NO)] == [book.touch(s) for s in (0, 1)], (
                data
            )

    def _look(self) -> None:
        """Every level of every book."""
        for ticker, book in self.judge.books.items():
            self._same(ticker, b"")
            if book is not None:
                row = self.rig.row(ticker)
                legs = [b.levels_of(row, side) for side in b.LEGS]
                assert legs == [sorted(leg.items()) for leg in book.legs]

    def _phases(self) -> dict[str, Phase]:
        return {ticker: self.rig.recovery.phase(ticker) for ticker in TICKERS}

    def _refusals(self) -> Counter[str]:
        """Frames that were not applied, by reason."""
        found = Counter({str(reason): n for reason, n in self.rig.queue.refused.items()})
        for reason in ("frames_of_unknown_markets", "deltas_before_snapshot", "malformed_amounts"):
            found[reason] = self.rig.feed.counts[reason]
        return found


def spoil(tmp_path: Path, seed: int, wanted: int) -> Counter[str]:
    with CollectorRig(tmp_path, segment_records=1 << 16, max_bytes=1 << 34) as rig:
        fuzz = Fuzz(rig, seed)
        fuzz.run(wanted)
        rig.session.end(rig.now_ns)
        print(f"seed {seed}: {dict(fuzz.outcomes)}")
        return fuzz.outcomes


REASONS = {
    *("malformed", "applied", "malformed_amounts", "frames_of_unknown_markets", "not_live"),
    *("off_grid", "negative_size", "too_large"),
}


def test_spoilt_frames(tmp_path: Path, seed: int) -> None:
    assert spoil(tmp_path, seed, 8_000).keys() >= REASONS


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_spoilt_frames(tmp_path: Path, seed: int) -> None:
    for part in range(10):
        spoil(tmp_path / str(part), seed + part, 100_000)
