"""The environment, parsed once into frozen structs; errors name variable, value and choices.

Every variable is explained in `.env.example` and docs/operations.md, with its default; an empty
value counts as unset. Amounts are dollars and contracts in a variable, integers in the structs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ipc.endpoints import ENDPOINTS
from ipc.errors import KalshiActorError
from ipc.messages import Environment
from ipc.places import default_data_dir
from ipc.units import ONE_DOLLAR_E4, is_whole, parse_money

__all__ = [
    "FALSE",
    "RENAMED",
    "TRUE",
    "ActorSettings",
    "BookSettings",
    "BroadcasterSettings",
    "ConfigError",
    "ExchangeSettings",
    "ExecutionSettings",
    "LogSettings",
    "Settings",
    "load_log",
    "load_settings",
]

TRUE: Final = frozenset({"true", "1", "yes", "on"})
FALSE: Final = frozenset({"false", "0", "no", "off"})
OFF: Final = "off"
EXCHANGE_TIERS: Final = (
    *("unmetered", "basic", "advanced", "expert", "premier", "paragon", "prime", "prestige"),
)
MOST_PORT: Final = 65_535
MOST_SHARD: Final = 100
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
HOUR_S: Final = 3_600
E6_PER_E4: Final = 100
MARKET_MODES: Final = ("hot", "all", "config")
ON_SWITCH: Final = ("hold", "reduce", "flatten")
DISCOVERY_MODES: Final = ("discovery", "config")
EXECUTION_MODES: Final = ("live", "shadow")
MARKET_ORDERS: Final = ("volume", "close")
_ADDRESS: Final = re.compile(r"tcp://.+:\d{1,5}|ipc://.+")
_SERIES: Final = re.compile(r"[A-Za-z0-9._-]{1,112}")
_PATTERN: Final = re.compile(r"[A-Za-z0-9._*?-]{1,112}")
_MODEL_HASH: Final = re.compile(r"[0-9a-f]{16}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
RENAMED: Final = {"RL_BOOK_SLOTS": "RL_BOOK_LEVELS"}  # name -> what it was called before
PRICINGS: Final = ("aggressive", "passive", "mid")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("console", "json")


class ConfigError(KalshiActorError, ValueError):
    """A setting that cannot be used: which, its value, what is allowed.

    A process that meets one at its start prints it and exits with 2. Secrets are never shown.
    """


class ExchangeSettings(msgspec.Struct, frozen=True):
    """The local exchange.

    Attributes:
        port: Of REST and the WebSocket; 0 lets the system choose.
        admin_port: Of its admin calls.
        replay: A recording, or a folder of them, to replay; None for synthetic markets.
        speed: Of market time against real time; 0 means as fast as it can be read.
        loop: Whether a replay starts over at its end.
        start_ms: Where the market time of synthetic markets begins; None is now.
        seed: Of the synthetic markets.
        markets: How many of them trade.
        accounts: How many keys it makes.
        cash_e6: Cash of each account.
        tier: Of the rate limits.
        orders_lag_ms: How much later reads of orders see a change.
        positions_lag_ms: How much later reads of positions see a fill.
        shards: Shard of each series that is not on shard 0.
        oldest_ms: How far a request's timestamp may lie behind.
        newest_ms: How far it may lie ahead.
        weekly_pause: Whether the exchange pauses as the real one does.
        faults: JSON, as it was given: the exchange knows what can be ordered.
        keep_ms: How long it keeps what has ended, in market time.
        catalogue: Markets that are listed beside those that trade.
        combos: Markets of combinations that are listed too.
    """

    port: int
    admin_port: int
    replay: Path | None
    speed: float
    loop: bool
    start_ms: int | None
    seed: int
    markets: int
    accounts: int
    cash_e6: int
    tier: str
    orders_lag_ms: int
    positions_lag_ms: int
    shards: Mapping[str, int]
    oldest_ms: int
    newest_ms: int
    weekly_pause: bool
    faults: str  # JSON, as it was given: the exchange knows what can be ordered
    keep_ms: int
    catalogue: int  # markets that are listed beside those that trade
    combos: int


class BookSettings(msgspec.Struct, frozen=True):
    """The collector's markets, table and journal.

    Attributes:
        mode: `discovery` or `config`.
        tickers: Markets of mode `config`.
        series: In mode `discovery`, only markets of these; empty for all.
        patterns: In mode `discovery`, only tickers like one of these (`*`, `?`); empty for all.
        order: `volume` or `close`: which markets come first.
        market_limit: Markets at once.
        min_volume_e2: Least 24 h volume of a market to follow.
        min_left_ms: Least time that a new market has to its close.
        max_left_ms: Most time that a new market has to its close; 0 for any.
        discovery_s: Seconds between two looks at what changed.
        full_look_s: Seconds between two looks at the whole list.
        rows: Of the table of books.
        slots: Prices a leg that a row has room for.
        segment_records: Book events of one file of the journal.
        journal_max_bytes: Of all files that the recorder has not taken yet.
    """

    mode: str
    tickers: tuple[str, ...]
    series: tuple[str, ...]
    patterns: tuple[str, ...]
    order: str
    market_limit: int
    min_volume_e2: int
    min_left_ms: int
    max_left_ms: int
    discovery_s: float
    full_look_s: float
    rows: int
    slots: int
    segment_records: int
    journal_max_bytes: int


class ActorSettings(msgspec.Struct, frozen=True):
    """The actor.

    Attributes:
        enabled: Whether the policy is asked; off, every decision of the live one is HOLD.
        strategy: `onnx:<model>`, `baseline:<name>`, `python:<module>.<class>` or `registry`.
        throttle_ms: Least market time between two ticks of a market.
        target_market_mode: `hot`, `all`, or `config` for the markets listed.
        target_markets: Markets of mode `config`.
        hot_markets: Markets of mode `hot` at a time.
        hot_dwell_ms: Least market time in one of them before a hotter one may replace it.
        hot_close_ms: Such a market is left so long before its close.
        hot_max_spread_e4: One with a wider spread is left.
        on_switch: `hold`, `reduce` or `flatten`: what becomes of the position in one that was left.
        contract_size_e2: Size of an order before caps.
        market_cash_e6: Start cash of each market's own sub-account.
        warmup_ticks: Ticks of a market before its first decision.
        pricing: `aggressive`, `passive` or `mid`.
        intent_deadline_ms: How long after the decision an intent may be sent.
        seed: Of baselines that draw.
        max_behind_s: How old what is not in the database may be for a decision.
        max_behind_events: How many book events may not be in the database for a decision.
    """

    enabled: bool
    strategy: str
    throttle_ms: int
    target_market_mode: str
    target_markets: tuple[str, ...]
    hot_markets: int
    hot_dwell_ms: int
    hot_close_ms: int
    hot_max_spread_e4: int
    on_switch: str
    contract_size_e2: int
    market_cash_e6: int
    warmup_ticks: int
    pricing: str
    intent_deadline_ms: int
    max_data_age_ms: int | None  # of a tick's data when it is decided on; None: any
    seed: int
    max_behind_s: int
    max_behind_events: int


class ExecutionSettings(msgspec.Struct, frozen=True):
    """Orders: exchange-side expiry, and how often REST is asked for the truth and for queues.

    Attributes:
        subaccount: The one that is traded in, 0 for the primary account; None names none.
        order_expiry_s: After which the exchange cancels an order that was not renewed.
        reconcile_s: Between two comparisons with the exchange.
        queue_position_s: Between two reads of places in the queue; 0 never asks, and they stay
            unknown.
        max_unrecorded_s: How old what is not in the database may be while positions are opened.
        max_unrecorded_bytes: How much may not be in the database while positions are opened.
        limits_file: `limits.toml`: the limits of the whole account.
        mode: `live`, or `shadow`: all is decided and recorded, and nothing is sent.
        allow_model: Hash of a model that may trade in production whatever its manifest says.
        doctor_max_age_s: How old the record of a passed examination may be in production.
        adopt: Whether orders and positions of others count as this stack's own.
    """

    subaccount: int | None
    order_expiry_s: int
    reconcile_s: float
    queue_position_s: float
    max_unrecorded_s: int
    max_unrecorded_bytes: int
    limits_file: Path
    adopt: bool
    mode: str
    allow_model: str
    doctor_max_age_s: int

    @property
    def is_shadow(self) -> bool:
        """Whether nothing is sent."""
        return self.mode == "shadow"


class BroadcasterSettings(msgspec.Struct, frozen=True):
    """The dashboard's server; its `repr` shows no token.

    Attributes:
        host: Address to listen on.
        port: 0 lets the system choose.
        origins: Origins of pages that may connect, besides its own host.
        depth: Levels a side that are sent, 0 for all.
        book_interval_ms: Least time between two updates of a book.
        client_buffer_bytes: What may wait for a client before it is closed.
        token: Where there is one, it is wanted of every client.
    """

    host: str
    port: int
    origins: tuple[str, ...]
    depth: int
    book_interval_ms: int
    client_buffer_bytes: int
    token: str

    def __repr__(self) -> str:
        return f"BroadcasterSettings(host={self.host!r}, port={self.port})"


class LogSettings(msgspec.Struct, frozen=True):
    """From which level on events are logged, and in which form.

    Attributes:
        level: `debug`, `info`, `warning` or `error`.
        format: `console` or `json`.
    """

    level: str = "info"
    format: str = "console"


class Settings(msgspec.Struct, frozen=True):
    """Everything a process may want to know; `environ` is kept for endpoints and credentials."""

    data_dir: Path
    log: LogSettings
    environment: Environment
    database_url: str | None
    exchange: ExchangeSettings
    books: BookSettings
    actor: ActorSettings
    execution: ExecutionSettings
    broadcaster: BroadcasterSettings
    environ: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(environment={self.environment}, data_dir={self.data_dir})"


Number = TypeVar("Number", int, float)


class _Reader:
    """Typed look-ups in the environment; an empty value counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def name_of(self, name: str) -> str:
        """The name under which a setting is given: the old one while the new one is unset."""
        old = RENAMED[name]
        return old if self.text(old, "") and not self.text(name, "") else name

    def flag(self, name: str, default: bool) -> bool:
        raw = self.text(name, "true" if default else "false").lower()
        if raw not in TRUE | FALSE:
            raise ConfigError(f"{name}={raw!r} is not a truth value; allowed: true, false")
        return raw in TRUE

    def number(self, name: str, default: Number, low: Number, high: Number) -> Number:
        kind = type(default)
        raw = self.text(name, str(default))
        try:
            value = kind(raw)
        except ValueError:
            word = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{name}={raw!r} is not {word}; allowed: {low} to {high}") from None
        if not low <= value <= high:
            raise ConfigError(f"{name}={raw} is out of range; allowed: {low} to {high}")
        return value

    def number_or_off(self, name: str, default: int, low: int, high: int) -> int | None:
        """A whole number, or None for the word `off`."""
        if self.text(name, "").lower() == OFF:
            return None
        try:
            return self.number(name, default, low, high)
        except ConfigError as error:
            raise ConfigError(f"{error}, or {OFF}") from None

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        raw = self.text(name, default)
        if raw not in allowed:
            raise ConfigError(f"{name}={raw!r} is unknown; allowed: {', '.join(allowed)}")
        return raw

    def moment_ms(self, name: str) -> int | None:
        """Unix milliseconds of a time with its zone; None when it is unset."""
        raw = self.text(name, "")
        if not raw:
            return None
        try:
            moment = datetime.fromisoformat(raw)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or moment.timestamp() < 0:
            raise ConfigError(
                f"{name}={raw!r} is not a time with a zone; allowed: such as 2026-08-03T12:00:00Z"
            )
        return round(moment.timestamp() * 1000)

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(t.strip() for t in self.text(name, "").split(",") if t.strip())

    def money(self, name: str, default: str) -> int:
        raw = self.text(name, default)
        try:
            value = parse_money(raw)
        except ValueError:
            raise ConfigError(
                f"{name}={raw!r} is not an amount of dollars, such as {default}"
            ) from None
        if value <= 0:
            raise ConfigError(f"{name}={raw} must be more than 0 dollars")
        return value


def _exchange(read: _Reader) -> ExchangeSettings:
    port = read.number("RL_EXCHANGE_PORT", 8070, 0, 65_535)
    if port == MOST_PORT and not read.text("RL_EXCHANGE_ADMIN_PORT", ""):
        raise ConfigError(
            f"RL_EXCHANGE_PORT={port} leaves no port after it for the admin calls; choose another "
            "port or set RL_EXCHANGE_ADMIN_PORT"
        )
    replay = read.text("RL_EXCHANGE_REPLAY", "")
    catalogue = read.number("RL_EXCHANGE_CATALOGUE", 0, 0, 1_000_000)
    return ExchangeSettings(
        port=port,
        admin_port=read.number("RL_EXCHANGE_ADMIN_PORT", port + 1 if port else 0, 0, 65_535),
        replay=Path(replay) if replay else None,
        speed=read.number("RL_EXCHANGE_SPEED", 1.0, 0.0, 10_000.0),
        loop=read.flag("RL_EXCHANGE_LOOP", False),
        start_ms=read.moment_ms("RL_EXCHANGE_START"),
        seed=read.number("RL_EXCHANGE_SEED", 1, 0, 2**31 - 1),
        markets=read.number("RL_EXCHANGE_MARKETS", 3, 1, 2_000),
        accounts=read.number("RL_EXCHANGE_ACCOUNTS", 2, 1, 1_000),
        cash_e6=read.money("RL_EXCHANGE_CASH", "10000.00"),
        tier=read.choice("RL_EXCHANGE_TIER", "prestige", EXCHANGE_TIERS),
        orders_lag_ms=read.number("RL_EXCHANGE_ORDERS_LAG_MS", 0, 0, 60_000),
        positions_lag_ms=read.number("RL_EXCHANGE_POSITIONS_LAG_MS", 0, 0, 60_000),
        shards=_shards(read),
        oldest_ms=read.number("RL_EXCHANGE_CLOCK_BEHIND_MS", 15_000, 0, 3_600_000),
        newest_ms=read.number("RL_EXCHANGE_CLOCK_AHEAD_MS", 60_000, 0, 3_600_000),
        weekly_pause=read.flag("RL_EXCHANGE_WEEKLY_PAUSE", False),
        faults=read.text("RL_EXCHANGE_FAULTS", ""),
        keep_ms=HOUR_MS * read.number("RL_EXCHANGE_KEEP_HOURS", 504, 1, 100_000),
        catalogue=catalogue,
        combos=read.number("RL_EXCHANGE_COMBOS", catalogue * 3 // 5, 0, 1_000_000),
    )


def _shards(read: _Reader) -> Mapping[str, int]:
    """`SERIES=1,OTHER=2`: the shard of each series."""
    shards = {}
    for name in read.names("RL_EXCHANGE_SHARDS"):
        series, equals, index = name.partition("=")
        if not series or not equals or not is_whole(index) or int(index) > MOST_SHARD:
            raise ConfigError(
                f"RL_EXCHANGE_SHARDS={name!r} is not a series' shard; "
                f"allowed: SERIES=0 to SERIES={MOST_SHARD}"
            )
        shards[series] = int(index)
    return shards


def _books(read: _Reader) -> BookSettings:
    slots = read.number(read.name_of("RL_BOOK_SLOTS"), 1280, 1, 9_999)
    mode = read.choice("RL_MARKET_MODE", "discovery", DISCOVERY_MODES)
    tickers = read.names("RL_MARKET_TICKERS")
    if mode == "config" and not tickers:
        raise ConfigError("RL_MARKET_TICKERS is empty; RL_MARKET_MODE=config needs market tickers")
    left = _time_left(read)
    return BookSettings(
        mode=mode,
        tickers=tickers,
        series=_words(read, "RL_MARKET_SERIES", _SERIES, "tickers of series, such as KXBTC15M"),
        patterns=_words(read, "RL_MARKET_PATTERNS", _PATTERN, "tickers with * and ?, as in KXBTC*"),
        order=read.choice("RL_MARKET_ORDER", "volume", MARKET_ORDERS),
        market_limit=read.number("ORDERBOOK_MARKET_LIMIT", 100, 1, 100_000),
        min_volume_e2=100 * read.number("RL_MARKET_MIN_VOLUME", 0, 0, 1_000_000_000),
        min_left_ms=left[0],
        max_left_ms=left[1],
        discovery_s=read.number("RL_DISCOVERY_INTERVAL_S", 5.0, 0.1, 3_600.0),
        full_look_s=read.number("RL_DISCOVERY_FULL_S", 600.0, 10.0, 86_400.0),
        rows=read.number("RL_BOOK_ROWS", 256, 1, 65_535),
        slots=slots,
        segment_records=read.number("RL_JOURNAL_SEGMENT_RECORDS", 65_536, 2 * slots + 2, 1 << 26),
        journal_max_bytes=read.number("RL_JOURNAL_MAX_BYTES", 1 << 30, 1 << 20, 1 << 50),
    )


def _words(read: _Reader, name: str, form: re.Pattern[str], allowed: str) -> tuple[str, ...]:
    words = read.names(name)
    for word in words:
        if not form.fullmatch(word):
            raise ConfigError(f"{name}={word!r} cannot match a market; allowed: {allowed}")
    return words


def _time_left(read: _Reader) -> tuple[int, int]:
    """(least, most) that a new market has to its close, milliseconds; 0 for any."""
    least = MINUTE_MS * read.number("RL_MARKET_MIN_MINUTES_LEFT", 0, 0, 5_256_000)
    most = HOUR_MS * read.number("RL_MARKET_MAX_HOURS_LEFT", 0, 0, 87_600)
    if 0 < most <= least:
        raise ConfigError(
            f"RL_MARKET_MAX_HOURS_LEFT={most // HOUR_MS} leaves no market beside "
            f"RL_MARKET_MIN_MINUTES_LEFT={least // MINUTE_MS}; allowed: more hours, or 0 for any"
        )
    return least, most


def _actor(read: _Reader, environment: Environment, followed: tuple[str, ...]) -> ActorSettings:
    """The actor; where it trades a list and has none of its own, that of the collector."""
    model = read.text("RL_ACTOR_MODEL_ID", "default")
    throttle = read.number("RL_ACTOR_TICK_THROTTLE_MS", 250, 0, 3_600_000)
    mode = "all" if environment is Environment.SIMULATED else "hot"
    return ActorSettings(
        enabled=read.flag("RL_ACTOR_ENABLED", environment is Environment.SIMULATED),
        strategy=read.text("RL_ACTOR_STRATEGY", f"onnx:{model}"),
        throttle_ms=throttle,
        target_market_mode=read.choice("RL_ACTOR_TARGET_MARKET_MODE", mode, MARKET_MODES),
        target_markets=read.names("RL_ACTOR_MARKET_TICKERS") or followed,
        hot_markets=read.number("RL_ACTOR_HOT_MARKETS", 1, 1, 1_000),
        hot_dwell_ms=1000 * read.number("RL_ACTOR_HOT_DWELL_S", 60, 0, 86_400),
        hot_close_ms=1000 * read.number("RL_ACTOR_HOT_CLOSE_S", 60, 0, 86_400),
        hot_max_spread_e4=_spread(read, "RL_ACTOR_HOT_MAX_SPREAD", "0.10"),
        on_switch=read.choice("RL_ACTOR_ON_SWITCH", "flatten", ON_SWITCH),
        contract_size_e2=100 * read.number("RL_ACTOR_CONTRACT_SIZE", 10, 1, 1_000_000),
        market_cash_e6=read.money("RL_ACTOR_MARKET_CASH", "100.00"),
        warmup_ticks=read.number("RL_ACTOR_WARMUP_TICKS", 10, 0, 10_000),
        pricing=read.choice("RL_ACTOR_PRICING", "passive", PRICINGS),
        intent_deadline_ms=read.number("RL_ACTOR_INTENT_DEADLINE_MS", 1_000, 1, 60_000),
        max_data_age_ms=read.number_or_off("RL_MAX_DATA_AGE_MS", 1_000, 1, 3_600_000),
        seed=read.number("RL_ACTOR_SEED", 1, 0, 2**31 - 1),
        max_behind_s=read.number("RL_MAX_BEHIND_S", 900, 5, 864_000),
        max_behind_events=read.number("RL_MAX_BEHIND_EVENTS", 5_000_000, 1, 2**53),
    )


def _spread(read: _Reader, name: str, default: str) -> int:
    """1e-4 dollars, more than 0 and less than a dollar."""
    money_e6 = read.money(name, default)
    if money_e6 % E6_PER_E4 or money_e6 >= ONE_DOLLAR_E4 * E6_PER_E4:
        raise ConfigError(
            f"{name}={read.text(name, default)} is not a spread; allowed: 0.0001 to 0.9999 dollars"
        )
    return money_e6 // E6_PER_E4


def _broadcaster(read: _Reader) -> BroadcasterSettings:
    return BroadcasterSettings(
        host=read.text("RL_BROADCASTER_HOST", "127.0.0.1"),
        port=read.number("RL_BROADCASTER_PORT", 8080, 0, 65_535),
        origins=read.names("RL_BROADCASTER_ORIGINS"),
        depth=read.number("RL_BROADCASTER_DEPTH", 20, 0, 9_999),
        book_interval_ms=read.number("RL_BROADCASTER_BOOK_INTERVAL_MS", 200, 20, 60_000),
        client_buffer_bytes=read.number("RL_BROADCASTER_CLIENT_BUFFER", 8 << 20, 1 << 16, 1 << 32),
        token=_token(read, "RL_BROADCASTER_TOKEN"),
    )


def _token(read: _Reader, name: str) -> str:
    """Never shown, also where it is refused."""
    token = read.text(name, "")
    if token and not _TOKEN.fullmatch(token):
        raise ConfigError(f"{name} is not a token; allowed: 16 to 128 letters, digits, - or _")
    return token


def _model_hash(read: _Reader, name: str) -> str:
    digits = read.text(name, "")
    if digits and not _MODEL_HASH.fullmatch(digits):
        raise ConfigError(f"{name}={digits!r} is no model's hash; allowed: 16 of 0-9 and a-f")
    return digits


def _subaccount(read: _Reader) -> int | None:
    named = bool(read.text("KALSHI_SUBACCOUNT", ""))
    return read.number("KALSHI_SUBACCOUNT", 0, 0, 63) if named else None


def _check_endpoints(read: _Reader) -> None:
    for name, endpoint in ENDPOINTS.items():
        variable = f"RL_ENDPOINT_{name.upper()}"
        address = read.text(variable, "")
        if address and endpoint.is_local:
            raise ConfigError(f"{variable} is set; allowed: unset, this socket cannot be moved")
        if address and not _ADDRESS.fullmatch(address):
            raise ConfigError(
                f"{variable}={address!r} is not an address; allowed: tcp://host:port, ipc://path"
            )


def load_log(environ: Mapping[str, str]) -> LogSettings:
    """Parse how to log, before anything else is read.

    Raises:
        ConfigError: As of `load_settings`.
    """
    read = _Reader(environ)
    return LogSettings(
        level=read.choice("RL_LOG_LEVEL", "info", LOG_LEVELS),
        format=read.choice("RL_LOG_FORMAT", "console", LOG_FORMATS),
    )


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Parse the environment.

    Args:
        environ: All variables, `os.environ` or a test's own.

    Returns:
        What every process reads; `environ` itself is kept in it for endpoints and keys.

    Raises:
        ConfigError: On the first thing that cannot be used.
    """
    read = _Reader(environ)
    environment = Environment(
        read.choice("KALSHI_TRADING_ENVIRONMENT", "simulated", tuple(Environment))
    )
    _check_endpoints(read)
    data_dir = Path(read.text("RL_DATA_DIR", str(default_data_dir()))).expanduser().absolute()
    limits_file = Path(read.text("RL_LIMITS_FILE", str(data_dir / "limits.toml")))
    return Settings(
        data_dir=data_dir,
        log=load_log(environ),
        environment=environment,
        database_url=read.text("DATABASE_URL", "") or None,
        exchange=_exchange(read),
        books=_books(read),
        actor=_actor(read, environment, read.names("RL_MARKET_TICKERS")),
        execution=ExecutionSettings(
            subaccount=_subaccount(read),
            order_expiry_s=read.number("RL_ORDER_EXPIRY_S", 60, 5, 86_400),
            reconcile_s=read.number("RL_RECONCILE_S", 5.0, 0.5, 3_600.0),
            queue_position_s=read.number("RL_QUEUE_POSITION_S", 1.0, 0.0, 3_600.0),
            max_unrecorded_s=read.number("RL_MAX_UNRECORDED_S", 120, 5, 864_000),
            max_unrecorded_bytes=read.number("RL_MAX_UNRECORDED_BYTES", 1 << 28, 1 << 20, 1 << 50),
            limits_file=limits_file.expanduser().absolute(),
            mode=read.choice("RL_EXECUTION_MODE", "live", EXECUTION_MODES),
            allow_model=_model_hash(read, "RL_ALLOW_MODEL_HASH"),
            doctor_max_age_s=HOUR_S * read.number("RL_DOCTOR_MAX_AGE_H", 168, 1, 720),
            adopt=read.flag("RL_ADOPT", False),
        ),
        broadcaster=_broadcaster(read),
        environ=environ,
    )
