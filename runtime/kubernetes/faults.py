"""What an API server's refusals become: errors of ``runtime.errors``, with a sentence that names the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, SpringtideError, TooMany, Unavailable

MAX_TEXT_CHARS = 1000
MAX_CAUSES = 10

# The authorizer's sentence. Other 403s are about the object: a quota, an admission policy, a namespace going away.
_NOT_ALLOWED = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


class Expired(SpringtideError):
    """410: the resourceVersion asked for is too old; list again."""


class Forbidden(Unavailable):
    """Our own service account lacks a rule. Not the caller's doing, so it is no 403 to them."""


class Rejected(Unavailable):
    """401: our own credentials are not taken."""


def error_from(status: int, body: bytes, what: str) -> SpringtideError:
    """The error for an answer that is no success. ``what`` is the deed, such as ``create deployments.apps ns/name``."""
    told = _decoded(body)
    message = str(told.get("message") or body.decode(errors="replace")).strip()[:MAX_TEXT_CHARS] or f"HTTP {status}"
    reason = str(told.get("reason") or "")
    if status == 403:
        return _forbidden(message, what)
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists(f"{what}: {message}")
    if status in (400, 422):
        return BadInput(f"{what}: {_explained(told) or message}")
    if "ResourceVersionTooLarge" in _cause_reasons(told):
        return Expired(f"{what}: {message}")  # from the future of a cluster that was restored from a backup
    kinds: dict[int, type[SpringtideError]] = {401: Rejected, 404: NotFound, 409: Conflict, 410: Expired, 429: TooMany}
    kind = kinds.get(status, Unavailable)
    return kind(f"{what}: the API server answered {status}: {message}")


def _forbidden(message: str, what: str) -> SpringtideError:
    denied = _NOT_ALLOWED.search(message)
    if denied is None:
        return BadInput(f"{what}: refused by the cluster: {message}")
    namespace = denied["namespace"]
    role = f"the Role in namespace {namespace}" if namespace else "the ClusterRole"
    return Forbidden(
        f"{what}: our service account may not {denied['verb']} {denied['resource']}; add to {role}: "
        f'apiGroups: ["{denied["group"]}"], resources: ["{denied["resource"]}"], verbs: ["{denied["verb"]}"]'
    )


def _explained(told: Mapping[str, Any]) -> str:
    """``field: message`` of each cause, which is what a person has to change."""
    lines = [
        f"{cause.get('field')}: {cause.get('message')}" if cause.get("field") else str(cause.get("message"))
        for cause in _causes(told)[:MAX_CAUSES]
    ]
    return "; ".join(lines)[:MAX_TEXT_CHARS]


def _cause_reasons(told: Mapping[str, Any]) -> list[str]:
    return [str(cause.get("reason")) for cause in _causes(told)]


def _causes(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = told.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _decoded(body: bytes) -> Mapping[str, Any]:
    """The Status object; empty when a proxy in between answered something else."""
    try:
        value = bounded_json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
