"""What the command line may say; a wrong word is one line that names it and what is allowed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ipc.messages import Environment
from models.command_line import Parser
from processes.adapters.kalshi.recordings.reader import AUTO, SEQS
from processes.recorder.sessions import archiving, checking, deleting, importing, listing

__all__ = ["parse"]

ENVIRONMENTS: Final = (*map(str, Environment), "unknown")
STATUSES: Final = ("active", "closed", "error")
SESSIONS: Final = "ids or uids of sessions, `latest` or `all`"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command and its options; ends the program with one line for what cannot be used."""
    parser = Parser(prog="python -m processes.recorder.sessions", description="Stored sessions.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listed = commands.add_parser("list", help="all sessions, newest first")
    listed.add_argument("--environment", choices=ENVIRONMENTS)
    listed.add_argument("--status", choices=STATUSES)
    listed.set_defaults(command=listing.list_sessions)

    shown = commands.add_parser("show", help="a session with its markets and marks")
    shown.add_argument("session", help="id or uid of a session, or `latest`")
    shown.set_defaults(command=listing.show_session)

    verified = commands.add_parser("verify", help="rebuild every book and say what is wrong")
    verified.add_argument("session", nargs="+", help=SESSIONS)
    verified.set_defaults(command=checking.verify_sessions)

    for with_json in (listed, shown, verified):
        with_json.add_argument("--json", action="store_true", help="for programs")

    archived = commands.add_parser("archive", help="write closed sessions to Parquet")
    archived.add_argument("session", nargs="+", help=SESSIONS)
    archived.add_argument("--folder", type=Path, help="default: <RL_DATA_DIR>/archive")
    archived.add_argument("--drop", action="store_true", help="then drop the events here")
    archived.set_defaults(command=archiving.archive_sessions)

    imported = commands.add_parser("import", help="make a session of recordings")
    imported.add_argument("recordings", type=Path, help="a recording, or a folder of them")
    imported.add_argument("--seq", choices=SEQS, default=AUTO, help=_SEQ_HELP)
    imported.add_argument(
        "--environment", choices=list(map(str, Environment)), help="default: by the folder's name"
    )
    imported.add_argument("--skip-damaged", action="store_true", help=_SKIP_HELP)
    imported.add_argument(
        "--again", action="store_true", help="even if a session holds these frames already"
    )
    imported.set_defaults(command=importing.import_recordings)

    deleted = commands.add_parser("delete", help="remove sessions from the database")
    deleted.add_argument("session", nargs="+", help=SESSIONS)
    deleted.add_argument("--yes", action="store_true", help="do not ask")
    deleted.set_defaults(command=deleting.delete_sessions)
    return parser.parse_args(argv)


_SKIP_HELP: Final = "leave out files without a book, and what follows a damaged line"
_SEQ_HELP: Final = (
    "whether a file keeps every frame of its subscriptions (`whole`: a jump of seq is a loss), or "
    "a part of them (`part`: it is not); `auto` looks at how often it jumps"
)
