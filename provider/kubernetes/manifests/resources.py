"""Limits, requests and constraints: how much a function may use, and on which nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.spec import FunctionSpec
from springtide.runtime.kubernetes.api import Json
from springtide.runtime.quantities import parse

PLAIN = ("memory", "cpu", "ephemeral-storage")
"""Resources without a domain; any other, a GPU say, is named ``vendor.example/thing``."""


def given(amounts: Mapping[str, str]) -> dict[str, str]:
    """Without those that are unset: empty, or the ``0`` by which OpenFaaS shows an unset one."""
    return {name: amount.strip() for name, amount in amounts.items() if amount.strip() not in ("", "0")}


def resources_of(spec: FunctionSpec) -> Json:
    both = {"limits": given(spec.limits), "requests": given(spec.requests)}
    return {kind: amounts for kind, amounts in both.items() if amounts}


def has_cpu_request(spec: FunctionSpec) -> bool:
    """A limit alone counts: Kubernetes takes it for the request, too."""
    return "cpu" in given(spec.requests) or "cpu" in given(spec.limits)


def node_selector(constraints: Sequence[str]) -> dict[str, str]:
    """Only what ``constraint_problems`` finds nothing wrong with."""
    pairs = (constraint.split("=") for constraint in constraints)
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def constraint_problems(constraints: Sequence[str]) -> list[str]:
    problems = []
    for constraint in constraints:
        key, equals, value = constraint.partition("=")
        wrong = keys.key_problem(key.strip()) or keys.value_problem(value.strip())
        if not equals or wrong:
            reason = f"; {wrong}" if equals else ""
            problems.append(f"constraints: {constraint!r}: write key=value with a label that nodes have{reason}")
    return problems


def amount_problems(spec: FunctionSpec) -> list[str]:
    problems: list[str] = []
    for kind, amounts in (("limits", given(spec.limits)), ("requests", given(spec.requests))):
        for name, amount in amounts.items():
            problems += _problems(f"{kind}.{name}", name, amount)
    if problems:
        return problems
    limits, requests = given(spec.limits), given(spec.requests)
    return [
        f"requests.{name}: {requests[name]} is more than limits.{name}, {limits[name]}; raise the limit"
        for name in requests.keys() & limits.keys()
        if parse(requests[name]) > parse(limits[name])
    ]


def _problems(where: str, name: str, amount: str) -> list[str]:
    if name not in PLAIN and ("/" not in name or keys.key_problem(name)):
        return [f"{where}: no such resource; known are {', '.join(PLAIN)} and those of devices, as nvidia.com/gpu"]
    try:
        value = parse(amount)
    except ValueError as error:
        return [f"{where}: {error}"]
    if "/" in name and value != int(value):
        return [f"{where}: {amount!r}: devices are not divided; write a whole number"]
    return []
