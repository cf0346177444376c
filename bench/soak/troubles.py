"""What happens to the parts while functions are called: they halt, die, lose their disk, and find damaged files.

One at a time. There is no supervisor here, so each deed itself starts again what it killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.soak.deeds import Cycle
from bench.soak.parts import Parts
from bench.soak.tally import Log

REPLACED_S = 2.0
"""For what was killed before. Nobody is killed while whoever would replace it is away."""

FILL_BYTES = 1 << 20
REFILL_S = 0.1

TROUBLES = ("halt_provider", "replace_provider", "halt_host", "halt_worker", "fill_disk", "damage_record")
"""Each is a method."""


class Troubles:
    """All of them, in another order each round."""

    def __init__(
        self, parts: Parts, cycles: Sequence[Cycle], log: Log, *, pause_s: float, halt_s: float, full_disk_s: float
    ) -> None:
        """``pause_s`` is the mean between two; a part is halted for at most ``halt_s``."""
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self.all_seen = asyncio.Event()
        """Each has happened once."""
        self._parts, self._cycles, self._log = parts, cycles, log
        self._pause_s, self._halt_s, self._full_disk_s = pause_s, halt_s, full_disk_s
        self._over = asyncio.Event()

    async def run(self, over: asyncio.Event) -> None:
        """Until it is over; what has begun is ended."""
        self._over = over
        while not over.is_set():
            await self._round()
            self.all_seen.set()

    async def _round(self) -> None:
        """Each of them once, unless it is over before."""
        for name in random.sample(TROUBLES, k=len(TROUBLES)):
            await self._wait(random.expovariate(1 / self._pause_s))
            if self._over.is_set():
                return
            began = time.monotonic()
            with self._log.trouble(), contextlib.suppress(ProcessLookupError):  # it ended just now
                await self._wait(REPLACED_S)
                await getattr(self, name)()
                self.done[name] += 1
            for cycle in self._cycles:
                cycle.history.append((round(began, 3), f"{name}, {time.monotonic() - began:.1f} s"))

    # Deeds.

    async def halt_provider(self) -> None:
        with _halted(self._parts.provider.process.pid):
            await self._wait(random.uniform(0, self._halt_s))

    async def replace_provider(self) -> None:
        """It hangs, and is killed and started again, as a supervisor does."""
        with _halted(self._parts.provider.process.pid):
            await self._wait(random.uniform(0, self._halt_s))
            await asyncio.to_thread(self._parts.provider.kill)
        await asyncio.to_thread(self._parts.provider.start)

    async def halt_host(self) -> None:
        """Whoever is halted for long may be replaced meanwhile."""
        with _halted(self._parts.provider.host().pid):
            await self._wait(random.uniform(0, self._halt_s))

    async def halt_worker(self) -> None:
        """One of the gateway's, whose master replaces it when that takes long; without a master, the gateway."""
        pid = random.choice(self._parts.workers() or [self._parts.gateway.pid])
        with _halted(pid) as process:
            # Their calls end with the worker; whoever comes now is at the port, and that stays.
            ports = dict.fromkeys(peer_ports(pid, self._parts.port), time.monotonic())
            self._log.halted |= ports
            await self._wait(random.uniform(0, self._halt_s))
            if _ended(process):
                self.done["workers_replaced"] += 1
                return
        for port in ports:
            del self._log.halted[port]

    async def fill_disk(self) -> None:
        with full_disk(self._parts) as fill:
            ends = time.monotonic() + self._full_disk_s
            while time.monotonic() < ends and not self._over.is_set():
                fill()
                await self._wait(REFILL_S)

    async def damage_record(self) -> None:
        """While a provider is away, a function's record is damaged: it alone is gone, until it is deployed anew."""
        cycle = random.choice(self._cycles)
        async with cycle.silenced():
            record = self._parts.provider.record(cycle.name)
            await asyncio.to_thread(self._parts.provider.kill)
            record.write_bytes(_damaged(record.read_bytes()))
            await asyncio.to_thread(self._parts.provider.start)
            if not list(record.parent.glob(f"{record.name}.damaged-*")):
                self.problems.append(f"{cycle.name}: its damaged record was not set aside")
            await cycle.deploy_anew()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)


@contextlib.contextmanager
def _halted(pid: int) -> Iterator[int]:
    """Its pidfd: another may have its number once it has ended. Raises ProcessLookupError."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGSTOP)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGCONT)
        os.close(process)


def _ended(process: int) -> bool:
    return bool(select.select([process], [], [], 0)[0])


def peer_ports(pid: int, port: int) -> set[int]:
    """The callers' ends of the connections that a process holds at this port."""
    held: set[str] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(descriptor.readlink()))
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    ends = ((_port(row[1]), _port(row[2])) for row in rows if f"socket:[{row[9]}]" in held)
    return {theirs for ours, theirs in ends if ours == port and theirs}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


@contextlib.contextmanager
def full_disk(parts: Parts) -> Iterator[Callable[[], None]]:
    """A full disk; what is called fills it again. On a disk that others need, files that cannot grow instead."""
    filler = parts.provider.state / "filler"
    own = parts.provider.state.is_mount()

    def pids() -> set[int]:
        return set().union(*parts.trees().values())

    try:
        yield (lambda: _fill(filler)) if own else (lambda: _bound_files(pids(), most=0))
    finally:
        filler.unlink(missing_ok=True)
        if not own:
            _bound_files(pids(), most=None)


def _bound_files(pids: Iterable[int], *, most: int | None) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))


def _damaged(whole: bytes) -> bytes:
    return random.choice((whole[: len(whole) // 2], b"", b"[]", os.urandom(len(whole))))


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as filler:
        while filler.write(bytes(FILL_BYTES)):
            pass
