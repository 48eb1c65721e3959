"""What `kalshi-actor check --connect` examines: settings that lead to a local exchange."""

from __future__ import annotations

from pathlib import Path

import msgspec
from support.local_exchange import LocalExchange

from ipc.private_files import private_folder, write_file
from processes.adapters.kalshi.auth.credentials import (
    Account,
    Credentials,
    CredentialsFile,
    credentials_path,
)
from processes.runtime.config import Settings, load_settings

__all__ = ["settings_for", "write_key"]


def write_key(data_dir: Path, key: Credentials) -> None:
    """The key that the stack would use with its local exchange."""
    account = Account(key.api_key_id, key.private_key_pem(), key.algorithm)
    path = credentials_path(data_dir)
    private_folder(path.parent)
    write_file(path, msgspec.json.encode(CredentialsFile((account,))))


def settings_for(data_dir: Path, exchange: LocalExchange, **environ: str) -> Settings:
    """Settings of a stack whose local exchange is this one."""
    port = exchange.target.rest_url.split(":")[2].partition("/")[0]
    return load_settings({"RL_DATA_DIR": str(data_dir), "RL_EXCHANGE_PORT": port, **environ})
