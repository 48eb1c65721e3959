"""The state of trading that outlives a restart: what was commanded, by whom, why and when.

It is a private file of the data folder, replaced as a whole. Without one trading is on; one that
cannot be read means stopped: what was commanded is not known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from ipc.clock import NS_PER_S
from ipc.errors import KalshiActorError
from ipc.messages import TradingEvent, TradingEventKind
from ipc.private_files import UnreadableFileError, read_json, write_file
from ipc.trading import FlattenTerms, TradingCommand, TradingMode, TradingVerb

__all__ = [
    "FLAT",
    "VERB_OF",
    "FlattenOrder",
    "RefusedError",
    "TradingRecord",
    "command_event",
    "commanded",
    "load_record",
    "record_path",
    "save_record",
]

FLAT: Final = "no position is left"
_PROGRAM: Final = "execution"
_MODES: Final = {
    TradingVerb.PAUSE: TradingMode.PAUSED,
    TradingVerb.RESUME: TradingMode.ON,
    TradingVerb.STOP: TradingMode.STOPPED,
    TradingVerb.FLATTEN: TradingMode.FLATTENING,
}
VERB_OF: Final = {mode: verb for verb, mode in _MODES.items()}


class RefusedError(KalshiActorError):
    """A command that does not fit the present state; its text says what would."""


class FlattenOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Positions that are being closed.

    Attributes:
        terms: As commanded.
        deadline_utc_ns: When it ends, Unix nanoseconds.
        first_touch_e4: Of each market the touch that its collar is around, on the YES scale.
    """

    terms: FlattenTerms
    deadline_utc_ns: int
    first_touch_e4: dict[str, int] = {}


class TradingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of trading.

    Attributes:
        mode: What is done with intents.
        who: Who caused it.
        why: The reason that was given.
        since_ns: Market time of the change, 0 unknown.
        since_utc_ns: The same by this machine's clock, Unix nanoseconds; 0 unknown.
        flattening: While positions are being closed.
        outcome: How the last flattening ended; empty when there was none.
    """

    mode: TradingMode = TradingMode.ON
    who: str = _PROGRAM
    why: str = "no command was given yet"
    since_ns: int = 0
    since_utc_ns: int = 0
    flattening: FlattenOrder | None = None
    outcome: str = ""

    def __post_init__(self) -> None:
        """`ValueError` when only one of mode and terms says that positions are being closed."""
        if (self.flattening is not None) != (self.mode is TradingMode.FLATTENING):
            raise ValueError(f"mode={self.mode} and flattening do not fit")

    def ended(self, outcome: str) -> TradingRecord:
        """Flattening is over: stopped, with how it ended."""
        return replace(self, mode=TradingMode.STOPPED, flattening=None, outcome=outcome)

    def with_touch(self, ticker: str, yes_price_e4: int) -> TradingRecord:
        """The first touch of a market is known."""
        if self.flattening is None:
            return self
        seen = {**self.flattening.first_touch_e4, ticker: yes_price_e4}
        return replace(self, flattening=replace(self.flattening, first_touch_e4=seen))


def commanded(
    record: TradingRecord, command: TradingCommand, now_ns: int, now_utc_ns: int
) -> TradingRecord:
    """What a command makes of the state.

    Args:
        record: The state before.
        command: Not `STATUS`.
        now_ns: Market time.
        now_utc_ns: By this machine's clock, Unix nanoseconds.

    Raises:
        RefusedError: It would loosen a stop without saying so.
    """
    mode = _MODES[command.verb]
    if mode is TradingMode.PAUSED and record.mode not in (TradingMode.ON, TradingMode.PAUSED):
        raise RefusedError(
            f"trading is {record.mode}, which is more than paused; allowed: resume, then pause"
        )
    if mode is TradingMode.ON and record.mode is TradingMode.FLATTENING:
        raise RefusedError("positions are being closed; allowed: stop, then resume")
    flattening = None
    if command.flatten is not None:
        deadline_utc_ns = now_utc_ns + command.flatten.deadline_s * NS_PER_S
        flattening = FlattenOrder(command.flatten, deadline_utc_ns)
    return TradingRecord(
        mode=mode,
        who=command.who,
        why=command.why,
        since_ns=now_ns,
        since_utc_ns=now_utc_ns,
        flattening=flattening,
    )


def command_event(record: TradingRecord, verb: TradingVerb, **numbers: int) -> TradingEvent:
    """The line of the audit for a command that was carried out."""
    return TradingEvent(
        kind=TradingEventKind.COMMAND,
        name=verb,
        who=record.who,
        why=record.why,
        market_ticker=None,
        numbers={"utc_ns": record.since_utc_ns, **numbers},
        ts_ns=record.since_ns,
    )


def record_path(data_dir: Path) -> Path:
    """Where the state of a stack's trading is kept."""
    return data_dir / "trading.json"


def load_record(data_dir: Path) -> TradingRecord:
    """The state as it was left; stopped, with the reason, where it cannot be read."""
    path = record_path(data_dir)
    try:
        return read_json(path, TradingRecord) or TradingRecord()
    except UnreadableFileError as error:
        why = f"{path} cannot be read: {error}"
        return TradingRecord(mode=TradingMode.STOPPED, why=why)


def save_record(data_dir: Path, record: TradingRecord) -> None:
    """Replace the file.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    content = msgspec.json.format(msgspec.json.encode(record), indent=2)
    write_file(record_path(data_dir), content + b"\n")
