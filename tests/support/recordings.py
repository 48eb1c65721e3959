"""Where the real recordings and wire captures lie, and the reason to skip where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["needs_recordings", "needs_wire", "recordings_folder", "wire_folder"]

REPOSITORY = Path(__file__).resolve().parents[2]


def _found(variable: str, default: Path) -> tuple[Path | None, str]:
    """(the folder, "") or (None, why it is not there)."""
    folder = Path(os.environ.get(variable, "") or default)
    if folder.is_dir():
        return folder, ""
    return None, f"no folder {folder.name!r} beside the repository; {variable} may name one"


def recordings_folder() -> tuple[Path | None, str]:
    """Real recordings of the exchange."""
    return _found("RL_TEST_RECORDINGS", REPOSITORY.parent / "shared" / "recordings")


def wire_folder() -> tuple[Path | None, str]:
    """Recorded REST replies and WebSocket sessions."""
    return _found("KALSHI_WIRE_DIR", REPOSITORY.parent / "shared" / "kalshi" / "wire")


_recordings, _no_recordings = recordings_folder()
_wire, _no_wire = wire_folder()
needs_recordings = pytest.mark.skipif(_recordings is None, reason=_no_recordings)
needs_wire = pytest.mark.skipif(_wire is None, reason=_no_wire)
