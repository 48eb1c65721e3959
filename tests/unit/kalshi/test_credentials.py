"""API keys: what kind, from where, and never shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.patience import turns

from processes.adapters.kalshi.auth import credentials
from processes.adapters.kalshi.auth.credentials import (
    Account,
    Algorithm,
    Credentials,
    CredentialsFile,
    credentials_path,
    load_credentials,
    new_credentials,
    wait_for_credentials,
)
from processes.adapters.kalshi.auth.environments import Purpose
from processes.runtime.config import ConfigError, Settings, load_settings
from processes.runtime.tasks import Stopped

KEYS = {algorithm: new_credentials("key-1", algorithm) for algorithm in Algorithm}
PEM = KEYS[Algorithm.ED25519].private_key_pem()


def settings_of(data_dir: Path, **environ: str) -> Settings:
    return load_settings({"RL_DATA_DIR": str(data_dir)} | environ)


def demo(data_dir: Path, **environ: str) -> Settings:
    return settings_of(data_dir, KALSHI_TRADING_ENVIRONMENT="demo", **environ)


def key_file(folder: Path, mode: int, pem: str = PEM) -> Path:
    path = folder / "key.pem"
    path.write_text(pem)
    path.chmod(mode)
    return path


def write_accounts(data_dir: Path, *accounts: Account) -> None:
    path = credentials_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(CredentialsFile(accounts)))


def account(key_id: str, algorithm: Algorithm) -> Account:
    return Account(key_id, KEYS[algorithm].private_key_pem(), algorithm)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_parsed_key_says_its_algorithm(algorithm: Algorithm) -> None:
    pem = KEYS[algorithm].private_key_pem()
    assert pem.startswith("-----BEGIN PRIVATE KEY-----")  # PKCS#8 says the same for both
    assert Credentials.from_pem("key-1", pem.encode()).algorithm is algorithm


def test_an_old_rsa_file_is_read_too() -> None:
    key = KEYS[Algorithm.RSA].private_key
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert Credentials.from_pem("key-1", pem).algorithm is Algorithm.RSA


def test_other_keys_are_refused_without_being_shown() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="neither RSA nor Ed25519"):
        Credentials.from_pem("key-1", pem)
    locked = KEYS[Algorithm.RSA].private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    with pytest.raises(ValueError, match="not an unencrypted private key"):
        Credentials.from_pem("key-1", locked)


def test_a_key_is_never_shown() -> None:
    for shown in (repr(KEYS[Algorithm.RSA]), str(KEYS[Algorithm.RSA])):
        assert shown == "Credentials(algorithm='rsa')"
    one = account("key-1", Algorithm.ED25519)
    assert repr(one) == "Account(algorithm='ed25519')"
    assert PEM.splitlines()[1] not in repr(CredentialsFile((one,)))


def test_simulated_signs_in_with_the_first_account(tmp_path: Path) -> None:
    write_accounts(tmp_path, account("a", Algorithm.RSA), account("b", Algorithm.ED25519))
    credentials = load_credentials(settings_of(tmp_path))
    assert (credentials.api_key_id, credentials.algorithm) == ("a", Algorithm.RSA)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (None, "cannot be read"),
        (b'{"accounts": []}', "lists no account"),
        (b"{}", "missing required field `accounts`"),
        (b"junk", "not the exchange's list"),
        (
            b'{"accounts":[{"api_key_id":"a","private_key_pem":"x","algorithm":"rsa"}]}',
            "not an unencrypted private key",
        ),
    ],
)
def test_a_bad_account_file_is_named(tmp_path: Path, body: bytes | None, what: str) -> None:
    path = credentials_path(tmp_path)
    path.parent.mkdir(parents=True)
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(ConfigError, match=what) as refusal:
        load_credentials(settings_of(tmp_path))
    assert str(path) in str(refusal.value)


def test_a_key_file_of_our_own_is_read(tmp_path: Path) -> None:
    path = key_file(tmp_path, 0o600)
    names = {
        "KALSHI_PAPER_TRADING_API_KEY_ID": "id-1",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH": str(path),
    }
    credentials = load_credentials(demo(tmp_path, **names))
    assert (credentials.api_key_id, credentials.algorithm) == ("id-1", Algorithm.ED25519)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, mode)
    names = {
        "KALSHI_PAPER_TRADING_API_KEY_ID": "id-1",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH": str(path),
    }
    with pytest.raises(
        ConfigError, match=f"KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH=.*{mode:04o}.*allowed: 0600"
    ):
        load_credentials(demo(tmp_path, **names))


def test_a_key_may_be_text_with_escaped_line_ends(tmp_path: Path) -> None:
    for text in (PEM, PEM.replace("\n", "\\n")):
        names = {
            "KALSHI_PAPER_TRADING_API_KEY_ID": "id-1",
            "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": text,
        }
        assert load_credentials(demo(tmp_path, **names)).algorithm is Algorithm.ED25519


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ({}, "KALSHI_PAPER_TRADING_API_KEY_ID is empty; demo needs"),
        ({"KALSHI_PAPER_TRADING_API_KEY_ID": "i"}, "are both empty"),
        (
            {
                "KALSHI_PAPER_TRADING_API_KEY_ID": "i",
                "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": PEM,
                "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH": "k.pem",
            },
            "are both set",
        ),
        (
            {
                "KALSHI_PAPER_TRADING_API_KEY_ID": "i",
                "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH": "/nowhere/k.pem",
            },
            r"KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH \(not shown\) cannot be read: No such file",
        ),
        (
            {
                "KALSHI_PAPER_TRADING_API_KEY_ID": "i",
                "KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT": "s3cr3t",
            },
            "PRIVATE_KEY_CONTENT is not an unencrypted private key in PEM form; allowed: RSA",
        ),
    ],
)
def test_a_missing_key_is_named(tmp_path: Path, names: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refusal:
        load_credentials(demo(tmp_path, **names))
    assert "s3cr3t" not in str(refusal.value)
    assert PEM.splitlines()[1] not in str(refusal.value)


def test_each_environment_has_a_key_of_its_own(tmp_path: Path) -> None:
    settings = demo(
        tmp_path,
        KALSHI_DATA_ENVIRONMENT="production",
        KALSHI_ALLOW_MIXED_ENVIRONMENTS="true",
        KALSHI_PAPER_TRADING_API_KEY_ID="trading",
        KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT=PEM,
        KALSHI_TRADING_API_KEY_ID="data",
        KALSHI_TRADING_PRIVATE_KEY_CONTENT=KEYS[Algorithm.RSA].private_key_pem(),
    )
    assert load_credentials(settings).api_key_id == "trading"
    data = load_credentials(settings, Purpose.DATA)
    assert (data.api_key_id, data.algorithm) == ("data", Algorithm.RSA)


async def test_the_account_file_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "POLL", 0)
    settings = settings_of(tmp_path)
    waiting = asyncio.create_task(wait_for_credentials(settings, asyncio.Event()))
    await turns()
    assert not waiting.done()
    write_accounts(tmp_path, account("late", Algorithm.ED25519))
    assert (await waiting).api_key_id == "late"


async def test_waiting_for_an_account_ends_with_the_process(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(Stopped):
        await wait_for_credentials(settings_of(tmp_path), stop)
