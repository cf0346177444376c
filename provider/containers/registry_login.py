"""Credentials for registries, as Docker keeps them: in its configuration, or in a secret of a function's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.files import read_whole

DOCKER_HUB = "docker.io"
HUB_NAMES = {"https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io", DOCKER_HUB}
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Login:
    registry: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"<Login {self.user!r} at {self.registry}>"

    @property
    def header(self) -> str:
        """As ``X-Registry-Auth`` wants it."""
        value = {"username": self.user, "password": self.password, "serveraddress": self.registry}
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def logins_of(text: bytes) -> list[Login]:
    """Those of a configuration of Docker's; none for anything else, which may be any secret.

    What a credential helper keeps is not in it.
    """
    value = _json(text)
    auths = value.get("auths") if isinstance(value, dict) else None
    if not isinstance(auths, dict):
        return []
    found = [_login(str(registry), given) for registry, given in auths.items() if isinstance(given, dict)]
    return [login for login in found if login is not None]


def is_login(text: bytes) -> bool:
    """Whether a secret is of a registry: its functions' images are pulled with it, and they do not see it."""
    value = _json(text)
    return isinstance(value, dict) and isinstance(value.get("auths"), dict)


def logins_in(folder: Path) -> list[Login]:
    """Of the file in Docker's folder, if there is one."""
    try:
        return logins_of(read_whole(folder / CONFIG))
    except OSError:
        return []


def login_for(image: str, logins: Iterable[Login]) -> Login | None:
    """The first of the image's registry."""
    registry = registry_of(image)
    return next((login for login in logins if login.registry == registry), None)


def registry_of(image: str) -> str:
    """By Docker's rule: a first part with a dot or a colon in it, or ``localhost``; else Docker Hub."""
    first, slash, _ = image.partition("/")
    host = slash and ("." in first or ":" in first or first == "localhost")
    return _normal(first) if host else DOCKER_HUB


def _login(registry: str, given: dict[str, Any]) -> Login | None:
    user, password = given.get("username"), given.get("password")
    if auth := given.get("auth"):
        try:
            user, _, password = base64.b64decode(str(auth), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    return Login(_normal(registry), str(user), str(password)) if user and password else None


def _normal(registry: str) -> str:
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if registry in HUB_NAMES or host in HUB_NAMES else host


def _json(text: bytes) -> Any:
    try:
        return bounded_json.loads(text)
    except ValueError:
        return None
