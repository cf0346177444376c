"""Everything wrong with a function that is to run on a cluster, found before the API server is asked."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.provider.kubernetes.manifests import container, keys, probes, profiles, resources
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core import policy
from springtide.scaler.core.policy import ScalePolicy

MAX_ANNOTATIONS_BYTES = 256 * 1024
"""Kubernetes' limit for all annotations of one object; ours, which repeats the spec, counts, too."""


def check(spec: FunctionSpec) -> None:
    """Raises BadInput with every problem, one a line."""
    problems = problems_of(spec)
    if problems:
        raise BadInput("\n".join(problems))


def problems_of(spec: FunctionSpec) -> list[str]:
    return [
        *_name_problems(spec),
        *container.timeout_problems(spec.env_vars),
        *_label_problems(spec),
        *_annotation_problems(spec.annotations),
        *probes.problems_of(spec.annotations),
        *resources.constraint_problems(spec.constraints),
        *resources.amount_problems(spec),
        *cpu_problems(spec),
    ]


def _name_problems(spec: FunctionSpec) -> list[str]:
    named = [
        ("service", spec.ref.name, keys.service_problem(spec.ref.name)),
        *(("secrets", name, keys.subdomain_problem(name)) for name in spec.secrets),
        *((keys.PROFILE, name, keys.subdomain_problem(name)) for name in profiles.names_of(spec.annotations)),
        *(("envVars", name, keys.variable_problem(name)) for name in spec.env_vars),
    ]
    account = spec.annotations.get(keys.SERVICE_ACCOUNT, "").strip()
    if account:
        named.append((keys.SERVICE_ACCOUNT, account, keys.subdomain_problem(account)))
    if not spec.image or spec.image.split() != [spec.image]:
        named.append(("image", spec.image, "write the image's name, without blanks"))
    return [f"{what}: {name!r}: {problem}" for what, name, problem in named if problem]


def _label_problems(spec: FunctionSpec) -> list[str]:
    problems = [
        f"labels: {key}={value!r}: {problem}"
        for key, value in spec.labels.items()
        if (problem := keys.key_problem(key) or keys.value_problem(value))
    ]
    reserved = spec.labels.get(keys.FUNCTION, spec.ref.name)
    if reserved != spec.ref.name:
        problems.append(f"labels: {keys.FUNCTION}={reserved!r}: reserved for the function's name; remove it")
    problems += [f"labels: {key!r}: reserved for the provider; remove it" for key in keys.LEARNED if key in spec.labels]
    return problems


def _annotation_problems(annotations: Mapping[str, str]) -> list[str]:
    problems = [
        # Annotation keys are compared without regard to case, but must be keys.
        f"annotations: {key!r}: {problem}"
        for key in annotations
        if (problem := keys.key_problem(key.lower()))
    ]
    problems += [
        f"annotations: {key!r}: reserved for the provider; remove it"
        for key in (keys.SPEC, keys.CREATED)
        if key in annotations
    ]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    # They are on the object once, and once more in the annotation that holds the spec.
    if 2 * size > MAX_ANNOTATIONS_BYTES:
        problems.append(f"annotations: {size} bytes are too many; use less than {MAX_ANNOTATIONS_BYTES // 2}")
    return problems


def cpu_problems(spec: FunctionSpec) -> list[str]:
    """What keeps an autoscaler from working."""
    wanted, _ = ScalePolicy.from_labels(spec.labels)
    if not wanted.on_hpa or resources.has_cpu_request(spec):
        return []
    remedy = "set requests.cpu, such as 100m"
    return [
        f"{policy.TYPE}={wanted.type}: an autoscaler has to know how much processor time a replica asks for; {remedy}"
    ]
