"""The accounts that this exchange serves: made once, written for clients, kept over restarts."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import msgspec

from ipc.private_files import UnsafePathError, private_folder, read_file, write_file
from processes.adapters.kalshi.auth.credentials import (
    Account as StoredAccount,
)
from processes.adapters.kalshi.auth.credentials import (
    Algorithm,
    Credentials,
    CredentialsFile,
    new_credentials,
)
from processes.exchange.core.ledger import TradingAccount
from processes.runtime.config import ConfigError

__all__ = ["KnownKeys", "load_accounts", "new_key", "new_key_id"]

ALGORITHMS: Final = (Algorithm.RSA, Algorithm.ED25519)  # in turn

KnownKeys = dict[str, tuple[TradingAccount, Credentials]]


def load_accounts(path: Path, wanted: int, cash_e6: int) -> KnownKeys:
    """By key id, at least `wanted` of them; what the file lacks is made and added to it.

    `ConfigError` when it cannot be used.
    """
    stored = _stored(path) if path.exists() else ()
    if path.exists() and not stored:
        raise ConfigError(f"{path} lists no account; remove it and new ones are made")
    if len(stored) < wanted:
        stored += _new_accounts(len(stored), wanted)
        _write(path, CredentialsFile(stored))
    try:
        pairs = [
            (s, Credentials.from_pem(s.api_key_id, s.private_key_pem.encode())) for s in stored
        ]
    except ValueError as error:
        raise ConfigError(f"{path} is not a list of accounts ({error}); remove it") from None
    return {s.api_key_id: (_account(s.api_key_id, cash_e6), key) for s, key in pairs}


def _stored(path: Path) -> tuple[StoredAccount, ...]:
    try:
        return msgspec.json.decode(read_file(path), type=CredentialsFile).accounts
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnsafePathError as error:
        raise ConfigError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a list of accounts ({error}); remove it") from None


def _account(api_key_id: str, cash_e6: int) -> TradingAccount:
    user_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"user:{api_key_id}"))
    return TradingAccount(user_id, cash_e6)


def _new_accounts(first: int, end: int) -> tuple[StoredAccount, ...]:
    turns = [ALGORITHMS[number % len(ALGORITHMS)] for number in range(first, end)]
    made = [new_key(algorithm) for algorithm in turns]
    return tuple(StoredAccount(c.api_key_id, c.private_key_pem(), c.algorithm) for c in made)


def new_key_id() -> str:
    """An id that no key has."""
    return str(uuid.uuid4())


def new_key(algorithm: Algorithm) -> Credentials:
    """A fresh key pair under a fresh id."""
    return new_credentials(new_key_id(), algorithm)


def _write(path: Path, accounts: CredentialsFile) -> None:
    try:
        private_folder(path.parent)
        write_file(path, msgspec.json.format(msgspec.json.encode(accounts)) + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
