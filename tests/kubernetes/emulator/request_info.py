"""What a request asks for, read from its path: verb, resource, name, subresource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.kubernetes.emulator.options import flag

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_OF_NAMESPACES = ("status", "finalize")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """As authorisation and the counters see a request; ``resource`` is empty for paths that are not resources."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    selected: str = ""
    """The one name that the field selector of a list or watch leaves; a rule for names covers it."""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


def read(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Raises ApiError 400 for a bad ``watch``."""
    parts = [part for part in path.split("/") if part]
    rest = _after_version(parts)
    if rest is None:
        return RequestInfo(verb=method.lower(), path=path)
    group, version, steps = rest
    namespace = ""
    if steps[0] == "namespaces" and len(steps) > 2 and steps[2] not in _OF_NAMESPACES:
        namespace, steps = steps[1], steps[2:]
    elif steps[0] == "namespaces" and len(steps) > 1:
        namespace = steps[1]
    name = steps[1] if len(steps) > 1 else ""
    return RequestInfo(
        verb=_verb(method, name, query),
        path=path,
        group=group,
        version=version,
        resource=steps[0],
        namespace=namespace,
        name=name,
        subresource="/".join(steps[2:]),
        selected="" if name else _selected(query.get("fieldSelector", "")),
    )


def _selected(fields: str) -> str:
    for term in fields.split(","):
        key, _, value = term.partition("=")
        if key == "metadata.name" and value:
            return value.removeprefix("=")
    return ""


def _after_version(parts: list[str]) -> tuple[str, str, list[str]] | None:
    """Group, version and the rest of a path to a resource."""
    if len(parts) > 2 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) > 3 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    return None


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not name:
        return "watch" if flag(query, "watch") else "list"
    if verb == "get" and flag(query, "watch"):
        return "watch"
    return "deletecollection" if verb == "delete" and not name else verb
