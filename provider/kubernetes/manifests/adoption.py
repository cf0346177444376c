"""Taking over the fields of an object that others wrote, so that an apply also removes what is not wanted any more.

Server-side apply removes only fields that its own manager applied before. A variable that OpenFaaS's provider or
``kubectl edit`` put into a Deployment belongs to them and would stay for ever. The API server lets a writer change
``metadata.managedFields``; this is the way in which kubectl itself moves from one kind of apply to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from springtide.runtime.kubernetes.api import FIELD_MANAGER, Json

Tree = Mapping[str, "Tree | None"]

NOT_OURS: Tree = {
    "f:replicas": None,
    "f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": None}}},
}
"""Below ``spec``. The count stays with whoever scales; and without its mark ``kubectl rollout restart`` is undone."""


def patch_of(value: Mapping[str, Any]) -> Json | None:
    """A merge patch (a compare-and-set) that makes what others wrote into ``spec`` ours; None when there is nothing.

    What another manager *applied* stays its own, and so does metadata: labels of a GitOps tool, say.
    """
    metadata = value["metadata"]
    entries: list[Json] = metadata.get("managedFields") or []
    taken = [entry for entry in entries if _foreign_spec(entry)]
    if not taken:
        return None
    kept = [left for entry in entries if (left := _without(entry)) is not None and not _is_our_apply(entry)]
    mine = [entry for entry in entries if _is_our_apply(entry)]
    fields = merge([entry["fieldsV1"] for entry in mine] + [{"f:spec": _foreign_spec(entry)} for entry in taken])
    head = {**(mine or taken)[0], "apiVersion": value["apiVersion"]}
    kept.append({**head, "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields})
    return {"metadata": {"managedFields": kept, "resourceVersion": metadata["resourceVersion"]}}


def merge(trees: Iterable[Mapping[str, Any]]) -> Json:
    """The union of field sets."""
    union: Json = {}
    for tree in trees:
        for key, below in tree.items():
            union[key] = merge([union.get(key, {}), below])
    return union


def _is_our_apply(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not _sub(entry))


def _sub(entry: Mapping[str, Any]) -> str:
    return str(entry.get("subresource") or "")


def _foreign_spec(entry: Mapping[str, Any]) -> Json:
    """The fields below ``spec`` that this entry's manager wrote and that become ours.

    What goes by our own name is what an admission webhook added to our writes: it would only come back.
    """
    if entry.get("operation") != "Update" or _sub(entry) or entry.get("manager") == FIELD_MANAGER:
        return {}
    spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    taken, _ = _parted({key: below for key, below in spec.items() if key != "."}, NOT_OURS)
    return taken


def _parted(fields: Mapping[str, Any], not_ours: Tree) -> tuple[Json, Json]:
    """What becomes ours, and what stays."""
    taken, left = {}, {}
    for key, below in fields.items():
        rule = not_ours.get(key, {})
        ours, theirs = ({}, below) if rule is None else _parted(below, rule) if rule else (below, {})
        if rule is None or theirs:
            left[key] = theirs
        if rule is not None and (ours or not theirs):
            taken[key] = ours
    return taken, left


def _without(entry: Json) -> Json | None:
    """What stays with the manager of an entry; None when nothing does."""
    if not _foreign_spec(entry):
        return entry
    fields = dict(entry["fieldsV1"])
    _, left = _parted(fields.pop("f:spec"), NOT_OURS)
    if left:
        fields["f:spec"] = left
    return {**entry, "fieldsV1": fields} if fields else None
