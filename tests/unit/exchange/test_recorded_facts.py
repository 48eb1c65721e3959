"""A replayed market shows what was recorded of it, but not how it ended."""

from __future__ import annotations

import json
from pathlib import Path

from support.exchange import market_frames, write_recording

from processes.adapters.kalshi.recordings import load_market
from processes.exchange.core.markets import ListedMarket
from processes.exchange.replay.timeline import facts_of
from processes.exchange.rest.bodies import market as body_of

TICKER, START_MS = "KXSHOW15M-26AUG101815-15", 1_786_399_275_000
RECORDED = {
    "title": "Will it?",
    "yes_sub_title": "It will",
    "no_sub_title": "It will not",
    "rules_primary": "If it does, Yes.",
    "rules_secondary": "Else, No.",
    "settlement_timer_seconds": 60,
    "strike_type": "structured",
    "custom_strike": {"who": "somebody"},
    "early_close_condition": "It happens.",
    "price_level_structure": "linear_cent",
    "occurrence_datetime": "2026-08-10T22:15:00Z",
}


def shown(folder: Path, shift_ms: int) -> dict[str, object]:
    """The body of a replayed market whose metadata holds `RECORDED`."""
    write_recording(folder, TICKER, market_frames(TICKER, START_MS, 20), START_MS - 60_000)
    file = next((folder / "metadata").glob("*.json"))
    reply = json.loads(file.read_text())
    reply["response"]["markets"][0] |= RECORDED
    file.write_text(json.dumps(reply))
    recorded = load_market(folder / f"{TICKER}.ndjson.gz")
    assert recorded.body["result"] == "yes"
    return body_of(ListedMarket(facts_of(recorded, shift_ms, START_MS), 0))


def test_what_describes_it_is_shown(tmp_path):
    body = shown(tmp_path, 0)
    assert {name: body[name] for name in RECORDED} == RECORDED


def test_how_it_ended_is_not(tmp_path):
    body = shown(tmp_path, 0)
    assert (body["result"], body["status"], body["expiration_value"]) == ("", "initialized", "")
    assert "settlement_value_dollars" not in body
    assert "settlement_ts" not in body


def test_a_later_pass_does_not_say_when_it_happened(tmp_path):
    body = shown(tmp_path, 900_000)
    assert "occurrence_datetime" not in body
