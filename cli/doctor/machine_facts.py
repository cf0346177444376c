"""What the machine's checks go by: its kernel, its limits, its programs, its disk, and the suite's files on it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from springtide.cli import tools
from springtide.cli.addresses import LOOPBACK, WishedPorts
from springtide.cli.doctor.broker_facts import Disk
from springtide.cli.state import StateFolder
from springtide.cli.tools import Missing, Tools
from springtide.provider.containers.engine.socket_path import engine_socket
from springtide.provider.process import wall_probe
from springtide.provider.process.host.cgroup import Cgroups
from springtide.provider.process.wall_probe import Possible
from springtide.runtime.errors import SpringtideError

VERSION_DEADLINE_S = 10.0
CONNECT_DEADLINE_S = 2.0
SYSCTLS = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
)
_UNSYNCHRONISED = 0x40
_VERSION = re.compile(r"version (\d+\.\d+\.\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    kernel: str
    root: bool
    walls: Possible
    wanted_walls: bool
    """The suite's minimum is all of them."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    cgroup_controllers: tuple[str, ...] = ()
    """Of cgroup v2, those that limit replicas here."""
    engine: str = ""
    """The socket of a container engine that answers."""
    programs: Mapping[str, str] | Missing = field(default_factory=dict)
    """Of Prometheus and Alertmanager, their versions; empty where one does not say."""
    taken_ports: Mapping[str, int] = field(default_factory=dict)
    """By the flag of `springtide up`; none while a suite runs here."""
    disk: Disk | None = None
    clock: float = 0.0
    clock_synchronised: bool | None = None
    """None: nobody could be asked."""
    newest_file: float = 0.0
    """When the newest file of the suite was written, by the clock of then."""
    open_files: int = 0
    """The hard limit, to which parts raise their own."""
    processes: int | None = None
    """Of this user; None: no limit, or root."""
    loose_files: Mapping[str, int] = field(default_factory=dict)
    """Credentials that others may read, with their modes."""
    foreign_files: tuple[str, ...] = ()
    """Credentials that somebody else owns."""


async def of_machine(state: StateFolder, environ: Mapping[str, str], tools_dir: Path) -> MachineFacts:
    loose, foreign = _credentials(state.secrets)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MachineFacts(
        kernel=platform.release(),
        root=os.geteuid() == 0,
        walls=wall_probe.probe_anywhere(),
        wanted_walls=environ.get("function_isolation_minimum") == "sandbox",
        sysctls={name: told for name in SYSCTLS if (told := _text(Path("/proc/sys", name)))},
        cgroup_controllers=_controllers(),
        engine=_engine(environ),
        programs=_programs(tools.find(tools_dir, environ.get("PATH", ""))),
        taken_ports={} if _runs(state) else _taken(WishedPorts()),
        disk=_disk(state.root),
        clock=time.time(),
        clock_synchronised=_synchronised(),
        newest_file=_newest(state),
        open_files=sys.maxsize if hard == resource.RLIM_INFINITY else hard,
        processes=_processes(),
        loose_files=loose,
        foreign_files=foreign,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _controllers() -> tuple[str, ...]:
    groups = Cgroups.find(f"doctor{os.getpid()}-{secrets.token_hex(3)}")
    if groups is None:
        return ()
    try:
        limits = {"memory": True, "cpu": groups.limits_cpu, "pids": groups.limits_processes}
        return tuple(name for name, there in limits.items() if there)
    finally:
        groups.close()


def _engine(environ: Mapping[str, str]) -> str:
    """Of the socket that functions would run at; empty where none answers there."""
    try:
        path = str(engine_socket(environ))
    except SpringtideError:
        return ""
    return path if _answers(path) else ""


def _answers(path: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as own:
            own.settimeout(CONNECT_DEADLINE_S)
            own.connect(path)
    except OSError:
        return False
    return True


def _programs(found: Tools | Missing) -> Mapping[str, str] | Missing:
    if isinstance(found, Missing):
        return found
    return {"Prometheus": _version(found.prometheus), "Alertmanager": _version(found.alertmanager)}


def _version(program: Path) -> str:
    try:
        told = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(told.stdout + told.stderr)
    return match[1] if match else ""


def _runs(state: StateFolder) -> bool:
    try:
        return state.running() is not None
    except SpringtideError:
        return True


def _taken(wished: WishedPorts) -> dict[str, int]:
    """Those that `springtide up` takes as they are; for all others it finds free ones."""
    taken = {}
    for flag, port in (("--gateway-port", wished.gateway), ("--metrics-port", wished.metrics)):
        try:
            with socket.socket() as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                own.bind((LOOPBACK, port))
        except OSError:
            taken[flag] = port
    return taken


def _disk(folder: Path) -> Disk | None:
    """Of the file system it is on, or will be."""
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), None)
    try:
        disk = shutil.disk_usage(there) if there is not None else None
    except OSError:
        return None
    return Disk(folder, disk.total, disk.free) if disk is not None and disk.total else None


def _synchronised() -> bool | None:
    """What the kernel knows of its clock: somebody corrects it."""
    if sys.platform != "linux":
        return None
    clock = ctypes.create_string_buffer(512)  # struct timex, of whatever size; its modes are 0: only asked
    if ctypes.CDLL(None, use_errno=True).adjtimex(clock) < 0:
        return None
    status_at = 5 * ctypes.sizeof(ctypes.c_long)  # modes (padded), offset, freq, maxerror, esterror
    return not int.from_bytes(clock.raw[status_at : status_at + 4], sys.byteorder) & _UNSYNCHRONISED


def _newest(state: StateFolder) -> float:
    files = [state.run_file, state.alert_receiver_file, *state.log("any").parent.glob("*.log")]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)


def _processes() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return None if soft == resource.RLIM_INFINITY or os.geteuid() == 0 else soft


def _credentials(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    loose, foreign = {}, []
    try:
        entries = [folder, *folder.iterdir()]
    except OSError:
        return {}, ()
    for entry in entries:
        status = entry.stat()
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            loose[str(entry)] = mode
        if status.st_uid != os.geteuid():
            foreign.append(str(entry))
    return loose, tuple(foreign)
