"""Signatures made in advance: each once, each young, none where none is wanted."""

from __future__ import annotations

import asyncio

import pytest

from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.signing import (
    IDLE,
    KEY_HEADER,
    LEAD_MS,
    MAX_REQUESTS,
    MOST_AHEAD_MS,
    OLDEST_MS,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    YIELD,
    SignaturePool,
    Signer,
    verify,
)

KEYS = {algorithm: new_credentials(f"key-{algorithm}", algorithm) for algorithm in Algorithm}
KEY = KEYS[Algorithm.ED25519]
START_MS = 1_781_159_370_000
CREATE = ("POST", "/trade-api/v2/portfolio/events/orders")


class Stand:
    """A pool on a clock of the test's own."""

    def __init__(self, algorithm: Algorithm = Algorithm.ED25519) -> None:
        self.now_ms = START_MS
        self.pool = SignaturePool(self.signer(algorithm))

    def signer(self, algorithm: Algorithm) -> Signer:
        return Signer(KEYS[algorithm], lambda: self.now_ms)

    def fill(self) -> int:
        """Refill until all are there -> how many were made."""
        made = 0
        while self.pool.refill():
            made += 1
        return made

    def stamp(self, method: str = CREATE[0], path: str = CREATE[1]) -> int:
        return int(self.pool.headers(method, path)[TIMESTAMP_HEADER])


@pytest.mark.parametrize("algorithm", Algorithm)
def test_what_was_made_in_advance_is_a_signature(algorithm: Algorithm) -> None:
    stand = Stand(algorithm)
    stand.pool.want(*CREATE, number=1)
    assert stand.fill() == 1
    headers = stand.pool.headers(*CREATE)
    assert stand.pool.hits == 1
    assert headers[KEY_HEADER] == f"key-{algorithm}"
    assert int(headers[TIMESTAMP_HEADER]) == START_MS + LEAD_MS
    signature, stamp = headers[SIGNATURE_HEADER], headers[TIMESTAMP_HEADER]
    assert verify(KEYS[algorithm].private_key.public_key(), signature, stamp, *CREATE)


def test_no_time_is_given_out_twice_over_all_requests() -> None:
    stand = Stand()
    stand.pool.want(*CREATE, number=5)
    stand.pool.want("DELETE", "/o/1")
    stamps = []
    for _ in range(20):
        stand.fill()
        stamps += [stand.stamp() for _ in range(5)] + [stand.stamp("DELETE", "/o/1")]
        stand.now_ms += 7
    assert stand.pool.hits == len(stamps) == 120
    assert len(set(stamps)) == 120


def test_an_empty_pool_signs_on_the_spot() -> None:
    stand = Stand()
    stand.pool.want(*CREATE, number=2)
    stand.fill()
    assert [stand.stamp() for _ in range(3)] == [
        START_MS + LEAD_MS,
        START_MS + LEAD_MS + 1,
        START_MS,
    ]
    assert (stand.pool.hits, stand.pool.misses) == (2, 1)


def test_what_nobody_wanted_is_signed_on_the_spot_and_counts_nothing() -> None:
    stand = Stand()
    assert not stand.pool.refill()
    assert stand.stamp() == START_MS
    assert (stand.pool.hits, stand.pool.misses) == (0, 0)


def test_an_old_signature_is_thrown_away_before_the_exchange_would() -> None:
    stand = Stand()
    stand.pool.want(*CREATE, number=2)
    stand.fill()
    stand.now_ms += LEAD_MS + OLDEST_MS
    assert stand.fill() == 0
    assert stand.stamp() == START_MS + LEAD_MS
    stand.now_ms += 2
    assert stand.fill() == 2  # the other one is too old now
    assert stand.stamp() == stand.now_ms + LEAD_MS


def test_a_clock_that_was_set_back_gives_out_nothing_dated_too_far_ahead() -> None:
    stand = Stand()
    stand.pool.want(*CREATE, number=1)
    stand.fill()
    stand.now_ms -= MOST_AHEAD_MS - LEAD_MS + 1
    assert stand.stamp() == stand.now_ms
    assert not stand.pool.refill()  # its times would be used twice
    stand.now_ms = START_MS
    assert stand.fill() == 1
    assert stand.stamp() == START_MS + LEAD_MS + 1


def test_a_wish_ends_when_it_is_taken_back_or_over() -> None:
    stand = Stand()
    stand.pool.want("DELETE", "/o/1", for_ms=60_000)
    stand.pool.want("DELETE", "/o/2", for_ms=60_000)
    stand.pool.unwant("DELETE", "/o/2")
    assert stand.fill() == 1
    assert stand.stamp("DELETE", "/o/2") == START_MS
    stand.now_ms += 60_001
    assert stand.fill() == 0
    assert stand.stamp("DELETE", "/o/1") == stand.now_ms


def test_many_orders_do_not_keep_the_pool_busy_and_never_push_out_the_creates() -> None:
    stand = Stand()
    stand.pool.want(*CREATE, number=3)
    for number in range(3 * MAX_REQUESTS):
        stand.pool.want("DELETE", f"/o/{number}", for_ms=60_000)
    assert stand.fill() == 3 + MAX_REQUESTS - 1
    assert stand.stamp("DELETE", f"/o/{3 * MAX_REQUESTS - 1}") > stand.now_ms
    assert stand.stamp("DELETE", "/o/0") == stand.now_ms


def test_a_new_key_gives_out_nothing_of_the_old_one() -> None:
    stand = Stand(Algorithm.RSA)
    stand.pool.want(*CREATE, number=2)
    stand.fill()
    stand.pool.sign_with(stand.signer(Algorithm.ED25519))
    assert stand.fill() == 2
    assert stand.pool.headers(*CREATE)[KEY_HEADER] == "key-ed25519"


async def test_it_is_filled_one_at_a_time_and_rests_when_full() -> None:
    stand, slept = Stand(), list[float]()
    stand.pool.want(*CREATE, number=3)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if seconds == IDLE:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stand.pool.keep(sleep)
    assert slept == [YIELD, YIELD, YIELD, IDLE]
