"""Checks of this machine and of the settings: room, database, and what a start would do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from ipc.messages import Environment
from ipc.units import format_money
from processes.adapters.postgres.database import check_server
from processes.doctor.findings import Finding, Verdict
from processes.doctor.subject import Subject
from processes.inference.models import REGISTRY, choice_of, strategy_of
from processes.runtime.config import ConfigError
from processes.runtime.preflight import check_idle
from processes.settings_notes import notes_of

__all__ = ["database", "disk", "memory", "plan", "settings"]

DATABASE_BYTES: Final = 1 << 30  # room for the database, beside the journals
MEMORY_BYTES: Final = 1 << 30  # that a stack of a hundred markets and its database use
MEMINFO: Final = Path("/proc/meminfo")
_KIB: Final = 1024


async def settings(subject: Subject) -> list[Finding]:
    """Settings that do nothing, contradict each other or are misspelt."""
    hints = [hint.text for hint in notes_of(subject.settings)]
    return [Finding("settings", Verdict.NOTE, text, "remove or correct it") for text in hints]


async def disk(subject: Subject) -> list[Finding]:
    """Room for journals and database in the data folder."""
    folder = subject.settings.data_dir
    free = shutil.disk_usage(next(f for f in (folder, *folder.parents) if f.exists())).free
    wanted = subject.settings.books.journal_max_bytes + DATABASE_BYTES
    text = f"{_size(free)} free in {folder}"
    if free >= wanted:
        return [Finding("disk", Verdict.OK, text)]
    text += f"; journals (RL_JOURNAL_MAX_BYTES) and database may need {_size(wanted)}"
    advice = "free some room, or choose another folder: RL_DATA_DIR or --data-dir"
    return [Finding("disk", Verdict.PROBLEM, text, advice)]


async def memory(_: Subject) -> list[Finding]:
    """Memory that programs can have now."""
    available = _available(MEMINFO)
    if available is None:
        return [Finding("memory", Verdict.NOTE, "this system does not say how much is free")]
    text = f"{_size(available)} available"
    if available >= MEMORY_BYTES:
        return [Finding("memory", Verdict.OK, text)]
    advice = f"a stack uses about {_size(MEMORY_BYTES)}: end other programs"
    return [Finding("memory", Verdict.PROBLEM, text, advice)]


def _available(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith("MemAvailable:")), [])
    return int(words[1]) * _KIB if len(words) > 1 and words[1].isdecimal() else None


def _size(count: int) -> str:
    return f"{count / (1 << 30):,.1f} GB"


async def database(subject: Subject) -> list[Finding]:
    """A PostgreSQL of the user's own; the embedded one is made at the start."""
    url = subject.settings.database_url
    if url is None:
        return [Finding("database", Verdict.OK, "the embedded PostgreSQL, in the data folder")]
    try:
        await check_server(url)
    except ConfigError as error:
        return [Finding("database", Verdict.PROBLEM, str(error), "correct DATABASE_URL")]
    return [Finding("database", Verdict.OK, "DATABASE_URL answers")]


async def plan(subject: Subject) -> list[Finding]:
    """What a start with these settings would do next."""
    known, actor = subject.settings, subject.settings.actor
    findings = [*_beside(subject)]
    try:
        choice_of(actor)
        policy = strategy_of(known)
    except ConfigError as error:
        return [*findings, Finding("next", Verdict.PROBLEM, str(error), "correct the setting")]
    if not actor.enabled:
        text = "the actor is off: books are recorded, no order is sent"
        advice = "RL_ACTOR_ENABLED=true lets it trade"
        return [*findings, Finding("next", Verdict.NOTE, text, advice)]
    name = policy.model if actor.strategy == REGISTRY else actor.strategy
    text = (
        f"the actor trades: {name}, orders of {actor.contract_size_e2 / 100:g} contracts, "
        f"at most ${format_money(actor.market_cash_e6)[:-4]} in each market"
    )
    if known.environment is Environment.PRODUCTION:
        text = f"REAL MONEY: {text}"
    return [*findings, Finding("next", Verdict.NOTE, text, "RL_ACTOR_ENABLED=false keeps it off")]


def _beside(subject: Subject) -> list[Finding]:
    """A stack that runs on this data folder now."""
    try:
        check_idle(subject.settings.data_dir)
    except ConfigError as error:
        return [Finding("stack", Verdict.NOTE, f"runs now: {error}")]
    return []
