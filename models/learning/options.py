"""The command line of `models.train`: flags, and a TOML file that may hold the same.

A flag on the command line wins over the file. Every error names the flag, its value and what is
allowed.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Collection, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec

from ipc.messages import Environment
from ipc.units import format_count, format_money, parse_count, parse_money
from models.command_line import Parser
from models.learning.settings import ChooseBy, TrainingSettings
from models.learning.splits import (
    Curriculum,
    Split,
    chosen,
    moment_ns,
    split_at,
    split_by_days,
    split_by_time,
)
from models.observation.builder import BUILDERS
from models.simulation.rewards import Reward
from models.simulation.tape import RecordedSession
from models.trading.actions import Pricing

__all__ = ["check", "parse", "select", "settings_of", "split_of"]

CONFIG: Final = "config"
HOUR_MS: Final = 3_600_000
_DEFAULT: Final = TrainingSettings()
_RENAMED: Final = {  # flag of an earlier version -> flag and unit of today
    "--contract-size-e2": "--contract-size, in contracts",
    "--market-cash-e6": "--market-cash, in dollars",
}
_SPLITS: Final = {"markets": split_by_time, "days": split_by_days}


def _parser(module: str, about: str) -> Parser:
    parser = Parser(prog=f"python -m {module}", description=about, allow_abbrev=False)
    parser.add_argument(
        "--config", type=Path, help="TOML file with the same names; flags win over it"
    )
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument(
        "--resume", action="store_true", help="continue after the last checkpoint in --out"
    )
    _add_sources(parser.add_argument_group("markets, of any number of sources"))
    _add_split(parser.add_argument_group("split by time"))
    _add_learning(parser.add_argument_group("learning"))
    _add_stages(parser.add_argument_group("stages"))
    return parser


_SOURCES: Final = ("recordings", "archive", "session")


def _add_sources(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--recordings",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="files or folders; may be given again",
    )
    group.add_argument(
        "--skip-damaged", action="store_true", help="leave out recordings that cannot be read"
    )
    group.add_argument(
        "--archive", type=Path, nargs="+", action="extend", default=[], help="Parquet files"
    )
    group.add_argument(
        "--session",
        nargs="+",
        action="extend",
        default=[],
        help="stored sessions: id, uid, latest, all; may be given again",
    )
    group.add_argument(
        "--environment", choices=list(Environment), help="only markets of this environment"
    )
    group.add_argument("--since", help="only markets that begin on this date or later")
    group.add_argument("--before", help="only markets that begin before this date")
    group.add_argument(
        "--mixed",
        action=argparse.BooleanOptionalAction,
        help="allow markets of several environments at once",
    )


def _add_split(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--split", choices=list(_SPLITS), default="markets", help="days: keep whole days together"
    )
    group.add_argument(
        "--train-share",
        type=float,
        default=0.6,
        help="share of the markets that train, the earliest",
    )
    group.add_argument(
        "--validation-share",
        type=float,
        default=0.2,
        help="share that validates; the rest is the test",
    )
    group.add_argument("--train-until", help="a date instead of shares; New York time")
    group.add_argument("--validation-until", help="markets from this date on are the test")
    group.add_argument(
        "--rolling",
        type=int,
        default=0,
        help="also train once per block of the later markets, judged on the block; 0: do not",
    )


def _contracts(text: str) -> int:
    """Contracts as text -> 1e-2 contracts."""
    return _amount(parse_count, text)


def _dollars(text: str) -> int:
    """Dollars as text -> 1e-6 dollars."""
    return _amount(parse_money, text)


def _amount(parse: Callable[[str], int], text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Renamed(argparse.Action):
    """A flag of an earlier version, in the integer unit that it had: read, with one warning."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str, **more: Any) -> None:
        more |= {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
        super().__init__(option_strings, dest, **more)
        self._new = new

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *values: Any
    ) -> None:
        value, flag = values
        print(f"{parser.prog}: {flag} is now {self._new}", file=sys.stderr)
        setattr(namespace, self.dest, value)


def _add_learning(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--schema", choices=list(BUILDERS), default=_DEFAULT.schema)
    group.add_argument("--algorithm", choices=["ppo", "a2c"], default=_DEFAULT.algorithm)
    group.add_argument("--timesteps", type=int, default=_DEFAULT.timesteps)
    group.add_argument("--seed", type=int, default=_DEFAULT.seed)
    group.add_argument("--n-envs", type=int, default=_DEFAULT.n_envs)
    group.add_argument("--gamma", type=float, default=_DEFAULT.gamma)
    group.add_argument("--entropy", type=float, default=_DEFAULT.entropy)
    group.add_argument("--pricing", choices=list(Pricing), default=_DEFAULT.pricing)
    group.add_argument("--throttle-ms", type=int, default=_DEFAULT.throttle_ms)
    group.add_argument(
        "--contract-size",
        dest="contract_size_e2",
        type=_contracts,
        default=_DEFAULT.contract_size_e2,
        metavar="CONTRACTS",
        help="size of an order, default: 10",
    )
    group.add_argument(
        "--market-cash",
        dest="market_cash_e6",
        type=_dollars,
        default=_DEFAULT.market_cash_e6,
        metavar="DOLLARS",
        help="cash that each market begins with, default: 100",
    )
    for old, new in _RENAMED.items():
        dest = old[2:].replace("-", "_")
        group.add_argument(old, dest=dest, type=int, action=_Renamed, new=new)
    group.add_argument(
        "--reward",
        choices=list(Reward),
        default=_DEFAULT.reward,
        help="what a step is worth to the learner; judged is always the net profit or loss",
    )
    group.add_argument(
        "--risk-aversion",
        type=float,
        default=_DEFAULT.risk_aversion,
        help="risk aversion per dollar of --reward risk",
    )
    group.add_argument(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULT.normalise,
        help="normalise observations by their mean and deviation; part of the export",
    )


def _add_stages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--stages", type=int, default=_DEFAULT.stages, help="how many checkpoints and validations"
    )
    group.add_argument(
        "--patience",
        type=int,
        default=_DEFAULT.patience,
        help="stages without a better validation after which to stop; 0: never stop",
    )
    group.add_argument(
        "--choose-by",
        choices=list(ChooseBy),
        default=_DEFAULT.choose_by,
        help="what makes a stage the best: mean net, or the lower end of its interval",
    )
    group.add_argument(
        "--curriculum",
        choices=list(Curriculum),
        default=_DEFAULT.curriculum,
        help="begin with the busiest or the calmest markets",
    )


def _from_file(path: Path, allowed: Sequence[str], given: Collection[str]) -> list[str]:
    """The file's entries as flags, without those `given`; `ValueError` names what is not known."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from None
    flags: list[str] = []
    for name, value in entries.items():
        if name not in allowed and f"--{name}" not in _RENAMED:
            raise ValueError(f"{path}: unknown name {name}; allowed: {', '.join(allowed)}")
        if name in given:
            continue
        if isinstance(value, bool):
            flags += [f"--{name}"] if value else [f"--no-{name}"]
        else:
            values = value if isinstance(value, list) else [value]
            flags += [f"--{name}", *map(str, values)]
    return flags


def parse(
    argv: Sequence[str] | None, module: str = "models.train", about: str = "Train a policy."
) -> argparse.Namespace:
    """Read the flags and, with `--config`, the file.

    Args:
        argv: The arguments; default: those of the process.
        module: The command whose flags these are, for its help and errors.
        about: What it does, for its help.

    Raises:
        ValueError: The file cannot be read or holds unknown names.
        SystemExit: With 2, when a flag is unknown or of another type.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(module, about)
    options = parser.parse_args(given)
    if options.config is None:
        return options
    names = [_flag_of(name) for name in vars(options) if name not in (CONFIG, "resume")]
    # Flags that may be given again add to each other, and so would the file's to them.
    sources = [name for name in _SOURCES if getattr(options, name)]
    return parser.parse_args([*_from_file(options.config, names, sources), *given])


def _flag_of(name: str) -> str:
    """An option's flag without its dashes: flags have no units in their names, options have."""
    return name.removesuffix("_e2").removesuffix("_e6").replace("_", "-")


def check(options: argparse.Namespace) -> None:
    """Check the options against each other.

    Raises:
        ValueError: Names the flag, its value and what is allowed.
    """
    left, size_e2 = 1 - options.train_share, options.contract_size_e2
    cash_e6 = options.market_cash_e6
    bounds = (
        ("--timesteps", options.timesteps, 0 < options.timesteps <= 10**12, "1 to 10^12"),
        ("--seed", options.seed, 0 <= options.seed < 2**31, "0 to 2^31 - 1"),
        ("--throttle-ms", options.throttle_ms, 0 <= options.throttle_ms <= HOUR_MS, "0 to 3600000"),
        ("--n-envs", options.n_envs, 0 < options.n_envs <= 65_536, "1 to 65536"),
        ("--contract-size", format_count(size_e2), size_e2 > 0 and not size_e2 % 100, "1, 2, ..."),
        ("--market-cash", format_money(cash_e6), cash_e6 > 0, "above 0"),
        ("--gamma", options.gamma, 0 < options.gamma <= 1, "above 0, up to 1"),
        ("--entropy", options.entropy, 0 <= options.entropy < inf, "0 or more"),
        ("--risk-aversion", options.risk_aversion, 0 <= options.risk_aversion < inf, "0 or more"),
        ("--stages", options.stages, options.stages > 0, "above 0"),
        ("--patience", options.patience, options.patience >= 0, "0 or more"),
        ("--rolling", options.rolling, options.rolling == 0 or options.rolling > 1, "0, 2 or more"),
        ("--train-share", options.train_share, 0 < options.train_share < 1, "between 0 and 1"),
        (
            "--validation-share",
            options.validation_share,
            0 < options.validation_share <= left + 1e-9,
            f"above 0, up to the {left:g} that --train-share leaves",
        ),
    )
    for name, value, fits, allowed in bounds:
        if not fits:
            raise ValueError(f"invalid value {value} for {name}; allowed: {allowed}")
    if options.out is None:
        raise ValueError("--out is missing: the folder of the run")
    if not (options.recordings or options.archive or options.session):
        raise ValueError("no markets to learn from; allowed: --recordings, --archive, --session")
    if options.validation_until is not None and options.train_until is None:
        raise ValueError("--validation-until needs --train-until")
    settings_of(options).stage_ends()


def settings_of(options: argparse.Namespace) -> TrainingSettings:
    """What the learner is asked for."""
    given = {n: v for n, v in vars(options).items() if n in TrainingSettings.__struct_fields__}
    return msgspec.convert(given, TrainingSettings)


def select(
    options: argparse.Namespace, sessions: Sequence[RecordedSession]
) -> list[RecordedSession]:
    """The markets of the environment and time asked for."""
    return chosen(
        sessions,
        environment=options.environment,
        since_ns=_moment(options.since),
        before_ns=_moment(options.before),
        mixed=bool(options.mixed),
    )


def split_of(options: argparse.Namespace, sessions: Sequence[RecordedSession]) -> Split:
    """The split asked for: by dates where there are any, else by shares."""
    train_until_ns = _moment(options.train_until)
    if train_until_ns is None:
        shares = options.train_share, options.validation_share
        return _SPLITS[options.split](sessions, *shares)
    return split_at(sessions, train_until_ns, _moment(options.validation_until))


def _moment(text: str | None) -> int | None:
    return None if text is None else moment_ns(text)
