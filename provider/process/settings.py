"""The process provider's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from springtide.provider.isolation import Isolation, isolation
from springtide.provider.process.default_bounds import HALF, memory_bound
from springtide.runtime.settings import duration, integer, setting, text, words
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

MAX_PORT = 65_535


def folders(given: str) -> tuple[str, ...]:
    """Raises ValueError."""
    if wrong := [path for path in words(given) if not path.startswith("/") or path == "/"]:
        raise ValueError(f"{wrong[0]!r}: write absolute paths, with commas or blanks between")
    return words(given)


def ports(given: str) -> tuple[int, ...]:
    """Raises ValueError."""
    if wrong := [one for one in words(given) if not one.isdecimal() or not 0 < int(one) <= MAX_PORT]:
        raise ValueError(f"{wrong[0]!r}: write port numbers, 1 to {MAX_PORT}, with commas or blanks between")
    return tuple(int(one) for one in words(given))


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Durations in seconds."""

    state_dir: Path
    """Functions, secrets and logs; one provider at a time. No environment variable: whoever wires the parts says."""
    host: str = setting("127.0.0.1", env="function_host", kind=text, help="address that replicas listen on")
    default_namespace: str = setting(
        DEFAULT_NAMESPACE, env="function_namespace", kind=text, help="namespace that is always there"
    )
    grace_s: float = setting(
        60.0,
        env="function_grace",
        kind=duration,
        low=0,
        help="most time that calls in flight get when their replica is stopped",
    )
    linger_s: float = setting(
        0.25,
        env="function_linger",
        kind=duration,
        low=0,
        high=10,
        help="time that a replica still takes calls after gateways were told not to send any",
    )
    start_timeout_s: float = setting(
        60.0, env="function_start_timeout", kind=duration, low=0.1, help="time a replica has to become ready"
    )
    health_interval_s: float = setting(
        5.0, env="function_health_interval", kind=duration, low=0.05, help="pause between health checks"
    )
    health_timeout_s: float = setting(
        5.0, env="function_health_timeout", kind=duration, low=0.05, help="time a replica has to answer a health check"
    )
    health_failures: int = setting(
        3, env="function_health_failures", kind=integer, low=1, help="failed checks in a row that replace a replica"
    )
    build_timeout_s: float = setting(
        600.0,
        env="build_timeout",
        kind=duration,
        low=1,
        high=3600,
        help="longest time that installing a function's requirements may take",
    )
    environment_bytes: int = setting(
        4 << 30, env="environment_size", kind=integer, low=1 << 20, high=1 << 40, help="bytes of one Python environment"
    )
    environment_builds: int = setting(
        2, env="environment_builds", kind=integer, low=1, high=64, help="Python environments built at once; more wait"
    )
    environment_idle_s: float = setting(
        600.0,
        env="environment_idle",
        kind=duration,
        low=1,
        high=7 * 86400,
        help="how long the fork server of a Python environment stays without replicas; the default one always does",
    )
    restart_first_s: float = setting(
        0.1, env="function_restart_first", kind=duration, low=0.001, help="pause before the first restart"
    )
    restart_most_s: float = setting(
        30.0, env="function_restart_most", kind=duration, low=0.001, help="longest pause before a restart"
    )
    stable_s: float = setting(
        10.0,
        env="function_stable",
        kind=duration,
        low=0,
        help="a replica that was ready for this long starts with the first pause again",
    )
    usage_interval_s: float = setting(
        2.0,
        env="function_usage_interval",
        kind=duration,
        low=0.1,
        help="pause between measurements of processor time and memory",
    )
    replica_memory: str = setting(
        HALF,
        env="function_memory",
        kind=memory_bound,
        help="memory of a replica whose function has no limits.memory: half the machine's, a quantity, or none",
    )
    replica_processes: int = setting(
        1_024,
        env="function_processes",
        kind=integer,
        low=0,
        high=1_000_000,
        help="processes and threads that a replica may have at once; 0 is no bound",
    )
    default_isolation: str = setting(
        Isolation.SANDBOX,
        env="function_isolation",
        kind=isolation,
        help="walls around functions whose label com.springtide.isolation does not say: sandbox, or none",
    )
    isolation_minimum: str = setting(
        Isolation.NONE,
        env="function_isolation_minimum",
        kind=isolation,
        help="walls that every function has to have: sandbox, or none; a machine without them starts none below",
    )
    scratch_bytes: int = setting(
        256 << 20,
        env="function_scratch",
        kind=integer,
        low=1 << 20,
        high=1 << 40,
        help="bytes that a walled replica may write to /tmp and its other folders, in memory, and its own",
    )
    visible: tuple[str, ...] = setting(
        (),
        env="function_visible",
        kind=folders,
        help="files and folders of the machine that walled functions may read beside the system's",
    )
    hidden: tuple[str, ...] = setting(
        (),
        env="function_hidden",
        kind=folders,
        help="folders that walled functions never see, also below a system's folder: those of the suite",
    )
    closed_ports: tuple[int, ...] = setting(
        (),
        env="function_closed_ports",
        kind=ports,
        help="TCP ports that walled functions cannot call, on any host: those of the suite",
    )
    log_limit_bytes: int = setting(
        4 << 20, env="function_log_limit", kind=integer, low=4096, help="bytes of log kept per function"
    )
    orphan_grace_s: float = setting(
        10.0,
        env="function_orphan_grace",
        kind=duration,
        low=0.1,
        help="time that functions run on after a crash of the provider, until the next one takes over",
    )
    host_ping_s: float = setting(
        2.0,
        env="function_host_ping",
        kind=duration,
        low=0.05,
        help="pause between questions whether the function host lives; after four without an answer another one starts",
    )
    path: str = setting("/usr/local/bin:/usr/bin:/bin", env="PATH", kind=text, help="where functions find programs")
    home: str = setting("/", env="HOME", kind=text, help="home folder of functions")
    lang: str = setting("C.UTF-8", env="LANG", kind=text, help="locale of functions")
    tz: str = setting("", env="TZ", kind=text, help="time zone of functions")
