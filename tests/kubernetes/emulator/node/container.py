"""One container of a pod: pulled, started, probed, restarted, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.kubernetes.emulator.node.logs import LogBuffer
from tests.kubernetes.emulator.node.probes import Prober, Target
from tests.kubernetes.emulator.node.processes import CannotStart, Process
from tests.kubernetes.emulator.objects import Object, timestamp
from tests.kubernetes.emulator.settings import EmulatorSettings, Failure, Image

OOM_CODE, MIN_GRACE_S = 137, 2.0


class Around(Protocol):
    """What a container asks of its pod."""

    def image(self, name: str) -> Image | None: ...

    async def start_process(self, container: Object, image: Image, log: LogBuffer) -> Process:
        """Raises CannotStart."""

    def target(self, container: Object) -> Target: ...

    def changed(self) -> None: ...

    def tell(self, reason: str, message: str, kind: str = "Normal") -> None: ...


@dataclass(slots=True)
class State:
    """As containerStatuses shows it."""

    now: Object
    last: Object | None = None
    ready: bool = False
    started: bool = False
    restarts: int = 0


class Container:
    def __init__(self, spec: Object, around: Around, settings: EmulatorSettings, taken_in: float) -> None:
        self.spec, self._around, self._settings, self._taken_in = spec, around, settings, taken_in
        self.state = State(_waiting("ContainerCreating", ""))
        self.log: LogBuffer | None = None
        self.previous_log: LogBuffer | None = None
        self._process: Process | None = None
        self._ending = asyncio.Event()
        self._over = asyncio.Event()
        """This run has ended, or is to be ended because it is not alive any more."""
        self._backoff_s = 0.0

    async def run(self) -> None:
        """Until ``end``: start, wait for its end, start again."""
        image = await self._pulled()
        while not self._ending.is_set():
            began = time.monotonic()
            await self._once(image)
            if self._ending.is_set():
                return
            image = self._around.image(self.spec["image"]) or image
            await self._back_off(ran_s=time.monotonic() - began)

    def end(self) -> None:
        """No restart any more; the pod sends the signals."""
        self._ending.set()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""
        process = self._process
        if process is None or process.ended.done():
            return
        process.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, MIN_GRACE_S)):
                await asyncio.shield(process.ended)
        process.signal(signal.SIGKILL)
        await asyncio.shield(process.ended)

    def kill(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    def status(self) -> Object:
        """The entry of containerStatuses."""
        state = self.state
        entry: Object = {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": f"{self.spec['image']}@sha256:0" if "waiting" not in state.now else "",
            "ready": state.ready,
            "started": state.started,
            "restartCount": state.restarts,
            "state": state.now,
            "lastState": state.last or {},
        }
        return entry

    async def _pulled(self) -> Image:
        retry_s = self._settings.pull_retry_first_s
        while True:
            name = self.spec["image"]
            self._around.tell("Pulling", f'Pulling image "{name}"')
            image = self._around.image(name)
            if image is not None and image.failure is not Failure.PULL:
                await asyncio.sleep(image.pull_s)
                self._around.tell("Pulled", f'Successfully pulled image "{name}"')
                return image
            why = f'failed to pull and unpack image "{name}": not found'
            self._around.tell("Failed", f'Failed to pull image "{name}": {why}', "Warning")
            self._wait("ErrImagePull", why)
            await asyncio.sleep(min(1.0, retry_s / 2))
            self._wait("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {why}')
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, self._settings.restart_most_s)

    async def _once(self, image: Image) -> None:
        """One run, from start to end."""
        self.previous_log, self.log = self.log, LogBuffer(self._settings.log_lines)
        self._over = asyncio.Event()
        if image.failure is not None:
            await self._failed(image.failure)
            return
        began = timestamp()
        self._set({"running": {"startedAt": began}})
        self._around.tell("Started", f"Started container {self.spec['name']}")
        if not image.process:
            await self._pretend(image)
            return
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe())
            code = await self._run_process(image)
            probing.cancel()
        self.log.close()
        self._ended(code, began)

    async def _run_process(self, image: Image) -> int:
        """Its exit code, 128 and the number for a signal."""
        assert self.log is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(image.start_s):
                await self._ending.wait()
        if self._ending.is_set():
            return 0
        try:
            self._process = await self._around.start_process(self.spec, image, self.log)
        except CannotStart as error:
            self._around.tell("Failed", f"Error: {error}", "Warning")
            self.log.append(str(error).encode())
            return 128
        code = await self._until_end(self._process)
        return code if code >= 0 else 128 - code

    async def _until_end(self, process: Process) -> int:
        over = self._over
        process.ended.add_done_callback(lambda _: over.set())
        await over.wait()
        if not process.ended.done():
            message = f"Container {self.spec['name']} failed liveness probe, will be restarted"
            self._around.tell("Killing", message)
            await self.stop(30.0)
        return await asyncio.shield(process.ended)

    async def _pretend(self, image: Image) -> None:
        """A pod without a process runs until it is told to end."""
        self.state.started = True
        self._set_ready(ready=image.ready)
        await self._ending.wait()
        if image.stop_s:
            await asyncio.sleep(image.stop_s)

    async def _failed(self, failure: Failure) -> None:
        oom = failure is Failure.OOM
        reason, code = ("OOMKilled", OOM_CODE) if oom else ("Error", 1)
        assert self.log is not None
        self.log.append(b"" if oom else b"the program ended with an error")
        self.log.close()
        self._ended(code, timestamp(), reason)

    async def _probe(self) -> None:
        """All probes of this run. Readiness counts once start-up has succeeded, liveness, too."""
        target, began = self._around.target(self.spec), time.monotonic()
        if "startupProbe" in self.spec:
            succeeded = asyncio.Event()
            prober = asyncio.ensure_future(self._prober("startupProbe", began).run(target, self._started_if(succeeded)))
            try:
                await succeeded.wait()
            finally:
                prober.cancel()
        self.state.started = True
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.spec:
                ready = self._prober("readinessProbe", began)
                group.create_task(ready.run(target, lambda result: self._set_ready(ready=result)))
                self._around.changed()
            else:
                self._set_ready(ready=True)
            if "livenessProbe" in self.spec:
                group.create_task(self._prober("livenessProbe", began).run(target, self._alive))

    def _prober(self, name: str, began: float) -> Prober:
        return Prober(self.spec[name], began=began, taken_in=self._taken_in)

    def _started_if(self, succeeded: asyncio.Event) -> Callable[[bool], None]:
        return lambda result: succeeded.set() if result else self._alive(alive=False)

    def _alive(self, alive: bool) -> None:
        if not alive and not self._ending.is_set():
            self._over.set()

    async def _back_off(self, *, ran_s: float) -> None:
        """The first restart comes at once, then later and later."""
        self.state.restarts += 1
        if ran_s > self._settings.restart_reset_s:
            self._backoff_s = 0.0
        wait_s = self._backoff_s
        first_s, most_s = self._settings.restart_first_s, self._settings.restart_most_s
        self._backoff_s = min(wait_s * 2, most_s) if wait_s else first_s
        if wait_s:
            name = self.spec["name"]
            message = f"back-off {wait_s:g}s restarting failed container={name}"
            self._wait("CrashLoopBackOff", message)
            self._around.tell("BackOff", f"Back-off restarting failed container {name}", "Warning")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._ending.wait()

    def _ended(self, code: int, began: str, reason: str = "") -> None:
        words = reason or ("Completed" if code == 0 else "Error")
        ended = {"exitCode": code, "reason": words, "startedAt": began, "finishedAt": timestamp()}
        self.state.last = {"terminated": ended}
        self.state.started = self.state.ready = False
        self._set({"terminated": ended})

    def _wait(self, reason: str, message: str) -> None:
        self._set(_waiting(reason, message))

    def _set(self, state: Object) -> None:
        self.state.now = state
        self._around.changed()

    def _set_ready(self, *, ready: bool) -> None:
        self.state.ready = ready
        self._around.changed()


def _waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
