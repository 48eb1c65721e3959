"""Stop, pause, resume or flatten trading, or ask how it stands.

    python -m processes.execution.trading pause | resume | stop | flatten | status [--json]
    python -m processes.execution.trading why INTENT | ORDER | MARKET [--last N] [--json]

    pause    no new orders; what rests stays, and ends at its expiry unless it is still wanted
    resume   trade again; limits that were hit are cleared
    stop     no new orders; all that rests is cancelled, verified at the exchange
    flatten  stop, and close this stack's positions: small orders, within a collar around the touch
             and a time; what others bought is left and listed (RL_ADOPT=true closes it, too)
    status   the state, since when, by whom and why; what rests, what is held
    why      the story of an order, from the tick to the settlement, out of the database

It needs execution alone, and is answered within 2 seconds. The state outlives a restart. Where
execution does not answer, `stop` goes to the exchange itself, with the stack's own credentials.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
import threading
from collections.abc import Sequence
from typing import Final

from ipc.clock import NS_PER_S, mono_ns
from ipc.errors import KalshiActorError
from ipc.trading import (
    LONGEST_WHY,
    CommandRefused,
    FlattenTerms,
    NoAnswerError,
    TradingCommand,
    TradingMode,
    TradingReport,
    TradingVerb,
    ask,
)
from ipc.units import parse_count, parse_price
from models.command_line import Parser, number, whole
from processes.execution.direct_stop import DirectStop, stop_at_exchange, write_stopped
from processes.execution.trading_answers import direct_json, direct_lines, report_json, report_lines
from processes.execution.trading_why import explain
from processes.runtime.config import Settings, load_settings
from processes.runtime.tasks import HOPELESS

__all__ = ["main"]

EXIT_NO: Final = 1
EXIT_INPUT: Final = 2
BY_HAND: Final = "by hand"
WHY: Final = "why"
WAIT_S: Final = 10.0
LATER_S: Final = 10  # seconds after the deadline of a flatten until what rests is known to be gone
ASK_PAUSE: Final = 0.1  # seconds between questions how far it is
EXITS: Final = "Exit codes: 0 done and verified, 1 not (what is left is listed), 2 bad input."


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m processes.execution.trading",
        description=__doc__,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for verb, what in _WHAT.items():
        command = commands.add_parser(verb, help=what, description=what, epilog=EXITS)
        command.add_argument("--json", action="store_true", help="for programs")
        if verb is not TradingVerb.STATUS:
            why = f"the reason, kept with the state and in the audit (default: {BY_HAND})"
            command.add_argument("--why", type=_why, default=BY_HAND, metavar="TEXT", help=why)
        if verb is TradingVerb.STOP:
            wait = (
                f"wait so long until nothing rests (default: {WAIT_S:g}); execution goes on after"
            )
            command.add_argument(
                "--wait", type=number(0, 3_600), default=WAIT_S, metavar="SECONDS", help=wait
            )
        if verb is TradingVerb.FLATTEN:
            _add_terms(command)
    story = commands.add_parser(WHY, help=_STORY, description=_STORY, epilog=EXITS)
    story.add_argument("word", metavar="INTENT|ORDER|MARKET", help="its id, or a market's ticker")
    last = "orders of a market that are told (default: 5)"
    story.add_argument("--last", type=whole(1, 1_000), default=5, metavar="N", help=last)
    story.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args(argv)


_STORY: Final = (
    "tell an order from tick to settlement: decision, refusals with their numbers, states, fills, "
    "fees, queue, limits, commands, differences, result; of a market its last ones"
)
_WHAT: Final = {
    TradingVerb.PAUSE: "no new orders; what rests stays until its expiry, or while still wanted",
    TradingVerb.RESUME: "trade again, after a pause, a stop or a limit that was hit",
    TradingVerb.STOP: "no new orders; cancel all that rests, verify at the exchange that none does",
    TradingVerb.FLATTEN: "stop, and close every position of this stack, within bounds",
    TradingVerb.STATUS: "state, since when, by whom, why; orders that rest, positions, latches",
}


def _add_terms(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--collar",
        type=_cents,
        default=500,
        metavar="CENTS",
        help="no order is worse than the first touch by more than this (default: 5)",
    )
    command.add_argument(
        "--slice",
        type=_contracts,
        metavar="CONTRACTS",
        help="most contracts of one order (default, and never more: RL_ACTOR_CONTRACT_SIZE)",
    )
    command.add_argument(
        "--deadline",
        type=whole(1, 3_600),
        default=60,
        metavar="SECONDS",
        help="when it ends, whatever is left (default: 60)",
    )


def _why(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_WHY:
        allowed = f"one line of 1 to {LONGEST_WHY} printable characters"
        raise argparse.ArgumentTypeError(f"invalid value {text[:40]!r}; allowed: {allowed}")
    return text


def _cents(text: str) -> int:
    """Cents of a command line in 1e-4 dollars."""
    try:
        cents_e4 = parse_price(text)
    except ValueError:
        cents_e4 = -1
    if not 0 <= cents_e4 < 1_000_000 or cents_e4 % 100:
        allowed = "cents from 0 to 99.99, such as 5 or 2.5"
        raise argparse.ArgumentTypeError(f"invalid value {text[:40]!r}; allowed: {allowed}")
    return cents_e4 // 100


def _contracts(text: str) -> int:
    """Contracts of a command line in 1e-2."""
    try:
        count_e2 = parse_count(text)
    except ValueError:
        count_e2 = 0
    if not 0 < count_e2 <= 10**9:
        allowed = "contracts from 0.01 to 10000000"
        raise argparse.ArgumentTypeError(f"invalid value {text[:40]!r}; allowed: {allowed}")
    return count_e2


def _command(options: argparse.Namespace, verb: TradingVerb) -> TradingCommand:
    terms = None
    if verb is TradingVerb.FLATTEN:
        terms = FlattenTerms(options.collar, options.slice, options.deadline)
    return _asking(verb, getattr(options, "why", BY_HAND), terms)


def _asking(
    verb: TradingVerb, why: str = BY_HAND, terms: FlattenTerms | None = None
) -> TradingCommand:
    return TradingCommand(verb, _user(), os.getpid(), why, mono_ns(), terms)


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without an account
        name = ""
    return name if name.isprintable() and 0 < len(name) <= 100 else f"user {os.getuid()}"


def _run(options: argparse.Namespace, settings: Settings) -> int:
    if options.command == WHY:
        text, is_known = explain(settings, options.word, options.last, as_json=options.json)
        print(text, file=sys.stdout if is_known else sys.stderr)
        return 0 if is_known else EXIT_NO
    verb = TradingVerb(options.command)
    command = _command(options, verb)
    try:
        answer = ask(settings.data_dir, command)
    except NoAnswerError as error:
        print(f"trading: {error}", file=sys.stderr)
        return _past_execution(options, settings, command) if verb is TradingVerb.STOP else EXIT_NO
    if isinstance(answer, CommandRefused):
        print(f"trading: {answer.error}", file=sys.stderr)
        return EXIT_INPUT if answer.is_malformed else EXIT_NO
    if verb in (TradingVerb.STOP, TradingVerb.FLATTEN):
        return _follow(options, settings, command, answer)
    _show(options, answer)
    return EXIT_NO if verb is not TradingVerb.STATUS and answer.persist_error else 0


def _follow(
    options: argparse.Namespace, settings: Settings, command: TradingCommand, first: TradingReport
) -> int:
    """Ask how far it is until it is done, and show how it ended."""
    is_stop = command.verb is TradingVerb.STOP
    wait_s = options.wait if is_stop else options.deadline + LATER_S
    if not first.is_done and not options.json:
        print(f"trading is {first.mode}: {len(first.resting)} orders open", flush=True)
    report = _last_report(options, settings, first, mono_ns() + int(wait_s * NS_PER_S))
    if report is None:
        print("trading: execution does not answer any more", file=sys.stderr)
        return _past_execution(options, settings, command) if is_stop else EXIT_NO
    _show(options, report)
    if report.since_utc_ns != first.since_utc_ns:
        print(f"trading: meanwhile {report.who} made it {report.mode}", file=sys.stderr)
        return EXIT_NO
    if not report.is_done:
        print("trading: not verified yet; execution goes on, ask with status", file=sys.stderr)
    is_held = any(position.own_e2 for position in report.positions)
    is_flat = is_stop or not (is_held or not report.accounts_known)
    is_done = report.is_done and report.mode is TradingMode.STOPPED
    return 0 if is_done and is_flat and not report.persist_error else EXIT_NO


def _last_report(
    options: argparse.Namespace, settings: Settings, first: TradingReport, until_ns: int
) -> TradingReport | None:
    """How it stands once it is done, another command has come or time is up; None without answer.

    Execution may be restarted meanwhile: its state and its work go on.
    """
    report: TradingReport | None = first
    shown = ""
    while mono_ns() < until_ns:
        if report is not None and (report.is_done or report.since_utc_ns != first.since_utc_ns):
            break
        threading.Event().wait(ASK_PAUSE)
        try:
            answer = ask(settings.data_dir, _asking(TradingVerb.STATUS))
        except NoAnswerError:
            report = None
            continue
        report = answer if isinstance(answer, TradingReport) else report
        if report is not None and report.progress != shown and not options.json:
            shown = report.progress
            print(f"  {shown}", flush=True)
    return report


def _past_execution(
    options: argparse.Namespace, settings: Settings, command: TradingCommand
) -> int:
    """A stop without execution, at the exchange itself."""
    mode = settings.execution.mode
    what = "cancelling" if mode == "live" else f"mode {mode} cancels nothing; asking what rests"
    print(f"trading: {what} at the exchange itself", file=sys.stderr)
    unwritten = write_stopped(settings, command)
    done: DirectStop = asyncio.run(stop_at_exchange(settings, options.wait))
    if options.json:
        print(direct_json(done, unwritten))
    else:
        print("\n".join(direct_lines(done, unwritten)))
    return 0 if done.is_clear and not unwritten else EXIT_NO


def _show(options: argparse.Namespace, report: TradingReport) -> None:
    print(report_json(report) if options.json else "\n".join(report_lines(report)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command -> 0 done and verified, 1 not, 2 bad input."""
    options = _arguments(argv)
    try:
        return _run(options, load_settings(os.environ))
    except KalshiActorError as error:
        print(f"trading: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return EXIT_INPUT if isinstance(error, HOPELESS) else EXIT_NO


if __name__ == "__main__":
    sys.exit(main())
