"""What a function is asked to be, what it is, and how both look on the wire (contract: function JSON types)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runtime.errors import BadInput
from scaler.core.policy import ScalePolicy
from scaler.core.vocabulary import DEFAULT_NAMESPACE, Function, FunctionRef

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NAME_RULE = "lower-case letters, digits and '-', at most 63, starting and ending with a letter or digit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """What ``POST`` and ``PUT /system/functions`` ask for. Unset optional parts are empty and stay off the wire."""

    ref: FunctionRef
    image: str
    env_process: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    read_only_root_filesystem: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a function's replicas use together: milli-cores over the last interval, and bytes resident now."""

    cpu_millicores: float
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatus:
    """A function as it is: its spec, its scale, and why it has no ready replica, if that is known."""

    spec: FunctionSpec
    function: Function
    usage: Usage | None = None
    problem: str | None = None


def check_name(what: str, name: str) -> str:
    """``name`` if it may name a function, secret or namespace; raises BadInput naming the rule otherwise."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{what} {name!r} is not a valid name; use {NAME_RULE}")
    return name


def spec_from_json(value: Any, *, default_namespace: str = DEFAULT_NAMESPACE) -> FunctionSpec:
    """Parse a FunctionDeployment. Raises BadInput listing everything wrong, one problem a line.

    Null and missing objects are the same; 2020's ``network`` and ``registryAuth`` and unknown keys are ignored.
    """
    if not isinstance(value, dict):
        raise BadInput("the body must be a JSON object describing a function")
    problems: list[str] = []
    name = _text(value, "service", problems)
    namespace = _text(value, "namespace", problems) or default_namespace
    image = _text(value, "image", problems)
    for what, given in (("service", name), ("namespace", namespace)):
        try:
            check_name(what, given)
        except BadInput as error:
            problems.append(str(error))
    if not image:
        problems.append("image: missing; name the container image, or any word where functions run as processes")
    labels = _strings(value, "labels", problems)
    problems += ScalePolicy.from_labels(labels)[1]
    spec = FunctionSpec(
        ref=FunctionRef(namespace, name),
        image=image,
        env_process=_text(value, "envProcess", problems),
        env_vars=_strings(value, "envVars", problems),
        constraints=_list(value, "constraints", problems),
        secrets=_list(value, "secrets", problems),
        labels=labels,
        annotations=_strings(value, "annotations", problems),
        limits=_strings(value, "limits", problems),
        requests=_strings(value, "requests", problems),
        read_only_root_filesystem=value.get("readOnlyRootFilesystem") is True,
    )
    if problems:
        raise BadInput("\n".join(problems))
    return spec


def spec_to_json(spec: FunctionSpec) -> dict[str, Any]:
    """A FunctionDeployment; what is unset is absent."""
    value: dict[str, Any] = {"service": spec.ref.name, "image": spec.image, "namespace": spec.ref.namespace}
    return value | _optional(spec)


def status_to_json(status: FunctionStatus) -> dict[str, Any]:
    """A FunctionStatus; what is unset or zero is absent, but labels and annotations are always objects."""
    spec, function = status.spec, status.function
    value: dict[str, Any] = {"name": spec.ref.name, "image": spec.image, "namespace": spec.ref.namespace}
    value |= _optional(spec)
    value["labels"] = dict(function.labels)
    value["annotations"] = dict(function.annotations)
    if function.scale.desired:
        value["replicas"] = function.scale.desired
    if function.scale.ready:
        value["availableReplicas"] = function.scale.ready
    value["createdAt"] = rfc3339(function.created_at)
    if status.usage is not None:
        value["usage"] = {"cpu": status.usage.cpu_millicores, "totalMemoryBytes": status.usage.memory_bytes}
    if status.problem:
        value["problem"] = status.problem
    return value


def rfc3339(instant: float | None) -> str:
    """An instant in RFC 3339; the zero time when unknown."""
    if instant is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _optional(spec: FunctionSpec) -> dict[str, Any]:
    value: dict[str, Any] = {
        "envProcess": spec.env_process,
        "envVars": dict(spec.env_vars),
        "constraints": list(spec.constraints),
        "secrets": list(spec.secrets),
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "limits": dict(spec.limits),
        "requests": dict(spec.requests),
        "readOnlyRootFilesystem": spec.read_only_root_filesystem,
    }
    return {key: item for key, item in value.items() if item}


def _text(value: dict[str, Any], key: str, problems: list[str]) -> str:
    item = value.get(key)
    if item is None:
        return ""
    if not isinstance(item, str):
        problems.append(f"{key}: must be a string, not {item!r}")
        return ""
    return item


def _strings(value: dict[str, Any], key: str, problems: list[str]) -> dict[str, str]:
    item = value.get(key)
    if item is None:
        return {}
    if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
        problems.append(f"{key}: must be an object of strings, not {item!r}")
        return {}
    return dict(item)


def _list(value: dict[str, Any], key: str, problems: list[str]) -> tuple[str, ...]:
    item = value.get(key)
    if item is None:
        return ()
    if not isinstance(item, list) or not all(isinstance(text, str) for text in item):
        problems.append(f"{key}: must be a list of strings, not {item!r}")
        return ()
    return tuple(item)
