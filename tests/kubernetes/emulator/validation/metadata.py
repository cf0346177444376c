"""Names, labels, annotations, owners, finalizers: the same for every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.kubernetes.emulator.objects import Object, dig, name_of
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, wrong
from tests.kubernetes.emulator.validation import names

MAX_ANNOTATION_BYTES = 256 << 10

_NAMES: dict[str, Callable[[str], str]] = {
    "services": names.service_problem,
    "namespaces": names.label_problem,
    "roles": lambda _: "",
    "clusterroles": lambda _: "",
    "rolebindings": lambda _: "",
    "clusterrolebindings": lambda _: "",
}
"""Kinds whose names are not RFC 1123 subdomains."""

_STANDARD_FINALIZERS = ("foregroundDeletion", "orphan", "kubernetes")


def metadata(resource: Resource, new: Object, old: Object | None) -> list[Cause]:
    meta = new["metadata"]
    found = _name(resource, new)
    found += labels(meta.get("labels", {}), "metadata.labels")
    found += _annotations(meta.get("annotations", {}))
    found += _owners(meta.get("ownerReferences", []))
    found += _finalizers(meta.get("finalizers", []))
    if old is not None:
        found += _unchanged(meta, old["metadata"])
    return found


def _name(resource: Resource, new: Object) -> list[Cause]:
    name = name_of(new)
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    problem = _NAMES.get(resource.plural, names.subdomain_problem)(name)
    return [wrong("metadata.name", name, problem)] if problem else []


def labels(given: dict[str, str], path: str) -> list[Cause]:
    found = []
    for key, value in given.items():
        if problem := names.label_key_problem(key):
            found.append(wrong(path, key, problem))
        if problem := names.label_value_problem(value):
            found.append(wrong(path, value, problem))
    return found


def _annotations(given: dict[str, str]) -> list[Cause]:
    found = annotation_keys(given, "metadata.annotations")
    if sum(len(key.encode()) + len(value.encode()) for key, value in given.items()) > MAX_ANNOTATION_BYTES:
        found.append(Cause("metadata.annotations", f"Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"))
    return found


def annotation_keys(given: Iterable[str], path: str) -> list[Cause]:
    """Unlike a label's, the prefix of an annotation may have capitals."""
    return [
        wrong(path, key, problem)
        for key in given
        if (problem := names.label_key_problem(key.lower() if "/" in key else key))
    ]


def _owners(owners: list[Object]) -> list[Cause]:
    found = []
    for index, owner in enumerate(owners):
        found += [
            wrong(f"metadata.ownerReferences[{index}].{key}", owner.get(key, ""), "must not be empty")
            for key in ("apiVersion", "kind", "name", "uid")
            if not owner.get(key)
        ]
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        why = "Only one reference can have Controller set to true"
        found.append(wrong("metadata.ownerReferences", "ownerReferences", why))
    return found


def _finalizers(finalizers: list[str]) -> list[Cause]:
    found = []
    for name in finalizers:
        if problem := names.label_key_problem(name):
            found.append(wrong("metadata.finalizers", name, problem))
        elif "/" not in name and name not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(wrong("metadata.finalizers", name, why))
    if {"foregroundDeletion", "orphan"} <= set(finalizers):
        found.append(wrong("metadata.finalizers", finalizers, "cannot be both foregroundDeletion and orphan"))
    return found


def _unchanged(new: Object, old: Object) -> list[Cause]:
    found = [
        wrong(f"metadata.{key}", new.get(key), "field is immutable")
        for key in ("name", "namespace", "uid", "creationTimestamp")
        if new.get(key) != old.get(key)
    ]
    if old.get("deletionTimestamp") and set(new.get("finalizers", ())) - set(old.get("finalizers", ())):
        why = "no new finalizers can be added if the object is being deleted"
        found.append(not_allowed("metadata.finalizers", why))
    return found


def selector_matches(selector: Object, given: dict[str, str]) -> bool:
    """Equality and existence, without parsing: selectors of workloads hold no more than the schema's four operators."""
    if any(given.get(key) != value for key, value in dig(selector, "matchLabels", default={}).items()):
        return False
    for expression in dig(selector, "matchExpressions", default=[]):
        value, values = given.get(expression["key"]), expression.get("values", [])
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits.get(expression["operator"], False):
            return False
    return True


def selector(given: Object, path: str) -> list[Cause]:
    """Keys, values and operators of a LabelSelector."""
    found = labels(given.get("matchLabels", {}), f"{path}.matchLabels")
    for index, expression in enumerate(given.get("matchExpressions", ())):
        at = f"{path}.matchExpressions[{index}]"
        if problem := names.label_key_problem(expression.get("key", "")):
            found.append(wrong(f"{at}.key", expression.get("key", ""), problem))
        operator = expression.get("operator", "")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            found.append(wrong(f"{at}.operator", operator, "not a valid selector operator"))
        if operator in ("In", "NotIn") and not expression.get("values"):
            found.append(required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        if operator in ("Exists", "DoesNotExist") and expression.get("values"):
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(not_allowed(f"{at}.values", why))
    return found
