"""Signatures made before they are needed: the signed text holds no body, only time and path.

A signature is given out once. It is dated a little ahead and thrown away before the exchange would
find it old (measured there: 5 seconds either way are accepted). Where none is ready, one is made on
the spot: a pool that nobody fills costs nothing and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import msgspec

from processes.adapters.kalshi.auth.signing import Signer

__all__ = ["SignaturePool"]

LEAD_MS: Final = 2_000  # how far ahead a signature is dated
MOST_AHEAD_MS: Final = 4_000  # one dated further ahead is not given out: a clock was set back
OLDEST_MS: Final = 3_000  # one dated longer ago is thrown away
MOST_WANTED: Final = 64  # requests that signatures are kept for; the oldest wish goes first
BREATH: Final = 0.002  # seconds between two signatures: others may run
PAUSE: Final = 0.05  # seconds between two looks while all are ready

Request = tuple[str, str]  # method, path from the host's root
Headers = dict[str, str]


class _Wish(msgspec.Struct):
    """How many signatures of a request to keep, until when, and those that there are."""

    number: int
    until_ms: int | None
    ready: deque[tuple[int, Headers]]


class SignaturePool:
    """Signs as a `Signer` does, at once where a signature was made in advance."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._wishes: dict[Request, _Wish] = {}
        self._last_ms = 0
        self.hits = 0
        self.misses = 0

    def sign_with(self, signer: Signer) -> None:
        """Use another key from now on: nothing of the old one is given out."""
        self._signer = signer
        for wish in self._wishes.values():
            wish.ready.clear()

    def want(self, method: str, path: str, number: int = 1, for_ms: int | None = None) -> None:
        """Keep `number` signatures of a request ready, for ever or `for_ms`; safe to repeat."""
        known = self._wishes.pop((method, path), None)
        until_ms = None if for_ms is None else self._signer.now_ms() + for_ms
        ready = known.ready if known else deque[tuple[int, Headers]]()
        self._wishes[method, path] = _Wish(number, until_ms, ready)
        if len(self._wishes) > MOST_WANTED:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        passing = (request for request, wish in self._wishes.items() if wish.until_ms is not None)
        if (oldest := next(passing, None)) is not None:
            del self._wishes[oldest]

    def unwant(self, method: str, path: str) -> None:
        """Keep none any more."""
        self._wishes.pop((method, path), None)

    def headers(self, method: str, path: str) -> Headers:
        """The headers of a private request, as `Signer.headers`."""
        wish = self._wishes.get((method, path))
        if wish is not None:
            self._throw_away(wish, self._signer.now_ms())
            if wish.ready:
                self.hits += 1
                return wish.ready.popleft()[1]
            self.misses += 1
        return self._signer.headers(method, path)

    def _throw_away(self, wish: _Wish, now_ms: int) -> None:
        """What the exchange may not take any more, or not yet."""
        while wish.ready and not -MOST_AHEAD_MS <= now_ms - wish.ready[0][0] <= OLDEST_MS:
            wish.ready.popleft()

    def refill(self) -> bool:
        """Make one signature that is wanted; False when all are there."""
        now_ms = self._signer.now_ms()
        over = [
            r for r, w in self._wishes.items() if w.until_ms is not None and w.until_ms < now_ms
        ]
        for request in over:
            del self._wishes[request]
        for (method, path), wish in self._wishes.items():
            self._throw_away(wish, now_ms)
            if len(wish.ready) < wish.number:
                return self._make(method, path, wish, now_ms)
        return False

    def _make(self, method: str, path: str, wish: _Wish, now_ms: int) -> bool:
        """Sign with a time of its own; False while the clock is behind what was given out."""
        stamp_ms = max(now_ms + LEAD_MS, self._last_ms + 1)
        if stamp_ms - now_ms > MOST_AHEAD_MS:
            return False
        self._last_ms = stamp_ms
        wish.ready.append((stamp_ms, self._signer.headers(method, path, stamp_ms)))
        return True

    async def keep(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> NoReturn:
        """Refill in the gaps between other work; only being cancelled ends it."""
        while True:
            await sleep(BREATH if self.refill() else PAUSE)
