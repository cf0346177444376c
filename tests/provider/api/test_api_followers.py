"""Followers of logs and decisions have a bound, and hold nobody up who only reads."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.api import Version, application
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.decision_log import DecisionLog
from tests.provider.api.served import DEADLINE_S

LOGS, DECISIONS = "/system/logs?name=echo&follow=true", "/system/scaling/decisions?follow=true"


@pytest.mark.parametrize(("first", "second"), [(LOGS, DECISIONS), (DECISIONS, LOGS), (LOGS, LOGS)])
async def test_followers_beyond_the_bound_are_told_so_and_readers_are_not(first: str, second: str) -> None:
    memory = MemoryProvider()
    await memory.deploy(FunctionSpec(ref=FunctionRef(DEFAULT_NAMESPACE, "echo"), image="x"))
    parts = application.Parts(
        provider=memory,
        decisions=DecisionLog(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        version=Version("1"),
        stopping=asyncio.Event(),
        heartbeat_s=60,
        namespaces=NamespaceRule(DEFAULT_NAMESPACE),
        max_followers=1,
    )
    server = AsgiServer(application.application(parts, credentials=None, body_deadline_s=5), name="followers")
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(base_url=base, trust_env=False) as http:
        async with http.stream("GET", first) as followed:
            assert followed.status_code == 200
            assert (await http.get(second)).status_code == 429
            assert (await http.get(second.replace("follow=true", "follow=false"))).status_code == 200
        status = 429
        while status == 429:  # The server learns by itself that the first one left.
            async with http.stream("GET", second) as again:
                status = again.status_code
        assert status == 200
    await server.stop()
