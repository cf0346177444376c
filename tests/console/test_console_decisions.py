"""Decisions followed over breaks of their stream: each is kept once, of each function its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from springtide.console.decisions import MAX_PER_FUNCTION, Decisions
from springtide.console.gateway_api import GatewayApi


class Stream:
    """A server of the decisions endpoint: each connection is answered with the next of the given bodies."""

    def __init__(self, *bodies: list[dict[str, object]], status: str = "200 OK") -> None:
        self.bodies = list(bodies)
        self.status = status
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b" ")[1].decode())
        writer.write(f"HTTP/1.1 {self.status}\r\nConnection: close\r\n\r\n".encode())
        if self.bodies:
            writer.write(b"".join(json.dumps(value).encode() + b"\n" for value in self.bodies.pop(0)))
            await writer.drain()
            writer.close()
        else:
            await reader.read()
            writer.close()


def told(at: float, *, function: str = "f.ns", after: int = 2) -> dict[str, object]:
    return {"t": at, "function": function, "before": 1, "after": after, "reason": "manual", "writer": "person"}


def followed(stream: Stream, until: Callable[[Decisions], bool]) -> Decisions:
    async def story() -> Decisions:
        server = await asyncio.start_server(stream.serve, "127.0.0.1", 0)
        api = GatewayApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None, deadline_s=5)
        changed = asyncio.Event()
        decisions = Decisions(api, changed.set)
        task = asyncio.create_task(decisions.follow())
        try:
            async with asyncio.timeout(60):
                while not until(decisions):
                    await changed.wait()
                    changed.clear()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await api.aclose()
            server.close()
        return decisions

    return asyncio.run(story())


def test_decision_told_again_after_a_break_is_kept_once() -> None:
    stream = Stream([told(1000.0), told(1100.0)], [told(1100.0), told(1099.0, after=3), told(1200.0)])

    decisions = followed(stream, lambda now: now.number >= 4 and now.problem is None)

    assert [(one.at, one.after) for one in decisions.of("f.ns")] == [(1000, 2), (1100, 2), (1099, 3), (1200, 2)]
    assert "since=1040.000" in stream.asked[1]


def test_function_that_flaps_does_not_push_out_the_reasons_of_others() -> None:
    flapping = [told(float(at)) for at in range(1000, 1000 + 3 * MAX_PER_FUNCTION)]
    stream = Stream([told(1.0, function="calm.ns"), *flapping])

    decisions = followed(stream, lambda now: now.number >= 1 + len(flapping))

    assert len(decisions.of("calm.ns")) == 1
    assert len(decisions.of("f.ns")) == MAX_PER_FUNCTION


def test_what_is_no_decision_is_passed_over() -> None:
    stream = Stream([{"heartbeat": True}, told(1.0) | {"before": "many"}, told(2.0)])

    decisions = followed(stream, lambda now: now.number >= 1)

    assert [one.at for one in decisions.of("f.ns")] == [2.0]


def test_last_decision_of_a_function_is_the_last_that_changed_it() -> None:
    stream = Stream([told(1.0), told(2.0, after=1)])

    decisions = followed(stream, lambda now: now.number >= 2)

    last = decisions.last("f.ns")
    assert last is not None
    assert last.at == 1.0


def test_provider_that_keeps_no_decisions_is_told_as_such() -> None:
    stream = Stream(status="404 Not Found")
    stream.bodies = [[]]

    decisions = followed(stream, lambda now: "keeps no decisions" in (now.problem or ""))

    assert decisions.number == 0
