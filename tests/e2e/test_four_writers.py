"""Loop, idler, wakes and a person at one function, under load, while the loop and the idler are killed and halted.

The decision log is the evidence: every write in it is one that the ownership table allows, and was decided on the count
that the write before it had left. There are two scalers: on one machine there is no lease, so it is the version each
write names that keeps the second, and one that wakes up with what it knew before it was halted, from undoing others.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.scaler.core import ownership
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Writer
from tests.kubernetes.idlers import IdlerWire

ROOT = Path(__file__).parents[2]
NAME = "shared"
HANDLER = """
import asyncio
async def handle(event, context):
    await asyncio.sleep(0.3)
    return "ok"
"""
LABELS = {"type": "capacity", "target": "1", "min": "1", "max": "8", "zero": "true", "zero_duration": "2s"}
HERD, ROUNDS = 12, 4
WRITES = {Writer.SCALER: 3, Writer.PERSON: 3, Writer.IDLER: 2, Writer.WAKE: 2}
"""So many of each are waited for."""
AWAKE_S = 120.0


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    folder.mkdir()
    (folder / "handler.py").write_text(HANDLER)
    return folder


@contextlib.contextmanager
def another_scaler(suite: Any, folder: Path, provider: str) -> Iterator[int]:
    """A second copy beside the suite's own, which reaches the provider there; its process id."""
    words = ["scaler", "--port", "0", "--provider-url", provider, "--gateway-urls", suite.gateway]
    environment = dict(os.environ, secret_mount_path=str(suite.state / "secrets"))
    with (folder / "second.log").open("ab") as log:
        command = [sys.executable, "-m", "springtide.cli", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def changes(suite: Any) -> list[dict[str, Any]]:
    return [one for one in suite.decisions(NAME) if one["before"] != one["after"]]


async def herds(suite: Any, stop: asyncio.Event) -> None:
    """Callers at once, several times in a row, and again whenever it sleeps."""
    async with suite.async_client() as client:

        async def caller() -> None:
            for _ in range(ROUNDS):
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"/function/{NAME}")

        while not stop.is_set():
            await asyncio.gather(*(caller() for _ in range(HERD)))
            while not stop.is_set() and await asyncio.to_thread(suite.replicas, NAME):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def scaled_by_hand(suite: Any, chance: random.Random) -> None:
    """While it is awake: it is callers that are to wake it."""
    if await asyncio.to_thread(suite.replicas, NAME):
        await asyncio.to_thread(suite.scale, NAME, chance.randint(1, 6))


async def person(suite: Any, chance: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await scaled_by_hand(suite, chance)
        await asyncio.sleep(chance.uniform(1.0, 3.0))


async def halted(suite: Any, pid: int, chance: random.Random) -> None:
    """Stopped at any point of a look or a write; the count changes before it goes on."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            await scaled_by_hand(suite, chance)
        finally:
            os.kill(pid, signal.SIGCONT)


async def troubles(suite: Any, second: int, chance: random.Random, stop: asyncio.Event) -> Counter[str]:
    done: Counter[str] = Counter()
    for part, kills in itertools.cycle(itertools.product(("scaler", "idler"), (False, True))):
        if stop.is_set():
            return done
        pid = suite.run["parts"].get(part)
        if pid is not None and kills:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        elif pid is not None:
            await halted(suite, pid, chance)
            await halted(suite, second, chance)
        done[f"{part} {'killed' if kills else 'halted'}"] += pid is not None
        await asyncio.sleep(chance.uniform(0.5, 2.0))
    raise AssertionError


def all_have_written(suite: Any) -> bool:
    seen = Counter(one["writer"] for one in changes(suite))
    return all(seen[writer.value] >= count for writer, count in WRITES.items())


async def lives(suite: Any, second: int, wire: IdlerWire) -> Counter[str]:
    """Until each of the four has written a few times; what was done to parts meanwhile."""
    stop, chance = asyncio.Event(), random.Random(13)
    async with asyncio.TaskGroup() as group:
        group.create_task(herds(suite, stop))
        group.create_task(person(suite, chance, stop))
        struck = group.create_task(troubles(suite, second, chance, stop))
        try:
            await asyncio.to_thread(suite.eventually, lambda: all_have_written(suite), "all four write", AWAKE_S)
            stop.set()
            await struck
            await writes_late(suite, second, wire)
        finally:
            stop.set()
    return struck.result()


async def writes_late(suite: Any, second: int, wire: IdlerWire) -> None:
    """A scaler that is halted with its write on the way, and goes on when others have written since, writes nothing."""
    stop = asyncio.Event()
    calls = asyncio.create_task(herds(suite, stop))
    wire.what = f"POST /system/scale-function/{NAME}".encode()
    while not wire.held.is_set():
        await asyncio.to_thread(suite.scale, NAME, 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wire.held.wait(), 3)
    os.kill(second, signal.SIGSTOP)
    for count in (3, 2):
        await asyncio.to_thread(suite.scale, NAME, count)
    wire.hold.set()
    os.kill(second, signal.SIGCONT)
    await asyncio.to_thread(suite.eventually, lambda: wire.answers, "the late write is answered")
    assert wire.answers[0].startswith(b"HTTP/1.1 412 ")
    stop.set()
    await calls


async def with_another_scaler(suite: Any, folder: Path) -> Counter[str]:
    async with IdlerWire(int(suite.run["provider"].rpartition(":")[2])) as wire:
        with another_scaler(suite, folder, wire.url) as second:
            return await lives(suite, second, wire)


def test_no_write_is_outside_the_table_while_leaders_are_killed_and_halted(
    start_suite: Callable[..., Any], handler: Path, tmp_path: Path
) -> None:
    with start_suite(tmp_path / "state", "--separate", "--fast", "--no-samples") as suite:
        suite.deploy(NAME, handler, **LABELS)
        struck = asyncio.run(with_another_scaler(suite, tmp_path))
        written = changes(suite)

    assert {"scaler halted", "scaler killed"} <= {trouble for trouble, times in struck.items() if times}
    policy, _ = ScalePolicy.from_labels(suite_labels())
    for one in written:
        writer = Writer(one["writer"])
        refused = ownership.refusal(writer, policy, one["before"], one["after"], owner=Writer.SCALER)
        assert refused is None, one
        if writer is Writer.SCALER:
            assert 1 <= one["after"] <= policy.max, one
    chain = list(itertools.pairwise(written))
    assert [(one, then) for one, then in chain if then["before"] != one["after"]] == []


def suite_labels() -> dict[str, str]:
    return {f"com.openfaas.scale.{key.replace('_', '-')}": value for key, value in LABELS.items()}
