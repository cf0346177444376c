"""What is kept of a function on disk: what was asked for, how many replicas, and which write of it this is.

One JSON file per function, replaced as a whole. Everything else is found out from the running processes. A file that
cannot be read is set aside, and its function is known by its name alone until it is deployed anew or deleted.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from springtide.provider.spec import FunctionSpec, check_name, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.runtime.files import DAMAGED, read_json, set_aside
from springtide.scaler.core.policy import MAX_REPLICAS
from springtide.scaler.core.vocabulary import FunctionRef, Instant

FORMAT = 1
MAX_INSTANT = 253_402_300_800
"""The end of the year 9999, beyond which a date cannot be written."""

_log = structlog.get_logger()


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
    damaged: str = ""
    """What is wrong with the file that was to hold all this, and where it is now; empty when nothing is."""

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

    @classmethod
    def lost(cls, ref: FunctionRef, damaged: str, noticed_at: Instant) -> FunctionRecord:
        """Nobody knows what it was, so it is not asleep either: somebody may be calling."""
        return replace(cls.new(FunctionSpec(ref=ref, image="unknown"), 1, noticed_at), damaged=damaged)

    def scaled(self, replicas: int) -> FunctionRecord:
        return replace(self, replicas=replicas, serial=self.serial + 1)

    def updated(self, spec: FunctionSpec, replicas: int) -> FunctionRecord:
        return replace(
            self, spec=spec, replicas=replicas, serial=self.serial + 1, generation=self.generation + 1, damaged=""
        )

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
    """Raises BadInput with one sentence."""
    value: Any = read_json(file)
    try:
        _check_format(value["format"])
        record = FunctionRecord(
            spec=spec_from_json(value["spec"]),
            replicas=_whole(value["replicas"], high=MAX_REPLICAS),
            created_at=_instant(value["createdAt"]),
            uid=check_name("uid", value["uid"]),
            serial=_whole(value["serial"]),
            generation=_whole(value["generation"]),
        )
        _check_place(record, file)
    except (BadInput, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error).replace("\n", "; ")
        raise BadInput(f"not a function's state: {what}") from error
    return record


def load_all(folder: Path, now: Instant) -> list[FunctionRecord]:
    """Every function; for one whose file is damaged what is ``lost``. Nothing here ends a start."""
    found: dict[FunctionRef, FunctionRecord] = {}
    for file in sorted(folder.glob("[!.]*.json")):
        try:
            record = load(file)
        except (BadInput, OSError) as error:
            damaged, ref = _put_away(file, str(error), now), _ref_of(file)
            if ref is not None:
                found[ref] = FunctionRecord.lost(ref, damaged, now)
        else:
            found[record.ref] = record
    for file in sorted(folder.glob(f"[!.]*.json{DAMAGED}*")):
        ref = _ref_of(file)
        if ref is not None and ref not in found:
            found[ref] = FunctionRecord.lost(ref, f"the damaged file is {file}", now)
    return list(found.values())


def damaged_files(folder: Path, ref: FunctionRef) -> list[Path]:
    return list(folder.glob(f"{file_name(ref)}{DAMAGED}*"))


def _put_away(file: Path, why: str, now: Instant) -> str:
    """Returns what is told of it."""
    try:
        where = set_aside(file, now)
    except OSError as error:
        _log.error("a function's record is damaged and cannot be moved", file=str(file), why=why, error=str(error))
        return f"the damaged file is {file}: {why}"
    _log.error(
        "a function's record is damaged; deploy the function again, or restore the file from a copy and restart",
        file=str(file),
        why=why,
        set_aside_as=str(where),
    )
    return f"the damaged file is {where}: {why}"


def _ref_of(file: Path) -> FunctionRef | None:
    """Whose file it is, or was, by its name; None for one that is nobody's."""
    name, _, namespace = file.name.partition(".json")[0].partition(".")
    try:
        return FunctionRef(check_name("namespace", namespace), check_name("function", name))
    except BadInput:
        return None


def _check_place(record: FunctionRecord, file: Path) -> None:
    """A copy under another name would be two functions of one name, and of one working folder."""
    if file.name != file_name(record.ref):
        raise ValueError(f"it describes {record.ref}")


def _check_format(number: object) -> None:
    if number != FORMAT:
        raise ValueError(f"format {number!r} is not {FORMAT}")


def file_name(ref: FunctionRef) -> str:
    return f"{ref.name}.{ref.namespace}.json"


def _whole(value: Any, *, high: int = 1 << 63) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise ValueError(f"{str(value)[:40]!r} is not a whole number within bounds")
    return value


def _instant(value: Any) -> Instant:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < MAX_INSTANT:
        raise ValueError(f"{str(value)[:40]!r} is not an instant")
    return Instant(float(value))
