"""Two providers behind one: who gets a function, what both are told, and what is seen of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter, generate_latest

from springtide.provider.memory import MemoryProvider
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.routing.metrics import JoinedRegistries
from springtide.provider.routing.provider import RoutingProvider
from springtide.provider.runtime_label import Runtime, check_only
from springtide.provider.spec import PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec, spec_from_json, status_to_json
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.label_table import RUNTIME
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot
from tests.provider.contract.acts import ECHO, marked

HERE, ELSEWHERE = "here", "ghcr.io/me/elsewhere:1"
OTHER = FunctionRef(DEFAULT_NAMESPACE, "other")


@dataclass
class Two:
    processes: MemoryProvider = field(default_factory=MemoryProvider)
    containers: MemoryProvider = field(default_factory=MemoryProvider)

    def __post_init__(self) -> None:
        self.routing = RoutingProvider(self.processes, self.containers, lambda spec: spec.image == HERE)

    async def runtime(self, ref: FunctionRef = ECHO) -> str:
        """Of a function that is on one side only."""
        found = []
        for runtime, side in ((Runtime.PROCESS, self.processes), (Runtime.CONTAINER, self.containers)):
            with suppress(NotFound):
                await side.read(ref)
                found.append(runtime)
        (one,) = found
        assert (await self.routing.status(ref)).runtime is one
        return one


@pytest.fixture
def two() -> Two:
    return Two()


def spec(image: str, runtime: str = "", ref: FunctionRef = ECHO) -> FunctionSpec:
    return FunctionSpec(ref=ref, image=image, labels={RUNTIME: runtime} if runtime else {})


@pytest.mark.parametrize(
    ("image", "label", "runtime"),
    [
        pytest.param(HERE, "", "process", id="what it runs is here"),
        pytest.param(ELSEWHERE, "", "container", id="it is not"),
        pytest.param(HERE, "container", "container", id="the label wants a container"),
        pytest.param(ELSEWHERE, "process", "process", id="the label wants a process"),
    ],
)
async def test_function_is(two: Two, image: str, label: str, runtime: str) -> None:
    await two.routing.deploy(spec(image, label))

    assert await two.runtime() == runtime


async def test_function_that_is_a_process_stays_one_whatever_its_image(two: Two) -> None:
    await two.routing.deploy(spec(HERE))

    await two.routing.update(spec(ELSEWHERE))
    await two.routing.deploy(spec(ELSEWHERE))

    assert await two.runtime() == "process"
    assert (await two.routing.status(ECHO)).spec.image == ELSEWHERE


@pytest.mark.parametrize(
    ("first", "then", "there", "because"),
    [
        pytest.param(spec(HERE), spec(HERE, "container"), "process", f"label {RUNTIME}=container", id="by label"),
        pytest.param(spec(ELSEWHERE), spec(ELSEWHERE, "process"), "container", f"{RUNTIME}=process", id="back"),
        pytest.param(spec(ELSEWHERE), spec(HERE), "container", f"image {HERE}", id="by its image"),
    ],
)
@pytest.mark.parametrize("verb", ["deploy", "update"])
async def test_deployment_that_would_move_a_function_is_refused_with_the_remedy(
    two: Two, verb: str, first: FunctionSpec, then: FunctionSpec, there: str, because: str
) -> None:
    await two.routing.deploy(first)

    with pytest.raises(BadInput) as refused:
        await getattr(two.routing, verb)(then)

    for part in (f"echo is a {there}", because, f"{RUNTIME}={there}", "springtide remove echo"):
        assert part in str(refused.value)
    assert await two.runtime() == there

    await two.routing.delete(ECHO)
    await two.routing.deploy(then)
    assert await two.runtime() != there


async def test_deployments_at_once_that_disagree_leave_the_function_on_one_side(two: Two) -> None:
    results = await asyncio.gather(
        *(two.routing.deploy(spec(image)) for image in (ELSEWHERE, HERE, ELSEWHERE, HERE)), return_exceptions=True
    )

    assert await two.runtime() == "container"
    assert [type(result) for result in results] == [type(None), BadInput, type(None), BadInput]


def test_label_that_is_neither_is_refused_with_key_value_and_remedy(two: Two) -> None:
    body = {"service": "echo", "image": "x", "labels": {RUNTIME: "pod"}}

    with pytest.raises(BadInput, match=rf"{RUNTIME}='pod': write process or container"):
        spec_from_json(body, deploying=True)


def test_where_functions_are_one_thing_the_other_is_refused() -> None:
    check_only(Runtime.PROCESS, {RUNTIME: "process"})
    check_only(Runtime.PROCESS, {})

    with pytest.raises(BadInput, match=f"{RUNTIME}=container: every function is a process here; .*process,containers"):
        check_only(Runtime.PROCESS, {RUNTIME: "container"})


async def test_status_tells_the_runtime_only_where_functions_differ_in_it(two: Two) -> None:
    await two.routing.deploy(spec(HERE))
    await two.routing.deploy(spec(ELSEWHERE, ref=OTHER))

    listed = [status_to_json(status) for status in await two.routing.statuses(DEFAULT_NAMESPACE)]

    assert [(value["name"], value["runtime"]) for value in listed] == [("echo", "process"), ("other", "container")]
    assert "runtime" not in status_to_json(await two.processes.status(ECHO))


async def test_secret_is_for_processes_and_containers_alike(two: Two) -> None:
    await two.routing.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)
    await two.routing.put_secret(DEFAULT_NAMESPACE, "token", b"2", replace=True)

    assert [await side.read_secret(DEFAULT_NAMESPACE, "token") for side in (two.processes, two.containers)] == [
        b"2"
    ] * 2

    await two.routing.delete_secret(DEFAULT_NAMESPACE, "token")
    assert [list(await side.secret_names(DEFAULT_NAMESPACE)) for side in (two.processes, two.containers)] == [[], []]


async def test_secret_that_only_one_side_was_told_of_can_be_replaced_and_deleted(two: Two) -> None:
    for name in ("replaced", "deleted"):
        await two.containers.put_secret(DEFAULT_NAMESPACE, name, b"1", replace=False)

    await two.routing.put_secret(DEFAULT_NAMESPACE, "replaced", b"2", replace=True)
    await two.routing.delete_secret(DEFAULT_NAMESPACE, "deleted")

    assert await two.routing.secret_names(DEFAULT_NAMESPACE) == ["replaced"]
    assert await two.processes.read_secret(DEFAULT_NAMESPACE, "replaced") == b"2"


async def test_what_each_side_had_alone_both_have_after_a_start(two: Two) -> None:
    await two.processes.put_secret(DEFAULT_NAMESPACE, "of-processes", b"1", replace=False)
    await two.containers.put_namespace(marked("dev"), replace=False)
    await two.containers.put_secret("dev", "of-containers", b"2", replace=False)

    await two.routing.settle()

    for side in (two.processes, two.containers):
        assert [namespace.name for namespace in await side.namespaces()] == ["dev", DEFAULT_NAMESPACE]
        assert await side.read_secret(DEFAULT_NAMESPACE, "of-processes") == b"1"
        assert await side.read_secret("dev", "of-containers") == b"2"


async def test_secret_of_two_values_and_function_of_two_sides_are_told_at_the_start(two: Two) -> None:
    for side, value in ((two.processes, b"1"), (two.containers, b"2")):
        await side.put_secret(DEFAULT_NAMESPACE, "token", value, replace=False)
        await side.deploy(spec(HERE))

    with structlog.testing.capture_logs() as logged:
        await two.routing.settle()

    assert [(entry.get("secret"), entry.get("function")) for entry in logged if entry["log_level"] == "error"] == [
        ("token", None),
        (None, str(ECHO)),
    ]
    assert await two.processes.read_secret(DEFAULT_NAMESPACE, "token") == b"1"


async def test_of_two_functions_of_one_name_the_process_is_seen_until_it_is_removed(two: Two) -> None:
    await two.containers.deploy(spec(ELSEWHERE))
    await two.processes.deploy(spec(HERE))

    async with watching(two.routing) as events:
        first = await anext(events)
        assert isinstance(first, Snapshot)
        (seen,) = first.functions
        assert seen.endpoints == (await endpoints(two.processes))[0].endpoints
        assert [function.scale for function in await two.routing.list_functions()] == [
            (await two.processes.read(ECHO)).scale
        ]

        await two.containers.write(ECHO, 3, expect=None, decision=None)
        await two.routing.delete(ECHO)
        async for event in events:
            assert isinstance(event, Changed), "it is never gone"
            if event.function.replicas == 3:
                break
        assert await two.runtime() == "container"

        await two.routing.delete(ECHO)
        assert await anext(events) == Removed(ECHO)


async def test_endpoints_of_both_are_one_snapshot_and_then_each_change(two: Two) -> None:
    await two.routing.deploy(spec(HERE))
    await two.routing.deploy(spec(ELSEWHERE, ref=OTHER))

    async with watching(two.routing) as events:
        first = await anext(events)
        assert isinstance(first, Snapshot)
        assert [function.ref for function in first.functions] == [ECHO, OTHER]
        for ref in (OTHER, ECHO):
            await two.routing.write(ref, 2, expect=None, decision=None)
            changed = await anext(events)
            assert isinstance(changed, Changed)
            assert (changed.function.ref, changed.function.replicas) == (ref, 2)


async def test_who_watches_no_more_leaves_nothing_behind(two: Two) -> None:
    async with watching(two.routing) as events:
        await anext(events)

    assert "0 watchers" in repr(two.processes._feed)
    assert "0 watchers" in repr(two.containers._feed)
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()


def test_metrics_of_one_name_are_one_family() -> None:
    joined, sides = CollectorRegistry(), (CollectorRegistry(), CollectorRegistry())
    for name, side in zip(("echo", "other"), sides, strict=True):
        Counter("restarts", "Of replicas.", ["function_name"], registry=side).labels(name).inc()
    joined.register(JoinedRegistries(*sides))

    text = generate_latest(joined).decode()

    assert text.count("# TYPE restarts_total counter") == 1
    assert 'restarts_total{function_name="echo"} 1.0\nrestarts_total{function_name="other"} 1.0' in text


@pytest.mark.parametrize(
    ("changes", "here"),
    [
        pytest.param({"image": "ghcr.io/me/mine:1", "env_process": "python index.py"}, False, id="a command alone"),
        pytest.param({"image": "ghcr.io/me/mine:1", "annotations": {HANDLER: "/home/me/mine"}}, True, id="a handler"),
        pytest.param({"image": "ghcr.io/functions/alpine:latest"}, True, id="a built-in image"),
        pytest.param({"image": "none"}, True, id="none"),
        pytest.param({"image": "any"}, True, id="any"),
        pytest.param({"image": PYTHON_IMAGE}, True, id="what a stack file without an image stands for"),
        pytest.param({"image": PROCESS_IMAGE, "env_process": "wc"}, True, id="the same of a command"),
        pytest.param({"image": "anything"}, False, id="another word"),
    ],
)
def test_on_this_machine_is(tmp_path: Path, changes: dict[str, Any], here: bool) -> None:
    pinning = Pinning(ProcessSettings(state_dir=tmp_path), {})

    assert pinning.on_this_machine(replace(spec("x"), **changes)) is here


@asynccontextmanager
async def watching(routing: RoutingProvider) -> AsyncIterator[AsyncIterator[Event]]:
    async with aclosing(routing.watch_endpoints()) as events, asyncio.timeout(60):
        yield events


async def endpoints(provider: MemoryProvider) -> tuple[FunctionEndpoints, ...]:
    async with aclosing(provider.watch_endpoints()) as events:
        snapshot = await anext(events)
    assert isinstance(snapshot, Snapshot)
    return snapshot.functions
