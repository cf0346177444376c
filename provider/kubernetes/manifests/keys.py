"""The names by which functions, secrets and what we made are known: labels, annotations, custom resources.

And what Kubernetes accepts as a name, a key and a value: each function returns what is wrong, or nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from springtide.provider import annotation_table
from springtide.runtime.kubernetes.resources import Resource

FUNCTION = "faas_function"
"""Label of a function's Deployment, its pods and its Service. A Deployment without it is no function."""
ROLLOUT = "uid"
"""Pod label that is new with every deployment, so that each one rolls the pods, even with the same image tag."""
SPEC = "com.openfaas.function.spec"
"""Annotation of the Deployment: what was asked for, verbatim, as the spec of a Function object."""
OBJECT_ROLLOUT = "com.openfaas.uid"
"""Annotation of a Function object: the rollout mark of its last deployment through the REST API."""
AGREED = "com.springtide.replicas"
"""Annotation of a Function object: the count that it and its Deployment last agreed on."""
CREATED = "com.springtide.created"
"""Annotation of the Deployment: when it was asked for; Kubernetes itself knows it to the second only."""

LEARNED_WAKE = "com.springtide.learned-wake"
"""Label of the Deployment: how many replicas the function's last wakes needed. No part of what is applied, and no
annotation, with which the API server would count another generation and a writer's compare-and-set would fail."""
LONGEST_START = "com.springtide.longest-start"
"""The same, of the longest of the function's last starts from zero, in seconds."""
LEARNED = (LEARNED_WAKE, LONGEST_START)


@dataclass(frozen=True, slots=True)
class Kept:
    """A name that the provider writes itself, for people who look at its objects."""

    key: str
    on: str
    meaning: str


KEPT = (
    Kept(FUNCTION, "label of Deployment, pods and Service", "the function's name; a Deployment without it is none"),
    Kept(ROLLOUT, "label of pods", "new with every deployment, so that each one rolls the pods"),
    Kept(SPEC, "annotation of the Deployment", "what was asked for, as the spec of a Function object"),
    Kept(OBJECT_ROLLOUT, "annotation of the Function", "mark of its last deployment through the REST API"),
    Kept(AGREED, "annotation of the Function", "count of replicas that it and its Deployment last agreed on"),
    Kept(CREATED, "annotation of the Deployment", "when it was asked for"),
    Kept(LEARNED_WAKE, "label of the Deployment", "replicas that the function's last wakes needed"),
    Kept(LONGEST_START, "label of the Deployment", "longest of its last starts from zero, in seconds"),
)

PROFILE, SERVICE_ACCOUNT = annotation_table.PROFILE, annotation_table.SERVICE_ACCOUNT
HEALTH, READY = annotation_table.HEALTH, annotation_table.READY
SCRAPE = annotation_table.SCRAPE

MANAGED_BY = "app.kubernetes.io/managed-by"
OPENFAAS, SPRINGTIDE = "openfaas", "springtide"
"""Values of it: secrets that functions may use, and autoscalers that we made."""

FPROCESS = "fprocess"
OWN_NAME, OWN_NAMESPACE = "OPENFAAS_NAME", "OPENFAAS_NAMESPACE"

SECRETS_FOLDER = "/var/openfaas/secrets"
PORT, PORT_NAME = 8080, "http"


FUNCTIONS = Resource("openfaas.com", "v1", "functions", "Function")
PROFILES = Resource("openfaas.com", "v1", "profiles", "Profile")


_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_PART}(\.{_PART})*")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
MAX_SUBDOMAIN, MAX_NAME = 253, 63


def service_problem(name: str) -> str:
    """Of a Service, whose name is also one in the DNS."""
    if _LABEL.fullmatch(name):
        return ""
    return "use lower-case letters, digits and '-', at most 63, beginning with a letter and ending with either"


def subdomain_problem(name: str) -> str:
    """Of most objects."""
    if len(name) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(name):
        return ""
    return "use lower-case letters, digits, '-' and '.', at most 253, beginning and ending with a letter or digit"


def key_problem(key: str) -> str:
    """Of a label or an annotation: ``[domain/]name``."""
    domain, slash, name = key.rpartition("/")
    if len(name) <= MAX_NAME and _NAME.fullmatch(name) and (not slash or not subdomain_problem(domain)):
        return ""
    return (
        "a key is letters, digits, '-', '_' and '.', at most 63, beginning and ending with a letter or digit, "
        "with a domain and '/' before it or not"
    )


def value_problem(value: str) -> str:
    """Of a label."""
    if len(value) <= MAX_NAME and (not value or _NAME.fullmatch(value)):
        return ""
    return "a value is letters, digits, '-', '_' and '.', at most 63, beginning and ending with a letter or digit"


def variable_problem(name: str) -> str:
    if _VARIABLE.fullmatch(name) and name != "." and not name.startswith(".."):
        return ""
    return "use letters, digits, '-', '_' and '.', not beginning with a digit"
