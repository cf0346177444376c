"""What may be wrong with the machine that a local suite runs on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from springtide.cli.doctor.findings import MAX_NAMED, Check, Verdict, error, named, ok, warning
from springtide.cli.doctor.machine_facts import MachineFacts
from springtide.cli.tools import Missing
from springtide.provider.process.wall_probe import CALLS, FILES, PORTS, PROCESSES

GIBIBYTE, MEBIBYTE = 1024**3, 1024**2
MIN_DISK_BYTES, LITTLE_DISK_BYTES = 256 * MEBIBYTE, 2 * GIBIBYTE
MIN_OPEN_FILES, FEW_OPEN_FILES = 1024, 4096
MIN_PROCESSES, FEW_PROCESSES = 256, 1024
RELEASED_AT = 1_767_225_600.0
"""2026, when this was written: no right clock shows less."""
MAX_AHEAD_S = 60.0
"""Of files of the suite, before the clock."""
MIN_PROMETHEUS, MIN_ALERTMANAGER = (2, 40), (0, 24)


def files(facts: MachineFacts) -> Verdict:
    """Whether a function can be kept from other files than its own."""
    if FILES in facts.walls.missing:
        return _lacks(facts, FILES, _namespaces_remedy(facts))
    if not facts.walls.walls.namespaces:
        says = f"by Landlock alone: no bound to what functions write, and their /tmp is closed (Linux {facts.kernel})"
        return warning(says, _namespaces_remedy(facts))
    return ok("functions have a root folder of their own, by namespaces")


def processes(facts: MachineFacts) -> Verdict:
    if PROCESSES in facts.walls.missing:
        return _lacks(facts, PROCESSES, _namespaces_remedy(facts))
    own = "by namespaces" if facts.walls.walls.namespaces else "by Landlock"
    return ok(f"functions reach no process but their own, {own}")


def ports_closed(facts: MachineFacts) -> Verdict:
    remedy = "Linux 6.7 or newer with Landlock (CONFIG_SECURITY_LANDLOCK, and landlock in the boot parameter lsm=)"
    if PORTS in facts.walls.missing:
        return _lacks(facts, PORTS, remedy)
    return ok("functions cannot call the suite's ports, by Landlock")


def system_calls(facts: MachineFacts) -> Verdict:
    if CALLS in facts.walls.missing:
        return _lacks(facts, CALLS, "Linux with CONFIG_SECCOMP_FILTER, on x86-64 or ARM64")
    return ok("functions are refused system calls that they do not need, by seccomp")


def _lacks(facts: MachineFacts, wall: str, remedy: str) -> Verdict:
    why = facts.walls.missing[wall]
    if facts.wanted_walls:
        return error(f"no function is started: function_isolation_minimum=sandbox, and {why}", remedy)
    return warning(f"functions are not kept apart by it: {why}", remedy)


def _namespaces_remedy(facts: MachineFacts) -> str:
    if facts.root:
        return (
            "a container that may make namespaces: CAP_SYS_ADMIN, and a seccomp profile that lets it unshare and mount"
        )
    if facts.sysctls.get("user/max_user_namespaces") == "0":
        return "as root: sysctl -w user.max_user_namespaces=15000"
    if facts.sysctls.get("kernel/unprivileged_userns_clone") == "0":
        return "as root: sysctl -w kernel.unprivileged_userns_clone=1"
    if facts.sysctls.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with userns"
    return "a kernel, or a container, that lets a user make namespaces (CONFIG_USER_NS)"


def cgroups(facts: MachineFacts) -> Verdict:
    """Whether limits are the kernel's to keep."""
    lacks = [name for name in ("memory", "cpu", "pids") if name not in facts.cgroup_controllers]
    if lacks:
        return warning(
            f"no cgroup v2 for {', '.join(lacks)}: memory and processes are measured, and a short peak can pass; "
            "limits.cpu is not enforced",
            "systemd-run --user --scope -p Delegate=yes springtide up; on cgroup v1 or a hybrid boot with "
            "systemd.unified_cgroup_hierarchy=1",
        )
    return ok("memory, cpu and processes of replicas are limited by cgroup v2")


def engine(facts: MachineFacts) -> Verdict:
    """Containers are asked for, not the default: without an engine nothing is wrong."""
    return ok(
        f"a container engine answers at {facts.engine}" if facts.engine else "no container engine; none is needed"
    )


def monitoring(facts: MachineFacts) -> Verdict:
    if isinstance(facts.programs, Missing):
        says, _, remedy = facts.programs.why.rpartition("; ")
        return warning(f"no alert path and no idler: {says}", f"make tools, or: {remedy}")
    for name, wanted in (("Prometheus", MIN_PROMETHEUS), ("Alertmanager", MIN_ALERTMANAGER)):
        told = facts.programs.get(name, "")
        needed = ".".join(map(str, wanted))
        if not told:
            return error(f"{name} does not say its version", f"see what {name.lower()} --version prints; reinstall it")
        if tuple(map(int, told.split(".")[:2])) < wanted:
            return warning(f"{name} {told} is older than what is tried", f"{name} {needed} or newer")
    return ok(", ".join(f"{name} {told}" for name, told in facts.programs.items()))


def ports(facts: MachineFacts) -> Verdict:
    if facts.taken_ports:
        named = ", ".join(f"{port} ({flag})" for flag, port in facts.taken_ports.items())
        return error(
            f"taken by another program: {named}", "stop it, or `springtide up` with these flags and other ports"
        )
    return ok("the suite's ports are free, or its own")


def disk(facts: MachineFacts) -> Verdict | None:
    if facts.disk is None:
        return None
    free, says = facts.disk.free_bytes, f"{facts.disk.free_bytes / GIBIBYTE:.1f} GiB free at {facts.disk.folder}"
    remedy = "make room, or choose another --state-dir: on a full disk nothing is deployed, queued or logged"
    if free < MIN_DISK_BYTES:
        return error(says, remedy)
    return warning(says, remedy) if free < LITTLE_DISK_BYTES else ok(says)


def clock(facts: MachineFacts) -> Verdict:
    """Schedules, webhooks' proofs and Prometheus go by it."""
    remedy = "timedatectl set-ntp true, or another service that keeps the time"
    if facts.clock < RELEASED_AT:
        return error("it shows a time before this version was made", remedy)
    if facts.newest_file > facts.clock + MAX_AHEAD_S:
        behind = facts.newest_file - facts.clock
        return error(f"it is {behind:.0f} s before a file that the suite has written", remedy)
    if facts.clock_synchronised is False:
        return warning("nobody corrects it: it will be wrong one day", remedy)
    return ok("it is right, as far as this machine knows")


def open_files(facts: MachineFacts) -> Verdict:
    says = f"a process may have {facts.open_files} open"
    remedy = "ulimit -Hn 65536, LimitNOFILE= of the service, or /etc/security/limits.conf: each call takes two"
    if facts.open_files < MIN_OPEN_FILES:
        return error(says, remedy)
    return warning(says, remedy) if facts.open_files < FEW_OPEN_FILES else ok(says)


def user_processes(facts: MachineFacts) -> Verdict | None:
    if facts.processes is None:
        return None
    says = f"this user may have {facts.processes} processes and threads"
    remedy = "ulimit -u 8192, TasksMax= of the service, or /etc/security/limits.conf"
    if facts.processes < MIN_PROCESSES:
        return error(says, remedy)
    return warning(says, remedy) if facts.processes < FEW_PROCESSES else ok(says)


def credentials(facts: MachineFacts) -> Verdict:
    if facts.foreign_files:
        folder = Path(facts.foreign_files[0])
        return error(f"somebody else owns {named(facts.foreign_files)}", f"chown -R to who runs the suite: {folder}")
    if facts.loose_files:
        modes = [f"{path} ({mode:o})" for path, mode in facts.loose_files.items()]
        return error(f"others may read {named(modes)}", f"chmod go= {' '.join(list(facts.loose_files)[:MAX_NAMED])}")
    return ok("only their owner reads them")


CHECKS: Sequence[Check[MachineFacts]] = (
    *(files, processes, ports_closed, system_calls, cgroups, engine, monitoring),
    *(ports, disk, clock, open_files, user_processes, credentials),
)
