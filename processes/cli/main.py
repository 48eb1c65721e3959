"""`kalshi-actor COMMAND ...`: find the command, and run its module as `python -m` would.

Exit codes: 0 good, 1 the answer is no (or a fault), 2 bad input.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from typing import Final

from ipc import __version__
from models.command_line import COMPLETING, EXIT_CODES, Parser, show_as
from processes.cli.commands import COMMANDS

__all__ = ["PROGRAM", "main"]

PROGRAM: Final = "kalshi-actor"
_ABOUT: Final = "Collect Kalshi order books, train a policy on them, trade with it."
_BEGIN: Final = """\
Begin with:
  kalshi-actor run                    everything, on a local exchange; dashboard: 127.0.0.1:8080
  kalshi-actor sessions list          what was recorded
  kalshi-actor COMMAND --help         flags and examples of one command

Settings are variables of the environment; `kalshi-actor settings` lists them with their defaults.
Data lies in RL_DATA_DIR (--data-dir).
"""


def _parser() -> Parser:
    names = "\n".join(f"  {name:<12}{command.what}" for name, command in COMMANDS.items())
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [--data-dir DIR] COMMAND ...",
        description=f"{_ABOUT}\n\nCommands:\n{names}",
        epilog=_BEGIN + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS, metavar="COMMAND")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ends with its exit code.

    Args:
        argv: The words after `kalshi-actor`; by default those of this process.

    Returns:
        The exit code, where the command did not end the process itself.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if COMPLETING in os.environ:
        name, rest = _completed_command(), given
    elif given:
        options = _parser().parse_args(given)
        name, rest = options.command, options.rest
    else:
        _parser().print_help(sys.stderr)
        return 2
    return _run_module(name, rest)


def _completed_command() -> str:
    """The command whose words the shell completes; the shell is told to look from there on.

    Where there is none yet, or one that takes no words, the answer is given here.
    """
    from argcomplete.lexers import split_line

    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "0")
    words = split_line(line, int(point) if point.isdecimal() else 0)[3]
    for place, word in enumerate(words[1:], start=1):
        if word in COMMANDS and not COMMANDS[word].is_program:
            os.environ[COMPLETING] = str(place + 1)
            return word
    _parser().parse_args([])
    raise AssertionError("a completion ends the process")


def _run_module(name: str, rest: Sequence[str]) -> int:
    """What `python -m <module> <rest>` does, in this process."""
    command = COMMANDS[name]
    show_as(f"{PROGRAM} {name}", command.examples)
    sys.argv = [f"{PROGRAM} {name}", *rest]
    try:
        runpy.run_module(command.module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
