"""What the command lines have in common: errors of one line, numbers within bounds, tried outputs.

Exit codes are the same everywhere: 0 good, 1 the answer is no, 2 something given cannot be used.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

__all__ = ["EXIT_CODES", "SEEDS", "Parser", "number", "try_file", "try_folder", "whole"]

EXIT_CODES: Final = "Exit codes: 0 good, 1 the answer is no, 2 bad input (one line says which)."
SEEDS: Final = (0, 2**31 - 1)


class Parser(argparse.ArgumentParser):
    """Says in one line what cannot be used, and exits with 2; `--help` ends with the exit codes.

    Arguments: those of `argparse.ArgumentParser`, and `command`, the word that begins an error;
    by default the last part of the module in `prog`.
    """

    def __init__(self, *args: Any, command: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EXIT_CODES)
        super().__init__(*args, **kwargs)
        module = (self.prog.removeprefix("python -m ").split() or [""])[0]
        self.command = command or module.rpartition(".")[2]

    def error(self, message: str) -> NoReturn:
        """One line, not the whole usage."""
        sys.stderr.write(f"{self.command}: {' '.join(message.split())}\n")
        sys.exit(2)


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number within bounds."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"invalid value {text[:40]!r}; allowed: whole numbers from {low} to {high}"
            )
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number within bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"invalid value {text[:40]!r}; allowed: numbers from {low:g} to {high:g}"
            )
        return value

    return read


def try_file(flag: str, path: Path) -> None:
    """`ValueError` unless the file of an argument can be written; leaves everything as it was.

    Asked before the work, so that hours of it are not lost at its end.
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
    """`ValueError` unless files can be made in the folder of an argument; leaves nothing there."""
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
