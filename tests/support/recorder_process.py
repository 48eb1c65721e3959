"""The recorder as a process of its own, and waiting for what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from support.patience import PATIENCE, eventually
from support.postgres import ROOT, Database

__all__ = ["RecorderProcess", "eventually"]


class RecorderProcess:
    """`python -m processes.recorder` on a database and a data folder of the test."""

    def __init__(self, database: Database, data_dir: Path, log: Path) -> None:
        self._environ = {**os.environ, "DATABASE_URL": database.dsn, "RL_DATA_DIR": str(data_dir)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "processes.recorder"],
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def send(self, signum: int) -> int:
        """Signal, and wait for the end; -> exit code."""
        assert self._process is not None
        self._process.send_signal(signum)
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def ended(self) -> int:
        """Wait until it ends by itself; -> exit code."""
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def kill(self) -> None:
        """Also one that is stopped, or has ended by itself."""
        if self._process is not None:
            self.send(signal.SIGKILL)

    @property
    def said(self) -> str:
        return self._log.read_text()
