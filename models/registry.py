"""Models by name, which of them is live, and how that changes while the stack runs.

    python -m models.registry list|show [ID]|promote ID|rollback|shadow ID [--data-dir DIR]

The rules of promotion are those of `models.policies.registry`. Exit code 0 when the command was
carried out, 2 when it was refused; then nothing has changed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ipc.places import default_data_dir
from models.command_line import Parser
from models.policies.listing import all_facts, as_json, facts
from models.policies.registry import Registry, history_lines, line, model_lines, state

__all__ = ["main"]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m models.registry", description="Which model is live.")
    data_dir = Path(os.environ.get("RL_DATA_DIR") or default_data_dir())
    parser.add_argument("--data-dir", type=Path, default=data_dir)
    behind = Parser(add_help=False)  # the same, after the command
    behind.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, what: str) -> Parser:
        return commands.add_parser(name, help=what, parents=[behind])

    listing = command("list", "every model, and how it compares with the baselines")
    show = command("show", "one model; without ID which is live, and the history")
    show.add_argument("model", nargs="?")
    for with_json in (listing, show):
        with_json.add_argument("--json", action="store_true", help="for programs")
    promote = command("promote", "make a model live")
    promote.add_argument("model")
    promote.add_argument(
        "--override",
        metavar="REASON",
        help="reason to promote it although it does not beat every baseline, or fees were assumed",
    )
    command("rollback", "make the predecessor live again")
    shadow = command("shadow", "let a model decide without ever sending")
    which = shadow.add_mutually_exclusive_group(required=True)
    which.add_argument("model", nargs="?")
    which.add_argument("--off", action="store_true", help="end shadowing")
    return parser.parse_args(argv)


def _done(options: argparse.Namespace, registry: Registry) -> list[str]:
    match options.command:
        case "list" if options.json:
            return [as_json(all_facts(registry))]
        case "show" if options.json:
            return [as_json(facts(options.model, registry))]
        case "list":
            active = registry.active()
            return [line(model_id, registry, active) for model_id in registry.ids()]
        case "show" if options.model:
            return model_lines(options.model, registry, registry.active())
        case "show":
            active = registry.active()
            return [state(active), *history_lines(active)]
        case "promote":
            return [state(registry.promote(options.model, options.override))]
        case "rollback":
            return [state(registry.rollback())]
        case _:
            return [state(registry.shadow(None if options.off else options.model))]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and print the state after it; 2 when it was refused."""
    options = _arguments(argv)
    try:
        registry = Registry(options.data_dir)
        registry.check_folder()
        lines = _done(options, registry)
    except (ValueError, OSError) as error:
        print(f"registry: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
