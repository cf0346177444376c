"""How the broker of asynchronous calls is reached: declared once, for every part that talks to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.runtime.settings import integer, setting

CREDENTIALS_PREFIX = "nats"
"""The files are ``nats-user`` and ``nats-password``."""

DEFAULT_PORT = 4222
SCHEMES = ("nats", "tls")
MAX_SERVERS = 16
REPLICAS = (1, 3, 5)
JWT_MARK = b"-----BEGIN NATS USER JWT-----"

HOST_NAMES, PORT_NAMES = ("faas_nats_address", "nats_host"), ("faas_nats_port", "nats_port")
"""What OpenFaaS's gateway and its queue workers call them."""


def servers(text: str) -> tuple[str, ...]:
    """``nats://host:port``, several with commas between. Raises ValueError, without what a password would be in."""
    given = [word.strip() for word in text.split(",") if word.strip()]
    if len(given) > MAX_SERVERS:
        raise ValueError(
            f"{len(given)} servers are more than {MAX_SERVERS}; name some of the cluster, they tell the rest"
        )
    return tuple(map(_server, given))


def _server(text: str) -> str:
    shape = "write nats://host:port or tls://host:port"
    try:
        url = urlsplit(text if "://" in text else f"nats://{text}")
        port = url.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"an address of a server cannot be read; {shape}") from None
    if "@" in url.netloc:
        raise ValueError("an address of a server holds a user or a password; put them into nats_credentials_path")
    if url.scheme not in SCHEMES or not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(f"{text!r} is no address of a server; {shape}")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}:{port}"


def replicas(text: str) -> int:
    """1, 3 or 5. Raises ValueError."""
    number = integer(text)
    if number not in REPLICAS:
        raise ValueError(f"{number} is none of 1, 3 and 5: a majority of the copies has to agree")
    return number


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    """A ``.creds`` file: a user's JWT and the seed that signs for it."""

    path: Path


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A file with an nkey's seed."""

    path: Path


Login = Credentials | CredentialsFile | SeedFile


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    nats_url: tuple[str, ...] = setting(
        (),
        env="nats_url",
        kind=servers,
        help="NATS server that keeps asynchronous calls, as nats://host:port or tls://host:port; several of a cluster "
        "separated by commas; empty: none, and /async-function/ is answered with 501",
    )
    nats_credentials_path: str = setting(
        "",
        env="nats_credentials_path",
        help="folder with nats-user and nats-password for it, or a .creds file, or a file with an nkey's seed; empty: "
        "none needed",
    )
    nats_ca_path: str = setting(
        "",
        env="nats_ca_path",
        help="file with the certificates that the server's is checked by; empty: those this machine trusts",
    )
    queue_replicas: int = setting(
        1,
        env="queue_replicas",
        kind=replicas,
        help="servers of a cluster that each keep every queued call: 1, 3 or 5; an accepted call outlives the loss of "
        "less than half of them",
    )

    def login(self) -> Login | None:
        """None where none is needed; raises BadInput naming the file that cannot be read."""
        if not self.nats_credentials_path:
            return None
        path = Path(self.nats_credentials_path)
        if path.is_dir():
            return Credentials.from_folder(path, prefix=CREDENTIALS_PREFIX)
        try:
            content = read_whole(path)
        except OSError as error:
            raise BadInput(f"nats_credentials_path: {path}: {error.strerror}") from error
        return CredentialsFile(path) if JWT_MARK in content else SeedFile(path)


def with_names_of_openfaas(environ: Mapping[str, str]) -> Mapping[str, str]:
    """``environ`` with ``nats_url`` of the host and port that OpenFaaS's parts are given, unless it has one."""
    host = next((environ[name] for name in HOST_NAMES if environ.get(name)), "")
    if not host or environ.get("nats_url"):
        return environ
    port = next((environ[name] for name in PORT_NAMES if environ.get(name)), str(DEFAULT_PORT))
    return {**environ, "nats_url": f"nats://{host}:{port}"}
