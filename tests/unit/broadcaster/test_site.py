"""Who may ask, and what the pages in memory are."""

from __future__ import annotations

from pathlib import Path

import pytest

from processes.broadcaster.site import IMMUTABLE, Access, load_pages

LOCAL = Access("127.0.0.1", ("https://desk.example",))
OPEN = Access("0.0.0.0", ())


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", None),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("127.0.0.1:8080", "https://desk.example"),
        ("desk.example", "https://desk.example"),
    ],
)
def test_allowed_on_loopback(host: str, origin: str | None) -> None:
    assert LOCAL.allows(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://evil.example"),
        ("127.0.0.1:8080", "http://127.0.0.1:9999"),
        ("127.0.0.1:8080", "null"),
        ("evil.example:8080", "http://evil.example:8080"),
        ("evil.example:8080", None),
        ("127.0.0.1.evil.example", None),
        ("127.0.0.1:8080", "https://desk.example.evil.example"),
        ("[", None),
        ("127.0.0.1:8080", "http://["),
        ("", None),
    ],
)
def test_refused_on_loopback(host: str, origin: str | None) -> None:
    assert not LOCAL.allows(host, origin)


def test_bound_to_all_any_host_but_no_foreign_origin() -> None:
    assert OPEN.allows("desk.example:8080", "http://desk.example:8080")
    assert not OPEN.allows("desk.example:8080", "http://evil.example")


def test_pages_have_kinds_and_only_hashed_assets_are_kept_for_ever(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "assets" / "index-abc.js").write_text("1")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / "odd.unheard-of").write_bytes(b"1")
    pages = load_pages(tmp_path)
    assert pages["/"] == pages["/index.html"]
    assert pages["/"].kind == "text/html; charset=utf-8"
    assert pages["/"].cache == "no-cache"
    assert pages["/assets/index-abc.js"].cache == IMMUTABLE
    assert pages["/icon.svg"].kind == "image/svg+xml"
    assert pages["/odd.unheard-of"].kind == "application/octet-stream"


def test_without_a_build_there_are_no_pages(tmp_path: Path) -> None:
    assert load_pages(tmp_path / "nothing") == {}
