"""Where the files are that are not Python, and where data goes when no setting says.

In a checkout `migrations/`, `frontend/dist/` and `supervisord.conf` lie at its top. `setup.py`
copies them into a wheel, below `processes/packaged/`, under the same names; nothing else differs
between the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import platformdirs

__all__ = ["ROOT", "default_data_dir", "is_installed", "resource"]

ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGED: Final = ROOT / "processes" / "packaged"


def is_installed() -> bool:
    """Whether this code runs from an installed wheel; False in a checkout."""
    return _PACKAGED.is_dir()


def resource(name: str) -> Path:
    """Find a file or folder that is not Python.

    Args:
        name: Path below the top of the checkout, such as `migrations` or `frontend/dist`.

    Returns:
        Where it is in this installation. It is not checked that it exists.
    """
    return (_PACKAGED if is_installed() else ROOT) / name


def default_data_dir() -> Path:
    """What `RL_DATA_DIR` is when it is unset.

    Returns:
        In a checkout `var`, below the current folder; for an installed wheel a folder of the
        user's own (`~/.local/share/kalshi-actor` on Linux, `XDG_DATA_HOME` moves it): the same
        from any folder.
    """
    if is_installed():
        return platformdirs.user_data_path("kalshi-actor", appauthor=False)
    return Path("var")
