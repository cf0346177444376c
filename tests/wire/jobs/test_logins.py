"""Each way in to a server of somebody's own: real ones, which ask for a password, a key or a token, or speak TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nkeys
import pytest

from springtide.runtime.errors import BadInput, Unavailable
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.settings import BrokerSettings
from tests.certificates import self_signed
from tests.nats_server import running


class Key:
    """An nkey pair: a user's, an account's or an operator's."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def says(self, about: Key, kind: str, **claims: object) -> str:
        """A signed token, as NATS writes them (JWT of ed25519-nkey)."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "jti": "1",
            "iat": 1,
            "iss": self.public,
            "name": kind,
            "sub": about.public,
            "nats": {"type": kind, "version": 2, **claims},
        }
        signed = ".".join(_word(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{_word(self._pair.sign(signed.encode()))}"


def _word(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def connected(settings: BrokerSettings) -> AsyncIterator[Connection]:
    connection = Connection(settings, name="test")
    try:
        yield connection
    finally:
        await connection.aclose()


async def lets_in(url: str, credentials: Path | None, ca: str = "") -> bool:
    """Raises Unavailable, or BadInput, where it does not."""
    path = str(credentials) if credentials else ""
    settings = BrokerSettings(nats_url=(url,), nats_credentials_path=path, nats_ca_path=ca)
    async with connected(settings) as connection:
        return (await connection.client()).is_connected


def password_in(folder: Path, password: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nats-user").write_text("me\n")
    (folder / "nats-password").write_text(f"{password}\n")
    return folder


async def test_password_lets_in_and_another_is_refused_with_the_servers_words(tmp_path: Path) -> None:
    with running(tmp_path / "s", also='authorization { user: me, password: "s3cret" }') as server:
        assert await lets_in(server.url, password_in(tmp_path / "right", "s3cret"))
        for wrong in (password_in(tmp_path / "wrong", "other"), None):
            with pytest.raises(Unavailable, match="Authorization Violation") as refused:
                await lets_in(server.url, wrong)
            assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["as it is", "with a line's end"])
async def test_seed_of_a_key_lets_in(tmp_path: Path, end: bytes) -> None:
    user, other = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    right, wrong = tmp_path / "right.nk", tmp_path / "wrong.nk"
    right.write_bytes(user.seed + end)
    wrong.write_bytes(other.seed + end)

    with running(tmp_path / "s", also=f"authorization {{ users: [ {{ nkey: {user.public} }} ] }}") as server:
        assert await lets_in(server.url, right)
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await lets_in(server.url, wrong)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hello\n", id="words"),
        pytest.param("\u00fc", id="letters that no seed has"),
        pytest.param("", id="nothing"),
        pytest.param("SUAAAAAA", id="too short"),
        pytest.param("-----BEGIN NATS USER JWT-----\ne30\n", id="creds without a seed"),
        pytest.param("-----BEGIN NATS USER JWT-----\ne30\n-----BEGIN USER NKEY SEED-----\n", id="creds that are cut"),
    ],
)
async def test_file_that_is_no_seed_is_told_by_its_name(tmp_path: Path, text: str) -> None:
    strange = tmp_path / "strange.nk"
    strange.write_text(text)

    with pytest.raises(BadInput, match=r"nats_credentials_path: .*strange\.nk: no seed of an nkey.*nats-password"):
        await lets_in("nats://127.0.0.1:1", strange)


async def test_creds_file_lets_in(tmp_path: Path) -> None:
    operator, account = Key(nkeys.PREFIX_BYTE_OPERATOR), Key(nkeys.PREFIX_BYTE_ACCOUNT)
    user = Key(nkeys.PREFIX_BYTE_USER)
    limits = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports"), -1)
    account_jwt = operator.says(account, "account", limits={**limits, "wildcards": True})
    user_jwt = account.says(user, "user", subs=-1, data=-1, payload=-1)
    creds = tmp_path / "app.creds"
    creds.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    trust = (
        f"operator: {operator.says(operator, 'operator')}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {account_jwt} }}\n"
    )

    with running(tmp_path / "s", also=trust, jetstream=False) as server:
        assert await lets_in(server.url, creds)
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await lets_in(server.url, None)


async def test_server_is_believed_by_the_authority_that_is_named(tmp_path: Path) -> None:
    shown, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    tls = f'tls {{ cert_file: "{shown.crt}", key_file: "{shown.key}" }}'

    with running(tmp_path / "s", also=tls) as server:
        url = server.url.replace("nats:", "tls:")
        assert await lets_in(url, None, ca=str(shown.crt))
        assert await lets_in(server.url, None, ca=str(shown.crt))
        for ca in (str(other.crt), ""):
            with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await lets_in(url, None, ca=ca)
        empty = tmp_path / "empty.crt"
        empty.touch()
        with pytest.raises(BadInput, match=r"nats_ca_path: .*empty\.crt: no certificates in it"):
            await lets_in(url, None, ca=str(empty))
        with pytest.raises(BadInput, match=r"nats_ca_path: .*none\.crt: No such file"):
            await lets_in(url, None, ca=str(tmp_path / "none.crt"))


async def test_password_is_not_told_to_a_server_that_does_not_encrypt(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id": "x", "auth_required": true, "max_payload": 1048576}\r\n')
        heard.append(await reader.read(4096))
        writer.close()

    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "nats-user").write_text("somebody")
    (secrets / "nats-password").write_text("something")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Unavailable, match="it does not speak TLS there"):
            await lets_in(url, secrets)
    assert heard
    assert set(heard) == {b""}


WITHOUT_NKEYS = """
import asyncio, sys
from springtide.runtime.errors import BadInput
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.settings import BrokerSettings
sys.modules["nkeys"] = None
settings = BrokerSettings(nats_url=("nats://127.0.0.1:1",), nats_credentials_path=sys.argv[1])
try:
    asyncio.run(Connection(settings, name="test").client())
except BadInput as error:
    print(error)
"""


def test_key_without_what_signs_is_told_with_the_remedy(tmp_path: Path) -> None:
    seed = tmp_path / "app.nk"
    seed.write_bytes(Key(nkeys.PREFIX_BYTE_USER).seed)

    command = [sys.executable, "-c", WITHOUT_NKEYS, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "pip install 'springtide[nkeys]'" in done.stdout, done.stderr
