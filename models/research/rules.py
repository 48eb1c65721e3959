r"""A search over variants of simple rules: what to quote, where, when and until when.

    python -m models.research.rules --config models/learning/default.toml \
        --recordings DIR --out DIR

A rule says of each observation of OBSERVATION_V2 what it wants; the rest is the same for all. None
of them is shipped as a baseline. Sources, split, pricing, throttle, size and cash are flags of
`models.train`; a rule learns nothing, so its train and validation markets choose together. Prints a
line per rule, the best first, and how often the best of so many would look as good by chance;
`rules.json` in `--out` holds the figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.command_line import try_folder
from models.evaluation.comparison import best_by_chance, compare
from models.evaluation.outcomes import Datasets, PolicyOutcome
from models.learning.options import check, parse, select, settings_of, split_of
from models.learning.settings import TrainingSettings
from models.learning.splits import Split
from models.observation.builder import OBSERVATION_V2, builder_of
from models.policies.baselines import Hold
from models.policies.interface import Decisions, Observations
from models.trading.actions import N_ACTIONS, Action, Mask, masked_argmax

__all__ = [
    "FIGURES",
    "VARIANTS",
    "RulePolicy",
    "Wishes",
    "favourite",
    "follower",
    "main",
    "maker",
    "search",
]

Flags = npt.NDArray[np.bool_]

_CLOSE_S: Final = 900.0  # unit of time_to_close
_LAST_S: Final = 5.0  # before the close nothing new is bought
_PRICES: Final = 10.0  # of spread_ticks
_HALF: Final = 0.5  # of a price: between one number of prices and the next
FIGURES: Final = "rules.json"
CHOOSE: Final = "chosen by"
JUDGE: Final = "judged on"


class Wishes(NamedTuple):
    """What a rule wants of each observation, bool[n] each; a sell comes before a buy.

    Attributes:
        buy_yes: Where it would buy YES.
        buy_no: Where it would buy NO; counts only where it does not buy YES.
        sell_yes: Where it would sell YES; forbidden by the mask where none is held.
        sell_no: Where it would sell NO, likewise.
    """

    buy_yes: Flags
    buy_no: Flags
    sell_yes: Flags
    sell_no: Flags


Rule = Callable[[Observations], Wishes]


class RulePolicy:
    """A rule behind the interface of a policy; reads OBSERVATION_V2.

    Args:
        name: Of the variant; part of `model`.
        rule: What it wants.
    """

    builder = builder_of(OBSERVATION_V2.name)

    def __init__(self, name: str, rule: Rule) -> None:
        self.model = f"rule:{name}"
        self.model_hash = blake2b(self.model.encode(), digest_size=8).hexdigest()
        self._rule = rule

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """HOLD where nothing is wanted, or what is wanted is not allowed."""
        wanted = self._rule(observations)
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        logits[:, Action.BUY_YES_LIMIT] = np.where(wanted.buy_yes, 1.0, -1.0)
        logits[:, Action.BUY_NO_LIMIT] = np.where(wanted.buy_no, 1.0, -1.0)
        logits[:, Action.SELL_YES_LIMIT] = np.where(wanted.sell_yes, 2.0, -1.0)
        logits[:, Action.SELL_NO_LIMIT] = np.where(wanted.sell_no, 2.0, -1.0)
        return Decisions(masked_argmax(logits, masks), logits, None)


def _of(observations: Observations, name: str) -> Observations:
    column: Observations = observations[:, OBSERVATION_V2.names.index(name)]
    return column


def _quotes(observations: Observations, prices: int, seconds: int) -> Flags:
    """A spread of so many prices or more, the close so many seconds away or more."""
    wide = _of(observations, "spread_ticks") * _PRICES > prices - _HALF
    early: Flags = _of(observations, "time_to_close") * _CLOSE_S >= seconds
    return wide & early


def maker(
    prices: int, *, most_lean: float = 0.8, thick: bool = False, seconds: int = 0, calm: float = 9.0
) -> Rule:
    """Quote one side at a time and sell what is held.

    Args:
        prices: Least spread, in prices of the grid.
        most_lean: Quotes only where the touch imbalance is below, either way.
        thick: Whether to join the thicker side of the touch rather than the thinner.
        seconds: Quotes only that long before the close or earlier.
        calm: Quotes only where the volatility of 15 s is at most this, in units of 5 cents.
    """

    def rule(seen: Observations) -> Wishes:
        lean, held = _of(seen, "touch_imbalance"), _of(seen, "inventory")
        quotes = _quotes(seen, prices, seconds) & (np.abs(lean) < most_lean)
        quotes &= _of(seen, "volatility_15s") <= calm
        up = lean > 0 if thick else lean <= 0
        return Wishes(quotes & up, quotes & ~up, held > 0, held < 0)

    return rule


def follower(feature: str, least: float, prices: int, *, seconds: int = 0) -> Rule:
    """Buy, once, what a signed feature favours; sell when it favours the other outcome.

    Args:
        feature: Name in OBSERVATION_V2.
        least: What it must exceed, either way.
        prices: Least spread, in prices of the grid.
        seconds: Buys only that long before the close or earlier.
    """

    def rule(seen: Observations) -> Wishes:
        lean, held = _of(seen, feature), _of(seen, "inventory")
        quotes = _quotes(seen, prices, seconds) & (held == 0)
        sells = (held > 0) & (lean < 0), (held < 0) & (lean > 0)
        return Wishes(quotes & (lean > least), quotes & (lean < -least), *sells)

    return rule


def favourite(least: float, seconds: int) -> Rule:
    """Buy, once, the outcome whose mid is high near the close; hold it to the end.

    Args:
        least: Least mid, dollars.
        seconds: Buys only in these last seconds, except for the very last 5.
    """

    def rule(seen: Observations) -> Wishes:
        mid, left_s = _of(seen, "yes_mid"), _of(seen, "time_to_close") * _CLOSE_S
        quotes = (left_s <= seconds) & (left_s >= _LAST_S) & (_of(seen, "inventory") == 0)
        never = np.zeros(len(seen), np.bool_)
        return Wishes(quotes & (mid >= least), quotes & (mid <= 1 - least), never, never)

    return rule


def _variants() -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for prices in (1, 2, 3, 4):
        found[f"maker, {prices} prices"] = maker(prices)
        found[f"maker, {prices} prices, thick side"] = maker(prices, thick=True)
    for prices in (2, 3):
        for lean in (0.3, 0.5):
            found[f"maker, {prices} prices, lean under {lean}"] = maker(prices, most_lean=lean)
        for s in (60, 180, 300):
            found[f"maker, {prices} prices, until {s} s"] = maker(prices, seconds=s)
            thick = maker(prices, thick=True, seconds=s)
            found[f"maker, {prices} prices, thick side, until {s} s"] = thick
        for calm in (0.1, 0.2):
            quiet = maker(prices, seconds=180, calm=calm)
            found[f"maker, {prices} prices, until 180 s, volatility to {calm}"] = quiet
    for feature, least in (
        *(("touch_imbalance", x) for x in (0.3, 0.6, 0.8)),
        *(("five_level_imbalance", x) for x in (0.6, 0.8)),
        *(("order_flow_3s", x) for x in (0.4, 0.6)),
    ):
        for prices in (1, 2, 3):
            for s in (0, 180):
                name = f"{feature} {least}, {prices} prices, until {s} s"
                found[name] = follower(feature, least, prices, seconds=s)
    for least in (0.7, 0.8, 0.9, 0.95):
        for s in (600, 300, 120):
            found[f"favourite {least}, last {s} s"] = favourite(least, s)
    return found


VARIANTS: Final = _variants()


def _played(
    datasets: Datasets, settings: TrainingSettings
) -> tuple[PolicyOutcome, list[PolicyOutcome]]:
    """What holding and every rule make."""
    rules = settings.rules(random_start=False)
    policies = [RulePolicy(name, rule) for name, rule in VARIANTS.items()]
    return datasets.run(Hold(), rules), [datasets.run(policy, rules) for policy in policies]


def search(split: Split, settings: TrainingSettings, out: Path) -> list[str]:
    """Play every rule and write the figures.

    Args:
        split: Train and validation markets choose, test markets judge.
        settings: Pricing, throttle, size and cash.
        out: Folder of `rules.json`; made when missing.

    Returns:
        Lines for people.

    Raises:
        ValueError: The split leaves no markets to judge on.
    """
    if not split.test:
        raise ValueError("no markets are left to judge on; allowed: a split with a test")
    parts = {CHOOSE: split.train + split.validation, JUDGE: split.test}
    played = {n: _played(Datasets(p, settings.throttle_ms), settings) for n, p in parts.items()}
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
    """Search and print; 2 for an invalid argument."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    try:
        options = parse(argv, "models.research.rules", "Search variants of simple rules.")
        check(options)
        try_folder("--out", options.out)
        sessions = [s for path in options.recordings for s in load_sessions(path)]
        split = split_of(options, select(options, sessions))
        print("\n".join([*split.describe(), *split.fee_lines()]))
        print("\n".join(search(split, settings_of(options), options.out)))
    except (ValueError, OSError) as error:
        print(f"rules: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
