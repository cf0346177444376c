"""Credentials for registries, as Docker writes them into a file: its configuration, or a secret of a function's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from springtide.runtime import bounded_json

DOCKER_HUB = "docker.io"
HUB_ADDRESS = "https://index.docker.io/v1/"
HUB_NAMES = {HUB_ADDRESS, "index.docker.io", "registry-1.docker.io", DOCKER_HUB}


@dataclass(frozen=True, slots=True)
class Login:
    registry: str
    user: str
    password: str
    token: str = ""
    """In the place of a user and a password."""

    def __repr__(self) -> str:
        return f"<Login {self.user or 'by token'!r} at {self.registry}>"

    @property
    def header(self) -> str:
        """As ``X-Registry-Auth`` wants it."""
        who = {"identitytoken": self.token} if self.token else {"username": self.user, "password": self.password}
        value = {**who, "serveraddress": self.registry}
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def logins_of(text: bytes) -> list[Login]:
    """Those of a configuration of Docker's; none for anything else, which may be any secret.

    What a credential helper keeps is not in it (``credential_helpers``).
    """
    value = parsed(text)
    auths = value.get("auths") if isinstance(value, dict) else None
    if not isinstance(auths, dict):
        return []
    found = [_login(str(registry), given) for registry, given in auths.items() if isinstance(given, dict)]
    return [login for login in found if login is not None]


def is_login(text: bytes) -> bool:
    """Whether a secret is of a registry: its functions' images are pulled with it, and they do not see it."""
    value = parsed(text)
    return isinstance(value, dict) and isinstance(value.get("auths"), dict)


def login_for(image: str, logins: Iterable[Login]) -> Login | None:
    """The first of the image's registry."""
    registry = registry_of(image)
    return next((login for login in logins if login.registry == registry), None)


def registry_of(image: str) -> str:
    """By Docker's rule: a first part with a dot or a colon in it, or ``localhost``; else Docker Hub."""
    first, slash, _ = image.partition("/")
    host = slash and ("." in first or ":" in first or first == "localhost")
    return normal_registry(first) if host else DOCKER_HUB


def _login(registry: str, given: dict[str, Any]) -> Login | None:
    user, password = given.get("username"), given.get("password")
    if auth := given.get("auth"):
        try:
            user, _, password = base64.b64decode(str(auth), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    if token := given.get("identitytoken"):
        return Login(normal_registry(registry), "", "", token=str(token))
    return Login(normal_registry(registry), str(user), str(password)) if user and password else None


def normal_registry(registry: str) -> str:
    """Without what people write around it; the same for all names of Docker Hub."""
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if registry in HUB_NAMES or host in HUB_NAMES else host


def parsed(text: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return bounded_json.loads(text)
    except ValueError:
        return None
