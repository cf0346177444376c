"""What a cluster is like: its version, its delays and its bounds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.kubernetes.emulator.objects import Object


class Failure(enum.Enum):
    """What goes wrong with every container of an image."""

    PULL = "pull"
    CRASH = "crash"
    OOM = "oom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container of this image does."""

    handler: Path | None = None
    """Folder of a Python handler, run by the product's watchdog."""
    command: tuple[str, ...] = ()
    """A program instead of the watchdog; it has to listen at ``$HOST:$PORT``."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The image's own environment; the container's goes on top."""
    process: bool = True
    """False: pods of it are objects only."""
    ready: bool = True
    """Whether a pod without a process becomes ready."""
    pull_s: float = 0.0
    start_s: float = 0.0
    """From container start to the start of the program."""
    stop_s: float = 0.0
    """How long a pod without a process takes to end."""
    failure: Failure | None = None
    cpu_millis: float | Callable[[Object], float] = 0.0
    """What a pod uses, as the HPA controller is told."""


@dataclass(slots=True, kw_only=True)
class EmulatorSettings:
    """Times in seconds. Defaults are quick where a real cluster's delay would only slow tests down, and real where
    products lean on them: probe periods, restart back-off."""

    version: str = "1.36"
    """Of the published schemas and of /version. Newest minor of ``kubernetes-validate`` is the upper bound."""
    host: str = "127.0.0.1"
    port: int = 0
    namespaces: tuple[str, ...] = ("openfaas", "openfaas-fn")
    """Beside default, kube-system, kube-public and kube-node-lease."""
    default_image: Image | None = None
    """What an image that ``images`` does not know does; None: its pull fails."""

    schedule_s: float = 0.0
    """From a pod's creation to its node."""
    start_s: float = 0.0
    """From the node to the container's start, beside what the image adds."""
    endpoints_s: float = 0.0
    """From a pod's change to its EndpointSlice."""
    restart_first_s: float = 10.0
    restart_most_s: float = 300.0
    restart_reset_s: float = 600.0
    """A container that ran this long is restarted without delay again."""
    pull_retry_first_s: float = 10.0
    hpa_period_s: float = 15.0
    service_addresses: bool = False
    """Whether connections to a service's cluster address reach its pods; needs the pod network."""

    watch_buffer: int = 1000
    """Events a watcher may lag behind; one more closes its connection."""
    watch_send_bytes: int | None = None
    """Socket buffer of a connection, to make a slow watcher fall behind sooner; None: the kernel's."""
    watch_timeout_s: float = 1800.0
    """Of watches that name none."""
    bookmark_s: float = 60.0
    history: int = 50_000
    """Changes that are kept for watches; older versions are 410."""
    event_ttl_s: float = 3600.0
    log_lines: int = 10_000
    """Kept for each container."""
