"""From a Deployment back to the function it runs.

What the Deployment says counts, whoever wrote it. Where that is the same as what was asked for through us, the answer
is what was asked for, verbatim: ``1024Mi`` although the API server has made ``1Gi`` of it, and without the annotation
that we add.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from springtide.provider.bounds import MAX_START_S
from springtide.provider.kubernetes.manifests import function_object, keys, resources, secrets
from springtide.provider.kubernetes.manifests.container import environment_of
from springtide.provider.kubernetes.manifests.deployment import annotations_of, user_labels
from springtide.provider.spec import FunctionSpec, FunctionStatus
from springtide.runtime import bounded_json
from springtide.runtime.quantities import parse
from springtide.scaler.core import label_values
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Scale

FOREIGN_ANNOTATIONS = ("kubectl.kubernetes.io/", "deployment.kubernetes.io/")
CLOCK_SKEW_S = 30.0


def is_function(deployment: Mapping[str, Any]) -> bool:
    return keys.FUNCTION in (deployment["metadata"].get("labels") or {})


def ref_of(deployment: Mapping[str, Any]) -> FunctionRef:
    return FunctionRef(deployment["metadata"]["namespace"], deployment["metadata"]["name"])


def status_of(deployment: Mapping[str, Any]) -> FunctionStatus:
    spec = spec_of(deployment)
    return FunctionStatus(spec=spec, function=_function(deployment, spec), problem=problem_of(deployment))


def function_of(deployment: Mapping[str, Any]) -> Function:
    return _function(deployment, spec_of(deployment))


def scale_of(deployment: Mapping[str, Any]) -> Scale:
    """Desired, available, and the version for a compare-and-set."""
    return Scale(
        # Absent only in what the API server has not yet filled in, where it means 1.
        desired=deployment["spec"].get("replicas", 1),
        ready=(deployment.get("status") or {}).get("availableReplicas", 0),
        version=deployment["metadata"].get("resourceVersion", ""),
    )


def spec_of(deployment: Mapping[str, Any]) -> FunctionSpec:
    live = _live(deployment)
    asked = _asked(deployment)
    if asked is None:
        return live
    kept = [name for names, same in _SAME.items() if same(asked, live) for name in names]
    return replace(live, **{name: getattr(asked, name) for name in kept})


def created_of(deployment: Mapping[str, Any]) -> Instant | None:
    """To the microsecond where we noted it, and it agrees with the API server's clock."""
    metadata = deployment["metadata"]
    server = _instant(metadata.get("creationTimestamp"))
    noted = _instant((metadata.get("annotations") or {}).get(keys.CREATED))
    if noted is None or (server is not None and abs(noted - server) > CLOCK_SKEW_S):
        return server
    return noted


def learned_wake_of(deployment: Mapping[str, Any]) -> int | None:
    """What the last wakes needed; None where nothing, or nonsense, is noted."""
    try:
        return label_values.count((deployment["metadata"].get("labels") or {}).get(keys.LEARNED_WAKE, "")) or None
    except ValueError:
        return None


def longest_start_of(deployment: Mapping[str, Any]) -> float | None:
    """Of the last starts from zero; None where nothing, or nonsense, is noted."""
    try:
        seconds = float((deployment["metadata"].get("labels") or {}).get(keys.LONGEST_START, ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_START_S else None


def problem_of(deployment: Mapping[str, Any]) -> str | None:
    """Why the Deployment does not get where it should, as far as it knows itself."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        bad = {"ReplicaFailure": "True", "Progressing": "False"}.get(condition.get("type"))
        if bad is not None and condition.get("status") == bad:
            return f"{condition.get('reason', condition['type'])}: {condition.get('message', '')}".rstrip(": ")
    return None


def _function(deployment: Mapping[str, Any], spec: FunctionSpec) -> Function:
    return Function(
        ref=spec.ref,
        scale=scale_of(deployment),
        labels={**spec.labels, keys.FUNCTION: spec.ref.name},
        annotations=dict(spec.annotations),
        created_at=created_of(deployment),
        learned_wake=learned_wake_of(deployment),
        longest_start_s=longest_start_of(deployment),
    )


def _asked(deployment: Mapping[str, Any]) -> FunctionSpec | None:
    """What was asked for through us, if that was kept and can be read."""
    text = (deployment["metadata"].get("annotations") or {}).get(keys.SPEC)
    try:
        value = bounded_json.loads(text or "null")
    except ValueError:
        return None
    return function_object.fields_of(value, ref_of(deployment), []) if isinstance(value, dict) else None


def _live(deployment: Mapping[str, Any]) -> FunctionSpec:
    """What the Deployment alone says."""
    ref = ref_of(deployment)
    template = deployment["spec"]["template"]
    metadata, pod = template.get("metadata") or {}, template["spec"]
    container = next((item for item in pod["containers"] if item["name"] == ref.name), pod["containers"][0])
    env = {item["name"]: item.get("value", "") for item in container.get("env") or () if "valueFrom" not in item}
    own = {keys.OWN_NAME: ref.name, keys.OWN_NAMESPACE: ref.namespace}
    env = {name: value for name, value in env.items() if own.get(name) != value}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith(FOREIGN_ANNOTATIONS)
    }
    amounts = container.get("resources") or {}
    return FunctionSpec(
        ref=ref,
        image=container.get("image", ""),
        env_process=env.pop(keys.FPROCESS, ""),
        env_vars=env,
        constraints=tuple(f"{key}={value}" for key, value in sorted((pod.get("nodeSelector") or {}).items())),
        secrets=secrets.names_in(pod),
        labels=_labels(metadata.get("labels") or {}),
        annotations=annotations,
        limits=_texts(amounts.get("limits")),
        requests=_texts(amounts.get("requests")),
        read_only_root_filesystem=bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem")),
    )


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key not in (keys.FUNCTION, keys.ROLLOUT)}


def _texts(amounts: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(amount) for name, amount in (amounts or {}).items()}


def _instant(text: str | None) -> Instant | None:
    try:
        return Instant(datetime.fromisoformat(text).timestamp()) if text else None
    except ValueError:
        return None


def _numbers(amounts: Mapping[str, str]) -> dict[str, Decimal | str]:
    def number(text: str) -> Decimal | str:
        try:
            return parse(text)
        except ValueError:
            return text

    return {name: number(amount) for name, amount in resources.given(amounts).items()}


_SAME: dict[tuple[str, ...], Callable[[FunctionSpec, FunctionSpec], bool]] = {
    ("env_process", "env_vars"): lambda asked, live: environment_of(asked) == environment_of(live),
    ("constraints",): lambda asked, live: (
        resources.node_selector(asked.constraints) == resources.node_selector(live.constraints)
    ),
    ("secrets",): lambda asked, live: set(asked.secrets) == set(live.secrets),
    ("labels",): lambda asked, live: user_labels(asked) == live.labels,
    ("annotations",): lambda asked, live: annotations_of(asked) == live.annotations,
    ("limits",): lambda asked, live: _numbers(asked.limits) == _numbers(live.limits),
    # What is limited is requested, too, but only in pods: a Deployment keeps what it was given.
    ("requests",): lambda asked, live: _numbers(asked.requests) == _numbers(live.requests),
}
"""Fields of a spec, and when what was asked for and what is there mean the same."""
