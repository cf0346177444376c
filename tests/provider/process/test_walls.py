"""A hostile function within walls, beside the same function without: what each gets."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.provider.process import wall_probe
from springtide.provider.process.wall_probe import CALLS, FILES, PORTS, PROCESSES
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_table import ISOLATION
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.hostile import ATTEMPTS
from tests.provider.process.world import HANDLER, LANG, World, alive, eventually, url

MPTCP = 262
MEBIBYTE = 1 << 20
SCRATCH_BYTES = 8 * MEBIBYTE
POSSIBLE = wall_probe.probe_anywhere()


def needs(*walls: str) -> pytest.MarkDecorator:
    lacks = [f"{wall}: {POSSIBLE.missing[wall]}" for wall in walls if wall in POSSIBLE.missing]
    return pytest.mark.skipif(bool(lacks), reason="; ".join(lacks))


namespaces = pytest.mark.skipif(not POSSIBLE.walls.namespaces, reason="no namespaces here")


class Hostile(Shared):
    """Two hostile functions, of which one has walls, and what they are after."""

    def __init__(self, folder: Path) -> None:
        self._ends = contextlib.ExitStack()
        self.port, self.open_port = self._listens(), self._listens()
        """The first is closed to functions within walls."""
        victim = self._ends.enter_context(subprocess.Popen(["sleep", "600"], env={"OPERATORS": "secret"}))
        self._ends.callback(victim.kill)
        self.victim = victim.pid
        super().__init__(folder, closed_ports=(self.port,), scratch_bytes=SCRATCH_BYTES)
        self.addresses: Mapping[str, str] = self.run(self._deploy(self.world))

    def _listens(self) -> int:
        listener = self._ends.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        return int(listener.getsockname()[1])

    async def _deploy(self, world: World) -> Mapping[str, str]:
        await world.provider.put_secret("openfaas-fn", "theirs", b"other's", replace=False)
        await world.up("neighbour", "cat", secrets=("theirs",), labels={ISOLATION: "sandbox"})
        handler, kinds = world.handler(ATTEMPTS), ("none", "sandbox")
        return {kind: await world.up(kind, annotations=handler, labels={ISOLATION: kind}) for kind in kinds}

    @property
    def neighbour(self) -> int:
        """The process of another function's replica."""
        return replica_pid(self.world, "neighbour")

    async def tries(self, attempt: str, **given: object) -> dict[str, list[Any]]:
        """What comes of an attempt, by isolation."""
        asked = {"attempt": attempt, "with": given}
        return {name: (await self.world.http.post(at, json=asked)).json() for name, at in self.addresses.items()}

    async def only_without_walls(self, attempt: str, **given: object) -> None:
        came = await self.tries(attempt, **given)
        assert (came["none"][0], came["sandbox"][0]) == ("got", "not"), came

    def close(self) -> None:
        super().close()
        self._ends.close()


def replica_pid(world: World, name: str) -> int:
    (replica,) = world.provider._fleet.deployments[FunctionRef("openfaas-fn", name)].replicas.values()
    return replica.pid


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    hostile = Hostile(tmp_path_factory.mktemp("hostile"))
    try:
        yield hostile
    finally:
        hostile.close()


@needs(FILES)
async def test_function_reads_nobody_elses_files(hostile: Hostile, tmp_path: Path) -> None:
    state = hostile.world.state_dir
    mine = tmp_path / "operators"
    mine.write_text("the password")

    await hostile.only_without_walls("read", path=str(state / "secrets" / "openfaas-fn" / "theirs"))
    await hostile.only_without_walls("read", path=str(mine))
    await hostile.only_without_walls("listing", path=str(state / "functions"))
    for file in next((state / "mounts").glob("*/*/theirs")), state / "host.log":
        await hostile.only_without_walls("read", path=str(file))
    assert (await hostile.tries("listing", path="/usr"))["sandbox"][0] == "got"


@needs(FILES)
async def test_function_writes_nobody_elses_files(hostile: Hostile, tmp_path: Path) -> None:
    await hostile.only_without_walls("write", path=str(tmp_path / "left"))
    (tmp_path / "left").chmod(0o600)
    came = await hostile.tries("write", path="/tmp/mine")

    assert came["sandbox"] == ["got", "/tmp/mine"]


@namespaces
async def test_function_changes_no_modes_and_sees_no_other_function_in_its_own_places(
    hostile: Hostile, tmp_path: Path
) -> None:
    (tmp_path / "operators").write_text("")
    await hostile.only_without_walls("chmod", path=str(tmp_path / "operators"))
    await hostile.tries("write", path="/tmp/mine")

    (code,) = (await hostile.tries("listing", path=str(hostile.world.state_dir / "code")))["sandbox"][1]
    work = (await hostile.tries("listing", path=str(hostile.world.state_dir / "work")))["sandbox"][1]
    assert len(work) == 1
    assert code
    assert (await hostile.tries("write", path=f"{hostile.world.state_dir}/code/{code}/handler.py"))["sandbox"][
        0
    ] == "not"


@needs(PROCESSES)
async def test_function_reaches_no_process_but_its_own(hostile: Hostile) -> None:
    for pid in (hostile.victim, hostile.neighbour, os.getpid()):
        await hostile.only_without_walls("environment", pid=pid)
        await hostile.only_without_walls("signalled", pid=pid)
    for pid in (hostile.victim, hostile.neighbour):
        came = await hostile.tries("traced", pid=pid)
        assert came["sandbox"][0] == "not"
        assert came["none"][0] == "got" or os.geteuid() != 0, came


@needs(PORTS)
async def test_function_calls_no_port_of_ours(hostile: Hostile) -> None:
    await hostile.only_without_walls("call", port=hostile.port)

    assert (await hostile.tries("call", port=hostile.open_port))["sandbox"] == ["got", hostile.open_port]


@needs(PORTS, CALLS)
async def test_function_calls_no_port_of_ours_by_other_ways(hostile: Hostile) -> None:
    for came in (
        await hostile.tries("call", port=hostile.port, protocol=MPTCP),
        await hostile.tries("call_by_first_data", port=hostile.port),
    ):
        assert came["sandbox"][0] == "not", came


@pytest.mark.skipif(not POSSIBLE.walls.ports or PROCESSES in POSSIBLE.missing, reason="no rules of sockets here")
async def test_function_calls_no_abstract_socket(hostile: Hostile) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"springtide-test-{os.getpid()}"
        listener.bind(f"\0{name}")
        listener.listen()
        await hostile.only_without_walls("abstract", name=name)


@needs(CALLS)
async def test_function_makes_no_mounts_and_no_namespaces(hostile: Hostile) -> None:
    assert (await hostile.tries("mounted"))["sandbox"][0] == "not"


@namespaces
async def test_function_cannot_fill_the_disk(hostile: Hostile) -> None:
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "."):
        await hostile.only_without_walls("fill", path=f"{folder}/springtide-test-full", size=2 * SCRATCH_BYTES)


@namespaces
async def test_daemon_that_left_its_group_ends_with_its_replica(hostile: Hostile) -> None:
    mark = f"springtide-test-daemon-{os.getpid()}"
    came = await hostile.tries("daemon", mark=mark)
    assert {isolation: answer[0] for isolation, answer in came.items()} == {"none": "got", "sandbox": "got"}

    def running() -> list[int]:
        return [
            pid
            for pid in map(int, (entry.name for entry in Path("/proc").glob("[0-9]*")))
            if mark in _command(pid) and alive(pid)
        ]

    assert len(running()) == 2
    await hostile.world.provider.delete(FunctionRef("openfaas-fn", "sandbox"))
    await hostile.world.provider.delete(FunctionRef("openfaas-fn", "none"))
    await eventually(lambda: not running(), "the end of both")


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


async def test_script_beside_which_everything_else_is_shown_runs(hostile: Hostile, tmp_path: Path) -> None:
    """The program that is to be seen lies in the folder that is to be seen."""
    (tmp_path / "handler.sh").write_text("tr a-z A-Z")
    annotations = {HANDLER: str(tmp_path), LANG: "bash-streaming"}
    at = await hostile.world.up("shell", annotations=annotations, labels={ISOLATION: "sandbox"})

    assert (await hostile.world.http.post(at, content=b"tide")).text == "TIDE"


async def test_function_that_asks_for_no_walls_is_refused_where_the_suite_asks_for_them(world: Any) -> None:
    async with world(isolation_minimum="sandbox") as here:
        spec = here.spec("bold", "cat", labels={ISOLATION: "none"})

        with pytest.raises(BadInput, match=r"com\.springtide\.isolation='none': .*minimum=sandbox .*leave it out"):
            await here.provider.deploy(spec)


async def test_function_of_before_is_not_started_below_the_minimum_and_says_so(world: Any) -> None:
    async with world() as here:
        await here.up("bold", "cat", labels={ISOLATION: "none"})

    async with world(isolation_minimum="sandbox") as here:
        seen = await here.until(FunctionRef("openfaas-fn", "bold"), lambda seen: seen.problem)

        assert "function_isolation_minimum=sandbox" in seen.problem
        assert seen.lasting, "nobody need wait"
        assert not seen.endpoints


@pytest.mark.parametrize("call", [pytest.param("read", id="files"), pytest.param("signalled", id="processes")])
@pytest.mark.skipif(not POSSIBLE.walls.files_by_rules and not POSSIBLE.walls.ports, reason="no Landlock here")
def test_where_there_are_no_namespaces_rules_keep_files_and_processes_apart(tmp_path: Path, call: str) -> None:
    """On this machine made poorer: the provider, and all that it starts, may make no namespace."""
    came = subprocess.run(
        [sys.executable, "-m", "tests.provider.process.poorer", str(tmp_path), call],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert came.stdout, came.stderr
    told = json.loads(came.stdout.splitlines()[-1])

    assert told["none"][0] == "got", told
    assert told["sandbox"][0] == "not", told
    assert told["own"][0] == "got", told
    assert told["namespaces"] is False


MAX_PROCESSES, MANY_PROCESSES = 100, 600
COUNTED_BY_KERNEL = os.geteuid() != 0 or tuple(map(int, platform.release().split(".")[:2])) >= (6, 14)


@namespaces
@pytest.mark.skipif(not COUNTED_BY_KERNEL, reason="a PID namespace of root's has a bound since Linux 6.14")
async def test_function_has_no_more_processes_than_it_may_at_no_time(world: Any) -> None:
    """Whoever counts now and then, as is done for functions without walls, sees a peak too late, or never."""
    asked = {"attempt": "processes", "with": {"count": MANY_PROCESSES}}
    async with world(usage_interval_s=3600.0, replica_processes=MAX_PROCESSES) as here:
        handler, came = here.handler(ATTEMPTS), {}
        for kind in ("none", "sandbox"):
            address = await here.up(kind, annotations=handler, labels={ISOLATION: kind})
            came[kind] = (await here.http.post(address, json=asked)).json()

        assert came["none"] == ["got", MANY_PROCESSES] or os.geteuid() != 0
        assert came["sandbox"][0] == "not", came


LIMIT, MORE_BYTES = "96Mi", 400 * MEBIBYTE


@pytest.mark.parametrize("isolation", ["none", "sandbox"])
async def test_function_has_no_more_memory_than_its_limit(world: Any, isolation: str) -> None:
    """A limit is no wall: it is there without."""
    asked = {"attempt": "memory", "with": {"size": MORE_BYTES, "hold_s": 600}}
    async with world() as here:
        spec = here.spec(
            "greedy", annotations=here.handler(ATTEMPTS), labels={ISOLATION: isolation}, limits={"memory": LIMIT}
        )
        await here.provider.deploy(spec)
        address = url(await here.ready(spec.ref))

        with pytest.raises(httpx.TransportError):
            await here.http.post(address, json=asked)

        await here.log_says(spec.ref, f"memory limit {LIMIT} exceeded")


@namespaces
async def test_function_that_hangs_as_it_is_imported_ends_when_it_is_told(world: Any) -> None:
    """Process 1 of a namespace is not ended by a signal that it does not handle."""
    async with world(grace_s=600.0) as here:
        handler = here.handler("import time\nprint('importing', flush=True)\ntime.sleep(600)\ndef handle(e, c): ...\n")
        spec = here.spec("hangs", annotations=handler, labels={ISOLATION: "sandbox"})
        await here.provider.deploy(spec)
        await here.log_says(spec.ref, "importing")

        await here.provider.delete(spec.ref)

        await here.until_gone(spec.ref)
