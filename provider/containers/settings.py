"""What only containers need to be told; the rest is as for processes, by the same names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from springtide.runtime.settings import duration, integer, setting, text

Choice = TypeVar("Choice", bound=StrEnum)


class PullPolicy(StrEnum):
    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"


class AtStop(StrEnum):
    """What becomes of containers when the provider stops."""

    STOP = "stop"
    """They end, and stay as they are for the next start."""
    KEEP = "keep"
    """They go on, and the next start takes them over."""
    REMOVE = "remove"


def pull_policy(given: str) -> PullPolicy:
    """A setting's text: ``IfNotPresent``, ``Always`` or ``Never``. Raises ValueError."""
    return _one_of(PullPolicy, given)


def at_stop(given: str) -> AtStop:
    """A setting's text: ``stop``, ``keep`` or ``remove``. Raises ValueError."""
    return _one_of(AtStop, given)


def user(given: str) -> str:
    """A setting's text: a number, two as ``12000:12000``, or nothing. Raises ValueError."""
    parts = given.split(":")
    if given and (len(parts) > 2 or not all(part.isascii() and part.isdecimal() for part in parts)):
        raise ValueError(f"{given[:40]!r} is no user; write 12000, 12000:12000, or nothing for the image's")
    return given


def _one_of(kind: type[Choice], given: str) -> Choice:
    for known in kind:
        if known.value.lower() == given.strip().lower():
            return known
    raise ValueError(f"{given[:40]!r} is unknown; write {', '.join(kind)}")


@dataclass(frozen=True, kw_only=True)
class ContainerSettings:
    engine: str = setting(
        "", env="DOCKER_HOST", kind=text, help="the container engine's socket, as unix:///path; empty: looked for"
    )
    image_pull_policy: str = setting(
        str(PullPolicy.IF_NOT_PRESENT),
        env="image_pull_policy",
        kind=pull_policy,
        help="when images are pulled: IfNotPresent, Always or Never",
    )
    user: str = setting(
        "", env="container_user", kind=user, help="user, or user:group, of containers, as numbers; empty: the image's"
    )
    at_stop: str = setting(
        str(AtStop.STOP),
        env="containers_at_stop",
        kind=at_stop,
        help="what becomes of containers when the provider stops: stop, keep (they go on) or remove",
    )
    tmp_bytes: int = setting(
        64 << 20,
        env="container_tmp_size",
        kind=integer,
        low=1 << 20,
        high=1 << 40,
        help="bytes of /tmp, in memory, of containers whose root file system is read-only",
    )
    image_keep_s: float = setting(
        7 * 86400.0,
        env="image_keep",
        kind=duration,
        low=0,
        high=365 * 86400,
        help="how long images stay that the suite pulled or made, once no function and no version to go back to names "
        "them; 0: for ever",
    )
    image_keep_bytes: int = setting(
        10 << 30,
        env="image_keep_size",
        kind=integer,
        low=0,
        high=1 << 44,
        help="bytes of such images beyond which the oldest go sooner; 0 is no bound",
    )
    docker_config: str = setting(
        "", env="DOCKER_CONFIG", kind=text, help="folder of Docker's config.json with logins; empty: ~/.docker"
    )
