"""Who may do what: roles and bindings from manifests, asked for every request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of
from tests.kubernetes.emulator.request_info import RequestInfo
from tests.kubernetes.emulator.statuses import ApiError, forbidden, unauthorized

ANYBODY = "system:anonymous"
_OPEN_PATHS = ("/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/openapi")
_OPEN_RESOURCES = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")


@dataclass(frozen=True, slots=True)
class _Grant:
    rules: Sequence[Object]
    namespace: str
    """Empty: everywhere."""


@dataclass(slots=True)
class _User:
    name: str
    grants: list[_Grant] = field(default_factory=list)


class AccessRules:
    """Without any grant everybody may do everything."""

    def __init__(self) -> None:
        self._users: dict[str, _User] = {}

    def __repr__(self) -> str:
        return f"<AccessRules of {', '.join(user.name for user in self._users.values()) or 'nobody'}>"

    def grant(self, manifests: Iterable[Object], *, token: str, user: str) -> None:
        """Let a bearer token do what the roles among the manifests grant to this user.

        A role that no binding among the manifests names counts as bound to the user: a Role in its namespace, a
        ClusterRole everywhere.
        """
        known = list(manifests)
        roles = {_role_key(one): one for one in known if one["kind"] in ("Role", "ClusterRole")}
        bindings = [one for one in known if one["kind"] in ("RoleBinding", "ClusterRoleBinding")]
        bound = set()
        grants = self._users.setdefault(token, _User(user)).grants
        for binding in bindings:
            key = _bound_role(binding)
            bound.add(key)
            if key in roles and any(_is_user(subject, user) for subject in binding.get("subjects", ())):
                place = namespace_of(binding) if binding["kind"] == "RoleBinding" else ""
                grants.append(_Grant(roles[key].get("rules", ()), place))
        grants += [_Grant(role.get("rules", ()), namespace_of(role)) for key, role in roles.items() if key not in bound]

    def forget(self) -> None:
        self._users.clear()

    def user(self, authorization: str) -> str:
        """Whose request this is. Raises ApiError 401."""
        if not self._users:
            return ANYBODY
        known = self._users.get(authorization.removeprefix("Bearer "))
        if known is None:
            raise unauthorized()
        return known.name

    def check(self, authorization: str, info: RequestInfo) -> None:
        """Raises ApiError 403 with the server's words."""
        if not self._users or _open(info):
            return
        user = self._users[authorization.removeprefix("Bearer ")]
        if any(_grants(grant, info) for grant in user.grants):
            return
        raise _refusal(user.name, info)

    def allows(self, authorization: str, info: RequestInfo) -> bool:
        try:
            self.check(authorization, info)
        except ApiError:
            return False
        return True


def _open(info: RequestInfo) -> bool:
    if not info.is_resource:
        return info.path == "/" or info.path.startswith(_OPEN_PATHS)
    return info.resource in _OPEN_RESOURCES


def _role_key(role: Object) -> tuple[str, str, str]:
    return role["kind"], namespace_of(role), name_of(role)


def _bound_role(binding: Object) -> tuple[str, str, str]:
    ref = binding["roleRef"]
    return ref["kind"], namespace_of(binding) if ref["kind"] == "Role" else "", ref["name"]


def _is_user(subject: Object, user: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user == f"system:serviceaccount:{dig(subject, 'namespace', default='')}:{subject['name']}"
    return bool(subject["name"] == user)


def _grants(grant: _Grant, info: RequestInfo) -> bool:
    if grant.namespace and grant.namespace != info.namespace:
        return False
    return any(_rule_grants(rule, info) for rule in grant.rules)


def _rule_grants(rule: Object, info: RequestInfo) -> bool:
    verbs = rule.get("verbs", ())
    if "*" not in verbs and info.verb not in verbs:
        return False
    if not info.is_resource:
        urls = rule.get("nonResourceURLs", ())
        return any(url in ("*", info.path) or (url.endswith("*") and info.path.startswith(url[:-1])) for url in urls)
    groups = rule.get("apiGroups", ())
    if "*" not in groups and info.group not in groups:
        return False
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    resources = rule.get("resources", ())
    if "*" not in resources and resource not in resources and f"*/{info.subresource}" not in resources:
        return False
    names = rule.get("resourceNames", ())
    # A request without a name, as create and list are, is not covered by a rule for names.
    return not names or (info.name or info.selected) in names


def _refusal(user: str, info: RequestInfo) -> ApiError:
    if not info.is_resource:
        message = f'User "{user}" cannot {info.verb} path "{info.path}"'
        return ApiError(403, "Forbidden", f"forbidden: {message}")
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'User "{user}" cannot {info.verb} resource "{resource}" in API group "{info.group}" {where}'
    return forbidden(info.group, info.resource, info.name, why)
