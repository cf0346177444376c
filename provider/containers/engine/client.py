"""The requests that functions need of a container engine, and what it answers, as values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from springtide.provider.containers.engine.log_frames import FrameReader
from springtide.provider.containers.engine.transport import DEADLINE_S, MAX_SHOWN, EngineTransport, json_lines
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable, Unsupported

OLDEST, NEWEST = (1, 40), (1, 44)
"""Of the API's versions: the first is Docker's of 2019, the second is as new as what is asked here needs."""
LOAD_S = 300.0
"""For some 100 MB to become layers on a slow disk."""
PULL_SILENCE_S = 300.0
"""A pull that says nothing for so long is given up; its layers may take longer than that altogether."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    name: str
    """``podman`` or ``docker``."""
    version: str
    api: str
    rootless: bool
    security: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One as the list has it. ``state`` is the engine's word: created, running, paused, exited and others."""

    id: str
    name: str
    state: str
    labels: Mapping[str, str]
    address: str = ""
    """In its first network; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDetail:
    """``pid`` on this machine; 0 when it does not run."""

    running: bool
    paused: bool
    pid: int
    address: str
    exit_code: int
    out_of_memory: bool
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    id: str
    environment: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    """With their tags; none where it is only known by its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptImage:
    """One as the list has it. ``size`` in bytes, with what it shares with others."""

    id: str
    size: int
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    id: str
    action: str
    """The engine's word: start, die, oom, pause, destroy and others."""


class Engine:
    """Raises what ``EngineTransport`` raises."""

    def __init__(self, socket: Path) -> None:
        self._transport = EngineTransport(socket)

    def __repr__(self) -> str:
        return f"<Engine {self._transport!r}>"

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def connect(self) -> EngineInfo:
        """Agree on a version. Raises Unsupported for an engine that is too old."""
        self._transport.prefix = ""
        version: Json = await self._transport.ask("GET", "/version") or {}
        api = _version(str(version.get("ApiVersion", "")))
        if api < OLDEST:
            raise Unsupported(f"the container engine speaks API {version.get('ApiVersion')}; 1.40 or newer is needed")
        self._transport.prefix = "/v{}.{}".format(*min(api, NEWEST))
        info: Json = await self._transport.ask("GET", "/info") or {}
        security = tuple(str(option) for option in info.get("SecurityOptions") or ())
        names = [str(part.get("Name", "")) for part in version.get("Components") or ()]
        return EngineInfo(
            name="podman" if any("podman" in name.lower() for name in names) else "docker",
            version=str(version.get("Version", "")),
            api=str(version.get("ApiVersion", "")),
            rootless=bool(info.get("Rootless")) or any("rootless" in option for option in security),
            security=security,
        )

    # Containers.

    async def containers(self, label: str) -> list[Container]:
        """All that have the label, written ``name=value``, whatever they do."""
        query = {"all": "true", "filters": json.dumps({"label": [label]})}
        return [_container(value) for value in await self._transport.ask("GET", "/containers/json", query=query) or ()]

    async def inspect(self, container: str) -> ContainerDetail:
        return _detail(await self._transport.ask("GET", f"/containers/{container}/json"))

    async def create(self, name: str, settings: Json) -> str:
        """Returns its id. NotFound when its image is not there."""
        made = await self._transport.ask("POST", "/containers/create", query={"name": name}, body=settings)
        return str(made["Id"])

    async def start(self, container: str) -> None:
        await self._transport.ask("POST", f"/containers/{container}/start")

    async def stop(self, container: str, *, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it has ended."""
        seconds = str(max(0, round(grace_s)))
        deadline_s = grace_s + DEADLINE_S
        await self._transport.ask("POST", f"/containers/{container}/stop", query={"t": seconds}, deadline_s=deadline_s)

    async def kill(self, container: str) -> None:
        await self._transport.ask("POST", f"/containers/{container}/kill", query={"signal": "KILL"})

    async def pause(self, container: str) -> None:
        await self._transport.ask("POST", f"/containers/{container}/pause")

    async def unpause(self, container: str) -> None:
        await self._transport.ask("POST", f"/containers/{container}/unpause")

    async def rename(self, container: str, name: str) -> None:
        await self._transport.ask("POST", f"/containers/{container}/rename", query={"name": name})

    async def remove(self, container: str) -> None:
        """Whatever it does, and with its anonymous volumes; nothing when it is not there any more."""
        try:
            await self._transport.ask("DELETE", f"/containers/{container}", query={"force": "true", "v": "true"})
        except NotFound:
            return

    async def events(self, label: str, *, since: float) -> AsyncGenerator[ContainerEvent, None]:
        """Of containers with the label, from ``since`` on, in seconds of the epoch, until the engine ends."""
        query = {"filters": json.dumps({"label": [label], "type": ["container"]}), "since": str(int(since))}
        async with self._transport.stream("GET", "/events", query=query) as answer:
            async for value in json_lines(answer):
                yield ContainerEvent(str(value.get("id") or value["Actor"]["ID"]), str(value.get("Action", "")))

    async def output(self, container: str, *, since: float) -> AsyncGenerator[bytes, None]:
        """What it writes from ``since`` on, in whole seconds of the epoch, until it ends."""
        query = {"follow": "true", "stdout": "true", "stderr": "true", "since": str(int(since))}
        reader = FrameReader()
        path = f"/containers/{container}/logs"
        async with self._transport.stream("GET", path, query=query, head_s=None) as answer:
            async for data in answer.aiter_bytes():
                try:
                    frames = reader.feed(data)
                except ValueError as error:
                    raise Unavailable(f"the container engine sends what is {error}") from error
                for frame in frames:
                    yield frame

    # Images.

    async def image(self, name: str) -> Image | None:
        """None when it is not on this machine."""
        try:
            value: Json = await self._transport.ask("GET", f"/images/{quote(name)}/json")
        except NotFound:
            return None
        given = (value.get("Config") or {}).get("Env") or ()
        return Image(
            id=str(value["Id"]),
            environment=dict(text.split("=", 1) for text in given if "=" in text),
            names=_names(value),
        )

    async def pull(self, name: str, *, login: str, tell: Callable[[str], None]) -> None:
        """``login`` is the header for the registry, empty for none. ``tell`` is told each line of progress.

        Raises BadInput with what the registry said.
        """
        query = {"fromImage": name} | ({} if "@" in name or _tagged(name) else {"tag": "latest"})
        headers = {"X-Registry-Auth": login} if login else {}
        async with self._transport.stream(
            "POST", "/images/create", query=query, headers=headers, head_s=PULL_SILENCE_S
        ) as answer:
            lines = json_lines(answer)
            while True:
                try:
                    async with asyncio.timeout(PULL_SILENCE_S):
                        value = await anext(lines)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise Unavailable(f"image {name}: nothing came for {PULL_SILENCE_S:.0f} s") from None
                if error := value.get("error"):
                    raise BadInput(f"image {name} cannot be pulled: {str(error)[:MAX_SHOWN]}")
                if said := " ".join(str(value[key]) for key in ("id", "status", "progress") if value.get(key)):
                    tell(said[:MAX_SHOWN])

    async def images(self, label: str = "") -> list[KeptImage]:
        """All, or those that have the label, written ``name=value``."""
        query = {"filters": json.dumps({"label": [label]})} if label else {}
        return [_kept(value) for value in await self._transport.ask("GET", "/images/json", query=query) or ()]

    async def load(self, archive: AsyncIterable[bytes]) -> None:
        """Images with their names, as ``image_archive`` writes them. Raises BadInput with what the engine said."""
        headers = {"Content-Type": "application/x-tar"}
        async with self._transport.stream(
            "POST", "/images/load", content=archive, headers=headers, head_s=LOAD_S
        ) as answer:
            async for value in json_lines(answer):
                if error := value.get("error"):
                    raise BadInput(f"an image cannot be loaded: {str(error)[:MAX_SHOWN]}")

    async def remove_image(self, image: str) -> bool:
        """Whether it is gone: one that something uses stays."""
        try:
            await self._transport.ask("DELETE", f"/images/{quote(image)}")
        except SpringtideError:
            return False
        return True

    # Networks.

    async def networks(self, label: str) -> Sequence[str]:
        """The names of those with the label."""
        query = {"filters": json.dumps({"label": [label]})}
        return [str(value["Name"]) for value in await self._transport.ask("GET", "/networks", query=query) or ()]

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        body = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": dict(labels)}
        await self._transport.ask("POST", "/networks/create", body=body)

    async def remove_network(self, name: str) -> None:
        try:
            await self._transport.ask("DELETE", f"/networks/{name}")
        except NotFound:
            return


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        return 0, 0


def _tagged(name: str) -> bool:
    return ":" in name.rpartition("/")[2]


def _container(value: Json) -> Container:
    names = value.get("Names") or [""]
    return Container(
        id=str(value["Id"]),
        name=str(names[0]).lstrip("/"),
        state=str(value.get("State", "")).lower(),
        labels={str(key): str(text) for key, text in (value.get("Labels") or {}).items()},
        address=_address(value),
    )


def _kept(value: Json) -> KeptImage:
    return KeptImage(id=str(value["Id"]), size=int(value.get("Size") or 0), names=_names(value))


def _names(value: Json) -> frozenset[str]:
    return frozenset(str(name) for name in value.get("RepoTags") or () if name != "<none>:<none>")


def _detail(value: Json) -> ContainerDetail:
    state: Json = value.get("State") or {}
    return ContainerDetail(
        running=bool(state.get("Running")),
        paused=bool(state.get("Paused")),
        pid=int(state.get("Pid") or 0),
        address=_address(value),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or "")[:MAX_SHOWN],
    )


def _address(value: Json) -> str:
    networks = ((value.get("NetworkSettings") or {}).get("Networks") or {}).values()
    return next((str(network["IPAddress"]) for network in networks if network and network.get("IPAddress")), "")
