"""What the contract's stories do again and again: specs, and waiting on the endpoint stream instead of sleeping."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from springtide.provider.ports import LogLine, LogQuery, Namespace, Provider
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, Heartbeat, merge

T = TypeVar("T")
Table = dict[FunctionRef, FunctionEndpoints]

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
MARKED = {"openfaas": "1"}


def spec(ref: FunctionRef = ECHO, **changes: Any) -> FunctionSpec:
    """A function that runs anywhere: it answers what it is sent, and writes it to its standard error, too."""
    settings: dict[str, Any] = {"image": "functions/alpine:latest", "env_process": "tee /dev/stderr"} | changes
    return FunctionSpec(ref=ref, **settings)


def marked(name: str) -> Namespace:
    return Namespace(name, labels=MARKED)


def closing(items: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    return aclosing(cast("AsyncGenerator[T, None]", items))


async def table_when(provider: Provider, wanted: Callable[[Table], bool]) -> Table:
    """The endpoint table once it is as wanted."""
    table: Table = {}
    async with closing(provider.watch_endpoints()) as events:
        async for event in events:
            table = merge(table, [event])
            if not isinstance(event, Heartbeat) and wanted(table):
                return table
    raise AssertionError("the endpoint stream ended")


async def when_ready(provider: Provider, count: int, ref: FunctionRef = ECHO) -> FunctionEndpoints:
    """The function once exactly ``count`` of its replicas answer."""
    return (await table_when(provider, lambda table: ref in table and len(table[ref].endpoints) == count))[ref]


async def log_lines(provider: Provider, query: LogQuery) -> list[LogLine]:
    async with closing(provider.logs(query)) as lines:
        return [line async for line in lines]
