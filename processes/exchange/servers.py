"""The two HTTP servers: the exchange itself, and the admin port."""

from __future__ import annotations

import os
from typing import Any, Final

from aiohttp import web

from processes.exchange.admin import fault_handlers, inspection
from processes.exchange.admin.token import token_required
from processes.exchange.rest import (
    account,
    exchange_info,
    incentives,
    listings,
    market_data,
    not_implemented,
    orders,
    portfolio,
)
from processes.exchange.rest.middleware import answers, gate, refusals
from processes.exchange.shared.connections import CONNECTIONS, Connections, route
from processes.exchange.shared.state import BASE, STATE, ExchangeState
from processes.runtime.config import ConfigError

__all__ = ["LOOPBACK", "Server", "admin_app", "exchange_app"]

LOOPBACK: Final = "127.0.0.1"
WEBSOCKET: Final = "/trade-api/ws/v2"
SHUTDOWN_S: Final = 0.3
REST: Final = (  # fixed paths before those with a parameter in their place
    exchange_info,
    account,
    market_data,
    listings,
    incentives,
    orders,
    portfolio,
    not_implemented,
)


def _app(state: ExchangeState, connections: Connections, *middlewares: Any) -> web.Application:
    app = web.Application(middlewares=middlewares)
    app[STATE], app[CONNECTIONS] = state, connections
    return app


def exchange_app(state: ExchangeState, connections: Connections) -> web.Application:
    """REST and WebSocket on one port."""
    app = _app(state, connections, answers, refusals, gate)
    for part in REST:
        app.add_routes(part.routes(BASE))
    app.add_routes([route(WEBSOCKET)])
    return app


def admin_app(state: ExchangeState, connections: Connections, token: str) -> web.Application:
    """The admin port; every call needs the token."""
    app = _app(state, connections, refusals, token_required(token))
    app.add_routes(inspection.routes())
    app.add_routes(fault_handlers.routes())
    return app


class Server:
    """One application on one port of the loopback interface."""

    def __init__(self, app: web.Application, variable: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._variable = variable
        self.port = port

    async def start(self) -> None:
        """Listen; `ConfigError` when the port cannot be had. Port 0 becomes a free one."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else str(error)
            raise ConfigError(
                f"{self._variable}={self.port} cannot be listened on ({reason}); "
                "allowed: a free port of 127.0.0.1"
            ) from None
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()
