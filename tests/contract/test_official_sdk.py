"""The official Python SDK trades on the local exchange; nothing of it is changed but the host.

It needs Python 3.13, so it lives in a virtual environment of its own. Where there is no such Python
or no package index this is skipped with the reason; in CI a skip is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from support.exchange import REST, Exchange, running_exchange
from support.patience import PATIENCE

pytestmark = pytest.mark.slow

SDK = "kalshi_python_sync==3.34.0"
SESSION = Path(__file__).resolve().parents[1] / "support" / "sdk_session.py"
WANTED = "3.13"
PLACES = (
    ".pyenv/versions/3.13*/bin/python3.13",
    ".local/share/uv/python/cpython-3.13*/bin/python3.13",
)


def without(reason: str) -> NoReturn:
    """Not here; in CI it must be."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def pythons() -> Iterator[str]:
    """Interpreters that may be the wanted one; a shim may be there without what it stands for."""
    yield sys.executable
    found = shutil.which(f"python{WANTED}")
    if found:
        yield found
    for place in PLACES:
        yield from (str(path) for path in sorted(Path.home().glob(place)))


def is_wanted(python: str) -> bool:
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    ran = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return ran.stdout.strip() == WANTED


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has the SDK."""
    python = next((p for p in pythons() if is_wanted(p)), None)
    if python is None:
        without(f"no Python {WANTED} on this machine; the SDK needs it")
    folder = tmp_path_factory.mktemp("sdk")
    subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True)
    own = str(folder / "bin" / "python")
    install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]
    ran = subprocess.run(install, capture_output=True, text=True, check=False)
    if ran.returncode:
        without(f"{SDK} cannot be installed: {ran.stderr.strip().splitlines()[-1]}")
    return own


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Synthetic markets, settings as they are when nobody sets any."""
    with running_exchange(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize("account", [0, 1], ids=["rsa", "ed25519"])
@pytest.mark.sample(1)
def test_the_sdk_trades(sdk: str, exchange: Exchange, account: int) -> None:
    file = exchange.data_dir / "exchange" / "credentials.json"
    ran = subprocess.run(
        [sdk, str(SESSION), f"{exchange.url}{REST}", str(file), str(account)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "cents": 1_000_000,
        "resting": "resting",
        "amended": "2.00",
        "decreased": "1.00",
        "canceled": "1.00",
        "after": "canceled",
        "taken": "1.00",
        "filled": "1.00",
        "batch": [False, True],
        "open": 0,
    }
