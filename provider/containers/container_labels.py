"""What a container says of itself, so that who lost everything else finds its function again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from springtide.provider.machine import records
from springtide.provider.machine.records import FunctionRecord
from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput

PREFIX = "com.springtide.container."
SUITE, UID, GENERATION, RECORD = (PREFIX + name for name in ("suite", "uid", "generation", "record"))
NAMESPACE = PREFIX + "namespace"
IMAGE_SUITE = "com.springtide.image.suite"
"""Of an image that was made here: whose."""
ALL = (SUITE, UID, GENERATION, RECORD, NAMESPACE, IMAGE_SUITE)


def suite_of(state_dir: Path) -> str:
    """Whose containers they are: several suites may share an engine. The same for the same folder, empty or not."""
    return hashlib.sha256(str(state_dir.absolute()).encode()).hexdigest()[:12]


def selector(suite: str) -> str:
    return f"{SUITE}={suite}"


def of_function(uid: str) -> str:
    return f"{UID}={uid}"


def labels_of(record: FunctionRecord, suite: str) -> dict[str, str]:
    """The function's own first, for people who list containers; ours win."""
    kept = replace(record, earlier=())
    return {
        **record.labels,
        SUITE: suite,
        NAMESPACE: record.ref.namespace,
        UID: record.uid,
        GENERATION: str(record.generation),
        RECORD: json.dumps(kept.to_json(), separators=(",", ":")),
    }


def made_here(suite: str) -> str:
    """As a selector of images."""
    return f"{IMAGE_SUITE}={suite}"


def network_labels(namespace: str, suite: str) -> dict[str, str]:
    return {SUITE: suite, NAMESPACE: namespace}


def uid_of(labels: Mapping[str, str]) -> str:
    return labels.get(UID, "")


def generation_of(labels: Mapping[str, str]) -> int:
    """0 for none."""
    text = labels.get(GENERATION, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def record_of(labels: Mapping[str, str]) -> FunctionRecord | None:
    """None where it cannot be read."""
    try:
        return records.from_json(bounded_json.loads(labels.get(RECORD, "")))
    except (BadInput, ValueError):
        return None
