"""Could this stack run, and trade? `python -m processes.check` asks all that its programs will ask.

It starts nothing and changes nothing. supervisord runs it before the first program, so that a wrong
model, recording or database is refused while no order can have been sent. The programs ask again:
each may be started alone. Beside a running stack it says what is in use.

`--connect` asks the exchange, too, and says for each finding what to do; it never places an order.
`--protocol FOLDER` compares our schemas with the exchange's own specifications.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.messages import Environment
from ipc.private_files import UnsafePathError
from ipc.shared_file import shared_path
from models.command_line import Parser
from processes.adapters.kalshi.auth.credentials import credentials_path, load_credentials
from processes.adapters.kalshi.auth.environments import Purpose, needs_local_exchange, target_of
from processes.adapters.postgres.database import check_server
from processes.doctor.examination import examine, keep_record
from processes.doctor.protocol import SpecificationError, compare
from processes.exchange.admin.fault_handlers import fault_schedule_of
from processes.exchange.replay.sources import check_replay
from processes.inference.models import choice_of, strategy_of
from processes.runtime.config import Settings
from processes.runtime.preflight import check_folders, check_free, check_idle
from processes.runtime.run import EXIT_CONFIG, EXIT_FAULT, Run, run
from processes.settings_notes import notes_of, refuse_misspelt

__all__ = ["check", "main"]

_EPILOG: Final = (
    "Settings are variables of the environment, explained in .env.example: RL_DATA_DIR, all.\n"
    "Exit codes: 0 good; 1 a problem, or a difference (each line says what to do); 2 a setting or\n"
    "file cannot be used (one line says which)."
)


async def check(settings: Settings) -> None:
    """Warn of settings that do nothing; `ConfigError` or `LayoutError` for what cannot be used."""
    notes = notes_of(settings)
    for note in notes:
        sys.stderr.write(f"stack: warning: {note.text}\n")
    refuse_misspelt(settings, notes)
    check_idle(settings.data_dir)
    check_folders(settings.data_dir)
    check_free(settings, patience_s=0.0)
    _check_exchange(settings)
    choice_of(settings.actor)
    strategy_of(settings)
    _check_tables(settings)
    if settings.database_url:
        await check_server(settings.database_url)


def _check_exchange(settings: Settings) -> None:
    """The exchange that is talked to: its addresses and keys, or what the local one replays."""
    for purpose in Purpose:
        target = target_of(settings, purpose)
        is_local = target.environment is Environment.SIMULATED
        if not is_local or credentials_path(settings.data_dir).exists():
            load_credentials(settings, purpose)
    if needs_local_exchange(settings):
        check_replay(settings)
        fault_schedule_of(settings)


def _check_tables(settings: Settings) -> None:
    """Tables in memory that another version still writes, or files that are no tables."""
    for name, kind in (("books", BookTable), ("accounts", AccountTable)):
        try:
            kind.attach(shared_path(settings.data_dir, name)).close()
        except FileNotFoundError:
            continue


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m processes.check",
        command="stack",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--environment", choices=list(Environment), help="instead of KALSHI_TRADING_ENVIRONMENT"
    )
    parser.add_argument(
        "--connect",
        action="store_true",
        help="ask the exchange, too: key, clock, money, positions, markets, WebSocket; reads only",
    )
    parser.add_argument(
        "--protocol",
        metavar="FOLDER",
        type=Path,
        help="compare our schemas with openapi.yaml and asyncapi.yaml of FOLDER, and no more",
    )
    parser.add_argument("--json", action="store_true", help="for programs, not for people")
    options: argparse.Namespace
    options, rest = parser.parse_known_args(argv)
    if rest:
        parser.error("an argument is unknown (it is not shown); --help says what it reads")
    if options.connect and options.protocol:
        parser.error("--connect and --protocol are two checks; give one of them")
    if options.json and not (options.connect or options.protocol):
        parser.error("--json goes with --connect or --protocol")
    return options


async def _examined(this: Run, *, as_json: bool) -> None:
    """Print what was found; ends with its exit code."""
    report = await examine(this.settings)
    print(report.as_json() if as_json else report.as_table())
    if report.exit_code:
        raise SystemExit(report.exit_code)
    try:
        keep_record(this.settings)
    except (OSError, UnsafePathError) as error:
        sys.stderr.write(f"stack: that this passed could not be noted: {error}\n")
        raise SystemExit(EXIT_FAULT) from None


def _compared(folder: Path, *, as_json: bool) -> int:
    """Print how the specifications in a folder differ -> the exit code."""
    try:
        titles, differences = compare(folder)
    except SpecificationError as error:
        sys.stderr.write(f"stack: {error}\n")
        return EXIT_CONFIG
    if as_json:
        rows = [difference._asdict() for difference in differences]
        body = {"ok": not rows, "specifications": titles, "differences": rows}
        print(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
    else:
        print("\n".join([", ".join(titles), *map(str, differences)]))
        print(f"{len(differences)} differences" if differences else "no difference")
    return EXIT_FAULT if differences else 0


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Check, and end with the exit code: 0 good, 1 a problem, 2 what was given cannot be used."""
    options = _options(argv)
    if options.protocol:
        sys.exit(_compared(options.protocol, as_json=options.json))
    if options.environment:
        os.environ["KALSHI_TRADING_ENVIRONMENT"] = options.environment
    if options.connect:
        run("stack", partial(_examined, as_json=options.json), reads_arguments=False)
    run("stack", _main, reads_arguments=False)


async def _main(this: Run) -> None:
    await check(this.settings)


if __name__ == "__main__":
    main()
