"""Rules of roles, as named templates, from the tables of permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from springtide.runtime.kubernetes.permissions import Permission, When, Where

HEADER = "{{/* Written by `python -m deploy` from the tables of permissions in code; do not edit. */}}\n"

CONDITIONS: Mapping[When, str] = {
    When.ALWAYS: "",
    When.OPERATOR: ".Values.operator.create",
    When.SERVICES: 'eq .Values.provider.functionAddresses "service"',
    When.CLUSTER: ".Values.clusterRole",
}
"""Which values make a permission needed."""


def templates(parts: Mapping[str, Sequence[Permission]]) -> str:
    """One template for each part and place: ``springtide.permissions.PART.PLACE``."""
    blocks = [
        _template(f"springtide.permissions.{part}.{place.name.lower()}", of_place)
        for part, permissions in parts.items()
        for place in Where
        if (of_place := [one for one in permissions if one.where is place])
    ]
    return HEADER + "\n".join(blocks)


def _template(name: str, permissions: Sequence[Permission]) -> str:
    return f'\n{{{{- define "{name}" -}}}}\n' + "".join(map(_rule, permissions)) + "{{- end }}\n"


def _rule(permission: Permission) -> str:
    lines = [
        f"# {permission.reason}",
        f'- apiGroups: ["{permission.resource.group}"]',
        f"  resources: [{permission.plural}]",
        f"  verbs: [{', '.join(permission.verbs)}]",
    ]
    if permission.names:
        lines.append(f"  resourceNames: [{', '.join(permission.names)}]")
    text = "\n".join(lines) + "\n"
    condition = CONDITIONS[permission.when]
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n" if condition else text
