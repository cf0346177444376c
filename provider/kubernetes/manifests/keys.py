"""Labels and annotations by which functions, secrets and what we made are known."""

from __future__ import annotations

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

PROFILE = "com.openfaas.profile"
SERVICE_ACCOUNT = "com.openfaas.serviceaccount"
HEALTH, READY = "com.openfaas.health.http.", "com.openfaas.ready.http."
SCRAPE = "prometheus.io.scrape"

MANAGED_BY = "app.kubernetes.io/managed-by"
OPENFAAS, SPRINGTIDE = "openfaas", "springtide"
"""Values of it: secrets that functions may use, and autoscalers that we made."""

FPROCESS = "fprocess"
OWN_NAME, OWN_NAMESPACE = "OPENFAAS_NAME", "OPENFAAS_NAMESPACE"

SECRETS_FOLDER = "/var/openfaas/secrets"
PORT, PORT_NAME = 8080, "http"
