"""Nobody sees an account, an order or a fill that was not offered to the journal before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq.asyncio
from support.logged import Logged
from support.order_manager import ManagerRig
from support.orders import TICKER, fill, intent

from ipc.account_table import ACCOUNT_VERSION, AccountRow
from ipc.journal import FramedReader, RunJournal, stream_folder
from ipc.messages import (
    ActorOrder,
    ActorPosition,
    Environment,
    Message,
    OrderStatus,
    SessionStarted,
)
from ipc.sockets import Bell, Pusher
from processes.execution.account import Doubt
from processes.execution.gateway import EffectRunner
from processes.execution.orders import CreateAccepted

UID = "20260810T221500-00000001"
STARTED = SessionStarted(
    session_uid=UID, environment=Environment.SIMULATED, websocket_url="ws://x", started_ns=1
)


class Witness:
    """Stands where the table, the subscribers and the exchange are; looks into the journal."""

    def __init__(self, data_dir: Path) -> None:
        self.reader = FramedReader(stream_folder(data_dir, "execution", UID))
        self.is_kept = True  # False while the journal refuses what it is offered
        self.rows: list[int] = []
        self.told: list[Message] = []
        self.steps: list[str] = []

    def journal(self) -> list[Message]:
        return self.reader.read(0)[0]

    def write(self, _ticker: str, row: AccountRow) -> None:
        """As the account table."""
        version = int(row[ACCOUNT_VERSION])
        kept = [m.account_version for m in self.journal() if isinstance(m, ActorPosition)]
        assert version in kept or not self.is_kept
        self.rows.append(version)
        self.steps.append("table")

    def send(self, topic: str, message: Message) -> None:
        """As the publisher."""
        assert message in self.journal() or not self.is_kept
        self.told.append(message)
        self.steps.append(topic)


class Standing:
    """Everything around `Effects` but for an exchange."""

    def __init__(self, data_dir: Path, pusher: Pusher, max_bytes: int) -> None:
        self.rig = ManagerRig().known()
        self.witness = Witness(data_dir)
        self.log = Logged()
        self.records = RunJournal(data_dir, "execution", STARTED, max_bytes)
        bell = Bell(pusher, f"execution/{UID}")
        manager, witness = self.rig.manager, self.witness
        self.effects = EffectRunner(manager, witness, self.records, witness, bell, self.log)  # type: ignore[arg-type]


@contextmanager
def standing(data_dir: Path, max_bytes: int = 1 << 20) -> Iterator[Standing]:
    """Effects among a real journal and a witness."""
    context = zmq.asyncio.Context()
    pusher = Pusher(context, "doorbell", data_dir, {}, 1)
    try:
        yield Standing(data_dir, pusher, max_bytes)
    finally:
        pusher.close()
        context.term()


async def test_journal_then_table_then_subscribers(tmp_path: Path) -> None:
    with standing(tmp_path) as held:
        rig = held.rig
        rig.manager.on_intent(intent("i1"), rig.mono_ns)
        held.effects.act()
        await held.effects.gateway.drop()
        rig.state.on_fact("ka-i1-BY", CreateAccepted("e1", 400, 600, 1))
        rig.state.on_fill(fill("t1", count_e2=400, order_id="e1"))
        held.effects.act()
        assert held.witness.rows == [rig.state.version]
        kinds = [type(m) for m in held.witness.told]
        assert kinds.count(ActorOrder) >= 2
        assert kinds[-1] is ActorPosition
        assert held.witness.steps[1:] == ["table", *["order", "fill", "order", "position"]]


async def test_a_request_is_sent_after_its_order_is_journalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing(tmp_path) as held:
        kept: list[OrderStatus] = []

        def start(_: object) -> None:
            kept.extend(m.status for m in held.witness.journal() if isinstance(m, ActorOrder))

        monkeypatch.setattr(held.effects.gateway, "start", start)
        held.rig.manager.on_intent(intent("i1"), held.rig.mono_ns)
        held.effects.act()
        assert kept == [OrderStatus.PENDING]


async def test_a_journal_that_refuses_is_a_doubt_about_everything(tmp_path: Path) -> None:
    with standing(tmp_path, max_bytes=600) as held:
        rig = held.rig
        while held.records.healthy:
            held.records.keep(STARTED)
        held.witness.is_kept = False
        held.effects.act()
        assert rig.state.accounts[TICKER].doubts == {Doubt.JOURNAL}
        assert not held.records.append(intent("i1"))
        assert held.log.actions() == ["journal_refuses"]
