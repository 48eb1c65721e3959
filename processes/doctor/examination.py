"""Runs every check, each bounded in time; one that fails does not stop the others.

It reads only: no call of it places, changes or cancels an order or moves money.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ipc.clock import real_ns
from ipc.private_files import data_folder
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import data_environment_of
from processes.adapters.kalshi.errors import AuthError, KalshiError
from processes.doctor import account_checks, exchange_checks, machine_checks, market_checks
from processes.doctor.findings import Finding, Report, Verdict
from processes.doctor.subject import Check, Subject, advice_of
from processes.runtime.config import Settings
from processes.runtime.doctor_record import (
    DoctorRecord,
    hash_of_file,
    hash_of_key,
    save_doctor_record,
)

__all__ = ["CHECKS", "examine", "keep_record"]

CHECKS: Final = (  # in this order: later ones use what earlier ones found out
    Check("settings", 5.0, False, machine_checks.settings),
    Check("clock", 10.0, False, exchange_checks.clock),
    Check("exchange", 15.0, False, exchange_checks.hours),
    Check("key", 15.0, True, account_checks.key),
    Check("tier", 15.0, True, account_checks.tier),
    Check("latency", 30.0, True, exchange_checks.round_trips),
    Check("markets", 15.0, False, market_checks.series),
    Check("markets", 120.0, False, market_checks.markets),
    Check("fees", 30.0, False, market_checks.fees),
    Check("money", 15.0, True, account_checks.money),
    Check("positions", 30.0, True, account_checks.positions),
    Check("orders", 30.0, True, account_checks.orders),
    Check("websocket", 15.0, True, exchange_checks.websocket),
    Check("protocol", 5.0, False, market_checks.wire),
    Check("disk", 5.0, False, machine_checks.disk),
    Check("memory", 5.0, False, machine_checks.memory),
    Check("database", 15.0, False, machine_checks.database),
    Check("next", 60.0, False, machine_checks.plan),
)


async def examine(settings: Settings) -> Report:
    """All checks, one after the other.

    Args:
        settings: Of the stack that would be started.

    Raises:
        ConfigError: Addresses or keys cannot be used: nothing can be asked.
    """
    subject = Subject(settings)
    findings: list[Finding] = []
    try:
        for check in CHECKS:
            findings += await _asked(check, subject)
    finally:
        await subject.close()
    return Report(settings.environment, data_environment_of(settings), tuple(findings))


def keep_record(settings: Settings) -> None:
    """Note in the data folder that an examination with these settings found no problem.

    Raises:
        OSError: It cannot be written.
        UnsafePathError: The data folder is not this user's alone.
    """
    record = DoctorRecord(
        environment=settings.environment,
        key_id_hash=hash_of_key(load_credentials(settings).api_key_id),
        limits_hash=hash_of_file(settings.execution.limits_file),
        passed_utc_ns=real_ns(),
    )
    save_doctor_record(data_folder(settings.data_dir), record)


async def _asked(check: Check, subject: Subject) -> list[Finding]:
    if check.needs_key and subject.key_refused:
        return [check.skipped("not asked: the key is refused, see above")]
    try:
        async with asyncio.timeout(check.limit_s):
            return await check.ask(subject)
    except TimeoutError:
        text = f"no answer within {check.limit_s:g} s"
        advice = "try again; if it stays, the exchange or the way to it is overloaded"
        return [Finding(check.name, Verdict.PROBLEM, text, advice)]
    except KalshiError as error:
        if isinstance(error, AuthError) and check.name == "key":
            subject.key_refused = error.http_status == _UNAUTHORIZED
        advice = advice_of(error, subject.trading.environment)
        return [Finding(check.name, Verdict.PROBLEM, str(error), advice)]
    except Exception as error:  # noqa: BLE001  the other checks go on, whatever it is
        text = f"the check failed: {type(error).__name__}: {error}"
        advice = "a fault of kalshi-actor: please report this line"
        return [Finding(check.name, Verdict.PROBLEM, text, advice)]


_UNAUTHORIZED: Final = 401
