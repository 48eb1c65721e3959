"""OBSERVATION_V3: OBSERVATION_V2, and what the touch, the flow and the mid were some ticks ago.

Its own features are between those of V2's tick and those of V2's account, both made by V2's own
kernels. Memory is V2's, then the last ticks, shifted in place.
"""

from __future__ import annotations

from typing import Any, Final

from ipc import account_table as a
from ipc import book as b
from ipc.kernels import compiled
from models.observation.schema import Feature, Schema
from models.observation.v2 import FLOATS, OBSERVATION_V2, TICK_SIZE_V2, account_v2, tick_v2

__all__ = ["FLOATS_V3", "OBSERVATION_V3", "TICK_SIZE_V3", "account_v3", "tick_v3"]

LAGS: Final = (1, 4, 20)  # ticks
KEPT: Final = 1 + max(LAGS)  # ticks in the memory, the present one included
EACH: Final = 3  # floats of a tick: touch imbalance, order flow, mid
LAGGED: Final = EACH * len(LAGS)
FIVE_CENTS_A_DOLLAR: Final = 20.0
TICK_SIZE_V3: Final = TICK_SIZE_V2 + LAGGED
FLOATS_V3: Final = FLOATS + EACH * KEPT

# Features of V2.
MID: Final = OBSERVATION_V2.names.index("yes_mid")
IMBALANCE: Final = OBSERVATION_V2.names.index("touch_imbalance")
FLOW: Final = OBSERVATION_V2.names.index("order_flow_1s")


def _features() -> tuple[Feature, ...]:
    def lagged(name: str, unit: str, formula: str) -> list[Feature]:
        return [
            Feature(f"{name}_{lag}_ago", "history", unit, formula.format(lag), 0.0, 0.0)
            for lag in LAGS
        ]

    tick, account = OBSERVATION_V2.features[:TICK_SIZE_V2], OBSERVATION_V2.features[TICK_SIZE_V2:]
    return (
        *tick,
        *lagged("touch_imbalance", "ratio", "touch_imbalance {} ticks ago"),
        *lagged("order_flow", "log", "order_flow_1s {} ticks ago"),
        *lagged("mid_move", "5 cents", "(mid - mid {} ticks ago)/5"),
        *account,
    )


OBSERVATION_V3: Final = Schema(
    name="OBSERVATION_V3",
    features=_features(),
    constants=(
        *OBSERVATION_V2.constants,
        ("short_history", "the first tick where there are fewer"),
    ),
)


@compiled
def _push(history: Any, ticks: int, out: Any) -> int:
    """Append this tick, forgetting the oldest of those kept -> its place."""
    at = min(ticks, KEPT - 1)
    if ticks >= KEPT:
        for i in range(EACH * at):
            history[i] = history[i + EACH]
    history[EACH * at] = out[IMBALANCE]
    history[EACH * at + 1] = out[FLOW]
    history[EACH * at + 2] = out[MID]
    return at


@compiled
def tick_v3(row: b.Row, ticks: int, ints: Any, floats: Any, out: Any) -> None:
    """Make the features of a tick, V2's and then the lagged ones; the memory moves.

    Args:
        row: The book as of the tick.
        ticks: How many came before; 0 begins a new memory.
        ints: int64, the memory of V2, moved to this tick.
        floats: float64[FLOATS_V3], V2's memory and then the last `KEPT` ticks, moved likewise.
        out: float64[36 or more], overwritten.
    """
    tick_v2(row, ticks == 0, ints, floats, out)
    history = floats[FLOATS:]
    now = _push(history, ticks, out)
    for i in range(len(LAGS)):
        then = EACH * max(now - LAGS[i], 0)
        at = TICK_SIZE_V2 + i
        out[at] = history[then]
        out[at + len(LAGS)] = history[then + 1]
        out[at + 2 * len(LAGS)] = (out[MID] - history[then + 2]) * FIVE_CENTS_A_DOLLAR


@compiled
def account_v3(row: b.Row, account: a.AccountRow, out: Any) -> None:
    """Make V2's features of the account, behind those of the tick.

    Args:
        row: The book as of the tick.
        account: The sub-account.
        out: float64, written behind the tick's 36 features.
    """
    account_v2(row, account, out[LAGGED:])
