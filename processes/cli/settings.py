"""`kalshi-actor settings`: the example of an `.env` file, which names every setting."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from ipc.messages import Environment
from ipc.places import resource
from models.command_line import Parser

__all__ = ["main"]

_EXAMPLES: Final = {
    Environment.SIMULATED: ".env.example",
    Environment.DEMO: ".env.demo.example",
    Environment.PRODUCTION: ".env.production.example",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the example for an environment."""
    parser = Parser(
        prog="python -m processes.cli.settings",
        description="Print an example of an .env file: every setting, explained, with its default.",
    )
    parser.add_argument("--environment", choices=list(Environment), default=Environment.SIMULATED)
    options = parser.parse_args(argv)
    example = resource(_EXAMPLES[Environment(options.environment)])
    sys.stdout.write(example.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
