"""What must be so before the first order of a run in production, and what is said then.

    key      the exchange lists it with the scopes read and write::trade, for the right subaccount
    limits   `limits.toml` is valid, and its table [production] bounds the money at risk
    doctor   an examination passed: not too old, with the same key, limits and version
    account  balance, positions and resting orders could be read

Each that is missing is one line of the log when it is found, and again when it becomes another; the
needs are looked at until all are met, and count as met from then on. The confirmation
(`KALSHI_PRODUCTION_CONFIRMED`) is asked for before anything connects, the model of every intent in
`model_rule`. Before the first order limits, model, account and money at risk are said.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from ipc.clock import real_ns
from ipc.errors import KalshiActorError
from ipc.messages import Environment, Intent
from ipc.units import format_count, format_money
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.key_scopes import missing_to_trade
from processes.adapters.kalshi.schemas.decoding import whole
from processes.adapters.kalshi.schemas.rest_portfolio import ApiKeyRow
from processes.execution.account_limits import AccountGuard
from processes.execution.limits_file import LIMITS, AccountBounds, LimitName
from processes.runtime.config import Settings
from processes.runtime.doctor_record import (
    DoctorRecord,
    hash_of_file,
    hash_of_key,
    load_doctor_record,
    record_problem,
)
from processes.runtime.log import Log

__all__ = ["AccountFacts", "ProductionStart", "key_problem", "limits_problem", "money_at_risk"]

LOOK_PAUSE: Final = 2.0  # seconds between looks at what is missing
NOT_ASKED: Final = "not asked yet: no connection to the exchange"
BOUNDS_RISK: Final = (LimitName.TOTAL_EXPOSURE, LimitName.WORST_CASE_LOSS)
NEEDS: Final = ("key", "limits", "doctor", "account")


class AccountFacts(NamedTuple):
    """The account as the exchange reported it before the first order.

    Attributes:
        cash_e6: By shard, micro-dollars.
        positions_e2: Open positions, signed, by ticker.
        resting: Orders that rest, of anybody.
    """

    cash_e6: dict[int, int]
    positions_e2: dict[str, int]
    resting: int


def key_problem(listed: tuple[ApiKeyRow, ...], key_id: str, subaccount: int | None) -> str:
    """Why the key may not trade here; empty when it may.

    Args:
        listed: The user's keys, as the exchange lists them.
        key_id: Of the key that signs.
        subaccount: The one that is traded in, None names none.
    """
    own = next((row for row in listed if row.api_key_id == key_id), None)
    if own is None:
        return "the exchange does not list this key, so what it may do is not known"
    if missing := missing_to_trade(own.scopes):
        return f"it lacks {', '.join(missing)}; make a key with read and write::trade"
    if own.subaccount is not None and subaccount not in (None, own.subaccount):
        return f"it is of subaccount {own.subaccount}, and KALSHI_SUBACCOUNT is {subaccount}"
    return ""


def limits_problem(guard: AccountGuard) -> str:
    """Why the limits do not bound the money at risk; empty when they do."""
    if guard.stopped is not None:
        return guard.stopped.error or "not read yet"
    if all(guard.bounds.of(name) is None for name in BOUNDS_RISK):
        return f"[production] bounds no money at risk; it needs {' or '.join(BOUNDS_RISK)}"
    return ""


def money_at_risk(bounds: AccountBounds) -> str:
    """The most that can be lost at once under the limits, and in a day, for people."""
    worst_e6 = min(value for name in BOUNDS_RISK if (value := bounds.of(name)) is not None)
    daily_e6 = bounds.of(LimitName.DAILY_LOSS)
    day = "no daily limit" if daily_e6 is None else f"stops opening at {_dollars(daily_e6)} a day"
    return f"{_dollars(worst_e6)} at once, fees included; {day}"


def _dollars(amount_e6: int) -> str:
    return f"{format_money(amount_e6)[:-4]} dollars"


class ProductionStart:
    """One task until all needs are met.

    Args:
        settings: Of the stack.
        guard: The limits of the account.
        client: Of the account, None while there is none.
        log: Of this run.
        say: Takes the lines for people.
        now_utc_ns: Unix nanoseconds.

    Attributes:
        missing: What is missing, by need; empty from when all were met.
    """

    def __init__(
        self,
        settings: Settings,
        guard: AccountGuard,
        client: Callable[[], KalshiTradingClient | None],
        log: Log,
        say: Callable[[str], object] = sys.stderr.write,
        now_utc_ns: Callable[[], int] = real_ns,
    ) -> None:
        self.missing: dict[str, str] = dict.fromkeys(NEEDS, NOT_ASKED)
        self._settings = settings
        self._guard = guard
        self._client = client
        self._log = log
        self._say = say
        self._now_utc_ns = now_utc_ns
        self._facts: AccountFacts | None = None
        self._is_said = False
        self._logged: dict[str, str] = {}

    @property
    def is_met(self) -> bool:
        """Whether orders may be sent."""
        return not self.missing

    async def run(self) -> NoReturn:
        """Look until nothing is missing."""
        while True:
            if not self.is_met:
                await self.look()
            await asyncio.sleep(LOOK_PAUSE)

    async def look(self) -> None:
        """Look at everything once, and log what is missing.

        The exchange is asked while key or account are missing, and again once nothing else is: the
        account that is said is the one of before the first order.
        """
        here = {"limits": limits_problem(self._guard), "doctor": self._doctor_problem()}
        there = {need: self.missing.get(need, "") for need in ("key", "account")}
        if any(there.values()) or not any(here.values()):
            there["key"], there["account"] = await self._of_exchange()
        problems = there | here
        self.missing = {need: why for need, why in problems.items() if why}
        for need, why in self.missing.items():
            if self._logged.get(need) != why:
                self._log.warning("production_need", need=need, message=f"no order yet: {why}")
        self._logged = dict(self.missing)
        if self.is_met:
            self._log("production_needs_met", needs=", ".join(NEEDS))

    async def _of_exchange(self) -> tuple[str, str]:
        """What is wrong with the key, and with reading the account."""
        client = self._client()
        if client is None:
            return NOT_ASKED, NOT_ASKED
        try:
            key_id = load_credentials(self._settings).api_key_id
            keys = await client.api_keys()
            problem = key_problem(keys.api_keys, key_id, self._settings.execution.subaccount)
        except KalshiActorError as error:  # of the exchange, or of the key's own file
            return f"what it may do is not known: {error}", NOT_ASKED
        try:
            balance = await client.balance()
            positions = whole(await client.positions(), "positions")
            resting = whole(await client.orders(status="resting"), "orders")
        except KalshiError as error:
            return problem, f"cannot be read: {error}"
        held = {p.market_ticker: p.position_e2 for p in positions if p.position_e2}
        cash = balance.by_exchange_e6 or {0: balance.balance_e6}
        self._facts = AccountFacts(dict(cash), held, len(resting))
        return problem, ""

    def _doctor_problem(self) -> str:
        settings = self._settings
        try:
            key_id = load_credentials(settings).api_key_id
        except KalshiActorError as error:
            return f"the key cannot be read: {error}"
        wanted = DoctorRecord(
            environment=Environment.PRODUCTION,
            key_id_hash=hash_of_key(key_id),
            limits_hash=hash_of_file(settings.execution.limits_file),
            passed_utc_ns=0,
        )
        found = load_doctor_record(settings.data_dir)
        max_age_s = settings.execution.doctor_max_age_s
        return record_problem(found, wanted, self._now_utc_ns(), max_age_s)

    # Intents.

    def refusal(self) -> str:
        """Which needs are missing; empty when orders may be sent."""
        return ", ".join(self.missing)

    def before_order(self, intent: Intent) -> None:
        """Say limits, model, account and money at risk, once, before the first order."""
        if self._is_said or self._facts is None:
            return
        self._is_said = True
        facts, bounds = self._facts, self._guard.bounds
        model = f"{intent.model} {intent.model_hash}"
        limits = {n.value: LIMITS[n].unit.text(v) for n, v in bounds.values.items()}
        cash = ", ".join(f"shard {i}: {_dollars(e6)}" for i, e6 in sorted(facts.cash_e6.items()))
        held = ", ".join(f"{t} {format_count(e2)}" for t, e2 in sorted(facts.positions_e2.items()))
        risk = money_at_risk(bounds)
        account = {"cash": cash, "positions": held or "none", "resting_orders": facts.resting}
        record = {"model": model, **account, "money_at_risk": risk, **limits}
        self._log.warning("production_start", **record)
        lines = (
            "REAL MONEY: the first order of this run follows",
            f"  model          {model}",
            f"  account        {cash}; positions: {held or 'none'}; {facts.resting} orders rest",
            f"  limits         {', '.join(f'{name} {text}' for name, text in limits.items())}",
            f"  money at risk  {risk}",
        )
        if self._settings.log.format == "console":  # each line of the other format is JSON
            self._say("\n".join(lines) + "\n")
