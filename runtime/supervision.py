"""Child processes, started in stages, kept running, stopped in reverse: the Service a process of processes is made of.

Each child has its own session, so Ctrl-C on a terminal reaches only the supervisor, which then stops the children in
order. On Linux the kernel kills a child whose supervisor died in whatever way; elsewhere only an orderly stop ends
them. What a child writes goes straight to a file, not through a pipe, so nothing it (or a process it leaves for its
successor) writes can block or break when the supervisor is gone.

A child may be several parts in one process. Then it tells of each by name, restarts a part that fails by itself, and
beats as long as its event loop turns (``kept_parts``). Another is asked whether it is alive for as long as it runs. One
that hangs is killed and started again, as if it had died.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

from springtide.runtime.backoff import RESTART, STEADY_AFTER_S
from springtide.runtime.child_process import Child, Process, how_ended, size, spawn, tail, trim
from springtide.runtime.cut_short import cut_short
from springtide.runtime.errors import Unavailable
from springtide.runtime.liveness import Probe, until_hung
from springtide.runtime.part_reports import Event, Happening, Report, Reports
from springtide.runtime.process_tree import kill_below
from springtide.runtime.zygote import Zygote

PROBE_EVERY_S = 0.02
TOLD_AFTER_S = 1.0
"""From the request to stop until it is told who is waited for: most have ended by then."""
TIDY_EVERY_S = 5.0


Waiting = Callable[[Sequence[str], float], None]
"""Who is waited for at a stop, and for how many seconds more at most."""


class Supervisor:
    """Starts stage after stage, each once the one before is ready; children of a stage start side by side."""

    name = "supervisor"

    def __init__(
        self,
        stages: Sequence[Sequence[Child]],
        *,
        report: Report,
        zygote: Zygote | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._zygote = zygote
        self._waiting = waiting
        self._hurry = asyncio.Event()
        self._stages = [[_Kept(child, report, zygote) for child in stage] for stage in stages]
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Supervisor {self.pids()}>"

    def pids(self) -> dict[str, int]:
        """The process of each child, or of each of its members, that runs now."""
        return {name: pid for kept in self._all() if (pid := kept.pid) is not None for name in kept.child.names}

    async def start(self) -> None:
        """Raises Unavailable with the end of the child's log when one does not come up."""
        for stage in self._stages:
            starts = [asyncio.create_task(kept.start(), name=kept.child.name) for kept in stage]
            try:
                await asyncio.gather(*starts)
            finally:
                await _cancelled(starts)
            self._tasks += [asyncio.create_task(kept.keep(), name=kept.child.name) for kept in stage]
        self._tasks.append(asyncio.create_task(self._tidy(), name="tidy"))

    def hurry(self) -> None:
        """Let a stop wait for nobody any more: whoever still runs is killed."""
        self._hurry.set()

    async def stop(self) -> None:
        await _cancelled(self._tasks)
        first = [kept for kept in self._all() if kept.child.stops_first]
        rest = [[kept for kept in stage if kept not in first] for stage in reversed(self._stages)]
        for group in (first, *rest):
            await self._stop(group)

    async def _stop(self, group: Sequence[_Kept]) -> None:
        stops = {asyncio.create_task(kept.stop(hurry=self._hurry)): kept for kept in group}
        if not stops:
            return
        await asyncio.wait(stops, timeout=TOLD_AFTER_S)
        left = [kept.child for stop, kept in stops.items() if not stop.done()]
        if left and self._waiting is not None and not self._hurry.is_set():
            names = [name for child in left for name in child.names]
            self._waiting(names, max(child.grace_s for child in left) - TOLD_AFTER_S)
        await asyncio.gather(*stops)

    async def wait(self) -> None:
        """Children that die are restarted, so this ends only by an error of our own."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _all(self) -> Iterable[_Kept]:
        return (kept for stage in self._stages for kept in stage)

    async def _tidy(self) -> None:
        while True:
            for log in {log for kept in self._all() for log in kept.child.logs}:
                trim(log)
            if self._zygote is not None:
                self._zygote.reap_strays()
            await asyncio.sleep(TIDY_EVERY_S)


class _Kept:
    """One child and the process it is at the moment."""

    def __init__(self, child: Child, report: Report, zygote: Zygote | None) -> None:
        self.child = child
        self._report = report
        self._zygote = zygote
        self._process: Process | None = None
        self._reports: Reports | None = None
        self._ready_at: float | None = None
        self._problem: str | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it once; raises Unavailable when it, or one of its members, does not become ready.

        One that is not vital is left to ``keep``, and so is what could be mended.
        """
        since = size(self.child.log)
        problem = await self._attempt()
        failed = await self._reports.first() if problem is None and self._reports is not None else None
        if failed is not None:
            await self.stop(quietly=True)
            raise Unavailable(f"{failed.child} {failed.why}")
        if problem is not None and self.child.vital:
            shown = tail(self.child.log, since=since)
            said = f":\n{shown}" if "\n" in shown else f": {shown}" if shown else f"; see {self.child.log}"
            raise Unavailable(f"{self.child.name} {problem}{said}")
        self._problem = problem

    async def keep(self) -> None:
        """Start it again whenever it ends, for ever."""
        failures, problem, what = 0, self._problem, Happening.FAILED
        while True:
            if problem is None:
                assert self._process is not None
                problem, what = await self._end(self._process), Happening.DIED
                failures = 0 if self._steady() else failures
            failures += 1
            delay_s = RESTART.delay_s(failures)
            self._say(what, problem, delay_s)
            await asyncio.sleep(delay_s)
            problem, what = await self._attempt(), Happening.FAILED

    async def stop(self, *, quietly: bool = False, hurry: asyncio.Event | None = None) -> None:
        """SIGTERM, and SIGKILL once its grace is over, or at once where there is no time. Idempotent."""
        process, self._process = self._process, None
        hurry = hurry or asyncio.Event()
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            what, detail = Happening.STOPPED, "stopped"
            if not await _ended(process, self.child.grace_s, hurry):
                hurried = hurry.is_set()
                why = "was killed" if hurried else f"did not stop within {self.child.grace_s:g} s and was killed"
                what, detail = Happening.KILLED, why
                if hurried:
                    await asyncio.to_thread(kill_below, process.pid)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                if hurried:
                    await asyncio.to_thread(self.child.end_rest)
            if not quietly:
                self._say(what, detail)
        self._hear_no_more()

    async def _attempt(self) -> str | None:
        """Start it; why it is not ready and stopped again, with what was done about that, or None."""
        since = size(self.child.log)
        problem = await self._start()
        if problem is None:
            return None
        await self.stop(quietly=True)
        mended = self.child.mend(tail(self.child.log, since=since))
        return f"{problem}; {mended}" if mended is not None else problem

    async def _start(self) -> str | None:
        """Start the process and wait until it is ready; why it is not, or None."""
        self._ready_at = None
        self._hear_no_more()
        if self.child.members:
            self._reports = Reports(self.child.names, self._relay)
        try:
            theirs = self._reports.theirs if self._reports is not None else None
            self._process = await spawn(self.child, self._zygote, theirs)
        except OSError as error:
            return f"cannot be started ({error.strerror}: {self.child.command[0]})"
        problem = await self._until_ready(self._process)
        if problem is None:
            self._ready_at = asyncio.get_running_loop().time()
            if not self.child.members:
                self._say(Happening.READY, f"ready (process {self._process.pid})")
        return problem

    async def _until_ready(self, process: Process) -> str | None:
        died = asyncio.create_task(process.wait())
        probed = asyncio.create_task(self._ready())
        try:
            done, _ = await asyncio.wait(
                {died, probed}, timeout=self.child.ready_within_s, return_when=asyncio.FIRST_COMPLETED
            )
            if died in done:
                return f"ended while starting ({how_ended(died.result())})"
            if probed in done:
                probed.result()
                return None
            return f"was not ready within {self.child.ready_within_s:g} s"
        finally:
            await _cancelled([died, probed])

    async def _ready(self) -> None:
        if self._reports is not None:
            await self._reports.first()
        elif self.child.ready is not None:
            await _answers(self.child.ready)

    async def _end(self, process: Process) -> str:
        """Wait for it, and bring it about when the process hangs; how it came."""
        ended = asyncio.create_task(process.wait())
        hung = asyncio.create_task(self._hung())
        try:
            await asyncio.wait({ended, hung}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return f"ended ({how_ended(ended.result())})"
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended
            return f"hung for {self.child.hung_after_s:g} s and was killed"
        finally:
            await _cancelled([ended, hung])

    async def _hung(self) -> None:
        if self._reports is not None:
            await self._reports.silence(self.child.hung_after_s)
        elif self.child.alive is not None:
            await until_hung(self.child.alive, self.child.hung_after_s)
        else:
            await asyncio.Event().wait()

    def _hear_no_more(self) -> None:
        if self._reports is not None:
            self._reports.close()
            self._reports = None

    def _steady(self) -> bool:
        return self._ready_at is not None and asyncio.get_running_loop().time() - self._ready_at >= STEADY_AFTER_S

    def _say(self, what: Happening, why: str, again_in_s: float | None = None) -> None:
        for name in self.child.names:
            self._report(Event(name, what, why, again_in_s))

    def _relay(self, event: Event) -> None:
        """What a member says of itself; it does not know its process as we do."""
        if event.what is Happening.READY and self._process is not None:
            event = Event(event.child, event.what, f"ready (process {self._process.pid})")
        self._report(event)


async def _ended(process: Process, grace_s: float, hurry: asyncio.Event) -> bool:
    """Whether it ended by itself within its grace, and before there was no time for that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            return not (await cut_short(process.wait(), hurry)).cancelled()
    return False


async def _answers(probe: Probe) -> None:
    while not await probe():  # noqa: ASYNC110 - another process becomes ready; no event of ours can say so
        await asyncio.sleep(PROBE_EVERY_S)


async def _cancelled(tasks: Sequence[asyncio.Task[None]] | Sequence[asyncio.Task[int] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
