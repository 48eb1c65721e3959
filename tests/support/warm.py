"""Compile and cache what the tests use beside the live path: `python -m support.warm`.

Else every worker of a first run compiles the kernels of simulation and evaluation for itself.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from support.made_recording import write_recording

from models import evaluate

__all__ = ["main"]


def main() -> int:
    """Judge a policy on a made recording; -> exit code of `models.evaluate`."""
    with tempfile.TemporaryDirectory() as folder:
        recordings = write_recording(Path(folder) / "recordings", seconds=30)
        policy = ("--policy", "baseline:random", "--all")
        return evaluate.main(["--recordings", str(recordings), *policy])


if __name__ == "__main__":
    sys.exit(main())
