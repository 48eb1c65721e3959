"""Which table a journalled message goes to; a row of it is the message, field by field."""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.messages import (
    AccountVersion,
    ActorAction,
    ActorFill,
    ActorOrder,
    ActorPosition,
    Intent,
    Message,
    Tick,
)

__all__ = ["TABLES", "columns_of", "row_of"]

TABLES: Final[dict[type[msgspec.Struct], str]] = {
    Tick: "rl_ticks",
    ActorAction: "rl_actions",
    Intent: "rl_intents",
    ActorOrder: "rl_orders",
    ActorFill: "rl_fills",
    ActorPosition: "rl_positions",
    AccountVersion: "rl_account_versions",
}


def columns_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The columns of a message's table: its place in the stream, then its fields."""
    return ("stream_id", "record_no", *kind.__struct_fields__)


def row_of(message: Message, stream_id: int, record_no: int) -> tuple[object, ...]:
    """A message as a row of its table."""
    return (stream_id, record_no, *msgspec.structs.astuple(message))
