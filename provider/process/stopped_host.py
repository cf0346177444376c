"""A host that is alive and does nothing (stopped, or stuck): its replicas go on without it until others stand in.

They are its children, not ours, and it collects none of them, so that their ids stay their own: they are told to end by
signals, and their end is seen by pidfds. When the last is gone the host is killed, with what it may still hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable

from springtide.provider.process import kernel
from springtide.provider.process.orphaned_output import OrphanedOutput
from springtide.runtime.processes import ProcessHandle


class StoppedHost:
    """``started`` is the host as our own child, where it is one."""

    def __init__(self, host: ProcessHandle | None, started: subprocess.Popen[bytes] | None, identity: str) -> None:
        self._host, self._started, self._identity = host, started, identity
        self._replicas: dict[str, ProcessHandle] = {}
        self._outputs: dict[str, OrphanedOutput] = {}
        self._ending: list[asyncio.TimerHandle] = []
        self._watching: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<StoppedHost {self._identity} {len(self._replicas)} replicas>"

    def keep(
        self, instance: str, pid: int, on_end: Callable[[], None], *, write: Callable[[list[bytes]], None]
    ) -> None:
        """Watch one of its replicas; ``on_end`` is called once it has ended, ``write`` with what it writes."""
        try:
            handle = ProcessHandle(pid)
        except OSError:
            asyncio.get_running_loop().call_soon(on_end)
            return
        self._replicas[instance] = handle
        with contextlib.suppress(OSError):
            self._outputs[instance] = OrphanedOutput(pid, write)
        self._watching.add(asyncio.create_task(self._watch(instance, handle, on_end), name=f"replica {instance}"))

    def stop(self, instance: str, grace_s: float) -> None:
        """Drain, then end."""
        handle = self._replicas.get(instance)
        if handle is not None:
            handle.send_signal(signal.SIGTERM)
            self._ending.append(asyncio.get_running_loop().call_later(grace_s, self.kill, instance))

    def kill(self, instance: str) -> None:
        """It, and what it started: nobody collects it, so that its group is still its own."""
        handle = self._replicas.get(instance)
        if handle is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(handle.pid, signal.SIGKILL)
            handle.send_signal(signal.SIGKILL)

    async def gone(self) -> None:
        """Wait for the end of its replicas, then end it."""
        while self._watching:
            await asyncio.wait(self._watching)
        await self.end()

    async def end(self) -> None:
        """With every replica it still has, at once. Idempotent."""
        for timer in self._ending:
            timer.cancel()
        if self._host is not None:
            self._host.send_signal(signal.SIGKILL)
            await self._host.wait()
            self._host.close()
            self._host = None
        started, self._started = self._started, None
        if started is not None and started.stdout is not None:
            await asyncio.to_thread(started.wait)
            started.stdout.close()
        await asyncio.to_thread(kernel.kill_marked, lambda identity: identity == self._identity)

    async def shut_down(self, grace_s: float) -> None:
        """Its replicas drain, then it ends."""
        for instance in list(self._replicas):
            self.stop(instance, grace_s)
        if self._watching:
            await asyncio.wait(self._watching, timeout=grace_s)
        await self.end()

    async def _watch(self, instance: str, handle: ProcessHandle, on_end: Callable[[], None]) -> None:
        try:
            await handle.wait()
        finally:
            del self._replicas[instance]
            handle.close()
            if (output := self._outputs.pop(instance, None)) is not None:
                output.close()
            task = asyncio.current_task()
            assert task is not None
            self._watching.discard(task)
        on_end()
