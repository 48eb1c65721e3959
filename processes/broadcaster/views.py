"""Events of the stack as data of the dashboard: integers become decimal strings, 0 becomes null."""

from __future__ import annotations

from ipc.clock import NS_PER_MS
from ipc.messages import (
    ActorAction,
    ActorFill,
    ActorModels,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    Leg,
    SessionInfo,
)
from ipc.units import ONE_DOLLAR_E4, format_count, format_money, format_price
from processes.broadcaster.wire import (
    ActionData,
    ActionHops,
    FillData,
    ModelsData,
    OrderData,
    OrderHops,
    PnlData,
    PositionData,
    SessionData,
    ShadowData,
)

__all__ = [
    "action_data",
    "fill_data",
    "models_data",
    "order_data",
    "pnl_data",
    "position_data",
    "session_data",
    "shadow_data",
]


def _us(start_mono_ns: int, end_mono_ns: int) -> float | None:
    """Microseconds between two hops; None when either did not happen."""
    if not start_mono_ns or not end_mono_ns:
        return None
    return (end_mono_ns - start_mono_ns) / 1_000


def session_data(info: SessionInfo) -> SessionData:
    """The collector's session."""
    return SessionData(
        session_uid=info.session_uid,
        environment=info.environment,
        websocket_url=info.websocket_url,
        started_ms=info.started_ns // NS_PER_MS,
        markets=info.markets,
        live_markets=info.live_markets,
        status=info.status,
    )


def action_data(action: ActorAction) -> ActionData:
    """A decision with the time between its hops."""
    frame, written = action.frame_mono_ns, action.written_mono_ns
    woken, decided = action.woken_mono_ns, action.decided_mono_ns
    return ActionData(
        session_uid=action.session_uid,
        ticker=action.market_ticker,
        action=action.action,
        action_name=action.action_name,
        reason=action.reason,
        model=action.model,
        model_hash=action.model_hash,
        observation_hash=action.observation_hash,
        event_no=action.event_no,
        account_version=action.account_version,
        logits=action.logits,
        value=action.value,
        mask=action.mask,
        intent_id=action.intent_id,
        decided_ms=action.decided_ns // NS_PER_MS,
        recv_ms=action.recv_ns // NS_PER_MS,
        frame_mono_ns=frame,
        written_mono_ns=written,
        woken_mono_ns=woken,
        decided_mono_ns=decided,
        latency_us=ActionHops(
            frame_to_written=_us(frame, written),
            written_to_woken=_us(written, woken),
            woken_to_decided=_us(woken, decided),
            frame_to_decided=_us(frame, decided),
        ),
    )


def models_data(models: ActorModels) -> ModelsData:
    """The live model and its shadow."""
    return ModelsData(
        live=models.live,
        live_hash=models.live_hash,
        shadow=models.shadow,
        shadow_hash=models.shadow_hash,
    )


def shadow_data(shadow: ActorAction, live: ActorAction | None) -> ShadowData:
    """A shadow's decision; `live` is the live model's on the same request, where it is known."""
    compared = live is not None and bool(live.logits and shadow.logits)
    return ShadowData(
        session_uid=shadow.session_uid,
        ticker=shadow.market_ticker,
        event_no=shadow.event_no,
        action=shadow.action,
        action_name=shadow.action_name,
        reason=shadow.reason,
        model=shadow.model,
        model_hash=shadow.model_hash,
        logits=shadow.logits,
        value=shadow.value,
        decided_ms=shadow.decided_ns // NS_PER_MS,
        live_action=live.action if live else None,
        live_action_name=live.action_name if live else None,
        live_model=live.model if live else None,
        live_model_hash=live.model_hash if live else None,
        agrees=live.action == shadow.action if live and compared else None,
    )


def order_data(order: ActorOrder, cause: ActorAction | None) -> OrderData:
    """An order's state; `cause` is the decision behind it, where it is still remembered."""
    received, sent = order.received_mono_ns, order.sent_mono_ns
    acknowledged = order.acknowledged_mono_ns
    yes_price = order.yes_price_e4
    price = yes_price if order.leg is Leg.YES else ONE_DOLLAR_E4 - yes_price
    return OrderData(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        intent_id=order.intent_id,
        ticker=order.market_ticker,
        leg=order.leg,
        is_buy=order.is_buy,
        book_side=order.book_side,
        price=format_price(price),
        yes_price=format_price(yes_price),
        initial_count=format_count(order.initial_count_e2),
        fill_count=format_count(order.fill_count_e2),
        remaining_count=format_count(order.remaining_count_e2),
        status=order.status,
        reason=order.reason,
        expire_ms=order.expire_ms,
        ts_ms=order.ts_ns // NS_PER_MS,
        received_mono_ns=received or None,
        sent_mono_ns=sent or None,
        acknowledged_mono_ns=acknowledged or None,
        latency_us=OrderHops(
            decided_to_received=_us(cause.decided_mono_ns if cause else 0, received),
            received_to_sent=_us(received, sent),
            sent_to_acknowledged=_us(sent, acknowledged),
            frame_to_acknowledged=_us(cause.frame_mono_ns if cause else 0, acknowledged),
        ),
    )


def fill_data(fill: ActorFill) -> FillData:
    """One execution."""
    return FillData(
        trade_id=fill.trade_id,
        order_id=fill.order_id,
        client_order_id=fill.client_order_id,
        ticker=fill.market_ticker,
        book_side=fill.book_side,
        yes_price=format_price(fill.yes_price_e4),
        count=format_count(fill.count_e2),
        is_taker=fill.is_taker,
        fee=format_money(fill.fee_e6),
        ts_ms=fill.ts_ms,
    )


def position_data(position: ActorPosition) -> PositionData:
    """One market's sub-account."""
    return PositionData(
        ticker=position.market_ticker,
        position=format_count(position.position_e2),
        cost_basis=format_money(position.cost_basis_e6),
        cash=format_money(position.cash_e6),
        realized=format_money(position.realized_e6),
        fees=format_money(position.fees_e6),
        open_orders=position.open_orders,
        account_version=position.account_version,
        ts_ms=position.ts_ns // NS_PER_MS,
    )


def pnl_data(pnl: ActorPnl) -> PnlData:
    """The whole account."""
    return PnlData(
        balance=format_money(pnl.balance_e6),
        realized=format_money(pnl.realized_e6),
        fees=format_money(pnl.fees_e6),
        positions=pnl.positions,
        open_orders=pnl.open_orders,
        account_version=pnl.account_version,
        ts_ms=pnl.ts_ns // NS_PER_MS,
    )
