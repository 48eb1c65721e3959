"""Signatures: what is signed, by either kind of key, and what no longer fits."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Signer,
    verify,
)

NOW_MS = 1_781_159_348_379
ORDERS = "/trade-api/v2/portfolio/orders"
KEYS = {algorithm: new_credentials("key-1", algorithm) for algorithm in Algorithm}


def headers(algorithm: Algorithm, method: str = "GET", path: str = ORDERS) -> dict[str, str]:
    return Signer(KEYS[algorithm], lambda: NOW_MS).headers(method, path)


def fits(
    algorithm: Algorithm,
    signature: str,
    timestamp: str = str(NOW_MS),
    method: str = "GET",
    path: str = ORDERS,
    *,
    lenient: bool = False,
) -> bool:
    key = KEYS[algorithm].private_key.public_key()
    return verify(key, signature, timestamp, method, path, lenient=lenient)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_signature_verifies(algorithm: Algorithm) -> None:
    made = headers(algorithm)
    assert made[KEY_HEADER] == "key-1"
    assert made[TIMESTAMP_HEADER] == "1781159348379"
    assert fits(algorithm, made[SIGNATURE_HEADER])


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_text_is_time_method_and_path(algorithm: Algorithm) -> None:
    """`verify` shares the text's builder with `Signer`, so the text is checked from outside."""
    raw = base64.b64decode(headers(algorithm, "get", ORDERS + "?limit=5")[SIGNATURE_HEADER])
    text = b"1781159348379GET/trade-api/v2/portfolio/orders"
    private = KEYS[algorithm].private_key
    if isinstance(private, RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(SHA256()), salt_length=32)
        private.public_key().verify(raw, text, pss, SHA256())
    else:
        private.public_key().verify(raw, text)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_anything_tampered_with_fails(algorithm: Algorithm) -> None:
    signature = headers(algorithm)[SIGNATURE_HEADER]
    assert not fits(algorithm, signature, timestamp=str(NOW_MS + 1))
    assert not fits(algorithm, signature, method="DELETE")
    assert not fits(algorithm, signature, path=ORDERS + "/x")
    assert not fits(algorithm, signature, path="/portfolio/orders")
    other = "A" if signature[0] != "A" else "B"
    assert not fits(algorithm, other + signature[1:])
    assert not fits(algorithm, "not base64!")
    assert not fits(algorithm, "")


def test_the_keys_of_another_account_do_not_fit() -> None:
    other = new_credentials("key-2", Algorithm.ED25519)
    signature = Signer(other, lambda: NOW_MS).headers("GET", ORDERS)[SIGNATURE_HEADER]
    assert not fits(Algorithm.ED25519, signature)
    assert not fits(Algorithm.RSA, signature)


def test_the_longest_salt_fits_only_the_lenient() -> None:
    private = KEYS[Algorithm.RSA].private_key
    assert isinstance(private, RSAPrivateKey)
    longest = padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH)
    text = f"{NOW_MS}GET{ORDERS}".encode()
    signature = base64.b64encode(private.sign(text, longest, SHA256())).decode()
    assert not fits(Algorithm.RSA, signature)
    assert fits(Algorithm.RSA, signature, lenient=True)


def test_the_time_is_read_at_each_request() -> None:
    times = iter((1, 2))
    signer = Signer(KEYS[Algorithm.ED25519], lambda: next(times))
    assert [signer.headers("GET", "/")[TIMESTAMP_HEADER] for _ in range(2)] == ["1", "2"]
