"""The one container of a function's pod."""

from __future__ import annotations

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.manifests.lifecycle import lifecycle_of
from springtide.provider.kubernetes.manifests.probes import probes_of
from springtide.provider.kubernetes.manifests.resources import resources_of
from springtide.provider.kubernetes.manifests.secrets import volume_name
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.kubernetes.api import Json

USER = 12_000


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
