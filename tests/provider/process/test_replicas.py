"""Scaling, updating, deleting and dying, with calls in flight."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from springtide.provider.process import default_bounds
from springtide.provider.spec import FunctionStatus
from springtide.runtime.errors import NotFound
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints
from tests.provider.process.world import World, alive, eventually, left_behind, url

REF = FunctionRef("openfaas-fn", "fn")

SLOW = """
import asyncio, os, pathlib
here = pathlib.Path("DEPLOYED-FROM")
async def handle(event, context):
    if event.path == "/slow":
        (here / f"began-{context.hostname}").touch()
        while not (here / "go").exists():
            await asyncio.sleep(0.01)
    if event.path == "/pid":
        return str(os.getpid())
    return context.hostname
"""


async def slow(world: World, replicas: int = 1, **spec: Any) -> FunctionEndpoints:
    await world.provider.deploy(world.spec("fn", annotations=world.handler(SLOW), **spec))
    if replicas != 1:
        await world.scale(REF, replicas)
    return await world.ready(REF, replicas)


async def call_slow(world: World, address: str) -> asyncio.Task[httpx.Response]:
    """A call that is being worked on and ends after ``let_go``."""
    folder = world.folder / "handler-folder"
    before = len(list(folder.glob("began-*")))
    call = asyncio.create_task(world.http.get(address + "/slow"))
    await eventually(lambda: len(list(folder.glob("began-*"))) > before, "the call's begin")
    return call


def let_go(world: World) -> None:
    (world.folder / "handler-folder" / "go").touch()


async def pid_of(world: World, address: str) -> int:
    return int((await world.http.get(address + "/pid")).text)


@pytest.mark.parametrize("change", ["scale to zero", "update", "delete"])
async def test_slow_call_survives(world: Any, change: str) -> None:
    async with world() as here:
        address = url(await slow(here))
        pid = await pid_of(here, address)
        call = await call_slow(here, address)

        match change:
            case "scale to zero":
                await here.scale(REF, 0)
                await here.until(REF, lambda seen: not seen.endpoints)
            case "update":
                await here.provider.update(here.spec("fn", annotations=here.handler(SLOW)))
                await here.until(REF, lambda seen: [e for e in seen.endpoints if "-2-" in e.instance])
            case "delete":
                await here.provider.delete(REF)
                await eventually(lambda: REF not in here.table)
        assert alive(pid)
        let_go(here)

        assert (await call).status_code == 200
        await eventually(lambda: not alive(pid), "the end of the old replica")


async def test_call_beyond_the_grace_period_is_broken_off_and_the_log_says_so(world: Any) -> None:
    async with world(grace_s=0.3) as here:
        call = await call_slow(here, url(await slow(here)))
        await here.scale(REF, 0)

        with pytest.raises(httpx.TransportError):
            await call
        await here.log_says(REF, "broken off")


async def test_scale_down_takes_the_least_busy(world: Any) -> None:
    async with world() as here:
        function = await slow(here, 4)
        calls = [await call_slow(here, url(function, index)) for index in (0, 2)]
        busy = {function.endpoints[0].instance, function.endpoints[2].instance}

        await here.scale(REF, 2)
        left = await here.ready(REF, 2)
        let_go(here)

        assert {endpoint.instance for endpoint in left.endpoints} == busy
        assert {(await call).text for call in calls} == busy


async def test_rolling_update_under_load_loses_no_call(world: Any) -> None:
    async with world(linger_s=0.2) as here:
        await slow(here, 3)
        calling, statuses, generations = True, set(), set()

        async def call_on_and_on(worker: int) -> None:
            """Picks replicas from the table as a gateway does, one connection per call."""
            while calling:
                endpoints = here.table[REF].endpoints
                address = endpoints[worker % len(endpoints)]
                answer = await here.http.get(f"http://{address.host}:{address.port}/", headers={"Connection": "close"})
                statuses.add(answer.status_code)
                generations.add(answer.text.split("-")[1])

        callers = [asyncio.create_task(call_on_and_on(worker)) for worker in range(4)]
        for generation in ("2", "3", "4"):
            await here.provider.update(here.spec("fn", annotations=here.handler(SLOW)))
            await eventually(lambda latest=generation: latest in generations, "an answer of the new generation")  # type: ignore[misc]
        calling = False
        await asyncio.gather(*callers)

        assert statuses == {200}


async def test_update_never_has_fewer_ready_than_wanted(world: Any) -> None:
    async with world() as here:
        await slow(here, 4)
        seen: list[int] = []
        await here.provider.update(here.spec("fn", annotations=here.handler(SLOW)))

        def done(function: FunctionEndpoints) -> bool:
            seen.append(len(function.endpoints))
            return len(function.endpoints) == 4 and all("-2-" in item.instance for item in function.endpoints)

        await here.until(REF, done)
        assert min(seen) >= 4
        assert max(seen) <= 6


async def test_update_that_cannot_start_leaves_the_old_ones_at_work(world: Any) -> None:
    async with world() as here:
        before = await slow(here, 2)
        await here.provider.update(here.spec("fn", annotations=here.handler("import missing_module")))
        failing = await here.until(REF, lambda seen: seen.problem)
        again = await here.until(REF, lambda seen: seen.version != failing.version or seen.problem)

        assert again.endpoints == before.endpoints
        await here.trouble(REF, "missing_module")
        assert (await here.http.get(url(again))).status_code == 200

        await here.provider.update(here.spec("fn", annotations=here.handler(SLOW)))
        repaired = await here.until(
            REF, lambda seen: len(seen.endpoints) == 2 and all("-3-" in item.instance for item in seen.endpoints)
        )
        assert repaired.problem is None


async def test_update_while_nothing_was_ready_works(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", "sh -c 'exit 3'", {"mode": "http"}))
        await here.trouble(REF, "before it listened")
        await here.provider.update(here.spec("fn", "cat"))
        function = await here.ready(REF)

        assert function.problem is None


async def test_replica_that_dies_is_replaced_and_everybody_is_told(world: Any) -> None:
    async with world() as here:
        function = await slow(here, 2)
        pid = await pid_of(here, url(function))
        dead = function.endpoints[0].instance
        problems: list[str] = []

        os.kill(pid, signal.SIGSEGV)

        def replaced(seen: FunctionEndpoints) -> bool:
            problems.extend([seen.problem] if seen.problem else [])
            instances = {endpoint.instance for endpoint in seen.endpoints}
            return len(instances) == 2 and dead not in instances

        after = await here.until(REF, replaced)
        assert any(dead in problem and "SIGSEGV" in problem for problem in problems)
        assert after.problem is None
        await here.log_says(REF, "replica killed by SIGSEGV; next start in")
        text = generate_latest(here.registry).decode()
        assert 'provider_replica_restarts_total{function_name="fn.openfaas-fn"} 1.0' in text


async def test_function_that_keeps_dying_says_why_with_its_last_line(world: Any) -> None:
    async def story() -> FunctionStatus:
        async with world() as here:
            source = "print('about to fail')\nraise SystemExit(9)"
            await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
            await here.log_says(REF, "next start in")
            await here.until(REF, lambda seen: seen.problem)
            return await here.provider.status(REF)

    status = await story()

    assert status.problem is not None
    assert "exited with status" in status.problem
    assert "about to fail" in status.problem or "SystemExit" in status.problem
    assert status.function.scale.ready == 0


async def test_replica_that_is_not_ready_in_time_is_given_up(world: Any) -> None:
    async with world(start_timeout_s=0.3) as here:
        source = "import time\ntime.sleep(1000)"
        await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
        function = await here.until(REF, lambda seen: seen.problem)
        assert "was not ready within 0.3 s" in (function.problem or "")


async def test_replica_that_does_not_answer_health_checks_is_replaced(world: Any) -> None:
    checks = {"health_interval_s": 0.05, "health_timeout_s": 0.2, "health_failures": 2}
    async with world(**checks, usage_interval_s=60, grace_s=0.2) as here:
        function = await slow(here)
        pid = await pid_of(here, url(function))
        stuck = function.endpoints[0].instance

        os.kill(pid, signal.SIGSTOP)
        await here.until(REF, lambda seen: seen.endpoints and seen.endpoints[0].instance != stuck)

        await here.log_says(REF, "did not answer 2 health checks in a row")
        await eventually(lambda: not alive(pid), "the end of the stopped replica")


async def test_replica_that_is_stopped_is_replaced_and_its_callers_wait_no_longer(world: Any) -> None:
    async with world(health_interval_s=60, grace_s=60) as here:
        function = await slow(here)
        pid, stuck = await pid_of(here, url(function)), function.endpoints[0].instance
        os.kill(pid, signal.SIGSTOP)
        call = asyncio.create_task(here.http.get(url(function)))

        with pytest.raises(httpx.TransportError) as caught:
            await call

        assert not isinstance(caught.value, httpx.TimeoutException), "broken, and not given up"
        await here.until(REF, lambda seen: seen.endpoints and seen.endpoints[0].instance != stuck)
        await here.log_says(REF, "was stopped by a signal (SIGSTOP) and did nothing")


async def test_daemons_end_with_their_replica(world: Any) -> None:
    """One that left its group and session, and whose parent is gone."""

    async with world() as here:
        mark = here.folder / "daemon.pid"
        script = here.folder / "daemon.sh"
        script.write_text(f"echo $$ > {mark}; sleep 1000")
        source = (
            "import subprocess\n"
            f"subprocess.run(['sh', '-c', 'setsid sh {script} > /dev/null 2>&1 &'])\n"
            "def handle(event, context): return ''"
        )
        await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
        await here.ready(REF)
        await eventually(lambda: mark.exists() and mark.read_text().strip(), "the daemon")
        daemon = int(mark.read_text())
        assert alive(daemon)

        await here.scale(REF, 0)
        await eventually(lambda: not alive(daemon), "the end of the daemon")


async def test_programs_end_with_a_replica_that_is_killed(world: Any) -> None:
    async with world() as here:
        mark = here.folder / "program.pid"
        address = await here.up("fn", f"sh -c 'echo $$ > {mark}; sleep 1000; true'")
        call = asyncio.create_task(here.http.get(address))
        await eventually(lambda: mark.exists() and mark.read_text().strip(), "the program")
        program = int(mark.read_text())

        os.kill(parent_of(program), signal.SIGKILL)
        await eventually(lambda: not alive(program), "the end of the program")

        await asyncio.gather(call, return_exceptions=True)
        await here.until(REF, lambda seen: seen.endpoints and url(seen) != address)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


async def test_function_taken_to_zero_has_no_problem_any_more(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", "sh -c 'exit 3'", {"mode": "http"}))
        await here.until(REF, lambda seen: seen.problem)
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.replicas and not seen.problem)
        await here.scale(REF, 1)
        await here.until(REF, lambda seen: seen.problem)


async def test_memory_limit_ends_the_replica_and_names_itself(world: Any) -> None:
    async with world() as here:
        source = "kept = []\ndef handle(event, context):\n    kept.append(b'x' * 80_000_000)\n    return ''"
        await here.provider.deploy(
            here.spec("fn", annotations=here.handler(source), limits={"memory": "64Mi", "cpu": "500m"})
        )
        address = url(await here.ready(REF))
        killed = "provider_replica_out_of_memory_total", {"function_name": str(REF)}
        assert here.registry.get_sample_value(*killed) == 0, "told from the start, so that the first is an increase"
        with contextlib.suppress(httpx.TransportError):  # It may be ended before it has answered.
            await here.http.get(address)

        await here.log_says(REF, "memory limit 64Mi exceeded")
        await here.until(REF, lambda seen: seen.endpoints and url(seen) != address)
        assert (await here.provider.status(REF)).spec.limits == {"memory": "64Mi", "cpu": "500m"}
        assert here.registry.get_sample_value(*killed) == 1


async def test_small_memory_limit_counts_only_what_is_the_functions_own(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", "cat", limits={"memory": "20Mi"}))
        function = await here.ready(REF)
        await eventually(lambda: b'pod="' in generate_latest(here.registry), "the first measurement")
        usage = (await here.provider.status(REF, usage=True)).usage

        assert usage is not None
        assert 0 < usage.memory_bytes < 20 << 20
        assert 0 < (await here.provider.memory_use())[REF] < 20 << 20
        assert here.table[REF].endpoints == function.endpoints


async def test_usage_is_measured_and_exported(world: Any) -> None:
    async with world() as here:
        source = "def handle(event, context):\n    sum(i * i for i in range(3_000_000))\n    return ''"
        await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
        function = await here.ready(REF)
        most = 0.0
        for _ in range(200):
            await here.http.get(url(function))
            usage = (await here.provider.status(REF, usage=True)).usage
            most = max(most, usage.cpu_millicores if usage else 0.0)
            if most > 0:
                break

        assert most > 0
        text = generate_latest(here.registry).decode()
        pod = function.endpoints[0].instance
        labels = f'{{function_name="fn.openfaas-fn",namespace="openfaas-fn",pod="{pod}"}}'
        assert f"pod_cpu_usage_seconds_total{labels}" in text
        assert f"pod_memory_working_set_bytes{labels}" in text
        assert 'provider_replica_start_seconds_count{function_name="fn.openfaas-fn"} 1.0' in text


async def test_deleted_function_leaves_no_files_and_no_series(world: Any) -> None:
    async with world() as here:
        await slow(here)
        await here.provider.delete(REF)
        with pytest.raises(NotFound):
            await here.provider.read(REF)
        left = [here.state_dir / kind for kind in ("functions", "logs", "work")]
        await eventually(lambda: not any(list(folder.iterdir()) for folder in left), "empty folders")

        text = generate_latest(here.registry).decode()
        assert "fn.openfaas-fn" not in text


async def test_twenty_replicas_come_and_go(world: Any) -> None:
    async with world() as here:
        await slow(here, 20)
        status = await here.provider.status(REF)
        assert (status.function.scale.desired, status.function.scale.ready) == (20, 20)
        await here.scale(REF, 1)
        await here.ready(REF, 1)


async def test_name_deployed_anew_while_the_old_one_drains_is_another_function(world: Any) -> None:
    async with world() as here:
        call = await call_slow(here, url(await slow(here)))
        version = (await here.provider.read(REF)).scale.version
        await here.provider.delete(REF)
        await here.provider.deploy(here.spec("fn", "echo new"))
        function = await here.until(REF, lambda seen: seen.endpoints and seen.version != version)

        assert (await here.http.post(url(function))).text == "new\n"
        let_go(here)
        assert (await call).status_code == 200


async def test_replica_with_too_many_processes_is_ended_with_all_of_them(world: Any) -> None:
    async with world(replica_processes=60) as here:
        command = "sh -c 'for i in $(seq 2000); do setsid sleep 1000 & done; wait'"
        address = await here.up("fn", command)
        with contextlib.suppress(httpx.TransportError):
            await here.http.get(address)

        await here.log_says(REF, "had more processes and threads than it may have (function_processes, 60)")
        await here.until(REF, lambda seen: seen.endpoints and url(seen) != address)
        # The host, its fork server and that one's spare, and the new replica.
        await eventually(lambda: len(left_behind(here.state_dir)) == 4, "the end of what it started")


async def test_replica_is_bounded_in_memory_where_its_function_does_not_say(world: Any) -> None:
    async with world(replica_memory="64Mi") as here:
        source = "kept = []\ndef handle(event, context):\n    kept.append(b'x' * 80_000_000)\n    return ''"
        await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
        address = url(await here.ready(REF))
        with contextlib.suppress(httpx.TransportError):
            await here.http.get(address)

        await here.log_says(REF, "(function_memory, 64Mi); set limits.memory")
        await here.until(REF, lambda seen: seen.endpoints and url(seen) != address)


async def test_machine_is_never_given_whole(world: Any) -> None:
    async with world() as here:
        bound = default_bounds.memory_bytes(here.settings.replica_memory)

        assert bound is not None
        assert 0 < 2 * bound <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert here.settings.replica_processes > 0


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        pytest.param("none", {}, None, id="no bound"),
        pytest.param("64Mi", {}, 64 << 20, id="a quantity"),
        pytest.param("half", {"a/memory.max": "1073741824", "a/b/memory.max": "max"}, 512 << 20, id="of a container"),
        pytest.param("half", {"memory/memory.limit_in_bytes": "1073741824"}, 512 << 20, id="of an older container"),
    ],
)
def test_memory_bound(tmp_path: Path, text: str, files: dict[str, str], expected: int | None) -> None:
    (tmp_path / "own").write_text("0::/a/b\n")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)

    assert default_bounds.memory_bytes(text, cgroups=tmp_path, own=tmp_path / "own") == expected
