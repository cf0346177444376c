"""Several worker processes behind one port: what callers and scrapes see while they come, hang, die and are renewed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers import fork_server
from springtide.gateway.workers.pool import PoolDeps, build
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_provider
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Part
from tests.gateway.harness import Client, Conversation, client, get, response, until
from tests.gateway.pooled import CREDENTIALS, ECHO, Pooled, gone, left, load, more, pooled, stopped

pytestmark = pytest.mark.uvloop


INVOCATIONS = "gateway_function_invocation_total"


async def test_both_workers_answer_on_one_port_and_their_numbers_are_one() -> None:
    async with pooled() as suite:
        assert [await suite.call() for _ in range(40)] == [200] * 40

        assert await suite.sample(INVOCATIONS, function_name="echo.openfaas-fn", code="200") == 40
        each = [member.told.functions[ECHO].numbers["started"][""][0] for member in suite.pool._living]
        assert sum(each) == 40
        assert all(each), "the kernel deals connections out"
        assert await suite.sample("gateway_provider_connected") == 1
        assert await suite.sample("gateway_service_ready_count") == 1


async def test_workers_together_give_a_replica_no_more_than_its_limit() -> None:
    go_on, arrived = asyncio.Event(), Counter[str]()

    async def held(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            arrived["calls"] += 1
            await go_on.wait()
            await conversation.send(response(b"hello"))

    async with pooled(held, capacity=1) as suite:
        first = asyncio.create_task(suite.call())
        await until(lambda: arrived["calls"] == 1)
        others = [asyncio.create_task(suite.call()) for _ in range(20)]
        while (await suite.sample(catalogue.HELD.name) or 0) + arrived["calls"] < 21:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.01)

        assert arrived["calls"] == 1
        go_on.set()
        assert await asyncio.gather(first, *others) == [200] * 21


async def test_metric_names_are_those_of_a_single_process() -> None:
    async with pooled() as suite:
        await suite.provider.write(ECHO, 0, expect=None, decision=None)
        await until_scaled(suite, 0)
        await suite.call()
        async with client(suite.pool.port) as caller:
            await caller.get("/function/none")
            await caller.get("/healthz")
            await caller.get("/webhook/echo")
        text = (await suite.scraped()).text

        series = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        wanted = {metric for metric in catalogue.ALL if Part.GATEWAY in metric.parts}
        assert series == {name for metric in wanted for name in metric.series}


async def test_scrape_shows_the_loop_of_each_process_and_the_bound_of_the_whole_gateway() -> None:
    async with pooled() as suite:
        families = text_string_to_metric_families((await suite.scraped()).text)
        samples = {family.name: family.samples for family in families}

        processes = {sample.labels["process"] for sample in samples[catalogue.LOOP_LAG.name]}
        assert processes == {"master", *(f"worker-{number}" for number in suite.pool.pids())}
        limits = {sample.labels["scope"]: sample.value for sample in samples[catalogue.HELD_LIMIT.name]}
        whole = GatewaySettings()
        assert limits == {"function": whole.max_held_per_function, "all": whole.max_held}


async def test_scrape_may_ask_for_some_families_and_for_another_format() -> None:
    async with pooled() as suite:
        await suite.call()
        got = await suite.http.get(
            f"http://127.0.0.1:{suite.pool.metrics_port}/metrics?name[]=gateway_provider_connected",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )

        assert got.headers["content-type"].startswith("application/openmetrics-text")
        lines = [line for line in got.text.splitlines() if not line.startswith("#")]
        assert lines == ["gateway_provider_connected 1.0"]


async def test_calls_in_flight_are_the_sum_over_the_workers() -> None:
    go_on = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        await conversation.request()
        await go_on.wait()
        await conversation.send(response())

    async with pooled(slow) as suite:
        calls = [asyncio.create_task(suite.call(b"")) for _ in range(12)]
        for _ in calls:
            await suite.server.heads.acquire()

        assert await suite.sample("gateway_function_invocation_inflight") == 12
        go_on.set()
        assert await asyncio.gather(*calls) == [200] * 12
        assert await suite.sample("gateway_function_invocation_inflight") == 0


async def test_invocation_count_is_that_of_all_workers() -> None:
    async with pooled() as suite:
        for _ in range(30):
            await suite.call()

        for _ in range(10):  # whichever worker answers
            listed = (await suite.http.get("/system/functions", headers={"Connection": "close"})).json()
            assert [one["invocationCount"] for one in listed] == [30]


async def test_worker_that_is_killed_is_replaced_and_the_port_never_refuses() -> None:
    async with pooled() as suite:
        first = set(suite.pids())
        for victim in sorted(first):
            os.kill(victim, signal.SIGKILL)
            # Half of these come to the dead worker's socket, and wait there for its replacement.
            assert await asyncio.gather(*(suite.call() for _ in range(30))) == [200] * 30
            await suite.until_whole_without(victim)

        assert not suite.pids() & first


async def test_counters_never_fall_when_workers_die() -> None:
    async with pooled() as suite, load(suite) as seen:
        shown = [0.0]
        for _ in range(4):
            await more(seen, 50)
            shown.append(await suite.sample(INVOCATIONS) or 0.0)
            victim = min(suite.pids())
            os.kill(victim, signal.SIGKILL)
            await gone(victim)
            shown.append(await suite.sample(INVOCATIONS) or 0.0)
            await suite.until_whole_without(victim)

        assert shown == sorted(shown)
        assert shown[-1] >= 4 * 50 - left(seen)


async def test_calls_of_the_other_worker_do_not_notice_a_death() -> None:
    async with pooled() as suite, load(suite, callers=20) as seen:
        await more(seen)
        victim = min(suite.pids())
        os.kill(victim, signal.SIGKILL)
        await suite.until_whole_without(victim)
        await more(seen)

        # Each caller loses at most the one call that the dead worker had, and none is refused a connection.
        assert left(seen) <= 20
        assert not any("refused" in what.lower() for what in seen)


async def test_scrape_fails_while_a_worker_does_not_answer_and_never_tells_a_part() -> None:
    async with pooled() as suite:
        await suite.call()
        with stopped(min(suite.pids())):
            got = await suite.scraped()

            assert got.status_code == 503
            assert "did not tell its numbers" in got.text
            assert (await suite.ready()).status_code == 200
        await until_scrapable(suite)
        assert await suite.sample(INVOCATIONS) == 1


async def test_worker_that_hangs_is_killed_and_replaced() -> None:
    async with pooled(hung_after_s=2.0) as suite:
        victim = min(suite.pids())
        with stopped(victim):
            await suite.until_whole_without(victim)

        assert [await suite.call() for _ in range(10)] == [200] * 10


async def test_gateway_is_not_ready_while_no_worker_serves() -> None:
    async with pooled() as suite:
        assert (await suite.ready()).status_code == 200
        server = suite.pool._forks._server
        assert server is not None
        with stopped(server.pid):  # nobody starts another
            for pid in suite.pids():
                os.kill(pid, signal.SIGKILL)
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: not suite.pool.serving())
            got = await suite.ready()

        assert (got.status_code, got.text) == (503, "no worker of the gateway serves")
        await until(lambda: suite.pool.serving() == {1, 2})
        assert await suite.call() == 200


async def test_renewal_under_load_loses_no_call() -> None:
    async with pooled() as suite, load(suite) as seen:
        first = set(suite.pids())
        await more(seen)
        before = await suite.sample(INVOCATIONS) or 0.0
        suite.pool.renew()
        await until(lambda: not suite.pids() & first)
        await more(seen)

        assert set(seen) == {"right"}
        assert (await suite.sample(INVOCATIONS) or 0.0) >= before + 100
    assert seen.total() > 200


async def test_worker_that_comes_while_the_provider_is_away_opens_the_port_once_it_knows_the_functions() -> None:
    async with pooled(first_snapshot_s=0.001) as suite, contextlib.AsyncExitStack() as stack:
        first, port = suite.pids(), suite.api.port
        while {await suite.call() for _ in range(20)} != {200}:
            pass  # until these know the functions, who need not wait for them
        seen = await stack.enter_async_context(load(suite))
        await more(seen)
        await suite.api.stop()
        suite.pool.renew()
        await until(lambda: len(suite.pids()) > len(first))
        await more(seen, 300)

        assert first <= suite.pids(), "those that know the functions have gone"
        settings, deps = (
            ProviderApiSettings(port=port),
            ProviderApiDeps(provider=suite.provider, credentials=CREDENTIALS),
        )
        suite.api = build_provider(settings, deps)
        await suite.api.start()
        await until(lambda: not suite.pids() & first)
        await more(seen)
        await suite.api.stop()

    assert set(seen) == {"right"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that stop close idle connections at once, so that nobody has to wait to see that these did not stop."""
    last = "from springtide.gateway.workers.forker import main\n"
    change = "from springtide.gateway import draining\ndraining.ON_THE_WAY_S = 0.0\n"
    assert last in fork_server._PROGRAM
    monkeypatch.setattr(fork_server, "_PROGRAM", fork_server._PROGRAM.replace(last, change + last))


@pytest.mark.usefixtures("hasty")
async def test_idle_connections_to_renewed_workers_are_answered_once_more_and_told_to_close() -> None:
    """Closed when the other takes over, they would lose the requests that are on their way just then."""

    async with pooled(grace_s=60.0) as suite, kept(suite) as callers:
        first = await renewed(suite)
        assert first < suite.pids(), "those with callers are still there"

        for caller in callers:
            answer = await caller.get()
            assert (answer.status, answer["connection"]) == (200, "close")
            assert await caller.rest() == b""
        await until(lambda: not suite.pids() & first)

        assert await suite.sample(INVOCATIONS) == 2 * len(callers)


async def test_renewed_worker_waits_for_idle_connections_no_longer_than_the_grace() -> None:
    async with pooled(grace_s=0.5) as suite, kept(suite) as callers:
        first = await renewed(suite)

        for caller in callers:
            assert await caller.rest() == b""
        await until(lambda: not suite.pids() & first)


async def test_gateway_that_stops_during_a_renewal_waits_for_no_idle_connection() -> None:
    async with pooled(grace_s=60.0) as suite, kept(suite) as callers:
        await renewed(suite)
        pids = suite.pids()
        await suite.pool.stop()

        for caller in callers:
            assert await caller.rest() == b""
        for pid in pids:
            await gone(pid)


@pytest.mark.usefixtures("hasty")
async def test_renewal_asked_for_during_another_waits_until_the_workers_of_before_have_left() -> None:
    async with pooled(grace_s=60.0) as suite, kept(suite) as callers:
        first = await renewed(suite)
        second = suite.pids() - first
        for _ in range(20):
            suite.pool.renew()
            assert await suite.call() == 200
            assert suite.pids() == first | second
        for caller in callers:
            await caller.get()
        await until(lambda: not suite.pids() & (first | second) and suite.pool.serving() == {1, 2})


@pytest.mark.usefixtures("hasty")
async def test_place_whose_new_worker_dies_is_served_again_while_the_old_one_leaves() -> None:
    async with pooled(grace_s=60.0) as suite, kept(suite):
        first = await renewed(suite)
        victim = min(suite.pids() - first)
        os.kill(victim, signal.SIGKILL)
        await suite.until_whole_without(victim)

        assert first < suite.pids()
        assert await asyncio.gather(*(suite.call() for _ in range(30))) == [200] * 30


@contextlib.asynccontextmanager
async def kept(suite: Pooled) -> AsyncIterator[list[Client]]:
    """Connections, some at each worker, that have carried a call and carry nothing now."""
    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(client(suite.pool.port)) for _ in range(12)]
        for caller in callers:
            assert "connection" not in (await caller.get()).headers
        yield callers


async def renewed(suite: Pooled) -> set[int]:
    """Renew the workers; return the processes there were once each has handed its place over."""
    listeners = {slot._listener.fileno() for slot in suite.pool._slots}
    inodes = {f"socket:[{os.fstat(listener).st_ino}]" for listener in listeners}
    first = suite.pids()
    assert all(inodes & opened(pid) for pid in first)
    suite.pool.renew()
    await until(lambda: not any(inodes & opened(pid) for pid in first))
    return first


def opened(pid: int) -> set[str]:
    """What a process has open."""
    found = set()
    with contextlib.suppress(FileNotFoundError):  # it has ended
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.add(str(entry.readlink()))
    return found


async def test_last_numbers_of_a_renewed_worker_are_kept() -> None:
    async with pooled() as suite:
        first = set(suite.pids())
        for _ in range(25):
            await suite.call()
        suite.pool.renew()
        await until(lambda: not suite.pids() & first)

        assert await suite.sample(INVOCATIONS) == 25


async def test_callers_at_a_sleeping_function_wake_it_once_whichever_worker_holds_them() -> None:
    async with pooled() as suite:
        await suite.provider.write(ECHO, 0, expect=None, decision=None)
        await until_scaled(suite, 0)
        before = (await suite.provider.read(ECHO)).scale.version

        statuses = Counter(await asyncio.gather(*(suite.call() for _ in range(200))))

        after = (await suite.provider.read(ECHO)).scale
        assert statuses == {200: 200}
        assert (after.desired, int(after.version) - int(before)) == (1, 1)
        assert await suite.sample("springtide_decisions_total", writer="wake", reason="wake") == 1


async def test_deleted_functions_counters_are_gone_and_begin_anew() -> None:
    async with pooled() as suite:
        for _ in range(10):
            await suite.call()
        victim = min(suite.pids())
        os.kill(victim, signal.SIGKILL)
        await suite.until_whole_without(victim)

        assert (await suite.http.request("DELETE", "/system/functions", json={"functionName": "echo"})).is_success
        while await suite.sample(INVOCATIONS) is not None:  # until both workers have heard of it
            pass
        deployed = await suite.http.post("/system/functions", json={"service": "echo", "image": "any"})
        assert deployed.is_success
        await until_scaled(suite, 1)
        assert await suite.call() == 200

        assert await suite.sample(INVOCATIONS) == 1


async def test_fork_server_that_is_killed_costs_no_call() -> None:
    async with pooled() as suite, load(suite) as seen:
        first = set(suite.pids())
        await more(seen)
        server = suite.pool._forks._server
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not suite.pids() & first and suite.pool.serving() == {1, 2})
        await more(seen)

        assert set(seen) == {"right"}


@pytest.mark.parametrize("all_at_once", [pytest.param(False, id="one worker"), pytest.param(True, id="fork server")])
async def test_place_of_a_worker_that_finishes_its_calls_is_served_meanwhile(all_at_once: bool) -> None:
    """However long they take: a new connection that came to its socket would wait for as long."""

    go_on = asyncio.Event()

    async def slow_for_some(conversation: Conversation) -> None:
        while True:
            request = await conversation.request()
            if request.body == b"slow":
                await go_on.wait()
            await conversation.send(response(request.body))

    async with pooled(slow_for_some, grace_s=60.0) as suite:
        slow = [asyncio.create_task(suite.call(b"slow")) for _ in range(12)]  # some at each worker
        for _ in slow:
            await suite.server.heads.acquire()
        first = suite.pids()
        if all_at_once:
            server = suite.pool._forks._server
            assert server is not None
            os.kill(server.pid, signal.SIGKILL)
        else:
            os.kill(min(first), signal.SIGTERM)
        wanted = len(first) * 2 if all_at_once else len(first) + 1
        await until(lambda: len(suite.pids()) == wanted and suite.pool.serving() == {1, 2})

        assert await asyncio.gather(*(suite.call() for _ in range(30))) == [200] * 30
        assert first < suite.pids()
        go_on.set()
        assert await asyncio.gather(*slow) == [200] * 12
        await until(lambda: len(suite.pids()) == len(first))


async def test_port_in_use_is_one_sentence() -> None:
    async with pooled() as suite:
        settings = GatewaySettings(port=suite.pool.port, metrics_port=0)
        second = build(settings, PoolDeps(None, CollectorRegistry()), 2)

        with pytest.raises(Unavailable, match=rf"cannot listen on 127.0.0.1:{suite.pool.port}"):
            await second.start()
        await second.stop()


async def test_start_without_any_worker_is_one_sentence() -> None:
    settings = GatewaySettings(port=0, metrics_port=0, provider_url="http://127.0.0.1:port")
    pool = build(settings, PoolDeps(None, CollectorRegistry()), 2)

    with pytest.raises(Unavailable, match="no worker of the gateway came up: "):
        await pool.start()
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await asyncio.open_connection("127.0.0.1", pool.port)
    await pool.stop()


async def test_start_with_credentials_that_are_not_the_providers_is_one_sentence() -> None:
    async with pooled() as suite:
        settings = GatewaySettings(port=0, metrics_port=0, provider_url=f"http://127.0.0.1:{suite.api.port}")
        other = build(settings, PoolDeps(Credentials("admin", "wrong"), CollectorRegistry()), 2)

        with pytest.raises(Unavailable, match="no worker of the gateway came up: invalid credentials"):
            await other.start()


async def test_call_in_flight_is_finished_when_the_gateway_stops() -> None:
    go_on = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        await conversation.request()
        await go_on.wait()
        await conversation.send(response(b"late"))

    async with pooled(slow) as suite, client(suite.pool.port) as caller:
        pids = suite.pids()
        await caller.send(get())
        await suite.server.heads.acquire()
        stopping = asyncio.create_task(suite.pool.stop())
        go_on.set()

        assert (await caller.answer()).body == b"late"
        await stopping
        for pid in pids:
            await gone(pid)


async def until_scaled(suite: Pooled, replicas: int) -> None:
    """Return once every worker has heard of the function's scale."""
    while True:
        await suite.pool.collect()
        rows = [member.told.functions.get(ECHO) for member in suite.pool._living]
        if all(row is not None and row.ready == replicas == row.desired for row in rows):
            return


async def until_scrapable(suite: Pooled) -> None:
    while (await suite.scraped()).status_code != 200:
        pass
