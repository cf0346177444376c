"""A connection to Postgres, and its errors as ours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import AsyncConnection

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable, kind_and_reason_of
from springtide.triggers.source_settings import address, bracketed

Connection = AsyncConnection[tuple[Any, ...]]

CONNECT_S = 10
KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A server that is gone without a word is noticed; so is, by the server, one of ours, whose lock it then releases."""
DEADLINES = "-c statement_timeout=0 -c lock_timeout=0"
"""They are ours, whatever the user's are."""
FORMS = "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c bytea_output=hex -c extra_float_digits=1"
"""So that a change that is told again is told in the same words."""
SERVER_KEEPALIVES = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"

_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "authentication failed",
    "is not permitted to log in",
)
"""When it connects, the library has its words only."""
_NO_TLS = (
    "certificate verify failed",
    "does not match host name",
    "root certificate file",
    "does not support SSL",
)
"""What the settings ask for, and the server does not have."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    database: str

    def __str__(self) -> str:
        return f"postgresql://{bracketed(self.host)}:{self.port}/{self.database}"


def url(text: str) -> Address:
    """Raises ValueError, without what a password would be in."""
    parts = address(text, scheme="postgresql", secure="postgresql")
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or "/" in database or parts.query:
        raise ValueError(f"{text[:80]!r} is no address; write postgresql://host:port/database")
    return Address(parts.hostname, parts.port or 5432, database)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """``sslmode`` as libpq has it. Where no user is said it is the one that runs the connector, as with psql."""

    where: Address
    user: str
    password: str | None
    sslmode: str
    ca_path: str
    name: str
    """What the server shows of it."""


@contextlib.asynccontextmanager
async def connected(login: Login) -> AsyncIterator[Connection]:
    """Each statement a transaction of its own. Raises BadInput and Unavailable."""
    with translated(login.where):
        connection: Connection = await AsyncConnection.connect(
            host=login.where.host,
            port=login.where.port,
            dbname=login.where.database or None,
            user=login.user or None,
            password=login.password,
            sslmode=login.sslmode,
            sslrootcert=login.ca_path or None,
            application_name=login.name,
            client_encoding="UTF8",
            options=f"{FORMS} {DEADLINES} {SERVER_KEEPALIVES}",
            connect_timeout=CONNECT_S,
            autocommit=True,
            **KEEPALIVES,
        )
    try:
        yield connection
    finally:
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.close()


@contextlib.contextmanager
def translated(where: Address) -> Iterator[None]:
    """The library's errors as ours. BadInput where trying again is of no use as things are."""
    try:
        yield
    except SpringtideError:
        raise
    except psycopg.Error as error:
        told = " ".join(str(error).split())
        if any(words in told for words in _REFUSALS):
            raise BadInput(
                f"{where}: it refuses the credentials ({told}); see user, password_path and sslmode"
            ) from None
        if any(words in told for words in _NO_TLS):
            raise BadInput(f"{where}: {told}; see sslmode, ca_path and url") from None
        if "FATAL:" in told and "does not exist" in told:
            raise BadInput(f"{where}: {told}; see url and user") from None
        raise Unavailable(f"{where}: {type(error).__name__}: {told}") from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{where}: {kind_and_reason_of(error)}") from error
