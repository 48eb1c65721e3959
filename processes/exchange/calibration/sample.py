"""Windows of the synthetic flow without clock or sockets: what the exchange's core says of them."""

from __future__ import annotations

from itertools import count
from typing import Final, NamedTuple

from processes.exchange.calibration.tape import Tape, tapes_of
from processes.exchange.core.desk import Desk
from processes.exchange.core.events import Event
from processes.exchange.core.venue import Venue
from processes.exchange.synthetic.flow import SyntheticFlow
from processes.exchange.synthetic.profiles import Profile

__all__ = ["Sample", "sample"]

EPOCH_S: Final = 1_767_225_600  # of the first window, about
STRIDE_MS: Final = 250


class Sample(NamedTuple):
    """One window, as far as it was followed; `value` is what a market that settled paid."""

    tape: Tape
    value_e4: int | None


def sample(profile: Profile, seed: int, window: int, seconds: int, skip_s: int = 0) -> Sample:
    """Follow a window for a while, `skip_s` after its beginning; beyond its end it settles."""
    said: list[Event] = []
    begin_s = EPOCH_S // profile.window_s * profile.window_s
    now_ms = (begin_s + window * profile.window_s + skip_s) * 1000
    end_ms = now_ms + seconds * 1000
    venue = Venue([], lambda: now_ms, said.append)
    numbers = count(1)
    flow = SyntheticFlow(
        venue, Desk(venue, lambda: str(next(numbers)), shadow=False), seed, [profile]
    )
    while now_ms < end_ms:
        flow.step(now_ms)
        now_ms += STRIDE_MS
    flow.step(end_ms)
    market = venue.by_number[0]
    return Sample(tapes_of(said)[market.ticker], market.value_e4)
