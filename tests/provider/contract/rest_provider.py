"""A Provider whose every method is a request to the REST API, so that the contract is tested through the wire, too."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from springtide.provider.ports import DeployedVersion, LogLine, LogQuery, Namespace, ProviderInfo
from springtide.provider.spec import FunctionSpec, FunctionStatus, Usage, rfc3339, spec_from_json, spec_to_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unsupported, error_for_status
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Scale
from springtide.wire.endpoint_stream import Event
from springtide.wire.processor_use import ProcessorUse
from springtide.wire.provider_client import ProviderClient


class RestProvider:
    """Catalog, scale and endpoints come from our own client; the rest is sent as faas-cli sends it."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._client = ProviderClient(url, credentials)
        self._http = httpx.AsyncClient(base_url=url, headers={"Authorization": credentials.header}, trust_env=False)
        self._info = ProviderInfo("", "")

    async def learn_info(self) -> None:
        value = await self._ask("GET", "/system/info")
        self._info = ProviderInfo(value["provider"], value["orchestration"])

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._http.aclose()

    @property
    def info(self) -> ProviderInfo:
        return self._info

    @property
    def scalers(self) -> Scalers:
        return Scalers()

    async def list_functions(self) -> Sequence[Function]:
        return await self._client.list_functions()

    async def read(self, ref: FunctionRef) -> Function:
        return await self._client.read(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        return await self._client.write(ref, replicas, expect=expect, decision=decision)

    async def keep_wake(self, ref: FunctionRef, replicas: int) -> None:
        await self._client.keep_wake(ref, replicas)

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        await self._client.keep_start(ref, longest_s)

    def watch_endpoints(self) -> AsyncIterator[Event]:
        return self._client.watch_endpoints()

    async def deploy(self, spec: FunctionSpec) -> None:
        await self._ask("POST", "/system/functions", json=spec_to_json(spec))

    async def update(self, spec: FunctionSpec) -> None:
        await self._ask("PUT", "/system/functions", json=spec_to_json(spec))

    async def versions(self, ref: FunctionRef) -> Sequence[DeployedVersion]:
        params = {"namespace": ref.namespace}
        return [_version(v) for v in await self._ask("GET", f"/system/function/{ref.name}/versions", params=params)]

    async def rollback(self, ref: FunctionRef, to: str | None = None) -> DeployedVersion:
        body = {"namespace": ref.namespace} | ({"to": to} if to else {})
        return _version(await self._ask("POST", f"/system/function/{ref.name}/rollback", json=body))

    async def delete(self, ref: FunctionRef) -> None:
        await self._ask("DELETE", "/system/functions", json={"functionName": ref.name, "namespace": ref.namespace})

    async def status(self, ref: FunctionRef, *, usage: bool = False) -> FunctionStatus:
        params = {"namespace": ref.namespace} | ({"usage": "1"} if usage else {})
        return _status(await self._ask("GET", f"/system/function/{ref.name}", params=params))

    async def statuses(self, namespace: str) -> Sequence[FunctionStatus]:
        values = await self._ask("GET", "/system/functions", params={"namespace": namespace})
        return [_status(value) for value in values]

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        return (await self._client.processor_uses()).functions

    async def memory_use(self) -> Mapping[FunctionRef, float]:
        return await self._client.memory_bytes()

    async def secret_names(self, namespace: str) -> Sequence[str]:
        values = await self._ask("GET", "/system/secrets", params={"namespace": namespace})
        return [value["name"] for value in values]

    async def put_secret(self, namespace: str, name: str, value: bytes, *, replace: bool) -> None:
        body = {"name": name, "namespace": namespace, "rawValue": base64.b64encode(value).decode()}
        await self._ask("PUT" if replace else "POST", "/system/secrets", json=body)

    async def read_secret(self, namespace: str, name: str) -> bytes:  # noqa: ARG002 - the Protocol's
        raise Unsupported("no answer of the API holds a secret's value")

    async def delete_secret(self, namespace: str, name: str) -> None:
        await self._ask("DELETE", "/system/secrets", json={"name": name, "namespace": namespace})

    async def namespaces(self) -> Sequence[Namespace]:
        names = await self._ask("GET", "/system/namespaces")
        values = [await self._ask("GET", f"/system/namespace/{name}") for name in names]
        return [Namespace(v["name"], v.get("labels", {}), v.get("annotations", {})) for v in values]

    async def put_namespace(self, namespace: Namespace, *, replace: bool) -> None:
        body = {"labels": namespace.labels, "annotations": namespace.annotations}
        await self._ask("PUT" if replace else "POST", f"/system/namespace/{namespace.name}", json=body)

    async def delete_namespace(self, name: str) -> None:
        await self._ask("DELETE", f"/system/namespace/{name}")

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        params = {
            "name": query.ref.name,
            "namespace": query.ref.namespace,
            "tail": str(query.tail or -1),
            "follow": str(query.follow).lower(),
        }
        if query.since is not None:
            params["since"] = rfc3339(query.since)
        if query.instance is not None:
            params["instance"] = query.instance
        async with self._http.stream("GET", "/system/logs", params=params) as response:
            if response.status_code != 200:
                await response.aread()
                raise error_for_status(response.status_code)(response.text)
            async for line in response.aiter_lines():
                yield _log_line(json.loads(line))

    async def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        response = await self._http.request(method, path, **arguments)
        if not response.is_success:
            raise error_for_status(response.status_code)(response.text)
        return response.json() if response.content else None


def _version(value: dict[str, Any]) -> DeployedVersion:
    return DeployedVersion(
        name=value["version"],
        generation=value["generation"],
        image=value["image"],
        deployed_at=Instant(datetime.fromisoformat(value["deployedAt"]).timestamp()),
        code=value.get("code", ""),
        current=value["current"],
    )


def _status(value: dict[str, Any]) -> FunctionStatus:
    spec = spec_from_json({**value, "service": value["name"]})
    function = Function(
        spec.ref,
        Scale(value.get("replicas", 0), value.get("availableReplicas", 0), ""),
        value["labels"],
        value["annotations"],
        _instant(value["createdAt"]),
    )
    measured = value.get("usage")
    usage = Usage(measured["cpu"], measured["totalMemoryBytes"]) if measured else None
    return FunctionStatus(spec=spec, function=function, usage=usage, problem=value.get("problem"))


def _log_line(value: dict[str, Any]) -> LogLine:
    ref = FunctionRef(value["namespace"], value["name"])
    return LogLine(ref, value["instance"], _instant(value["timestamp"]), value["text"])


def _instant(text: str) -> Instant:
    return Instant(datetime.fromisoformat(text).timestamp())
