from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from starlette.applications import Starlette

from springtide.provider.api.usage import FRESH_S, router
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec, Usage
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Instant, NoData
from springtide.wire import processor_use
from springtide.wire.processor_use import CpuRate, CpuTotal, ProcessorUse, ProcessorUses
from springtide.wire.provider_client import ProviderClient
from tests.provider.api.served import CREDENTIALS, Served

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
UNMEASURED = "unmeasured.openfaas-fn"


class SetClock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1_000_000.0 + self.at


async def test_it_is_measured_when_asked_and_at_most_once_a_second() -> None:
    looks: Counter[FunctionRef] = Counter()

    def use(ref: FunctionRef) -> ProcessorUse:
        looks[ref] += 1
        return CpuTotal(float(looks[ref]), Instant(1.0))

    memory, clock = MemoryProvider(use=use), SetClock()
    await memory.deploy(FunctionSpec(ref=ECHO, image="x"))
    app = Starlette(routes=list(router(memory, clock).routes))
    assert looks[ECHO] == 0
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://provider") as http:
        first, second = await asyncio.gather(http.get(processor_use.PATH), http.get(processor_use.PATH))
        assert first.json() == second.json()
        assert first.json() == {"at": 1_000_100.0, "functions": {str(ECHO): {"cpu_seconds": 1.0, "since": 1.0}}}
        clock.at += FRESH_S
        third = await http.get(processor_use.PATH)
        assert third.json() == {"at": 1_000_101.0, "functions": {str(ECHO): {"cpu_seconds": 2.0, "since": 1.0}}}


async def test_memory_is_told_where_it_was_measured() -> None:
    provider = MemoryProvider(measure=lambda ref: Usage(1.0, 5e6) if ref == ECHO else None)
    for ref in (ECHO, FunctionRef.parse(UNMEASURED)):
        await provider.deploy(FunctionSpec(ref=ref, image="x"))
    app = Starlette(routes=list(router(provider, SetClock()).routes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://provider") as http:
        told = (await http.get(processor_use.PATH)).json()["functions"]

    assert {name: use.get("memory_bytes") for name, use in told.items()} == {str(ECHO): 5e6, UNMEASURED: None}


async def test_a_client_reads_what_the_provider_does_not_know_as_such(served: Served) -> None:
    await served.deploy("echo")
    client = ProviderClient(str(served.http.base_url), CREDENTIALS)
    try:
        uses = await client.processor_uses()
    finally:
        await client.aclose()
    assert isinstance(uses.functions[ECHO], NoData)


async def test_strangers_are_told_nothing(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.http.base_url, trust_env=False) as stranger:
        assert (await stranger.get(processor_use.PATH)).status_code == 401


def test_every_kind_of_use_is_read_as_it_was_written() -> None:
    uses = ProcessorUses(
        Instant(5.0),
        {
            ECHO: CpuTotal(1.25, Instant(2.0)),
            FunctionRef("b", "a"): CpuRate(500.0, Instant(3.0)),
            FunctionRef("b", "c"): NoData("no metrics server"),
        },
        {ECHO: 50e6, FunctionRef("b", "c"): 1.0},
    )
    assert processor_use.from_json(processor_use.to_json(uses)) == uses


@pytest.mark.parametrize("value", [None, [], {}, {"at": "x", "functions": {}}, {"at": 1.0, "functions": 3}])
def test_what_is_no_answer_is_an_error(value: object) -> None:
    with pytest.raises(Unavailable, match="/system/usage"):
        processor_use.from_json(value)


@pytest.mark.parametrize(
    "use",
    [None, 3, {}, {"cpu_seconds": "1"}, {"cpu_seconds": -1}, {"cpu_seconds": True}, {"cpu_millicores": float("nan")}],
)
def test_one_functions_nonsense_is_no_data_for_that_function_only(use: object) -> None:
    uses = processor_use.from_json({"at": 1.0, "functions": {"a.b": use, "echo.b": {"cpu_seconds": 1.0}}})
    assert not uses.memory_bytes

    assert isinstance(uses.functions[FunctionRef("b", "a")], NoData)
    assert uses.functions[FunctionRef("b", "echo")] == CpuTotal(1.0, Instant(0.0))
