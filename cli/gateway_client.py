"""A gateway's system API and its invocations, as the command line uses them. Every call has a deadline."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from typing import IO, Any
from urllib.parse import quote

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import (
    AlreadyExists,
    BadInput,
    NotFound,
    SpringtideError,
    Unauthenticated,
    Unavailable,
    error_for_status,
    reason_of,
)
from springtide.runtime.tls import client_context
from springtide.scaler.core.vocabulary import Decision, FunctionRef
from springtide.wire import answer_headers, decision_log

Json = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BUILD_READ_S = 3600.0
"""A build may be silent for as long as it may take; gateway and provider have bounds of their own."""
NDJSON = "application/x-ndjson"
FOLLOW_READ_S = 24 * 3600.0
"""A followed log may be silent for long; the connection itself still has its deadline."""

DEPLOY_READ_S = 3600.0
"""A deployment may build: the gateway's own ``deploy_timeout`` ends it, with a sentence."""


class NoGateway(Unavailable):
    """Nobody answers at the address."""


def ref_of(function: Json) -> FunctionRef:
    """Of a function as a gateway lists it."""
    name, namespace = str(function.get("name")), function.get("namespace")
    return FunctionRef(str(namespace), name) if namespace else FunctionRef.parse(name)


class GatewayClient:
    """One gateway, with the credentials for its ``/system`` routes; invocations never carry them."""

    def __init__(
        self, url: str, credentials: Credentials | None, *, timeout_s: float = 60.0, verify: bool = True
    ) -> None:
        """Without ``verify`` anybody may answer in the place of an https:// gateway, and read the credentials."""
        self.url = url.rstrip("/")
        self._authorization = {"Authorization": credentials.header} if credentials else {}
        with _translated(self.url):
            own = httpx.URL(self.url).host in LOOPBACK
            self._http = httpx.Client(
                base_url=self.url,
                headers={"User-Agent": "springtide"},
                timeout=httpx.Timeout(timeout_s, connect=5.0),
                # As with faas-cli, a proxy that the environment names is not for this machine's own addresses.
                trust_env=not own,
                verify=verify and (client_context() if own else True),
            )

    def __repr__(self) -> str:
        return f"<GatewayClient {self.url}>"

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def functions(self, namespace: str | None) -> list[Json]:
        return list(self.json("GET", "/system/functions", params=_namespace(namespace)) or [])

    def function(self, name: str, namespace: str | None) -> Json:
        params = {"usage": "1", **_namespace(namespace)}
        with self._missing(f"function {name}", namespace):
            response = self.request("GET", f"/system/function/{quote(name)}", params=params)
        limit = response.headers.get(answer_headers.CALL_LIMIT)
        return dict(_parsed(response.text)) | ({"callLimit": limit} if limit else {})

    def orchestration(self) -> str | None:
        """What functions run on; None where the gateway does not say."""
        try:
            info = self.json("GET", "/system/info")
        except NotFound:
            return None
        provider = info.get("provider") if isinstance(info, dict) else None
        return provider.get("orchestration") if isinstance(provider, dict) else None

    def decisions(self, name: str, namespace: str | None) -> list[Decision]:
        """What was decided about a function, oldest first. Raises NotFound when the provider keeps no decisions."""
        function = f"{name}.{namespace}" if namespace else name
        with _missing(f"the provider behind {self.url} keeps no decisions"):
            text = self.request("GET", "/system/scaling/decisions", params={"function": function}).text
        return [decision_log.from_json(_parsed(line)) for line in text.splitlines() if line]

    def decisions_since(self, instant: float) -> list[Decision]:
        """What was decided about any function, oldest first. Raises as ``decisions`` does."""
        with _missing(f"the provider behind {self.url} keeps no decisions"):
            text = self.request("GET", "/system/scaling/decisions", params={"since": f"{instant:.3f}"}).text
        return [decision_log.from_json(_parsed(line)) for line in text.splitlines() if line]

    def deploy(self, deployment: Json, *, timeout_s: float = DEPLOY_READ_S) -> list[str]:
        """Update it, or create it where it is not there yet: works with any gateway, upsert or not.

        Returns what of it will not have the effect that was meant, a sentence each.
        """
        timeout = httpx.Timeout(timeout_s, connect=5.0)
        try:
            response = self.request("PUT", "/system/functions", json=deployment, timeout=timeout)
        except NotFound:
            response = self.request("POST", "/system/functions", json=deployment, timeout=timeout)
        return response.headers.get_list(answer_headers.WARNING)

    def versions(self, name: str, namespace: str | None) -> list[Json]:
        """What a function runs and can go back to, newest first."""
        with self._missing(f"function {name}", namespace):
            return list(
                self.json("GET", f"/system/function/{quote(name)}/versions", params=_namespace(namespace)) or []
            )

    def rollback(self, name: str, namespace: str | None, to: str | None) -> Json:
        """Go back to an earlier version, the last one unless told; returns what is current then."""
        body = {**({"to": to} if to else {}), **_namespace(namespace)}
        with self._missing(f"function {name}", namespace):
            path, timeout = f"/system/function/{quote(name)}/rollback", httpx.Timeout(DEPLOY_READ_S, connect=5.0)
            return dict(self.json("POST", path, json=body, params=_namespace(namespace), timeout=timeout))

    def create(self, deployment: Json, *, timeout_s: float = DEPLOY_READ_S) -> list[str]:
        """What ``deploy`` does, but raises AlreadyExists where it is; many gateways would update it."""
        timeout = httpx.Timeout(timeout_s, connect=5.0)
        name, namespace = deployment["service"], deployment.get("namespace")
        try:
            self.function(name, namespace)
        except NotFound:
            response = self.request("POST", "/system/functions", json=deployment, timeout=timeout)
        else:
            raise AlreadyExists(f"function {name}{_of(namespace)} is there already; leave out --update=false")
        return response.headers.get_list(answer_headers.WARNING)

    def build(self, archive: IO[bytes], signature: str) -> Iterator[Json]:
        """The lines in which a build is told, as they come. Who may build is told by the signature alone."""
        headers = {"X-Build-Signature": signature, "Content-Type": "application/octet-stream", "Accept": NDJSON}
        timeout = httpx.Timeout(BUILD_READ_S, connect=5.0)
        with (
            _translated(self.url),
            self._http.stream("POST", "/build", headers=headers, content=archive, timeout=timeout) as response,
        ):
            if response.status_code not in (200, 202):
                response.read()
                text = response.text.strip()[:2000] or response.reason_phrase
                raise error_for_status(response.status_code)(f"{self.url} answered {response.status_code}: {text}")
            for line in response.iter_lines():
                if line.strip():
                    yield dict(_parsed(line))

    def store(self) -> Any:
        """The gateway's store of functions, as it is served."""
        with _missing(f"{self.url} has no store of functions"):
            return self.json("GET", "/store/functions.json")

    def templates(self) -> list[Json]:
        """The templates that run there."""
        with _missing(f"{self.url} has no list of templates"):
            return list(self.json("GET", "/templates.json"))

    def remove(self, name: str, namespace: str | None) -> None:
        body = {"functionName": name, **_namespace(namespace)}
        with self._missing(f"function {name}", namespace):
            self.request("DELETE", "/system/functions", json=body, params=_namespace(namespace))

    def scale(self, name: str, namespace: str | None, replicas: int) -> list[str]:
        """Warnings, where what was asked for will not last."""
        body = {"serviceName": name, "replicas": replicas, **_namespace(namespace)}
        with self._missing(f"function {name}", namespace):
            path = f"/system/scale-function/{quote(name)}"
            response = self.request("POST", path, json=body, params=_namespace(namespace))
        return response.headers.get_list(answer_headers.WARNING)

    def secrets(self, namespace: str | None) -> list[Json]:
        return list(self.json("GET", "/system/secrets", params=_namespace(namespace)) or [])

    def put_secret(self, name: str, namespace: str | None, value: bytes, *, replace: bool) -> None:
        """``value`` text goes as it is, which old providers know; other bytes as base64."""
        try:
            content: Json = {"value": value.decode()}
        except UnicodeDecodeError:
            content = {"rawValue": base64.b64encode(value).decode()}
        body = {"name": name, **_namespace(namespace), **content}
        try:
            self.request("PUT" if replace else "POST", "/system/secrets", json=body)
        except NotFound as error:
            # A secret that is to be made cannot be missing itself, so its namespace is.
            if not replace or _lacks_namespace(error, namespace):
                raise NotFound(_no_namespace(namespace, self.url)) from error
            raise NotFound(f"no secret {name}{_of(namespace)}; make it with: springtide secret create") from error
        except AlreadyExists as error:
            message = f"secret {name}{_of(namespace)} is there already; change it with: springtide secret update"
            raise AlreadyExists(message) from error

    def remove_secret(self, name: str, namespace: str | None) -> None:
        with self._missing(f"secret {name}", namespace):
            self.request("DELETE", "/system/secrets", json={"name": name, **_namespace(namespace)})

    def logs(self, name: str, namespace: str | None, query: Mapping[str, str]) -> Iterator[Json]:
        """Log messages as they come; ends with the stream."""
        follow = query.get("follow") == "true"
        timeout = httpx.Timeout(FOLLOW_READ_S if follow else 60.0, connect=5.0)
        params = {"name": name, **_namespace(namespace), **query}
        with self.stream("GET", "/system/logs", params=params, timeout=timeout) as response:
            for line in response.iter_lines():
                if line.strip():
                    yield _parsed(line)

    @contextlib.contextmanager
    def invoke(
        self,
        name: str,
        *,
        method: str,
        query: Pairs,
        headers: Pairs,
        body: bytes,
        path: str = "/function",
    ) -> Iterator[httpx.Response]:
        """The answer to one call, whatever its status, with its body still to be read."""
        limit = f"--timeout ({self._http.timeout.read:g} s)"
        with (
            _translated(self.url, within=limit),
            self._http.stream(
                method, f"{path}/{quote(name)}", params=tuple(query), headers=list(headers), content=body
            ) as response,
        ):
            yield response

    @contextlib.contextmanager
    def _missing(self, what: str, namespace: str | None) -> Iterator[None]:
        """Say which of the two is not there."""
        try:
            yield
        except NotFound as error:
            if _lacks_namespace(error, namespace):
                raise NotFound(_no_namespace(namespace, self.url)) from error
            raise NotFound(f"no {what}{_of(namespace)} at {self.url}") from error

    def check(self) -> None:
        """Raises Unauthenticated when the gateway does not take the credentials."""
        self.request("GET", "/system/functions", timeout=5.0)

    def json(self, method: str, path: str, **arguments: Any) -> Any:
        """What a route answers. Raises as ``request`` does."""
        return _parsed(self.request(method, path, **arguments).text)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The answer of a route of ours, which is a good one. Raises a SpringtideError that says what it answered."""
        with _translated(self.url):
            response = self._http.request(method, path, headers=self._authorization, **arguments)
        if not response.is_success:
            raise self._failure(response)
        return response

    @contextlib.contextmanager
    def answered(self, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
        """As ``stream``, whatever its status."""
        with (
            _translated(self.url),
            self._http.stream(method, path, headers=self._authorization, **arguments) as response,
        ):
            yield response

    @contextlib.contextmanager
    def stream(self, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
        """As ``request``, with its body still to be read."""
        with self.answered(method, path, **arguments) as response:
            if not response.is_success:
                response.read()
                raise self._failure(response)
            yield response

    def _failure(self, response: httpx.Response) -> SpringtideError:
        if response.status_code == 401:
            return Unauthenticated(f"{self.url} does not accept these credentials; run: springtide login -g {self.url}")
        text = response.text.strip()[:2000] or response.reason_phrase
        return error_for_status(response.status_code)(f"{self.url} answered {response.status_code}: {text}")


@contextlib.contextmanager
def _translated(url: str, *, within: str = "its time") -> Iterator[None]:
    """``within`` names the time-out of the requests."""
    try:
        yield
    except httpx.ConnectError as error:
        raise NoGateway(f"no gateway answers at {url}; start the suite with: springtide up") from error
    except httpx.ConnectTimeout as error:
        raise NoGateway(f"{url} did not answer in time") from error
    except httpx.TimeoutException as error:
        raise Unavailable(f"{url} did not answer within {within}") from error
    except UnicodeEncodeError:
        raise  # of what is sent, not of where to
    except (OverflowError, UnicodeError) as error:
        raise BadInput(f"{url[:200]}: not an address; write http://HOST:PORT") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url}: {reason_of(error)}") from error


@contextlib.contextmanager
def _missing(message: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise NotFound(message) from error


def _parsed(text: str) -> Any:
    try:
        return bounded_json.loads(text)
    except ValueError as error:
        raise Unavailable(f"the gateway's answer is not JSON: {text[:200]!r}") from error


def _namespace(namespace: str | None) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _lacks_namespace(error: NotFound, namespace: str | None) -> bool:
    return namespace is not None and f"no namespace {namespace}" in str(error)


def _no_namespace(namespace: str | None, url: str) -> str:
    named = f" {namespace}" if namespace else ""
    return f"no namespace{named} for functions at {url}; make it first, with: faas-cli namespace create NAME"


def _of(namespace: str | None) -> str:
    return f" in namespace {namespace}" if namespace else ""
