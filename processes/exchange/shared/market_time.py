"""Market time as this exchange makes it, and its announcement to every process of the stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ipc.clock import MarketClockWriter, mono_ns

__all__ = ["MarketTime"]

MS: Final = 1_000_000


class MarketTime:
    """Stands at a moment or runs from it at `speed`; speed 0 always stands."""

    def __init__(
        self, path: Path, start_ms: int, speed: float, mono: Callable[[], int] = mono_ns
    ) -> None:
        self.speed = speed
        self._speed_e3 = round(speed * 1000)
        self._writer = MarketClockWriter(path)
        self._mono = mono
        self.stand(start_ms)

    def stand(self, market_ms: int) -> None:
        """Time is `market_ms` until further notice."""
        self._set(market_ms, 0)

    def run(self, market_ms: int) -> None:
        """Time is `market_ms` now and runs on."""
        self._set(market_ms, self._speed_e3)

    def _set(self, market_ms: int, speed_e3: int) -> None:
        self._origin_ns = market_ms * MS
        self._origin_mono_ns = self._mono()
        self._rate_e3 = speed_e3
        self._writer.announce(self._origin_ns, speed_e3)

    @property
    def stands(self) -> bool:
        """Whether time does not move by itself."""
        return self._rate_e3 == 0

    def now_ms(self) -> int:
        """Market time, Unix milliseconds."""
        passed_ns = (self._mono() - self._origin_mono_ns) * self._rate_e3 // 1000
        return (self._origin_ns + passed_ns) // MS

    def wait_s(self, market_ms: int) -> float:
        """Real seconds until `market_ms`; time must run."""
        return (market_ms - self.now_ms()) * 1000 / (self._rate_e3 * 1000)

    def close(self) -> None:
        """Stop the clock where it is."""
        self.stand(self.now_ms())
        self._writer.close()
