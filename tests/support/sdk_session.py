"""What a user of the official SDK does first. Run by a Python that has it; prints one JSON object.

Arguments: the address of the API, the file of accounts, the number of the account.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import kalshi_python_sync as sdk

Client = Any


def connect(host: str, file: str, number: int) -> Client:
    """A client whose host is the only thing that differs from the real exchange's."""
    account = json.loads(Path(file).read_text())["accounts"][number]
    configuration = sdk.Configuration(host=host)
    configuration.api_key_id = account["api_key_id"]
    configuration.private_key_pem = account["private_key_pem"]
    return sdk.KalshiClient(configuration)


def reads(client: Client, ticker: str) -> None:
    """Every read that a bot makes; the SDK's models refuse what does not fit."""
    client.get_market(ticker)
    client.get_market_orderbook(ticker)
    client.get_market_orderbooks([ticker])
    client.get_trades(ticker=ticker)
    client.get_series(ticker.partition("-")[0])
    client.get_series_list()
    client.get_events(with_nested_markets=True)
    for name in (
        *("get_exchange_status", "get_exchange_schedule", "get_account_api_limits"),
        *("get_account_endpoint_costs", "get_series_fee_changes", "get_historical_cutoff"),
        *("get_fills", "get_positions", "get_settlements", "get_order_groups", "get_api_keys"),
        "get_portfolio_resting_order_total_value",
    ):
        getattr(client, name)()


def order(ticker: str, **facts: str) -> dict[str, str]:
    """A create's arguments."""
    usual = {
        "ticker": ticker,
        "client_order_id": str(uuid.uuid4()),
        "side": "bid",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    return usual | facts


def trade(client: Client, ticker: str) -> dict[str, Any]:
    """Place, amend, decrease, cancel, read back; then take, and look at the fill."""
    made = client.create_order_v2(**order(ticker, count="3.00", price="0.0100"))
    resting = client.get_order(made.order_id).order
    client.get_order_queue_position(made.order_id)
    change = {"ticker": ticker, "side": "bid", "count": "2.00", "price": "0.0100"}
    amended = client.amend_order_v2(made.order_id, **change)
    left = client.decrease_order_v2(made.order_id, reduce_by="1.00", market_ticker=ticker)
    gone = client.cancel_order_v2(made.order_id, market_ticker=ticker)
    after = client.get_order(made.order_id).order
    ioc = {"time_in_force": "immediate_or_cancel", "count": "1.00", "price": "0.9900"}
    taken = client.create_order_v2(**order(ticker, **ioc))
    fills = client.get_fills(order_id=taken.order_id).fills
    batch = client.batch_create_orders_v2(
        orders=[order(ticker, count="1.00", price=price) for price in ("0.0100", "0.0150")]
    )
    client.cancel_all_orders()
    return {
        "resting": resting.status,
        "amended": amended.remaining_count,
        "decreased": left.remaining_count,
        "canceled": gone.reduced_by,
        "after": after.status,
        "taken": taken.fill_count,
        "filled": f"{sum(float(f.count_fp) for f in fills):.2f}",
        "batch": [bool(item.error) for item in batch.orders],
        "open": len(client.get_orders(status="resting").orders),
    }


def undecided(markets: list[Any]) -> str:
    """The market whose price is farthest from both ends: a bid at a cent rests there."""
    return str(min(markets, key=lambda m: abs(float(m.yes_bid_dollars) - 0.5)).ticker)


def main() -> None:
    """Sign in, look around, trade."""
    host, file, number = sys.argv[1:]
    client = connect(host, file, int(number))
    cents = client.get_balance().balance
    ticker = undecided(client.get_markets(status="open").markets)
    reads(client, ticker)
    sys.stdout.write(json.dumps({"cents": cents} | trade(client, ticker)) + "\n")


if __name__ == "__main__":
    main()
