"""Probes as a kubelet makes them: at whole periods from when the pod was taken in, each on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.kubernetes.emulator.controllers.endpoint_slices import port_of
from tests.kubernetes.emulator.objects import Object

LOCK_FILE = "/tmp/.lock"
"""What watchdogs make when they are ready."""
_NO_FILE = ("cat", LOCK_FILE)


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed."""

    pod: Object
    address: str
    port: int
    env: dict[str, str]


class Prober:
    """One probe of one run of a container."""

    def __init__(self, probe: Object, *, began: float, taken_in: float) -> None:
        """``began``: when the container started; ``taken_in``: when the pod came to the node. Both monotonic."""
        self._probe, self._began, self._taken_in = probe, began, taken_in
        self._period_s = float(probe["periodSeconds"])

    async def run(self, target: Target, tell: Callable[[bool], None]) -> None:
        """Call ``tell`` when the thresholds say that the result has changed; for ever.

        The first look is when the container has started, the next ones at the ticks of the pod's probe worker.
        """
        known: bool | None = None
        same, last = 0, None
        while True:
            if time.monotonic() - self._began >= self._probe.get("initialDelaySeconds", 0):
                result = await attempt(self._probe, target)
                same = same + 1 if result == last else 1
                last = result
                enough = self._probe["successThreshold" if result else "failureThreshold"]
                if same >= enough and result != known:
                    known = result
                    tell(result)
            await asyncio.sleep(self._until_tick())

    def _until_tick(self) -> float:
        passed_s = (time.monotonic() - self._taken_in) % self._period_s
        return self._period_s - passed_s


async def attempt(probe: Object, target: Target) -> bool:
    """One look."""
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], target)
            if "tcpSocket" in probe:
                return await _connects(target, _port(probe["tcpSocket"], target))
            if "exec" in probe:
                return await execute(probe["exec"]["command"], target)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        return False
    return False


async def _http(action: Object, target: Target) -> bool:
    reader, writer = await asyncio.open_connection(action.get("host") or target.address, _port(action, target))
    try:
        path, port = action.get("path", "/"), _port(action, target)
        head = f"GET {path} HTTP/1.1\r\nHost: {target.address}:{port}\r\nUser-Agent: kube-probe/1.36\r\n"
        extra = "".join(f"{one['name']}: {one['value']}\r\n" for one in action.get("httpHeaders", ()))
        writer.write(f"{head}{extra}Accept: */*\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split(b" ")
        return len(words) > 1 and 200 <= int(words[1]) < 400
    finally:
        writer.close()


async def _connects(target: Target, port: int) -> bool:
    _, writer = await asyncio.open_connection(target.address, port)
    writer.close()
    return True


async def execute(command: list[str], target: Target) -> bool:
    """In the container. All containers here share one file system, so a watchdog's lock file is read off its port."""
    if tuple(command) == _NO_FILE or LOCK_FILE in " ".join(command):
        return await _connects(target, target.port)
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*command, env=target.env, stdin=null, stdout=null, stderr=null)
    except OSError:
        return False
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _port(action: Object, target: Target) -> int:
    number = port_of(target.pod, action["port"])
    if number is None:
        raise ValueError(f"the pod has no port {action['port']!r}")
    return number
