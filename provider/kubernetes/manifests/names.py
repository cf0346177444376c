"""What Kubernetes accepts as a name, a key and a value. Each function returns what is wrong, or nothing."""

from __future__ import annotations

import re

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
