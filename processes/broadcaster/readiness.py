"""Can this stack trade now? `/rl/ready` says so, and if not every reason why.

Alive (`/rl/health`) is less: every process may be well while the exchange answers nobody. What is
not known is not ready. Each check is a function of what is known to its reasons, in plain words,
the process first; each sees its cause within three seconds, which `SILENT_NS` and `STORED_MS`
leave room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ipc.clock import MS_PER_S, NS_PER_S
from ipc.messages import TradingState, TradingStatus
from processes.broadcaster.state import PROCESSES, TABLES, Health

__all__ = ["CHECKS", "SILENT_NS", "STORED_MS", "Known", "execution_mode", "reasons_of"]

SILENT_NS: Final = 5 * NS_PER_S // 2  # processes report once a second, tables more often
STORED_MS: Final = 1_500  # how long what was accepted may wait for the database


class Known(NamedTuple):
    """What the broadcaster knows.

    Attributes:
        health: What each process reported last, and when.
        trading: Whether the exchange trades, None before the collector has said it.
        mono_ns: Now.
    """

    health: Health
    trading: TradingStatus | None
    mono_ns: int

    def counter(self, process: str, name: str) -> int | None:
        """The newest of a process; None where it does not report such a one."""
        return self.health.counters.get(process, {}).get(name)


Check = Callable[[Known], Iterator[str]]


def reasons_of(known: Known) -> list[str]:
    """Every reason why this stack cannot trade now; none when it can."""
    return [reason for check in CHECKS for reason in check(known)]


def execution_mode(known: Known) -> str:
    """`live`; `shadow`, where all is decided and nothing is sent; `unknown` before it is said."""
    sends = known.counter("execution", "sends_orders")
    return "unknown" if sends is None else "live" if sends else "shadow"


def all_report(known: Known) -> Iterator[str]:
    """A process that says nothing may be dead; what it said last proves nothing."""
    for part in (*PROCESSES, *TABLES):
        age_ns = known.health.age_ns(part, known.mono_ns)
        what = "heartbeat" if part in TABLES else "report"
        if age_ns is None:
            yield f"{part}: no {what} yet"
        elif age_ns > SILENT_NS:
            yield f"{part}: no {what} for {age_ns / NS_PER_S:.1f} s"


def all_alive(known: Known) -> Iterator[str]:
    """What is wrong for `/rl/health`, too: clocks, the database, streams that it does not take."""
    yield from known.health.reasons()


def stored(known: Known) -> Iterator[str]:
    """The database takes every stream, and soon."""
    database = known.counter("recorder", "database")
    if database is None:
        yield "recorder: not known whether there is a database"
    elif database:
        behind_ms = known.counter("recorder", "behind_ms") or 0
        if behind_ms > STORED_MS:
            waits_s = behind_ms / MS_PER_S
            yield f"recorder: what was accepted has waited for the database for {waits_s:.1f} s"


def _is_on(known: Known, process: str, name: str, off: str) -> Iterator[str]:
    """`off` where a gauge of 0 and 1 is 0; what is not known is a reason, too."""
    value = known.counter(process, name)
    if value is None:
        yield f"{process}: {name} is not known yet"
    elif not value:
        yield f"{process}: {off}"


def exchange_connected(known: Known) -> Iterator[str]:
    """The collector's stream."""
    yield from _is_on(known, "collector", "connected", "not connected to the exchange")


def books_fresh(known: Known) -> Iterator[str]:
    """The book of every open market that is followed, without a hole."""
    markets = known.counter("collector", "markets")
    if not markets:
        yield "collector: no market is followed"
        return
    waiting = known.counter("collector", "books_waiting")
    if waiting is None:
        yield "collector: not known whether its books are up to date"
    elif waiting:
        yield f"collector: {waiting} of {markets} books are not up to date"
    if holes := known.counter("collector", "holes"):
        yield f"collector: {holes} books have changes that the journal refused"


def exchange_trades(known: Known) -> Iterator[str]:
    """Orders are placed in no pause, and not while the exchange does not say."""
    status = known.trading
    state = TradingState.UNKNOWN
    if status is not None and known.mono_ns <= status.valid_until_mono_ns:
        state = status.state
    if state is not TradingState.TRADING:
        yield f"collector: the exchange does not trade: {state}"


def private_channel_up(known: Known) -> Iterator[str]:
    """Where fills and orders are reported."""
    yield from _is_on(known, "execution", "channel_up", "the private channel is down")


def requests_accepted(known: Known) -> Iterator[str]:
    """What is signed with this account's key gets an answer."""
    off = "the exchange does not accept its requests: see requests_not_accepted in its log"
    yield from _is_on(known, "execution", "requests_accepted", off)


def accounts_known(known: Known) -> Iterator[str]:
    """Positions and cash agree with the exchange's; of paused markets they are compared later."""
    markets, doubtful = (known.counter("execution", n) for n in ("markets", "accounts_in_doubt"))
    if not markets or doubtful is None:
        yield "execution: no account is known"
    elif doubtful:
        yield f"execution: {doubtful} of {markets} accounts are not known"


def agrees(known: Known) -> Iterator[str]:
    """The exchange's view of orders, fills and positions is the stack's own."""
    if differing := known.counter("execution", "markets_differing"):
        yield f"execution: {differing} markets differ from what the exchange reports"


def recorded(known: Known) -> Iterator[str]:
    """Execution's own rule: what may never be in the database is not opened."""
    off = "opens no position while so much waits for the database: see not_persisted in its log"
    yield from _is_on(known, "execution", "recorded", off)


def stop_in_place(known: Known) -> Iterator[str]:
    """The exchange, and the watchdog, can stop what execution could not any more."""
    off = "sends no order: the exchange has no order group that takes any, see its log"
    yield from _is_on(known, "execution", "grouped", off)
    off = "nobody would cancel its orders if it died: see watchdog_lost in its log"
    yield from _is_on(known, "execution", "watched", off)


def limits_open(known: Known) -> Iterator[str]:
    """A limit that was hit stays until somebody resumes."""
    if latched := known.counter("execution", "latched"):
        yield f"execution: {latched} limits were hit and hold until trading is resumed"


def needs_met(known: Known) -> Iterator[str]:
    """Production has needs before its first order."""
    if missing := known.counter("execution", "needs_missing"):
        yield f"execution: {missing} needs of production are missing: see production_need"


def trading_on(known: Known) -> Iterator[str]:
    """Trading was switched off, by a command or by its setting."""
    if known.counter("execution", "trading_on") == 0:
        yield "execution: trading is off, by a command"
    if known.counter("execution", "actor_enabled") == 0:
        yield "execution: trading is off: RL_ACTOR_ENABLED is false"


CHECKS: Final[tuple[Check, ...]] = (
    all_report,
    all_alive,
    stored,
    exchange_connected,
    books_fresh,
    exchange_trades,
    private_channel_up,
    requests_accepted,
    accounts_known,
    agrees,
    recorded,
    stop_in_place,
    limits_open,
    needs_met,
    trading_on,
)
