"""The built dashboard in a real browser, fed by real publishers through a real broadcaster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support import synthetic_stack as made
from support.broadcaster import broadcasting
from support.chromium import CHROMIUM, Tab, browsing
from support.synthetic_stack import SyntheticStack
from support.ws_client import connected

from ipc.book import BookFlag, BookState
from models.trading.actions import Action

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no chromium here: apt-get install --no-install-recommends chromium",
)

LINK = "[data-testid=link]"
SHADOW = "[data-testid=shadow]"
YES = {"0.4600": "300.00", "0.4700": "1250.00"}
NO = {"0.5000": "20.00", "0.5100": "7.50"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SyntheticStack]:
    stack = SyntheticStack(tmp_path / "data")
    yield stack
    stack.close()


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browsing(tmp_path / "profile") as tab:
        yield tab


@pytest.fixture
async def live(stack: SyntheticStack, tab: Tab) -> AsyncIterator[Tab]:
    """The page on a market KX-A whose publishers are all heard."""
    stack.put_book("KX-A", YES, NO)
    async with broadcasting(stack.data_dir) as (_, address):
        async with connected(address) as client:
            await client.until_all_heard(stack)
        stack.send("collector", "session", made.session())
        await tab.open(address)
        await tab.wait_for_text(LINK, "LIVE")
        yield tab
    assert tab.complaints == []


def ladder_row(price: str) -> str:
    return f"[data-testid=ladder] tr[data-price='{price}']"


async def test_environment_and_connection_are_plain_to_see(live: Tab) -> None:
    await live.wait_for_text("[data-testid=environment]", "SIMULATED")
    await live.wait_for_text(".top", made.SESSION)


async def test_book_is_one_ladder_of_yes_prices(stack: SyntheticStack, live: Tab) -> None:
    await live.wait_for_text(ladder_row("0.4700"), "1,250")
    assert "7.5" in await live.text_of(ladder_row("0.4900"))  # NO bid at 0.51
    assert await live.text_of("[data-testid=mid]") == "0.48"
    assert "ask" in await live.evaluate(
        f'document.querySelector("{ladder_row("0.4900")}").className'
    )
    stack.put_book("KX-A", {"0.4800": "1.00"}, NO)
    await live.wait_for_text("[data-testid=mid]", "0.485")
    assert await live.text_of(ladder_row("0.4700")) == ""


async def test_decision_with_its_reason_and_logits(stack: SyntheticStack, live: Tab) -> None:
    stack.send("inference", "action", made.action(reason="policy says so"))
    line = await live.wait_for_text("[data-testid=actions]", "BUY YES")
    assert "policy says so" in line
    assert "140 µs" in line
    label = await live.evaluate(
        "document.querySelector('[data-testid=actions] .logits').getAttribute('aria-label')"
    )
    assert "B·YES 1.250" in label
    assert "S·YES -0.750 (not allowed)" in label
    await live.wait_for_text("[data-testid=latency]", "140 µs")


async def test_holds_in_a_row_are_one_line(stack: SyntheticStack, live: Tab) -> None:
    for event_no in (1, 2, 3):
        hold = made.action(action=0, action_name="HOLD", intent_id=None, event_no=event_no)
        stack.send("inference", "action", hold)
    await live.wait_for_text("[data-testid=actions]", "×3")
    assert (
        await live.evaluate("document.querySelectorAll('[data-testid=actions] > li').length") == 1
    )


async def test_a_shadow_s_decision_beside_the_live_one(stack: SyntheticStack, live: Tab) -> None:
    stack.send("inference", "models", made.models())
    assert "default@ababab" in await live.wait_for_text(".top", "onnx:shade@5a5a5a")
    await live.wait_for_text(SHADOW, "No decision yet.")
    for event_no, action in enumerate((1, 2, 1, 1), start=1):
        name = Action(action).name
        stack.send("inference", "action", made.action(event_no=event_no))
        answer = made.shadow(event_no=event_no, action=action, action_name=name)
        stack.send("inference", "shadow", answer)
    stack.send("inference", "shadow", made.shadow(event_no=99))  # beside nothing that is known
    assert "–" in await live.wait_for_text(f"{SHADOW} tbody tr", "SELL YES")
    stack.send("inference", "action", made.action(event_no=100))
    stack.send("inference", "shadow", made.shadow(event_no=100))
    line = await live.wait_for_text(f"{SHADOW} tbody tr", "60 % of 5")
    assert line.split("\t") == ["KX-A", "BUY YES", "SELL YES", "60 % of 5"]
    assert "SELL" not in await live.text_of("[data-testid=actions]"), "it is no decision"
    stack.send("inference", "models", made.models(shadow=None, shadow_hash=None))
    await live.wait_for(f"document.querySelector('{SHADOW}') === null")
    assert "onnx:shade" not in await live.text_of(".top")


async def test_without_a_shadow_there_is_none_on_the_page(stack: SyntheticStack, live: Tab) -> None:
    stack.send("inference", "models", made.models(shadow=None, shadow_hash=None))
    stack.send("inference", "action", made.action())
    await live.wait_for_text("[data-testid=actions]", "BUY YES")
    assert "default@ababab" in await live.text_of(".top")
    assert "shadow" not in (await live.text_of("body")).lower()


async def test_order_fill_position_and_cash(stack: SyntheticStack, live: Tab) -> None:
    stack.send("execution", "order", made.order())
    assert "resting" in await live.wait_for_text("[data-testid=orders]", "BUY YES")
    assert "10" in await live.text_of(ladder_row("0.4700") + " .own")
    stack.send("execution", "fill", made.fill())
    assert "4 × 0.47" in await live.wait_for_text("[data-testid=fills]", "KX-A")
    stack.send("execution", "position", made.position())
    assert "cash $97.88" in await live.wait_for_text(".market", "4 NO")
    stack.send("execution", "pnl", made.pnl())
    await live.wait_for_text("[data-testid=balance]", "$12.35")


async def test_a_chart_is_drawn(live: Tab) -> None:
    await live.wait_for("document.querySelectorAll('.chart canvas').length > 0")
    drawn = await live.wait_for(
        "[...document.querySelectorAll('.chart canvas')].some(c => c.width > 100 && "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(x => x > 0))"
    )
    assert drawn is True


async def test_a_stale_book_is_said_aloud(stack: SyntheticStack, live: Tab) -> None:
    stack.put_book("KX-A", YES, NO, state=BookState.STALE, flags=BookFlag.UNRECORDED)
    await live.wait_for_text("[data-testid=book-state]", "STALE · UNRECORDED")
    alarms = await live.wait_for_text("[data-testid=alarms]", "book of KX-A")
    assert "STALE" in alarms
    assert "unrecorded: KX-A" in alarms


async def test_unknown_is_a_dash(stack: SyntheticStack, live: Tab) -> None:
    assert await live.text_of("[data-testid=balance] span") == "–"
    stack.put_book("KX-A", YES, {})
    await live.wait_for_text("[data-testid=mid]", "–")


async def test_it_comes_back_after_a_restart(
    stack: SyntheticStack, tab: Tab, tmp_path: Path
) -> None:
    stack.put_book("KX-A", YES, NO)
    async with broadcasting(stack.data_dir) as (_, address):
        await tab.open(address)
        await tab.wait_for_text("[data-testid=mid]", "0.48")
    await tab.wait_for_text(LINK, "DISCONNECTED")
    await tab.wait_for_text("[data-testid=alarms]", "connection lost")
    port = address.rsplit(":", 1)[1]
    stack.put_book("KX-A", {"0.3000": "1.00"}, NO)
    async with broadcasting(stack.data_dir, RL_BROADCASTER_PORT=port):
        await tab.wait_for_text(LINK, "LIVE")
        await tab.wait_for_text("[data-testid=mid]", "0.395")


async def test_production_cannot_be_overlooked(stack: SyntheticStack, tab: Tab) -> None:
    environment = {"KALSHI_TRADING_ENVIRONMENT": "production", "RL_ACTOR_ENABLED": "false"}
    async with broadcasting(stack.data_dir, **environment) as (_, address):
        stack.send("collector", "session", made.session())
        await tab.open(address)
        assert "REAL MONEY" in await tab.wait_for_text(".real-money", "PRODUCTION")
        assert await tab.text_of("[data-testid=environment]") == "PRODUCTION"
        await tab.wait_for_text(".top", "DISABLED")
    assert not [c for c in tab.complaints if "ERR_CONNECTION_REFUSED" not in c]


async def test_gaps_in_seq_are_shown(stack: SyntheticStack, tab: Tab) -> None:
    async with broadcasting(stack.data_dir) as (server, address):
        await tab.open(address)
        await tab.wait_for_text("[data-testid=alarms]", "not seen yet")
        for client in server.manager._clients.values():
            client.seq += 3
        await tab.wait_for_text("[data-testid=alarms]", "3 messages missing in seq")
