"""A stack that trades all the time, what a test does to it, and its view beside the exchange's."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import httpx
import numpy as np
from support.limit_witness import HAND, LimitWitness
from support.patience import PATIENCE, eventually
from support.stack import Stack

from ipc import account_table as a
from ipc.account_table import AccountTable
from ipc.clock import mono_ns
from ipc.shared_file import LayoutError, shared_path
from ipc.trading import NoAnswerError, TradingCommand, TradingReport, TradingVerb, ask
from ipc.units import format_count, parse_count, parse_money
from processes.adapters.kalshi.auth.credentials import admin_token_path, load_credentials
from processes.adapters.kalshi.auth.signing import Signer
from processes.runtime.config import load_settings

__all__ = ["LIMITS", "START_S", "TradingStack", "View", "limits_text"]

ORDERS: Final = "/trade-api/v2/portfolio/events/orders"
START_S: Final = 1_800  # seconds until it trades: a generous limit on a busy machine
LIMITS: Final = {  # of `limits.toml`, in contracts and dollars: tight, so that they bind
    "market_contracts": 15,
    "total_contracts": 40,
    "market_exposure": 8,
    "total_exposure": 20,
    "worst_case_loss": 18,
    "open_orders": 5,
}
RATE: Final = 8  # orders a second
MOVED: Final = 3_000  # dollars, to the second shard
START: Final = 10_000  # dollars of an account, RL_EXCHANGE_CASH
ON_SECOND: Final = "KXSIM2X15M"  # the series on the second shard


def limits_text(**more: float) -> str:
    """A limits file of these limits and others."""
    lines = (f"{name} = {value}" for name, value in (LIMITS | more).items())
    return "\n".join(["[simulated]", f"orders_per_second = {RATE}", *lines, ""])


def _whole(name: str, value: int) -> int:
    """A limit in the integers of the log."""
    if name == "open_orders":
        return value
    return value * (100 if name.endswith("contracts") else 1_000_000)


class View(NamedTuple):
    """One party's view of the account: what must be equal to the other's."""

    positions_e2: dict[str, int]
    resting: Counter[tuple[str, str, int]]  # (client order id, ticker, remaining)


class TradingStack(Stack):
    """A stack with tight limits and a strategy that orders all the time, on both sides."""

    def __init__(self, folder: Path, **environ: str) -> None:
        standard = {
            "RL_ACTOR_STRATEGY": "baseline:random",
            "RL_ACTOR_WARMUP_TICKS": "2",
            "RL_ACTOR_TICK_THROTTLE_MS": "100",
            "RL_ACTOR_CONTRACT_SIZE": "5",
            "RL_EXCHANGE_SEED": "7",
            "RL_EXCHANGE_MARKETS": "4",
            "RL_EXCHANGE_SHARDS": f"{ON_SECOND}=1",
            "RL_RECONCILE_S": "1.0",
            "RL_LIMITS_FILE": str(folder / "limits.toml"),
        }
        super().__init__(folder, **(standard | environ))
        self.start_e6 = {"0": (START - MOVED) * 1_000_000, "1": MOVED * 1_000_000}
        self._hands = count(1)
        self._http = httpx.Client(timeout=PATIENCE)

    def begin(self, limits: str) -> None:
        """Start, with money on both shards, until an order of ours is at the exchange."""
        self.folder.mkdir(parents=True)
        path = self.folder / "limits.toml"
        path.write_text(limits)
        path.chmod(0o600)
        self.start()
        eventually(self._has_exchange, "the exchange answers", START_S)
        signer = Signer(load_credentials(load_settings(self.environ)))
        self.signer = signer
        self._move(0, 1, MOVED)
        self.user_id = self._user_id()
        self.witness = LimitWitness(self.user_id, {n: _whole(n, v) for n, v in LIMITS.items()})

    def _has_exchange(self) -> bool:
        self.runs()
        with suppress(OSError):
            return bool(self.admin_get("/admin/clock"))
        return False

    def close(self) -> None:
        """Leave nothing behind."""
        self._http.close()
        super().close()

    # What is done to it

    def admin_post(self, path: str, **facts: Any) -> Any:
        """A command over the exchange's admin port."""
        token = admin_token_path(self.data_dir).read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = json.dumps(facts).encode()
        asked = urllib.request.Request(self.admin + path, data, headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
            return json.load(reply)

    def fault(self, kind: str, **facts: Any) -> Any:
        """Order a fault."""
        return self.admin_post("/admin/fault", kind=kind, **facts)

    def calm(self) -> None:
        """No fault waits, nothing is paused, reads do not lag."""
        self.fault("clear")
        self.fault("lag", orders_ms=0, positions_ms=0)
        for what in ("trading", "exchange"):
            self.fault("pause", what=what, on=False)

    def _call(self, method: str, path: str, body: Any) -> httpx.Response:
        headers = self.signer.headers(method, path) | {"Content-Type": "application/json"}
        return self._http.request(
            method, self.exchange + path, content=json.dumps(body), headers=headers
        )

    def _move(self, source: int, destination: int, dollars: int) -> None:
        body = {
            "source": "event_contract",
            "destination": "event_contract",
            "source_exchange_shard": source,
            "destination_exchange_shard": destination,
            "amount": 10_000 * dollars,
        }
        path = "/trade-api/v2/portfolio/intra_exchange_instance_transfer"
        reply = self._call("POST", path, body)
        assert reply.status_code < 300, reply.text

    def by_hand(self, chance: np.random.Generator) -> str:
        """A second client of the same account places a small order near the touch."""
        markets = [m for m in self._markets() if m["yes_bid_dollars"] and m["yes_ask_dollars"]]
        if not markets:
            return "none: no market has two sides"
        market = markets[int(chance.integers(len(markets)))]
        side = str(chance.choice(["bid", "ask"]))
        rests = bool(chance.integers(2))
        touch = "yes_bid_dollars" if (side == "bid") == rests else "yes_ask_dollars"
        body = {
            "ticker": market["ticker"],
            "client_order_id": f"{HAND}{next(self._hands)}-{time.monotonic_ns()}",
            "side": side,
            "count": format_count(100 * int(chance.integers(1, 4))),
            "price": market[touch],
            "time_in_force": "good_till_canceled" if rests else "immediate_or_cancel",
            "self_trade_prevention_type": "taker_at_cross",
        }
        with suppress(httpx.TransportError):  # a fault may strike this client, too
            self._call("POST", ORDERS, body)
        return f"{side} {body['count']} of {body['ticker']} at {body['price']}"

    def _markets(self) -> list[dict[str, Any]]:
        reply = self._http.get(f"{self.exchange}/trade-api/v2/markets?status=open")
        return list(reply.json()["markets"]) if reply.status_code == 200 else []

    def give(self, verb: TradingVerb, why: str = "a test") -> TradingReport:
        """A command of an operator; until an execution answers."""

        def answered() -> TradingReport | None:
            command = TradingCommand(verb, "test", 1, why, mono_ns())
            try:
                answer = ask(self.data_dir, command, PATIENCE / 4)
            except NoAnswerError:
                return None
            assert isinstance(answer, TradingReport), answer
            return answer

        report: TradingReport = eventually(answered, f"{verb} is answered", START_S)
        return report

    # The two views

    def _user_id(self) -> str:
        accounts = self.admin_get("/admin/orders?status=resting")["accounts"]
        (mine,) = [row for row in accounts if len(row["shards"]) > 1]  # money was moved there
        found: str = mine["user_id"]
        return found

    def account(self) -> dict[str, Any]:
        """The exchange's own account, and its resting orders as (name, ticker, remaining)."""
        told = self.admin_get("/admin/orders?status=resting")
        (mine,) = [r for r in told["accounts"] if r["user_id"] == self.user_id]
        orders = [
            (o["client_order_id"], o["ticker"], parse_count(o["remaining_count_fp"]))
            for o in told["orders"]
            if o["user_id"] == self.user_id
        ]
        return mine | {"resting": Counter(orders)}

    def theirs(self) -> View:
        """The exchange's view; orders by hand are none of execution's."""
        mine = self.account()
        positions = {t: e2 for t, e2 in mine["positions_e2"].items() if e2}
        own = Counter({k: n for k, n in mine["resting"].items() if not k[0].startswith(HAND)})
        return View(positions, own)

    def ours(self) -> View | None:
        """Execution's answer; None while it is in doubt."""
        report = self.give(TradingVerb.STATUS)
        if not report.accounts_known or any(p.note for p in report.positions):
            return None
        positions = {p.market_ticker: p.position_e2 for p in report.positions if p.position_e2}
        orders = [(o.client_order_id, o.market_ticker, o.remaining_e2) for o in report.resting]
        return View(positions, Counter(orders))

    def table(self) -> dict[str, tuple[int, int]] | None:
        """Position and cash of every market in the account table; None while one is not known."""
        try:
            table = AccountTable.attach(shared_path(self.data_dir, "accounts"))
        except (FileNotFoundError, LayoutError):
            return None
        row = np.zeros(a.ACCOUNT_WORDS, np.int64)
        found = {}
        for ticker in table.tickers():
            if not table.read(ticker, row):
                return None
            found[ticker] = int(row[a.POSITION_E2]), int(row[a.CASH_E6])
        table.close()
        return found

    def shards_shown(self) -> dict[str, int]:
        """What new orders may use on each shard, as the dashboard shows it."""
        with self.feed() as feed:
            pnl = feed.until("actor_pnl", lambda data: bool(data["shards"]))
        return {str(s["exchange_index"]): parse_money(s["balance"]) for s in pnl["shards"]}

    @staticmethod
    def shard_of(ticker: str) -> str:
        """The shard of a market."""
        return "1" if ticker.startswith(ON_SECOND) else "0"

    def settlements(self) -> list[dict[str, Any]]:
        """What the account was paid for markets that ended."""
        paid = self.admin_get("/admin/settlements")
        return [row for row in paid if row["user_id"] == self.user_id]

    def available(self) -> dict[str, int]:
        """The same by the exchange's books."""
        shards = self.account()["shards"]
        return {shard: c["cash_e6"] - c["held_e6"] for shard, c in shards.items()}

    def rows(self, query: str) -> list[Any]:
        """Of the database; none while it is away."""
        try:
            return asyncio.run(self.fetch(query))
        except (OSError, asyncpg.PostgresError):
            return []

    def follow_log(self) -> None:
        """Show the witness what happened at the exchange meanwhile."""
        while True:
            rows = self.admin_get(f"/admin/order_log?after={self.witness.read}")["rows"]
            if not rows:
                break
            assert rows[0]["number"] == self.witness.read + 1, "the log was not kept long enough"
            self.witness.apply(rows)
        for paid in self.settlements():
            self.witness.settle(paid["ticker"])
