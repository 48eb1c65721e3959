"""What a check found, as a line for people and as JSON for programs; and the exit code of all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from ipc.messages import Environment

__all__ = ["Finding", "Report", "Verdict"]

EXIT_OK: Final = 0
EXIT_PROBLEM: Final = 1
_WIDEST: Final = 300  # characters of what was found; a peer may have said it


class Verdict(StrEnum):
    """What a finding means for somebody who wants to start the stack."""

    OK = "ok"
    NOTE = "note"  # good to know; nothing has to be done
    PROBLEM = "problem"
    SKIPPED = "skipped"  # not asked, because of a problem that is named elsewhere


class Finding(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        check: What was checked, one word.
        verdict: What it means.
        found: What is the case, in one sentence.
        advice: What to do; empty where nothing has to be done.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


class Report(msgspec.Struct, frozen=True):
    """All findings of one examination, in the order of the checks."""

    environment: Environment
    data_environment: Environment
    findings: Sequence[Finding]

    @property
    def problems(self) -> list[Finding]:
        """What stands in the way of trading."""
        bad = (Verdict.PROBLEM, Verdict.SKIPPED)
        return [finding for finding in self.findings if finding.verdict in bad]

    @property
    def exit_code(self) -> int:
        """0 without problems, else 1."""
        return EXIT_PROBLEM if self.problems else EXIT_OK

    def as_json(self) -> str:
        """One object: `ok`, both environments, and the list of `checks`."""
        body: dict[str, Any] = {
            "ok": not self.problems,
            "environment": self.environment,
            "data_environment": self.data_environment,
            "checks": [msgspec.to_builtins(finding) for finding in self.findings],
        }
        return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()

    def as_table(self) -> str:
        """A line for each finding, and below it what to do."""
        width = max(len(finding.check) for finding in self.findings)
        lines = [f"{self.environment}, data from {self.data_environment}"]
        for finding in self.findings:
            found = _one_line(finding.found)
            lines.append(f"{finding.check:<{width}}  {finding.verdict:<8} {found}")
            if finding.advice:
                lines.append(f"{'':<{width}}           -> {_one_line(finding.advice)}")
        return "\n".join([*lines, self._last_line()])

    def _last_line(self) -> str:
        count = sum(finding.verdict is Verdict.PROBLEM for finding in self.findings)
        if not self.problems:
            return "no problem was found; no order was placed"
        noun = "problem" if count == 1 else "problems"
        return f"{count} {noun}; what to do stands behind ->; no order was placed"


def _one_line(text: str) -> str:
    """Printable text of a bounded length."""
    plain = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return plain if len(plain) <= _WIDEST else plain[:_WIDEST] + "..."
