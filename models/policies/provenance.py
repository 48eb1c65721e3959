"""What was done to a model, and by which code."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

__all__ = ["ModelRun", "revision"]


class ModelRun(msgspec.Struct, frozen=True):
    """A model that was made from sessions, or judged on them; `kind` is train or evaluate.

    The hash is that of what was there: of the learner's file, or of the policy that was judged.
    """

    kind: str
    model_id: str
    model_hash: str
    code_version: str
    config: Mapping[str, object]
    metrics: Mapping[str, object]
    started_ns: int
    ended_ns: int


def revision() -> str:
    """The code's revision, marked when the tree differs from it; 'unknown' outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip()
