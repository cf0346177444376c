"""What a part may ask of the API server: declared once, beside the code that asks, and made into roles from there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from springtide.runtime.kubernetes.resources import LEASES, Resource


class Where(Enum):
    """The namespaces in which it is needed."""

    OWN = "the part's own"
    FUNCTIONS = "those that hold functions"
    PROFILES = "the one that holds Profiles"
    CLUSTER = "none: what is asked for has none"


class When(Enum):
    """The settings under which it is needed."""

    ALWAYS = "always"
    OPERATOR = "operator mode"
    SERVICES = "calls go to Services"
    CLUSTER = "functions in several namespaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One line of a role. ``names`` empty: objects of any name; the API server knows no names for ``create``."""

    resource: Resource
    verbs: tuple[str, ...]
    reason: str
    subresource: str = ""
    where: Where = Where.FUNCTIONS
    when: When = When.ALWAYS
    names: tuple[str, ...] = ()

    @property
    def plural(self) -> str:
        """As a role writes it: ``deployments/scale``."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def leadership(lease: str, when: When = When.ALWAYS) -> tuple[Permission, ...]:
    """What copies of a part need to agree on a leader."""
    return (
        Permission(
            resource=LEASES,
            verbs=("create",),
            where=Where.OWN,
            when=when,
            reason="the first copy of all makes the lease",
        ),
        Permission(
            resource=LEASES,
            verbs=("get", "list", "watch", "update"),
            where=Where.OWN,
            when=when,
            names=(lease,),
            reason="take, renew and give back the lease; see who holds it",
        ),
    )
