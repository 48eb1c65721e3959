"""Money on the exchange's shards: what each has, and moving it from one to another.

    python -m processes.execution.funds list [--json] | move DOLLARS --from SHARD --to SHARD

Every shard of the exchange has collateral of its own (PROTOCOL.md, 6.5), and an order is refused on
a shard without. Amounts are dollars. A transfer has an id that the exchange takes once: repeated
under it, whatever happened to the first try, the money moves once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from ipc.errors import KalshiActorError
from ipc.private_files import random_word
from ipc.units import parse_money
from models.command_line import Parser, whole
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import OrderRejected, UnknownOutcome
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import command_budget
from processes.runtime.config import ConfigError, Settings, load_log, load_settings
from processes.runtime.log import open_log
from processes.runtime.tasks import HOPELESS

__all__ = ["main"]

EXIT_REFUSED: Final = 1
EXIT_INPUT: Final = 2
MOST_SHARD: Final = 100
STEP_E6: Final = 100  # the exchange moves hundredths of a cent
TRIES: Final = 3  # of a transfer whose outcome is unknown, under one id
APPLIED: Final = "transfer_already_applied"
YES: Final = "yes"


class ShardLine(msgspec.Struct, frozen=True):
    """One shard, as `--json` shows it."""

    exchange_index: int
    balance_dollars: str


class FundsList(msgspec.Struct, frozen=True):
    """What `funds list --json` prints."""

    environment: str
    rest_url: str
    subaccount: int | None
    total_dollars: str
    shards: list[ShardLine]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m processes.execution.funds",
        description="Money on the exchange's shards. Amounts are dollars.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="what new orders may use on each shard")
    listing.add_argument("--json", action="store_true", help="for programs")
    move = commands.add_parser("move", help="move money from one shard to another, once")
    move.add_argument("dollars", type=_dollars, metavar="DOLLARS", help="such as 250.00")
    shard = whole(0, MOST_SHARD)
    move.add_argument("--from", dest="source", type=shard, required=True, metavar="SHARD")
    move.add_argument("--to", dest="destination", type=shard, required=True, metavar="SHARD")
    move.add_argument(
        "--id",
        type=_transfer_id,
        metavar="UUID",
        help="of an earlier try of this very transfer, so that it is not made twice",
    )
    move.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    if options.command == "move" and options.source == options.destination:
        parser.error(f"--from and --to are both {options.source}; allowed: two shards")
    return options


def _dollars(text: str) -> int:
    """Dollars of a command line in 1e-6 dollars."""
    try:
        amount_e6 = parse_money(text)
    except ValueError:
        amount_e6 = 0
    if amount_e6 <= 0 or amount_e6 % STEP_E6:
        raise argparse.ArgumentTypeError(
            f"invalid value {text[:40]!r}; allowed: dollars to four decimals, such as 250.00"
        )
    return amount_e6


def _transfer_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid value {text[:40]!r}; allowed: a UUID") from None


def shown(amount_e6: int) -> str:
    """Dollars to the hundredth of a cent, rounded down."""
    sign, units = ("-" if amount_e6 < 0 else ""), abs(amount_e6) // STEP_E6
    return f"{sign}{units // 10_000:,}.{units % 10_000:04d}"


async def _run(options: argparse.Namespace, settings: Settings) -> int:
    target = target_of(settings)
    signer = Signer(load_credentials(settings))
    log = open_log("funds", None, load_log(settings.environ), sys.stderr)
    budget = command_budget(settings.data_dir, target.environment, log)
    subaccount = settings.execution.subaccount
    async with KalshiTradingClient.at(target, signer, budget, subaccount=subaccount) as client:
        try:
            balance = await client.balance()
            shards = await client.shard_balances(balance)
            if options.command == "move":
                return await _move(client, options, shards, subaccount)
        finally:
            budget.close()
    if options.json:
        rows = [ShardLine(i, shown(e6).replace(",", "")) for i, e6 in sorted(shards.items())]
        total = shown(balance.balance_e6).replace(",", "")
        facts = FundsList(target.environment, target.rest_url, subaccount, total, rows)
        print(msgspec.json.encode(facts).decode())
    else:
        _print_table(target, shards, balance.balance_e6)
    return 0


def _print_table(target: KalshiTarget, shards: dict[int, int], total_e6: int) -> None:
    print(f"{target.environment}, {target.rest_url}: dollars that new orders may use")
    rows = [(f"shard {i}", shown(e6)) for i, e6 in sorted(shards.items())]
    for name, amount in [*rows, ("all", shown(total_e6))]:
        print(f"{name:<10}{amount:>16}")


async def _move(
    client: KalshiTradingClient,
    options: argparse.Namespace,
    shards: dict[int, int],
    subaccount: int | None,
) -> int:
    """Ask, move, and say what came of it."""
    source, destination = options.source, options.destination
    what = f"{shown(options.dollars)} dollars from shard {source} to shard {destination}"
    has = " and ".join(f"shard {i} has {shown(shards.get(i, 0))}" for i in (source, destination))
    if not options.yes and not _agreed(f"{client.target.environment}: {has}. Move {what}?"):
        print("nothing is moved")
        return 0
    transfer_id = options.id or uuid.UUID(hex=random_word(16))
    try:
        made = await _moved(client, options, transfer_id, TRIES if not subaccount else 1)
    except OrderRejected as error:
        if error.code == APPLIED:
            print(f"transfer {transfer_id} was made before: nothing is moved again")
            return 0
        print(f"funds: refused: {error}; {has}", file=sys.stderr)
        return EXIT_REFUSED
    except UnknownOutcome as error:
        way = "look at `funds list` before trying again: this subaccount's transfers have no id"
        if not subaccount:
            way = f"repeat the command with --id {transfer_id}: the money moves once"
        print(f"funds: unknown outcome: {error}; {way}", file=sys.stderr)
        return EXIT_REFUSED
    print(f"moved {what} (transfer {made}, client id {transfer_id})")
    return 0


async def _moved(
    client: KalshiTradingClient, options: argparse.Namespace, transfer_id: uuid.UUID, tries: int
) -> str:
    """The exchange's id; tried again under the same one while the outcome is unknown."""
    for left in reversed(range(tries)):
        try:
            return await client.move_collateral(
                options.dollars, options.source, options.destination, transfer_id
            )
        except UnknownOutcome:
            if not left:
                raise
            await asyncio.sleep(1.0)
    raise ValueError(f"tries={tries}; allowed: 1 or more")


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("move asks at a terminal; allowed without one: --yes")
    sys.stderr.write(f"{question} Type {YES}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == YES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command -> 0 done, 1 refused by the exchange or not reached, 2 bad input."""
    options = _arguments(argv)
    try:
        return asyncio.run(_run(options, load_settings(os.environ)))
    except KalshiActorError as error:
        print(f"funds: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return EXIT_INPUT if isinstance(error, HOPELESS) else EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
