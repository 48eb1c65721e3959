"""API keys: from the environment, or from the file that the local exchange writes.

A private key is RSA or Ed25519 by what it is, not by its PEM header (`BEGIN PRIVATE KEY` may be
either). It appears in no `repr` and in no error message.
"""

from __future__ import annotations

import asyncio
import stat
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ipc.messages import Environment
from processes.adapters.kalshi.environments import Purpose, data_environment_of
from processes.runtime.config import ConfigError, Settings
from processes.runtime.tasks import Stopped

__all__ = [
    "Account",
    "Algorithm",
    "Credentials",
    "CredentialsFile",
    "credentials_path",
    "load_credentials",
    "new_credentials",
    "wait_for_credentials",
]

KEYS: Final = {  # the variables of an environment's key: its id, its file, its text
    Environment.DEMO: (
        "KALSHI_PAPER_TRADING_API_KEY_ID",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT",
    ),
    Environment.PRODUCTION: (
        "KALSHI_TRADING_API_KEY_ID",
        "KALSHI_TRADING_PRIVATE_KEY_PATH",
        "KALSHI_TRADING_PRIVATE_KEY_CONTENT",
    ),
}
RSA_BITS: Final = 2048
POLL: Final = 0.05  # seconds between looks for the local exchange's file

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


class Algorithm(StrEnum):
    """How a key signs."""

    RSA = "rsa"
    ED25519 = "ed25519"


class Credentials:
    """A key id and its private key; shows neither key nor file."""

    def __init__(self, api_key_id: str, private_key: PrivateKey) -> None:
        self.api_key_id = api_key_id
        self.private_key = private_key

    @classmethod
    def from_pem(cls, api_key_id: str, pem: bytes) -> Credentials:
        """Parse a PEM key; `ValueError` without any of its text when it is not RSA or Ed25519."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("not an unencrypted private key in PEM form") from None
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise ValueError("a private key that is neither RSA nor Ed25519")
        return cls(api_key_id, key)

    @property
    def algorithm(self) -> Algorithm:
        """Detected from the key."""
        is_rsa = isinstance(self.private_key, RSAPrivateKey)
        return Algorithm.RSA if is_rsa else Algorithm.ED25519

    def private_key_pem(self) -> str:
        """The key as PKCS#8 PEM: for the local exchange's file only."""
        options = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.private_key.private_bytes(*options).decode("ascii")

    def __repr__(self) -> str:
        return f"Credentials(api_key_id={self.api_key_id!r}, algorithm={self.algorithm.value!r})"


def new_credentials(api_key_id: str, algorithm: Algorithm) -> Credentials:
    """A fresh key pair."""
    if algorithm is Algorithm.ED25519:
        return Credentials(api_key_id, Ed25519PrivateKey.generate())
    return Credentials(api_key_id, generate_private_key(65_537, RSA_BITS))


class Account(msgspec.Struct, frozen=True):
    """One account of the local exchange's file."""

    api_key_id: str
    private_key_pem: str
    algorithm: Algorithm

    def __repr__(self) -> str:
        return f"Account(api_key_id={self.api_key_id!r}, algorithm={self.algorithm.value!r})"


class CredentialsFile(msgspec.Struct, frozen=True):
    """`<RL_DATA_DIR>/exchange/credentials.json`."""

    accounts: tuple[Account, ...]


def credentials_path(data_dir: Path) -> Path:
    """Where the local exchange writes the accounts that it serves."""
    return data_dir / "exchange" / "credentials.json"


def _environment(settings: Settings, purpose: Purpose) -> Environment:
    data = data_environment_of(settings)
    return data if purpose is Purpose.DATA else settings.environment


def load_credentials(settings: Settings, purpose: Purpose = Purpose.TRADING) -> Credentials:
    """The key for `purpose`; `ConfigError` names the variable or file that does not give one."""
    environment = _environment(settings, purpose)
    if environment is Environment.SIMULATED:
        return _from_exchange(credentials_path(settings.data_dir))
    return _from_variables(settings, environment)


def _from_exchange(path: Path) -> Credentials:
    try:
        accounts = msgspec.json.decode(path.read_bytes(), type=CredentialsFile).accounts
        first = accounts[0]
        return Credentials.from_pem(first.api_key_id, first.private_key_pem.encode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except IndexError:
        raise ConfigError(f"{path} lists no account") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path} is not the exchange's list of accounts: {error}") from None


def _from_variables(settings: Settings, environment: Environment) -> Credentials:
    names = KEYS[environment]
    key_id, path, text = (settings.environ.get(name, "").strip() for name in names)
    id_name, path_name, text_name = names
    if not key_id:
        raise ConfigError(f"{id_name} is empty; {environment} needs the id of an API key")
    if bool(path) == bool(text):
        what = "both set" if path else "both empty"
        raise ConfigError(f"{path_name} and {text_name} are {what}; {environment} needs one")
    name = f"{path_name}={path}" if path else text_name
    pem = _read_private(name, Path(path)) if path else text.replace("\\n", "\n").encode()
    try:
        return Credentials.from_pem(key_id, pem)
    except ValueError as error:
        raise ConfigError(f"{name} is {error}; allowed: RSA, Ed25519") from None


def _read_private(name: str, path: Path) -> bytes:
    """The file's bytes, unless others may read them too."""
    try:
        file = path.expanduser()
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(f"{name} has mode {mode:04o}, others may read it; allowed: 0600")
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from None


async def wait_for_credentials(
    settings: Settings, stop: asyncio.Event, purpose: Purpose = Purpose.TRADING
) -> Credentials:
    """As `load_credentials`, but waits for the local exchange's file; `Stopped` when stopped."""
    if _environment(settings, purpose) is Environment.SIMULATED:
        while not credentials_path(settings.data_dir).is_file():
            if stop.is_set():
                raise Stopped("stopped before the local exchange wrote its accounts")
            await asyncio.sleep(POLL)
    return load_credentials(settings, purpose)
