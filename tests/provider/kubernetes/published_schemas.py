"""Manifests against the published schemas, strictly: a field that Kubernetes does not know is an error."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from jsonschema.validators import Draft202012Validator
from kubernetes_validate.utils import all_versions, major_minor, schema_contents
from referencing import Registry, Resource

OLDEST = (1, 29)
VERSIONS = tuple(
    dict.fromkeys(version for version in all_versions() if tuple(map(int, major_minor(version).split("."))) >= OLDEST)
)
"""Each once: the library has two folders of every one."""


@functools.cache
def validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    """What ``kubernetes_validate.validate`` makes anew, reading all of a version's schemas, for every object."""
    group, _, number = api_version.rpartition("/")
    name = f"{group.partition('.')[0]}-{number}" if group else number
    folder = f"kubernetes-json-schema/v{version}-local-strict"
    schema = schema_contents(f"{folder}/{kind.lower()}-{name}.json", version)
    return Draft202012Validator(schema, registry=definitions(version) @ Registry())


@functools.cache
def definitions(version: str) -> Resource[Any]:
    return Resource.from_contents(
        schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)
    )


def problems(manifest: Mapping[str, Any], version: str) -> list[str]:
    found = validator(version, manifest["kind"], manifest["apiVersion"]).iter_errors(manifest)
    return [f"{version} {error.json_path}: {error.message}" for error in found]


def all_problems(manifest: Mapping[str, Any]) -> list[str]:
    return [problem for version in VERSIONS for problem in problems(manifest, version)]
