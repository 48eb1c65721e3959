"""The language the processes share: units, messages, sockets, journals and shared memory."""

import os
import sys

_LOCATORS = ",".join(f"ipc.kernel_cache.{c}" for c in ("UserProvided", "InTree", "UserWide"))

os.environ.setdefault("NUMBA_CACHE_LOCATOR_CLASSES", _LOCATORS)  # read when Numba is imported
if numba := sys.modules.get("numba"):
    numba.config.CACHE_LOCATOR_CLASSES = _LOCATORS
