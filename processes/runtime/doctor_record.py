"""The record that an examination found no problem: of what, and when.

`kalshi-actor check --connect` writes it, private and whole, into the data folder; in production
execution wants one that is new enough and of the same key, limits and version. It holds no secret:
of the key's id and of `limits.toml` there are hashes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from ipc import __version__
from ipc.clock import NS_PER_S
from ipc.messages import Environment
from ipc.private_files import UnreadableFileError, private_folder, read_json, write_file

__all__ = [
    "DoctorRecord",
    "hash_of_file",
    "hash_of_key",
    "load_doctor_record",
    "record_problem",
    "save_doctor_record",
]

FORMAT: Final = 1
NAME: Final = "passed.json"
DIGITS: Final = 16
HOUR_S: Final = 3_600
LEAD_NS: Final = 300 * NS_PER_S  # how far a record may lie ahead of the clock
WAY: Final = "run kalshi-actor check --connect"


class DoctorRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was examined, without a problem.

    Attributes:
        environment: Where orders would go.
        key_id_hash: Of the key's id.
        limits_hash: Of `limits.toml`; empty where there was none.
        passed_utc_ns: When, Unix nanoseconds.
        version: Of kalshi-actor.
        format: Of this file.
    """

    environment: Environment
    key_id_hash: str
    limits_hash: str
    passed_utc_ns: int
    version: str = __version__
    format: int = FORMAT


def hash_of_key(key_id: str) -> str:
    """16 hex digits that tell one key's id from another's."""
    return hashlib.sha256(key_id.encode()).hexdigest()[:DIGITS]


def hash_of_file(path: Path) -> str:
    """16 hex digits of what a file holds; empty when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]
    except OSError:
        return ""


def _path(data_dir: Path) -> Path:
    return data_dir / "doctor" / NAME


def save_doctor_record(data_dir: Path, record: DoctorRecord) -> None:
    """Replace the record.

    Raises:
        OSError: It cannot be written.
        UnsafePathError: The folder is not this user's alone.
    """
    private_folder(_path(data_dir).parent)
    write_file(_path(data_dir), msgspec.json.encode(record) + b"\n")


def load_doctor_record(data_dir: Path) -> DoctorRecord | str:
    """The record, or why there is none that can be used."""
    try:
        found = read_json(_path(data_dir), DoctorRecord)
    except UnreadableFileError as error:
        return f"its record cannot be read: {error}"
    return f"nothing was examined for {data_dir}" if found is None else found


def record_problem(
    found: DoctorRecord | str, wanted: DoctorRecord, now_utc_ns: int, max_age_s: int
) -> str:
    """Why a record does not show that this start was examined; empty when it does.

    Args:
        found: As of `load_doctor_record`.
        wanted: This start's environment, key, limits and version; its time does not count.
        now_utc_ns: Unix nanoseconds.
        max_age_s: How old it may be, seconds.
    """
    if isinstance(found, str):
        return f"{found}; {WAY}"
    for name, what in _SAME.items():
        if getattr(found, name) != getattr(wanted, name):
            return f"the last examination that passed was of another {what}; {WAY}"
    age_ns = now_utc_ns - found.passed_utc_ns
    if age_ns > max_age_s * NS_PER_S or age_ns < -LEAD_NS:
        hours = age_ns // (HOUR_S * NS_PER_S)
        return f"the last one that passed is {hours} h old, allowed: {max_age_s // HOUR_S}; {WAY}"
    return ""


_SAME: Final = {
    "format": "format",
    "environment": "environment",
    "key_id_hash": "key",
    "limits_hash": "limits.toml",
    "version": "version of kalshi-actor",
}
