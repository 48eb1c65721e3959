"""What the watchdog does at the exchange: trigger the order groups, cancel our orders, verify."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from ipc.errors import KalshiActorError
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import AuthError, KalshiError, NotFound, OrderRejected
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import shared_budget
from processes.adapters.kalshi.rest.rate_budget import Rank
from processes.adapters.kalshi.stop.cancel_own import OwnCanceled, cancel_own_orders
from processes.adapters.kalshi.stop.group_file import OwnGroup
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.adapters.kalshi.stop.stack_mark import own_prefix
from processes.runtime.config import Settings
from processes.runtime.log import Log

__all__ = ["ExchangeStopper", "StopRound"]

ANSWER_S: Final = 3.0  # for a trigger
REFUSALS: Final = (AuthError, NotFound, OrderRejected)


class StopRound(NamedTuple):
    """How one round ended.

    Attributes:
        is_proven: Whether none of our orders rests, and no group waits to be triggered.
        canceled: Orders whose cancel was asked for.
        triggered: Groups that the exchange has triggered.
        error: What went wrong last; empty when nothing did.
    """

    is_proven: bool
    canceled: int = 0
    triggered: tuple[str, ...] = ()
    error: str = ""


class ExchangeStopper:
    """The watchdog's own way to the exchange.

    Args:
        settings: Credentials, subaccount, and the data folder with the stack's rate budget.
        target: The exchange's addresses.
        log: Of this run.
    """

    def __init__(self, settings: Settings, target: KalshiTarget, log: Log) -> None:
        self._settings = settings
        self._target = target
        place = settings.data_dir, target.environment
        self._budget = shared_budget(*place, log, rank=Rank.TRADING)

    async def stop_orders(
        self, groups: Collection[OwnGroup], wait_s: float, is_wanted: Callable[[], bool]
    ) -> StopRound:
        """One round; whatever goes wrong is in the answer.

        The key is read anew, and the connection is new: an exchange that was restarted has others.

        Args:
            groups: Of this account.
            wait_s: Seconds after which it ends.
            is_wanted: Asked before anything more is done.
        """
        try:
            signer = Signer(load_credentials(self._settings))
            prefix = own_prefix(self._settings.data_dir)
        except KalshiActorError as error:
            return StopRound(is_proven=False, error=str(error))
        ownership = OrderOwnership(prefix, self._settings.execution.adopt)
        subaccount = self._settings.execution.subaccount
        client = KalshiTradingClient.at(self._target, signer, self._budget, subaccount=subaccount)
        try:
            async with asyncio.TaskGroup() as tasks:
                canceling = tasks.create_task(
                    cancel_own_orders(client, ownership, wait_s, is_wanted)
                )
                triggering = [tasks.create_task(self._trigger(client, group)) for group in groups]
        finally:
            await client.close()
        errors = [task.result() for task in triggering]
        return _round(canceling.result(), dict(zip(groups, errors, strict=True)))

    async def _trigger(self, client: KalshiTradingClient, group: OwnGroup) -> str:
        """ "" when the group takes no more orders, else what went wrong.

        What the exchange refuses will be refused again: a group that is gone has no orders, and
        without the right to trigger one the cancels have to do.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await client.trigger_order_group(group.group_id, group.shard)
        except REFUSALS as error:
            return "" if isinstance(error, NotFound) else f"refused: {error}"
        except (KalshiError, TimeoutError) as error:
            return str(error) or "no answer in time"
        return ""

    def close(self) -> None:
        """Give back what is shared."""
        self._budget.close()


def _round(canceled: OwnCanceled, triggers: dict[OwnGroup, str]) -> StopRound:
    failed = [error for error in triggers.values() if error]
    waits = any(not error.startswith("refused: ") for error in failed)
    return StopRound(
        is_proven=canceled.is_clear and not waits,
        canceled=canceled.canceled,
        triggered=tuple(g.group_id for g, error in triggers.items() if not error),
        error=canceled.error or "; ".join(failed),
    )
