"""What no exchange should send and some network will: made for the fault commands that send it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

__all__ = ["ODD_ANSWERS", "ODD_FRAMES", "OddAnswer", "odd_answer", "odd_frame"]

HUGE_BYTES: Final = 64 << 20
UNPACKED_BYTES: Final = 256 << 20  # of the gzip bomb
DEPTH: Final = 100_000  # of nested lists
DIGITS: Final = 400
_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body>no</body></html>"
_GZIP: Final = 31  # window bits of zlib for a gzip header


class OddAnswer(NamedTuple):
    """An HTTP answer: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def _nested() -> bytes:
    return b"[" * DEPTH


def _number() -> bytes:
    return b'{"type":"orderbook_delta","sid":1,"seq":' + b"9" * DIGITS + b',"msg":{}}'


@cache
def _bomb() -> bytes:
    """Spaces, which JSON allows anywhere."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    piece = b" " * (1 << 20)
    parts = [packer.compress(piece) for _ in range(UNPACKED_BYTES // len(piece))]
    return b"".join([*parts, packer.flush()])


_JSON: Final = {"Content-Type": "application/json"}
_ANSWERS: Final[dict[str, Callable[[], OddAnswer]]] = {
    "html": lambda: OddAnswer(200, {"Content-Type": "text/html"}, _HTML),
    "html_502": lambda: OddAnswer(502, {"Content-Type": "text/html"}, _HTML),
    "redirect": lambda: OddAnswer(302, {"Location": "http://127.0.0.1:9/"}, b""),
    "nested": lambda: OddAnswer(200, _JSON, _nested()),
    "not_utf8": lambda: OddAnswer(200, _JSON, b'{"balance": "\xff\xfe"}'),
    "number": lambda: OddAnswer(200, _JSON, b'{"balance": ' + b"9" * DIGITS + b"}"),
    "huge": lambda: OddAnswer(200, _JSON, b" " * HUGE_BYTES),
    "gzip_bomb": lambda: OddAnswer(200, _JSON | {"Content-Encoding": "gzip"}, _bomb()),
    "empty": lambda: OddAnswer(200, _JSON, b""),
}
_FRAMES: Final[dict[str, Callable[[], bytes]]] = {
    "html": lambda: _HTML,
    "nested": _nested,
    "not_utf8": lambda: b'{"type":"\xff\xfe"}',
    "number": _number,
    "huge": lambda: b" " * HUGE_BYTES,
    "empty": lambda: b"",
}
ODD_ANSWERS: Final = tuple(_ANSWERS)
ODD_FRAMES: Final = tuple(_FRAMES)


def odd_answer(what: str) -> OddAnswer:
    """An answer that is none of the protocol's; `what` is one of `ODD_ANSWERS`."""
    return _ANSWERS[what]()


def odd_frame(what: str) -> bytes:
    """The payload of a text frame that is no message; `what` is one of `ODD_FRAMES`."""
    return _FRAMES[what]()
