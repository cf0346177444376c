"""What a function is asked to be, what it is, and how both look on the wire (contract: function JSON types)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from springtide.provider import annotation_values, bounds, isolation, runtime_label
from springtide.provider.json_fields import flag_of, list_of, strings_of, text_of
from springtide.provider.runtime_label import Runtime
from springtide.runtime.errors import BadInput
from springtide.scaler.core import call_timeout, label_names, ownership
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Function, FunctionRef
from springtide.wire.events import topics
from springtide.wire.schedules.annotations import schedules_of
from springtide.wire.webhooks import webhook

PYTHON_IMAGE, PROCESS_IMAGE = "springtide/python", "springtide/process"
"""Written where a function names no image: the wire asks for one, handlers and programs of the machine need none."""
MAX_SHOWN = 100
"""Characters of a wrong name that its refusal repeats."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NAME_RULE = "lower-case letters, digits and '-', at most 63, starting and ending with a letter or digit"

MAX_SUBDOMAIN = 253
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SUBDOMAIN_RULE = (
    "lower-case letters, digits, '-' and '.', at most 253, with a letter or digit at both ends and beside each '.'"
)


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
    runtime: Runtime | None = None
    """Told only where functions differ in it."""


def check_name(what: str, name: str) -> str:
    """``name`` if it may name a function or namespace; raises BadInput naming the rule otherwise."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{what} {name[:MAX_SHOWN]!r} is not a valid name; use {NAME_RULE}")
    return name


def check_secret_name(name: str) -> str:
    """``name`` if a secret may have it: a DNS subdomain, such as ``tls.crt``. Raises BadInput naming the rule."""
    if len(name) > MAX_SUBDOMAIN or not SUBDOMAIN.fullmatch(name):
        raise BadInput(f"secret {name[:MAX_SHOWN]!r} is not a valid name; use {SUBDOMAIN_RULE}")
    return name


def missing_secrets(names: Iterable[str], namespace: str) -> BadInput:
    """What a deployment is refused with whose secrets are not there."""
    return BadInput(
        f"secrets: {', '.join(names)} not found in {namespace}; make them with: springtide secret create NAME"
    )


def check_namespace(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    """Raises BadInput unless it may hold functions: a valid name, and marked with ``openfaas`` = 1 or true."""
    check_name("namespace", name)
    problems = [
        *bounds.metadata_problems("labels", labels, bounds.MAX_LABELS_BYTES),
        *bounds.metadata_problems("annotations", annotations, bounds.MAX_ANNOTATIONS_BYTES),
    ]
    if problems:
        raise BadInput("\n".join(problems))
    if not {labels.get("openfaas"), annotations.get("openfaas")} & {"1", "true"}:
        raise BadInput(f"namespace {name}: not marked for functions; add the label or annotation openfaas=1")


def spec_from_json(value: Any, *, default_namespace: str = DEFAULT_NAMESPACE, deploying: bool = False) -> FunctionSpec:
    """Parse a FunctionDeployment. Raises BadInput listing everything wrong, one problem a line.

    ``deploying``: misspelt labels and what is out of bounds are refused, too; what is deployed already keeps running.
    Null and missing objects are the same; 2020's ``network`` and ``registryAuth`` and unknown keys are ignored.
    """
    if not isinstance(value, dict):
        raise BadInput("the body must be a JSON object describing a function")
    problems: list[str] = []
    name = text_of(value, "service", problems)
    namespace = text_of(value, "namespace", problems) or default_namespace
    image = text_of(value, "image", problems)
    for what, given in (("service", name), ("namespace", namespace)):
        try:
            check_name(what, given)
        except BadInput as error:
            problems.append(str(error))
    if not image:
        problems.append("image: missing; name the container image, or any word where functions run as processes")
    env_process = text_of(value, "envProcess", problems)
    env_vars = strings_of(value, "envVars", problems)
    problems += [
        f"envVars: {key!r} cannot name an environment variable; use characters other than '=' and NUL"
        for key in env_vars
        if not key or "=" in key or "\0" in key
    ]
    if any("\0" in text for text in (env_process, *env_vars.values())):
        problems.append("envProcess, envVars: a NUL character cannot be passed to a process; remove it")
    labels = strings_of(value, "labels", problems)
    problems += ScalePolicy.from_labels(labels)[1]
    annotations = strings_of(value, "annotations", problems)
    if deploying:
        problems += [*label_names.problems_of(labels), *isolation.problems_of(labels)]
        problems += runtime_label.problems_of(labels)
        problems += call_timeout.problems_of(annotations)
        problems += schedules_of(FunctionRef(namespace, name), annotations)[1]
        problems += topics.problems_of(annotations)
        problems += webhook.problems_of(annotations, list_of(value, "secrets", []))
    spec = FunctionSpec(
        ref=FunctionRef(namespace, name),
        image=image,
        env_process=env_process,
        env_vars=env_vars,
        constraints=list_of(value, "constraints", problems),
        secrets=list_of(value, "secrets", problems),
        labels=labels,
        annotations=annotations,
        limits=strings_of(value, "limits", problems),
        requests=strings_of(value, "requests", problems),
        read_only_root_filesystem=flag_of(value, "readOnlyRootFilesystem", problems),
    )
    problems += _out_of_bounds(spec) if deploying else ()
    if problems:
        raise BadInput("\n".join(problems))
    return spec


def _out_of_bounds(spec: FunctionSpec) -> Iterator[str]:
    yield from bounds.image_problems(spec.image)
    yield from bounds.environment_problems(spec.env_process, spec.env_vars)
    for what, entries in (("secrets", spec.secrets), ("constraints", spec.constraints)):
        yield from bounds.entry_problems(what, entries)
    for what, amounts in (("limits", spec.limits), ("requests", spec.requests)):
        yield from bounds.entry_problems(what, amounts)
    yield from bounds.metadata_problems("labels", spec.labels, bounds.MAX_LABELS_BYTES)
    yield from bounds.metadata_problems("annotations", spec.annotations, bounds.MAX_ANNOTATIONS_BYTES)
    yield from annotation_values.problems(spec.annotations)
    yield from label_names.annotation_problems(spec.annotations)


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
    if function.learned_wake is not None:
        value["learnedWake"] = function.learned_wake
    if function.longest_start_s is not None:
        value["longestStartSeconds"] = function.longest_start_s
    value["createdAt"] = rfc3339(function.created_at)
    value["owner"] = ownership.owner_to_text(function.owner)
    if status.usage is not None:
        value["usage"] = {"cpu": status.usage.cpu_millicores, "totalMemoryBytes": status.usage.memory_bytes}
    if status.problem:
        value["problem"] = status.problem
    if status.runtime is not None:
        value["runtime"] = str(status.runtime)
    return value


def rfc3339(instant: float | None) -> str:
    """An instant in RFC 3339, the zero time when unknown. Never later than it was, so that ``since`` it includes it."""
    if instant is None:
        return "0001-01-01T00:00:00Z"
    parts, whole = instant.as_integer_ratio()
    at = EPOCH + timedelta(microseconds=parts * 1_000_000 // whole)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


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
