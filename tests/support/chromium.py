"""A real browser without a driver package: Debian's chromium over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

__all__ = ["CHROMIUM", "Tab", "browsing"]

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)


class Tab:
    """One page; `complaints` are its console errors, exceptions and refused loads."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Take what the browser sends, until the connection ends."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str([arg.get("value") for arg in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        message = await answer
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str, width: int = 1680, height: int = 1000) -> None:
        """Go to a page, with the console watched from its first line."""
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_for(self, expression: str) -> Any:
        """The value of an expression once it is true; the test's timeout bounds the wait."""
        polled = (
            "new Promise(resolve => { const look = () => { const found = (" + expression + "); "
            "found ? resolve(found) : setTimeout(look, 30) }; look() })"
        )
        return await self.evaluate(polled)

    async def text_of(self, selector: str) -> str:
        """The text of the first element that fits, '' while there is none."""
        return str(
            await self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        )

    async def wait_for_text(self, selector: str, text: str) -> str:
        """The text of an element once it contains `text`."""
        element = f"document.querySelector({json.dumps(selector)})?.innerText"
        found = await self.wait_for(f"({element} ?? '').includes({json.dumps(text)}) && {element}")
        return str(found)

    async def picture(self, file: Path) -> None:
        """Write what is shown as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, ended with it."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        host = await _devtools(process)
        async with connect(f"ws://{host}{await _page(host)}", max_size=None) as socket:
            tab = Tab(socket)
            listening = asyncio.create_task(tab.listen())
            yield tab
            listening.cancel()
    finally:
        process.terminate()
        await process.communicate()


async def _devtools(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if found := re.match(r"DevTools listening on ws://([^/]+)/", line):
            return found[1]
    raise RuntimeError("chromium ended before it listened")


async def _page(host: str) -> str:
    """The DevTools path of the one tab."""
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET /json/list HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    assert length is not None
    targets = json.loads(await reader.readexactly(int(length[1])))
    writer.close()
    await writer.wait_closed()
    page = next(target for target in targets if target["type"] == "page")
    return "/" + page["webSocketDebuggerUrl"].split("/", 3)[3]
