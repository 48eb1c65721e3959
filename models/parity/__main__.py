"""Does replaying the recording reproduce every live decision? `python -m models.parity <session>`.

Rebuilds every decision of a recorded live session: byte equality of observations, equality of masks
and actions. The first differences are shown feature by feature. Exit code 0 when nothing differs, 1
when something does, 2 when there is nothing to compare.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.command_line import Parser, whole
from models.parity.rebuilding import LiveMarket, Report, rebuild
from models.policies.interface import Policy
from models.policies.onnx import ModelError, load_strategy
from models.trading.actions import LimitOrderActionSpace, Pricing

__all__ = ["main"]

ONNX = "onnx:"


def _policies(markets: Iterable[LiveMarket], data_dir: Path) -> tuple[dict[str, Policy], list[str]]:
    """The exported models that decided, by hash, and why others are not available."""
    found: dict[str, Policy] = {}
    missing: list[str] = []
    decisions = (d for market in markets for run in market.runs for d in run.decisions)
    for name, wanted in sorted({(d.model, d.model_hash) for d in decisions if d.logits}):
        if not name.startswith(ONNX):
            continue  # baselines may keep a state: their recorded logits are taken
        try:
            policy = load_strategy(name, data_dir=data_dir)
        except ModelError as error:
            missing.append(f"{name}: actions checked by recorded logits: {error}")
            continue
        if policy.model_hash == wanted:
            found[wanted] = policy
        else:
            missing.append(
                f"{name}: actions checked by recorded logits: the model decided with hash "
                f"{wanted}, the one at hand has {policy.model_hash}"
            )
    return found, missing


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m models.parity", description="Rebuild the decisions of a live session."
    )
    parser.add_argument("session", help="id or uid of a session, or `latest`")
    parser.add_argument("--pricing", choices=list(Pricing), help="default: that of the settings")
    parser.add_argument(
        "--contract-size",
        type=whole(1, 1_000_000),
        help="contracts of an order; default: that of the settings",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing differs, 1 when something does, 2 when there is nothing to compare."""
    from processes.adapters.postgres.live_sessions import LiveSessions

    options = _arguments(argv)
    try:
        stored = LiveSessions(os.environ)
        size_e2 = 100 * (options.contract_size or 0) or stored.contract_size_e2
        space = LimitOrderActionSpace(options.pricing or stored.pricing, size_e2)
        session = stored.load(options.session)
        policies, notes = _policies(session.markets, stored.data_dir)
        report = Report()
        for market in session.markets:
            rebuild(market, space, policies, report, stored.max_data_age_ms)
    except ValueError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2
    if session.active:
        notes.append("still active: compared as far as all of it is recorded")
    print("\n".join([*notes, *report.lines()]))
    if not report.decisions:
        print(f"parity: session {options.session} holds no decisions", file=sys.stderr)
        return 2
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
