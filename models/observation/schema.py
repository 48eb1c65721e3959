"""What an observation is, as data: names, order, units, defaults and constants, under one hash.

The hash goes into every exported model's manifest; a model whose hash differs from the builder's is
refused. The labels that the dashboard shows come from here too.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

__all__ = ["OBSERVATION_V1", "ZONE", "Feature", "Schema"]

ZONE: Final = "America/New_York"


class Feature(msgspec.Struct, frozen=True):
    """One float of an observation.

    Attributes:
        name: Its label.
        group: Heading under which it is shown.
        unit: What 1.0 means.
        formula: Part of the contract: a changed meaning is a changed hash.
        empty: Its value without any book or position.
        part: Its value when only this input is missing.
    """

    name: str
    group: str
    unit: str
    formula: str
    empty: float | None = None
    part: float | None = None


class Schema(msgspec.Struct, frozen=True):
    """An ordered list of features and the constants that their formulas use.

    A schema that is in use never changes: a model trained on it is refused when the hash differs.
    Another meaning of a feature is another schema.

    Attributes:
        name: Such as `OBSERVATION_V1`.
        features: In the order of the floats.
        constants: (name, value as text) of what the formulas refer to.
    """

    name: str
    features: tuple[Feature, ...]
    constants: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        """Floats in one observation."""
        return len(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Labels, in order."""
        return tuple(f.name for f in self.features)

    @property
    def hash(self) -> str:
        """32 hex digits over everything in the schema."""
        return blake2b(msgspec.json.encode(self), digest_size=16).hexdigest()


def _market() -> list[Feature]:
    def f(name: str, unit: str, formula: str, empty: float, part: float) -> Feature:
        return Feature(name, "market", unit, formula, empty, part)

    concentration = "size of the 3 largest levels of bids and asks / volume of the leg"
    return [
        f("best_yes_bid_norm", "dollars", "yb/100", 0.49, 0.5),
        f("best_yes_ask_norm", "dollars", "ya/100", 0.51, 0.5),
        f("best_no_bid_norm", "dollars", "nb/100", 0.49, 0.5),
        f("best_no_ask_norm", "dollars", "na/100", 0.51, 0.5),
        f("yes_spread_norm", "dollars", "clamp((ya-yb)/100, 0.001, 0.99)", 0.02, 0.1),
        f("no_spread_norm", "dollars", "clamp((na-nb)/100, 0.001, 0.99)", 0.02, 0.1),
        f("yes_mid_price_norm", "dollars", "clamp((yb+ya)/200, 0.01, 0.99)", 0.5, 0.5),
        f("no_mid_price_norm", "dollars", "clamp((nb+na)/200, 0.01, 0.99)", 0.5, 0.5),
        f("yes_volume_norm", "log", "L(Vy)", 0.01, 0.0),
        f("no_volume_norm", "log", "L(Vn)", 0.01, 0.0),
        f("total_volume_norm", "log", "L(V)", 0.01, 0.0),
        f("volume_imbalance", "ratio", "(Vy-Vn)/V", 0.0, 0.0),
        f("yes_side_imbalance", "ratio", "(V_yb-V_ya)/Vy", 0.0, 0.0),
        f("no_side_imbalance", "ratio", "(V_nb-V_na)/Vn", 0.0, 0.0),
        f("yes_book_depth_norm", "levels", "min((yes bid + ask levels)/20, 1)", 0.1, 0.0),
        f("no_book_depth_norm", "levels", "min((no bid + ask levels)/20, 1)", 0.1, 0.0),
        f("yes_liquidity_concentration", "ratio", concentration, 0.5, 0.5),
        f("no_liquidity_concentration", "ratio", concentration, 0.5, 0.5),
        f("arbitrage_opportunity", "dollars", "abs(f6+f7-1)", 0.0, 0.0),
        f("market_efficiency", "ratio", "max(0, 1-f18)", 1.0, 1.0),
        f("cross_side_efficiency", "ratio", "max(0, 1-5*abs(f6-(1-f7)))", 1.0, 1.0),
    ]


def _temporal() -> list[Feature]:
    def f(name: str, unit: str, formula: str, part: float) -> Feature:
        return Feature(name, "temporal", unit, formula, None, part)

    window = "last 10 ticks + now, >= 3 points"
    return [
        f("time_since_last_update", "300 s", "min(max(gap, 0)/300, 1)", 0.0),
        f("time_of_day_norm", "hours", "(hour-9)/7 if 9 <= hour <= 16 else 0", 0.0),
        f("day_of_week_norm", "days", "weekday(Mon=0)/6", 0.0),
        f("current_activity_score", "score", "min(1, n_markets*ln(1+V)/1000)", 0.0),
        f("activity_change", "score", "tanh(act_now - act_prev)", 0.0),
        f("update_frequency", "1/2 s", "min((n/max(now-first, 1))/2, 1), last <= 5 ticks", 0.1),
        f("activity_burst_indicator", "flag", f"act > mean + 1.5 std; {window}", 0.0),
        f("quiet_period_indicator", "flag", f"act < mean - 1.0 std; {window}", 0.0),
        f("activity_trend", "score", "tanh(10*OLS slope by index); >= 5 points", 0.0),
        f("price_momentum", "ratio", "tanh((d1-d0)/abs(d0)), 0 if abs(d0) <= 0.001 c", 0.0),
        f("volatility_regime", "5 cents", "min(std(abs mid steps, last 5 + now)/5, 1)", 0.1),
        f("activity_consistency", "ratio", "max(0, 1-std(act, last 5 + now)/0.3)", 0.5),
        f("price_stability", "ratio", "max(0, 1-mean(abs last <= 3 past mid steps)/5)", 0.5),
        f("activity_persistence", "ratio", "min((1+run of abs(act diff) <= 0.1)/10, 1)", 0.0),
    ]


def _portfolio() -> list[Feature]:
    def f(name: str, unit: str, formula: str, empty: float = 0.0) -> Feature:
        return Feature(name, "portfolio", unit, formula, empty, empty)

    return [
        f("cash_ratio", "ratio", "clip(cash/pv, 0, 1)", 1.0),
        f("position_ratio", "ratio", "clip((pv-cash)/pv, 0, 1)"),
        f("position_count_norm", "10 positions", "min(non-flat/10, 1)"),
        f("average_position_size_norm", "1000 contracts", "min(mean abs contracts/1000, 1)"),
        f("long_position_ratio", "ratio", "share of positions > 0"),
        f("short_position_ratio", "ratio", "share of positions < 0"),
        f("net_position_bias", "score", "tanh(sum/sum abs)"),
        f("position_concentration", "ratio", "min(max position value/pv, 1); NO at 1-mid"),
        f("largest_position_norm", "1000 contracts", "min(signed largest/1000, 1)"),
        f("unrealized_pnl_ratio", "score", "tanh((value-cost basis)/pv); NO at 1-mid"),
        f("position_diversity", "ratio", "1 - normalised Herfindahl; one market 1"),
        f("leverage", "ratio", "min(value/pv, 2)/2; NO at 1-mid"),
    ]


def _order() -> list[Feature]:
    def f(name: str, unit: str, formula: str) -> Feature:
        return Feature(name, "order", unit, formula, 0.0, 0.0)

    return [
        f("has_open_buy", "flag", "1 with an open buy"),
        f("has_open_sell", "flag", "1 with an open sell"),
        f("buy_distance_from_mid", "dollars", "min(abs(mid of the leg - first buy limit), 1)"),
        f("sell_distance_from_mid", "dollars", "min(abs(first sell limit - mid of the leg), 1)"),
        f("time_since_order", "300 s", "min(age of the newest open order/300, 1)"),
    ]


OBSERVATION_V1: Final = Schema(
    name="OBSERVATION_V1",
    features=(*_market(), *_temporal(), *_portfolio(), *_order()),
    constants=(
        ("zone", ZONE),
        ("history_ticks", "10"),
        ("log_volume_scale", "ln(1+10000)"),
        ("non_finite", "NaN -> 0, +inf -> 1, -inf -> -1"),
        ("clip", "[-2, 2]"),
        ("n_markets", "1"),
        ("empty_portfolio_below", "pv <= 0.01 dollars"),
        ("unknown_mid", "last known mid, 0.50 when there never was one"),
    ),
)
