"""What the client is given to be let in, and to know whom it talks to. What cannot do is told by its setting's name."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.wire.jobs.settings import BrokerSettings, CredentialsFile, SeedFile


def options(settings: BrokerSettings) -> dict[str, Any]:
    """For the client's ``connect``. Raises BadInput."""
    login = settings.login()
    given: dict[str, Any] = {}
    if isinstance(login, Credentials):
        given = {"user": login.user, "password": login.password}
    elif isinstance(login, CredentialsFile):
        _checked_seed(_seed_in(login.path), login.path)
        given = {"user_credentials": str(login.path)}
    elif isinstance(login, SeedFile):
        seed = _read(login.path).strip()
        _checked_seed(seed, login.path)
        given = {"nkeys_seed_str": seed.decode()}
    if settings.nats_ca_path or any(url.startswith("tls:") for url in settings.nats_url):
        given["tls"] = _trust(settings.nats_ca_path)
    return given


def _seed_in(creds: Path) -> bytes:
    """The line after that which announces it."""
    _, _, after = _read(creds).partition(b"-BEGIN USER NKEY SEED-")
    lines = after.splitlines()[1:2]
    return lines[0].strip() if lines else b""


def _checked_seed(seed: bytes, path: Path) -> None:
    try:
        import nkeys  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise BadInput(
            f"nats_credentials_path: {path}: a login by key needs pip install 'springtide[nkeys]'"
        ) from error
    try:
        nkeys.from_seed(bytearray(seed)).wipe()
    except (nkeys.NkeysError, ValueError, IndexError):
        raise BadInput(
            f"nats_credentials_path: {path}: no seed of an nkey in it; a user and a password are a folder "
            "with files nats-user and nats-password"
        ) from None


def _read(path: Path) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        raise BadInput(f"nats_credentials_path: {path}: {error.strerror}") from error


def _trust(ca_path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_path or None)
    except ssl.SSLError as error:
        raise BadInput(f"nats_ca_path: {ca_path}: no certificates in it ({error.reason})") from error
    except OSError as error:
        raise BadInput(f"nats_ca_path: {ca_path}: {error.strerror}") from error
