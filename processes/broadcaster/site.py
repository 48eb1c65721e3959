"""Everything that is answered over HTTP on the dashboard's port, and to whom.

The built dashboard is read once, into memory: no path of a request ever reaches the file system.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ipc.messages import TradingStatus
from ipc.places import resource
from processes.adapters.kalshi.schemas.drift import UNKNOWN
from processes.broadcaster.readiness import Known, execution_mode, reasons_of
from processes.broadcaster.state import Health

__all__ = [
    "DIST",
    "WEBSOCKET_PATH",
    "Access",
    "HttpPage",
    "Site",
    "health_page",
    "load_pages",
    "metrics_page",
    "ready_page",
]

DIST: Final = resource("frontend/dist")
_COOKIE: Final = "rl_token"
WEBSOCKET_PATH: Final = "/rl/ws"
IMMUTABLE: Final = "public, max-age=31536000, immutable"  # assets carry a hash in their name
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_KINDS: Final = {  # the machine's own mime.types may say otherwise
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
}


class HttpPage(msgspec.Struct, frozen=True):
    """A body and what it is."""

    body: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK
    cache: str = "no-cache"


def load_pages(folder: Path) -> dict[str, HttpPage]:
    """URL path -> file of the built dashboard; empty when there is no build."""
    pages = {}
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        path = "/" + file.relative_to(folder).as_posix()
        kind = _KINDS.get(file.suffix, "application/octet-stream")
        cache = IMMUTABLE if path.startswith("/assets/") else "no-cache"
        pages[path] = HttpPage(file.read_bytes(), kind, cache=cache)
    if "/index.html" in pages:
        pages["/"] = pages["/index.html"]
    return pages


class Access:
    """Who is answered: the same host, no Origin at all, or an Origin that the settings name.

    Args:
        host: the address that the server is bound to (`RL_BROADCASTER_HOST`).
        origins: origins of other hosts that are allowed (`RL_BROADCASTER_ORIGINS`).

    Bound to loopback, the Host must be loopback too (or of a named origin): otherwise a foreign
    name that resolves to 127.0.0.1 would count as the same host.
    """

    def __init__(self, host: str, origins: Iterable[str]) -> None:
        self._origins = frozenset(o.rstrip("/").lower() for o in origins)
        named = {urlsplit(o).hostname for o in self._origins}
        self._hosts = LOOPBACK | named if host in LOOPBACK else None

    def allows(self, host: str, origin: str | None) -> bool:
        """Whether a request with these headers is answered."""
        try:
            name = urlsplit(f"//{host}").hostname
            if self._hosts is not None and name not in self._hosts:
                return False
            if origin is None or origin.lower() in self._origins:
                return True
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


class Site:
    """Answers everything but the WebSocket itself.

    Args:
        access: decides by Host and Origin whether a request is answered.
        pages: URL path -> file of the built dashboard.
        live: URL path -> makes a page at each request.
        token: required of every request where it is not empty (`RL_BROADCASTER_TOKEN`).
    """

    def __init__(
        self,
        access: Access,
        pages: dict[str, HttpPage],
        live: dict[str, Callable[[], HttpPage]],
        token: str = "",
    ) -> None:
        self._access = access
        self._token = token
        self._pages = pages
        self._live = live
        self.full: Callable[[], bool] = lambda: False

    def process_request(self, _: ServerConnection, request: Request) -> Response | None:
        """A response, or None to go on with the WebSocket handshake."""
        origins = request.headers.get_all("Origin")
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or len(origins) > 1:
            return _plain(HTTPStatus.BAD_REQUEST, "one Host, at most one Origin")
        if not self._access.allows(hosts[0], origins[0] if origins else None):
            return _plain(HTTPStatus.FORBIDDEN, "this origin or host is not allowed here")
        if request.method not in ("GET", "HEAD"):
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD")
        path = request.path.partition("?")[0]
        if self._token and (refusal := self._ask_for_token(request, path, hosts[0])):
            return refusal
        if path == WEBSOCKET_PATH:
            return self._websocket(request)
        return _respond(self._find(path), head=request.method == "HEAD")

    def _ask_for_token(self, request: Request, path: str, host: str) -> Response | None:
        """None if the request has the token. A browser keeps it as a cookie."""
        cookie = f"{_COOKIE}_{urlsplit(f'//{host}').port or 80}"  # a host's ports share cookies
        in_query = self._is_token(parse_qs(urlsplit(request.path).query).get("token", [""])[0])
        if in_query and path == "/":
            response = _plain(HTTPStatus.SEE_OTHER, "the dashboard")
            response.headers["Location"] = path  # the token stays in no address and no history
            response.headers["Set-Cookie"] = (
                f"{cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            )
            return response
        bearer = request.headers.get_all("Authorization")[:1] or [""]
        kept = _cookies(request.headers.get_all("Cookie")).get(cookie, "")
        if in_query or self._is_token(bearer[0].removeprefix("Bearer ")) or self._is_token(kept):
            return None
        says = "RL_BROADCASTER_TOKEN is set: 'Authorization: Bearer <token>' or ?token=<token>"
        response = _plain(HTTPStatus.UNAUTHORIZED, says)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _is_token(self, given: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    def _websocket(self, request: Request) -> Response | None:
        if "Upgrade" not in request.headers or request.method != "GET":
            return _plain(HTTPStatus.UPGRADE_REQUIRED, "this address speaks WebSocket")
        if self.full():
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        return None

    def _find(self, path: str) -> HttpPage:
        if make := self._live.get(path):
            return make()
        if page := self._pages.get(path):
            return page
        hint = "; there is no built dashboard: make frontend" if not self._pages else ""
        return HttpPage(f"not found{hint}\n".encode(), "text/plain", HTTPStatus.NOT_FOUND)


def _cookies(headers: Iterable[str]) -> dict[str, str]:
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return {name: value for name, _, value in pairs}


def _plain(status: HTTPStatus, text: str) -> Response:
    return _respond(HttpPage(f"{text}\n".encode(), "text/plain", status), head=False)


def _respond(page: HttpPage, *, head: bool) -> Response:
    headers = Headers(_ALWAYS)
    headers["Content-Type"] = page.kind
    headers["Content-Length"] = str(len(page.body))
    headers["Cache-Control"] = page.cache
    if page.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "GET, HEAD"
    return Response(page.status, page.status.phrase, headers, b"" if head else page.body)


def health_page(health: Health, environment: str, mono_ns: int) -> HttpPage:
    """`/rl/health`: 200 when every part is well, else 503 with the reasons.

    Well means: heard lately, no clock off, every stream on its way into the database.
    """
    parts = health.parts(mono_ns)
    silent = [name for name, part in parts.items() if not part.fresh]
    reasons = health.reasons()
    well = not silent and not reasons
    body = {
        "status": "ok" if well else "degraded",
        "environment": environment,
        "silent": silent,
        "reasons": reasons,
        "parts": parts,
        "unknown_on_the_wire": _unknown(health),
    }
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return HttpPage(msgspec.json.encode(body) + b"\n", "application/json", status, "no-store")


def ready_page(known: Known, environment: str) -> HttpPage:
    """`/rl/ready`: 200 when this stack can trade now, else 503 with every reason why not."""
    reasons = reasons_of(known)
    body = {
        "status": "not_ready" if reasons else "ready",
        "environment": environment,
        "execution_mode": execution_mode(known),
        "reasons": reasons,
    }
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return HttpPage(msgspec.json.encode(body) + b"\n", "application/json", status, "no-store")


def _unknown(health: Health) -> dict[str, dict[str, int]]:
    """Process -> what it saw on the wire that this version does not know, with counts."""
    found = {
        process: {k.removeprefix(UNKNOWN): n for k, n in counters.items() if k.startswith(UNKNOWN)}
        for process, counters in sorted(health.counters.items())
    }
    return {process: names for process, names in found.items() if names}


def metrics_page(health: Health, mono_ns: int, trading: TradingStatus | None = None) -> HttpPage:
    """`/metrics`: every process's counters as Prometheus text, and whether the stack is ready."""
    ready = not reasons_of(Known(health, trading, mono_ns))
    lines = ["# TYPE rl_ready gauge", f"rl_ready {int(ready)}", "# TYPE rl_up gauge"]
    for name, part in health.parts(mono_ns).items():
        lines.append(f'rl_up{{part="{name}"}} {int(part.fresh)}')
    lines.append("# TYPE rl_counter untyped")
    for process, counters in sorted(health.counters.items()):
        for counter, value in sorted(counters.items()):
            labels = f'process="{_label(process)}",counter="{_label(counter)}"'
            lines.append(f"rl_counter{{{labels}}} {value}")
    body = "\n".join(lines) + "\n"
    return HttpPage(body.encode(), "text/plain; version=0.0.4; charset=utf-8", cache="no-store")


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
