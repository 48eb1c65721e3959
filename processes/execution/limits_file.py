"""`limits.toml`: the limits of the whole account, as their owner wrote them. No process writes it.

    [production]
    total_exposure = 250.00  # dollars
    daily_loss = "20.00"
    orders_per_minute = 60

One table for each environment, and `[common]`, whose limits hold in each of them that does not
name the same; a limit that neither names is not checked. `LIMITS` is the list of all of them.
Amounts are dollars and contracts in the file and integers here, read exactly.

A file is taken whole or not at all: what is not understood in any table refuses all of it, with
one line that says which field, its value, and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ipc.errors import KalshiActorError
from ipc.messages import Environment

__all__ = [
    "DEFAULT_WARN_AT_E4",
    "LIMITS",
    "LIMITS_NAME",
    "AccountBounds",
    "LimitKind",
    "LimitName",
    "LimitUnit",
    "LimitsFile",
    "LimitsFileError",
    "LimitsReading",
    "LimitsStatus",
    "parse_limits",
]

LIMITS_NAME: Final = "limits.toml"
MOST_BYTES: Final = 65_536  # of a file that people write
WARN_AT: Final = "warn_at"
COMMON: Final = "common"  # its limits hold in every environment that has a table
DEFAULT_WARN_AT_E4: Final = 8_000  # 0.8 of a limit
_WHOLE_E4: Final = 10_000
_MOST_SHOWN: Final = 60  # characters of a value in a line
_MOST_EXPONENT: Final = 18
_OTHERS_WRITE: Final = 0o022


_SUFFIXES: Final = {
    "DOLLARS": "_e6",
    "CONTRACTS": "_e2",
    "CENTS": "_e4",
    "COUNT": "",
    "MILLISECONDS": "_ms",
    "MINUTES": "_ms",
}


class LimitUnit(Enum):
    """What a limit counts: (its word, integers of here in one of the file's).

    Attributes:
        DOLLARS: 1e-6 dollars here.
        CONTRACTS: 1e-2 contracts here.
        CENTS: 1e-4 dollars here.
        COUNT: Whole numbers.
        MILLISECONDS: Whole numbers.
        MINUTES: Milliseconds here.
    """

    DOLLARS = ("dollars", 1_000_000)
    CONTRACTS = ("contracts", 100)
    CENTS = ("cents", 100)
    COUNT = ("", 1)
    MILLISECONDS = ("ms", 1)
    MINUTES = ("minutes", 60_000)

    @property
    def word(self) -> str:
        """For people; empty for a plain number."""
        return self.value[0]

    @property
    def scale(self) -> int:
        """Integers of here in one of the file's."""
        return self.value[1]

    @property
    def suffix(self) -> str:
        """Of names of integers of here; empty for a plain number."""
        return _SUFFIXES[self.name]

    def text(self, value: int) -> str:
        """The value as people write it, without more decimals than it needs, and the word."""
        number = f"{(Decimal(value) / self.scale).normalize():f}"
        if self is LimitUnit.DOLLARS:
            number = number if len(number.partition(".")[2]) > 2 else f"{Decimal(number):.2f}"
        return f"{number} {self.word}".rstrip()


class LimitName(StrEnum):
    """The keys of a table of `limits.toml`; docs/limits.md says what each measures."""

    MARKET_CONTRACTS = "market_contracts"
    EVENT_CONTRACTS = "event_contracts"
    SERIES_CONTRACTS = "series_contracts"
    TOTAL_CONTRACTS = "total_contracts"
    MARKET_EXPOSURE = "market_exposure"
    EVENT_EXPOSURE = "event_exposure"
    SERIES_EXPOSURE = "series_exposure"
    TOTAL_EXPOSURE = "total_exposure"
    WORST_CASE_LOSS = "worst_case_loss"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    ORDERS_PER_SECOND = "orders_per_second"
    ORDERS_PER_MINUTE = "orders_per_minute"
    CANCELS_PER_SECOND = "cancels_per_second"
    CANCELS_PER_MINUTE = "cancels_per_minute"
    OPEN_ORDERS = "open_orders"
    PRICE_COLLAR_CENTS = "price_collar_cents"
    DATA_AGE_MS = "data_age_ms"
    CASH_RESERVE = "cash_reserve"
    MINUTES_TO_CLOSE = "minutes_to_close"


class LimitKind(NamedTuple):
    """What the code must know of one limit.

    Attributes:
        unit: Of its value.
        most: Largest value that is allowed, in the file's unit.
        least: Smallest value that is allowed, in integers of here.
        latches: Whether it stops opening until `resume` once it was hit.
        binds_reductions: Whether a sale of what is held must keep to it as well.
    """

    unit: LimitUnit
    most: int
    least: int = 0
    latches: bool = False
    binds_reductions: bool = False


_CONTRACTS: Final = LimitKind(LimitUnit.CONTRACTS, 1_000_000_000)
_MONEY: Final = LimitKind(LimitUnit.DOLLARS, 1_000_000_000)
_LOSS: Final = _MONEY._replace(least=1, latches=True)
_RATE: Final = LimitKind(LimitUnit.COUNT, 100_000, binds_reductions=True)

LIMITS: Final[Mapping[LimitName, LimitKind]] = {
    LimitName.MARKET_CONTRACTS: _CONTRACTS,
    LimitName.EVENT_CONTRACTS: _CONTRACTS,
    LimitName.SERIES_CONTRACTS: _CONTRACTS,
    LimitName.TOTAL_CONTRACTS: _CONTRACTS,
    LimitName.MARKET_EXPOSURE: _MONEY,
    LimitName.EVENT_EXPOSURE: _MONEY,
    LimitName.SERIES_EXPOSURE: _MONEY,
    LimitName.TOTAL_EXPOSURE: _MONEY,
    LimitName.WORST_CASE_LOSS: _MONEY,
    LimitName.DAILY_LOSS: _LOSS,
    LimitName.DRAWDOWN: _LOSS,
    LimitName.LOSS_STREAK: LimitKind(LimitUnit.COUNT, 1_000, least=1, latches=True),
    LimitName.ORDERS_PER_SECOND: _RATE,
    LimitName.ORDERS_PER_MINUTE: _RATE._replace(latches=True),
    LimitName.CANCELS_PER_SECOND: _RATE,
    LimitName.CANCELS_PER_MINUTE: _RATE._replace(latches=True),
    LimitName.OPEN_ORDERS: _RATE,
    LimitName.PRICE_COLLAR_CENTS: LimitKind(LimitUnit.CENTS, 100, binds_reductions=True),
    LimitName.DATA_AGE_MS: LimitKind(LimitUnit.MILLISECONDS, 3_600_000),
    LimitName.CASH_RESERVE: _MONEY,
    LimitName.MINUTES_TO_CLOSE: LimitKind(LimitUnit.MINUTES, 527_040),
}


class LimitsFileError(KalshiActorError, ValueError):
    """`limits.toml` cannot be used: which field, its value, and what is allowed."""


class AccountBounds(msgspec.Struct, frozen=True):
    """The limits of one environment.

    Attributes:
        values: By name, in integers of their unit; a limit that is missing is not checked.
        warn_at_e4: From which share of a limit on a warning is logged, in 1e-4.
    """

    values: Mapping[LimitName, int] = {}
    warn_at_e4: int = DEFAULT_WARN_AT_E4

    def of(self, name: LimitName) -> int | None:
        """A limit in integers of its unit, None when it is not checked."""
        return self.values.get(name)

    def changes_from(self, before: AccountBounds) -> dict[str, str]:
        """What is otherwise than before, by name: `10.00 dollars -> 20.00 dollars`."""
        found = {}
        for name, kind in LIMITS.items():
            old, new = (
                "none" if value is None else kind.unit.text(value)
                for value in (before.of(name), self.of(name))
            )
            if old != new:
                found[name.value] = f"{old} -> {new}"
        if before.warn_at_e4 != self.warn_at_e4:
            found[WARN_AT] = f"{before.warn_at_e4 / _WHOLE_E4:g} -> {self.warn_at_e4 / _WHOLE_E4:g}"
        return found


class LimitsStatus(StrEnum):
    """What became of reading the file.

    Attributes:
        VALID: Its limits hold.
        MISSING: There is no file, or it has no table for the environment.
        INVALID: It cannot be read, or not be understood.
    """

    VALID = "valid"
    MISSING = "limits_missing"
    INVALID = "limits_invalid"


class LimitsReading(msgspec.Struct, frozen=True):
    """One look at the file.

    Attributes:
        status: What became of it.
        bounds: Of the environment; empty unless it is `VALID`.
        error: One line for people; empty when it is `VALID`.
    """

    status: LimitsStatus
    bounds: AccountBounds = AccountBounds()
    error: str = ""


class LimitsFile:
    """The file as it is now; looked at again when it has changed.

    Args:
        path: Of `limits.toml`.
        environment: Whose table counts.
    """

    def __init__(self, path: Path, environment: Environment) -> None:
        self.path = path
        self._environment = environment
        self._seen: tuple[int, ...] | None = None
        self._has_read = False

    def look(self) -> LimitsReading | None:
        """Read the file if it is another than at the last look, by time, size and inode.

        Returns:
            What it says, None when it has not changed.
        """
        seen = self._identity()
        if self._has_read and seen == self._seen:
            return None
        self._has_read, self._seen = True, seen
        return self.read()

    def read(self) -> LimitsReading:
        """Read the file; whatever is wrong with it is in the answer."""
        try:
            tables = parse_limits(_content(self.path))
        except FileNotFoundError:
            return self._missing("there is no file")
        except LimitsFileError as error:
            return LimitsReading(LimitsStatus.INVALID, error=f"{self.path}: {error}")
        except OSError as error:
            text = f"{self.path}: cannot be read: {error.strerror}; allowed: a readable file"
            return LimitsReading(LimitsStatus.INVALID, error=text)
        bounds = tables.get(self._environment)
        if bounds is None:
            return self._missing(f"it has no table [{self._environment}]")
        return LimitsReading(LimitsStatus.VALID, bounds)

    def _missing(self, why: str) -> LimitsReading:
        text = f"{self.path}: {why}; wanted: a table [{self._environment}], see docs/limits.md"
        return LimitsReading(LimitsStatus.MISSING, error=text)

    def _identity(self) -> tuple[int, ...] | None:
        """What changes with the file; None while nothing can be found out about it."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return None
        changed = (found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        return (found.st_dev, found.st_ino, found.st_mode, found.st_uid, *changed)


def _content(path: Path) -> bytes:
    """What the file holds, if only its owner can change it.

    Raises:
        LimitsFileError: It is no file of this user's or root's, others may write it, or it is too
            large.
        OSError: It cannot be opened or read.
    """
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise LimitsFileError("it is a symlink; allowed: the file itself (RL_LIMITS_FILE names it)")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_owner(os.fstat(fd))
        content = b""
        while part := os.read(fd, MOST_BYTES + 1 - len(content)):
            content += part
    finally:
        os.close(fd)
    if len(content) > MOST_BYTES:
        raise LimitsFileError(f"it has more than {MOST_BYTES} bytes; allowed: {MOST_BYTES}")
    return content


def _check_owner(found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise LimitsFileError("it is no regular file; allowed: a file")
    if found.st_uid not in (0, os.geteuid()):
        raise LimitsFileError(f"it belongs to user {found.st_uid}; allowed: {os.geteuid()}, 0")
    if mode & _OTHERS_WRITE:
        raise LimitsFileError(f"mode {mode:04o} lets others write it; allowed: 0600, 0644")
    if found.st_size > MOST_BYTES:
        raise LimitsFileError(f"it has {found.st_size} bytes; allowed: {MOST_BYTES}")


def parse_limits(content: bytes) -> dict[Environment, AccountBounds]:
    """Read the tables of a file.

    Args:
        content: TOML in UTF-8.

    Returns:
        The limits by environment, of the tables that are there, those of `[common]` included.

    Raises:
        LimitsFileError: Anything in it is not understood.
    """
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise LimitsFileError(f"byte {error.start} is not UTF-8; allowed: TOML in UTF-8") from None
    except RecursionError:
        raise LimitsFileError("it is nested too deep; allowed: tables of plain values") from None
    except (ValueError, DecimalException) as error:  # of TOML, or a number that nothing can hold
        reason = " ".join(str(error).split())[:200]
        raise LimitsFileError(f"it is not TOML: {reason}") from None
    for name, table in document.items():
        if name not in (COMMON, *Environment):
            raise LimitsFileError(_unknown("table", name, [*Environment, COMMON]))
        if not isinstance(table, dict):
            raise LimitsFileError(f"{name} = {_shown(table)} is no table; allowed: [{name}]")
        _bounds(name, table)  # a mistake in one that is overruled counts, too
    common = document.pop(COMMON, {})
    return {Environment(name): _bounds(name, common | table) for name, table in document.items()}


def _bounds(name: str, table: Mapping[str, Any]) -> AccountBounds:
    values: dict[LimitName, int] = {}
    warn_at_e4 = DEFAULT_WARN_AT_E4
    for key, raw in table.items():
        field = f"{name}.{key}"
        if key == WARN_AT:
            warn_at_e4 = _scaled(field, raw, _WHOLE_E4, (1, _WHOLE_E4), "0.0001 to 1, as in 0.8")
        elif key in tuple(LimitName):
            limit = LimitName(key)
            values[limit] = _value(field, raw, LIMITS[limit])
        else:
            raise LimitsFileError(_unknown("key", field, [*LimitName, WARN_AT]))
    return AccountBounds(values, warn_at_e4)


def _value(field: str, raw: object, kind: LimitKind) -> int:
    """A limit in integers of its unit."""
    unit, most = kind.unit, kind.most * kind.unit.scale
    least = unit.text(kind.least) if kind.least else "0"
    allowed = f"{least} to {unit.text(most)}"
    if unit.scale in (1, LimitUnit.MINUTES.scale):
        allowed = f"whole numbers, {allowed}"
        if isinstance(raw, Decimal) and raw.is_finite() and raw != raw.to_integral_value():
            raise LimitsFileError(f"{field} = {_shown(raw)} is not whole; allowed: {allowed}")
    return _scaled(field, raw, unit.scale, (kind.least, most), allowed)


def _scaled(field: str, raw: object, scale: int, within: tuple[int, int], allowed: str) -> int:
    """A number of the file times `scale`, exactly.

    Raises:
        LimitsFileError: It is no number, has more decimals than the unit, or is out of range.
    """
    number = _number(raw)
    if number is None:
        raise LimitsFileError(f"{field} = {_shown(raw)} is not a number; allowed: {allowed}")
    if number and abs(number.adjusted()) > _MOST_EXPONENT:
        raise LimitsFileError(f"{field} = {_shown(raw)} is out of range; allowed: {allowed}")
    exact = number.as_integer_ratio()
    value, rest = divmod(exact[0] * scale, exact[1])
    if rest:
        finest = f"{Decimal(1) / scale:f}"
        raise LimitsFileError(
            f"{field} = {_shown(raw)} has too many decimals; allowed: multiples of {finest}"
        )
    if not within[0] <= value <= within[1]:
        raise LimitsFileError(f"{field} = {_shown(raw)} is out of range; allowed: {allowed}")
    return value


def _number(raw: object) -> Decimal | None:
    """A number, or a text that is a plain decimal number."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, str):
        plain = raw.isascii() and raw.replace(".", "", 1).removeprefix("-").isdecimal()
        if not plain or len(raw) > _MOST_SHOWN:
            return None
    if not isinstance(raw, int | Decimal | str):
        return None
    number = Decimal(raw)
    return number if number.is_finite() else None


def _unknown(what: str, name: str, allowed: list[str]) -> str:
    shown = " ".join(name.split())[:_MOST_SHOWN]
    near = difflib.get_close_matches(name.rpartition(".")[2], allowed, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"unknown {what} {shown}; {meant}allowed: {', '.join(allowed)}"


def _shown(raw: object) -> str:
    """A value for a line: short, and without line breaks."""
    if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) > 10**_MOST_SHOWN:
        return "a number of more than 60 digits"
    text = repr(raw) if isinstance(raw, str) else str(raw)
    return " ".join(text.split())[:_MOST_SHOWN]
