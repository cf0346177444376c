"""Function objects (``functions.openfaas.com``) and the specs they stand for, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from springtide.provider.json_fields import flag_of, list_of, strings_of, text_of
from springtide.provider.kubernetes.manifests import checks, keys
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import FunctionRef

API_VERSION, KIND = "openfaas.com/v1", "Function"


def spec_of(spec: FunctionSpec) -> Json:
    """What is unset is absent."""
    value: Json = {
        "name": spec.ref.name,
        "image": spec.image,
        "handler": spec.env_process,
        "environment": dict(spec.env_vars),
        "constraints": list(spec.constraints),
        "secrets": list(spec.secrets),
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "limits": dict(spec.limits),
        "requests": dict(spec.requests),
        "readOnlyRootFilesystem": spec.read_only_root_filesystem,
    }
    return {key: item for key, item in value.items() if item}


def fields_of(value: Mapping[str, Any], ref: FunctionRef, problems: list[str]) -> FunctionSpec:
    """The fields alone, as far as they can be read."""
    return FunctionSpec(
        ref=ref,
        image=text_of(value, "image", problems),
        env_process=text_of(value, "handler", problems),
        env_vars=strings_of(value, "environment", problems),
        constraints=list_of(value, "constraints", problems),
        secrets=list_of(value, "secrets", problems),
        labels=strings_of(value, "labels", problems),
        annotations=strings_of(value, "annotations", problems),
        limits=strings_of(_amounts(value, "limits"), "limits", problems),
        requests=strings_of(_amounts(value, "requests"), "requests", problems),
        read_only_root_filesystem=flag_of(value, "readOnlyRootFilesystem", problems),
    )


def function_of(spec: FunctionSpec, rollout: str, existing: Mapping[str, Any] | None = None) -> Json:
    """The object to create, or to replace ``existing`` with: a replacement is a compare-and-set by its version.

    Replaced as a whole, because a patch or an apply would leave variables and labels that others put there.
    """
    metadata: Json = {"name": spec.ref.name, "namespace": spec.ref.namespace}
    kept: Json = {}
    if existing is not None:
        metadata = dict(existing["metadata"])
        kept = {key: existing["spec"][key] for key in ("replicas",) if key in existing["spec"]}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), keys.OBJECT_ROLLOUT: rollout}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {**spec_of(spec), **kept}}


def read(value: Mapping[str, Any], scalers: Scalers) -> FunctionSpec:
    """What a Function object asks for. Raises BadInput with every problem, one a line.

    ``scalers`` move replicas here: who else is asked to own the function is a problem.
    """
    metadata, given = value["metadata"], value.get("spec") or {}
    problems: list[str] = []
    spec = fields_of(given, FunctionRef(metadata["namespace"], metadata["name"]), problems)
    if given.get("name", metadata["name"]) != metadata["name"]:
        problems.append(f"name: {given['name']!r} differs from the object's name, {metadata['name']!r}; make them one")
    problems += ScalePolicy.from_labels(spec.labels)[1]
    problems += ownership.problems_of(spec.labels, spec.annotations, scalers)
    problems += checks.problems_of(spec)
    if problems:
        raise BadInput("\n".join(problems))
    return spec


def rollout_of(value: Mapping[str, Any]) -> str:
    """The mark that the pods of this object carry: new when it was deployed anew, else ever the same."""
    metadata = value["metadata"]
    return str((metadata.get("annotations") or {}).get(keys.OBJECT_ROLLOUT) or metadata["uid"])


def shared_count(value: Mapping[str, Any], current: int) -> int:
    """How many replicas the object and its Deployment, which has ``current``, shall both say: whichever was changed
    since they last agreed. A write to the object is a person's or an autoscaler's, and wins when both were."""
    asked = value["spec"].get("replicas")
    if asked is None or str(asked) == _agreed(value):
        return current
    return int(asked)


def share_patch(value: Mapping[str, Any], replicas: int) -> Json | None:
    """A merge patch (a compare-and-set) by which the object says so, and that both agreed; None when it does."""
    if value["spec"].get("replicas") == replicas and _agreed(value) == str(replicas):
        return None
    head = {"resourceVersion": value["metadata"]["resourceVersion"], "annotations": {keys.AGREED: str(replicas)}}
    return {"metadata": head, "spec": {"replicas": replicas}}


def _agreed(value: Mapping[str, Any]) -> str:
    return str((value["metadata"].get("annotations") or {}).get(keys.AGREED, ""))


def _amounts(value: Mapping[str, Any], kind: str) -> Json:
    """``cpu: 1`` is a number in YAML, and as good as ``"1"``."""
    given = value.get(kind)
    if not isinstance(given, dict):
        return {kind: given}
    return {
        kind: {name: str(item) if isinstance(item, int | float) else item for name, item in given.items()},
    }
