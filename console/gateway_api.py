"""The gateway's system API as the console uses it. Every call has a deadline; failures are sentences."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx

from springtide.console import functions
from springtide.console.functions import FunctionInfo
from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable, Unsupported, error_for_status, reason_of
from springtide.runtime.tls import client_context
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import answer_headers, gateway_metrics, metrics_endpoint

SILENCE_S = 3600.0
"""How long a stream may say nothing before it is opened anew."""

DEPLOY_S = 900.0
"""A deployment may install packages; the gateway's own ``deploy_timeout`` says what took so long."""

MAX_CONNECTIONS = 200
MAX_LINE_CHARS = 64 * 1024


class GatewayApi:
    """Shows the suite's own credentials to ``/system``, and none to functions."""

    def __init__(self, url: str, credentials: Credentials | None, *, deadline_s: float) -> None:
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._authorization = {"Authorization": credentials.header} if credentials else {}
        self._http = httpx.AsyncClient(
            headers={"User-Agent": "springtide-console"},
            timeout=deadline_s,
            trust_env=False,
            verify=client_context(),
            # None are kept: what one function sets is no business of the next, nor of the system API.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        )

    def __repr__(self) -> str:
        return f"<GatewayApi {self.url}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    @property
    def http(self) -> httpx.AsyncClient:
        """For calls that carry no credentials; close nothing."""
        return self._http

    async def functions(self) -> list[FunctionInfo]:
        """Those of every namespace."""
        namespaces: list[str | None] = [None]
        with contextlib.suppress(NotFound, Unsupported):
            namespaces = list(_items(await self.json("GET", "/system/namespaces"))) or [None]
        found: list[FunctionInfo] = []
        for namespace in namespaces:
            try:
                items = _items(await self.json("GET", "/system/functions", params=_query(namespace)))
            except NotFound:
                continue  # The namespace was deleted since they were listed.
            found += [functions.from_json(item, namespace) for item in items]
        return found

    async def function(self, ref: FunctionRef) -> FunctionInfo:
        """One function, with what its replicas use; without a namespace, that of the default one."""
        params = {"usage": "1", **_query(ref.namespace)}
        return functions.from_json(await self.json("GET", f"/system/function/{_quoted(ref)}", params=params))

    async def releases(self) -> tuple[str, str]:
        """The versions of the gateway and of the provider; empty where they do not say."""
        info = await self.json("GET", "/system/info")
        return _release(info), _release(info.get("provider") if isinstance(info, dict) else None)

    async def secret_names(self, namespace: str | None = None) -> list[str]:
        items = _items(await self.json("GET", "/system/secrets", params=_query(namespace)))
        return sorted(str(item.get("name")) for item in items if isinstance(item, dict))

    async def deploy(self, deployment: Mapping[str, Any], *, update: bool) -> None:
        await self.call("PUT" if update else "POST", "/system/functions", json=deployment, deadline_s=DEPLOY_S)

    async def versions(self, ref: FunctionRef) -> list[Any]:
        """What it runs and can go back to, the newest first."""
        path = f"/system/function/{_quoted(ref)}/versions"
        return _items(await self.json("GET", path, params=_query(ref.namespace)))

    async def rollback(self, ref: FunctionRef, to: str) -> None:
        path, body = f"/system/function/{_quoted(ref)}/rollback", {"to": to, "namespace": ref.namespace}
        await self.call("POST", path, json=body, params=_query(ref.namespace), deadline_s=DEPLOY_S)

    async def scale(self, ref: FunctionRef, replicas: int) -> str:
        """What is to be known of it, where what was asked for will not last; else nothing."""
        body = {"serviceName": ref.name, "namespace": ref.namespace, "replicas": replicas}
        response = await self.call(
            "POST", f"/system/scale-function/{_quoted(ref)}", json=body, params={"namespace": ref.namespace}
        )
        warning: str = response.headers.get(answer_headers.WARNING, "")
        return warning

    async def remove(self, ref: FunctionRef) -> None:
        body = {"functionName": ref.name, "namespace": ref.namespace}
        await self.call("DELETE", "/system/functions", json=body, params={"namespace": ref.namespace})

    async def metrics(self, url: str) -> str:
        """What ``GatewayMetricsReader`` reads."""
        samples = gateway_metrics.SAMPLES
        return (await metrics_endpoint.fetch(self._http, url, samples=samples, deadline_s=self._deadline_s)).text

    def decisions(self, since: float) -> AsyncGenerator[Any, None]:
        """None once it is open, then those since then and each new one, until the stream breaks.

        Raises Unavailable then, or what the gateway said.
        """
        return self._lines("/system/scaling/decisions", {"follow": "true", "since": f"{max(0.0, since):.3f}"})

    def logs(self, ref: FunctionRef, tail: int) -> AsyncGenerator[Any, None]:
        """None once it is open, then the last lines and each new one."""
        return self._lines(
            "/system/logs", {"name": ref.name, "namespace": ref.namespace, "tail": str(tail), "follow": "true"}
        )

    async def _lines(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[Any, None]:
        timeout = httpx.Timeout(self._deadline_s, read=SILENCE_S)
        with _explained(self.url):
            async with self._http.stream(
                "GET", self.url + path, params=params, headers=self._authorization, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._failure(response)
                yield None
                async for line in response.aiter_lines():
                    if line and len(line) <= MAX_LINE_CHARS:
                        yield bounded_json.loads(line)

    async def json(self, method: str, path: str, **arguments: Any) -> Any:
        """Raises Unavailable, or what the gateway said."""
        response = await self.call(method, path, **arguments)
        try:
            return bounded_json.loads(response.content)
        except ValueError as error:
            raise Unavailable(f"{self.url}{path} did not answer with JSON") from error

    async def call(
        self, method: str, path: str, *, deadline_s: float | None = None, **arguments: Any
    ) -> httpx.Response:
        """Raises as ``json`` does."""
        deadline_s = deadline_s or self._deadline_s
        with _explained(self.url):
            async with asyncio.timeout(deadline_s):
                response = await self._http.request(
                    method, self.url + path, headers=self._authorization, timeout=deadline_s, **arguments
                )
        if not response.is_success:
            raise self._failure(response)
        return response

    def _failure(self, response: httpx.Response) -> SpringtideError:
        text = response.text.strip()[:4000] or f"the gateway answered {response.status_code}"
        return error_for_status(response.status_code)(text)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise Unavailable(f"{url} did not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} cannot be reached: {why(error)}") from error
    except ValueError as error:
        raise Unavailable(f"{url} answered with something that is not JSON") from error


def why(error: Exception) -> str:
    """What went wrong with a request, in words: time-outs and broken connections bring none of their own."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "not in time"
    return reason_of(error)


def _items(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise Unavailable(f"the gateway's answer is not a list: {str(value)[:200]}")
    return value or []


def _release(info: Any) -> str:
    try:
        return str(info["version"]["release"] or "")
    except (KeyError, TypeError):
        return ""


def _query(namespace: str | None) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _quoted(ref: FunctionRef) -> str:
    return quote(ref.name, safe="")
