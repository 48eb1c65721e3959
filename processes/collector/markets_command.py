"""The markets that are followed, or would be: `python -m processes.collector.markets_command`.

Beside a running collector it shows what that follows, without asking the exchange. Otherwise, or
with `--look`, it reads the exchange's list once, as the collector does at its start (about 100
requests on the real exchange), and shows what would be followed with these settings. `--programs`
reads the exchange's incentive programs instead, those of any market, about ten requests.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from ipc.clock import NS_PER_MS
from ipc.private_files import UnsafePathError, read_file
from ipc.shared_file import has_writer, shared_path
from models.command_line import Parser
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import command_budget
from processes.collector.choice import ChosenMarket, MarketChoice, MarketRules
from processes.collector.discovery import Discovery, MarketReader, ReadAllowance
from processes.collector.following import (
    FollowedFile,
    FollowedMarket,
    followed_path,
    shown_market,
)
from processes.collector.programs import (
    ListedProgram,
    listed_programs,
    program_table,
    read_programs,
)
from processes.runtime.config import ConfigError, Settings, load_settings
from processes.runtime.log import no_log
from processes.runtime.run import EXIT_CONFIG, EXIT_FAULT

__all__ = ["main", "would_follow"]

HEAD: Final = ("ticker", "close", "volume 24 h", "followed", "reason")
_files: Final = msgspec.json.Decoder(FollowedFile)


async def would_follow(settings: Settings) -> list[ChosenMarket]:
    """What a collector with these settings would follow now.

    Raises:
        ConfigError: a setting, or the key.
        KalshiError: the exchange does not answer.
    """
    target = target_of(settings, Purpose.DATA)
    signer = Signer(load_credentials(settings, Purpose.DATA))
    clock = await clock_of(settings, asyncio.Event())
    budget = command_budget(settings.data_dir, target.environment, no_log())
    async with KalshiTradingClient.at(target, signer, budget) as client:
        choice = MarketChoice(MarketRules.of(settings.books), lambda *_: None)
        reader = MarketReader(client, ReadAllowance(), no_log())
        await Discovery(reader, choice, clock, no_log()).look()
        return choice.choose(clock.now_ns() // NS_PER_MS)


def followed_now(settings: Settings) -> list[FollowedMarket] | None:
    """What a running collector follows; None when none is running."""
    if not has_writer(shared_path(settings.data_dir, "books")):
        return None
    try:
        return _files.decode(read_file(followed_path(settings.data_dir))).markets
    except (OSError, UnsafePathError, msgspec.MsgspecError, UnicodeDecodeError):
        return None  # not written yet, or by another version


async def _markets(settings: Settings, *, look: bool) -> list[FollowedMarket]:
    followed = followed_now(settings)
    if followed is not None and not look:
        return followed
    known = {m.ticker for m in followed or ()}
    chosen = await would_follow(settings)
    return [shown_market(c, followed=c.market.ticker in known) for c in chosen]


async def _programs(settings: Settings) -> list[ListedProgram]:
    """All programs that are active or upcoming, those of followed markets marked."""
    target = target_of(settings, Purpose.DATA)
    signer = Signer(load_credentials(settings, Purpose.DATA))
    clock = await clock_of(settings, asyncio.Event())
    known = {m.ticker for m in followed_now(settings) or ()}
    budget = command_budget(settings.data_dir, target.environment, no_log())
    async with KalshiTradingClient.at(target, signer, budget) as client:
        found = await read_programs(client)
    return listed_programs(found, clock.now_ns() // NS_PER_MS, known)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m processes.collector.markets_command",
        description="The markets that are followed, or would be, and why.",
        command="markets",
    )
    parser.add_argument(
        "--look", action="store_true", help="read the exchange's list even if a collector runs"
    )
    parser.add_argument(
        "--programs", action="store_true", help="incentive programs, by their pool an hour"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args(argv)


def _table(markets: Sequence[FollowedMarket]) -> str:
    rows = [HEAD]
    for m in markets:
        rows.append((m.ticker, m.close, m.volume_24h, "yes" if m.followed else "no", m.reason))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def _show_programs(programs: Sequence[ListedProgram], *, as_json: bool) -> int:
    """Print them; none is an answer too."""
    if as_json:
        print(msgspec.json.encode(programs).decode())
    elif programs:
        print(program_table(programs))
    else:
        sys.stderr.write("markets: no incentive program is active or upcoming\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Print the markets -> exit code: 0, 1 when there are none, 2 for what cannot be used."""
    options = _parse(argv)
    try:
        settings = load_settings(os.environ)
        if options.programs:
            return _show_programs(asyncio.run(_programs(settings)), as_json=options.json)
        markets = asyncio.run(_markets(settings, look=options.look))
    except (ConfigError, UnsafePathError) as error:
        sys.stderr.write(f"markets: {' '.join(str(error).split())}\n")
        return EXIT_CONFIG
    except KalshiError as error:
        sys.stderr.write(f"markets: the exchange does not answer: {error}\n")
        return EXIT_FAULT
    if options.json:
        print(msgspec.json.encode(markets).decode())
    elif markets:
        print(_table(markets))
    else:
        sys.stderr.write("markets: no market fits the settings (RL_MARKET_...)\n")
    return 0 if markets else EXIT_FAULT


if __name__ == "__main__":
    sys.exit(main())
