"""Execution on an exchange of several shards, each with money of its own."""

from __future__ import annotations

from pathlib import Path

from support.execution_rig import executing
from support.orders import TICKER, intent

from ipc.messages import ActorPnl, OrderStatus
from processes.execution.account import Doubt
from processes.execution.risk import NO_MONEY

ON_SHARD_2 = {"RL_EXCHANGE_SHARDS": f"{TICKER.partition('-')[0]}=2"}


async def test_a_shard_without_money_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    async with executing(tmp_path, exchange=ON_SHARD_2) as rig:
        await rig.known()
        await rig.push(intent("i1"))
        refused = await rig.order(intent_id="i1", status=OrderStatus.REJECTED)
        command = "kalshi-actor funds move 5.00 --from 0 --to 2"
        assert refused.reason == f"{NO_MONEY}: shard 2 has 0.000000 dollars; {command}"
        assert rig.log.has(NO_MONEY, shard=2, ticker=TICKER)
        assert rig.at_exchange() == []
        body = {"source": "event_contract", "destination": "event_contract", "amount": 50_000}
        body |= {"source_exchange_shard": 0, "destination_exchange_shard": 2}
        path = "/portfolio/intra_exchange_instance_transfer"
        assert rig.exchange.call("POST", path, body).status_code == 200
        rig.service._state.version += 1  # an account changed: the balance is read again
        pnl = await rig.told(ActorPnl, shards_e6=((0, 9_995_000_000), (2, 5_000_000)))
        assert pnl.balance_e6 == 10_000_000_000
        await rig.push(intent("i2"))
        await rig.order(intent_id="i2", status=OrderStatus.RESTING)
        pnl = await rig.told(ActorPnl, open_orders=1)
        assert dict(pnl.shards_e6)[2] == 1_000_000  # 10 at 40 cents rest


async def test_nothing_is_traded_before_the_balance_was_read(tmp_path: Path) -> None:
    async with executing(tmp_path, starts=False) as rig:
        with rig.between.holding("GET", "/portfolio/balance"):
            rig.start()

            def only_money_is_missing() -> bool:
                rig.tell_session(TICKER)
                account = rig.service._state.accounts.get(TICKER)
                return account is not None and account.doubts == {Doubt.MONEY}

            await rig.until(only_money_is_missing, "everything else is known")
            assert rig.row() is None
        await rig.known()
