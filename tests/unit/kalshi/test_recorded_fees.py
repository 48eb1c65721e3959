"""What a recording says of fees: the reply of a series beside it, its event's own, its waiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.made_recording import write_recording

from models.trading.fees import FeeSource
from processes.adapters.kalshi.recordings.lines import RecordingError
from processes.adapters.kalshi.recordings.markets import RecordedMarket, load_market

TICKER, EVENT, SERIES = "KXMADE-26AUG05-1", "KXMADE-26AUG05", "KXMADE"
MARKET = {
    "ticker": TICKER,
    "event_ticker": EVENT,
    "status": "finalized",
    "open_time": "2026-08-05T11:45:00Z",
    "close_time": "2026-08-05T12:00:00Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}
FEES = {"ticker": SERIES, "title": "", "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 1}


def loaded(folder: Path, event: Any = None, series: Any = None, **market: Any) -> RecordedMarket:
    """The market of a recording with these replies beside it."""
    path = write_recording(folder, seconds=1, ticker=TICKER)
    beside = folder / "metadata"
    beside.mkdir()
    reply = {"event": event, "markets": [MARKET | market]}
    (beside / f"{EVENT}.json").write_text(json.dumps({"response": reply}))
    if series is not None:
        (beside / f"{SERIES}.json").write_text(json.dumps({"response": series}))
    return load_market(path)


def test_a_series_reply_is_what_its_market_charged(tmp_path: Path) -> None:
    assert loaded(tmp_path, series={"series": FEES}).fees == (
        (0, "quadratic_with_maker_fees", 10_000),
    )


def test_an_events_own_fees_and_a_waiver_go_before(tmp_path: Path) -> None:
    own = {"event_ticker": EVENT, "series_ticker": SERIES, "fee_type_override": "flat"}
    market = loaded(
        tmp_path,
        event=own | {"fee_multiplier_override": 0.5},
        series={"series": FEES},
        fee_waiver_expiration_time="2026-08-05T11:50:00Z",
    )
    assert [step[1:] for step in market.fees] == [("quadratic", 0), ("flat", 5_000)]


@pytest.mark.parametrize("event", [None, {}, {"event_ticker": EVENT}, 5])
@pytest.mark.parametrize("series", [None, {}, {"event": {}, "markets": []}])
def test_without_either_nothing_is_known(tmp_path: Path, event: Any, series: Any) -> None:
    assert loaded(tmp_path, event=event, series=series).fees == ()


def test_a_series_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="KXMADE"):
        loaded(tmp_path, series={"series": FEES | {"fee_multiplier": "many"}})


def test_a_recording_without_replies_has_assumed_fees(tmp_path: Path) -> None:
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    path = write_recording(tmp_path, seconds=1, ticker=TICKER)
    (session,) = load_sessions(path, say=lambda _: None)
    assert session.fees.source is FeeSource.ASSUMED
