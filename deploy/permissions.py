"""What every part of an installation may ask of the API server."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.provider.kubernetes.permissions import PERMISSIONS as PROVIDER
from springtide.runtime.kubernetes.permissions import Permission, When, Where, leadership
from springtide.runtime.kubernetes.resources import PODS, SECRETS

PROMETHEUS = tuple(
    Permission(resource=PODS, verbs=("list", "watch"), where=where, reason="find what is to be scraped")
    for where in (Where.OWN, Where.FUNCTIONS)
)
CREDENTIALS = (
    Permission(
        resource=SECRETS, verbs=("create",), where=Where.OWN, reason="make basic-auth and nats-auth, if there are none"
    ),
)

PARTS: Mapping[str, tuple[Permission, ...]] = {
    "provider": (*PROVIDER, *leadership("springtide-operator", When.OPERATOR)),
    "alert-receiver": leadership("springtide-alert-receiver"),
    "scaler": leadership("springtide-scaler"),
    "cron": leadership("springtide-cron"),
    "idler": leadership("springtide-idler"),
    "prometheus": PROMETHEUS,
    "credentials": CREDENTIALS,
}
"""By service account. A part that is not here asks nothing, and gets no token."""
