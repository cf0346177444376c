"""From what a function asks to be to what every container of it is. Everything that cannot work is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from springtide.provider.containers.engine.client import Image
from springtide.provider.containers.probes import Probes, probes_of
from springtide.provider.spec import FunctionSpec
from springtide.runtime import quantities
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_table import SLEEP


class Sleep(StrEnum):
    STOP = "stop"
    PAUSE = "pause"
    """Its memory is kept, and it goes on where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerProgram:
    """``image`` is its id: a name may come to stand for another one."""

    image: str
    environment: Mapping[str, str]
    """Beside the image's own."""
    max_inflight: int
    probes: Probes
    sleep: Sleep
    memory_bytes: int | None = None
    memory_request_bytes: int | None = None
    cpu_millis: int | None = None
    cpu_request_millis: int | None = None


def program_of(spec: FunctionSpec, image: Image) -> ContainerProgram:
    """Raises BadInput listing everything wrong, one problem a line."""
    problems: list[str] = []
    limits = quantities.read("limits", spec.limits, problems)
    requests = quantities.read("requests", spec.requests, problems)
    sleep = spec.labels.get(SLEEP, Sleep.STOP).strip().lower()
    if sleep not in set(Sleep):
        problems.append(f"{SLEEP}={spec.labels[SLEEP][:80]!r}: write stop or pause")
        sleep = Sleep.STOP
    if problems:
        raise BadInput("\n".join(problems))
    environment = {
        "OPENFAAS_NAME": spec.ref.name,
        "OPENFAAS_NAMESPACE": spec.ref.namespace,
        **({"fprocess": spec.env_process} if spec.env_process else {}),
        **spec.env_vars,
    }
    return ContainerProgram(
        image=image.id,
        environment=environment,
        max_inflight=_whole({**image.environment, **environment}.get("max_inflight", "")),
        probes=probes_of(spec.annotations),
        sleep=Sleep(sleep),
        memory_bytes=limits.get("memory"),
        memory_request_bytes=requests.get("memory"),
        cpu_millis=limits.get("cpu"),
        cpu_request_millis=requests.get("cpu"),
    )


def _whole(text: str) -> int:
    """What a watchdog reads of it; 0, no limit, where it would not start."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
