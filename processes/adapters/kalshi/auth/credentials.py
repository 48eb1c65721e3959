"""API keys: from the environment, or from the file that the local exchange writes.

A private key is RSA or Ed25519 by what it is, not by its PEM header (`BEGIN PRIVATE KEY` may be
either). It appears in no `repr` and in no error message, nor does any text that stands where a key,
its id or its path belongs, unless it is the path of a file that is there.
"""

from __future__ import annotations

import asyncio
import os
import re
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
from ipc.private_files import UnsafePathError, read_file
from processes.adapters.kalshi.auth.environments import Purpose, data_environment_of
from processes.runtime.config import ConfigError, Settings
from processes.runtime.tasks import Stopped

__all__ = [
    "Account",
    "Algorithm",
    "Credentials",
    "CredentialsFile",
    "admin_token_path",
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
MAX_KEY_BYTES: Final = 65_536  # of a key's file
POLL: Final = 0.05  # seconds between checks for the local exchange's file
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")  # the body of a key has 64 and more
_BASE64: Final = re.compile(r"[A-Za-z0-9+_-][A-Za-z0-9+/_-]{39,}={0,2}")

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


class Algorithm(StrEnum):
    """How a key signs (PROTOCOL.md, 2).

    Attributes:
        RSA: PSS with SHA-256; about a millisecond a signature.
        ED25519: The text itself; a few dozen microseconds.
    """

    RSA = "rsa"
    ED25519 = "ed25519"


class Credentials:
    """A key id and its private key, RSA or Ed25519; its `repr` shows neither of them.

    Args:
        api_key_id: As the exchange names the key.
        private_key: Of the package `cryptography`.
    """

    def __init__(self, api_key_id: str, private_key: PrivateKey) -> None:
        self.api_key_id = api_key_id
        self.private_key = private_key

    @classmethod
    def from_pem(cls, api_key_id: str, pem: bytes) -> Credentials:
        """Parse a key.

        Args:
            api_key_id: As the exchange names the key.
            pem: A private key in PEM form, without a password.

        Raises:
            ValueError: It is not RSA or Ed25519, or no key; none of its text is in the message.
        """
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
        return f"Credentials(algorithm={self.algorithm.value!r})"


def new_credentials(api_key_id: str, algorithm: Algorithm) -> Credentials:
    """A fresh key pair."""
    if algorithm is Algorithm.ED25519:
        return Credentials(api_key_id, Ed25519PrivateKey.generate())
    return Credentials(api_key_id, generate_private_key(65_537, RSA_BITS))


class Account(msgspec.Struct, frozen=True):
    """One account of the local exchange's file; its `repr` shows the algorithm alone.

    Attributes:
        api_key_id: Name of the key.
        private_key_pem: PKCS#8 PEM.
        algorithm: How it signs.
    """

    api_key_id: str
    private_key_pem: str
    algorithm: Algorithm

    def __repr__(self) -> str:
        return f"Account(algorithm={self.algorithm.value!r})"


class CredentialsFile(msgspec.Struct, frozen=True):
    """`<RL_DATA_DIR>/exchange/credentials.json`, which the local exchange writes and clients read.

    Attributes:
        accounts: The first is the one that this stack trades with.
    """

    accounts: tuple[Account, ...]


def credentials_path(data_dir: Path) -> Path:
    """Where the local exchange writes the accounts that it serves."""
    return data_dir / "exchange" / "credentials.json"


def admin_token_path(data_dir: Path) -> Path:
    """Where the local exchange keeps the token that its admin port requires."""
    return data_dir / "exchange" / "admin.token"


def _environment(settings: Settings, purpose: Purpose) -> Environment:
    data = data_environment_of(settings)
    return data if purpose is Purpose.DATA else settings.environment


def load_credentials(settings: Settings, purpose: Purpose = Purpose.TRADING) -> Credentials:
    """Load the key that a connection signs with.

    In `simulated` it is the first of the local exchange's file, else that of the environment's own
    three variables: id, and either path or text of the key.

    Args:
        settings: With the variables.
        purpose: Of the connection; data may come from another environment than orders go to.

    Raises:
        ConfigError: Names the variable or file that does not give one, and shows no secret.
    """
    environment = _environment(settings, purpose)
    if environment is Environment.SIMULATED:
        return _from_exchange(credentials_path(settings.data_dir))
    return _from_variables(settings, environment)


def _from_exchange(path: Path) -> Credentials:
    try:
        accounts = msgspec.json.decode(read_file(path), type=CredentialsFile).accounts
        first = accounts[0]
        return Credentials.from_pem(first.api_key_id, first.private_key_pem.encode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except IndexError:
        raise ConfigError(f"{path} lists no account") from None
    except UnsafePathError as error:
        raise ConfigError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not the exchange's list of accounts: {error}") from None


def _from_variables(settings: Settings, environment: Environment) -> Credentials:
    names = KEYS[environment]
    key_id, path, text = (settings.environ.get(name, "").strip() for name in names)
    id_name, path_name, text_name = names
    if not key_id:
        raise ConfigError(f"{id_name} is empty; {environment} needs the id of an API key")
    if not _KEY_ID.fullmatch(key_id):
        raise ConfigError(
            f"{id_name} (not shown) is not the id of an API key; allowed: up to 48 of the "
            "characters A-Z, a-z, 0-9, - and _"
        )
    if bool(path) == bool(text):
        what = "both set" if path else "both empty"
        raise ConfigError(f"{path_name} and {text_name} are {what}; {environment} needs one")
    if path:
        name, pem = _read_private(path_name, text_name, path)
    else:
        name, pem = text_name, text.replace("\\n", "\n").encode("utf-8", "replace")
    try:
        return Credentials.from_pem(key_id, pem)
    except ValueError as error:
        raise ConfigError(f"{name} is {error}; allowed: RSA, Ed25519") from None


def _read_private(name: str, text_name: str, path: str) -> tuple[str, bytes]:
    """What to call the file, and its bytes, unless others may read them too.

    The path is shown only where there is such a file: any other text may be a key.
    """
    if _looks_like_a_key(path):
        raise ConfigError(f"{name} holds a key, not the path of a file; use {text_name} for a key")
    try:
        fd = os.open(Path(path).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte, no such home folder
        reason = getattr(error, "strerror", None) or "not the path of a file"
        raise ConfigError(f"{name} (not shown) cannot be read: {reason}") from None
    try:
        return f"{name}={path}", _private_bytes(f"{name}={path}", fd)
    finally:
        os.close(fd)


def _private_bytes(shown: str, fd: int) -> bytes:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{shown} is not a file; allowed: a private key in PEM form")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise ConfigError(f"{shown} has mode {mode:04o}, others may read it; allowed: 0600")
    if found.st_size > MAX_KEY_BYTES:
        raise ConfigError(
            f"{shown} has {found.st_size} bytes, too many for a key; allowed: {MAX_KEY_BYTES}"
        )
    try:
        return os.read(fd, MAX_KEY_BYTES)
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}") from None


def _looks_like_a_key(path: str) -> bool:
    """Whether a path is the text of a key: PEM, or a long run of base64 that names no file."""
    if "-----" in path or "\n" in path or "\\n" in path or "PRIVATE KEY" in path:
        return True
    return bool(_BASE64.fullmatch(path)) and not os.path.lexists(path)


async def wait_for_credentials(
    settings: Settings, stop: asyncio.Event, purpose: Purpose = Purpose.TRADING
) -> Credentials:
    """Load the key as `load_credentials` does, but wait for the local exchange's file.

    Args:
        settings: With the variables.
        stop: Ends the waiting.
        purpose: Of the connection.

    Raises:
        Stopped: `stop` was set first.
        ConfigError: As of `load_credentials`.
    """
    if _environment(settings, purpose) is Environment.SIMULATED:
        while not credentials_path(settings.data_dir).is_file():
            if stop.is_set():
                raise Stopped("stopped before the local exchange wrote its accounts")
            await asyncio.sleep(POLL)
    return load_credentials(settings, purpose)
