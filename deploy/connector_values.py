"""JSON Schema of the chart's value ``connectors``: what a connector is made of, and the keys of each kind of source."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from springtide.cli.connector_file import KIND, MAX_SOURCES, NAME, SOURCES
from springtide.cli.parts.connector import SETTINGS
from springtide.runtime.settings import declared
from springtide.triggers.sources import kinds

Schema = dict[str, Any]

CONNECTORS = "connectors"
SCALAR = ["string", "number", "boolean"]
TEXT_OR_LIST: Schema = {"type": [*SCALAR, "array"], "items": {"type": "string"}}
MAX_REPLICAS, MAX_GRACE_S = 20, 3600


def connectors(ours: re.Pattern[str]) -> Schema:
    """Of one item. ``ours``: settings that the chart's Services, volumes and other parts go by."""
    known = {
        item.env: {"type": SCALAR, "description": item.help}
        for item in declared(SETTINGS.cls)
        if not ours.fullmatch(item.env)
    }
    properties: Schema = {
        "name": {
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$",
            "description": "Its Deployment is called connector-NAME.",
        },
        "config": {
            "type": "object",
            "additionalProperties": False,
            "required": [SOURCES],
            "properties": {SOURCES: _sources(), **known},
            "description": "The file of springtide connector FILE.",
        },
        "secretName": {"type": "string", "description": "Secret whose keys are files below /var/connector."},
        "env": {"type": "array", "items": {"type": "object"}, "description": "As a container's env."},
        "volumes": {"type": "array", "items": {"type": "object"}, "description": "As a pod's, for a directory."},
        "volumeMounts": {"type": "array", "items": {"type": "object"}, "description": "As a container's."},
        "replicas": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_REPLICAS,
            "description": "Copies, which share the events where their kind of source says how. 1 unless said.",
        },
        "gracePeriodSeconds": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_GRACE_S,
            "description": "Seconds that deliveries get when a pod goes. 30 unless said.",
        },
        "resources": {"type": "object", "description": "Requests and limits."},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "config"],
        "properties": properties,
    }


def _sources() -> Schema:
    each = {
        "type": "object",
        "required": [KIND],
        "properties": {KIND: {"enum": list(kinds.KINDS)}},
        "allOf": [_of_kind(kind, kinds.keys(kind)) for kind in kinds.KINDS],
    }
    return {"type": "array", "minItems": 1, "maxItems": MAX_SOURCES, "items": each}


def _of_kind(kind: str, keys: Collection[str]) -> Mapping[str, Any]:
    known: Schema = {KIND: {}, NAME: {"type": "string"}} | dict.fromkeys(keys, TEXT_OR_LIST)
    return {
        "if": {"required": [KIND], "properties": {KIND: {"const": kind}}},
        "then": {"additionalProperties": False, "properties": known},
    }
