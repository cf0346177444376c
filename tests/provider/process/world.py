"""A process provider for tests: real processes, and after each use a search for any that was left behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from springtide.provider.machine.provider import MachineProvider
from springtide.provider.ports import LogQuery
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.preparation import ProgramPreparation
from springtide.provider.process.service import ProcessDeps, build
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import Decision, FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, merge

PATIENCE_S = 60.0
"""How long a test waits for something that should come at once."""

HANDLER = "com.springtide.handler"
LANG = "com.springtide.lang"


async def eventually(true: Callable[[], object], what: str = "the condition") -> None:
    """Wait for something that only the outside world can tell."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Running, and not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] not in (b"Z", b"X")


def left_behind(state_dir: Path) -> list[int]:
    """Processes that a host of this state folder started, and the host itself."""
    mark = b"SPRINGTIDE_HOST=" + hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:12].encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "environ").read_bytes().split(b"\0")
            if any(word.partition(b"-")[0] == mark for word in words) and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def left_at(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def described(pid: int) -> str:
    """For the message of a failed assertion."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        status = Path(f"/proc/{pid}/status").read_text().split()
    except OSError:
        return f"{pid} which has ended since"
    return f"{pid} {words} {status[:20]}"


class Heard:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def record(self, decision: Decision) -> None:
        self.decisions.append(decision)


class World:
    """One provider, followed through its own endpoint stream, and an HTTP client."""

    def __init__(self, folder: Path, *, scalers: Scalers | None = None, **settings: Any) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.registry = CollectorRegistry()
        self.recorder = Heard()
        # Tests look at what lies outside of walls.
        quick = {"linger_s": 0.05, "restart_first_s": 0.02, "usage_interval_s": 0.1, "stable_s": 60.0}
        own = {"default_isolation": "none", **quick, **settings}
        self.settings = ProcessSettings(state_dir=self.state_dir, **own)
        self.provider: MachineProvider[FunctionProgram] = build(
            self.settings, ProcessDeps(SystemClock(), self.registry, self.recorder, scalers=scalers or Scalers())
        )
        self.table: dict[FunctionRef, FunctionEndpoints] = {}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> World:
        await self.provider.start()
        self.http = httpx.AsyncClient(timeout=PATIENCE_S)
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self.provider.stop()
        assert [described(pid) for pid in left_behind(self.state_dir)] == []

    @property
    def pinning(self) -> Pinning:
        preparation = self.provider._preparation
        assert isinstance(preparation, ProgramPreparation)
        return preparation.pinning

    async def _follow(self) -> None:
        async for event in self.provider.watch_endpoints():
            self.table = merge(self.table, [event])
            self._changed.set()

    async def until(self, ref: FunctionRef, true: Callable[[FunctionEndpoints], object]) -> FunctionEndpoints:
        """The function as gateways see it, as soon as ``true`` of it."""
        async with asyncio.timeout(PATIENCE_S):
            while ref not in self.table or not true(self.table[ref]):
                self._changed.clear()
                await self._changed.wait()
        return self.table[ref]

    async def next_change(self) -> None:
        """Of what gateways see."""
        self._changed.clear()
        await self._changed.wait()

    async def until_gone(self, ref: FunctionRef) -> None:
        """Deleted, and the last of its replicas has ended."""
        await eventually(lambda: ref not in self.table and not left_at(self.state_dir / "work"), f"the end of {ref}")

    async def trouble(self, ref: FunctionRef, words: str) -> str:
        """The problem that those with credentials read, as soon as it has ``words``; callers never see them."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in (problem := (await self.provider.status(ref)).problem or ""):
                self._changed.clear()
                await self._changed.wait()
        assert words not in (self.table[ref].problem or "")
        return problem

    async def ready(self, ref: FunctionRef, count: int = 1) -> FunctionEndpoints:
        """With exactly so many endpoints wanted and answering."""
        return await self.until(ref, lambda seen: len(seen.endpoints) == count == seen.replicas)

    async def answer_when(self, address: str, true: Callable[[httpx.Response], object]) -> httpx.Response:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while not true(answer := await self.http.get(address)):
            assert time.monotonic() < deadline, f"not in time: {answer.status_code} {answer.text}"
            await asyncio.sleep(0)
        return answer

    def handler(self, source: str, name: str = "handler-folder", lang: str = "") -> dict[str, str]:
        """The annotations of a function whose handler has this source, written for this template.

        It may name the folder it comes from.
        """
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "handler.py").write_text(source.replace("DEPLOYED-FROM", str(folder)))
        return {HANDLER: str(folder)} | ({LANG: lang} if lang else {})

    def spec(self, name: str, command: str = "", env: Mapping[str, str] | None = None, **more: Any) -> FunctionSpec:
        ref = FunctionRef(more.pop("namespace", "openfaas-fn"), name)
        return FunctionSpec(ref=ref, image="any", env_process=command, env_vars=env or {}, **more)

    async def up(self, name: str, command: str = "", env: Mapping[str, str] | None = None, **more: Any) -> str:
        """Deploy, wait for a replica, and return the address it answers at."""
        spec = self.spec(name, command, env, **more)
        await self.provider.deploy(spec)
        return url(await self.until(spec.ref, lambda seen: seen.endpoints))

    async def scale(self, ref: FunctionRef, replicas: int) -> None:
        await self.provider.write(ref, replicas, expect=None, decision=None)

    async def texts(self, ref: FunctionRef) -> list[str]:
        return [line.text async for line in self.provider.logs(LogQuery(ref))]

    async def log_says(self, ref: FunctionRef, part: str) -> str:
        """The first log line with this in it, kept or to come."""
        async with (
            asyncio.timeout(PATIENCE_S),
            contextlib.aclosing(self.provider.logs(LogQuery(ref, follow=True))) as lines,
        ):
            async for line in lines:
                if part in line.text:
                    return line.text
        raise AssertionError(f"the log ended without {part!r}")


def url(function: FunctionEndpoints, index: int = 0) -> str:
    endpoint = function.endpoints[index]
    return f"http://{endpoint.host}:{endpoint.port}"
