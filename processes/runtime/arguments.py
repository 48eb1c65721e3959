"""The command line of programs that take no arguments: `--help` says what they are, and no more.

Called before anything else, so that asking starts nothing. What else is given is not repeated: it
may be a secret that was meant for a variable.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from models.command_line import Parser

__all__ = ["EXIT_CODES", "refuse_arguments"]

EXIT_CODES: Final = (
    "Exit codes: 0 stopped as asked, or nothing to do; 1 a fault; 2 a setting or file cannot be\n"
    "used (one line says which)."
)
_DATABASE: Final = ("DATABASE_URL",)
_EXCHANGE: Final = ("KALSHI_*",)
_SETTINGS: Final = {  # by the name of a program
    "broadcaster": ("RL_BROADCASTER_*", *_EXCHANGE),
    "collector": ("RL_MARKET_*", "RL_BOOK_*", "RL_JOURNAL_*", "ORDERBOOK_MARKET_LIMIT", *_EXCHANGE),
    "exchange": ("RL_EXCHANGE_*", *_EXCHANGE),
    "execution": (
        "RL_ORDER_EXPIRY_S",
        "RL_RECONCILE_S",
        "RL_QUEUE_POSITION_S",
        "RL_LIMITS_FILE",
        *_EXCHANGE,
    ),
    "inference": ("RL_ACTOR_*", *_EXCHANGE),
    "migrate": _DATABASE,
    "postgres": _DATABASE,
    "recorder": _DATABASE,
    "warm": (),
    "watchdog": _EXCHANGE,
}


def refuse_arguments(name: str, argv: Sequence[str] | None = None) -> None:
    """Print what `name` is and exit with 0 for `--help`; exit with 2 for anything else given."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec else name
    parser = Parser(
        prog=f"python -m {module}",
        command=name,
        description=main.__doc__,
        epilog=f"{_settings(name)}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _, rest = parser.parse_known_args(argv)
    if rest:
        parser.error("takes no arguments (what was given is not shown); --help says what it reads")


def _settings(name: str) -> str:
    names = ", ".join(("RL_DATA_DIR", *_SETTINGS.get(name, ())))
    return f"Settings are variables of the environment, explained in .env.example: {names}."
