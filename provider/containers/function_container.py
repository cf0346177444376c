"""What the engine is asked to make of a function: its container and its network's name. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from springtide.provider.containers import container_labels
from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.process import default_bounds
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec

SECRETS = "/var/openfaas/secrets"
TMP = "/tmp"  # noqa: S108 - inside the function's container
NAME_PREFIX = "springtide-"
MIN_CPU_SHARES = 2
LOG_BYTES = "1m"
"""Kept by the engine: lines are read as they come, and kept by us."""

Json = dict[str, Any]


def network_name(namespace: str, suite: str) -> str:
    return f"{NAME_PREFIX}{suite[:6]}-{namespace}"


def container_name(instance: str, suite: str) -> str:
    return f"{NAME_PREFIX}{suite[:6]}-{instance}"


def instance_of(container: str, suite: str) -> str:
    """What a container is called among its function's replicas."""
    return container.removeprefix(f"{NAME_PREFIX}{suite[:6]}-")


def container_of(
    record: FunctionRecord,
    program: ContainerProgram,
    *,
    suite: str,
    secrets: Path,
    settings: ContainerSettings,
    machine: ProcessSettings,
) -> Json:
    """The body of the request that makes it. What it runs as is the image's, but for ``settings.user``."""
    return {
        "Image": program.image,
        "Env": [f"{name}={value}" for name, value in sorted(program.environment.items())],
        "Labels": container_labels.labels_of(record, suite),
        "User": settings.user,
        "StopTimeout": round(machine.grace_s),
        "HostConfig": {
            "NetworkMode": network_name(record.ref.namespace, suite),
            "Binds": [f"{secrets}:{SECRETS}:ro"] if record.spec.secrets else [],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": machine.replica_processes or -1,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": LOG_BYTES}},
            "RestartPolicy": {"Name": "no"},
            **_root(record.spec, settings),
            **_resources(program, machine),
        },
    }


def _root(spec: FunctionSpec, settings: ContainerSettings) -> Json:
    if not spec.read_only_root_filesystem:
        return {}
    return {"ReadonlyRootfs": True, "Tmpfs": {TMP: f"rw,nosuid,nodev,size={settings.tmp_bytes},mode=1777"}}


def _resources(program: ContainerProgram, machine: ProcessSettings) -> Json:
    """Memory without swap: a replica at its limit is ended, not slowed down until its callers give up."""
    memory = program.memory_bytes or default_bounds.memory_bytes(machine.replica_memory)
    found: dict[str, int | None] = {
        "Memory": memory,
        "MemorySwap": memory,
        "MemoryReservation": program.memory_request_bytes,
        "NanoCpus": program.cpu_millis and program.cpu_millis * 1_000_000,
        "CpuShares": program.cpu_request_millis and max(MIN_CPU_SHARES, program.cpu_request_millis * 1024 // 1000),
    }
    return {key: value for key, value in found.items() if value is not None}
