"""kill -9 of each part: what was asked for is kept, what runs goes on or is started again, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.provider.process.hashed_folders import remove_tree
from springtide.provider.spec import spec_to_json
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.test_replicas import SLOW, call_slow, let_go
from tests.provider.process.world import World, alive, eventually, left_behind, url
from tests.watchdog.test_handler_modes import UPSTREAM

ROOT = Path(__file__).parents[3]
REF = FunctionRef("openfaas-fn", "fn")


@contextlib.asynccontextmanager
async def killable(
    world: World, *wanted: tuple[Any, int], orphan_grace_s: float = 10, ping_s: float = 2
) -> AsyncIterator[int]:
    """A provider in its own process with these functions ready; yields its pid and makes sure that it is dead after."""
    specs = json.dumps([[spec_to_json(spec), replicas] for spec, replicas in wanted])
    command = [sys.executable, "-m", "tests.provider.process.provider_to_kill"]
    process = await asyncio.create_subprocess_exec(
        *command,
        str(world.state_dir),
        str(orphan_grace_s),
        specs,
        str(ping_s),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 15) == b"ready\n"
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def children(pid: int) -> list[int]:
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in text.split()]


def named(pids: Iterable[int], name: str) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):  # has ended
            if Path(f"/proc/{pid}/comm").read_text().startswith(name):
                found.append(pid)
    return found


def host_pid(world: World) -> int:
    """The one process marked as the host's whose parent is not; a fork's parent may be gone, or too new to be seen."""
    marked = set(left_behind(world.state_dir))
    parents = {}
    for pid in marked:
        with contextlib.suppress(OSError):  # has ended
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    (host,) = [
        pid
        for pid, parent in parents.items()
        if parent not in marked and b"springtide.provider.process.host" in command(pid)
    ]
    return host


async def test_functions_outlive_their_provider_and_the_next_one_takes_them_over(world: Any) -> None:
    here = world()
    spec = here.spec("fn", annotations=here.handler(SLOW))
    async with killable(here, (spec, 2)):
        await eventually(lambda: len(named(left_behind(here.state_dir), "fn-")) == 2)
    before = host_pid(here), sorted(named(left_behind(here.state_dir), "fn-"))

    async with here:
        function = await here.ready(REF, 2)
        call = await call_slow(here, url(function))

        assert (host_pid(here), sorted(named(left_behind(here.state_dir), "fn-"))) == before
        let_go(here)
        assert (await call).status_code == 200


async def test_call_in_flight_survives_the_death_of_the_provider(world: Any) -> None:
    here = world()
    spec = here.spec("fn", annotations=here.handler(SLOW))
    async with killable(here, (spec, 1)) as pid, world_client(here) as client:
        (replica,) = named(children(host_pid(here)), "fn-")
        call = asyncio.create_task(client.get(f"http://127.0.0.1:{port_of(replica)}/slow"))
        folder = here.folder / "handler-folder"
        await eventually(lambda: list(folder.glob("began-*")))
        os.kill(pid, signal.SIGKILL)
        async with here:
            await here.ready(REF, 1)
            let_go(here)
            assert (await call).status_code == 200


@contextlib.asynccontextmanager
async def world_client(world: World) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(timeout=120) as client:
        yield client


def port_of(pid: int) -> int:
    """The port a process listens on."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError(f"{pid} does not listen")


async def test_nothing_runs_on_when_no_provider_comes_back(world: Any) -> None:
    here = world()
    specs = [
        (here.spec("fn", annotations=here.handler(SLOW)), 2),
        (here.spec("http", f"{sys.executable} -c 'import time; time.sleep(1000)'", {"mode": "streaming"}), 1),
    ]
    async with killable(here, *specs, orphan_grace_s=0.3):
        assert len(left_behind(here.state_dir)) >= 4
    await eventually(lambda: not left_behind(here.state_dir), "the end of everything")


async def test_replicas_die_with_their_host_and_come_back_on_another(world: Any) -> None:
    async with world() as here:
        program = here.folder / "upstream.py"
        program.write_text(UPSTREAM)
        await here.up("http", f"{sys.executable} {program} x", {"mode": "http"})
        forking = await here.up("forking", f"sh -c 'sleep 1000; : {here.folder}'")
        call = asyncio.create_task(here.http.get(forking))
        await eventually(lambda: any(b"sleep" in command(pid) for pid in left_behind(here.state_dir)), "the call")
        before, replicas = (
            set(left_behind(here.state_dir)),
            {ref: seen.endpoints for ref, seen in here.table.items()},
        )

        os.kill(host_pid(here), signal.SIGKILL)
        await asyncio.gather(call, return_exceptions=True)
        for name in ("http", "forking"):
            ref = FunctionRef("openfaas-fn", name)
            await here.until(ref, lambda seen: seen.endpoints and seen.endpoints != replicas[seen.ref])

        await eventually(lambda: not [pid for pid in before if alive(pid)], "the end of all that ran before")
        assert await here.http.get(url(here.table[FunctionRef("openfaas-fn", "http")]))


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_everything_killed_at_once_comes_back_as_it_was(world: Any) -> None:
    here = world()
    secret = here.spec("fn", annotations=here.handler(SLOW), labels={"com.openfaas.scale.max": "5"})
    async with killable(here, (secret, 3)) as pid:
        host = host_pid(here)
        os.kill(pid, signal.SIGKILL)
        os.kill(host, signal.SIGKILL)
        before = [host, *left_behind(here.state_dir)]
    async with here:
        function = await here.ready(REF, 3)

        assert function.labels["com.openfaas.scale.max"] == "5"
        assert not [pid for pid in before if alive(pid)]


async def test_orderly_restart_keeps_count_version_and_birthday(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", "cat"))
        await here.scale(REF, 3)
        await here.ready(REF, 3)
        before = await here.provider.read(REF)
    async with world() as here:
        await here.ready(REF, 3)
        assert await here.provider.read(REF) == before


async def test_function_at_zero_stays_at_zero_over_a_restart(world: Any) -> None:
    async with world() as here:
        await here.up("fn", "cat")
        await here.scale(REF, 0)
        await here.ready(REF, 0)
    async with world() as here:
        assert (await here.provider.read(REF)).scale.desired == 0
        assert (await here.ready(REF, 0)).endpoints == ()


async def test_second_provider_of_one_state_folder_is_refused(world: Any) -> None:
    async with world() as first:
        await first.up("fn", "cat")
        second = world()
        with pytest.raises(Unavailable, match="another provider uses this state folder"):
            await second.provider.start()
        await second.provider.stop()
        assert (await first.http.get(url(first.table[REF]))).status_code == 200


async def test_function_whose_handler_is_gone_does_not_keep_the_others_from_starting(world: Any) -> None:
    async with world() as here:
        await here.up("gone", annotations=here.handler(SLOW, "gone"))
        await here.up("fn", "cat")
    remove_tree(next((here.state_dir / "code").glob("*")))
    async with world() as here:
        await here.ready(REF)
        status = await here.provider.status(FunctionRef("openfaas-fn", "gone"))
        assert "deploy the function again" in (status.problem or "")
        await here.up("gone", annotations=here.handler(SLOW, "gone"))


async def test_garbage_in_place_of_the_socket_confuses_nobody(world: Any) -> None:
    here = world()
    here.state_dir.mkdir()
    (here.state_dir / "host.sock").write_text("not a socket")
    async with here:
        await here.up("fn", "cat")


IMPOSTOR = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
connection.sendall(sys.argv[2].encode() + b"\\n")
time.sleep(1000)
"""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            '{"type":"Hello","version":0,"pid":1,"limits_memory":false,"limits_cpu":false,"sandbox_problem":"",'
            '"running":[]}',
            id="of another version",
        ),
        pytest.param("what?", id="that makes no sense"),
    ],
)
async def test_host_is_replaced(world: Any, line: str) -> None:
    here = world()
    here.state_dir.mkdir()
    impostor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPOSTOR, str(here.state_dir / "host.sock"), line), stdout=asyncio.subprocess.PIPE
    )
    assert impostor.stdout is not None
    assert await impostor.stdout.readline() == b"listening\n"
    async with here:
        await here.up("fn", "cat")
        await asyncio.wait_for(impostor.wait(), 10)


async def test_state_folder_may_have_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long-name-" * 12) / ("longer-" * 10)
    folder.mkdir(parents=True)
    async with World(folder) as here:
        address = await here.up("fn", "cat")
        assert (await here.http.post(address, content=b"x")).text == "x"


async def test_host_that_is_stopped_is_stood_in_for_and_its_replicas_drain(world: Any) -> None:
    async with world(host_ping_s=0.25) as here:
        await here.provider.deploy(here.spec("fn", annotations=here.handler(SLOW)))
        await here.scale(REF, 2)
        old = await here.ready(REF, 2)
        stopped = host_pid(here)
        before = set(children(stopped))
        call = await call_slow(here, url(old))

        os.kill(stopped, signal.SIGSTOP)
        while not (seen := here.table[REF].endpoints) or set(seen) & set(old.endpoints):
            answers = await asyncio.gather(*(here.http.get(f"http://{one.host}:{one.port}") for one in seen))
            assert [answer.status_code for answer in answers] == [200] * len(seen) != []
            await asyncio.sleep(0)
        new = await here.ready(REF, 2)
        await here.scale(REF, 3)
        await here.ready(REF, 3)

        assert alive(stopped)
        assert not call.done()
        let_go(here)
        assert (await call).status_code == 200
        await eventually(lambda: not any(map(alive, [stopped, *before])), "the end of host and children")
        assert {one.instance for one in new.endpoints} <= {one.instance for one in here.table[REF].endpoints}


LOUD = """
import asyncio
async def handle(event, context):
    if event.path == "/loud":
        for number in range(300):
            print(f"{number} " + "x" * 1000, flush=True)
            await asyncio.sleep(0)
    return context.hostname
"""


async def test_what_is_written_while_the_host_is_stopped_is_read_and_logged(world: Any) -> None:
    async with world(host_ping_s=0.25) as here:
        await here.provider.deploy(here.spec("fn", annotations=here.handler(LOUD)))
        old = await here.ready(REF)

        os.kill(host_pid(here), signal.SIGSTOP)
        answer = await here.http.get(url(old) + "/loud")  # more than a pipe holds

        assert answer.text == old.endpoints[0].instance
        assert (await here.log_says(REF, "299 xxx")).startswith("299 xxx")


async def test_provider_stops_with_a_host_that_is_stopped(world: Any) -> None:
    async with world(host_ping_s=0.25, grace_s=0.5) as here:
        await here.provider.deploy(here.spec("fn", annotations=here.handler(SLOW)))
        old = await here.ready(REF)
        call = await call_slow(here, url(old))
        os.kill(host_pid(here), signal.SIGSTOP)
        await here.until(REF, lambda seen: seen.endpoints and not set(seen.endpoints) & set(old.endpoints))
    await asyncio.gather(call, return_exceptions=True)  # nothing is left behind, which leaving the block has checked


async def test_next_provider_ends_a_host_that_the_one_before_had_set_aside(world: Any) -> None:
    here = world()
    spec = here.spec("fn", annotations=here.handler(SLOW))
    async with killable(here, (spec, 1), ping_s=0.25) as pid:
        stopped = host_pid(here)
        os.kill(stopped, signal.SIGSTOP)
        await eventually(
            lambda: len(left_behind(here.state_dir)) > 4 and stopped in left_behind(here.state_dir), "another"
        )
        os.kill(pid, signal.SIGKILL)
        async with here:
            await here.ready(REF)
            await eventually(lambda: not alive(stopped), "the end of the stopped host")
