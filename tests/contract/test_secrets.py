"""Secrets in no message: forms of DATABASE_URL, of keys and of the exchange's URLs are refused.

Everything that is said of a refusal is searched for the secret and for parts of it: the exception,
what the driver prints and warns of, and for some forms the output of a real program.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from support.refusals import line_of_program
from support.stack import ROOT

from processes.adapters.kalshi.auth.credentials import Algorithm, load_credentials, new_credentials
from processes.adapters.kalshi.auth.environments import Purpose, target_of
from processes.adapters.postgres.database import check_server
from processes.adapters.postgres.location import shown_dsn
from processes.runtime.config import ConfigError, load_settings

SECRET = "hunter2swordfish"
PARTS = ("hunter2", "swordfish")  # what is left when an odd character cuts the secret in two
NOWHERE = "127.0.0.1:1"


def cut(by: str) -> str:
    """The secret with a character in its middle that means something in a URL."""
    return by.join(PARTS)


DATABASE_URLS = {
    "plain": f"postgresql://user:{SECRET}@{NOWHERE}/db",
    "short scheme": f"postgres://user:{SECRET}@{NOWHERE}/db",
    "no user": f"postgresql://:{SECRET}@{NOWHERE}/db",
    "as the user": f"postgresql://{SECRET}@{NOWHERE}/db",
    "in the query": f"postgresql://user@{NOWHERE}/db?password={SECRET}",
    "first in the query": f"postgresql://{NOWHERE}/db?password={SECRET}&user=u",
    "host in the query": f"postgresql://user:{SECRET}@/db?host=127.0.0.1&port=1",
    "all in the query": f"postgresql:///db?host=127.0.0.1&port=1&password={SECRET}",
    "query without its host": f"postgresql:///db?password={cut('&host=')}&port=1",
    "keywords": f"host=127.0.0.1 port=1 user=u password={SECRET} dbname=db",
    "quoted keywords": f"host='127.0.0.1' port=1 password='{cut(' ')}'",
    "with #": f"postgresql://user:{cut('#')}@{NOWHERE}/db",
    "with /": f"postgresql://user:{cut('/')}@{NOWHERE}/db",
    "with @": f"postgresql://user:{cut('@')}@{NOWHERE}/db",
    "with two @": f"postgresql://user:{cut('@@')}@{NOWHERE}/db",
    "with %": f"postgresql://user:{cut('%')}@{NOWHERE}/db",
    "with :": f"postgresql://user:{cut(':')}@{NOWHERE}/db",
    "with ?": f"postgresql://user:{cut('?')}@{NOWHERE}/db",
    "with &": f"postgresql://user:{cut('&')}@{NOWHERE}/db",
    "with a space": f"postgresql://user:{cut(' ')}@{NOWHERE}/db",
    "with a backslash": f"postgresql://user:{cut(chr(92))}@{NOWHERE}/db",
    "with [": f"postgresql://user:{cut('[')}@{NOWHERE}/db",
    "with ]": f"postgresql://user:{cut(']')}@{NOWHERE}/db",
    "with a line end": f"postgresql://user:{cut(chr(10))}@{NOWHERE}/db",
    "with an accent": f"postgresql://user:{cut(chr(0xE9))}@{NOWHERE}/db",
    "with a full-width @": f"postgresql://user:{cut(chr(0xFF20))}@{NOWHERE}/db",
    "with % encoded": f"postgresql://user:{cut('%23')}@{NOWHERE}/db",
    "with / encoded": f"postgresql://user:{cut('%2F')}@{NOWHERE}/db",
    "a # in the query": f"postgresql://{NOWHERE}/db?password={cut('#')}",
    "an @ in the query": f"postgresql://{NOWHERE}/db?password={cut('@')}",
    "IPv6": f"postgresql://user:{SECRET}@[::1]:1/db",
    "broken IPv6": f"postgresql://user:{SECRET}@[::1:1/db",
    "a port that is none": f"postgresql://user:{SECRET}@127.0.0.1:port/db",
    "no host but a password": f"postgresql://user:{SECRET}/db",
    "no host and @": f"postgresql://user:{SECRET}@",
    "a port too large": f"postgresql://user:{SECRET}@127.0.0.1:99999/db",
    "an unknown host": f"postgresql://user:{SECRET}@nosuchhost.invalid/db",
    "a host too long": f"postgresql://user:{SECRET}@{'x' * 300}/db",
    "a unix socket": f"postgresql://user:{SECRET}@/db?host=/nowhere",
    "an encoded unix socket": f"postgresql://user:{SECRET}@%2Fnowhere/db",
    "no scheme": f"user:{SECRET}@{NOWHERE}/db",
    "no scheme, two slashes": f"//user:{SECRET}@{NOWHERE}/db",
    "one slash": f"postgresql:/user:{SECRET}@{NOWHERE}/db",
    "scheme of another": f"mysql://user:{SECRET}@{NOWHERE}/db",
    "scheme of SQLAlchemy": f"postgresql+asyncpg://user:{SECRET}@{NOWHERE}/db",
    "jdbc": f"jdbc:postgresql://{NOWHERE}/db?user=u&password={SECRET}",
    "sslpassword": f"postgresql://u@{NOWHERE}/db?sslmode=require&sslpassword={SECRET}",
    "sslkey": f"postgresql://u@{NOWHERE}/db?sslmode=verify-full&sslkey={SECRET}",
    "sslmode": f"postgresql://u@{NOWHERE}/db?sslmode={SECRET}",
    "passfile": f"postgresql://u@{NOWHERE}/db?passfile={SECRET}",
    "service": f"postgresql://u@{NOWHERE}/db?service={SECRET}",
    "several hosts": f"postgresql://u:{SECRET}@{NOWHERE},127.0.0.1:2/db",
    "more ports than hosts": f"postgresql://u:{SECRET}@127.0.0.1/db?port=1,2",
    "a setting of the server": f"postgresql://u@{NOWHERE}/db?options={SECRET}",
    "a query without values": f"postgresql://u@{NOWHERE}/db?{SECRET}",
    "the password alone": SECRET + "!",
    "the URL in quotes": f"'postgresql://user:{SECRET}@{NOWHERE}/db'",
    "the assignment too": f"DATABASE_URL=postgresql://user:{SECRET}@{NOWHERE}/db",
    "twice": f"postgresql://user:{SECRET}@{NOWHERE}/db postgresql://user:{SECRET}@{NOWHERE}/db",
}


@pytest.fixture
def heard(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[BaseException], str]]:
    """All that was printed, logged and warned of, beside what an exception says of itself."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")

        def everything(error: BaseException) -> str:
            printed = "".join(capfd.readouterr())
            told = "".join(traceback.format_exception(error))
            notes = "\n".join(str(w.message) for w in warned)
            return "\n".join([printed, told, repr(error), caplog.text, notes])

        yield everything


def assert_nothing_of_it(said: str, *secrets: str) -> None:
    for secret in secrets:
        assert secret not in said, said


@pytest.mark.parametrize("form", DATABASE_URLS)
async def test_a_database_url_that_is_refused(
    form: str, heard: Callable[[BaseException], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = DATABASE_URLS[form]
    monkeypatch.setenv("DATABASE_URL", url)
    settings = load_settings({"DATABASE_URL": url})
    with pytest.raises(ConfigError, match=r"^DATABASE_URL=.* cannot be used: .*allowed: ") as error:
        await check_server(settings.database_url or "", patience_s=0.0)
    assert "\n" not in str(error.value)
    assert_nothing_of_it(heard(error.value) + repr(settings) + str(settings), *PARTS)


def test_what_is_safe_of_a_database_url_is_shown() -> None:
    shown = {
        "postgresql://u:p@db.example.com:5433/live": "postgresql://db.example.com:5433/live",
        "postgres://u:p@[::1]:5432/live?sslmode=require": "postgresql://[::1]:5432/live",
        "postgresql://u:p@a:1,b:2/live": "postgresql://a:1,b:2/live",
        "postgresql://u@/live?host=/run/pg&port=1": "postgresql:///live?host=/run/pg",
        "postgresql://u@/live?host=a&password=x": "postgresql:///live",
        "postgresql://u:p%40x@host/live": "postgresql://host/live",
        "postgresql://u:p@x@host/live": "(not shown)",
        "host=a password=b": "(not shown)",
    }
    assert {dsn: shown_dsn(dsn) for dsn in shown} == shown


async def test_what_a_server_says_is_not_repeated(heard: Callable[[BaseException], str]) -> None:
    """A server, or what poses as one, that repeats the password in its refusal."""
    text = f"SFATAL\0VFATAL\0C28P01\0Mno {SECRET}\0\0".encode()
    answer = b"E" + (len(text) + 4).to_bytes(4, "big") + text

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"postgresql://user:{SECRET}@127.0.0.1:{port}/db?sslmode=disable"
        with pytest.raises(ConfigError, match="refuses the user or the password") as error:
            await check_server(url, patience_s=0.0)
        thread.join(10)
    assert_nothing_of_it(heard(error.value), *PARTS)


# Keys

RSA = rsa.generate_private_key(65_537, 2048)
PEM = new_credentials("key", Algorithm.ED25519).private_key_pem()
RSA_PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OLD_RSA_PEM = RSA.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
).decode()
EC_PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
LOCKED_PEM = RSA.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
).decode()
PUBLIC_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
OPENSSH_PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def body(pem: str) -> str:
    """The lines between header and footer."""
    return "".join(line for line in pem.splitlines() if "-----" not in line)


PASTED = {  # where a path belongs
    "Ed25519": PEM,
    "RSA": RSA_PEM,
    "old RSA": OLD_RSA_PEM,
    "EC": EC_PEM,
    "encrypted": LOCKED_PEM,
    "public": PUBLIC_PEM,
    "OpenSSH": OPENSSH_PEM,
    "escaped line ends": PEM.replace("\n", "\\n"),
    "no line ends": PEM.replace("\n", ""),
    "spaces for line ends": RSA_PEM.replace("\n", " "),
    "Windows line ends": RSA_PEM.replace("\n", "\r\n"),
    "in quotes": f'"{PEM}"',
    "without footer": RSA_PEM.partition("-----END")[0],
    "without header": RSA_PEM.partition("KEY-----")[2],
    "body with lines": "\n".join(RSA_PEM.splitlines()[1:-1]),
    "body": body(RSA_PEM),
    "body of Ed25519": body(PEM),
    "body of EC": body(EC_PEM),
    # One that begins with a slash (of 64 lines one does) could as well be a path, and is told so.
    "a line of the body": next(line for line in RSA_PEM.splitlines()[1:-1] if line[0] != "/"),
    "a line like a path": "/" + RSA_PEM.splitlines()[5][1:],
    "body for URLs": body(RSA_PEM).replace("+", "-").replace("/", "_"),
    "PEM as base64": base64.b64encode(PEM.encode()).decode(),
    "hex": base64.b64decode(body(PEM)).hex(),
    "seed": base64.b64encode(base64.b64decode(body(PEM))[-32:]).decode(),
    "short": SECRET,
    "below the root": f"/{body(PEM)}",
    "below a folder": f"/dev/null/{body(PEM)}",
    "below home": f"~/{body(PEM)}",
    "an unknown home": f"~{body(PEM)}/key",
    "with a zero byte": f"{SECRET}\0key",
    "very long": SECRET * 1_000,
    "file URL": f"file://{body(PEM)}",
}
TEXTS = {  # where the text of a key belongs
    "short": SECRET,
    "body": body(RSA_PEM),
    "EC": EC_PEM,
    "encrypted": LOCKED_PEM,
    "public": PUBLIC_PEM,
    "broken": RSA_PEM[:400] + RSA_PEM[440:],
    "cut off": RSA_PEM[:900],
    "without footer": PEM.partition("-----END")[0],
    "wrong header": PEM.replace("PRIVATE", "SECRET"),
    "two headers": PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
    "not base64": f"-----BEGIN PRIVATE KEY-----\n{SECRET}!\n-----END PRIVATE KEY-----",
    "not ASCII": PEM[:40] + "\u00e9" + PEM[40:],
    "lone surrogate": PEM[:40] + "\udcff\ud800" + PEM[40:],
    "path": f"/nowhere/{SECRET}.pem",
}


def secrets_of(text: str) -> list[str]:
    """Runs of a text that a reader could use."""
    runs = re.findall(r"[A-Za-z0-9+/=_]{16,}", re.sub(r"-----[A-Z ]+-----", " ", text))
    return [run[:16] for run in runs] + [run[-16:] for run in runs]


def refused(heard: Callable[[BaseException], str], folder: Path, **named: str) -> str:
    """The refusal of a demo key; nothing secret of what was given is in anything that was said."""
    prefix = "KALSHI_PAPER_TRADING_"
    given = {prefix + name: text for name, text in ({"API_KEY_ID": "id"} | named).items()}
    settings = load_settings(
        {"RL_DATA_DIR": str(folder), "KALSHI_TRADING_ENVIRONMENT": "demo", **given}
    )
    with pytest.raises(ConfigError) as error:
        load_credentials(settings)
    said = str(error.value)
    assert prefix in said
    assert "\n" not in said
    secrets = [s for t in named.values() if not os.path.lexists(t) for s in secrets_of(t)]
    assert_nothing_of_it(heard(error.value) + repr(settings), *secrets)
    return said


@pytest.mark.parametrize("form", PASTED)
def test_a_key_in_the_place_of_a_path(
    form: str, tmp_path: Path, heard: Callable[[BaseException], str]
) -> None:
    said = refused(heard, tmp_path, PRIVATE_KEY_PATH=PASTED[form])
    if "-----" in PASTED[form] or "body" in form:
        assert said == (
            "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH holds a key, not the path of a file; "
            "use KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT for a key"
        )


@pytest.mark.parametrize("form", TEXTS)
def test_a_key_that_does_not_sign(
    form: str, tmp_path: Path, heard: Callable[[BaseException], str]
) -> None:
    said = refused(heard, tmp_path, PRIVATE_KEY_CONTENT=TEXTS[form])
    assert said.startswith("KALSHI_PAPER_TRADING_PRIVATE_KEY_CONTENT is ")


@pytest.mark.parametrize(
    "form", [f for f in PASTED if not re.fullmatch(r"[A-Za-z0-9_-]{1,48}", PASTED[f])]
)
def test_a_key_in_the_place_of_its_id(
    form: str, tmp_path: Path, heard: Callable[[BaseException], str]
) -> None:
    said = refused(heard, tmp_path, API_KEY_ID=PASTED[form], PRIVATE_KEY_CONTENT=PEM)
    assert said.startswith("KALSHI_PAPER_TRADING_API_KEY_ID (not shown) is not the id")


@pytest.mark.parametrize("form", TEXTS)
def test_a_file_that_holds_no_key(
    form: str, tmp_path: Path, heard: Callable[[BaseException], str]
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(TEXTS[form].encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    said = refused(heard, tmp_path, PRIVATE_KEY_PATH=str(path))
    assert said.startswith(f"KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH={path} is ")
    assert_nothing_of_it(said, *secrets_of(TEXTS[form]))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("folder", "is not a file"),
        ("pipe", "is not a file"),
        ("socket", "cannot be read"),
        ("device", "is not a file"),
        ("huge", "too many for a key; allowed: 65536"),
        ("binary", "is not an unencrypted private key"),
        ("empty", "is not an unencrypted private key"),
        ("loop", "cannot be read: Too many levels"),
    ],
)
def test_a_path_that_is_no_file_of_a_key(
    kind: str, what: str, tmp_path: Path, heard: Callable[[BaseException], str]
) -> None:
    """Nothing is waited for: a pipe without a writer would never end."""
    path = tmp_path / "key.pem"
    match kind:
        case "folder":
            path.mkdir(mode=0o700)
        case "pipe":
            os.mkfifo(path, 0o600)
        case "socket":
            with socket.socket(socket.AF_UNIX) as holder:
                holder.bind(str(path))
        case "device":
            path = Path("/dev/null")
        case "loop":
            path.symlink_to(path)
        case _:
            data = {"huge": b"x" * 70_000, "binary": bytes(range(256)), "empty": b""}[kind]
            path.write_bytes(data)
            path.chmod(0o600)
    assert what in refused(heard, tmp_path, PRIVATE_KEY_PATH=str(path))


# URLs of the exchange

URLS = [
    f"https://user:{SECRET}@external-api.demo.kalshi.co/trade-api/v2",
    f"https://{SECRET}@external-api.demo.kalshi.co/trade-api/v2",
    f"https://external-api.demo.kalshi.co/trade-api/v2?token={SECRET}",
    f"https://external-api.demo.kalshi.co/trade-api/v2#{SECRET}",
    f"https://user:{cut('/')}@external-api.demo.kalshi.co/",
    f"https://user:{cut('#')}@external-api.demo.kalshi.co/",
    f"https://user:{cut('[')}@external-api.demo.kalshi.co/",
    f"https://user:{SECRET}@[::1/",
    f"https://user:{SECRET}/trade-api/v2",
    f"user:{SECRET}@external-api.demo.kalshi.co",
    f"https://user:{cut(chr(0xFF20))}@external-api.demo.kalshi.co/",
    f"https://external-api.demo.kalshi.co/ {SECRET}",
    f"https://external-api.demo.kalshi.co:{SECRET}/",
]


@pytest.mark.parametrize("name", ["API_URL", "WS_URL"])
@pytest.mark.parametrize("url", URLS)
def test_a_url_of_the_exchange_with_a_secret(
    name: str, url: str, heard: Callable[[BaseException], str]
) -> None:
    variable = f"KALSHI_PAPER_TRADING_{name}"
    settings = load_settings({"KALSHI_TRADING_ENVIRONMENT": "demo", variable: url})
    for purpose in Purpose:
        with pytest.raises(
            ConfigError, match=rf"^{variable} \(not shown\) is not a plain"
        ) as error:
            target_of(settings, purpose)
        assert_nothing_of_it(heard(error.value), *PARTS)


# Through real programs


@pytest.mark.parametrize(
    "form", ["in the query", "keywords", "with #", "with @", "sslpassword", "scheme of another"]
)
def test_the_check_of_a_stack_shows_nothing_of_a_database_url(form: str, tmp_path: Path) -> None:
    """`line_of_program` sees all of stdout and stderr, and no more than one line is said."""
    done = said_by("processes.check", tmp_path, DATABASE_URL=DATABASE_URLS[form])
    assert done.startswith("stack: DATABASE_URL=")
    assert_nothing_of_it(done, *PARTS)


@pytest.mark.parametrize("program", ["recorder.sessions", "adapters.postgres.migrate"])
def test_other_programs_show_nothing_of_it_either(program: str, tmp_path: Path) -> None:
    arguments = ["list"] if program.endswith("sessions") else []
    url = DATABASE_URLS["with /"]
    done = said_by(f"processes.{program}", tmp_path, *arguments, DATABASE_URL=url)
    assert "DATABASE_URL=" in done
    assert_nothing_of_it(done, *PARTS)


@pytest.mark.parametrize("program", ["execution", "collector"])
def test_a_program_shows_nothing_of_a_key_in_the_place_of_a_path(
    program: str, tmp_path: Path
) -> None:
    demo = {
        "KALSHI_TRADING_ENVIRONMENT": "demo",
        "KALSHI_PAPER_TRADING_API_KEY_ID": "id",
        "KALSHI_PAPER_TRADING_PRIVATE_KEY_PATH": RSA_PEM.replace("\n", "\\n"),
    }
    line = line_of_program(program, tmp_path, **demo)
    assert "PRIVATE_KEY_PATH holds a key, not the path of a file" in line
    assert_nothing_of_it(line, *secrets_of(RSA_PEM))


def said_by(module: str, data_dir: Path, *arguments: str, **environ: str) -> str:
    """The one line of a program that refuses."""
    foreign = ("RL_", "KALSHI_", "ORDERBOOK_", "DATABASE_URL")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**inherited, "RL_DATA_DIR": str(data_dir), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stdout
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return done.stdout
