"""What several contract tests start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.broadcaster import broadcasting
from support.postgres import Database
from support.recorder_process import RecorderProcess
from support.synthetic_stack import SyntheticStack
from support.ws_client import WsClient, connected


@pytest.fixture
def recorder(database: Database, tmp_path: Path) -> Iterator[RecorderProcess]:
    process = RecorderProcess(database, tmp_path / "data", tmp_path / "recorder.log")
    yield process
    process.kill()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SyntheticStack]:
    stack = SyntheticStack(tmp_path)
    yield stack
    stack.close()


@pytest.fixture
async def address(stack: SyntheticStack) -> AsyncIterator[str]:
    async with broadcasting(stack.data_dir) as (_, address):
        yield address


@pytest.fixture
async def client(stack: SyntheticStack, address: str) -> AsyncIterator[WsClient]:
    async with connected(address) as client:
        await client.until_all_heard(stack)
        yield client
