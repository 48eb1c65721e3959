"""`kalshi-actor completion SHELL`: what a shell must read to complete commands and flags."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from argcomplete.shell_integration import shellcode

from models.command_line import Parser

__all__ = ["main"]

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the shell's own code; 2 for a shell that is not known."""
    parser = Parser(prog="python -m processes.cli.completion", description=__doc__)
    parser.add_argument("shell", choices=SHELLS)
    print(shellcode(["kalshi-actor"], shell=parser.parse_args(argv).shell))
    return 0


if __name__ == "__main__":
    sys.exit(main())
