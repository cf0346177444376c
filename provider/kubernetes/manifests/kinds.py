"""Our custom resources."""

from __future__ import annotations

from springtide.runtime.kubernetes.resources import Resource

FUNCTIONS = Resource("openfaas.com", "v1", "functions", "Function")
PROFILES = Resource("openfaas.com", "v1", "profiles", "Profile")
