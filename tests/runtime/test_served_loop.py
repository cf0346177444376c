from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from springtide.runtime.asgi import Receive, Scope, Send, respond
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.deadlines import within
from springtide.runtime.errors import Unavailable
from springtide.runtime.exposition import exposition
from springtide.runtime.served_loop import Loop, ServedLoop
from springtide.runtime.virtual_time import VirtualTimeLoop, run


def served(loop: Loop, registry: CollectorRegistry | None = None) -> ServedLoop:
    return ServedLoop(AsgiServer(exposition(registry or CollectorRegistry()), name="test"), loop)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_loop_runs_beside_the_server_and_ends_with_it() -> None:
    ended = False

    async def loop() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    service = served(loop)
    await service.start()
    assert service.name == "test"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{service.port}/healthz")).text == "OK"
    assert "serving> loop running" in repr(service)
    await service.stop()
    await service.stop()
    assert "loop ended" in repr(service)

    assert ended


async def test_loop_that_fails_ends_the_service_with_its_error() -> None:
    async def loop() -> None:
        raise ZeroDivisionError("a bug")

    service = served(loop)
    await service.start()
    with pytest.raises(ZeroDivisionError):
        await service.wait()
    await service.stop()


async def test_loop_that_ends_ends_the_service() -> None:
    async def loop() -> None:
        pass

    service = served(loop)
    await service.start()
    async with asyncio.timeout(60):
        await service.wait()
    await service.stop()


async def test_waiting_for_the_end_can_be_given_up() -> None:
    service = served(for_ever)
    await service.start()
    waiting = asyncio.create_task(service.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "loop running" in repr(service)
    await service.stop()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/x", 404),
    ],
)
async def test_metrics_and_health_are_there_and_nothing_else(method: str, path: str, status: int) -> None:
    service = served(for_ever)
    await service.start()
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, f"http://127.0.0.1:{service.port}{path}")
    await service.stop()

    assert answer.status_code == status


async def test_only_the_registry_handed_in_is_shown() -> None:
    registry = CollectorRegistry()
    Counter("mine", "help", registry=registry).inc(3)

    service = served(for_ever, registry)
    await service.start()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{service.port}/metrics")
    await service.stop()

    names = {line.split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert names - {"mine_created"} == {"mine_total"}


async def test_other_paths_go_to_the_inner_application() -> None:
    async def inner(scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 299, scope["path"].encode())

    service = ServedLoop(AsgiServer(exposition(CollectorRegistry(), inner), name="test"), for_ever)
    await service.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        answers = [(await client.get(path)).status_code for path in ("/alert", "/healthz", "/metrics")]
    await service.stop()

    assert answers == [299, 200, 200]


async def after(seconds: float, value: int) -> int:
    await asyncio.sleep(seconds)
    return value


async def timed_out() -> None:
    raise TimeoutError("its own")


def test_answer_within_the_deadline_is_passed_on() -> None:
    assert run(within(2, "it", after(1, 7)), VirtualTimeLoop()) == 7


def test_answer_after_the_deadline_is_told_as_unavailable() -> None:
    with pytest.raises(Unavailable, match="reading echo: no answer within 2 s"):
        run(within(2, "reading echo", after(3, 7)), VirtualTimeLoop())


def test_time_out_of_something_inside_is_not_taken_for_ours() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        run(within(2, "it", timed_out()), VirtualTimeLoop())
