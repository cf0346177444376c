"""What the provider and its host say to each other over a Unix socket: one JSON object a line, by type.

The provider sends commands, the host events. Both sides are ours and of one version: ``VERSION`` rises with any
change here, and a host of another version is stopped and replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from springtide.runtime.errors import Unavailable
from springtide.watchdog.start import Walls

VERSION = 6
SOCKET, LOCK = "host.sock", "host.lock"
IDENTITY_VARIABLE = "SPRINGTIDE_HOST"
"""In the environment of the host and all below it, so that what a killed host left behind can be found."""
OUT_OF_MEMORY = "ran out of memory"
"""The reason of an exit for which the memory limit was the cause."""
ADOPTED_VARIABLES = ("max_inflight",)
"""What a provider that takes over a running replica has to know of its environment."""
TOO_MANY_PROCESSES = "had more processes and threads than it may have"
MAX_LINE_BYTES = 4 << 20
MAX_PATH_BYTES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that the host and the replica need to know to run one replica."""

    instance: str
    function: str
    """``name.namespace``"""
    uid: str
    """Of this deployment of the function: the same name deployed anew has another."""
    generation: int
    env: Mapping[str, str]
    folder: str
    """Working directory."""
    log_folder: str
    log_limit_bytes: int
    python: str
    """The interpreter of its environment."""
    handler: str | None = None
    """The folder of a Python handler to run in the replica itself."""
    lang: str = ""
    """The template by whose convention it is called."""
    work_folder: str = ""
    """Where a handler's replica makes its own working directory; empty: it runs in ``folder``."""
    secrets_folder: str
    """Holds exactly the function's secrets."""
    has_secrets: bool = False
    stage_folder: str
    """An empty folder, the same for all, where a replica that gets its own view of the file system builds it."""
    read_only: bool = False
    memory_bytes: int | None = None
    cpu_millis: int | None = None
    processes: int | None = None
    """And threads; at once."""
    linger_s: float = 0.25
    """After SIGTERM calls are still taken for this long: a gateway may not have heard yet."""
    grace_s: float = 60.0

    @property
    def limited(self) -> bool:
        return any(limit is not None for limit in (self.memory_bytes, self.cpu_millis, self.processes))

    sandbox: bool = False
    """Within all the walls that this machine allows."""
    shown: tuple[tuple[str, str], ...] = ()
    """What it finds there beside the system, read-only: where each is, and at which path it is looked for."""
    scratch_bytes: int = 0
    """Most that it may write there, memory that ends with it."""

    @property
    def wants_view(self) -> bool:
        return self.has_secrets or self.read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One replica as the host has it."""

    launch: Launch
    pid: int
    port: int
    ready: bool
    stopping: bool


@dataclass(frozen=True, slots=True)
class Spawn:
    launch: Launch


@dataclass(frozen=True, slots=True)
class Stop:
    """Drain, then end: SIGTERM now, SIGKILL to the whole group after the grace."""

    instance: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End now; ``why`` becomes the reason of its exit."""

    instance: str
    why: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line of ours in a function's log."""

    log_folder: str
    log_limit_bytes: int
    instance: str
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by Pong: the host lives."""


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop every replica, then the host itself."""

    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The host's first line."""

    version: int
    pid: int
    identity: str
    limits_memory: bool
    """By cgroup v2; without, the provider watches what replicas use."""
    limits_cpu: bool
    limits_processes: bool
    sandbox_problem: str
    """Why replicas cannot have a view of the file system of their own; empty when they can."""
    walls: Walls = field(default_factory=Walls)
    """Around replicas whose functions ask for them."""
    missing_walls: Mapping[str, str] = field(default_factory=dict)
    """Those there cannot be here, and why."""
    running: tuple[Running, ...] = ()


@dataclass(frozen=True, slots=True)
class Spawned:
    """``waited_s`` is how long it waited for the fork server of its environment."""

    instance: str
    pid: int
    port: int
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The replica answers."""

    instance: str


@dataclass(frozen=True, slots=True)
class Exited:
    """``reason`` is a phrase for people, such as ``exited with status 1``; ``last_line`` the last it logged.

    ``cpu_s`` is the processor time it used in its whole life, with what it started and collected.
    """

    instance: str
    reason: str
    last_line: str = ""
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerStarted:
    """A fork server came up; those that waited for it start now."""

    python: str
    seconds: float


Message = ServerStarted | Spawn | Stop | Kill | Note | Ping | Pong | Shutdown | Hello | Spawned | Ready | Exited
_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (ServerStarted, Spawn, Stop, Kill, Note, Ping, Pong, Shutdown, Hello, Spawned, Ready, Exited)
}


def encode(message: Message) -> bytes:
    """One line, with its newline."""
    value = {"type": type(message).__name__, **dataclasses.asdict(message)}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Raises Unavailable for anything that is not a message of this version."""
    try:
        value = json.loads(line)
        kind = _TYPES[value.pop("type")]
        if kind is Spawn:
            value["launch"] = _launch(value["launch"])
        if kind is Hello:
            value["running"] = tuple(_running(item) for item in value["running"])
            value["walls"] = Walls(**value["walls"])
        message: Message = kind(**value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"not a message between provider and host: {line[:200]!r}") from error
    return message


def _running(value: dict[str, Any]) -> Running:
    return Running(**{**value, "launch": _launch(value["launch"])})


def _launch(value: dict[str, Any]) -> Launch:
    return Launch(**{**value, "shown": tuple((source, place) for source, place in value["shown"])})


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for ``path`` that is short enough, valid inside the block."""
    direct = str(path)
    if len(os.fsencode(direct)) <= MAX_PATH_BYTES:
        yield direct
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen_at(path: Path) -> socket.socket:
    """Listen at ``path``, in place of whatever was there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_address(path) as bound:
        listener.bind(bound)
    path.chmod(0o600)
    listener.listen()
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener
