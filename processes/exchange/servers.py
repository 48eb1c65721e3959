"""The two HTTP servers: the exchange itself, and the admin port."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from processes.exchange import admin, rest_markets, rest_orders, rest_portfolio
from processes.exchange.house import HOUSE, House, answer
from processes.exchange.rejections import Rejection
from processes.exchange.sockets import CONNECTIONS, Connections, route
from processes.runtime.config import ConfigError

__all__ = ["LOOPBACK", "Server", "admin_app", "exchange_app"]

LOOPBACK: Final = "127.0.0.1"
REST: Final = "/trade-api/v2"
WEBSOCKET: Final = "/trade-api/ws/v2"
GOODBYE_S: Final = 0.3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals as the real exchange's bodies; ordered faults come first."""
    try:
        if not request.path.startswith("/admin"):
            request.app[HOUSE].faults.check(request.method)
        return await handler(request)
    except Rejection as refusal:
        return answer(refusal.body, refusal.status)
    except web.HTTPNotFound:
        return answer({"error": {"code": "not_found", "message": "not found"}}, 404)
    except web.HTTPMethodNotAllowed:
        return answer({"error": {"code": "method_not_allowed", "message": "not allowed"}}, 405)


def _app(house: House, connections: Connections) -> web.Application:
    app = web.Application(middlewares=[_refusals])
    app[HOUSE], app[CONNECTIONS] = house, connections
    return app


def exchange_app(house: House, connections: Connections) -> web.Application:
    """REST and WebSocket on one port."""
    app = _app(house, connections)
    app.add_routes(rest_markets.routes(REST))
    app.add_routes(rest_orders.routes(REST))
    app.add_routes(rest_portfolio.routes(REST))
    app.add_routes([route(WEBSOCKET)])
    return app


def admin_app(house: House, connections: Connections) -> web.Application:
    """For tests."""
    app = _app(house, connections)
    app.add_routes(admin.routes())
    return app


class Server:
    """One application on one port of the loopback interface."""

    def __init__(self, app: web.Application, variable: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=GOODBYE_S)
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
