from __future__ import annotations

import asyncio

import httpx
import pytest

from springtide.provider.api import ProviderApi, ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory import MemoryProvider
from springtide.runtime import service
from springtide.runtime.asgi import Receive, Scope, Send
from springtide.runtime.asgi_server import bind
from springtide.runtime.errors import Unavailable
from springtide.runtime.settings import SettingsError, read
from tests.provider.api.served import serving


def api_on(port: int) -> ProviderApi:
    return build(ProviderApiSettings(port=port), ProviderApiDeps(provider=MemoryProvider(), credentials=None))


def test_settings_come_from_the_names_openfaas_uses() -> None:
    settings = read(ProviderApiSettings, {"port": "9000", "read_timeout": "1m30s", "function_namespace": "fn"})

    assert (settings.host, settings.port, settings.read_timeout_s) == ("127.0.0.1", 9000, 90.0)
    assert settings.default_namespace == "fn"
    assert read(ProviderApiSettings, {}).port == 8081


def test_all_bad_settings_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read(ProviderApiSettings, {"port": "70000", "read_timeout": "soon"})

    assert len(caught.value.problems) == 2


async def test_service_runs_until_told() -> None:
    api, until = api_on(0), asyncio.Event()
    running = asyncio.create_task(service.run([api], until=until))
    while "serving" not in repr(api):  # noqa: ASYNC110 - a service tells nobody when it has started
        await asyncio.sleep(0.005)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://127.0.0.1:{api.port}/healthz")).status_code == 200

    until.set()
    await running

    assert "stopped" in repr(api)


async def test_port_in_use_is_one_sentence_and_leaves_nothing_running() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        api = api_on(taken.getsockname()[1])

        with pytest.raises(Unavailable, match=r"cannot listen on 127\.0\.0\.1:"):
            await service.run([api], until=asyncio.Event())

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_default_namespace_is_the_one_configured() -> None:
    memory = MemoryProvider(default_namespace="fn")
    api = build(ProviderApiSettings(port=0, default_namespace="fn"), ProviderApiDeps(provider=memory, credentials=None))
    await api.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", trust_env=False) as http:
        deployed = await http.post("/system/functions", json={"service": "echo", "image": "x"})
        (listed,) = (await http.get("/system/functions")).json()
        invoked = [await http.get(f"/function/{name}") for name in ("echo", "echo.fn", "echo.openfaas-fn")]
    await api.stop()

    assert deployed.status_code == 202
    assert listed["namespace"] == "fn"
    # Nobody serves the replica: reached, but not answered.
    assert [answer.status_code for answer in invoked] == [500, 500, 500]


async def test_calls_in_flight_finish_before_the_service_has_stopped() -> None:
    called, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async with serving(app) as served:
        await served.ready()
        call = asyncio.create_task(served.http.get("/function/echo"))
        await called.wait()
        stopping = asyncio.create_task(served.api.stop())
        await asyncio.sleep(0)
        assert not stopping.done()

        go_on.set()

        assert (await call).text == "done"
        await stopping
