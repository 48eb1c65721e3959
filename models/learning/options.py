"""The command line of `models.train`: flags, and a TOML file that may hold the same.

A flag that is given wins over the file. What means nothing is named with what is allowed.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from ipc.messages import Environment
from models.command_line import Parser
from models.learning.curriculum import Curriculum
from models.learning.settings import ChooseBy, Settings
from models.learning.splits import (
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
_DEFAULT: Final = Settings()
_SPLITS: Final = {"markets": split_by_time, "days": split_by_days}


def _parser(module: str, about: str) -> Parser:
    parser = Parser(prog=f"python -m {module}", description=about, allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="TOML file of the same names; flags win")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument(
        "--resume", action="store_true", help="go on after the last checkpoint in --out"
    )
    _add_sources(parser.add_argument_group("markets, of any number of sources"))
    _add_split(parser.add_argument_group("split by time"))
    _add_learning(parser.add_argument_group("learning"))
    _add_stages(parser.add_argument_group("stages"))
    return parser


def _add_sources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--recordings", type=Path, nargs="+", default=[], help="files or folders")
    group.add_argument("--archive", type=Path, nargs="+", default=[], help="Parquet files")
    group.add_argument(
        "--session", nargs="+", default=[], help="stored sessions: id, uid, latest, all"
    )
    group.add_argument("--environment", choices=list(Environment), help="only markets of this one")
    group.add_argument("--since", help="only markets that begin at this date or later")
    group.add_argument("--before", help="only markets that begin before this date")
    group.add_argument(
        "--mixed", action=argparse.BooleanOptionalAction, help="of several environments at once"
    )


def _add_split(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--split", choices=list(_SPLITS), default="markets", help="days: whole ones kept together"
    )
    group.add_argument("--train-share", type=float, default=0.6, help="of the markets, by time")
    group.add_argument("--validation-share", type=float, default=0.2, help="the rest is the test")
    group.add_argument("--train-until", help="dates instead of shares; New York time")
    group.add_argument("--validation-until", help="later markets are the test")
    group.add_argument(
        "--rolling",
        type=int,
        default=0,
        help="also: in so many blocks of the later markets, each judges what all before it taught",
    )


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
        "--contract-size-e2",
        type=int,
        default=_DEFAULT.contract_size_e2,
        help="of an order, in hundredths of a contract",
    )
    group.add_argument(
        "--market-cash-e6",
        type=int,
        default=_DEFAULT.market_cash_e6,
        help="that each market begins with, in millionths of a dollar",
    )
    group.add_argument(
        "--reward",
        choices=list(Reward),
        default=_DEFAULT.reward,
        help="what a step is worth to the learner; judged is always the net P&L",
    )
    group.add_argument(
        "--risk-aversion",
        type=float,
        default=_DEFAULT.risk_aversion,
        help="per dollar, of the reward risk",
    )
    group.add_argument(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULT.normalise,
        help="observations, by mean and deviation on the training markets; part of the export",
    )


def _add_stages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--stages", type=int, default=_DEFAULT.stages, help="checkpoints and validations"
    )
    group.add_argument(
        "--patience",
        type=int,
        default=_DEFAULT.patience,
        help="stop after so many stages without a better validation, keep the best; 0: never",
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
        help="begin with the markets in which most, or least, happens",
    )


def _from_file(path: Path, allowed: Sequence[str]) -> list[str]:
    """The file's entries as flags; `ValueError` names what is not known."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no TOML file: {error}") from None
    flags: list[str] = []
    for name, value in entries.items():
        if name not in allowed:
            raise ValueError(f"{path}: {name} is not known; allowed: {', '.join(allowed)}")
        if isinstance(value, bool):
            flags += [f"--{name}"] if value else [f"--no-{name}"]
        else:
            values = value if isinstance(value, list) else [value]
            flags += [f"--{name}", *map(str, values)]
    return flags


def parse(
    argv: Sequence[str] | None, module: str = "models.train", about: str = "Train a policy."
) -> argparse.Namespace:
    """Options by flags and file; `ValueError`, or the parser's own exit with 2."""
    given = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(module, about)
    options = parser.parse_args(given)
    if options.config is None:
        return options
    names = [name.replace("_", "-") for name in vars(options) if name not in (CONFIG, "resume")]
    return parser.parse_args([*_from_file(options.config, names), *given])


def check(options: argparse.Namespace) -> None:
    """`ValueError` names the argument, its value and what is allowed."""
    left, size_e2 = 1 - options.train_share, options.contract_size_e2
    bounds = (
        ("--timesteps", options.timesteps, 0 < options.timesteps <= 10**12, "1 to 10^12"),
        ("--seed", options.seed, 0 <= options.seed < 2**31, "0 to 2^31 - 1"),
        ("--throttle-ms", options.throttle_ms, 0 <= options.throttle_ms <= HOUR_MS, "0 to 3600000"),
        ("--n-envs", options.n_envs, 0 < options.n_envs <= 65_536, "1 to 65536"),
        ("--contract-size-e2", size_e2, size_e2 > 0 and size_e2 % 100 == 0, "100, 200, ..."),
        ("--market-cash-e6", options.market_cash_e6, options.market_cash_e6 > 0, "above 0"),
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
            raise ValueError(f"{name} {value} means nothing; allowed: {allowed}")
    if options.out is None:
        raise ValueError("--out is missing: the folder of the run")
    if not (options.recordings or options.archive or options.session):
        raise ValueError("no markets to learn from; allowed: --recordings, --archive, --session")
    if options.validation_until is not None and options.train_until is None:
        raise ValueError("--validation-until means nothing without --train-until")
    settings_of(options).stage_ends()


def settings_of(options: argparse.Namespace) -> Settings:
    """What the learner is asked for."""
    given = {n: v for n, v in vars(options).items() if n in Settings.__struct_fields__}
    return msgspec.convert(given, Settings)


def select(
    options: argparse.Namespace, sessions: Sequence[RecordedSession]
) -> list[RecordedSession]:
    """The markets of the asked environment and time."""
    return chosen(
        sessions,
        environment=options.environment,
        since_ns=_moment(options.since),
        before_ns=_moment(options.before),
        mixed=bool(options.mixed),
    )


def split_of(options: argparse.Namespace, sessions: Sequence[RecordedSession]) -> Split:
    """The split that was asked for: by dates where there are any, else by shares."""
    train_until_ns = _moment(options.train_until)
    if train_until_ns is None:
        shares = options.train_share, options.validation_share
        return _SPLITS[options.split](sessions, *shares)
    return split_at(sessions, train_until_ns, _moment(options.validation_until))


def _moment(text: str | None) -> int | None:
    return None if text is None else moment_ns(text)
