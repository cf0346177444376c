"""A small HTTP server with a gateway's /metrics, or with anything else in its place."""

from __future__ import annotations

import asyncio

from tests.fakes.http import HttpServer
from tests.fakes.prometheus import IN_FLIGHT, LAST_ACTIVE

NOISE = """\
# HELP gateway_functions_seconds Seconds from a call's arrival to the end of its answer
# TYPE gateway_functions_seconds histogram
gateway_functions_seconds_bucket{function_name="echo.openfaas-fn",code="200",le="+Inf"} 3
# HELP gateway_function_invocation_inflight Calls begun and not yet answered
# TYPE gateway_function_invocation_inflight gauge
"""


def lines(name: str, *, calls: float | str, active: float | str, at_ms: int | None = None) -> str:
    """The two samples of one function, with an explicit time if given."""
    at = "" if at_ms is None else f" {at_ms}"
    return f'{IN_FLIGHT}{{function_name="{name}"}} {calls}{at}\n{LAST_ACTIVE}{{function_name="{name}"}} {active}{at}\n'


class FakeGateway:
    """Answers ``text`` with ``status``, or hangs while ``hanging`` is not set."""

    def __init__(self, *functions: str) -> None:
        self.text = NOISE + "".join(functions)
        self.status = 200
        self.hanging: asyncio.Event | None = None
        self.scrapes = 0
        self._server = HttpServer(self._answer)

    def tells_time(self, date: str) -> None:
        """In a ``Date`` header."""
        self._server.date = date

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/metrics"

    async def __aenter__(self) -> FakeGateway:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, _path: str) -> tuple[int, bytes]:
        self.scrapes += 1
        if self.hanging is not None:
            await self.hanging.wait()
        return self.status, self.text.encode()
