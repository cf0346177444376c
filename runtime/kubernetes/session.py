"""The one place that uses the ``kubernetes`` library: where the server is, who we are, TLS, connections.

Its asyncio half is young, so only what is hard to get right is taken from it: kubeconfig (contexts, exec plugins, OIDC,
client certificates), the service account of a pod, and its HTTP client with TLS and proxies set up from them. Models,
generated API classes, its watch and its retries are not used.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from springtide.runtime.errors import BadInput, Unavailable, kind_and_reason_of
from springtide.runtime.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOME_CONFIG = Path("~/.kube/config")
MAX_CONNECTIONS = 500
"""Watches and followed logs hold one each."""

CONNECT_S = 3.0


class Broken(Unavailable):
    """The connection failed. ``sent``: the server may have got the request."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]
    whole: bytes = b""

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body])


class Session:
    """Connections made with one set of credentials. Closes itself when it is retired and nobody uses it any more."""

    def __init__(self, configuration: Configuration) -> None:
        from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415 - costs 0.4 s and 46 MB

        self._configuration = configuration
        try:
            self._rest: Any = RESTClientObject(configuration)  # its methods have no types
        except OSError as error:  # ssl.SSLError is one
            raise BadInput(f"certificates for {configuration.host} cannot be used: {error}") from error
        self._users = 0
        self._retired = False

    def __repr__(self) -> str:
        return f"<Session {self._configuration.host} {self._users} requests>"

    async def retire(self) -> None:
        """Take no new requests; those under way, watches included, go on to their end."""
        self._retired = True
        await self._close_if_unused()

    async def aclose(self) -> None:
        await self._rest.close()

    @contextlib.asynccontextmanager
    async def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: Any, silence_s: float | None
    ) -> AsyncIterator[Answer]:
        """One request. ``silence_s`` is the longest wait between two bytes. Raises Broken."""
        import aiohttp  # noqa: PLC0415 - comes with the library, and is as heavy

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s)
        self._users += 1
        try:
            all_headers = {"Accept": "application/json", **headers, **await self._credentials()}
            with _translated(aiohttp, sent=True):
                response = await self._rest.request(
                    method, self._configuration.host + target, all_headers, body, _request_timeout=timeout
                )
            async with response.response:
                _keep_alive(response.response)
                chunks = _chunks(aiohttp, response.response.content)
                yield Answer(response.status, dict(response.headers), chunks)
                await chunks.aclose()
        finally:
            self._users -= 1
            await self._close_if_unused()

    async def _credentials(self) -> dict[str, str]:
        """As a header; a service account's token is read anew from its file every minute."""
        from kubernetes.aio.config import ConfigException  # noqa: PLC0415 - as above

        try:
            found = (await self._configuration.auth_settings()).get("BearerToken")
        except (ConfigException, OSError) as error:
            raise Broken(f"the credentials for the API server cannot be read: {error}", sent=False) from error
        value = (found["value"] or "").strip() if found else ""
        return {"Authorization": value} if value else {}

    async def _close_if_unused(self) -> None:
        if self._retired and self._users == 0:
            await self._rest.close()


async def open_session(settings: KubernetesSettings) -> Session:
    """Credentials read anew. Raises BadInput when the settings lead nowhere."""
    from kubernetes.aio.client import Configuration  # noqa: PLC0415 - costs 0.4 s and 46 MB
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415 - as above

    configuration = Configuration(
        connection_pool_maxsize=MAX_CONNECTIONS,
        # A proxy is for us only when the kubeconfig says so.
        client_session_kwargs={"trust_env": False},
    )
    file = _kubeconfig(settings)
    try:
        if file:
            await _load_kubeconfig(file, settings.kube_context, configuration)
        else:
            _load_service_account(settings, configuration)
    except (ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The loader meets a malformed file with whatever its shape provokes.
        raise BadInput(f"the way to the API server is not usable: {kind_and_reason_of(error)}") from error
    return Session(configuration)


def _kubeconfig(settings: KubernetesSettings) -> str:
    """The file, or files, to read; empty in a pod that was given none."""
    if settings.kubeconfig:
        if not any(Path(part).expanduser().is_file() for part in settings.kubeconfig.split(":") if part):
            raise BadInput(f"no kubeconfig file at {settings.kubeconfig}; correct --kubeconfig or KUBECONFIG")
        return settings.kubeconfig
    if settings.service_host:
        return ""
    home = HOME_CONFIG.expanduser()
    if not home.is_file():
        raise BadInput(f"no API server known: this is no pod, there is no {home}; set --kubeconfig or KUBECONFIG")
    return str(home)


async def _load_kubeconfig(file: str, context: str, configuration: Configuration) -> None:
    from kubernetes.aio import config  # noqa: PLC0415 - costs 0.4 s and 46 MB

    untyped: Any = config
    loader = await untyped.load_kube_config(
        file, context=context or None, client_configuration=configuration, persist_config=False
    )
    if "exec" in loader._user and not (configuration.api_key or configuration.cert_file):
        # The library logs an exec plugin's failure and goes on without credentials.
        raise config.ConfigException("the exec plugin of the kubeconfig gave no credentials; run its command by hand")


def _load_service_account(settings: KubernetesSettings, configuration: Configuration) -> None:
    from kubernetes.aio.config import incluster_config  # noqa: PLC0415 - costs 0.4 s and 46 MB

    untyped: Any = incluster_config
    environ = {
        "KUBERNETES_SERVICE_HOST": settings.service_host,
        "KUBERNETES_SERVICE_PORT": str(settings.service_port),
    }
    loader = untyped.InClusterConfigLoader(str(ACCOUNT / "token"), str(ACCOUNT / "ca.crt"), environ=environ)
    loader.load_and_set(configuration)


def _keep_alive(response: Any) -> None:
    """Have the kernel notice within a minute that the other machine is gone: a stream may be silent for days."""
    transport = response.connection and response.connection.transport
    if transport is None:
        return  # the answer is here already
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # It may be closed already: whoever reads from it hears of that.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


async def _chunks(aiohttp: Any, content: Any) -> AsyncGenerator[bytes, None]:
    with _translated(aiohttp, sent=True):
        async for chunk in content.iter_any():
            yield chunk


@contextlib.contextmanager
def _translated(aiohttp: Any, *, sent: bool) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise Broken(f"the API server cannot be reached: {error}", sent=False) from error
    except aiohttp.SocketTimeoutError as error:
        raise Broken("the API server fell silent", sent=sent) from error
    except (aiohttp.ClientError, OSError) as error:
        raise Broken(f"the connection to the API server broke: {kind_and_reason_of(error)}", sent=sent) from error
