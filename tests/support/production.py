"""What production needs before the first order: limits, and a passed examination."""

from __future__ import annotations

from pathlib import Path

from ipc.clock import real_ns
from ipc.messages import Environment
from processes.runtime.doctor_record import (
    DoctorRecord,
    hash_of_file,
    hash_of_key,
    save_doctor_record,
)

__all__ = ["LIMITS", "examined", "write_limits"]

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
