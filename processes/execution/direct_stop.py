"""A stop past execution, over REST with the stack's own credentials: for when it does not answer.

Only orders with this stack's mark are cancelled (with `RL_ADOPT` all). The state of trading is
written first, so that an execution that starts, or wakes, meanwhile does not trade.
"""

from __future__ import annotations

import sys

import msgspec

from ipc.clock import real_ns
from ipc.messages import Leg
from ipc.trading import OpenOrderLine, TradingCommand, TradingMode
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import command_budget
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.cancel_own import cancel_own_orders
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.adapters.kalshi.stop.stack_mark import own_prefix
from processes.execution.trading_record import TradingRecord, save_record
from processes.runtime.config import Settings, load_log
from processes.runtime.log import open_log

__all__ = ["DirectStop", "stop_at_exchange", "write_stopped"]


class DirectStop(msgspec.Struct, frozen=True):
    """How a stop past execution ended.

    Attributes:
        is_clear: Whether the exchange's list was read late enough and has none of our orders.
        resting: Those that it had when it was last read; None when it was never read.
        error: What went wrong last; empty when nothing did.
    """

    is_clear: bool
    resting: tuple[OpenOrderLine, ...] | None
    error: str


def write_stopped(settings: Settings, command: TradingCommand) -> str:
    """Write that trading is stopped -> why it could not be written, empty when it was."""
    record = TradingRecord(
        mode=TradingMode.STOPPED,
        who=command.who,
        why=command.why,
        since_utc_ns=real_ns(),
    )
    try:
        save_record(settings.data_dir, record)
    except OSError as error:
        return f"{settings.data_dir}: {error.strerror or error}"
    return ""


async def stop_at_exchange(settings: Settings, wait_s: float) -> DirectStop:
    """Cancel all orders of this stack, and ask until none rests; in mode `shadow` only ask.

    Args:
        settings: Of the stack.
        wait_s: Seconds after which it gives up.

    Raises:
        ConfigError: The stack has no credentials that can be used, or no mark that can be read.
    """
    target = target_of(settings)
    signer = Signer(load_credentials(settings))
    log = open_log("trading", None, load_log(settings.environ), sys.stderr)
    budget = command_budget(settings.data_dir, target.environment, log)
    subaccount = settings.execution.subaccount
    ownership = OrderOwnership(own_prefix(settings.data_dir), settings.execution.adopt)
    try:
        client = KalshiTradingClient.at(
            *(target, signer, budget),
            subaccount=subaccount,
            read_only=settings.execution.is_shadow,
        )
        async with client:
            done = await cancel_own_orders(client, ownership, wait_s)
            lines = None
            if done.resting is not None:
                lines = tuple(_line_of(order, ownership) for order in done.resting)
            return DirectStop(done.is_clear, lines, done.error)
    finally:
        budget.close()


def _line_of(order: ExchangeOrder, ownership: OrderOwnership) -> OpenOrderLine:
    name = ownership.parse(order.client_order_id)
    leg = Leg.YES if name is None else name.leg
    price_e4 = order.yes_price_e4
    return OpenOrderLine(
        client_order_id=order.client_order_id,
        market_ticker=order.market_ticker,
        leg=leg,
        is_buy=name is None or name.is_buy,
        price_e4=price_e4 if leg is Leg.YES else ONE_DOLLAR_E4 - price_e4,
        remaining_e2=order.remaining_count_e2,
        status=order.status,
    )
