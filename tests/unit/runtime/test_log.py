"""One line per event, whoever has something to say, and nothing a peer says breaks a line."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings
from collections.abc import Callable

import pytest
from supervisor.loggers import getLogger

from processes.runtime.config import ConfigError, LogSettings, load_log
from processes.runtime.log import ProcessLog, no_log, open_log, take_over_supervisord

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def opened(**settings: str) -> tuple[ProcessLog, io.StringIO]:
    stream = io.StringIO()
    return open_log("recorder", "1a2b3c4d", LogSettings(**settings), stream), stream


def said(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_console_line_has_time_level_process_action_facts_and_run() -> None:
    log, stream = opened()
    log("stream_followed", stream="collector/s1", rows=3)
    log.warning("db_lost", error="no route to host")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(
        f"{STAMP} info    recorder stream_followed stream=collector/s1 rows=3 run=1a2b3c4d", first
    )
    assert re.fullmatch(
        f'{STAMP} warning recorder db_lost error="no route to host" run=1a2b3c4d', second
    )


def test_a_json_line_has_the_same_as_keys() -> None:
    log, stream = opened(format="json")
    log.error("stream_refused", stream="s", rows=3, share=0.5, none=None, error=ValueError("x y"))
    (line,) = said(stream)
    assert re.fullmatch(STAMP, str(line.pop("time")))
    assert line == {
        "level": "error",
        "process": "recorder",
        "run": "1a2b3c4d",
        "action": "stream_refused",
        "stream": "s",
        "rows": 3,
        "share": 0.5,
        "none": None,
        "error": "x y",
    }


def test_a_fact_does_not_take_the_place_of_what_every_line_has() -> None:
    log, stream = opened(format="json")
    log("x", level="high", run="another")
    (line,) = said(stream)
    assert (line["level"], line["level_"], line["run"], line["run_"]) == (
        *("info", "high", "1a2b3c4d"),
        "another",
    )


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "text",
    [
        *("two\nlines", "carriage\rreturn", "\x1b[2J\x1b[31mred", "\u2028", "\x9b31m", "\ud800"),
        *("a" * 1_000_000, "", '"', float("nan"), object(), [1, "two\n"]),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_whatever_is_said_is_one_short_line_that_no_terminal_obeys(form: str, text: object) -> None:
    log, stream = opened(format=form)
    log("peer_said", error=text)
    line, end = stream.getvalue()[:-1], stream.getvalue()[-1]
    assert end == "\n"
    assert len(line) < 10_000
    assert line.isprintable() or form == "json"
    assert len(line.splitlines()) == 1 or form == "json"
    assert not {"\n", "\x1b"} & set(line)
    if form == "json":
        assert json.loads(line)["action"] == "peer_said"


def test_only_what_was_asked_for_is_logged() -> None:
    for level, wanted in (("debug", 4), ("info", 3), ("warning", 2), ("error", 1)):
        log, stream = opened(level=level)
        for say in (log.debug, log, log.warning, log.error):
            say("x")
        assert len(stream.getvalue().splitlines()) == wanted


def raised() -> ValueError:
    try:
        raise ValueError("in a\nlibrary")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("speak", "wanted"),
    [
        (
            lambda: logging.getLogger("aiohttp.server").error("Error\nhere", exc_info=raised()),
            {"action": "library_message", "level": "error", "logger": "aiohttp.server"},
        ),
        (
            lambda: warnings.warn("use it\nno more", DeprecationWarning, stacklevel=1),
            {"action": "python_warning", "level": "warning", "logger": "py.warnings"},
        ),
    ],
)
def test_libraries_and_python_speak_through_the_same_door(
    speak: Callable[[], None], wanted: dict[str, object]
) -> None:
    _, stream = opened(format="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # `catch_warnings` has put Python's own way back
        speak()
        logging.captureWarnings(False)
    (line,) = said(stream)
    assert wanted.items() <= line.items()
    if "error" in line:
        assert line["error"] == "ValueError: in a\nlibrary"
        assert "in raised" in str(line["traceback"])


async def test_what_a_task_raised_unseen_is_a_line() -> None:
    _, stream = opened(format="json")

    async def fails() -> None:
        raise ValueError("unseen")

    task = asyncio.create_task(fails())
    await asyncio.wait((task,))
    del task
    (line,) = said(stream)
    assert (line["logger"], line["error"]) == ("asyncio", "ValueError: unseen")


def test_libraries_log_no_headers() -> None:
    """httpx and httpcore log requests, with their headers, below warnings."""
    _, stream = opened(level="debug")
    logging.getLogger("httpcore.http11").debug("send_request_headers KALSHI-ACCESS-SIGNATURE")
    logging.getLogger("httpx").info("HTTP Request: GET")
    assert stream.getvalue() == ""


def test_a_terminal_that_was_closed_costs_nothing() -> None:
    log, stream = opened()
    stream.close()
    log("still", alive=True)


def test_supervisord_speaks_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    logger = getLogger(30)
    for _ in range(2):  # SIGHUP runs the start again
        take_over_supervisord(logger, LogSettings())
    logger.critical("Server 'unix_http_server' running without any HTTP authentication checking")
    logger.info("spawned: 'collector' with pid 7")
    logger.warn("killing 'execution' (7) with SIGKILL")
    (line,) = capsys.readouterr().out.splitlines()
    message = r'message="killing \'execution\' \(7\) with SIGKILL"'
    assert re.fullmatch(f"{STAMP} warning supervisord supervisord_message {message}", line)


def test_a_log_that_nobody_reads_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    no_log().error("x")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("variable", "allowed"),
    [("RL_LOG_LEVEL", "debug, info, warning, error"), ("RL_LOG_FORMAT", "console, json")],
)
def test_a_setting_that_is_unknown_is_refused(variable: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}='loud' is unknown; allowed: {allowed}$"):
        load_log({variable: "loud"})
