"""Processor time and memory of replicas, from /proc: of the replica and of everything below it."""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

FRESH_S = 30.0
"""The exact share of a process's memory takes half a millisecond to ask; between, what its size grew by is added."""
FRESH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    cpu_s: float
    """Its own, and that of its children that ended and were collected."""
    resident_bytes: int
    threads: int
    stopped: bool
    """By a signal, until another one lets it go on; not by a debugger."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One replica: processor seconds since it started, and its bytes of memory, processes and threads now."""

    cpu_s: float
    memory_bytes: int
    processes: int
    stopped: bool
    """The replica itself, whatever its programs do."""


@dataclass(frozen=True, slots=True)
class _Share:
    at: float
    resident_bytes: int
    share_bytes: int


class Meter:
    """Measures replicas; used from one thread at a time.

    Memory is what a process has with its *share* of pages it has in common with others (Pss): a replica forked from
    the host has most pages in common with all others, and counted in full they would be counted many times.
    """

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}

    def measure(self, pids: Iterable[int]) -> dict[int, Measured]:
        """For each replica, by its pid; one that is gone is absent. One look through /proc, whatever their number,
        and none for none.
        """
        pids = tuple(pids)
        table = _process_table() if pids else {}
        below: dict[int, list[int]] = defaultdict(list)
        for process in table.values():
            below[process.parent].append(process.pid)
        families = {pid: _family(pid, below) for pid in pids if pid in table}
        alive = {pid for family in families.values() for pid in family}
        self._shares = {pid: share for pid, share in self._shares.items() if pid in alive}
        now = time.monotonic()
        return {
            pid: Measured(
                sum(table[member].cpu_s for member in family),
                sum(self._memory(table[member], now) for member in family),
                sum(table[member].threads for member in family),
                table[pid].stopped,
            )
            for pid, family in families.items()
        }

    def _memory(self, process: Process, now: float) -> int:
        known = self._shares.get(process.pid)
        if known is not None:
            grown = process.resident_bytes - known.resident_bytes
            if now - known.at < FRESH_S and abs(grown) < FRESH_BYTES:
                return max(0, known.share_bytes + grown)
        share = _share_bytes(process)
        self._shares[process.pid] = _Share(now, process.resident_bytes, share)
        return share


def processor_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Of each replica by its pid, with everything below it; one that is gone is absent. One look through /proc."""
    table = _process_table()
    below: dict[int, list[int]] = defaultdict(list)
    for process in table.values():
        below[process.parent].append(process.pid)
    return {pid: sum(table[member].cpu_s for member in _family(pid, below)) for pid in pids if pid in table}


def _process_table() -> dict[int, Process]:
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                process = _parse(int(entry.name), (entry / "stat").read_bytes())
                table[process.pid] = process
    return table


def _parse(pid: int, stat: bytes) -> Process:
    # The command, in brackets, may hold anything; the fields after it are counted from its last bracket.
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])
    size, threads = int(fields[21]) * _PAGE_BYTES, int(fields[17])
    return Process(pid, int(fields[1]), ticks / _TICKS_PER_S, size, threads, fields[0] == b"T")


def _family(pid: int, below: dict[int, list[int]]) -> list[int]:
    """The process and all below it. A replica takes in its orphans, so nothing of it is elsewhere."""
    family, rest = [], [pid]
    while rest:
        member = rest.pop()
        family.append(member)
        rest += below.get(member, [])
    return family


def _share_bytes(process: Process) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return process.resident_bytes
