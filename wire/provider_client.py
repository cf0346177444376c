"""The provider's REST API as the scaling parts use it: catalog, compare-and-set scale, decisions, endpoint stream.

One client per process; every call has a deadline. It works against any OpenFaaS provider, too: those ignore the
``If-Match`` header, so a write there is not compare-and-set, and have no endpoint stream (Unsupported):
``wire.polled_endpoints`` stands in for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import (
    NotFound,
    SpringtideError,
    Unavailable,
    Unsupported,
    error_for_status,
    kind_and_reason_of,
)
from springtide.runtime.tls import client_context
from springtide.scaler.core import call_timeout, ownership
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.ports import Leadership
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Scale, Writer
from springtide.wire import decision_log, endpoint_stream, processor_use
from springtide.wire.endpoint_stream import HEARTBEAT_S, Event
from springtide.wire.leadership import Always, read_headers, write_headers
from springtide.wire.processor_use import ProcessorUses

WRITER_HEADER = "X-Springtide-Decision"
"""Carries the decision behind a scale request as JSON; a request without it was a person's."""
WAKE_PATH = "/system/wake"
"""``POST`` to the function's name below it: what was learned of its wakes, ``replicas`` or ``longestStartSeconds``."""


class Unreachable(Unavailable):
    """The provider gave no answer at all: it is away, or about to be back."""


class ProviderClient:
    """Implements FunctionCatalog and ScaleTarget over HTTP."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        *,
        timeout_s: float = 5.0,
        leadership: Leadership | None = None,
    ) -> None:
        """With ``leadership`` every request names the term, and only a leader's writes are sent."""
        headers = {"User-Agent": "springtide"}
        if credentials is not None:
            headers["Authorization"] = credentials.header
        self._timeout_s = timeout_s
        self._leadership: Leadership = leadership or Always()
        # Proxies from the environment are for the outside world, not for calls between our own parts.
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"), headers=headers, timeout=timeout_s, trust_env=False, verify=client_context()
        )

    def __repr__(self) -> str:
        return f"<ProviderClient {self._http.base_url}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def list_functions(self) -> Sequence[Function]:
        """A list says nothing of versions: they are empty here, and ``read`` has them."""
        namespaces: list[str | None] = []
        with contextlib.suppress(NotFound, Unsupported):
            namespaces = _items(await self._json("GET", "/system/namespaces"))
        return [function for namespace in namespaces or [None] for function in await self._functions_of(namespace)]

    async def read(self, ref: FunctionRef) -> Function:
        response = await self._request("GET", _function_path(ref), params={"namespace": ref.namespace})
        return _function(_decoded(response), ref.namespace, version=_version(response))

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        """Raises Standby from a copy that does not lead."""
        headers = {"If-Match": f'"{expect}"'} if expect else {}
        if decision is not None:
            headers[WRITER_HEADER] = json.dumps(decision_log.to_json(decision))
        response = await self._request(
            "POST",
            f"/system/scale-function/{quote(ref.name, safe='')}",
            params={"namespace": ref.namespace},
            json={"serviceName": ref.name, "replicas": replicas, "namespace": ref.namespace},
            headers=headers,
            led=True,
        )
        return Scale(replicas, 0, _version(response))

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        """Have the provider keep what was learned of a function's wakes. Raises Standby from a copy that does not lead.

        NotFound by foreign providers, too.
        """
        await self._keep(ref, {"replicas": replicas})

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        """Have the provider keep how long the longest of a function's last starts took; as ``keep_wake``."""
        await self._keep(ref, {"longestStartSeconds": longest_s})

    async def report(self, decisions: Sequence[Decision]) -> None:
        """Tell the provider's decision log. Unsupported by foreign providers."""
        await self._request(
            "POST", "/system/scaling/decisions", json=[decision_log.to_json(decision) for decision in decisions]
        )

    async def last_changes(self) -> Mapping[FunctionRef, Decision]:
        """The last change of each function's count that the provider still knows the decision of."""
        return {decision.ref: decision for decision in await self.changes()}

    async def changes(self) -> Sequence[Decision]:
        """All changes of counts of which the provider still knows the decision, in their order."""
        try:
            response = await self._request("GET", "/system/scaling/decisions")
        except (NotFound, Unsupported):
            return []  # a foreign provider keeps none
        decisions = [decision_log.from_json(_line(line)) for line in response.text.splitlines()]
        return [decision for decision in decisions if decision.changes]

    async def processor_uses(self) -> ProcessorUses:
        """What every function uses of the processors, and its memory. Unsupported by foreign providers."""
        try:
            value = await self._json("GET", processor_use.PATH)
        except NotFound as error:
            raise Unsupported("this provider does not measure processor time") from error
        # Of thousands of functions it takes longer than others in this process may be kept waiting.
        return await asyncio.to_thread(processor_use.from_json, value)

    async def memory_bytes(self) -> Mapping[FunctionRef, float]:
        """Of all replicas of a function together; functions of which it is not known are absent. As above."""
        return (await self.processor_uses()).memory_bytes

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        """The endpoint stream, until it breaks: then Unavailable. Heartbeats are passed on."""
        timeout = httpx.Timeout(5.0, read=3 * HEARTBEAT_S)
        with _translated():
            async with self._http.stream(
                "GET", "/system/endpoints", params={"watch": "true"}, timeout=timeout
            ) as response:
                if response.status_code in (404, 501):
                    raise Unsupported("this provider has no endpoint stream")
                if response.status_code != 200:
                    await response.aread()
                    raise _failure(response)
                async for line in response.aiter_lines():
                    event = endpoint_stream.decode(line) if line else None
                    if event is not None:
                        yield event
        raise Unavailable("the provider closed the endpoint stream")

    async def _keep(self, ref: FunctionRef, learned: Mapping[str, float]) -> None:
        await self._request(
            "POST",
            f"{WAKE_PATH}/{quote(ref.name, safe='')}",
            params={"namespace": ref.namespace},
            json={**learned, "namespace": ref.namespace},
            led=True,
        )

    async def _functions_of(self, namespace: str | None) -> list[Function]:
        params = {"namespace": namespace} if namespace else {}
        try:
            items = _items(await self._json("GET", "/system/functions", params=params))
        except NotFound as error:
            if namespace is None:
                raise Unavailable(f"provider: lists no functions: {error}") from error
            return []  # Deleted since the namespaces were listed.
        return [_function(item, namespace) for item in items]

    async def _json(self, method: str, path: str, **arguments: Any) -> Any:
        return _decoded(await self._request(method, path, **arguments))

    async def _request(self, method: str, path: str, *, led: bool = False, **arguments: Any) -> httpx.Response:
        """A request within the deadline; one that has to be ``led`` is over before another copy can lead."""
        deadline_s = min(self._timeout_s, self._leadership.left_s()) if led else self._timeout_s
        term = write_headers(self._leadership) if led else read_headers(self._leadership)
        arguments["headers"] = {**term, **arguments.get("headers", {})}
        with _translated():
            # httpx's own time-out starts anew with every byte; this one is for the whole call.
            async with asyncio.timeout(deadline_s):
                response = await self._http.request(method, path, **arguments)
        if not response.is_success:
            raise _failure(response)
        return response


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise Unreachable(f"provider: {kind_and_reason_of(error)}") from error
    except TimeoutError as error:
        raise Unreachable("provider: no whole answer in time") from error


def _failure(response: httpx.Response) -> SpringtideError:
    text = response.text.strip()[:500] or response.reason_phrase
    return error_for_status(response.status_code)(text)


def _decoded(response: httpx.Response) -> Any:
    try:
        return bounded_json.loads(response.content)
    except ValueError as error:
        raise Unavailable(f"provider: not JSON: {response.text[:200]!r}") from error


def _line(text: str) -> Any:
    try:
        return bounded_json.loads(text)
    except ValueError as error:
        raise Unavailable(f"provider: not JSON: {text[:200]!r}") from error


def _items(value: Any) -> list[Any]:
    """A JSON list; null is how some providers write an empty one."""
    if value is not None and not isinstance(value, list):
        raise Unavailable(f"provider: not a list: {str(value)[:200]}")
    return value or []


def _function_path(ref: FunctionRef) -> str:
    return f"/system/function/{quote(ref.name, safe='')}"


def _version(response: httpx.Response) -> str:
    return str(response.headers.get("ETag", "")).strip('"')


def _function(value: Any, namespace: str | None, version: str = "") -> Function:
    try:
        ref = FunctionRef(value.get("namespace") or namespace or "", value["name"])
        return Function(
            ref=ref if ref.namespace else FunctionRef.parse(ref.name),
            scale=Scale(int(value.get("replicas") or 0), int(value.get("availableReplicas") or 0), version),
            labels=dict(value.get("labels") or {}),
            annotations=dict(value.get("annotations") or {}),
            created_at=created_at_of(value),
            call_timeout=call_timeout_of(value),
            owner=owner_of(value),
            learned_wake=learned_wake_of(value),
            longest_start_s=endpoint_stream.longest_start_of(value),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unavailable(f"provider: not a function status: {str(value)[:500]}") from error


def owner_of(function: Any) -> Writer | None:
    """Who moves a function's replicas, by what its provider tells; None for nobody, and for a writer unknown here.

    A provider that does not tell knows of no control loop: then its labels do.
    """
    return ownership.owner_from_text(function.get("owner"), _texts(function.get("labels")))


def learned_wake_of(function: Any) -> int | None:
    """How many replicas its last wakes needed, as its provider tells; None where it does not."""
    told = function.get("learnedWake")
    return None if told is None else int(told)


def created_at_of(function: Any) -> Instant | None:
    """When it was deployed first, as its provider tells; None where it does not know."""
    return _instant(function.get("createdAt"))


def call_timeout_of(function: Any) -> CallTimeout | None:
    """What a function's JSON, as it is deployed and as it is listed, says of how long its calls may take."""
    return call_timeout.of_function(_texts(function.get("annotations")), _texts(function.get("envVars")))


def _texts(value: Any) -> dict[str, str]:
    """What of an object is text; somebody else's provider wrote it."""
    items = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}


def _instant(text: str | None) -> Instant | None:
    if not text or text.startswith("0001-"):
        return None
    return Instant(datetime.fromisoformat(text).timestamp())
