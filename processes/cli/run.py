"""`kalshi-actor run`: the whole stack in the foreground, under supervisord; Ctrl-C stops it.

This process becomes supervisord with the configuration that came with this code, in the Python that
runs it. Kernels are compiled first: the first start takes a minute longer, later ones a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ipc import __version__
from ipc.messages import Environment
from ipc.places import ROOT, default_data_dir, is_installed, resource
from models.command_line import Parser

__all__ = ["main"]


def _data_dir() -> Path:
    """The data folder; a relative one lies below the current folder, as in every other command."""
    named = os.environ.get("RL_DATA_DIR", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    return default_data_dir() if is_installed() else ROOT / default_data_dir()


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become supervisord; ends before with the exit code of kernels that cannot be compiled."""
    parser = Parser(
        prog="python -m processes.cli.run",
        description="Start every process of the stack, and the dashboard at RL_BROADCASTER_PORT.",
    )
    parser.add_argument(
        "--environment",
        choices=list(Environment),
        help="where orders go (default: KALSHI_TRADING_ENVIRONMENT, else simulated)",
    )
    options = parser.parse_args(argv)
    if options.environment:
        os.environ["KALSHI_TRADING_ENVIRONMENT"] = options.environment
    os.environ["RL_DATA_DIR"] = str(_data_dir())
    sys.stderr.write(f"run: kalshi-actor {__version__}, data in {os.environ['RL_DATA_DIR']}\n")
    sys.stderr.flush()
    warmed = subprocess.run([sys.executable, "-m", "processes.runtime.warm"], check=False)
    if warmed.returncode:
        sys.exit(warmed.returncode)
    supervisord = [sys.executable, "-m", "supervisor.supervisord"]
    os.execv(sys.executable, [*supervisord, "-c", str(resource("supervisord.conf"))])


if __name__ == "__main__":
    main()
