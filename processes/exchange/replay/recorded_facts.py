"""What a replayed market shows of itself: its recorded facts, moved to the time of the replay."""

from __future__ import annotations

from typing import Any, Final

from models.trading.fees import FeeSchedule, rule_at_ms
from processes.adapters.kalshi.recordings import RecordedMarket
from processes.exchange.core.markets import MarketFacts

__all__ = ["DETAILS", "facts_of"]

DAY_MS: Final = 86_400_000
DETAILS: Final[tuple[str, ...]] = (  # of a market's body: they describe it and decide nothing
    "cap_strike",
    "custom_strike",
    "early_close_condition",
    "functional_strike",
    "is_provisional",
    "mve_collection_ticker",
    "mve_selected_legs",
    "primary_participant_key",
)


def facts_of(market: RecordedMarket, shift_ms: int, first_ms: int) -> MarketFacts:
    """What is known of a recorded market, moved by `shift_ms`; never how it ended.

    Its shard is not the recorded one: where a replay's money lies is the settings' to say.
    """
    open_ms = market.open_ms or first_ms
    close_ms = market.close_ms or open_ms + DAY_MS
    body: dict[str, Any] = market.body
    usual = "linear_cent" if market.grid.size == 99 else "tapered_deci_cent"
    details: dict[str, Any] = {name: body[name] for name in DETAILS if name in body}
    if "occurrence_datetime" in body and not shift_ms:
        details["occurrence_datetime"] = body["occurrence_datetime"]
    return MarketFacts(
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        series_ticker=market.series_ticker,
        open_ms=open_ms + shift_ms,
        close_ms=close_ms + shift_ms,
        grid=market.grid,
        structure=body.get("price_level_structure") or usual,
        title=market.title,
        yes_sub_title=body.get("yes_sub_title", ""),
        no_sub_title=body.get("no_sub_title", ""),
        strike_type=body.get("strike_type", ""),
        floor_strike=body.get("floor_strike"),
        rules=body.get("rules_primary", ""),
        rules_more=body.get("rules_secondary", ""),
        settlement_timer_s=body.get("settlement_timer_seconds", 1),
        details=details,
        fees=FeeSchedule.of(rule_at_ms(open_ms)),
    )
