"""What production needs before the first order: limits, a passed examination, a watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ipc.clock import mono_ns, real_ns
from ipc.messages import Environment, ProcessStats
from processes.runtime.config import Settings
from processes.runtime.doctor_record import (
    DoctorRecord,
    hash_of_file,
    hash_of_key,
    save_doctor_record,
)
from processes.runtime.wires import Wires

__all__ = ["LIMITS", "examined", "reporting_watchdog", "write_limits"]

LIMITS = "total_exposure = 50.00\ndaily_loss = 10.00"


def write_limits(data_dir: Path, text: str = LIMITS, table: str = "production") -> Path:
    """`limits.toml` with one table, replaced at once."""
    path, aside = data_dir / "limits.toml", data_dir / "limits.new"
    aside.write_text(f"[{table}]\n{text}\n")
    aside.chmod(0o600)
    aside.rename(path)
    return path


def examined(data_dir: Path, key_id: str, **fields: object) -> DoctorRecord:
    """The record that `check --connect` leaves when it passes with this key and these limits."""
    facts: dict[str, object] = {
        "environment": Environment.PRODUCTION,
        "key_id_hash": hash_of_key(key_id),
        "limits_hash": hash_of_file(data_dir / "limits.toml"),
        "passed_utc_ns": real_ns(),
    }
    record = DoctorRecord(**(facts | fields))  # type: ignore[arg-type]
    save_doctor_record(data_dir, record)
    return record


@asynccontextmanager
async def reporting_watchdog(settings: Settings) -> AsyncIterator[None]:
    """What a watchdog says that sees execution's heartbeat, over its own socket."""
    wires = Wires(settings.data_dir, settings.environ, 1)
    publisher = wires.publisher("watchdog")

    async def report() -> None:
        while True:
            stats = ProcessStats(process="watchdog", mono_ns=mono_ns(), counters={"watching": 1})
            publisher.send("stats", stats)
            await asyncio.sleep(0.1)

    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        wires.close()
