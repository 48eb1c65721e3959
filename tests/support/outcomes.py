"""Outcomes of policies that were never run, for the tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from models.evaluation.attribution import Attribution
from models.evaluation.executions import HORIZONS_S, Holding, Markout, QueueShare
from models.evaluation.outcomes import PolicyOutcome

__all__ = ["outcome_of"]

KINDS = ("maker", "taker")


def outcome_of(
    policy: str, dollars: Sequence[float], tickers: Sequence[str] | None = None
) -> PolicyOutcome:
    """Net dollars per market, all of it from the move of the mid."""
    n, nets = len(dollars), tuple(round(d * 1_000_000) for d in dollars)
    return PolicyOutcome(
        policy=policy,
        net_e6=nets,
        fees_e6=(0,) * n,
        filled_e2=(1_000,) * n,
        taker_fills=n,
        maker_fills=n,
        decisions=10 * n,
        action_shares={"HOLD": 0.75, "BUY_YES_LIMIT": 0.25},
        tickers=tuple(tickers or (f"M-{i}" for i in range(n))),
        attribution=tuple(Attribution(move_e6=e6) for e6 in nets),
        ordered_e2=(2_000,) * n,
        turnover_e6=(5_000_000,) * n,
        drawdown_e6=(250_000,) * n,
        holding=(Holding(1_000, 1_500_000),) * n,
        markouts=tuple(
            Markout(k, h, 1_000, -5_000) for k in ("maker", "taker") for h in HORIZONS_S
        ),
        queue=(QueueShare(0, 2, 1_000, 500), QueueShare(None, 1, 1_000, 0)),
    )
