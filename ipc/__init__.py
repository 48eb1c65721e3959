"""The language the processes share: units, messages, sockets, journals and shared memory."""

import os
import sys

__version__ = "0.2.0"  # of all three packages; pyproject.toml reads it here

_LOCATORS = ",".join(f"ipc.kernel_cache.{c}" for c in ("UserProvided", "InTree", "UserWide"))

os.environ.setdefault("NUMBA_CACHE_LOCATOR_CLASSES", _LOCATORS)  # read when Numba is imported
if numba := sys.modules.get("numba"):
    numba.config.CACHE_LOCATOR_CLASSES = _LOCATORS
