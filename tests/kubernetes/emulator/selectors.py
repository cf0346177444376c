"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kubernetes.emulator.objects import Object, dig, labels_of
from tests.kubernetes.emulator.statuses import ApiError, bad_request
from tests.kubernetes.emulator.validation.names import label_key_problem, label_value_problem

Matches = Callable[[Object], bool]

_SET = re.compile(r"(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY = re.compile(r"(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=,()]*)")
_EXISTS = re.compile(r"(?P<not>!?)\s*(?P<key>[^\s!=,()]+)")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "replicasets": ("status.replicas",),
    "services": ("spec.clusterIP", "spec.type"),
}  # fmt: skip
"""What can be selected on, beside metadata.name and metadata.namespace."""


def label_selector(text: str) -> Matches:
    """Raises ApiError 400."""
    tests = [_requirement(part) for part in _split(text)]
    return lambda thing: all(test(labels_of(thing)) for test in tests)


def _split(text: str) -> list[str]:
    parts = re.split(r",(?![^(]*\))", text)
    return [part.strip() for part in parts] if text.strip() else []


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        _check(part, key, *values)
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALITY.fullmatch(part):
        key, value = found["key"], found["value"]
        _check(part, key, value)
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.fullmatch(part):
        key = found["key"]
        _check(part, key)
        if found["not"]:
            return lambda labels: key not in labels
        return lambda labels: key in labels
    raise _unparsable(part, f"found '{part}', expected: identifier")


def _check(part: str, key: str, *values: str) -> None:
    if problem := label_key_problem(key):
        raise _unparsable(part, problem)
    for value in values:
        if problem := label_value_problem(value):
            raise _unparsable(part, f'values[0][{key}]: Invalid value: "{value}": {problem}')


def _unparsable(part: str, why: str) -> ApiError:
    return bad_request(f"unable to parse requirement: {why}")


def field_selector(text: str, resource: str, custom: tuple[str, ...] = ()) -> Matches:
    """Raises ApiError 400 for a field that cannot be selected on."""
    tests: list[Matches] = []
    for part in (one.strip() for one in text.split(",") if one.strip()):
        found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        field, operator, value = found.groups()
        if field not in ("metadata.name", "metadata.namespace", *FIELDS.get(resource, ()), *custom):
            raise bad_request(f'field label not supported: "{field}"')
        tests.append(_field_test(field, value, wanted=operator != "!="))
    return lambda thing: all(test(thing) for test in tests)


def _field_test(field: str, value: str, *, wanted: bool) -> Matches:
    path = field.split(".")

    def test(thing: Object) -> bool:
        found = dig(thing, "source", "component") if field == "source" else dig(thing, *path)
        return (_text(found) == value) is wanted

    return test


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def spec_selector(selector: Object | None) -> Matches:
    """A LabelSelector as objects hold it: null selects nothing, empty everything."""
    if selector is None:
        return lambda _thing: False
    tests: list[Callable[[Mapping[str, str]], bool]] = [
        lambda labels, key=key, value=value: labels.get(key) == value  # type: ignore[misc]
        for key, value in selector.get("matchLabels", {}).items()
    ]
    tests += [
        _expression(one["key"], one["operator"], set(one.get("values", ())))
        for one in selector.get("matchExpressions", ())
    ]
    return lambda thing: all(test(labels_of(thing)) for test in tests)


def _expression(key: str, operator: str, values: set[str]) -> Callable[[Mapping[str, str]], bool]:
    operations: dict[str, Callable[[Mapping[str, str]], bool]] = {
        "In": lambda labels: labels.get(key) in values,
        "NotIn": lambda labels: labels.get(key) not in values,
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    return operations[operator]
