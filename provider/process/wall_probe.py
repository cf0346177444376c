"""Which walls this machine lets be put up around a replica: found out by putting them up, in a process that ends."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from springtide.watchdog import landlock, linux, seccomp, walls
from springtide.watchdog.start import Enclosure, Walls

FILES, PROCESSES, PORTS, CALLS = "files", "processes", "ports", "system calls"
MAX_ANSWER_BYTES = 4_000
_NO_LANDLOCK = "this kernel has no Landlock (Linux 5.13, and landlock among the boot parameter lsm=)"


@dataclass(frozen=True, slots=True)
class Possible:
    walls: Walls
    missing: Mapping[str, str] = field(default_factory=dict)
    """By wall, why there is none."""

    def __str__(self) -> str:
        """One line for people: what is in force around functions, and what is not."""
        up, around = [], self.walls
        if around.namespaces:
            up.append("own files and processes (namespaces)")
        elif around.files_by_rules:
            up.append("own files (Landlock)")
        up += ["the suite's ports closed (Landlock)"] if around.ports else []
        up += ["system calls filtered (seccomp)"] if around.calls else []
        lacks = "; ".join(f"{wall}: {why}" for wall, why in self.missing.items())
        if not up:
            return f"no walls ({lacks}): deploy only what you trust"
        return f"walled: {', '.join(up)}" + (f". Missing: {lacks}" if lacks else "")


def probe(stage: str) -> Possible:
    """``stage`` is an empty folder for building mounts in."""
    own, user = "", False
    for user in (False, True) if os.geteuid() == 0 else (True,):
        own = _problem(lambda user=user: _try_namespaces(stage, Walls(namespaces=True, user_namespace=user)))  # type: ignore[misc]
        if not own:
            break
    level = landlock.abi()
    calls = _problem(_try_calls)
    found = Walls(
        namespaces=not own,
        user_namespace=not own and user,
        files_by_rules=bool(own) and level >= landlock.MIN_ABI,
        ports=level >= landlock.MIN_PORTS_ABI,
        calls=not calls,
    )
    return Possible(found, dict(_missing(own, level, calls)))


def probe_anywhere() -> Possible:
    """The same, for whoever has no state folder at hand."""
    with tempfile.TemporaryDirectory(prefix="springtide-stage-") as stage:
        return probe(stage)


def _missing(own: str, level: int, calls: str) -> list[tuple[str, str]]:
    lacks = []
    if own and level < landlock.MIN_ABI:
        lacks.append((FILES, f"no namespaces ({own}), and {_NO_LANDLOCK}"))
    if own and level < landlock.MIN_SIGNALS_ABI:
        lacks.append((PROCESSES, f"no namespaces ({own}), and Landlock keeps signals in since Linux 6.12 only"))
    if level < landlock.MIN_PORTS_ABI:
        lacks.append((PORTS, "Landlock has rules of ports since Linux 6.7 only" if level else _NO_LANDLOCK))
    if calls:
        lacks.append((CALLS, calls))
    return lacks


def _try_namespaces(stage: str, wanted: Walls) -> None:
    walls.separate(wanted)
    _in_child(lambda: _try_root(stage, wanted))


def _try_root(stage: str, wanted: Walls) -> None:
    interpreter = walls.furnish(wanted, stage)
    enclosure = Enclosure(shown=(), scratch=("/tmp",), scratch_bytes=1 << 20, work_folder="/tmp", hidden=(stage,))  # noqa: S108 - its own
    walls.close(wanted, enclosure, interpreter)


def _try_calls() -> None:
    linux.gain_no_privileges()
    seccomp.lay_on()


def _problem(attempt: Callable[[], None]) -> str:
    """Why it cannot be done here; empty when it can."""
    if sys.platform != "linux":
        return "it takes Linux"
    try:
        _in_child(attempt)
    except OSError as error:
        return str(error)
    return ""


def _in_child(attempt: Callable[[], None]) -> None:
    """Raises OSError with what it said, also for a child that ends otherwise."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "it ended unexpectedly"
        try:
            attempt()
            said = ""
        except OSError as error:
            said = str(error)
        finally:
            with contextlib.suppress(OSError):
                os.write(write, json.dumps(said).encode()[:MAX_ANSWER_BYTES])
            os._exit(0)
    os.close(write)
    try:
        answer = os.read(read, MAX_ANSWER_BYTES)
    finally:
        os.close(read)
        os.waitpid(pid, 0)
    problem = str(json.loads(answer)) if answer else "it ended at once"
    if problem:
        raise OSError(problem)
