"""Market time as this exchange makes it, and its announcement to every process of the stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ipc.clock import NS_PER_MS, MarketClockWriter, mono_ns
from processes.runtime.config import ConfigError

__all__ = ["MarketTime"]


class MarketTime:
    """Market time, Unix milliseconds: paused at a moment or running from it at `speed`.

    It never runs backwards: what would set it back leaves it where it is. `speed` is market seconds
    a real second; at 0 it is always paused. `ConfigError` when another exchange announces there.
    """

    def __init__(
        self, path: Path, start_ms: int, speed: float, mono: Callable[[], int] = mono_ns
    ) -> None:
        self.speed = speed
        self._speed_e3 = round(speed * 1000)
        try:
            self._writer = MarketClockWriter(path)
        except BlockingIOError:
            raise ConfigError(
                f"{path} is in use by another local exchange; stop it or set another RL_DATA_DIR"
            ) from None
        self._mono = mono
        self._origin_ns, self._origin_mono_ns, self._rate_e3 = start_ms * NS_PER_MS, mono(), 0
        self.pause(start_ms)

    def pause(self, market_ms: int) -> None:
        """Time is `market_ms`, or what it is where that is later, until further notice."""
        self._set(market_ms, 0)

    def run(self, market_ms: int) -> None:
        """Time is `market_ms`, or what it is where that is later, and runs on."""
        self._set(market_ms, self._speed_e3)

    def _set(self, market_ms: int, speed_e3: int) -> None:
        mono_now_ns = self._mono()
        self._origin_ns = max(market_ms * NS_PER_MS, self._at_ns(mono_now_ns))
        self._origin_mono_ns = mono_now_ns
        self._rate_e3 = speed_e3
        self._writer.announce(self._origin_ns, speed_e3)

    def _at_ns(self, mono_now_ns: int) -> int:
        return self._origin_ns + (mono_now_ns - self._origin_mono_ns) * self._rate_e3 // 1000

    @property
    def is_paused(self) -> bool:
        """Whether time does not move by itself."""
        return self._rate_e3 == 0

    def now_ms(self) -> int:
        """Market time, Unix milliseconds."""
        return self._at_ns(self._mono()) // NS_PER_MS

    def wait_s(self, market_ms: int) -> float:
        """Real seconds until `market_ms`; time must run."""
        return (market_ms - self.now_ms()) * 1000 / (self._rate_e3 * 1000)

    def close(self) -> None:
        """Stop the clock where it is."""
        self.pause(self.now_ms())
        self._writer.close()
