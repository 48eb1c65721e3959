"""Envelopes, and that the page's types are the server's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from processes.broadcaster import wire
from processes.broadcaster.wire import MessageType, PnlData, envelope, update_of

TYPES = Path(__file__).resolve().parents[3] / "frontend" / "src" / "wire.ts"

PAIRS = {
    "Connection": wire.ConnectionData,
    "Session": wire.SessionData,
    "Part": wire.PartData,
    "Stats": wire.StatsData,
    "Book": wire.OrderbookData,
    "Action": wire.ActionData,
    "Models": wire.ModelsData,
    "Shadow": wire.ShadowData,
    "Order": wire.OrderData,
    "Fill": wire.FillData,
    "Position": wire.PositionData,
    "Pnl": wire.PnlData,
    "HotMarkets": wire.HotMarketsData,
    "MarketScore": wire.MarketScoreData,
    "MarketChange": wire.MarketChangeData,
    "TradingEvent": wire.TradingEventData,
}


def test_envelope_is_json_with_four_keys() -> None:
    data = PnlData(
        balance="12.345678",
        realized="0.000000",
        fees="0.000000",
        positions=0,
        open_orders=0,
        account_version=1,
        ts_ms=5,
    )
    message = json.loads(envelope(update_of(MessageType.ACTOR_PNL, data), 7, 1_786_000_000_000))
    assert sorted(message) == ["data", "seq", "ts_ms", "type"]
    assert (message["type"], message["seq"]) == ("actor_pnl", 7)
    assert message["ts_ms"] == 1_786_000_000_000
    assert message["data"]["balance"] == "12.345678"


def fields_in_page(name: str) -> list[str]:
    found = re.search(rf"export interface {name} {{\n(.*?)\n}}", TYPES.read_text(), re.DOTALL)
    assert found
    return re.findall(r"^  (\w+):", found[1], re.MULTILINE)


@pytest.mark.parametrize("name", PAIRS)
def test_the_page_knows_the_same_fields(name: str) -> None:
    assert fields_in_page(name) == [field.name for field in msgspec.structs.fields(PAIRS[name])]


def test_the_page_knows_every_type() -> None:
    known = re.findall(r"Of<'(\w+)'", TYPES.read_text())
    assert sorted(known) == sorted(MessageType)
