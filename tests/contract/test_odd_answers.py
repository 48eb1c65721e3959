"""What is no answer and no frame, from the local exchange: it costs the call or the connection."""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial

import httpx
import msgspec
import pytest
from support.exchange import running_exchange
from support.execution_process import running_execution
from support.execution_world import World
from support.frame_fuzz import spoil
from support.local_exchange import keys
from support.local_orders import TICKER, order, two_markets
from support.order_manager import ManagerRig
from support.orders import intent
from support.running_collector import running_collector
from support.scripted_rest import ORDER, FakeExchange

from ipc import book as b
from ipc.units import parse_price
from processes.adapters.kalshi.auth.signing import Signer, real_ms
from processes.adapters.kalshi.errors import KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.schemas.frames import decode_frame
from processes.exchange.core.nonsense import ODD_ANSWERS, ODD_FRAMES
from processes.execution.private_channel import PrivateChannel

ORDERS = "/portfolio/events/orders"
WRITTEN_ANSWERS = [what for what in ODD_ANSWERS if what not in ("huge", "gzip_bomb")]


@pytest.mark.parametrize("what", ODD_ANSWERS)
async def test_an_odd_answer_costs_the_call_and_the_next_one_works(tmp_path, what):
    async with two_markets(tmp_path) as exchange:
        signer = Signer(keys()[0])
        async with KalshiTradingClient.at(exchange.target, signer, RateBudget()) as client:
            known = (await client.balance()).balance_e6
            await exchange.order("fault", kind="odd_answers", what=what, calls=4, method="GET")
            with pytest.raises(KalshiError):
                await client.balance()
            await exchange.order("fault", kind="clear")
            assert (await client.balance()).balance_e6 == known


async def test_a_write_is_carried_out_whatever_its_answer_is(tmp_path):
    async with two_markets(tmp_path) as exchange:
        signer = Signer(keys()[0])
        async with KalshiTradingClient.at(exchange.target, signer, RateBudget()) as client:
            for number, what in enumerate(WRITTEN_ANSWERS, 1):
                await exchange.order("fault", kind="odd_answers", what=what, method="POST")
                wanted = msgspec.structs.replace(
                    ORDER,
                    market_ticker=TICKER,
                    client_order_id=f"c-{number}",
                    yes_price_e4=1_000,
                    expire_s=real_ms() // 1_000 + 3_600,
                )
                with pytest.raises(KalshiError):
                    await client.create_order(wanted)
                assert len((await client.orders()).items) == number


def live(collector) -> list[str]:
    books = collector.books()
    rows = {t: books.get_row(t) for t in books.table.rows}
    books.table.close()
    return sorted(t for t, r in rows.items() if r is not None and r[b.STATE] == b.LIVE)


def odd_waiting(exchange) -> int:
    """How many odd answers have not been given yet."""
    return exchange.order("fault", kind="fills_first", on=False)["odd_waiting"]


async def test_the_collector_lives_through_every_odd_frame_and_answer(tmp_path):
    with (
        running_exchange(tmp_path, RL_EXCHANGE_MARKETS="2") as exchange,
        running_collector(tmp_path, exchange.port, RL_DISCOVERY_INTERVAL_S="0.5") as collector,
    ):
        tickers = await collector.until(
            lambda: found if len(found := live(collector)) == 2 else None, "live books"
        )
        for what in ODD_FRAMES:
            order = partial(exchange.order, "fault", kind="odd_frames", what=what)
            await collector.until(lambda order=order: order()["sent"] == 1, f"{what} is sent")
            before = collector.deltas()
            await collector.until(
                lambda before=before: live(collector) == tickers and collector.deltas() > before,
                f"live again after {what}",
            )
        for what in ODD_ANSWERS:
            exchange.order("fault", kind="odd_answers", what=what, calls=2, method="GET")
        await collector.until(lambda: odd_waiting(exchange) == 0, "discovery has met them all")
        assert len(collector.folders()) == 1  # one session through all of it


def prices(world: World) -> list[int]:
    """Of the orders that rest, 1e-4 dollars."""
    return [parse_price(o["yes_price_dollars"]) for o in world.at_exchange(status="resting")]


async def test_execution_lives_through_odd_frames_and_answers(tmp_path):
    async with running_execution(tmp_path) as world:
        await world.known()
        for number, what in enumerate(("nested", "not_utf8", "html")):
            (before,) = connections_of(world)
            world.exchange.order("fault", kind="odd_answers", what=what, calls=2, method="GET")
            world.exchange.order("fault", kind="odd_frames", what=what)
            await world.until(
                lambda before=before: (
                    before not in connections_of(world) and odd_waiting(world.exchange) == 0
                ),
                "it has met them, and connected again",
            )
            await world.known()
            price_e4 = 4_500 - 100 * number
            tries = 0  # its order group may not be verified yet: then an intent is refused
            while price_e4 not in prices(world):
                await world.push(intent(f"i{number}-{tries}", yes_price_e4=price_e4))
                await asyncio.sleep(0.5)
                tries += 1


def connections_of(world) -> list[int]:
    return [connection["id"] for connection in world.exchange.admin("connections")]


# Made of what the exchange itself sends, and spoilt


NUMBERS = ("99999999999.99", "-5.00", "0.000000", "1e5", "nan", "92233720368547758.07", "", "x")


def misstated(data: bytes, chance: random.Random) -> bytes:
    """One of its texts is another number."""
    frame = json.loads(data)
    holders = [frame, *(v for v in frame.values() if isinstance(v, dict))]
    places = [(h, k) for h in holders for k, v in h.items() if isinstance(v, str | int)]
    holder, key = chance.choice(places)
    holder[key] = chance.choice([*NUMBERS, 2**70, -1, None, [], True])
    return json.dumps(frame).encode()


FRAMES = [
    {
        "type": "fill",
        "sid": 1,
        "msg": {
            "trade_id": "t1",
            "order_id": "o1",
            "client_order_id": "c1",
            "market_ticker": TICKER,
            "is_taker": True,
            "book_side": "bid",
            "yes_price_dollars": "0.5200",
            "count_fp": "1.00",
            "fee_cost": "0.017500",
            "ts_ms": 1_781_159_370_164,
        },
    },
    {
        "type": "user_order",
        "sid": 2,
        "msg": {
            "order_id": "o1",
            "client_order_id": "c1",
            "ticker": TICKER,
            "status": "resting",
            "book_side": "bid",
            "yes_price_dollars": "0.5200",
            "fill_count_fp": "1.00",
            "remaining_count_fp": "1.00",
            "initial_count_fp": "2.00",
            "taker_fill_cost_dollars": "0.520000",
            "maker_fill_cost_dollars": "0.000000",
            "taker_fees_dollars": "0.017500",
            "maker_fees_dollars": "0.000000",
        },
    },
]


def fuzz_private_channel(number: int, seed: int) -> dict[str, int]:
    """Every spoilt frame changes the state, or ends the connection, and does nothing else."""
    chance, rig = random.Random(seed), ManagerRig().known(TICKER)
    channel = PrivateChannel(None, rig.state, rig.drain, None)  # type: ignore[arg-type]
    counts = {"unreadable": 0, "closed": 0, "taken": 0}
    for _ in range(number):
        data = json.dumps(chance.choice(FRAMES)).encode()
        way = chance.choice([spoil, misstated, misstated])
        try:
            frame = decode_frame(way(data, chance))
        except WireError:
            counts["unreadable"] += 1
            continue
        try:
            channel._on_frame(frame)
        except SocketClosed:
            counts["closed"] += 1
        else:
            counts["taken"] += 1
        rig.drain()
        rig.history.clear()
    return counts


def test_spoilt_private_frames_change_the_state_or_end_the_connection(seed):
    counts = fuzz_private_channel(15_000, seed)
    assert all(counts.values()), counts


READS = ("balance", "positions", "orders", "fills", "settlements", "exchange_status", "markets")
PATHS = (
    *("/portfolio/balance", "/portfolio/positions", "/portfolio/orders", "/portfolio/fills"),
    *("/portfolio/settlements", "/exchange/status", "/markets"),
)


async def bodies(tmp_path) -> dict[str, bytes]:
    """What the exchange answers to every read, after a trade."""
    async with two_markets(tmp_path) as exchange:
        await exchange.call("POST", ORDERS, order("0.5000", "2.00"))
        hit = order("0.5000", "1.00", side="ask", time_in_force="immediate_or_cancel")
        await exchange.call("POST", ORDERS, hit, account=1)
        answers = [(await exchange.call("GET", path)).content for path in PATHS]
    return dict(zip(READS, answers, strict=True))


async def fuzz_reads(tmp_path, number: int, seed: int) -> dict[str, int]:
    """Every spoilt reply is a result or a `KalshiError`."""
    chance, known = random.Random(seed), await bodies(tmp_path)
    exchange = FakeExchange()
    counts = {"read": 0, "refused": 0}
    async with exchange.client() as client:
        for _ in range(number):
            name = chance.choice(READS)
            status = chance.choice([200, 200, 200, 400, 401, 404])
            reply = httpx.Response(status, content=spoil(known[name], chance))
            exchange.answers = [reply] * 4
            try:
                await getattr(client, name)()
            except KalshiError:
                counts["refused"] += 1
            else:
                counts["read"] += 1
            exchange.asked.clear()
    return counts


async def test_spoilt_replies_are_results_or_one_kind_of_error(tmp_path, seed):
    counts = await fuzz_reads(tmp_path, 1_000, seed)
    assert all(counts.values()), counts


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_million_spoilt_private_frames_and_replies(tmp_path, seed):
    fuzz_private_channel(800_000, seed)
    await fuzz_reads(tmp_path, 200_000, seed)
