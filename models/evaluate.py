"""How policies and baselines do on recorded markets: net P&L per market, fees and settlement in.

    python -m models.evaluate --recordings DIR --policy onnx:default --policy baseline:random
    python -m models.evaluate --archive SESSION.parquet --policy var/models/mine --report FOLDER
    python -m models.evaluate --session 1 --session 2 --json FIGURES.json

A policy is `onnx:<id>`, `baseline:<name>` or a folder with a manifest; the first is the one that is
judged. Without `--policy`: the default model and every baseline. Markets that a model learned from
are left out unless `--all` says otherwise; pricing, sizes and throttle are the first model's own.
Every pair is compared market by market; the interval is a bootstrap over markets.

Where it is not known what a market paid, what is held at its end counts at the last known touch,
less the fee of closing it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ipc.clock import real_ns
from ipc.messages import Environment
from ipc.places import default_data_dir
from models.command_line import SEEDS, Parser, try_file, try_folder, whole
from models.evaluation.comparison import compare
from models.evaluation.outcomes import Outcome, Worlds, run_policy
from models.evaluation.report import figures, terminal_lines, write_report
from models.learning.splits import TEST, TRAIN, VALIDATION
from models.policies.baselines import BASELINES
from models.policies.interface import Policy
from models.policies.onnx import OnnxPolicy, load_strategy
from models.policies.provenance import ModelRun, revision
from models.simulation.engine import Rules
from models.simulation.tape import RecordedSession
from models.trading.actions import Pricing

__all__ = ["Outcome", "Worlds", "compare", "load_policy", "main", "run_policy"]

THROTTLE_MS: Final = 250


def load_policy(name: str, *, seed: int = 0, data_dir: Path) -> Policy:
    """`onnx:<id>`, `baseline:<name>` or a folder that holds a model; `ValueError` otherwise."""
    if Path(name).is_dir():
        return OnnxPolicy(Path(name))
    if name.partition(":")[0] in ("onnx", "baseline"):
        return load_strategy(name, seed=seed, data_dir=data_dir)
    allowed = ", ".join(["onnx:<id>", "a model's folder", *(f"baseline:{b}" for b in BASELINES)])
    raise ValueError(f"policy {name!r} is not known, allowed: {allowed}")


def _learned_from(policies: Sequence[Policy]) -> set[str]:
    """Markets that taught any model among the policies, or chose it and left others to judge."""
    learned: set[str] = set()
    for policy in policies:
        if isinstance(policy, OnnxPolicy):
            split = policy.manifest.split
            learned |= {*split[TRAIN], *(split.get(VALIDATION, ()) if split.get(TEST) else ())}
    return learned


def _held_out(sessions: Sequence[RecordedSession], learned: set[str]) -> list[RecordedSession]:
    """The markets that no model learned from; `ValueError` when none is left."""
    held_out = [s for s in sessions if s.ticker not in learned]
    if not held_out:
        raise ValueError(f"all {len(sessions)} markets were learned from; --all judges on them too")
    return held_out


def _rules(policies: Sequence[Policy]) -> tuple[Rules, int]:
    """Rules and throttle in milliseconds that the first model was trained with, else defaults."""
    for policy in policies:
        if isinstance(policy, OnnxPolicy):
            m = policy.manifest
            rules = Rules(
                pricing=m.pricing,
                contract_size_e2=m.contract_size_e2,
                market_cash_e6=m.market_cash_e6,
            )
            return rules, m.throttle_ms
    return Rules(), THROTTLE_MS


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m models.evaluate", description="Judge policies on recorded markets."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--recordings", type=Path, help="file or folder")
    source.add_argument(
        "--archive", type=Path, action="append", help="an archived session (Parquet); repeat"
    )
    source.add_argument(
        "--session",
        action="append",
        help="id or uid of a stored session, `latest` or `all`; repeat",
    )
    parser.add_argument(
        "--policy", action="append", help="onnx:<id>, baseline:<name>, or a model's folder; repeat"
    )
    parser.add_argument("--all", action="store_true", help="markets that were learned from too")
    parser.add_argument("--pricing", choices=list(Pricing), help="default: the first model's")
    parser.add_argument(
        "--throttle-ms", type=whole(0, 3_600_000), help="default: the first model's"
    )
    parser.add_argument("--seed", type=whole(*SEEDS), default=0)
    parser.add_argument("--environment", choices=list(Environment), help="only markets of this one")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("RL_DATA_DIR") or default_data_dir()),
        help="the data folder of the stack (default: RL_DATA_DIR)",
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--report", type=Path, help="folder for report.md and report.html")
    return parser.parse_args(argv)


def _of_environment(
    sessions: Sequence[RecordedSession], environment: str | None
) -> list[RecordedSession]:
    """Those recorded in one environment; `ValueError` when there are none."""
    found = [s for s in sessions if environment in (None, s.environment)]
    if environment is not None and not found:
        raise ValueError(f"--environment {environment}: none of {len(sessions)} markets is of it")
    return found


def _setting(
    sessions: Sequence[RecordedSession],
    learned: set[str],
    rules: Rules,
    throttle_ms: int,
    seed: int,
) -> dict[str, str]:
    """What the figures depend on besides the policies, for the reader."""
    judged = {s.ticker for s in sessions}
    no_result = sum(s.yes_value_e4 is None for s in sessions)
    latencies = [ns / 1e6 for ns in rules.latencies_ns]
    return {
        "markets": f"{len(sessions)}, of them {no_result} without a known result",
        "markets that a model learned from": str(len(judged & learned)),
        "environments": ", ".join(sorted({s.environment.value for s in sessions})),
        "pricing": rules.pricing.value,
        "contracts of an order": f"{rules.contract_size_e2 / 100:g}",
        "cash of a market": f"{rules.market_cash_e6 / 1e6:g} dollars",
        "time between ticks": f"{throttle_ms} ms",
        "latency": f"{min(latencies):g} to {max(latencies):g} ms",
        "seed": str(seed),
    }


def _judge(
    options: argparse.Namespace, sessions: Sequence[RecordedSession]
) -> tuple[list[Outcome], dict[str, str]]:
    """The outcomes, in the order of the policies, and what they depend on."""
    names = options.policy or ["onnx:default", *(f"baseline:{name}" for name in BASELINES)]
    policies = [load_policy(n, seed=options.seed, data_dir=options.data_dir) for n in names]
    learned = _learned_from(policies)
    chosen = sessions if options.all else _held_out(sessions, learned)
    rules, throttle_ms = _rules(policies)
    if options.pricing:
        rules = msgspec.structs.replace(rules, pricing=Pricing(options.pricing))
    if options.throttle_ms is not None:
        throttle_ms = options.throttle_ms
    worlds = Worlds(chosen, throttle_ms)
    outcomes = [worlds.run(p, rules, options.seed) for p in policies]
    judged = [s for s in chosen if s.ticker in worlds.tickers]
    return outcomes, _setting(judged, learned, rules, throttle_ms, options.seed)


def _try_outputs(options: argparse.Namespace) -> None:
    """`ValueError` for a file or folder that could not be written at the end of the work."""
    if options.json:
        try_file("--json", options.json)
    if options.report:
        try_folder("--report", options.report)


def _write(
    options: argparse.Namespace, outcomes: Sequence[Outcome], setting: dict[str, str]
) -> None:
    if options.json:
        options.json.write_text(json.dumps(figures(outcomes, setting), indent=2) + "\n")
    if options.report:
        write_report(options.report, outcomes, setting)


def _runs(outcomes: Sequence[Outcome], setting: dict[str, str], begun_ns: int) -> list[ModelRun]:
    """One note for each model that was judged."""
    code = revision()
    return [
        ModelRun(
            kind="evaluate",
            model_id=o.policy,
            model_hash=o.model_hash,
            code_version=code,
            config=setting,
            metrics=msgspec.to_builtins(o),
            started_ns=begun_ns,
            ended_ns=real_ns(),
        )
        for o in outcomes
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the verdict and a line per policy and per pair; 2 when an argument means nothing."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions
    from processes.adapters.postgres.archives import load_archive
    from processes.adapters.postgres.stored_markets import load_stored, note_runs

    options, begun_ns = _arguments(argv), real_ns()
    environ = {**os.environ, "RL_DATA_DIR": str(options.data_dir)}
    try:
        _try_outputs(options)
        if options.session:
            sessions = load_stored(environ, options.session, options.environment, mixed=False)
        elif options.archive:
            sessions = [market for path in options.archive for market in load_archive(path)]
        else:
            sessions = load_sessions(options.recordings)
        sessions = _of_environment(sessions, options.environment)
        outcomes, setting = _judge(options, sessions)
        print("\n".join(terminal_lines(outcomes)), flush=True)  # first: writing may still fail
        _write(options, outcomes, setting)
        if options.session:
            note_runs(environ, options.session, _runs(outcomes, setting, begun_ns))
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
