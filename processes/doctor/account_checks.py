"""Checks of the account: its key, its tier, its money, and what other programs do with it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from ipc.units import format_count, format_money
from processes.adapters.kalshi.rest.key_scopes import TRADE, TRANSFER, allows, missing_to_trade
from processes.adapters.kalshi.rest.portfolio import Balance
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.adapters.kalshi.stop.stack_mark import known_prefix
from processes.doctor.findings import Finding, Verdict
from processes.doctor.subject import Subject

__all__ = ["key", "money", "orders", "positions", "tier"]

MOST_NAMED: Final = 5  # markets or orders in one line
MOST_LOOKED_UP: Final = 10  # positions whose orders are read
_DOLLAR_E6: Final = 1_000_000
OWN_SUBACCOUNT: Final = (
    "the actor leaves it alone, but it uses the same money and counts against the same limits: "
    "stop the other program, or give the actor a subaccount of its own (KALSHI_SUBACCOUNT, "
    "docs/going-live.md)"
)


async def key(subject: Subject) -> list[Finding]:
    """Whether the key is valid, and what it may do."""
    listed = await subject.account.api_keys()
    own = next((k for k in listed.api_keys if k.api_key_id == subject.key.api_key_id), None)
    if own is None:
        return [Finding("key", Verdict.OK, "valid; the exchange does not list its scopes")]
    scopes = ", ".join(own.scopes)
    where = "all accounts" if own.subaccount is None else f"subaccount {own.subaccount} only"
    text = f"valid, scopes {scopes}, for {where}"
    wanted = subject.settings.execution.subaccount
    if own.subaccount is not None and wanted not in (None, own.subaccount):
        advice = f"set KALSHI_SUBACCOUNT={own.subaccount}, or use a key of subaccount {wanted}"
        return [Finding("key", Verdict.PROBLEM, text, advice)]
    missing = missing_to_trade(own.scopes)
    if missing == [TRADE] and not subject.settings.actor.enabled:
        advice = "enough to record; to trade, make a key with read and write::trade"
        return [Finding("key", Verdict.NOTE, text, advice)]
    if missing:
        advice = "make a key with the scopes read and write::trade (docs/going-live.md)"
        return [Finding("key", Verdict.PROBLEM, f"{text}: lacks {', '.join(missing)}", advice)]
    if own.subaccount is None and allows(own.scopes, TRANSFER):
        advice = "safer: a key of one subaccount with read and write::trade only"
        return [Finding("key", Verdict.NOTE, f"{text}: it can also move money", advice)]
    return [Finding("key", Verdict.OK, text)]


async def tier(subject: Subject) -> list[Finding]:
    """How much may be asked; the checks that follow keep to it."""
    limits = await subject.account.account_limits()
    subject.account.budget.apply(limits)
    read, write = limits.read.refill_rate, limits.write.refill_rate
    text = f"{limits.usage_tier}: {read} read and {write} write tokens a second"
    return [Finding("tier", Verdict.OK, f"{text}, about {write // 10} orders a second")]


async def money(subject: Subject) -> list[Finding]:
    """What each shard holds, and whether the shards of the markets hold any."""
    balance = await subject.account.balance()
    by_shard = balance.by_exchange_e6 or {0: balance.balance_e6}
    shown = ", ".join(f"shard {i}: ${_dollars(cash)}" for i, cash in sorted(by_shard.items()))
    worth = f"positions ${_dollars(balance.portfolio_value_e6)}"
    findings = [_total(balance, f"{shown}; {worth}")]
    for shard, tickers in sorted(_by_shard(subject).items()):
        if balance.balance_e6 > 0 and by_shard.get(shard, 0) <= 0:
            findings.append(_empty_shard(shard, tickers, by_shard))
    return findings


def _total(balance: Balance, text: str) -> Finding:
    if balance.balance_e6 > 0:
        return Finding("money", Verdict.OK, text)
    advice = "deposit money, or move some into this subaccount, on Kalshi's website"
    return Finding("money", Verdict.PROBLEM, f"no money; {text}", advice)


def _empty_shard(shard: int, tickers: list[str], by_shard: dict[int, int]) -> Finding:
    named = _listed(tickers)
    text = f"no money on shard {shard}, where {named} would trade: each order would be refused"
    richest = max(by_shard, key=lambda index: by_shard[index])
    advice = f"kalshi-actor funds move DOLLARS --from {richest} --to {shard}"
    return Finding("money", Verdict.PROBLEM, text, advice)


def _by_shard(subject: Subject) -> dict[int, list[str]]:
    shards: defaultdict[int, list[str]] = defaultdict(list)
    for market in subject.markets or ():
        shards[market.exchange_index].append(market.ticker)
    return shards


def _dollars(amount_e6: int) -> str:
    return format_money(amount_e6)[:-4]  # cents; the rest stands in no account


def _listed(names: list[str]) -> str:
    beyond = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {beyond} more" if beyond > 0 else shown


async def positions(subject: Subject) -> list[Finding]:
    """Open positions, and which of them this program's orders did not make."""
    listing = await subject.account.positions()
    held = [p for p in listing.items if p.position_e2]
    if not held:
        return [Finding("positions", Verdict.OK, "none")]
    foreign, ownership = [], _ownership(subject)
    for position in held[:MOST_LOOKED_UP]:
        made_by = await subject.account.orders(status=None, ticker=position.market_ticker)
        if not _all_own([o for o in made_by.items if o.fill_count_e2], ownership):
            foreign.append(position.market_ticker)
    shown = _listed([f"{p.market_ticker} {format_count(p.position_e2)}" for p in held])
    text = f"{len(held)}: {shown}"
    if not foreign:
        return [Finding("positions", Verdict.NOTE, f"{text}; all made by this stack")]
    text += f"; made by another program, another stack or by hand: {_listed(foreign)}"
    return [Finding("positions", Verdict.PROBLEM, text, OWN_SUBACCOUNT)]


def _ownership(subject: Subject) -> OrderOwnership | None:
    """What names the orders of this stack; None before it has sent any."""
    prefix = known_prefix(subject.settings.data_dir)
    return None if prefix is None else OrderOwnership(prefix)


def _all_own(made_by: list[ExchangeOrder], ownership: OrderOwnership | None) -> bool:
    """Whether there are orders and all have names of ours; what is older is not known."""
    return bool(made_by) and all(_is_own(order, ownership) for order in made_by)


def _is_own(order: ExchangeOrder, ownership: OrderOwnership | None) -> bool:
    return ownership is not None and ownership.parse(order.client_order_id) is not None


async def orders(subject: Subject) -> list[Finding]:
    """Resting orders, and which of them another program placed."""
    resting = (await subject.account.orders(status="resting")).items
    if not resting:
        return [Finding("orders", Verdict.OK, "none rest")]
    ownership = _ownership(subject)
    own = [order for order in resting if _is_own(order, ownership)]
    foreign = [order.market_ticker for order in resting if not _is_own(order, ownership)]
    text = f"{len(resting)} rest, {len(own)} of them of this stack"
    if foreign:
        text += f"; of another program or stack, or placed by hand: {_listed(foreign)}"
        advice = OWN_SUBACCOUNT.replace("it uses", "they use").replace("leaves it", "leaves them")
        return [Finding("orders", Verdict.PROBLEM, text, advice)]
    advice = "the next start of the stack cancels them"
    return [Finding("orders", Verdict.NOTE, text, advice)]
