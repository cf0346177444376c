"""The syntax of names: DNS labels and subdomains, label keys and values, variables, ports."""

from __future__ import annotations

import re

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
KEY_OF_DATA = re.compile(r"[-._a-zA-Z0-9]+")
PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
VARIABLE = re.compile(r"[ -<>-~]+")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def label_problem(name: str) -> str:
    """RFC 1123 label: namespaces, containers, volumes."""
    return _long(name, 63) or ("" if LABEL.fullmatch(name) else _LABEL_TEXT)


def service_problem(name: str) -> str:
    """RFC 1035 label: services."""
    return _long(name, 63) or ("" if SERVICE.fullmatch(name) else _SERVICE_TEXT)


def subdomain_problem(name: str) -> str:
    """RFC 1123 subdomain: most objects."""
    return _long(name, 253) or ("" if SUBDOMAIN.fullmatch(name) else _SUBDOMAIN_TEXT)


def label_value_problem(value: str) -> str:
    return _long(value, 63) or ("" if not value or QUALIFIED.fullmatch(value) else _VALUE_TEXT)


def label_key_problem(key: str) -> str:
    """Labels, annotations, finalizers: an optional prefix, a slash, a name."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return "prefix part must be non-empty"
    if prefix and (problem := subdomain_problem(prefix)):
        return f"prefix part {problem}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    return "" if QUALIFIED.fullmatch(name) else _QUALIFIED_TEXT


def variable_problem(name: str) -> str:
    """Environment variables: any printable ASCII but ``=``."""
    if VARIABLE.fullmatch(name):
        return ""
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"


def data_key_problem(key: str) -> str:
    """Keys of secrets and config maps: file names."""
    if key in (".", "..") or key.startswith(".."):
        return f"must not be '{key}'" if key in (".", "..") else "must not start with '..'"
    if not KEY_OF_DATA.fullmatch(key):
        return (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
    return _long(key, 253)


def port_name_problem(name: str) -> str:
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not PORT_NAME.fullmatch(name) or "--" in name:
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    return "" if re.search("[a-z]", name) else "must contain at least one letter (a-z)"


def _long(text: str, most: int) -> str:
    return f"must be no more than {most} bytes" if len(text.encode()) > most else ""
