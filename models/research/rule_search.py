r"""What variants of the simple rules make: chosen by the earlier markets, judged on the later ones.

    python -m models.research.rule_search --config models/learning/default.toml \
        --recordings DIR --out DIR

Sources, split, pricing, throttle, size and cash are flags of `models.train`; a rule learns nothing,
so its train and validation markets choose together. Prints a line per rule, the best first, and how
often the best of so many would look as good by chance; `rules.json` in `--out` holds the figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from models.command_line import try_folder
from models.evaluation.comparison import best_by_chance, compare
from models.evaluation.outcomes import Outcome, Worlds
from models.learning.options import check, parse, select, settings_of, split_of
from models.learning.settings import Settings
from models.learning.splits import Split
from models.policies.baselines import Hold
from models.research.rule_variants import VARIANTS, RulePolicy

__all__ = ["FIGURES", "main", "search"]

FIGURES: Final = "rules.json"
CHOOSE: Final = "chosen by"
JUDGE: Final = "judged on"


def _played(worlds: Worlds, settings: Settings) -> tuple[Outcome, list[Outcome]]:
    """What holding and every rule make."""
    rules = settings.rules(random_start=False)
    policies = [RulePolicy(name, rule) for name, rule in VARIANTS.items()]
    return worlds.run(Hold(), rules), [worlds.run(policy, rules) for policy in policies]


def search(split: Split, settings: Settings, out: Path) -> list[str]:
    """Play every rule, write the figures -> lines for people. `ValueError` without a test."""
    if not split.test:
        raise ValueError("no markets are left to judge on; allowed: a split with a test")
    parts = {CHOOSE: split.train + split.validation, JUDGE: split.test}
    played = {n: _played(Worlds(p, settings.throttle_ms), settings) for n, p in parts.items()}
    made = {n: [compare(rule, idle) for rule in rules] for n, (idle, rules) in played.items()}
    order = sorted(range(len(VARIANTS)), key=lambda rule: -made[CHOOSE][rule].mean)
    names = list(VARIANTS)
    lines = [f"{names[r]}: {CHOOSE} {made[CHOOSE][r]}, {JUDGE} {made[JUDGE][r]}" for r in order]
    figures = {}
    for name, (_, rules) in played.items():
        nets = np.array([rule.net_e6 for rule in rules]) / 1e6
        figures[name] = dict(zip(names, nets.tolist(), strict=True))
        lines.append(
            f"{name} {nets.shape[1]} markets: the best of {len(nets)} without any edge looks as "
            f"good as the best here, in standard errors, in {best_by_chance(nets):.0%} of cases"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / FIGURES).write_text(json.dumps(figures, indent=1) + "\n")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Search and print; 2 when an argument means nothing."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    try:
        options = parse(argv, "models.research.rule_search", "Search the simple rules.")
        check(options)
        try_folder("--out", options.out)
        sessions = [s for path in options.recordings for s in load_sessions(path)]
        split = split_of(options, select(options, sessions))
        print("\n".join([*split.describe(), *search(split, settings_of(options), options.out)]))
    except (ValueError, OSError) as error:
        print(f"rule_search: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
