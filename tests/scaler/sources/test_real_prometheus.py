"""PrometheusActivity against the real Prometheus, which scrapes gateways of ours over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml

from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample
from springtide.scaler.sources.prometheus import PrometheusActivity
from tests.fakes.gateway import FakeGateway, lines

ECHO, STALE, ONE_SIDED = (FunctionRef("openfaas-fn", name) for name in ("echo", "stale", "one-sided"))
UNKNOWN = FunctionRef("openfaas-fn", "unknown")
WAIT_S = 30.0


@contextlib.asynccontextmanager
async def prometheus(binary: Path, folder: Path, *targets: str, rules: str = "") -> AsyncIterator[str]:
    """A Prometheus with an empty memory that scrapes ``targets`` five times a second; yields its URL.

    ``rules`` is a file of rules in ``folder``.
    """
    job = {"job_name": "gateway", "static_configs": [{"targets": list(targets)}]}
    timing = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({"global": timing, "scrape_configs": [job], "rule_files": [rules] if rules else []})
    )
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WAIT_S):
            address = await _ready_at(process.stderr)
        reading = asyncio.create_task(process.stderr.read())
        yield f"http://{address}"
    finally:
        process.kill()
        await process.wait()
    await reading


async def _ready_at(log: asyncio.StreamReader) -> str:
    address, ready = "", False
    async for line in log:  # that it is ready may be said before where it listens
        told = json.loads(line)
        message = told.get("msg", "")
        if message == "Listening on":
            address = told["address"]
        ready = ready or message.startswith("Server is ready")
        if ready and address:
            return address
    raise AssertionError("Prometheus ended before it was ready")


async def eventually(
    source: PrometheusActivity, ref: FunctionRef, fits: Callable[[Activity], bool]
) -> dict[FunctionRef, Activity]:
    """The first answer in which ``ref`` fits; Prometheus gives no sign when it has scraped, so it is asked again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await source.activity([ECHO, STALE, ONE_SIDED, UNKNOWN], Instant(time.time()))
            if fits(answer[ref]):
                return answer
            await asyncio.sleep(0.05)


def known(activity: Activity) -> bool:
    return isinstance(activity.in_flight, Sample) and isinstance(activity.last_active, Sample)


def unknown_for(reason: str) -> Callable[[Activity], bool]:
    return lambda activity: isinstance(activity.in_flight, NoData) and reason in activity.in_flight.why


@contextlib.asynccontextmanager
async def against(binary: Path, folder: Path, *gateways: FakeGateway) -> AsyncIterator[PrometheusActivity]:
    async with contextlib.AsyncExitStack() as stack:
        for gateway in gateways:
            await stack.enter_async_context(gateway)
        targets = [gateway.address for gateway in gateways]
        source = PrometheusActivity(await stack.enter_async_context(prometheus(binary, folder, *targets)))
        stack.push_async_callback(source.aclose)
        yield source


async def test_two_gateways_are_summed_and_samples_carry_their_real_time(
    prometheus_binary: Path, tmp_path: Path
) -> None:
    scraped_100_s_ago = time.time() - 100
    one = FakeGateway(
        lines(str(ECHO), calls=2, active=1000.5),
        lines(str(STALE), calls=0, active=900, at_ms=round(scraped_100_s_ago * 1000)),
        lines(str(ONE_SIDED), calls=0, active="NaN"),
    )
    two = FakeGateway(lines(str(ECHO), calls=1, active=2000.25))

    async with against(prometheus_binary, tmp_path, one, two) as source:
        both = await eventually(
            source, ECHO, lambda a: known(a) and isinstance(a.in_flight, Sample) and a.in_flight.value == 3
        )

        calls, active = both[ECHO].in_flight, both[ECHO].last_active
        assert isinstance(calls, Sample)
        assert isinstance(active, Sample)
        assert active.value == 2000.25
        assert 0 <= time.time() - calls.at < 30
        assert 0 <= time.time() - active.at < 30

        # Prometheus answers with samples up to five minutes old; their age must not be lost.
        old = both[STALE].last_active
        assert isinstance(old, Sample)
        assert old.at == pytest.approx(scraped_100_s_ago, abs=0.001)

        assert isinstance(both[ONE_SIDED].in_flight, Sample)
        assert isinstance(both[ONE_SIDED].last_active, NoData)
        assert both[UNKNOWN] == Activity(NoData("not in the result"), NoData("not in the result"))


async def test_prometheus_without_a_gateway_knows_nothing(prometheus_binary: Path, tmp_path: Path) -> None:
    async with against(prometheus_binary, tmp_path) as source:
        answer = await source.activity([ECHO], Instant(time.time()))

        assert unknown_for("Prometheus scrapes no gateway")(answer[ECHO])


async def test_trouble_of_a_gateway_and_then_of_prometheus_makes_everything_unknown(
    prometheus_binary: Path, tmp_path: Path
) -> None:
    healthy, troubled = (FakeGateway(lines(str(ECHO), calls=0, active=1000)) for _ in range(2))
    async with healthy, troubled:
        async with prometheus(prometheus_binary, tmp_path, healthy.address, troubled.address) as url:
            source = PrometheusActivity(url)
            await eventually(source, ECHO, known)

            troubled.status = 500
            await eventually(source, ECHO, unknown_for(f"a gateway cannot be scraped: {troubled.address}"))
            troubled.status = 200
            await eventually(source, ECHO, known)
            await troubled.stop()
            await eventually(source, ECHO, unknown_for(f"a gateway cannot be scraped: {troubled.address}"))

        answer = await source.activity([ECHO], Instant(time.time()))
        await source.aclose()

        assert unknown_for(f"Prometheus at {url} cannot be asked: All connection attempts failed")(answer[ECHO])
