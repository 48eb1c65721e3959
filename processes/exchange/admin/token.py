"""Access to the admin port: a bearer token that lies in the data folder."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from ipc.private_files import UnsafePathError, private_folder, random_word, read_file, write_file
from processes.exchange.core.rejections import Rejection
from processes.runtime.config import ConfigError

__all__ = ["load_token", "token_required"]

BYTES: Final = 32

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def load_token(path: Path) -> str:
    """The data folder's token, made where there is none and kept over restarts; `ConfigError`."""
    try:
        private_folder(path.parent)
        try:
            token = read_file(path).decode("ascii", "replace").strip()
        except FileNotFoundError:
            token = random_word(BYTES)
            write_file(path, f"{token}\n".encode())
    except UnsafePathError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error.strerror}") from None
    if not re.fullmatch(f"[0-9a-f]{{{2 * BYTES}}}", token):
        raise ConfigError(f"{path} is not a token; remove it and a new one is made")
    return token


def token_required(token: str) -> Any:
    """A middleware that refuses every call without `Authorization: Bearer <token>`."""
    wanted = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            raise Rejection.nested(
                401,
                "unauthorized",
                "the admin port wants the header 'Authorization: Bearer <token>'; "
                "the token is in exchange/admin.token below RL_DATA_DIR",
            )
        return await handler(request)

    return check
