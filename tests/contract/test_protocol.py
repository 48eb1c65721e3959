"""`kalshi-actor check --protocol`: what the specifications have otherwise than ours is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.client_tour import tour_of_client
from support.local_exchange import keys
from support.local_orders import two_markets
from support.specs import FOLDER, Specifications, needs_specs, specifications

from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.check import main
from processes.doctor.protocol import FILES, USED, SpecificationError, compare

Document = dict[str, Any]


@cache
def documents() -> tuple[Document, Document]:
    """Kalshi's, read once; never changed."""
    rest, stream = (
        yaml.load((FOLDER / name).read_bytes(), Loader=yaml.CSafeLoader) for name in FILES
    )
    return rest, stream


def written(folder: Path, change: Callable[[Document, Document], object]) -> Path:
    """Kalshi's with one change; JSON is YAML."""
    rest, stream = copy.deepcopy(documents())
    change(rest, stream)
    for name, document in zip(FILES, (rest, stream), strict=True):
        (folder / name).write_text(json.dumps(document))
    return folder


@needs_specs
def test_our_schemas_are_those_of_the_specifications() -> None:
    titles, differences = compare(FOLDER)
    assert [title.split()[0] for title in titles] == list(FILES)
    assert differences == [], "\n".join(map(str, differences))


@needs_specs
async def test_every_operation_that_the_client_uses_is_compared(tmp_path: Path) -> None:
    specs = specifications()
    assert isinstance(specs, Specifications)
    async with two_markets(tmp_path, tier="prestige") as exchange:
        client = KalshiTradingClient.at(exchange.target, Signer(keys()[0]), RateBudget())
        async with client:
            await tour_of_client(client)
        asked = {specs.operation(a.method, a.target) for a in exchange.asked}
    assert asked - USED == set()


def market(rest: Document) -> Document:
    found: Document = rest["components"]["schemas"]["Market"]
    return found


def trade(stream: Document) -> Document:
    found: Document = stream["components"]["schemas"]["tradePayload"]["properties"]["msg"]
    return found


CHANGES: dict[str, tuple[Callable[[Document, Document], object], str, str]] = {
    "a new field": (
        lambda rest, _: market(rest)["properties"].update(spotlight={"type": "boolean"}),
        "new",
        "Market.spotlight",
    ),
    "a field gone": (
        lambda rest, _: market(rest)["properties"].pop("close_time"),
        "gone",
        "Market.close_time",
    ),
    "another type": (
        lambda rest, _: market(rest)["properties"].update(close_time={"type": "integer"}),
        "type",
        "Market.close_time",
    ),
    "no longer required": (
        lambda rest, _: market(rest)["required"].remove("close_time"),
        "optional",
        "Market.close_time",
    ),
    "a new word": (
        lambda rest, _: market(rest)["properties"]["status"]["enum"].append("suspended"),
        "new",
        "Market.status=suspended",
    ),
    "an operation gone": (
        lambda rest, _: rest["paths"].pop("/portfolio/settlements"),
        "gone",
        "GET /portfolio/settlements",
    ),
    "a new operation": (
        lambda rest, _: rest["paths"].update({"/portfolio/tax": {"get": {}}}),
        "new",
        "GET /portfolio/tax",
    ),
    "one more that a create needs": (
        lambda rest, _: rest["components"]["schemas"]["CreateOrderV2Request"]["required"].append(
            "purpose"
        ),
        "required",
        "CreateBody.purpose",
    ),
    "a word gone that we send": (
        lambda rest, _: rest["components"]["schemas"]["CreateOrderV2Request"]["properties"][
            "time_in_force"
        ]["enum"].remove("fill_or_kill"),
        "gone",
        "CreateBody.time_in_force=fill_or_kill",
    ),
    "a new message": (
        lambda _, stream: stream["components"]["messages"].update(gossip={"payload": {}}),
        "new",
        "message gossip",
    ),
    "a message gone": (
        lambda _, stream: stream["components"]["messages"].pop("orderbookDelta"),
        "gone",
        "message type orderbook_delta",
    ),
    "a new field of a frame": (
        lambda _, stream: trade(stream)["properties"].update(venue={"type": "string"}),
        "new",
        "TradeMsg.venue",
    ),
    "another type in a frame": (
        lambda _, stream: trade(stream)["properties"].update(count_fp={"type": "number"}),
        "type",
        "TradeMsg.count_fp",
    ),
}


@needs_specs
@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_named(name: str, tmp_path: Path) -> None:
    change, kind, what = CHANGES[name]
    _, differences = compare(written(tmp_path, change))
    assert [(d.kind, d.what) for d in differences] == [(kind, what)]


@needs_specs
def test_the_command_says_it_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--protocol", str(FOLDER)])
    assert ended.value.code == 0
    assert capsys.readouterr().out.endswith("no difference\n")
    folder = written(tmp_path, CHANGES["a new field"][0])
    with pytest.raises(SystemExit) as ended:
        main(["--protocol", str(folder), "--json"])
    assert ended.value.code == 1
    body = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in body["differences"]] == ["Market.spotlight"]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe\x00", b"a: [", b"- 1", b"x: 1", b"[" * 100_000, b"a: !!python/name:os"],
    ids=str,
)
def test_what_is_no_specification_is_one_line_and_2(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / FILES[0]).write_bytes(content)
    with pytest.raises(SpecificationError):
        compare(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["--protocol", str(tmp_path)])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "body",
    ["", "paths: 7", "paths: {/markets: 3}", "paths: {/markets: {get: {responses: {200: 1}}}}"],
)
def test_a_specification_that_says_little_is_compared_all_the_same(
    body: str, tmp_path: Path
) -> None:
    (tmp_path / FILES[0]).write_text(f"openapi: 3.0.0\n{body}\n")
    loop = "components: {messages: {a: {$ref: '#/components/messages/a'}}}"
    (tmp_path / FILES[1]).write_text(f"asyncapi: 3.0.0\n{loop}\n")
    assert any(d.kind == "gone" for d in compare(tmp_path)[1])
