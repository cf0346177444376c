"""From the fields of the deploy form to a deployment as faas-cli sends it, and back for a function that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from springtide.console.functions import FunctionInfo
from springtide.runtime.errors import BadInput
from springtide.scaler.core import policy
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.vocabulary import FunctionRef

PYTHON_IMAGE, PROCESS_IMAGE = "springtide/python", "springtide/process"
"""Written where a form names no image: the wire asks for one, processes of this machine need none."""

_SCALING = {"min": policy.MIN, "max": policy.MAX, "target": policy.TARGET, "zeroAfter": policy.ZERO_DURATION}
"""Fields of the form that are labels in truth."""

FIELDS_OF_LABELS = {label: name for name, label in _SCALING.items()}

_TEXT_FIELDS = ("name", "namespace", "image", "fprocess", "handler", "memory", "cpu", *_SCALING)


def deployment(value: Any) -> dict[str, Any]:
    """A FunctionDeployment. Raises BadInput with every problem of the form, one a line."""
    if not isinstance(value, dict):
        raise BadInput("the form must be a JSON object")
    problems: list[str] = []
    text = {name: str(value.get(name) or "").strip() for name in _TEXT_FIELDS}
    if not text["name"]:
        problems.append("name: missing; lower-case letters, digits and '-'")
    if not (text["image"] or text["fprocess"] or text["handler"]):
        problems.append("image: missing; name an image, a command, or the folder of a Python handler")
    labels, annotations = _pairs(value, "labels", problems), _pairs(value, "annotations", problems)
    labels |= {label: text[name] for name, label in _SCALING.items() if text[name]}
    if value.get("zero"):
        labels[policy.ZERO] = "true"
    if text["handler"]:
        annotations[HANDLER] = text["handler"]
    env_vars = _pairs(value, "env", problems)
    if problems:
        raise BadInput("\n".join(problems))
    made: dict[str, Any] = {
        "service": text["name"],
        "namespace": text["namespace"],
        "image": text["image"] or (PYTHON_IMAGE if text["handler"] else PROCESS_IMAGE),
        "envProcess": text["fprocess"],
        "envVars": env_vars,
        "labels": labels,
        "annotations": annotations,
        "secrets": str(value.get("secrets") or "").replace(",", " ").split(),
        "limits": {name: text[name] for name in ("memory", "cpu") if text[name]},
        "readOnlyRootFilesystem": bool(value.get("readOnly")),
        # What the form has no field for stays as it is.
        "requests": value.get("requests") or {},
        "constraints": value.get("constraints") or [],
    }
    return {name: item for name, item in made.items() if item}


def ref_of(made: Mapping[str, Any]) -> FunctionRef:
    """What a deployment is the deployment of. Its namespace is empty where it names none."""
    return FunctionRef(made.get("namespace", ""), made["service"])


def form(info: FunctionInfo) -> dict[str, Any]:
    """The fields of a function that is there, for the form to change."""
    labels, annotations = dict(info.labels), dict(info.annotations)
    scaling = {name: labels.pop(label, "") for name, label in _SCALING.items()}
    zero = labels.pop(policy.ZERO, "").lower() in ("true", "1")
    handler = annotations.pop(HANDLER, "")
    return {
        "name": info.ref.name,
        "namespace": info.ref.namespace,
        "image": info.image,
        "fprocess": info.env_process,
        "handler": handler,
        "env": _lines(info.env_vars),
        "labels": _lines(labels),
        "annotations": _lines(annotations),
        "secrets": " ".join(info.secrets),
        "memory": info.limits.get("memory", ""),
        "cpu": info.limits.get("cpu", ""),
        "readOnly": info.read_only,
        "zero": zero,
        "requests": dict(info.requests),
        "constraints": list(info.constraints),
        **scaling,
    }


def _lines(pairs: Any) -> str:
    return "\n".join(f"{key}={value}" for key, value in sorted(pairs.items()))


def _pairs(value: dict[str, Any], field: str, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(str(value.get(field) or "").splitlines(), 1):
        if not line.strip():
            continue
        key, equals, given = line.partition("=")
        if not equals or not key.strip():
            problems.append(f"{field}, line {number}: not of the form KEY=VALUE")
        found[key.strip()] = given.strip()
    return found
