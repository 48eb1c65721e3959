"""The accounts that this exchange serves: made once, written for clients, kept over restarts."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Final

import msgspec

from processes.adapters.kalshi.credentials import (
    Account as StoredAccount,
)
from processes.adapters.kalshi.credentials import (
    Algorithm,
    Credentials,
    CredentialsFile,
    new_credentials,
)
from processes.exchange.ledger import Account
from processes.runtime.config import ConfigError

__all__ = ["START_CASH_E6", "KnownKeys", "load_accounts"]

START_CASH_E6: Final = 10_000_000_000  # $10,000
ALGORITHMS: Final = (Algorithm.RSA, Algorithm.ED25519)

KnownKeys = dict[str, tuple[Account, Credentials]]


def load_accounts(path: Path) -> KnownKeys:
    """By key id; the file is made when it is missing. `ConfigError` when it cannot be used."""
    if not path.exists():
        _write(path, _new_accounts())
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=CredentialsFile).accounts
        pairs = [
            (s, Credentials.from_pem(s.api_key_id, s.private_key_pem.encode())) for s in stored
        ]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path} is not a list of accounts ({error}); remove it") from None
    if not pairs:
        raise ConfigError(f"{path} lists no account; remove it and new ones are made")
    return {s.api_key_id: (_account(s.api_key_id), key) for s, key in pairs}


def _account(api_key_id: str) -> Account:
    user_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"user:{api_key_id}"))
    return Account(user_id, api_key_id, START_CASH_E6)


def _new_accounts() -> CredentialsFile:
    made = [new_credentials(str(uuid.uuid4()), algorithm) for algorithm in ALGORITHMS]
    return CredentialsFile(
        tuple(StoredAccount(c.api_key_id, c.private_key_pem(), c.algorithm) for c in made)
    )


def _write(path: Path, accounts: CredentialsFile) -> None:
    """Aside, then renamed: nobody ever reads half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(accounts)) + b"\n")
        aside.rename(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
