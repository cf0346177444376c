"""One fork server for each environment: what a handler finds there, and what happens when a server goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.process.environments import Environment
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.test_process_crashes import children, host_pid, named
from tests.provider.process.wheels import make_wheel, requirements
from tests.provider.process.world import World, alive, eventually, url

REF = FunctionRef("openfaas-fn", "fn")
LOOK = """
import importlib.util, json, sys
def handle(event, context):
    found = {name: bool(importlib.util.find_spec(name)) for name in ("springtide", "fastapi", "uvloop", "watchdog")}
    more = {name: getattr(sys, name) for name in ("executable", "prefix", "argv", "path")}
    return {**found, **more, "main": sorted(vars(sys.modules["__main__"]))}
"""
USES = "import tide_sample\ndef handle(event, context):\n    return tide_sample.VERSION\n"


def servers(here: World) -> list[int]:
    """Each leads a session of its own; a spare that is too new to have a name has its server's, but not its session."""
    return [pid for pid in named(children(host_pid(here)), "fork-server") if os.getsid(pid) == pid]


def spares(here: World) -> list[int]:
    return named(children(host_pid(here)), "spare")


def wheel(here: World, name: str, version: str = "1.0") -> dict[str, str]:
    """The annotations of a function that needs a package of its own."""
    folder = here.folder / name
    make_wheel(folder / "wheels", "tide_sample", version)
    (folder / "requirements.txt").write_text(requirements(f"tide_sample=={version}"))
    return here.handler(USES, name)


def default(here: World) -> Environment:
    return here.pinning.stores.default


async def test_handler_without_requirements_has_the_machines_python_and_nothing_of_ours(world: Any) -> None:
    async with world() as here:
        seen = (await here.http.get(await here.up("fn", annotations=here.handler(LOOK)))).json()

        assert not any(seen[name] for name in ("springtide", "fastapi", "uvloop", "watchdog"))
        assert (seen["executable"], seen["prefix"]) == (str(default(here).python), str(default(here).folder))
        ours = [path for path in seen["path"] if "springtide" in path or ".venv" in path]
        assert ours == []
        assert seen["argv"] == ["index.py"]
        assert [name for name in seen["main"] if not name.startswith("__")] == []


async def test_functions_with_other_requirements_have_them_side_by_side(world: Any) -> None:
    async with world() as here:
        first = await here.up("one", annotations=wheel(here, "one", "1.0"))
        second = await here.up("two", annotations=wheel(here, "two", "2.0"))
        assert (await here.http.get(first)).text == "1.0"
        assert (await here.http.get(second)).text == "2.0"
        await eventually(lambda: len(servers(here)) == 3)
        assert here.registry.get_sample_value("provider_environment_start_seconds_count") >= 2


async def test_programs_find_the_environment_of_a_function_first(world: Any) -> None:
    async with world() as here:
        annotations = wheel(here, "one")
        command = "python3 -c 'import tide_sample, sys; print(tide_sample.VERSION, sys.executable)'"
        env = {"mode": "classic"}
        answer = (await here.http.get(await here.up("fn", command, env, annotations=annotations))).text
        assert answer.startswith("1.0 ")
        assert "/environments/" in answer


async def test_killed_fork_server_takes_no_replica_along_and_is_replaced(world: Any) -> None:
    async with world() as here:
        spec = here.spec("fn", annotations=wheel(here, "one"))
        await here.provider.deploy(spec)
        before = await here.ready(REF, 1)
        replicas, killed = named(children(host_pid(here)), "fn-"), servers(here)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not any(alive(pid) for pid in killed))
        assert (await here.http.get(url(before))).text == "1.0"

        await here.scale(REF, 3)

        after = await here.ready(REF, 3)
        assert set(before.endpoints) <= set(after.endpoints)
        assert set(replicas) <= set(named(children(host_pid(here)), "fn-"))
        await here.up("other", "cat")


async def test_spare_becomes_the_next_replica_and_has_a_successor(world: Any) -> None:
    async with world() as here:
        await eventually(lambda: len(spares(here)) == 1)
        ahead = spares(here)
        await here.up("fn", annotations=here.handler(LOOK))
        assert named(children(host_pid(here)), "fn-") == ahead
        await eventually(lambda: len(spares(here)) == 1)
        assert spares(here) != ahead


async def test_what_ended_replicas_left_is_removed_after_the_next_start(world: Any) -> None:
    async with world() as here:
        await here.up("fn", annotations=here.handler(LOOK))
        (place,) = (here.state_dir / "work").iterdir()
        (first,) = place.iterdir()
        await here.scale(REF, 0)
        await eventually(lambda: not named(children(host_pid(here)), "fn-"))
        await here.scale(REF, 1)
        await here.ready(REF, 1)
        await eventually(lambda: not first.exists())
        assert len(list(place.iterdir())) == 1


async def test_killed_spare_costs_no_start(world: Any) -> None:
    async with world() as here:
        await eventually(lambda: len(spares(here)) == 1)
        before = servers(here)
        for pid in spares(here):
            os.kill(pid, signal.SIGKILL)
        await here.up("fn", annotations=here.handler(LOOK))
        assert servers(here) == before
        await eventually(lambda: len(spares(here)) == 1)


async def test_spare_ends_with_its_server(world: Any) -> None:
    async with world() as here:
        await eventually(lambda: len(spares(here)) == 1)
        ahead = spares(here)
        for pid in servers(here):
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not any(alive(pid) for pid in ahead))


async def test_spare_outlives_the_orphans_of_replicas_and_is_none(world: Any) -> None:
    async with world() as here:
        await here.up("fn", annotations=here.handler(LOOK))
        await eventually(lambda: len(spares(here)) == 1)
        ahead = spares(here)
        for pid in named(children(host_pid(here)), "fn-"):
            os.kill(pid, signal.SIGKILL)
        # A killed replica is among them until it is collected.
        await here.until(REF, lambda seen: seen.endpoints and named(children(host_pid(here)), "fn-") == ahead)
        assert len(here.table[REF].endpoints) == 1


async def test_spare_holds_its_socket_and_nothing_else(world: Any) -> None:
    async with world() as here:
        await here.up("fn", annotations=here.handler(LOOK))
        await eventually(lambda: len(spares(here)) == 1)
        (spare,) = spares(here)
        links = {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{spare}/fd").iterdir()}
        assert links[0] == os.devnull
        assert [link.partition(":")[0] for number, link in links.items() if number > 2] == ["socket"]
        environ = Path(f"/proc/{spare}/environ").read_bytes()
        (server,) = servers(here)
        assert environ == Path(f"/proc/{server}/environ").read_bytes(), "nothing of a function's"


async def test_stopped_fork_server_is_replaced(world: Any) -> None:
    async with world() as here:
        await here.up("fn", annotations=wheel(here, "one"))
        for pid in servers(here):
            os.kill(pid, signal.SIGSTOP)
        await here.scale(REF, 2)
        await here.ready(REF, 2)


HALTS_ONCE_IT_TOLD = """#!/bin/sh
exec {python} -I -c '
import os, signal, socket, sys
send = socket.send_fds
def send_and_halt(*given):
    send(*given)
    os.kill(os.getpid(), signal.SIGSTOP)
socket.send_fds = send_and_halt
program, sys.argv[1:] = sys.argv[3], sys.argv[4:]
exec(program)
' "$@"
"""
FORK = """
import os, select, sys
from springtide.provider.process.host.fork_servers import ForkServer
from springtide.watchdog import linux
from springtide.watchdog.start import Inherited, Start
linux.adopt_orphans()
server = ForkServer(sys.argv[1], os.environ)
select.select([server.control], [], [])
assert server.hear()
server.control.settimeout(0.2)
try:
    server.fork(Start("a", {}, "/", 1.0, 1.0), Inherited(0, 1, 2))
except OSError as error:
    print("not forked:", error)
finally:
    server.kill()
"""


def test_spare_of_a_server_that_halts_once_it_told_of_it_is_no_replica(tmp_path: Path) -> None:
    """Its server has not let go of it, so it would wait, and be waited for, for as long as the server halts."""
    halting = tmp_path / "python"
    halting.write_text(HALTS_ONCE_IT_TOLD.format(python=sys.executable))
    halting.chmod(0o755)

    tried = subprocess.run(
        [sys.executable, "-c", FORK, str(halting)], capture_output=True, text=True, timeout=600, check=True
    )

    assert tried.stdout.startswith("not forked:")


ROUND = """
import os, selectors, sys
from springtide.provider.process.host.fork_servers import ForkServers
from springtide.watchdog import linux
from springtide.watchdog.start import Inherited, Start
linux.adopt_orphans()
nothing = os.open(os.devnull, os.O_RDWR)
start = Start("a", {}, "/", 1.0, 1.0), Inherited(nothing, nothing, nothing)
selector = selectors.DefaultSelector()
servers = ForkServers(selector, os.environ, sys.executable, 60.0)
server = servers.of(sys.executable, walled=False)
selector.select()
assert servers.heard(server)
server.fork(*start)
server.prepare()
events = selector.select()
server.fork(*start)  # another event of this round
for key, _ in events:
    servers.heard(key.data)
print(len(servers))
servers.end()
"""


def test_server_whose_spare_was_used_in_the_round_in_which_it_told_of_it_is_kept() -> None:
    tried = subprocess.run([sys.executable, "-c", ROUND], capture_output=True, text=True, timeout=600, check=True)

    assert tried.stdout == "1\n"


async def test_fork_server_that_nothing_needs_ends_and_starts_on_demand(world: Any) -> None:
    async with world(environment_idle_s=1) as here:
        await here.up("fn", annotations=wheel(here, "one"))
        assert here.table[REF].endpoints[0].environment_s > 0, "an interpreter had to start"
        await here.scale(REF, 2)
        assert [each.environment_s > 0 for each in (await here.ready(REF, 2)).endpoints] == [True, False]
        await eventually(lambda: len(servers(here)) == 2)
        await here.scale(REF, 0)
        await eventually(lambda: len(servers(here)) == 1, "the end of a server without replicas")
        await here.scale(REF, 1)
        await here.until(REF, lambda seen: seen.endpoints)
        await here.http.get(url(here.table[REF]))


async def test_environment_that_is_broken_is_its_functions_problem_alone(world: Any) -> None:
    async with world(restart_first_s=0.2, restart_most_s=0.2) as here:
        await here.up("fn", annotations=wheel(here, "one"))
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.endpoints)
        pinned = here.provider._fleet.deployments[REF].record.current.pinned
        environment = here.pinning.environments.get(pinned.environment)
        for pid in [*servers(here), *spares(here)]:
            with contextlib.suppress(ProcessLookupError):  # a spare ends with its server
                os.kill(pid, signal.SIGKILL)
        config = environment.folder / "pyvenv.cfg"
        good, _ = config.read_text(), environment.python.unlink()
        environment.python.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
        environment.python.chmod(0o755)
        assert good

        await here.scale(REF, 1)

        await here.until(REF, lambda seen: "its Python interpreter ended before it was ready" in (seen.problem or ""))
        await here.up("other", "cat")


async def test_python_that_the_machine_does_not_have_is_refused(world: Any) -> None:
    async with world() as here:
        annotations = here.handler(LOOK)
        (here.folder / "handler-folder" / ".python-version").write_text("3.99\n")
        with pytest.raises(BadInput, match=r"wants Python ==3.99.\*, and this machine has"):
            await here.up("fn", annotations=annotations)
        assert REF not in here.provider._fleet.deployments


def test_the_host_imports_little(tmp_path: Path) -> None:
    """It is there for as long as anything runs, and so is the memory that it takes."""
    import subprocess
    import sys

    source = (
        "import sys, springtide.provider.process.host.startup\n"
        "print([name for name in ('asyncio', 'subprocess', 'ssl', 'structlog', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
