from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.route import Route
from springtide.gateway.route_table import RouteTable
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.timeouts import CallLimit, Timeouts
from springtide.runtime import virtual_time
from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Endpoint, Event, FunctionEndpoints, Heartbeat, Removed, Snapshot

pytestmark = pytest.mark.virtual_time


class Listener:
    def __init__(self) -> None:
        self.told: list[str] = []

    def changed(self, route: Route) -> None:
        self.told.append(f"changed {route.label}")

    def removed(self, route: Route) -> None:
        self.told.append(f"removed {route.label}")


def function(name: str, *ports: int, namespace: str = "openfaas-fn", replicas: int | None = None) -> FunctionEndpoints:
    endpoints = tuple(Endpoint(f"r{port}", "127.0.0.1", port) for port in ports)
    return FunctionEndpoints(FunctionRef(namespace, name), len(ports) if replicas is None else replicas, "1", endpoints)


def limits() -> Callable[[CallTimeout | None], CallLimit]:
    return Timeouts(asyncio.get_running_loop(), GatewaySettings()).call_limit


def in_table(events: list[Event], *, namespace: str = "openfaas-fn") -> tuple[RouteTable, Listener]:
    """A table after some events. Its replicas are never connected to."""
    listener = Listener()

    async def main() -> RouteTable:
        table = RouteTable(clock=loop.clock, open_replica=unconnected, call_limit=limits(), namespace=namespace)
        table.listen(listener)
        for event in events:
            table.apply(event)
        return table

    loop = VirtualTimeLoop()
    return virtual_time.run(main(), loop), listener


def unconnected(endpoint: Endpoint) -> BackendReplica:
    async def never(replica: BackendReplica) -> object:
        raise AssertionError

    return BackendReplica(f"{endpoint.host}:{endpoint.port}", never, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("namespace", "ref", "spellings"),
    [
        pytest.param("openfaas-fn", ("openfaas-fn", "f"), ["f", "f.openfaas-fn"], id="the default namespace"),
        pytest.param("openfaas-fn", ("dev", "f"), ["f.dev"], id="another namespace"),
        pytest.param("prod", ("prod", "f"), ["f", "f.prod", "f.openfaas-fn"], id="a default of one's own"),
        pytest.param("openfaas-fn", ("c", "a.b"), ["a.b.c"], id="the last dot counts"),
    ],
)
def test_function_is_found_by_all_its_names(namespace: str, ref: tuple[str, str], spellings: list[str]) -> None:
    known = FunctionEndpoints(FunctionRef(*ref), 0, "1")

    table, _ = in_table([Snapshot((known,))], namespace=namespace)

    for spelling in spellings:
        route = table.by_name(spelling.encode())
        assert route is not None
        assert route.ref == known.ref
    for other in ("g", "f.other", "f.", ".f", "", "F", "f.dev.x", "\xff"):
        assert table.by_name(other.encode("latin-1")) is None


def test_snapshot_replaces_everything() -> None:
    table, listener = in_table(
        [Snapshot((function("a", 1), function("b", 2))), Snapshot((function("b", 2, 3), function("c")))]
    )

    assert sorted(route.label for route in table) == ["b.openfaas-fn", "c.openfaas-fn"]
    assert table.by_name(b"a") is None
    assert "removed a.openfaas-fn" in listener.told


def test_replicas_that_stay_keep_their_state() -> None:
    before, after = function("a", 1, 2), function("a", 2, 3)
    table, _ = in_table([Snapshot((before,))])
    route = table.by_name(b"a")
    assert route is not None
    first, second = route.ready

    table.apply(Changed(after))

    assert route.ready[0] is second
    assert first.retired
    assert not second.retired
    assert [one.address for one in route.ready] == ["127.0.0.1:2", "127.0.0.1:3"]


def test_replica_that_was_restarted_on_the_same_port_is_a_new_one() -> None:
    again = FunctionEndpoints(FunctionRef("openfaas-fn", "a"), 1, "2", (Endpoint("other", "127.0.0.1", 1),))
    table, _ = in_table([Snapshot((function("a", 1),))])
    route = table.by_name(b"a")
    assert route is not None
    (old,) = route.ready

    table.apply(Changed(again))

    assert old.retired
    assert route.ready != [old]


def test_removed_function_is_unknown_and_its_replicas_are_retired() -> None:
    table, listener = in_table([Snapshot((function("a", 1),))])
    route = table.by_name(b"a")
    assert route is not None
    (old,) = route.ready

    table.apply(Removed(FunctionRef("openfaas-fn", "a")))
    table.apply(Removed(FunctionRef("openfaas-fn", "never-there")))

    assert table.by_name(b"a") is None
    assert route.removed
    assert old.retired
    assert listener.told[-1] == "removed a.openfaas-fn"


def test_names_asked_for_in_vain_are_not_remembered() -> None:
    table, _ = in_table([Snapshot((function("a", 1),))])

    for number in range(1000):
        assert table.by_name(b"nonsense-%d" % number) is None

    assert len(table._names) == 0


async def test_last_known_replicas_stay_while_the_provider_is_away_and_it_is_asked_again_and_again(
    loop: VirtualTimeLoop,
) -> None:
    asked: list[float] = []

    class Flaky:
        async def watch_endpoints(self) -> AsyncIterator[Event]:
            asked.append(loop.clock.now())
            if len(asked) == 1:
                yield Snapshot((function("a", 1),))
                yield Heartbeat()
            if len(asked) == 12:
                yield Snapshot((function("a", 1, 2),))
                await asyncio.sleep(1e6)
            raise Unavailable("the provider is away")

    table = RouteTable(clock=loop.clock, open_replica=unconnected, call_limit=limits(), namespace="openfaas-fn")
    following = asyncio.create_task(table.follow(Flaky()))
    await table.first_snapshot.wait()
    await asyncio.sleep(0.01)
    route = table.by_name(b"a")
    assert route is not None
    assert not table.connected
    assert len(route.ready) == 1

    await asyncio.sleep(15)

    assert table.connected
    assert len(route.ready) == 2
    following.cancel()

    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[0] < 0.1
    assert max(pauses) <= 1.25
