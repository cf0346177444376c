"""The user's own queries against the real Prometheus: a recording rule, PromQL that answers, and PromQL that cannot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import yaml

from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core import targets
from springtide.scaler.core.loads import QUERY, Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Reason
from springtide.scaler.sources.queries import Queries
from tests.fakes.level_loop import LevelLoop
from tests.scaler.sources.test_real_prometheus import WAIT_S, prometheus

Loads = Mapping[FunctionRef, list[Load]]
RULES = {
    "groups": [
        {
            "name": "loads",
            "interval": "200ms",
            "rules": [
                {
                    "record": "job:function_current_load:sum",
                    "expr": f"vector({value})",
                    "labels": {"scaling_type": "jobs", "function_name": f"{name}.openfaas-fn"},
                }
                for name, value in (("seven", 7), ("none", 0))
            ],
        }
    ]
}


def ref(name: str) -> FunctionRef:
    return FunctionRef("openfaas-fn", name)


def own(query: str = "") -> list[Load]:
    return [Load(targets.CUSTOM, "jobs", 10.0, Unit.OWN, query)]


@contextlib.asynccontextmanager
async def against(binary: Path, folder: Path) -> AsyncIterator[Queries]:
    (folder / "loads.rules.yml").write_text(yaml.safe_dump(RULES))
    async with prometheus(binary, folder, rules="loads.rules.yml") as url:
        queries = Queries.at(url)
        try:
            yield queries
        finally:
            await queries.aclose()


async def until(queries: Queries, loads: Loads, fits: Callable[[Level | NoData], bool]) -> list[Level | NoData]:
    """What is known once it fits for each; Prometheus gives no sign when it has evaluated, so it is asked again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            levels = queries.levels(loads, Instant(time.time()))
            found = [levels[ref, "jobs"] for ref in loads]
            if all(map(fits, found)):
                return found
            await asyncio.sleep(0.05)


def why(level: Level | NoData) -> str:
    return level.why if isinstance(level, NoData) else ""


async def test_a_recording_rule_has_the_load_of_each_function(prometheus_binary: Path, tmp_path: Path) -> None:
    async with against(prometheus_binary, tmp_path) as queries:
        known = await until(queries, {ref("seven"): own(), ref("none"): own()}, lambda level: isinstance(level, Level))

        assert [level.value for level in known if isinstance(level, Level)] == [7.0, 0.0]
        assert all(0 <= time.time() - level.at < WAIT_S for level in known if isinstance(level, Level))
        (other,) = await until(queries, {ref("other"): own()}, lambda level: "scaling_type" in why(level))
        assert "job:function_current_load:sum" in why(other)


async def test_promql_that_gives_one_number_is_a_load(prometheus_binary: Path, tmp_path: Path) -> None:
    asked = {
        "vector(3)": 3.0,
        "2 + 2": 4.0,  # a scalar
        'sum(job:function_current_load:sum{scaling_type="nobody"}) or vector(0)': 0.0,
    }
    async with against(prometheus_binary, tmp_path) as queries:
        loads = {ref(f"f{number}"): own(query) for number, query in enumerate(asked)}
        known = await until(queries, loads, lambda level: isinstance(level, Level))

        assert [level.value for level in known if isinstance(level, Level)] == list(asked.values())


async def test_promql_that_gives_none_says_what_is_wrong_with_it(prometheus_binary: Path, tmp_path: Path) -> None:
    asked = {
        "no_such_metric": "or vector(0)",
        "sum(": "parse error",  # Prometheus's own words
        "vector(1) / 0": "not a number",
        "label_replace(vector(1), 'a', 'b', '', '') or vector(2)": "2 series",
        "vector(1)[1m:1s]": "answered with a matrix",
    }
    async with against(prometheus_binary, tmp_path) as queries:
        for number, (query, words) in enumerate(asked.items()):
            (level,) = await until(
                queries, {ref(f"f{number}"): own(query)}, lambda level: "not been answered" not in why(level)
            )
            assert words in why(level), query
            assert "{" not in why(level), query  # no JSON


async def test_promql_of_its_own_grows_a_function(prometheus_binary: Path, tmp_path: Path) -> None:
    labels = {"com.openfaas.scale.type": "jobs", "com.openfaas.scale.target": "10"}
    function = FunctionSpec(ref=ref("fn"), image="x", labels=labels, annotations={QUERY: "vector(45)"})
    memory = MemoryProvider()
    async with against(prometheus_binary, tmp_path) as queries:
        await memory.deploy(function)
        grown = await LevelLoop(memory, ref("fn"), queries).until(lambda made: made.after >= 5)

        assert (await memory.read(ref("fn"))).scale.desired == grown.after
        assert grown.reason is Reason.LOAD_UP
    await memory.aclose()
