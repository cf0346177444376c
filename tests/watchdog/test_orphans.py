"""Nobody stays a zombie below a replica, whoever started it, and nobody outlives it."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import alive, eventually

STARTS = """
import os, subprocess, sys

WAYS = {
    "/shell": lambda: subprocess.run(["sh", "-c", "sleep 0.05 & true"]),
    "/detached": lambda: subprocess.run(["sh", "-c", "setsid sh -c 'sleep 0.05 & true' & true"]),
    "/session": lambda: subprocess.run(
        [sys.executable, "-c", "import os, time\\nif not os.fork(): os.setsid(); time.sleep(0.05)"]
    ),
    "/system": lambda: os.system("sleep 0.05 & true"),
}

def handle(event, context):
    if event.path in WAYS:
        WAYS[event.path]()
    return str(os.getpid())
"""
KEEPS_ITS_OWN = """
import os, subprocess, time

early = subprocess.Popen(["sh", "-c", "exit 2"])

def statuses():
    popen = subprocess.Popen(["sh", "-c", "exit 3"])
    pid = os.fork()
    if not pid:
        os._exit(4)
    spawned = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ)
    orphan = subprocess.run(["sh", "-c", "(exit 9) & echo $!"], stdout=subprocess.PIPE, text=True)
    number = int(orphan.stdout)
    while os.path.exists(f"/proc/{number}"):  # the orphan is collected, and theirs are still there
        time.sleep(0.001)
    return [early.wait(), popen.wait(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
            os.waitstatus_to_exitcode(os.waitpid(spawned, 0)[1])]

def handle(event, context):
    return {"body": statuses()}
"""


def children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


@pytest.mark.parametrize("way", ["/shell", "/detached", "/session", "/system"])
async def test_orphans_of_a_python_handler_are_collected(shared: Shared, way: str) -> None:
    world = shared.world
    name = f"orphans-{way[1:]}"
    address = await world.up(name, annotations=world.handler(STARTS, name))
    for _ in range(5):
        pid = int((await world.http.get(address + way)).text)

    await eventually(lambda: not children(pid))


async def test_what_a_handler_started_itself_is_its_own_to_collect(shared: Shared) -> None:
    world = shared.world
    address = await world.up("collects", annotations=world.handler(KEEPS_ITS_OWN, "collects"))

    answer = await world.http.get(address)

    assert answer.json() == [2, 3, 4, 5]


@pytest.mark.parametrize("mode", ["classic", "streaming", "serializing"])
async def test_detached_children_of_a_call_are_collected(shared: Shared, mode: str) -> None:
    world = shared.world
    program = world.folder / f"detached-{mode}.sh"
    program.write_text("setsid sh -c 'sleep 0.05' >/dev/null 2>&1 </dev/null & sleep 0.01; echo $PPID")
    address = await world.up(f"detached-{mode}", f"sh {program}", {"mode": mode})
    for _ in range(5):
        pid = int((await world.http.get(address)).text)

    await eventually(lambda: not children(pid))


async def test_detached_child_ends_with_its_replica(shared: Shared) -> None:
    world = shared.world
    program = world.folder / "outlives.py"
    program.write_text(
        "import subprocess\nnothing = subprocess.DEVNULL\n"
        "print(subprocess.Popen(['sleep', '1000'], start_new_session=True, stdout=nothing, stderr=nothing).pid)"
    )
    address = await world.up("outlives", f"{sys.executable} {program}")
    started = int((await world.http.get(address)).text)
    outlived = alive(started)
    await world.scale(FunctionRef("openfaas-fn", "outlives"), 0)

    await eventually(lambda: not alive(started))
    assert outlived


async def test_ended_child_of_a_handler_does_not_drain_its_replica(shared: Shared) -> None:
    source = """
import multiprocessing, time

def handle(event, context):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    process.start()
    process.terminate()
    process.join(10)
    return {"body": {"code": process.exitcode}}
"""
    world = shared.world
    address = await world.up("terminates", annotations=world.handler(source, "terminates"))

    assert json.loads((await world.http.get(address)).text) == {"code": -15}
    assert (await world.http.get(address + "/_/health")).status_code == 200
