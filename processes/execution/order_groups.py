"""Order groups: one on every shard that is traded on, made before its first order, kept, reset.

The exchange cancels all orders of a group, and takes no more, once so many contracts of it have
filled within 15 seconds as its limit says, or when it is told to (PROTOCOL.md, 6.4). The limit is
that of the whole account. What makes a group stop taking orders:

- the exchange, or somebody else's command: a latch holds until `trading resume`, which resets it;
- the watchdog, while execution was away: it is reset when execution is back;
- it is gone, as after a restart of the local exchange: a new one is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, NoReturn

import msgspec

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import Environment, TradingEvent, TradingEventKind
from ipc.trading import TradingMode
from ipc.units import format_count
from processes.adapters.kalshi.errors import AuthError, KalshiError, NotFound, OrderRejected
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.stream_messages import OrderGroupMsg
from processes.adapters.kalshi.stop.group_file import (
    GroupFileError,
    GroupList,
    OwnGroup,
    load_groups,
    save_groups,
)
from processes.adapters.kalshi.stop.watchdog_record import (
    WatchdogRecord,
    WatchdogRecordError,
    load_fired,
)
from processes.execution.gateway import EffectRunner
from processes.execution.latches import GROUP_TRIGGERED
from processes.execution.limits_file import LimitName
from processes.execution.manager import KalshiOrderManager
from processes.runtime.config import Settings
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["LARGEST_E2", "OrderGroupKeeper", "group_limit_e2"]

LOOK_PAUSE: Final = 0.1  # seconds between looks
UNANSWERED: Final = Backoff(first_s=0.5, longest_s=10.0)
REFUSED: Final = Backoff(first_s=1.0, longest_s=60.0)
LARGEST_E2: Final = 100_000_000  # the exchange takes 1 to 1,000,000 contracts, whole ones
ONE_E2: Final = 100
WATCHDOG_NS: Final = 3 * NS_PER_S  # a record that does not end for so long is taken for ended
RESETS_IN: Final = (TradingMode.ON, TradingMode.FLATTENING)
REFUSALS: Final = (AuthError, NotFound, OrderRejected)


def group_limit_e2(total_contracts_e2: int | None) -> int:
    """The limit of a group, 1e-2 contracts.

    The exchange stops a group when its limit is reached, ours may be reached: so the next whole
    contract above it.

    Args:
        total_contracts_e2: Of `limits.toml`, 1e-2 contracts; None without such a limit.
    """
    if total_contracts_e2 is None:
        return LARGEST_E2
    return min(total_contracts_e2 // ONE_E2 * ONE_E2 + ONE_E2, LARGEST_E2)


class _Group(msgspec.Struct):
    """A group of ours that the exchange has.

    Attributes:
        group_id: The exchange's.
        limit_e2: As the exchange knows it; None unknown.
        is_triggered: Whether it takes no orders until it is reset.
    """

    group_id: str
    limit_e2: int | None
    is_triggered: bool = False


class OrderGroupKeeper:
    """One task, and what others call when the exchange was reached or has something to say.

    Args:
        settings: Of the whole stack.
        environment: Where orders go; outside of `simulated` no group means no order, even where
            the exchange refuses to make one.
        manager: Whose orders belong to the groups.
        effects: The way to the exchange, and to the audit.
        log: Of this run.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        manager: KalshiOrderManager,
        effects: EffectRunner,
        log: Log,
    ) -> None:
        self._data_dir = settings.data_dir
        self._environment = environment
        self._subaccount = settings.execution.subaccount
        self._guard = manager.account_limits
        self._state = manager.state
        self._stop = manager.state.exchange_stop
        self._stop.is_required = manager.state.sends  # in mode shadow there are none
        self._effects = effects
        self._log = log
        self._groups: dict[int, _Group] = {}
        self._shards: set[int] = set()
        self._file = self._load()
        self._is_verified = False
        self._awaited: set[str] = set()  # groups whose reset the channel has not reported yet
        self._fired = WatchdogRecord(number=self._file.handled)  # the newest that was seen
        self._fired_ns = mono_ns()
        self._failures = 0
        self._error = ""
        self._busy = asyncio.Lock()

    def _load(self) -> GroupList:
        try:
            return load_groups(self._data_dir)
        except GroupFileError as error:
            self._log.error("order_groups_unreadable", error=error, message="new ones are made")
            return GroupList()

    # What others call.

    async def ensure(self, shards: Collection[int]) -> None:
        """Have a group on each of these shards, before a market there can be traded.

        What fails is tried again by `run`; until then orders there are refused.
        """
        if not set(shards) <= self._groups.keys():
            self._shards.update(shards)
            await self._attempt()

    async def on_channel_up(self) -> None:
        """Connected, perhaps to an exchange that has forgotten: what it has is looked at again."""
        self._is_verified = False
        self._awaited.clear()
        await self._attempt()

    def on_update(self, update: OrderGroupMsg) -> None:
        """The exchange reports a change of a group, ours or somebody else's."""
        for shard, group in self._groups.items():
            if group.group_id == update.order_group_id:
                self._on_own(shard, group, update.event_type)
                self._show()
                return

    async def run(self) -> NoReturn:
        """Look again and again: for limits that changed, groups to reset, refusals."""
        while True:
            pause = LOOK_PAUSE
            if self._failures:
                backoff = UNANSWERED if self._stop.is_required else REFUSED
                pause = backoff.after(self._failures - 1)
            await asyncio.sleep(pause)
            await self._attempt()

    # What the exchange says.

    def _on_own(self, shard: int, group: _Group, event_type: str) -> None:
        if event_type == "reset":
            self._awaited.discard(group.group_id)
        elif event_type == "limit_updated":
            self._is_verified = False
        elif event_type == "deleted":
            self._is_verified = False
            self._on_stopped(shard, group, "deleted")
        elif event_type == "triggered" and group.group_id not in self._awaited:
            self._on_stopped(shard, group, "triggered by the exchange")

    def _on_stopped(self, shard: int, group: _Group, what: str) -> None:
        """Its orders are gone. The watchdog's own doing does not latch: it is reset."""
        if group.is_triggered:
            return
        group.is_triggered = True
        self._look_at_record()
        if self._is_by_watchdog:
            return
        self._guard.on_group_stopped(what, group.limit_e2, shard)
        self._effects.act()

    @property
    def _is_by_watchdog(self) -> bool:
        return self._fired.number > self._file.handled

    def _take_refusals(self) -> None:
        """Orders were refused for their group."""
        for shard, code in list(self._stop.refused.items()):
            del self._stop.refused[shard]
            if (group := self._groups.get(shard)) is not None:
                self._is_verified = False
                self._on_stopped(shard, group, code)

    def _look_at_record(self) -> None:
        """What the watchdog has written since the last look."""
        try:
            fired = load_fired(self._data_dir)
        except WatchdogRecordError as error:
            if str(error) != self._error:
                self._error = str(error)
                self._log.error("watchdog_record_unreadable", error=error)
            return
        if fired.number <= self._fired.number:
            if fired.number == self._fired.number:
                self._fired = fired
            return
        self._fired, self._fired_ns = fired, mono_ns()
        for group in self._groups.values():
            group.is_triggered = True

    # Work.

    async def _attempt(self) -> None:
        """One look; what fails is tried again later, with one line."""
        client = self._effects.gateway.client
        if client is None or not self._state.sends:
            return
        async with self._busy:
            try:
                await self._look(client)
            except (KalshiError, GroupFileError) as error:
                self._on_failure(error)
            else:
                self._on_success()
            self._show()

    async def _look(self, client: KalshiTradingClient) -> None:
        self._take_refusals()
        self._look_at_record()
        if not self._is_verified:
            await self._verify(client)
        for shard in sorted(self._shards | set(self._state.money.shards.values())):
            if shard not in self._groups:
                await self._make(client, shard)
        wanted_e2 = group_limit_e2(self._guard.bounds.of(LimitName.TOTAL_CONTRACTS))
        for shard, group in list(self._groups.items()):
            if group.limit_e2 != wanted_e2:
                await client.limit_order_group(group.group_id, wanted_e2, shard)
                group.limit_e2 = wanted_e2
        await self._reset(client)

    async def _verify(self, client: KalshiTradingClient) -> None:
        """Keep those of our file that the exchange has; others on its list are not ours."""
        self._is_verified = True  # what comes meanwhile takes it back
        try:
            listed = {group.group_id: group for group in await client.order_groups()}
        except KalshiError:
            self._is_verified = False
            raise
        known = {g.group_id: g for g in self._groups.values()}
        latched = any(latch.name == GROUP_TRIGGERED for latch in self._guard.latches)
        found: dict[int, _Group] = {}
        for own in self._file.of(self._environment, self._subaccount):
            row = listed.get(own.group_id)
            if row is None or row.exchange_index != own.shard:
                self._log("order_group_gone", group_id=own.group_id, shard=own.shard)
                continue
            before = known.get(own.group_id)
            stopped = latched or self._is_by_watchdog if before is None else before.is_triggered
            found[own.shard] = _Group(own.group_id, row.limit_e2, stopped)
        self._groups = found

    async def _make(self, client: KalshiTradingClient, shard: int) -> None:
        """Make a group, and write it down before any order can belong to it."""
        limit_e2 = group_limit_e2(self._guard.bounds.of(LimitName.TOTAL_CONTRACTS))
        group_id = await client.create_order_group(limit_e2, shard)
        made = {**self._groups, shard: _Group(group_id, limit_e2)}
        await self._save(made, self._file.handled)
        self._groups = made
        facts = {"group_id": group_id, "shard": shard, "contracts": format_count(limit_e2)}
        self._log("order_group_made", **facts)

    async def _save(self, groups: dict[int, _Group], handled: int) -> None:
        place = self._environment, self._subaccount
        owned = tuple(OwnGroup(g.group_id, shard, *place) for shard, g in groups.items())
        file = self._file.replaced(*place, owned, handled)
        await asyncio.to_thread(save_groups, self._data_dir, file)
        self._file = file

    async def _reset(self, client: KalshiTradingClient) -> None:
        """Groups take orders again once nothing speaks against it."""
        fired, is_by_watchdog = self._fired, self._is_by_watchdog
        if is_by_watchdog and not fired.is_over and mono_ns() - self._fired_ns < WATCHDOG_NS:
            return
        latched = any(latch.name == GROUP_TRIGGERED for latch in self._guard.latches)
        flattening = self._state.mode is TradingMode.FLATTENING
        if (latched and not flattening) or self._state.mode not in RESETS_IN:
            return
        for shard, group in list(self._groups.items()):
            if group.is_triggered:
                self._awaited.add(group.group_id)
                await client.reset_order_group(group.group_id, shard)
                group.is_triggered = False
                self._log("order_group_reset", group_id=group.group_id, shard=shard)
        if is_by_watchdog:
            await self._save(self._groups, fired.number)
            self._note_watchdog(fired)

    def _note_watchdog(self, fired: WatchdogRecord) -> None:
        """The audit has what the watchdog did while nobody could write it."""
        nothing = "none of our orders rests" if fired.is_proven else "not verified"
        self._state.effects.note(
            TradingEvent(
                kind=TradingEventKind.MODE,
                name="watchdog_fired",
                who="watchdog",
                why=f"no heartbeat of execution; {nothing}",
                market_ticker=None,
                numbers={
                    "utc_ns": fired.since_utc_ns,
                    "canceled": fired.canceled,
                    "groups": len(fired.groups),
                },
                ts_ns=self._state.now().ns,
            )
        )
        self._log.warning("watchdog_fired", canceled=fired.canceled, proven=fired.is_proven)
        self._effects.act()

    # Results.

    def _show(self) -> None:
        """What orders may belong to now."""
        self._stop.groups = {
            shard: group.group_id
            for shard, group in self._groups.items()
            if not group.is_triggered and shard not in self._stop.refused
        }

    def _on_success(self) -> None:
        if self._failures:
            self._log("order_groups_kept_again")
        self._failures, self._error = 0, ""
        self._stop.is_required = True

    def _on_failure(self, error: Exception) -> None:
        self._failures += 1
        is_refused = isinstance(error, REFUSALS) and not self._groups
        if is_refused and self._environment is Environment.SIMULATED:
            self._stop.is_required = False
        follows = "no order there until it is" if self._stop.is_required else "orders have none"
        if str(error) != self._error:
            self._error = str(error)
            self._log.warning("order_groups_not_kept", error=error, message=follows)
