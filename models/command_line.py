"""What the command lines have in common: errors of one line, numbers within bounds, tried outputs.

Exit codes are the same everywhere: 0 good, 1 the answer is no, 2 something given cannot be used.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

__all__ = [
    "COMPLETING",
    "EXIT_CODES",
    "SEEDS",
    "Parser",
    "number",
    "show_as",
    "try_file",
    "try_folder",
    "whole",
]

EXIT_CODES: Final = "Exit codes: 0 good, 1 the answer is no, 2 bad input (one line says which)."
SEEDS: Final = (0, 2**31 - 1)
COMPLETING: Final = "_ARGCOMPLETE"  # set by a shell that asks how a word may go on
_PROGRAM: Final = "kalshi-actor"
_MODULE: Final = "python -m "

Number = TypeVar("Number", int, float)
_answering: list[argparse.ArgumentParser] = []
_shown_as: dict[str, str] = {}  # how `kalshi-actor` calls the command that it runs


def show_as(prog: str, examples: Sequence[str]) -> None:
    """Make the `--help` of the command that runs next show another name, and examples of its use.

    Args:
        prog: The words that a user types, such as `kalshi-actor train`.
        examples: Whole lines that a user may type.
    """
    lines = "\n".join(f"  {example}" for example in examples)
    _shown_as.update(prog=prog, epilog=f"Examples:\n{lines}\n\n")


class Parser(argparse.ArgumentParser):
    """Says in one line what cannot be used, and exits with 2; `--help` ends with the exit codes.

    Every parser has `--data-dir`, which stands for `RL_DATA_DIR`, and completes in a shell.

    Args:
        args: Those of `argparse.ArgumentParser`.
        command: The word that begins an error; by default the last part of the module in `prog`.
        kwargs: Those of `argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, command: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EXIT_CODES)
        kwargs.setdefault("conflict_handler", "resolve")  # a command's own --data-dir counts
        prog = kwargs.get("prog") or ""
        if _shown_as and prog.startswith(_MODULE):
            kwargs["prog"] = _shown_as["prog"]
            kwargs["epilog"] = _shown_as["epilog"] + kwargs["epilog"]
            kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(*args, **kwargs)
        words = (prog or self.prog).removeprefix(_MODULE).removeprefix(f"{_PROGRAM} ").split()
        self.command = command or (words or [""])[0].rpartition(".")[2]
        if "--data-dir" not in self._option_string_actions:
            self.add_argument("--data-dir", action=_DataDir, help=_DATA_DIR_HELP)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse`; for a shell that completes a word, answer that and end."""
        if COMPLETING in os.environ and not _answering:
            _answering.append(self)  # it parses, too, to find what may follow
            importlib.import_module("argcomplete").autocomplete(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """One line, not the whole usage."""
        sys.stderr.write(f"{self.command}: {' '.join(message.split())}\n")
        sys.exit(2)


_DATA_DIR_HELP: Final = "the data folder of the stack (default: RL_DATA_DIR, else as installed)"


class _DataDir(argparse.Action):
    """`--data-dir DIR` is `RL_DATA_DIR=DIR` for everything that this command does."""

    def __init__(self, option_strings: Sequence[str], **kwargs: Any) -> None:
        kwargs |= {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "metavar": "DIR"}
        super().__init__(option_strings, **kwargs)

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: Any,
        _option_string: str | None = None,
    ) -> None:
        """Set the variable."""
        if not values.strip():
            raise argparse.ArgumentError(self, "names no folder")
        os.environ["RL_DATA_DIR"] = values


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number within bounds.

    Args:
        low: Least value.
        high: Greatest value.

    Returns:
        For `add_argument(type=...)`; its error names the bounds.
    """
    return _within(int, low, high, f"whole numbers from {low} to {high}")


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number within bounds.

    Args:
        low: Least value.
        high: Greatest value.

    Returns:
        For `add_argument(type=...)`; its error names the bounds. NaN is refused.
    """
    return _within(float, low, high, f"numbers from {low:g} to {high:g}")


def _within(
    kind: Callable[[str], Number], low: Number, high: Number, allowed: str
) -> Callable[[str], Number]:
    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"invalid value {text[:40]!r}; allowed: {allowed}")
        return value

    return read


def try_file(flag: str, path: Path) -> None:
    """Check that the file of an argument can be written; leaves everything as it was.

    Asked before the work, so that hours of it are not lost at its end.

    Args:
        flag: As the user typed it, for the error.
        path: The file.

    Raises:
        ValueError: It cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.is_file():
            target.open("ab").close()
        elif not target.exists():
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            target.unlink()
        elif target.is_dir() or not os.access(target, os.W_OK):
            raise IsADirectoryError(0, "Not a file that can be written")
    except (OSError, ValueError) as error:
        raise _unwritable(flag, path, error, "file") from None


def try_folder(flag: str, path: Path) -> None:
    """Check that files can be made in the folder of an argument; leaves nothing there.

    Args:
        flag: As the user typed it, for the error.
        path: The folder; missing ones are made and removed again.

    Raises:
        ValueError: Nothing can be written there.
    """
    made: list[Path] = []
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, ValueError) as error:
        raise _unwritable(flag, path, error, "folder") from None
    finally:
        for folder in reversed(made):
            folder.rmdir()


def _unwritable(flag: str, path: Path, error: Exception, kind: str) -> ValueError:
    reason = getattr(error, "strerror", None) or error
    return ValueError(f"{flag} {path} cannot be written: {reason}; choose another {kind}")
