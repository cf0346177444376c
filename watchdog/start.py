"""What a replica is told and given, as values that whoever starts it has, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Inherited:
    """Descriptors a replica gets. Everything else that whoever forked it has open is closed."""

    listener: int
    ready: int
    output: int


@dataclass(frozen=True)
class Walls:
    """What stands around a replica, of what this machine allows: each is put up on its own."""

    namespaces: bool = False
    """Its own root folder and its own processes: it sees nothing else."""
    user_namespace: bool = False
    """Those need one around them, for whoever is not root."""
    files_by_rules: bool = False
    """Without namespaces: it opens nothing but its own files, by Landlock."""
    ports: bool = False
    """The suite's own ports are closed to it, by Landlock."""
    calls: bool = False
    """System calls that no function needs are refused, by seccomp."""

    def __bool__(self) -> bool:
        return self.namespaces or self.files_by_rules or self.ports or self.calls


@dataclass(frozen=True)
class Walled:
    """What a fork server is started for."""

    walls: Walls = field(default_factory=Walls)
    stage: str = ""
    """An empty folder for building mounts in."""
    rules: int = -1
    """The descriptor of Landlock's rules of ports."""


@dataclass(frozen=True)
class Enclosure:
    """What a replica finds within its walls."""

    shown: tuple[tuple[str, str], ...]
    """Files and folders it may read: where each is on the machine, and where it is to be seen."""
    scratch: tuple[str, ...]
    """Folders it may write to; they are its own, begin empty and end with it."""
    scratch_bytes: int
    """Of all of them together."""
    work_folder: str
    """One of them, and the only one where there are no namespaces: it is on the machine's disk then."""
    hidden: tuple[str, ...]
    """The suite's own folders, wherever they lie."""
    secrets: str = ""
    """The folder that is to be seen where OpenFaaS functions look for their secrets, too."""
    processes: int | None = None
    """And threads; at once."""


@dataclass(frozen=True)
class Confinement:
    """What is kept from a replica, by means that this machine has."""

    cgroup: str = ""
    """The folder of a control group to join."""
    memory_bytes: int | None = None
    """Twice this much, and some headroom, is the most it may allocate: a last barrier."""
    limit_processes: bool = False
    """A last barrier there, too, for users other than root."""
    secrets: str = ""
    """The folder that is to be seen where OpenFaaS functions look for their secrets."""
    stage: str = ""
    """An empty folder for building mounts in."""
    read_only: bool = False
    open_files: int = 1024
    """The soft limit that programs expect; that of whoever forks is higher."""
    enclosure: Enclosure | None = None
    """Its replica is forked by a server that puts up walls."""


@dataclass(frozen=True)
class Start:
    """Everything that one replica is told."""

    instance: str
    env: Mapping[str, str]
    folder: str
    """Working directory."""
    linger_s: float
    grace_s: float
    handler: str | None = None
    lang: str = ""
    work_folder: str = ""
    """Where a handler's replica makes its own working directory; empty: it runs in ``folder``."""
    confinement: Confinement = field(default_factory=Confinement)
