"""docs/plan-map.md names what there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "plan-map.md").read_text(encoding="utf-8")
ROWS = [
    cells
    for line in TEXT.splitlines()
    if line.startswith("| ")
    and len(cells := line.strip("| ").split(" | ")) == 3
    and cells[0] not in ("plan", "---")
]
HERE = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[1])})
WANTED = (  # of the issue that asked for the page, and of the plan itself
    *("execute_action", "place_order", "OrderFeatures.to_array", "SessionDataPoint"),
    *("load_session", "get_production_sessions", "_detect_environment", "ENDPOINTS"),
    *("build_observation", "ActorActionMessage", "OrderbookClient(market_tickers=...)"),
    *("frontend/src/components/ActorTradingView.jsx", "hooks/useRlWs.js"),
    *("test_live_observation_matches_training_observation", "get_snapshot()", "get_positions"),
    *("get_position_info", "get_order_features", "OrderbookClient", "SharedOrderbookState"),
    *("write_queue", "enqueue_snapshot", "enqueue_delta", "ActorService"),
    *("LiveObservationAdapter", "SessionDataLoader", "MarketAgnosticKalshiEnv"),
    *("build_observation_from_session_data", "LimitOrderActionSpace", "KalshiOrderManager"),
    *("SimulatedOrderManager", "sync_positions_with_kalshi", "KalshiTradingClient"),
    *("KalshiDemoTradingClient", "WebSocketManager", "create_session", "rl_orderbook_sessions"),
)


@pytest.mark.parametrize("name", WANTED)
def test_every_name_of_the_plan_is_explained(name: str) -> None:
    rows = [row for row in ROWS if f"`{name}`" in row[0]]
    assert rows, name
    assert all(row[1].strip() and row[2].strip() for row in rows)


@pytest.mark.parametrize("name", HERE)
def test_what_stands_for_it_exists(name: str) -> None:
    module, colon, attributes = name.partition(":")
    if not colon or "/" in module:
        path, _, function = name.partition("::")
        assert (ROOT / path).is_file()
        assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")
        return
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
