"""The one container of a function's pod, and how long that pod takes calls and may end them once it is deleted."""

from __future__ import annotations

import math
from collections.abc import Mapping

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.manifests.probes import probes_of
from springtide.provider.kubernetes.manifests.resources import resources_of
from springtide.provider.kubernetes.manifests.secrets import volume_name
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.durations import parse_duration_s
from springtide.runtime.kubernetes.api import Json

USER = 12_000
TIMEOUTS = ("read_timeout", "write_timeout", "exec_timeout")
"""The watchdogs' variables. On SIGTERM a watchdog takes calls on for ``write_timeout`` and then lets them end."""
DEFAULT_GRACE_S = 30
SLACK_S = 2


def container_of(spec: FunctionSpec, settings: ManifestSettings, *, secrets: bool, temp_volume: str) -> Json:
    mounts: list[Json] = []
    if secrets:
        mounts.append({"name": volume_name(spec.ref.name), "mountPath": keys.SECRETS_FOLDER, "readOnly": True})
    if spec.read_only_root_filesystem:
        mounts.append({"name": temp_volume, "mountPath": "/tmp"})  # noqa: S108 - inside the function's container
    readiness, liveness = probes_of(spec.annotations, settings)
    optional: Json = {
        "resources": resources_of(spec),
        "volumeMounts": mounts,
        "lifecycle": lifecycle_of(settings),
    }
    return {
        "name": spec.ref.name,
        "image": spec.image,
        "imagePullPolicy": settings.image_pull_policy,
        "ports": [{"name": keys.PORT_NAME, "containerPort": keys.PORT, "protocol": "TCP"}],
        "env": [{"name": name, "value": value} for name, value in sorted(environment_of(spec).items())],
        "readinessProbe": readiness,
        "livenessProbe": liveness,
        "securityContext": _security(spec, settings),
        **{key: value for key, value in optional.items() if value},
    }


def environment_of(spec: FunctionSpec) -> dict[str, str]:
    """What the function sees; its own variables win."""
    process = {keys.FPROCESS: spec.env_process} if spec.env_process else {}
    return {keys.OWN_NAME: spec.ref.name, keys.OWN_NAMESPACE: spec.ref.namespace, **process, **spec.env_vars}


def _security(spec: FunctionSpec, settings: ManifestSettings) -> Json:
    """As a non-root user, it also meets the ``restricted`` Pod Security Standard."""
    context: Json = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": spec.read_only_root_filesystem,
    }
    if settings.set_nonroot_user:
        context |= {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    return context


def grace_s(env: Mapping[str, str], settings: ManifestSettings) -> int:
    """From deletion to SIGKILL: ``preStop``, then the function's longest time-out, then a little."""
    given = [parse_duration_s(env[name]) for name in TIMEOUTS if env.get(name)]
    return settings.prestop_s + (math.ceil(max(given)) + SLACK_S if given else DEFAULT_GRACE_S)


def lifecycle_of(settings: ManifestSettings) -> Json:
    """A sleep of Kubernetes' own: a function's image may have no ``sleep`` in it."""
    return {"preStop": {"sleep": {"seconds": settings.prestop_s}}} if settings.prestop_s else {}


def timeout_problems(env: Mapping[str, str]) -> list[str]:
    problems = []
    for name in TIMEOUTS:
        try:
            parse_duration_s(env.get(name) or "0")
        except ValueError as error:
            problems.append(f"envVars.{name}: {error}")
    return problems
