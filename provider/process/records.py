"""What is kept of a function on disk: what was asked for, how many replicas, and which write of it this is.

One JSON file per function, replaced as a whole. Everything else is found out from the running processes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from springtide.provider.spec import FunctionSpec, check_name, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_json
from springtide.scaler.core.vocabulary import FunctionRef, Instant

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRecord:
    """The wish for one function. Every write of it raises ``serial``; every change of what runs ``generation``."""

    spec: FunctionSpec
    replicas: int
    created_at: Instant
    uid: str
    """Of this deployment: the same name deployed anew after a deletion has another."""
    serial: int = 1
    generation: int = 1

    @classmethod
    def new(cls, spec: FunctionSpec, replicas: int, created_at: Instant) -> FunctionRecord:
        return cls(spec=spec, replicas=replicas, created_at=created_at, uid=secrets.token_hex(4))

    @property
    def ref(self) -> FunctionRef:
        return self.spec.ref

    @property
    def version(self) -> str:
        """Never the same for two writes, nor for two deployments of one name."""
        return f"{self.serial}-{self.uid}"

    def scaled(self, replicas: int) -> FunctionRecord:
        return replace(self, replicas=replicas, serial=self.serial + 1)

    def updated(self, spec: FunctionSpec, replicas: int) -> FunctionRecord:
        return replace(self, spec=spec, replicas=replicas, serial=self.serial + 1, generation=self.generation + 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "spec": spec_to_json(self.spec),
            "replicas": self.replicas,
            "createdAt": self.created_at,
            "uid": self.uid,
            "serial": self.serial,
            "generation": self.generation,
        }


def load(file: Path) -> FunctionRecord:
    """Raises BadInput with one sentence naming the file and the remedy."""
    value: Any = read_json(file)
    try:
        _check_format(value["format"])
        record = FunctionRecord(
            spec=spec_from_json(value["spec"]),
            replicas=_whole(value["replicas"]),
            created_at=Instant(float(value["createdAt"])),
            uid=check_name("uid", value["uid"]),
            serial=_whole(value["serial"]),
            generation=_whole(value["generation"]),
        )
    except (BadInput, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error).replace("\n", "; ")
        raise BadInput(
            f"{file}: not a function's state ({what}); restore it from a copy or move it away and deploy again"
        ) from error
    return record


def _check_format(number: object) -> None:
    if number != FORMAT:
        raise ValueError(f"format {number!r} is not {FORMAT}")


def file_name(ref: FunctionRef) -> str:
    return f"{ref.name}.{ref.namespace}.json"


def load_all(folder: Path) -> Iterator[FunctionRecord]:
    for file in sorted(folder.glob("[!.]*.json")):
        yield load(file)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a whole number")
    return value
